"""CDRs as they are posted: what of a body can be read at all, and how what cannot is kept.

A switch deletes its copy of a CDR, or keeps it, by our answer. So a body is refused only where
nothing of it could ever be read; of one with some broken lines all is taken in, and the run that
rates it makes rejects of those, with line, column and reason. What is asked here costs little, as
it is asked beside charging: text, lines, JSON objects with the one member that says which kind they
are, and no tenant but the request's (which only helps: the run makes sure of it). What columns hold
is the affair of the run.

A *format* is one of three kinds, by what a body is to the file that it goes into:

    objects   a JSON document, over one line or several, or one a line: lines of a common file
    lines     text that stands for itself, line by line: the same
    files     lines mean something only together (a header, INVITE and BYE): a file of its own

What is refused is written as a file of rejects (see `rejects`): mended, it is given to a run.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Raw, Struct

from ocs.usecases.rejects import OWN_FORMAT, UNREADABLE, Reading, Reject, written

DEFAULT_FORMAT: Final = OWN_FORMAT
MOST_ENTRIES: Final = 10_000
"""Lines of one body; what has more is a file, and is copied into a folder."""

_NO_OBJECT: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NOBODY: Final = Raw(b"null")
_PACKED: Final = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")
"""How what is packed begins. A file that begins so is unpacked by who reads it, with all that came
behind it in the same minute."""
_FORM_FIELD: Final = b"cdr="
"""A FreeSWITCH's form is kept as it came: undoing its encoding costs more than all else here."""


class Kind(StrEnum):
    """What a body of a format is to the file that it goes into."""

    OBJECTS = "objects"
    LINES = "lines"
    FILES = "files"


class PostedFormat(Struct, frozen=True):
    """`needed` is the member that each object has, `tenant` the one that may name a tenant."""

    kind: Kind
    needed: str = ""
    tenant: str = ""
    is_form: bool = False
    has_header: bool = False


FORMATS: Final[Mapping[str, PostedFormat]] = {
    "ndjson": PostedFormat(Kind.OBJECTS, "cdr_id", "tenant"),
    "csv": PostedFormat(Kind.FILES, has_header=True),
    "asterisk": PostedFormat(Kind.LINES),
    "asterisk-custom": PostedFormat(Kind.FILES, has_header=True),
    "freeswitch": PostedFormat(Kind.LINES),
    "freeswitch-json": PostedFormat(Kind.OBJECTS, "variables", is_form=True),
    "kamailio-acc": PostedFormat(Kind.FILES),
    "kamailio-cdr": PostedFormat(Kind.LINES),
    "cucm": PostedFormat(Kind.FILES, has_header=True),
    "portsip": PostedFormat(Kind.OBJECTS, "event_type", "tenant_name"),
    "billrun-json": PostedFormat(Kind.OBJECTS),
    "billrun-csv": PostedFormat(Kind.FILES, has_header=True),
}
"""Those of docs/cdr.md but `parquet`, of which nothing can be said without reading it whole."""


class Posted(Struct, frozen=True, kw_only=True):
    """A body, with what its request says of it. `tenant` is the one that its sender acts for."""

    tenant: str
    format: str
    switch: str
    body: bytes


class Fault(Struct, frozen=True):
    """Why an entry cannot be read; `column` is empty where all of it is meant."""

    line: int
    column: str
    reason: str


class Judged(Struct, frozen=True):
    """`text` is what goes into a file: whole lines. `faults` are among its `entries`."""

    text: bytes
    entries: int
    faults: tuple[Fault, ...]

    @property
    def is_readable(self) -> bool:
        """Whether there is anything in it that a run can rate."""
        return len(self.faults) < self.entries


def judge(posted: Posted) -> Judged:
    """Say what of a body can be read."""
    form = FORMATS[posted.format]
    if posted.body.lstrip().startswith(_PACKED):
        return Judged(b"", 1, (Fault(1, "", "is packed: tell its Content-Encoding"),))
    if form.kind is Kind.FILES:
        return _judged_file(posted, form)
    if form.kind is Kind.OBJECTS and (whole := _one_object(posted, form)) is not None:
        return whole
    entries = list(_entries(posted.body))
    faults = [fault for line, text in entries if (fault := _fault(posted, form, line, text))]
    text = b"".join(text + b"\n" for _, text in entries)
    return Judged(text, len(entries), tuple(faults))


def is_too_long(body: bytes) -> bool:
    """Tell whether a body has more lines than are looked at."""
    return body.count(b"\n") > MOST_ENTRIES


def rejects_of(posted: Posted, judged: Judged, name: str) -> bytes:
    r"""Write a body of which nothing can be read as a file of rejects; `name` is what it is called.

    A byte that is no text stands there as it would in Python: `\xff`.
    """
    options = {"tenant": posted.tenant, "switch": posted.switch}
    told = {option: value for option, value in options.items() if value}
    entries = list(_entries(posted.body))
    header: tuple[str, ...] = ()
    if FORMATS[posted.format].has_header:
        header, entries = (_shown(entries[0][1]),), entries[1:] or entries
    faults = {fault.line: fault for fault in judged.faults}
    first = judged.faults[0]
    lines = [written(Reading(posted.format, told, header))]
    for line, text in entries:
        fault = faults.get(line, first)
        reject = Reject(name, line, fault.column, fault.reason, UNREADABLE, _shown(text))
        lines.append(written(reject))
    return b"".join(lines)


def _shown(text: bytes) -> str:
    return text.decode(errors="backslashreplace")


def _entries(body: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(body.split(b"\n"), 1):
        text = line.strip()
        if text:
            yield number, text


def _judged_file(posted: Posted, form: PostedFormat) -> Judged:
    entries = list(_entries(posted.body))
    if not entries:
        return Judged(b"", 0, ())
    broken = next((fault for at, text in entries if (fault := _no_text(at, text))), None)
    if broken is not None and len(entries) <= 1 + form.has_header:
        return Judged(b"", 1, (broken,))
    count = len(entries) - form.has_header or 1
    return Judged(posted.body, count, ())


def _one_object(posted: Posted, form: PostedFormat) -> Judged | None:
    """Judge a body that is one JSON document, which may stand on several lines."""
    try:
        msgspec.json.decode(posted.body, type=dict[str, Raw])
    except _NO_OBJECT:
        return None
    # In a document a line break is a blank; within its texts it is spelled.
    text = posted.body.strip().replace(b"\r", b" ").replace(b"\n", b" ")
    fault = _fault(posted, form, 1, text)
    return Judged(text + b"\n", 1, () if fault is None else (fault,))


def _fault(posted: Posted, form: PostedFormat, line: int, text: bytes) -> Fault | None:
    """Say why a line is no entry of its format, None if it may be one."""
    fault = _no_text(line, text)
    if fault is not None or form.kind is not Kind.OBJECTS:
        return fault
    if form.is_form and text.startswith(_FORM_FIELD):
        return None
    try:
        members = msgspec.json.decode(text, type=dict[str, Raw])
        tenant = msgspec.json.decode(members.get(form.tenant, _NOBODY))
    except _NO_OBJECT as error:
        return Fault(line, "", f"is no JSON object: {error}")
    if form.needed and form.needed not in members:
        return Fault(line, form.needed, f"is missing: is the format {posted.format}?")
    if tenant in (None, "", posted.tenant):
        return None
    return Fault(line, form.tenant, "is not the tenant that the request is for")


def _no_text(line: int, text: bytes) -> Fault | None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return Fault(line, "", f"is no UTF-8: {error.reason} at byte {error.start}")
    return None
