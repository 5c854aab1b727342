"""Our own columns, checked a block at a time: which rows are CDRs, and why the others are not.

What comes in has the columns of `COLUMNS` that the file has, in any type that can hold them (CSV
has only texts), null where a cell is empty; other columns go into `attributes`. Each rule is one
expression that is true for the rows that break it. First all are asked only whether there is such a
row; where there is one, those rules are asked again, and the first that a row breaks is its fault.
"""

from collections.abc import Iterator
from functools import reduce
from typing import Final, NamedTuple

import polars as pl

from ocs.adapters.cdr_files.cells import EARLIER, NOT_ANSWERED, quoted
from ocs.adapters.cdr_files.options import Options
from ocs.adapters.cdr_files.records import COLUMNS, DIRECTIONS, ORIG
from ocs.domain.money import MAX_UNITS
from ocs.domain.usage import USAGE_TYPES, VOICE
from ocs.domain.zones import LATEST_MS

OWN: Final = frozenset(COLUMNS) - {"file", "line"}
"""The columns that a file may have."""

NEEDED: Final = frozenset({"cdr_id", "called"})
"""Those without which a file is none of ours."""

_TIMES: Final = ("start_ms", "answer_ms", "end_ms")
_COUNTS: Final = ("units", "duration_ms")
INTEGERS: Final = _TIMES + _COUNTS
"""The columns in which a text has to be a whole number."""

_TEXTS: Final = tuple(name for name in COLUMNS if name in OWN - {*INTEGERS, "answered"})
_YES: Final = ("true", "1", "yes")
_NO: Final = ("false", "0", "no")
_SECOND_MS: Final = 1_000
_CALLED_BY_NUMBER: Final = (VOICE, "sms", "mms")
_RAW: Final = "raw "  # before the name of a column: the cells that could not be read


class Rule(NamedTuple):
    """What a row must not be; `is_told`: the reason says what stood there."""

    column: str
    broken: pl.Expr
    reason: str
    is_told: bool = False


class Fault(NamedTuple):
    """A row that is no CDR: its place in the frame, and why."""

    place: int
    column: str
    reason: str


def checked(frame: pl.DataFrame, options: Options) -> tuple[pl.DataFrame, list[Fault]]:
    """Return the columns of `COLUMNS` for the rows that are sound, and the faults of the others.

    The frame has `file` and `line`.
    """
    raw = _absent_added(_foreign_folded(frame))
    typed = _completed(_typed(raw), options)
    rules = list(_rules(typed))
    is_broken = typed.select(
        rule.broken.any().alias(str(number)) for number, rule in enumerate(rules)
    )
    rules = [rule for rule, broken in zip(rules, is_broken.row(0), strict=True) if broken]
    if not rules:
        return _filled(typed, options), []
    faults = typed.select(
        pl.coalesce(
            pl.when(rule.broken).then(pl.lit(number, pl.UInt8)) for number, rule in enumerate(rules)
        )
    ).to_series()
    places = faults.is_not_null().arg_true().to_list()
    found = [_fault(raw, rules[faults[place]], place) for place in places]
    return _filled(typed.filter(faults.is_null()), options), found


def _foreign_folded(frame: pl.DataFrame) -> pl.DataFrame:
    """Put columns that are none of ours into `attributes`, with those that stand there."""
    foreign = [name for name in frame.columns if name not in COLUMNS]
    if not foreign:
        return frame
    folded = pl.struct(foreign).struct.json_encode()
    if "attributes" in frame.columns:
        own = pl.col("attributes").cast(pl.String)
        both = pl.concat_str(own.str.head(-1), pl.lit(","), folded.str.slice(1))
        folded = pl.when(own.is_null() | (own == "{}")).then(folded).otherwise(both)
    return frame.with_columns(folded.alias("attributes")).drop(foreign)


def _absent_added(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        pl.lit(None, kind).alias(name)
        for name, kind in COLUMNS.items()
        if name not in frame.columns
    )


def _typed(raw: pl.DataFrame) -> pl.DataFrame:
    """Return the types of a CDR; beside what could not be read, the cells as they stand."""
    texts = (pl.col(name).cast(pl.String) for name in _TEXTS)
    integers = (pl.col(name).cast(pl.Int64, strict=False) for name in INTEGERS)
    typed = raw.select("file", "line", *texts, *integers, _truth(raw).alias("answered"))
    beside = [
        raw[name].alias(_RAW + name)
        for name in (*INTEGERS, "answered")
        if raw[name].null_count() != typed[name].null_count() or raw.schema[name].is_float()
    ]
    return typed.with_columns(beside) if beside else typed


def _truth(raw: pl.DataFrame) -> pl.Expr:
    said = pl.col("answered")
    if raw.schema["answered"] == pl.Boolean:
        return said
    text = said.cast(pl.String).str.to_lowercase()
    yes, no = pl.lit(value=True), pl.lit(value=False)
    return pl.when(text.is_in(_YES)).then(yes).when(text.is_in(_NO)).then(no)


