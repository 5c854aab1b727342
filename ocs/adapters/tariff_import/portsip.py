"""A PortSIP call-rate list: JSON as `GET /api/call_rates` answers it, or CSV with those columns.

The fields are those of the `interval` model, which was made after them; what else a rate has (an
id, a type such as MOBILE) is a label.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from ocs.adapters.tariff_import.json_source import SourceError, number, read_json
from ocs.domain.money import Currency, currency
from ocs.domain.prefix_trie import MAX_PREFIX_DIGITS
from ocs.domain.rates.fields import RateFieldError
from ocs.domain.rates.interval import Interval
from ocs.domain.usage import VOICE
from ocs.usecases.price_lists import (
    Fault,
    Imported,
    ImportedPlan,
    PlanTariffName,
    PriceList,
    PriceRow,
    name_of,
)

_MONEY: Final = ("price_1", "price_n", "connect_fee", "postcall_surcharge")
_UNITS: Final = ("interval_1", "interval_n", "free_seconds", "grace_period")
_REQUIRED: Final = ("prefix", "interval_1", "interval_n", "price_1", "price_n")
_LABELS: Final = ("description", "type")
_LONGEST_DESTINATION: Final = 255


class _CallRate(msgspec.Struct, frozen=True):
    """One rate as it stands in the file."""

    line: int
    path: str
    fields: Mapping[str, object]


def import_rates(path: Path, currency_code: str) -> Imported:
    """Read a file of call rates, all or nothing; ValueError for a currency that is none."""
    money = currency(currency_code)
    faults: list[Fault] = []
    rows: dict[str, PriceRow] = {}
    try:
        for rate in _read(path):
            row = _row(path.name, rate, money, faults)
            if row is None:
                continue
            if row.prefix in rows:
                reason = f"{row.prefix} has a rate already: prefixes are unique"
                faults.append(Fault(path.name, rate.line, rate.path, "prefix", reason))
            rows[row.prefix] = row
    except SourceError as error:
        faults.append(error.fault)
    if not rows and not faults:
        faults.append(Fault(path.name, 0, "", "", "has no call rates"))
    if faults:
        return Imported(faults=tuple(sorted(faults)))
    name = name_of(path.stem)
    price_list = PriceList(
        name=name,
        currency=money.code,
        usage_type=VOICE,
        model="interval",
        rows=tuple(rows.values()),
        comments=("Call rates of PortSIP",),
    )
    return Imported((price_list,), (ImportedPlan(name, (PlanTariffName(name),)),))


def _read(path: Path) -> Iterator[_CallRate]:
    if path.suffix.lower() == ".csv":
        yield from _read_csv(path)
        return
    document = read_json(path)
    place = "$"
    if isinstance(document, dict):
        # The answer of a list is an object with the list in it, and counts beside.
        lists = [name for name, value in document.items() if isinstance(value, list)]
        if len(lists) == 1:
            place, document = f"$.{lists[0]}", document[lists[0]]
    if not isinstance(document, list):
        raise SourceError(Fault(path.name, 0, place, "", "is not a list of call rates"))
    for position, fields in enumerate(document):
        where = f"{place}[{position}]"
        if not isinstance(fields, dict):
            raise SourceError(Fault(path.name, 0, where, "", "is not a call rate"))
        yield _CallRate(0, where, fields)


def _read_csv(path: Path) -> Iterator[_CallRate]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(Fault(path.name, 0, "", "", f"cannot be read: {error}")) from error
    reader = csv.reader(text.splitlines(), strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        for column in _REQUIRED:
            if column not in names:
                raise SourceError(Fault(path.name, 1, "", column, "missing column"))
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(names):
                reason = f"has {len(cells)} cells where the header has {len(names)}"
                raise SourceError(Fault(path.name, reader.line_num, "", "", reason))
            yield _CallRate(reader.line_num, "", dict(zip(names, cells, strict=True)))
    except csv.Error as error:
        fault = Fault(path.name, reader.line_num, "", "", f"is not CSV: {error}")
        raise SourceError(fault) from error


def _row(file: str, rate: _CallRate, money: Currency, faults: list[Fault]) -> PriceRow | None:
    """Make a row of a rate; None, with all that is wrong in it, where that cannot be."""
    before = len(faults)

    def report(column: str, reason: str) -> None:
        faults.append(Fault(file, rate.line, rate.path, column, reason))

    values = _numbers(rate, report)
    prefix = str(rate.fields.get("prefix") or "").strip().removeprefix("+")
    if not (prefix.isdecimal() and prefix.isascii() and len(prefix) <= MAX_PREFIX_DIGITS):
        report("prefix", f"{prefix[:40]!r} is not a prefix of 1 to {MAX_PREFIX_DIGITS} digits")
    if len(faults) > before:
        return None
    price = msgspec.convert(values, Interval)
    try:
        price.compile(money)
    except RateFieldError as error:
        report(error.field, str(error))
    except ValueError as error:
        report("", str(error))
    return PriceRow(prefix, _destination(rate), price)


def _numbers(rate: _CallRate, report: Callable[[str, str], None]) -> dict[str, Decimal | int]:
    values: dict[str, Decimal | int] = {}
    for name in (*_MONEY, *_UNITS):
        value = rate.fields.get(name)
        if value is None or value == "":
            if name in _REQUIRED:
                report(name, "is missing")
            continue
        try:
            found = number(value)
            values[name] = found if name in _MONEY else _whole(found)
        except ValueError as error:
            report(name, str(error))
    return values


def _destination(rate: _CallRate) -> str:
    texts = (str(rate.fields.get(label) or "").strip() for label in _LABELS)
    name = next((text for text in texts if text and text.isprintable()), "unnamed")
    return name[:_LONGEST_DESTINATION]


def _whole(value: Decimal) -> int:
    if value != int(value):
        raise ValueError(f"{value} is not a whole number of seconds")
    return int(value)
