"""Kamailio's module acc: the CDRs that it writes at the end of a dialog, and what its rows share.

    log    ... start_time=1795165137.420; end_time=1795165140.135; duration=2.715; caller=alice; ...
    JSON   {"start_time":"1795165137.420","end_time":"1795165140.135","duration":"2.715",...}

Which fields there are beside the three is up to `cdr_extra`, and so are their names; the usual ones
are known, others are told by `fields`. A CDR is told from others by its session, else by call id
and start, else by the hash of its line.

The start is when the dialog was created, unless `cdr_start_on_confirmed` is set: then ringing is in
the duration, and is charged. The file does not tell, so docs/cdr.md does.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ocs.adapters.cdr_files.batching import object_of, read_lines
from ocs.adapters.cdr_files.cells import CellError, epoch_s, seconds
from ocs.adapters.cdr_files.layout import Cells, Layout, Maker, Told, cell_of, first
from ocs.adapters.cdr_files.opening import Source
from ocs.adapters.cdr_files.options import Options
from ocs.adapters.cdr_files.records import Outcome, Used

SESSION: Final = ("session_id",)
CALL_ID: Final = ("callid", "call_id", "ci")
SUBSCRIBER: Final = ("account", "subscriber", "src_user", "caller", "from_user")
CALLING: Final = ("src_user", "caller", "from_user", "src")
CALLED: Final = ("dst_user", "callee", "ruri_user", "dst")
TRUNK_IN: Final = ("trunk_in", "src_ip", "ip")
TRUNK_OUT: Final = ("trunk_out", "gateway", "dst_domain")
"""What operators call these fields; the first that is there counts.

The number that was called is that of the request URI, which decides where the call goes. The one in
the To header (`dst_ouser` of the sample configuration) is whatever the caller wrote there.
"""

_START: Final = "start_time"
_CDR: Final = Layout(
    cdr_id=SESSION,
    session_id=SESSION + CALL_ID,
    subscriber=SUBSCRIBER,
    calling=CALLING,
    called=CALLED,
    trunk_in=TRUNK_IN,
    trunk_out=TRUNK_OUT,
    cause=("code", "sip_code"),
    answer=((_START, epoch_s),),
    end=(("end_time", epoch_s),),
    duration=(("duration", seconds),),
    hashed_id=True,
)
_ANSWERED: Final = Told(answered=True)  # a CDR is written for dialogs that were established


def read_cdrs(source: Source, options: Options) -> Iterator[Outcome]:
    maker = Maker(_CDR, options, source.name)

    def read(number: int, line: bytes, text: str) -> Used:
        cells = fields_of(text, _START)
        told = _ANSWERED._replace(cdr_id=_id_of(cells))
        return Used((maker.cdr(cells, number, line, told),))

    return read_lines(source, read)


def _id_of(cells: Cells) -> str:
    """Return the session, else call id and start: a Call-ID alone may come again; "" without."""
    call_id = first(cells, CALL_ID)
    return first(cells, SESSION) or (call_id and f"{call_id};{cell_of(cells, _START)}")


def fields_of(text: str, begins: str) -> Mapping[str, Any]:
    """Return the fields of a line, behind whatever a log puts before them; CellError.

    `begins` is the field that a line of the log begins with.
    """
    begin = text.find("{")
    if begin >= 0 and text.rstrip().endswith("}"):
        return object_of(text[begin:])
    begin = text.find(begins + "=")
    if begin < 0:
        raise CellError("", f"has neither a JSON object nor {begins}=")
    pairs = (pair.partition("=") for pair in text[begin:].split(";"))
    return {name.strip(): value for name, _, value in pairs}
