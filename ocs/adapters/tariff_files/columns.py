"""The columns that a rate model has in a tariff file, and how the cells of each are read.

A model is a struct: its fields are its columns, and those of its `terms` besides, so that no list
of columns has to be kept beside the models.
"""

from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Final, get_args

import msgspec

from ocs.adapters.tariff_files.values import (
    Reader,
    one_of,
    read_decimal,
    read_quantity,
    read_rounding,
    read_steps,
    read_truth,
    read_whole,
)
from ocs.domain.money import Currency, Rounding
from ocs.domain.rates import MODELS, RateModel
from ocs.domain.rates.fields import per_of
from ocs.domain.rates.steps import PriceStep
from ocs.domain.rates.terms import Amounts, Terms

_TERMS: Final = "terms"
_NOT_UNITS: Final = {"decimals": read_whole}
"""Whole numbers that count no units."""

_READERS: Final[dict[object, Reader]] = {
    Decimal: read_decimal,
    Decimal | None: read_decimal,
    int: read_quantity,
    int | None: read_quantity,
    tuple[PriceStep, ...]: read_steps,
    Rounding: read_rounding,
    bool: read_truth,
}


class Column(msgspec.Struct, frozen=True):
    """A column of a model: whether a row must fill it, and what reads its cells."""

    required: bool
    read: Reader
    of_terms: bool = False


@cache
def columns_of(model: str) -> dict[str, Column]:
    """Return the columns of a model by name, its own first."""
    columns: dict[str, Column] = {}
    for field in msgspec.structs.fields(MODELS[model]):
        if field.name == _TERMS:
            columns |= TERMS
        else:
            columns[field.name] = Column(field.required, _reader(field))
    return columns


def rate_of(model: str, values: dict[str, object]) -> RateModel:
    """Make a rate of values that were read; what a row does not say has the model's default."""
    own = {name: value for name, value in values.items() if name not in TERMS}
    terms = {name: value for name, value in values.items() if name in TERMS}
    return msgspec.convert({**own, _TERMS: terms}, MODELS[model])


def check_defaults(values: dict[str, object], usage_type: str, money: Currency) -> None:
    """Raise RateFieldError for values of empty cells that no price could be made with."""
    terms = {name: value for name, value in values.items() if name in TERMS}
    nothing = Amounts(Fraction(0), ((0, 1, Fraction(0)),))
    msgspec.convert(terms, Terms).compile(nothing, money)
    if "per" in values:
        per_of(msgspec.convert(values["per"], int), usage_type)


def _reader(field: msgspec.structs.FieldInfo) -> Reader:
    choices = get_args(field.type)
    if choices and all(isinstance(choice, str) for choice in choices):
        return one_of(choices)
    return _NOT_UNITS.get(field.name) or _READERS[field.type]


TERMS: Final = {
    field.name: Column(field.required, _reader(field), of_terms=True)
    for field in msgspec.structs.fields(Terms)
}
"""The columns that every priced model has."""