def _completed(typed: pl.DataFrame, options: Options) -> pl.DataFrame:
    """Work out what a row may leave out, as far as rules ask for it."""
    typed = typed.with_columns(
        _or(typed["usage_type"], pl.lit(VOICE)), _or(typed["direction"], pl.lit(ORIG))
    )
    timed = pl.when(pl.col("usage_type") == VOICE)
    seconds = timed.then((pl.col("duration_ms") + options.added_ms) // _SECOND_MS)
    return typed.with_columns(
        _or(typed["units"], seconds),
        _or(typed["duration_ms"], timed.then(pl.col("units") * _SECOND_MS)),
    )


def _filled(sound: pl.DataFrame, options: Options) -> pl.DataFrame:
    """Fill in what no rule asks for."""
    is_answered = pl.col("answer_ms").is_not_null() | (pl.col("units") > 0)
    told = {
        "tenant": pl.lit(options.tenant),
        "session_id": pl.col("cdr_id"),
        "attributes": pl.lit("{}"),
        "answered": is_answered,
    }
    nothing = pl.lit("")
    sound = sound.select(
        _or(sound[name], told.get(name, nothing))
        if kind == pl.String or name in told
        else pl.col(name)
        for name, kind in COLUMNS.items()
    )
    if not options.switch:
        return sound
    return sound.with_columns(cdr_id=pl.concat_str(pl.lit(options.id_of("")), "cdr_id"))


def _or(given: pl.Series, other: pl.Expr) -> pl.Expr:
    """Return what is given, the other where nothing is; most columns have all or none."""
    if not given.null_count():
        return pl.col(given.name)
    if given.null_count() == len(given):
        return other.alias(given.name)
    return pl.col(given.name).fill_null(other)


def _rules(typed: pl.DataFrame) -> Iterator[Rule]:
    """Yield what rows are held to, the most telling first; what cannot be broken is left out."""
    if typed["cdr_id"].null_count():
        yield Rule("cdr_id", pl.col("cdr_id").is_null(), "is empty, expected an id of the CDR")
    yield _one_of("usage_type", USAGE_TYPES)
    yield _one_of("direction", DIRECTIONS)
    if typed["called"].null_count():
        by_number = _is_any("usage_type", _CALLED_BY_NUMBER)
        used = (pl.col("units") > 0) | pl.col("answer_ms").is_not_null() | pl.col("answered")
        broken = pl.col("called").is_null() & by_number & used
        yield Rule("called", broken, "is empty, expected the number that was called")
    yield from _numbers(typed)
    yield from _order(typed)
    yield Rule("units", pl.col("units").is_null(), "is empty, expected how much was used")
    if _RAW + "answered" in typed.columns:
        unread = pl.col(_RAW + "answered").is_not_null() & pl.col("answered").is_null()
        yield Rule("answered", unread, "expected true or false", is_told=True)
    if typed["answered"].null_count() < typed.height:
        talked = (pl.col("usage_type") == VOICE) & (pl.col("units") > 0)
        yield Rule("units", ~pl.col("answered") & talked, NOT_ANSWERED)
    if typed["attributes"].null_count() < typed.height:
        text = pl.col("attributes")
        is_object = text.str.starts_with("{") & text.str.ends_with("}")
        yield Rule("attributes", ~is_object, "is no JSON object")


def _numbers(typed: pl.DataFrame) -> Iterator[Rule]:
    """Yield what is asked of integers: that they are some, and within bounds."""
    time, count = (
        "expected whole milliseconds since 1970",
        f"expected a whole number to {MAX_UNITS}",
    )
    for name in INTEGERS:
        most, reason = (LATEST_MS - 1, time) if name in _TIMES else (MAX_UNITS, count)
        broken = ~pl.col(name).is_between(0, most)
        if _RAW + name in typed.columns:
            raw = pl.col(_RAW + name)
            unread = raw.is_not_null() & pl.col(name).is_null()
            if typed.schema[_RAW + name].is_float():
                unread |= raw != pl.col(name)
            broken = unread | broken.fill_null(value=False)
        yield Rule(name, broken, reason, is_told=True)


def _order(typed: pl.DataFrame) -> Iterator[Rule]:
    if all(typed[name].null_count() for name in _TIMES):
        none = reduce(pl.Expr.and_, (pl.col(name).is_null() for name in _TIMES))
        yield Rule("start_ms", none, "is empty like all other times, expected one of them")
    start, answer, end = (pl.col(name) for name in _TIMES)
    yield Rule("answer_ms", answer < start, EARLIER)
    yield Rule("end_ms", (end < answer).fill_null(end < start), EARLIER)


def _one_of(name: str, known: tuple[str, ...]) -> Rule:
    reason = f"expected one of {', '.join(known)}"
    return Rule(name, ~_is_any(name, known), reason, is_told=True)


def _is_any(name: str, values: tuple[str, ...]) -> pl.Expr:
    """Compare with each: of short texts that is faster than looking them up."""
    return reduce(pl.Expr.or_, (pl.col(name) == value for value in values))


def _fault(raw: pl.DataFrame, rule: Rule, place: int) -> Fault:
    reason = rule.reason
    if rule.is_told:
        reason = f"{quoted(raw[rule.column][place])}, {reason}"
    return Fault(place, rule.column, reason)
