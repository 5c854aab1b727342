"""All formats by name, how one is told from the others, and the one door to them.

A format is told by what only it has: names in a header, members of a JSON object, a magic number.
Files without either (Asterisk's Master.csv, FreeSWITCH's templates) could be each other's, or a
table of anything, so they have to be named.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from ocs.adapters.cdr_files import (
    asterisk,
    billrun,
    cisco,
    freeswitch_csv,
    freeswitch_json,
    kamailio,
    kamailio_acc,
    own_files,
    portsip,
)
from ocs.adapters.cdr_files.batching import batches, cells_of, object_of
from ocs.adapters.cdr_files.cells import CellError, quoted
from ocs.adapters.cdr_files.opening import Damaged, Source, head_of
from ocs.adapters.cdr_files.options import DEFAULTS, CdrOptionError, Options, check_options
from ocs.adapters.cdr_files.own_columns import NEEDED
from ocs.adapters.cdr_files.records import Batch, Outcome

_HEAD: Final = 1 << 20  # bytes in which a first line ends; a document may be longer
_PARQUET: Final = b"PAR1"
_FREESWITCH: Final = b'"core-uuid"'  # in a document that is indented

Read = Callable[[Source, Options], Iterator[Batch]]


class Format(msgspec.Struct, frozen=True):
    """A way in which CDRs are written, and what reads it."""

    name: str
    about: str
    read: Read


def _by_entry(read: Callable[[Source, Options], Iterator[Outcome]]) -> Read:
    return lambda source, options: batches(source, read(source, options))


def _own(read: Read) -> Read:
    def opened(source: Source, options: Options) -> Iterator[Batch]:
        if options.fields:
            raise CdrOptionError("fields: our own formats have the CDR's own columns")
        return read(source, options)

    return opened


_FORMATS: Final = (
    Format("csv", "our own columns, with a header", _own(own_files.read_csv)),
    Format("ndjson", "our own columns, one JSON object a line", _own(own_files.read_ndjson)),
    Format("parquet", "our own columns", _own(own_files.read_parquet)),
    Format("asterisk", "Asterisk's Master.csv", _by_entry(asterisk.read_master)),
    Format("asterisk-custom", "Asterisk's cdr_custom", _by_entry(asterisk.read_custom)),
    Format("freeswitch", "FreeSWITCH's mod_cdr_csv", _by_entry(freeswitch_csv.read_csv)),
    Format("freeswitch-json", "FreeSWITCH's mod_json_cdr", _by_entry(freeswitch_json.read_json)),
    Format("kamailio-acc", "Kamailio's accounting rows", _by_entry(kamailio_acc.read_acc)),
    Format("kamailio-cdr", "Kamailio's CDRs", _by_entry(kamailio.read_cdrs)),
    Format("cucm", "Cisco Unified CM", _by_entry(cisco.read_cucm)),
    Format("portsip", "PortSIP's webhook call_cdr", _by_entry(portsip.read_webhooks)),
    Format("billrun-json", "BillRun's lines as JSON", _by_entry(billrun.read_json)),
    Format("billrun-csv", "BillRun's lines as CSV", _by_entry(billrun.read_csv)),
)
_MEMBERS: Final = (
    ("freeswitch-json", {"variables", "callflow"}),
    ("portsip", {"event_type", "call_id", "tenant_name"}),
    ("billrun-json", billrun.NEEDED),
    ("ndjson", NEEDED),
    ("kamailio-acc", {"method", "from_tag", "to_tag"}),
    ("kamailio-cdr", {"start_time", "end_time", "duration"}),
)
_TEXTS: Final = (
    ("kamailio-acc", ("timestamp=", ";method=", ";from_tag=")),
    ("kamailio-cdr", ("start_time=", "; end_time=", "; duration=")),
    ("freeswitch", ("INSERT INTO cdr VALUES",)),
    ("freeswitch-json", ("cdr=",)),
)
_HEADERS: Final = (
    ("cucm", cisco.NEEDED),
    ("billrun-csv", billrun.NEEDED),
    ("csv", NEEDED),
    ("asterisk-custom", asterisk.HEADER),
)
"""What only one format has in its first line; the first that is there decides."""

_BY_NAME: Final = {each.name: each for each in _FORMATS}


def formats() -> tuple[Format, ...]:
    """Return all formats, our own first."""
    return _FORMATS


def open_cdrs(path: Path, format_name: str = "", options: Options = DEFAULTS) -> Iterator[Batch]:
    """Read a file batch by batch, in bounded memory; without a name its format is detected.

    Raises CdrOptionError before anything is read, and OSError for a file that cannot be opened.
    Whatever is wrong inside the file is a reject.
    """
    return format_of(path, format_name, options).read(Source(path), options)


def format_of(path: Path, format_name: str, options: Options) -> Format:
    """Return the format of this name, else the one that is detected; CdrOptionError, OSError."""
    check_options(options)
    with path.open("rb"):
        pass
    name = format_name or detect(path)
    if name is None:
        raise CdrOptionError(f"format: {path} does not tell in which format it is; name one")
    if name not in _BY_NAME:
        expected = ", ".join(_BY_NAME)
        raise CdrOptionError(f"format: {quoted(name)}, expected one of {expected}")
    return _BY_NAME[name]


def detect(path: Path) -> str | None:
    """Return the format of a file that is surely in it; OSError."""
    try:
        head = head_of(path, _HEAD)
    except Damaged:
        return None
    if head.startswith(_PARQUET):
        return "parquet"
    line = head.lstrip().partition(b"\n")[0].decode(errors="replace").strip()
    if line == "{" and _FREESWITCH in head:
        return "freeswitch-json"
    return _by_members(line) or _by_text(line) or _by_header(line)


def _by_members(line: str) -> str | None:
    """Tell a format by the members of the JSON object in its first line."""
    begin = line.find("{")
    try:
        members = set(object_of(line[begin:])) if begin >= 0 else set()
    except CellError:
        return None
    return next((name for name, needed in _MEMBERS if needed <= members), None)


def _by_text(line: str) -> str | None:
    return next((name for name, texts in _TEXTS if all(text in line for text in texts)), None)


def _by_header(line: str) -> str | None:
    """Tell a format by the names of its columns."""
    try:
        names = {name.strip() for name in cells_of(line)}
    except CellError:
        return None
    return next((name for name, needed in _HEADERS if needed <= names), None)
