"""BillRun's lines, exported as JSON objects or as CSV with a header.

    stamp  the id      urt  when it was used        usaget  what was used    usagev  how much
    sid    who used    src, dst  the numbers        everything else is kept

A line of usage that BillRun has rated may be read here to be rated again and compared. Lines that
are no usage (a plan's flat charge, a credit, a change of a balance) are skipped. JSON may be plain
or MongoDB's extended form: {"$date": ...}, {"$numberLong": ...}.
"""

from collections.abc import Iterator
from typing import Final

from ocs.adapters.cdr_files.batching import cells_of, check_width, object_of, read_lines
from ocs.adapters.cdr_files.cells import SECOND_MS, CellError, moment, quoted, seconds
from ocs.adapters.cdr_files.layout import Cells, Layout, Maker, Told, cell_of
from ocs.adapters.cdr_files.opening import Source
from ocs.adapters.cdr_files.options import Options
from ocs.adapters.cdr_files.records import ORIG, SKIPPED, TERM, Outcome, Skipped, Used
from ocs.domain.usage import VOICE

NEEDED: Final = frozenset({"stamp", "usaget", "usagev", "urt"})
"""The columns without which a line is none."""

_USES: Final = {
    "call": (VOICE, ORIG),
    "incoming_call": (VOICE, TERM),
    "sms": ("sms", ORIG),
    "incoming_sms": ("sms", TERM),
    "mms": ("mms", ORIG),
    "incoming_mms": ("mms", TERM),
    "data": ("data", ORIG),
    "event": ("event", ORIG),
}
_NO_USES: Final = frozenset({"flat", "service", "credit", "balance", "tax", "installment"})
_DATE: Final = "$date"
_LONG: Final = "$numberLong"
_WRAPPERS: Final = (_LONG, "$numberInt", "$numberDouble", "$oid", "sec")

_TIMED: Final = Layout(
    cdr_id=("stamp",),
    session_id=("session_id", "sessionId", "call_reference"),
    subscriber=("sid",),
    calling=("src", "calling_number", "caller"),
    called=("dst", "called_number", "callee"),
    trunk_in=("in_circuit_group", "trunk_in"),
    trunk_out=("out_circuit_group", "trunk_out"),
    cause=("cause", "release_cause"),
    answer=(("urt", moment),),
    duration=(("usagev", seconds),),
)
_COUNTED: Final = Layout(
    cdr_id=_TIMED.cdr_id,
    session_id=_TIMED.session_id,
    subscriber=_TIMED.subscriber,
    calling=_TIMED.calling,
    called=_TIMED.called,
    trunk_in=_TIMED.trunk_in,
    trunk_out=_TIMED.trunk_out,
    cause=_TIMED.cause,
    start=(("urt", moment),),
    duration=(("usagev", seconds),),
)
"""A time of use is an answer where something was talked, else merely when it was."""


class _Lines:
    """Makes CDRs of lines, once for each use."""

    def __init__(self, options: Options, file: str) -> None:
        self._timed = Maker(_TIMED, options, file)
        self._counted = Maker(_COUNTED, options, file)

    def read(self, cells: Cells, number: int, line: bytes) -> Used | Skipped:
        name = cell_of(cells, "usaget")
        if name in _NO_USES:
            return SKIPPED
        if name not in _USES:
            raise CellError("usaget", f"{quoted(name)}, expected one of {', '.join(_USES)}")
        usage_type, direction = _USES[name]
        units = _volume(cells, whole=usage_type != VOICE)
        if usage_type != VOICE:
            told = Told(usage_type, direction, answered=True, units=units)
            return Used((self._counted.cdr(cells, number, line, told),))
        maker = self._timed if units else self._counted
        told = Told(usage_type, direction, answered=units > 0)
        return Used((maker.cdr(cells, number, line, told),))


def read_json(source: Source, options: Options) -> Iterator[Outcome]:
    lines = _Lines(options, source.name)

    def read(number: int, line: bytes, text: str) -> Used | Skipped:
        cells = {name: plain(value) for name, value in object_of(text).items()}
        return lines.read(cells, number, line)

    return read_lines(source, read)


def read_csv(source: Source, options: Options) -> Iterator[Outcome]:
    lines = _Lines(options, source.name)
    names: list[str] = []

    def read(number: int, line: bytes, text: str) -> Used | Skipped:
        row = cells_of(text)
        if NEEDED.issubset(row):
            names[:] = row
            return SKIPPED
        if not names:
            expected = ", ".join(sorted(NEEDED))
            raise CellError("", f"has no header with {expected} above it")
        check_width(row, len(names))
        return lines.read(dict(zip(names, row, strict=True)), number, line)

    return read_lines(source, read)


def plain(value: object) -> object:
    """Return what a value of MongoDB's extended JSON stands for."""
    if not isinstance(value, dict):
        return value
    if _DATE in value:
        return _date(value[_DATE])
    wrapper = next((name for name in _WRAPPERS if name in value), None)
    return value if wrapper is None else value[wrapper]


def _date(value: object) -> object:
    """Return a date that is text as it stands, and seconds for MongoDB's milliseconds."""
    count = value.get(_LONG) if isinstance(value, dict) else value
    try:
        return f"{int(str(count)) / SECOND_MS:.3f}"
    except ValueError:
        return count


def _volume(cells: Cells, *, whole: bool) -> int:
    """Return the units of a use; of a call the begun seconds."""
    try:
        volume_ms = seconds(cell_of(cells, "usagev"))
    except ValueError as error:
        raise CellError("usagev", str(error)) from None
    if volume_ms is None:
        raise CellError("usagev", "is empty, expected how much was used")
    if whole and volume_ms % SECOND_MS:
        raise CellError("usagev", "is not whole, expected bytes or a number of messages")
    return -(-volume_ms // SECOND_MS)
