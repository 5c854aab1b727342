"""Kamailio's accounting rows: one for each transaction, so a call is told by two of them.

    INVITE 200   the call is answered                    remembered by call id and both tags
    BYE          the same dialog ends                    one CDR, from both rows
    INVITE >=300 the call was not answered               a CDR at once, without use
    MESSAGE 2xx  a message was taken                     a CDR at once, of one `sms`

Who hangs up is the sender of the BYE, so in its row the tags may have changed places; and its
`dst_user` is a Contact, not the number that was called: all but the time comes from the INVITE.
INVITEs within a call (hold, session timers) and a second BYE are no calls; 401 and 407 ask for a
password, and the request comes again.

Calls that are open are remembered up to a number, then the oldest is given up; those and the ones
that are open at the end of the file are rejects with the row as their text. Put before the next
file, such a row is paired there.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from ocs.adapters.cdr_files.batching import decoded, rejected
from ocs.adapters.cdr_files.cells import EARLIER, CellError, epoch_s, quoted
from ocs.adapters.cdr_files.kamailio import (
    CALL_ID,
    CALLED,
    CALLING,
    SESSION,
    SUBSCRIBER,
    TRUNK_IN,
    TRUNK_OUT,
    fields_of,
)
from ocs.adapters.cdr_files.layout import Layout, Maker, Told, cell_of, first
from ocs.adapters.cdr_files.opening import Source
from ocs.adapters.cdr_files.options import Options
from ocs.adapters.cdr_files.records import SKIPPED, Cdr, Outcome, Reject, Used
from ocs.domain.zones import UTC_ZONE

_CODE: Final = ("code", "sip_code")
_TIME: Final = ("time_exten", "timestamp", "time")
_ATTEMPTED: Final = "timestamp of the attempt"
_ANSWERED: Final = "timestamp of the INVITE"
_ENDED: Final = "timestamp of the BYE"
_LAYOUT: Final = Layout(
    cdr_id=CALL_ID,
    session_id=SESSION + CALL_ID,
    subscriber=SUBSCRIBER,
    calling=CALLING,
    called=CALLED,
    trunk_in=TRUNK_IN,
    trunk_out=TRUNK_OUT,
    cause=_CODE,
    start=((_ATTEMPTED, epoch_s),),
    answer=((_ANSWERED, epoch_s),),
)
_STATUS: Final = re.compile("[1-6][0-9][0-9]")
_CHALLENGES: Final = {"401", "407"}
_MOST_CLOSED: Final = 10_000  # dialogs that a second BYE may still come for
_FIRST_FIELD: Final = "timestamp"
_UNANSWERED: Final = Told(answered=False)
_MESSAGE: Final = Told(usage_type="sms", answered=True, units=1)

_Dialog = tuple[str, str, str]


class _Row(NamedTuple):
    """One row of accounting."""

    number: int
    line: bytes
    fields: Mapping[str, Any]

    @property
    def code(self) -> str:
        return first(self.fields, _CODE)

    @property
    def time(self) -> str:
        return first(self.fields, _TIME)

    @property
    def dialog(self) -> _Dialog:
        """Call id and tags, whoever sent the request."""
        call_id = first(self.fields, CALL_ID)
        if not call_id:
            raise CellError("callid", "is empty, expected the call id")
        tags = sorted((cell_of(self.fields, "from_tag"), cell_of(self.fields, "to_tag")))
        return call_id, tags[0], tags[1]


def read_acc(source: Source, options: Options) -> Iterator[Outcome]:
    calls = _Calls(source, Maker(_LAYOUT, options, source.name), options.most_open_calls)
    for number, line in source.lines():
        if not line.strip():
            yield SKIPPED
            continue
        try:
            row = _Row(number, line, fields_of(decoded(line), _FIRST_FIELD))
            yield from calls.read(row)
        except CellError as error:
            yield rejected(source.name, number, line, error)
    yield from calls.left()


class _Calls:
    """The calls that are open, and those that were just closed."""

    def __init__(self, source: Source, maker: Maker, most_open: int) -> None:
        self._source = source
        self._maker = maker
        self._most_open = most_open
        self._open: OrderedDict[_Dialog, tuple[Cdr, bytes]] = OrderedDict()
        self._closed: OrderedDict[_Dialog, None] = OrderedDict()

    def read(self, row: _Row) -> Iterator[Outcome]:
        """Yield what a row completes; nothing, if it opens a call."""
        method, code = cell_of(row.fields, "method").upper(), row.code
        if not _STATUS.fullmatch(code):
            raise CellError("code", f"{quoted(code)}, expected a code such as 200")
        if code in _CHALLENGES or code[0] == "1":
            yield SKIPPED
        elif method == "INVITE":
            yield from self._invited(row)
        elif method == "BYE":
            yield self._ended(row)
        elif method == "MESSAGE" and code[0] == "2":
            yield Used((self._made(row, _ATTEMPTED, _MESSAGE),))
        elif method:
            yield SKIPPED
        else:
            raise CellError("method", "is empty, expected INVITE, BYE or another")

    def left(self) -> Iterator[Reject]:
        """Yield the calls that nothing ended."""
        while self._open:
            yield self._given_up("has no BYE up to the end of the file")

    def _invited(self, row: _Row) -> Iterator[Outcome]:
        dialog = row.dialog
        if dialog in self._open or dialog in self._closed:
            yield SKIPPED
        elif row.code[0] != "2":
            yield Used((self._made(row, _ATTEMPTED, _UNANSWERED),))
        else:
            self._open[dialog] = self._made(row, _ANSWERED, _UNANSWERED), row.line
            if len(self._open) > self._most_open:
                yield self._given_up(f"has no BYE within {self._most_open} calls")

    def _ended(self, row: _Row) -> Outcome:
        dialog = row.dialog
        if dialog in self._closed:
            return SKIPPED
        if dialog not in self._open:
            raise CellError("", "is a BYE whose INVITE is not in the file before it")
        cdr = self._closed_by(row, self._open[dialog][0])
        del self._open[dialog]
        self._closed[dialog] = None
        if len(self._closed) > _MOST_CLOSED:
            self._closed.popitem(last=False)
        return Used((cdr,), entries=2)

    def _closed_by(self, row: _Row, cdr: Cdr) -> Cdr:
        assert cdr.answer_ms is not None, cdr
        try:
            end_ms = epoch_s(row.time, UTC_ZONE, cdr.answer_ms)
        except ValueError as error:
            raise CellError(_ENDED, str(error)) from None
        if end_ms is None:
            raise CellError(_ENDED, "is empty, expected seconds since 1970")
        if end_ms < cdr.answer_ms:
            raise CellError(_ENDED, EARLIER)
        duration_ms = end_ms - cdr.answer_ms
        units = self._maker.seconds(duration_ms)
        return cdr._replace(end_ms=end_ms, duration_ms=duration_ms, units=units, answered=True)

    def _made(self, row: _Row, time: str, told: Told) -> Cdr:
        told = told._replace(cdr_id=";".join(row.dialog))
        fields = {name: cell for name, cell in row.fields.items() if name not in _TIME}
        fields[time] = row.time
        cdr = self._maker.cdr(fields, row.number, row.line, told)
        if not cdr.called:
            raise CellError("dst_user", "is empty, expected the number that was called")
        return cdr

    def _given_up(self, reason: str) -> Reject:
        _, (cdr, line) = self._open.popitem(last=False)
        return rejected(self._source.name, cdr.line, line, CellError("", reason))
