"""FreeSWITCH's mod_json_cdr: one JSON document a call, in a file of its own or posted as a form.

    {"core-uuid": ..., "switchname": ..., "channel_data": {...}, "variables": {...},
     "callflow": [{"caller_profile": {...}}, ...], ...}

What is billed stands in `variables`, whose values are URL-encoded unless the module was told not
to; who called whom in the profile of the last part of the call's flow, which comes first. A body
that was posted may be a form, `cdr=` and the document URL-encoded or as base64: all of this is
understood, one body a line, or one document in the whole file, indented or not.

Only the a-leg is billed, whose direction is inbound: it comes in to the switch.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote, unquote_plus, unquote_to_bytes

from ocs.adapters.cdr_files.batching import decoded, object_of, rejected
from ocs.adapters.cdr_files.cells import CellError, quoted
from ocs.adapters.cdr_files.freeswitch_csv import LAYOUT, NOT_BILLED
from ocs.adapters.cdr_files.layout import Maker, cell_of
from ocs.adapters.cdr_files.opening import LONGEST_LINE, Source
from ocs.adapters.cdr_files.options import Options
from ocs.adapters.cdr_files.records import SKIPPED, Outcome, Skipped, Used

_FIELD: Final = "cdr"
_BEGIN: Final = b"{"  # the first line of a document that is indented
_BILLED: Final = "inbound"
_PROFILE: Final = ("username", "caller_id_number", "destination_number", "network_addr", "ani")
_NAMED: Final = frozenset({"variables"})


def read_json(source: Source, options: Options) -> Iterator[Outcome]:
    maker = Maker(LAYOUT, options, source.name)
    for number, body in _bodies(source):
        if not body.strip():
            yield SKIPPED
            continue
        try:
            document = document_of(body)
            yield _read(maker, options, document, number, body)
        except CellError as error:
            yield rejected(source.name, number, body, error)


def document_of(body: bytes) -> dict[str, Any]:
    """Return the JSON document of a body: plain, or in the field `cdr` of a form; CellError."""
    text = decoded(body).strip()
    if text.startswith("{"):
        return object_of(text)
    for field in text.split("&"):
        name, _, value = field.partition("=")
        if name == _FIELD:
            return object_of(_unwrapped(value))
    raise CellError("", "is neither a JSON object nor a form with the field cdr")


def _unwrapped(value: str) -> bytes:
    """Undo what the module may have done to a document: URL-encoding, or base64."""
    if value.startswith(("{", "%7B", "%7b")):
        return unquote_plus(value).encode()
    try:
        return base64.b64decode(unquote(value), validate=True).rstrip(b"\x00")
    except (binascii.Error, ValueError):
        raise CellError(_FIELD, "is neither URL-encoded JSON nor base64") from None


def _bodies(source: Source) -> Iterator[tuple[int, bytes]]:
    """Yield one body a line; all of the file, if its first line is nothing but a bracket."""
    lines = source.lines()
    number, line = next(lines, (0, b""))
    if not number:
        return
    if line.strip() != _BEGIN:
        yield number, line
        yield from lines
        return
    whole = bytearray(line)
    for _, more in lines:
        if len(whole) <= LONGEST_LINE:
            whole += b"\n" + more
    source.entries = 1
    yield 1, bytes(whole)


def _read(
    maker: Maker, options: Options, document: dict[str, Any], number: int, body: bytes
) -> Used | Skipped:
    variables = document.get("variables")
    if not isinstance(variables, dict):
        raise CellError("variables", "is missing, expected the variables of the channel")
    if options.encoded_values:
        variables = {name: _decoded(value) for name, value in variables.items()}
    cells = {**_rest(document), **_profile(document), **variables}
    direction = cell_of(cells, "direction")
    if direction == NOT_BILLED:
        return SKIPPED
    if direction != _BILLED:
        raise CellError("direction", f"{quoted(direction)}, expected inbound or outbound")
    return Used((maker.cdr(cells, number, body),))


def _decoded(value: object) -> object:
    if isinstance(value, str) and "%" in value:
        return unquote_to_bytes(value).decode(errors="replace")
    return value


def _rest(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in _NAMED}


def _profile(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return who called whom, from the part of the call's flow that came last."""
    flow = document.get("callflow")
    part = flow[0] if isinstance(flow, list) and flow else flow
    profile = part.get("caller_profile") if isinstance(part, dict) else None
    if not isinstance(profile, dict):
        return {}
    return {name: profile[name] for name in _PROFILE if name in profile}
