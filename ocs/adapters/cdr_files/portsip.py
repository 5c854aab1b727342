"""PortSIP PBX: the bodies of its webhook `call_cdr`, one JSON object a line.

A call that was forwarded or rang several destinations has several `call_targets`, and each that
went out through a trunk was paid for on its own: so each of those is a CDR. A call that came in
through a trunk and went to extensions is one CDR, `term`. A call that touched no trunk is skipped.

Values are texts or numbers as it happens ("talk_duration": 21 for the call, "7" for a target),
times are seconds since 1970, "0" for never.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

from ocs.adapters.cdr_files.batching import object_of, read_lines
from ocs.adapters.cdr_files.cells import CellError, epoch_s, quoted, seconds
from ocs.adapters.cdr_files.layout import Cells, Layout, Maker, Told, cell_of, first
from ocs.adapters.cdr_files.opening import Source
from ocs.adapters.cdr_files.options import Options
from ocs.adapters.cdr_files.records import FORWARD, ORIG, SKIPPED, TERM, Cdr, Outcome, Skipped, Used

_Known = TypeVar("_Known")

EVENT: Final = "call_cdr"
_TARGETS: Final = "call_targets"
_ID: Final = ("session_id", "call_id")
_DIRECTIONS: Final = {
    "outbound": ORIG,
    "out": ORIG,
    "inbound": TERM,
    "in": TERM,
    "internal": ORIG,
    "ext": ORIG,
    "inbound_outbound": FORWARD,
    "in2out": FORWARD,
}
"""PortSIP's documents and its messages do not spell them alike."""
_STATUSES: Final = {"answered": True, "noanswer": False, "fail": False}
_OF_THE_TARGET: Final = (
    "trunk_name", "start_time", "ring_time", "answered_time", "ended_time", "ring_duration",
    "talk_duration", "call_status", "status", "end_reason", "ended_reason", "callee", "destination",
)  # fmt: skip
"""What the call says for all targets together, and each target for itself."""

_LAYOUT: Final = Layout(
    cdr_id=_ID,
    tenant=("tenant_name",),
    session_id=_ID,
    subscriber=("caller",),
    calling=("outbound_caller_id", "caller"),
    called=("destination", "callee"),
    trunk_out=("trunk_name",),
    cause=("end_reason", "ended_reason", "status_code"),
    start=(("start_time", epoch_s),),
    answer=(("answered_time", epoch_s),),
    end=(("ended_time", epoch_s),),
    duration=(("talk_duration", seconds),),
)


def read_webhooks(source: Source, options: Options) -> Iterator[Outcome]:
    sent = Maker(_LAYOUT, options, source.name)
    received = Maker(_received_layout(), options, source.name)

    def read(number: int, line: bytes, text: str) -> Used | Skipped:
        call = object_of(text)
        if cell_of(call, "event_type") != EVENT:
            return SKIPPED
        direction = _one_of(call, "direction", _DIRECTIONS)
        rows = tuple(
            sent.cdr(cells, number, line, _told(call, direction, target, cells))
            for target, cells in _through_trunks(call)
        )
        if rows:
            return Used(rows)
        if direction == TERM and cell_of(call, "trunk_name"):
            return Used((_received(received, call, number, line),))
        return SKIPPED

    return read_lines(source, read)


def _received_layout() -> Layout:
    return Layout(
        cdr_id=_ID,
        tenant=_LAYOUT.tenant,
        session_id=_ID,
        subscriber=("callee",),
        calling=("caller",),
        called=("did", "callee"),
        trunk_in=("trunk_name",),
        cause=_LAYOUT.cause,
        start=_LAYOUT.start,
        answer=_LAYOUT.answer,
        end=_LAYOUT.end,
        duration=_LAYOUT.duration,
    )


def _received(maker: Maker, call: Mapping[str, Any], number: int, line: bytes) -> Cdr:
    told = Told(direction=TERM, answered=_one_of(call, "call_status", _STATUSES))
    return maker.cdr(call, number, line, told)


def _through_trunks(call: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield what is known of each target behind a trunk, with its place among all."""
    targets = call.get(_TARGETS) or []
    if not isinstance(targets, list) or not all(isinstance(each, dict) for each in targets):
        raise CellError(_TARGETS, "is not a list of objects")
    shared = {
        name: value
        for name, value in call.items()
        if name != _TARGETS and name not in _OF_THE_TARGET
    }
    for place, target in enumerate(targets):
        if cell_of(target, "trunk_name"):
            yield place, shared | target | {"caller": call.get("caller", "")}


def _told(call: Cells, direction: str, place: int, target: Cells) -> Told:
    call_id = first(call, _ID)
    if not call_id:
        raise CellError(_ID[0], "is empty, expected an id of the call")
    return Told(
        direction=direction,
        answered=_one_of(target, "status", _STATUSES),
        cdr_id=f"{call_id}-{place}",
        trunk_in=cell_of(call, "trunk_name") if direction == FORWARD else "",
    )


def _one_of(cells: Cells, column: str, known: Mapping[str, _Known]) -> _Known:
    value = cell_of(cells, column).lower()
    if value not in known:
        raise CellError(column, f"{quoted(value)}, expected one of {', '.join(known)}")
    return known[value]
