"""A price list as the text of a tariff file: what `reading` takes apart, put together.

Columns are written where a row says something in them; what all rows say alike of rounding, tax,
minimum and maximum stands once, in the head. The text is canonical: one price list has one text, so
that two of them can be compared line by line.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec

from ocs.adapters.tariff_files.columns import TERMS, columns_of
from ocs.adapters.tariff_files.timings import MONTHS, WEEK_DAYS
from ocs.domain.rates import RateModel
from ocs.domain.rates.flat import Blocked
from ocs.domain.rates.steps import PriceStep
from ocs.domain.rates.terms import Terms
from ocs.domain.tariff import CATCH_ALL
from ocs.domain.timing import LAST_DAY, Timing
from ocs.usecases.price_lists import PriceList, PriceRow

_DAY_S: Final = 86_400
_SECOND_MS: Final = 1_000
_SCOPE: Final = ("from_prefix", "trunk")
_DATES: Final = ("valid_from", "valid_to")
_NO_TERMS: Final = Terms()


def text_of(price_list: PriceList) -> str:
    """Return the whole file."""
    common = _common_terms(price_list.rows)
    # A comment of several lines, or with an equals sign, would be settings.
    comments = (" ".join(comment.split()).replace("=", ":") for comment in price_list.comments)
    lines = [f"# {comment}" for comment in comments]
    lines += [f"# {name} = {value}" for name, value in _settings(price_list, common)]
    # Far fewer prices than rows: the rows share them, so that each is spelled once.
    prices = {id(row.price): row.price for row in price_list.rows}
    spelled = {key: _price_cells(price, common) for key, price in prices.items()}
    cells = [_cells(price_list, row) | spelled[id(row.price)] for row in price_list.rows]
    columns = columns_of(price_list.model).items()
    said = {name for name, column in columns if column.required}
    said |= {name for row in cells for name, text in row.items() if text}
    names = [name for name in _column_names(price_list.model) if name in said]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([row.get(name, "") for name in names] for row in cells)
    return "".join(f"{line}\n" for line in lines) + stream.getvalue()


def timing_text(timings: Sequence[Timing]) -> str:
    """Spell timings of one weight as the head of a tariff file does."""
    assert len({timing.weight for timing in timings}) == 1, "a name has one weight"
    items = [_range(timing) for timing in timings]
    weight = timings[0].weight
    if weight:
        items.append(f"weight {_number(Decimal(str(weight)))}")
    return ", ".join(items)


def _settings(price_list: PriceList, common: dict[str, object]) -> Iterator[tuple[str, str]]:
    yield "currency", price_list.currency
    yield "usage_type", price_list.usage_type
    yield "model", price_list.model
    if price_list.zone:
        yield "zone", price_list.zone
    if price_list.gaps:
        yield "gaps", "allowed"
    for name, date_ms in zip(
        _DATES, (price_list.valid_from_ms, price_list.valid_to_ms), strict=True
    ):
        if date_ms is not None:
            yield name, _date(date_ms, is_wall=price_list.wall_dates)
    for name, value in common.items():
        yield name, _text(value)
    for name, timings in price_list.timings.items():
        yield f"timing.{name}", timing_text(timings)


def _common_terms(rows: Iterable[PriceRow]) -> dict[str, object]:
    """Return the terms that are the same in all rows, and not the model's own default."""
    prices = [row.price for row in rows if not isinstance(row.price, Blocked)]
    all_terms = {_terms_of(price) for price in prices}
    common = {}
    for name in TERMS:
        values = {getattr(terms, name) for terms in all_terms}
        if len(values) == 1 and values != {getattr(_NO_TERMS, name)}:
            common[name] = values.pop()
    return common


def _terms_of(price: RateModel) -> Terms:
    return getattr(price, "terms", _NO_TERMS)


def _column_names(model: str) -> tuple[str, ...]:
    return ("prefix", "destination", *columns_of(model), "blocked", "timing", *_SCOPE, *_DATES)


def _cells(price_list: PriceList, row: PriceRow) -> dict[str, str]:
    """Return what a row says beside its price, by the name of the column."""
    is_wall = price_list.wall_dates
    cells = {
        "prefix": row.prefix or CATCH_ALL,
        "destination": row.destination,
        "timing": row.timing,
        "from_prefix": row.from_prefix,
        "trunk": row.trunk,
    }
    for name, date_ms in zip(_DATES, (row.valid_from_ms, row.valid_to_ms), strict=True):
        cells[name] = "" if date_ms is None else _date(date_ms, is_wall=is_wall)
    if isinstance(row.price, Blocked) and price_list.model != "blocked":
        cells["blocked"] = "yes"
    return cells


def _price_cells(price: RateModel, common: dict[str, object]) -> dict[str, str]:
    cells = {}
    for field in msgspec.structs.fields(price):
        value = getattr(price, field.name)
        if not isinstance(value, Terms) and (field.required or value != field.default):
            cells[field.name] = _text(value)
    terms = _terms_of(price)
    for name in TERMS:
        value = getattr(terms, name)
        if name not in common and value != getattr(_NO_TERMS, name):
            cells[name] = _text(value)
    return cells


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, tuple):
        return "; ".join(_step(step) for step in value)
    return str(value)


def _step(step: PriceStep) -> str:
    end = "" if step.end is None else step.end
    return f"{step.start}-{end}: {_number(step.price)} per {step.per} by {step.by}"


def _number(value: Decimal) -> str:
    """Write a decimal without exponent and without zeros that say nothing."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _date(date_ms: int, *, is_wall: bool) -> str:
    seconds, milliseconds = divmod(date_ms, _SECOND_MS)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=milliseconds * _SECOND_MS)
    text = moment.replace(tzinfo=None).isoformat(
        timespec="milliseconds" if milliseconds else "auto"
    )
    return text if is_wall else f"{text}Z"


def _range(timing: Timing) -> str:
    words = [
        *_runs(timing.years, [str(year) for year in range(10_000)], 0),
        *_runs(timing.months, MONTHS, 1),
        *_runs(
            [day for day in timing.month_days if day != LAST_DAY],
            [str(day) for day in range(32)],
            0,
        ),
        *(["last"] if LAST_DAY in timing.month_days else []),
        *_runs(timing.week_days, WEEK_DAYS, 1),
    ]
    if (timing.start_s, timing.end_s) != (0, _DAY_S):
        words.append(f"{_clock(timing.start_s)}-{_clock(timing.end_s)}")
    return " ".join(words) or "always"


def _runs(numbers: Sequence[int], names: Sequence[str], first: int) -> Iterator[str]:
    """Spell numbers by names, those that follow each other as a range."""
    ordered = sorted(set(numbers))
    begins = [low for low in ordered if low - 1 not in ordered]
    ends = [high for high in ordered if high + 1 not in ordered]
    for low, high in zip(begins, ends, strict=True):
        name = names[low - first]
        yield name if low == high else f"{name}-{names[high - first]}"


def _clock(second: int) -> str:
    minutes, seconds = divmod(second, 60)
    text = f"{minutes // 60:02}:{minutes % 60:02}"
    return f"{text}:{seconds:02}" if seconds else text
