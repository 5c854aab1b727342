"""The cells of a tariff row: prefix, destination, price, scope; each with its reason when wrong.

Prices are read from the tuple of a row's cells as one thing, and so is what says when and for whom
a row holds, because a deck has far fewer of those tuples than rows.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec

from ocs.adapters.tariff_files.columns import columns_of, rate_of
from ocs.adapters.tariff_files.header import ALWAYS, Columns, Settings
from ocs.adapters.tariff_files.values import Instant, read_instant, read_truth, shown
from ocs.domain.ladder import FREE, Ladder
from ocs.domain.money import Currency
from ocs.domain.prefix_trie import MAX_PREFIX_DIGITS
from ocs.domain.rates import MODELS, RateModel
from ocs.domain.rates.fields import RateFieldError
from ocs.domain.rates.flat import Blocked
from ocs.domain.rates.terms import Terms
from ocs.domain.tariff import CATCH_ALL
from ocs.domain.timing import Timing

_LONGEST_NAME: Final = 255
_MOST_LADDERS_KEPT: Final = 20_000


class CellErrors(ValueError):
    """Cells of one row that cannot be read, each as column and reason."""

    def __init__(self, cells: Iterable[tuple[str, str]]) -> None:
        self.cells = tuple(cells)
        super().__init__("; ".join(reason for _, reason in self.cells))


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """The price that a row states, for the times that it names; no timings: for all others."""

    model: str
    ladder: Ladder
    blocked: bool = False
    tax: str = "0"
    tax_included: bool = False
    timings: tuple[Timing, ...] = ()


class Scope(msgspec.Struct, frozen=True):
    """When a row holds, and for which callers (their numbers begin with it) and which trunk.

    `is_wall` and `is_fixed` say which kinds of dates it is made of: without and with a zone.
    """

    valid_ms: tuple[int, int]
    is_wall: bool = False
    is_fixed: bool = False
    from_prefix: str = ""
    trunk: str = ""


def read_prefix(text: str, column: str = "prefix") -> str:
    """Return the digits of a prefix; a leading + is dropped, * is the empty prefix."""
    digits = text.strip().removeprefix("+")
    if digits == CATCH_ALL:
        return ""
    if not (digits.isdecimal() and digits.isascii()):
        reason = f"{shown(text)} is not a prefix: digits, or * for everything"
        raise CellErrors([(column, reason)])
    if len(digits) > MAX_PREFIX_DIGITS:
        raise CellErrors([(column, f"{shown(text)} has more than {MAX_PREFIX_DIGITS} digits")])
    return digits


def read_destination(text: str) -> str:
    """Return the name of a destination, stripped."""
    return _name("destination", text)


@lru_cache(maxsize=_MOST_LADDERS_KEPT)
def _ladder_of(rate: RateModel, money: Currency, usage_type: str) -> Ladder:
    """Compile a rate once, however many price lists have it."""
    return rate.compile(money, usage_type)


def read_price(
    cells: tuple[str, ...], columns: Columns, settings: Settings, money: Currency
) -> Entry:
    """Compile the price cells of a row; a blocked row needs none of them."""
    texts = {name: text.strip() for name, text in zip(columns.price_columns, cells, strict=True)}
    timing = texts.pop("timing", "")
    try:
        blocked = read_truth(texts.pop("blocked", ""))
    except ValueError as error:
        raise CellErrors([("blocked", str(error))]) from error
    if blocked or MODELS[columns.model] is Blocked:
        if timing:
            raise CellErrors([("timing", "must be empty: what is blocked is blocked at all times")])
        return Entry(model="blocked", ladder=FREE, blocked=True)
    if timing and timing not in settings.timings:
        known = ", ".join(settings.timings) or "no timing at all"
        raise CellErrors([("timing", f"{shown(timing)} is not defined; the file defines {known}")])
    rate = rate_of(columns.model, settings.defaults | _values(texts, columns, settings))
    try:
        ladder = _ladder_of(rate, money, settings.usage_type)
    except RateFieldError as error:
        raise CellErrors([(error.field, str(error))]) from error
    except ValueError as error:
        raise CellErrors([("", str(error))]) from error
    terms = getattr(rate, "terms", Terms())
    return Entry(
        model=columns.model,
        ladder=ladder,
        tax=str(terms.tax),
        tax_included=terms.tax_included,
        timings=settings.timings[timing] if timing else (),
    )


def read_scope(cells: tuple[str, ...], columns: Columns, settings: Settings) -> Scope:
    """Read when and for whom a row holds, within the validity of its file."""
    texts = {name: text.strip() for name, text in zip(columns.scope_columns, cells, strict=True)}
    from_, to = settings.valid
    row_from = _date("valid_from", texts, settings) or ALWAYS[0]
    row_to = _date("valid_to", texts, settings) or ALWAYS[1]
    valid_ms = max(from_.ms, row_from.ms), min(to.ms, row_to.ms)
    if valid_ms[1] <= valid_ms[0]:
        is_own = row_to.ms <= row_from.ms
        reason = "must be later than valid_from" if is_own else "the file holds at other times only"
        raise CellErrors([("valid_to", reason)])
    dates = {from_, to, row_from, row_to} - {*ALWAYS}
    from_prefix, trunk = texts.get("from_prefix", ""), texts.get("trunk", "")
    return Scope(
        valid_ms,
        is_wall=any(date.is_wall for date in dates),
        is_fixed=not all(date.is_wall for date in dates),
        from_prefix=read_prefix(from_prefix, "from_prefix") if from_prefix else "",
        trunk=_name("trunk", trunk) if trunk else "",
    )


def _values(texts: dict[str, str], columns: Columns, settings: Settings) -> dict[str, object]:
    """Read the cells that are filled, and those that must be."""
    known = columns_of(columns.model)
    values: dict[str, object] = {}
    wrong = []
    for name, text in texts.items():
        if not text and not known[name].required:
            continue
        try:
            values[name] = known[name].read(text, settings.usage_type)
        except ValueError as error:
            wrong.append((name, str(error) if text else "is empty"))
    if wrong:
        raise CellErrors(wrong)
    return values


def _date(column: str, texts: dict[str, str], settings: Settings) -> Instant | None:
    text = texts.get(column, "")
    if not text:
        return None
    try:
        return read_instant(text, settings.zone)
    except ValueError as error:
        raise CellErrors([(column, str(error))]) from error


def _name(column: str, text: str) -> str:
    name = text.strip()
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise CellErrors([(column, f"must have 1 to {_LONGEST_NAME} printable characters")])
    return name
