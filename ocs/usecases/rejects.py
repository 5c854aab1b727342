"""Files of rejects: what could not be rated, why, and all it takes to read it again.

    {"is":"reading","format":"csv","options":{...},"header":["cdr_id,called,..."],"again":0}
    {"is":"reject","file":"a.csv","line":7,"column":"units","reason":"...","code":...,"text":"..."}

The text is the entry as it stood in its file. Mend it, or what was missing (a subscriber, a
price), and give the file of rejects to the next run: it is read like the file that the text came
from, and reports still name that file and line. A CDR that was read well and has no price stands
there in our own columns.

`again` counts how often an entry was given in. It makes a second round of rejects another file than
the first, though every line may be the same: otherwise it would be taken for done.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

UNREADABLE: Final = "UNREADABLE"
"""The code of what is no CDR; what has no price has the code that says why."""
UNKNOWN_TENANT: Final = "UNKNOWN_TENANT"

OWN_FORMAT: Final = "ndjson"
"""In which CDRs are written that were read well."""


class Reading(Struct, frozen=True, tag_field="is", tag="reading"):
    """How the texts that follow are read; `header` are the lines that have to stand before them."""

    format: str
    options: Mapping[str, Any] = {}
    header: tuple[str, ...] = ()
    again: int = 0


class Reject(Struct, frozen=True, tag_field="is", tag="reject"):
    """An entry that is not among the rated ones; `column` is empty where all of it is meant."""

    file: str
    line: int
    column: str
    reason: str
    code: str
    text: str


_encode: Final = msgspec.json.Encoder().encode
_decoder: Final[msgspec.json.Decoder[Reading | Reject]] = msgspec.json.Decoder(Reading | Reject)


def written(line: Reading | Reject) -> bytes:
    """Write one line of a file of rejects."""
    return _encode(line) + b"\n"


def read(line: bytes) -> Reading | Reject:
    """Read one line of a file of rejects; ValueError."""
    return _decoder.decode(line)
