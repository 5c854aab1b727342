"""Answers in the names of a source: JSON, or lines of `name=value` for who cannot read JSON.

In lines nested names are joined by dots, services are counted (`services.0.granted_units`), and
booleans are `true` and `false`. A line end inside a value (an id is the client's own text) would
make lines that nobody wrote: control characters and percent signs are written `%0A`. The answers to
an array stand one behind the other with an empty line between them.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import Raw

from ocs.entrypoints.dialects import Decoded, Written
from ocs.entrypoints.encoders.naming import compile_names, read_values
from ocs.entrypoints.encoders.texts import description
from ocs.entrypoints.encoders.values import Told
from ocs.entrypoints.return_codes import ReturnCodes
from ocs.entrypoints.sources.source import Answering
from ocs.usecases.answer import Answer

_TEXT: Final = "text/plain; charset=utf-8"
_encode: Final = msgspec.json.Encoder().encode

# All that some reader takes for a line end, the other control characters, and the sign itself.
_UNSAFE: Final = [*range(32), ord("%"), 127, 0x85, 0x2028, 0x2029]
_ESCAPES: Final = str.maketrans(
    {code: "".join(f"%{byte:02X}" for byte in chr(code).encode()) for code in _UNSAFE}
)


class MappedEncoder:
    """Writes the answers of one source; ValueError where its names are not usable."""

    def __init__(self, codes: ReturnCodes, answering: Answering, *, retry_after_s: int = 1) -> None:
        self._always_200 = answering.http_status == "200"
        self._codes = codes
        self._failure_handling = answering.failure_handling
        self._in_lines = answering.encoding == "kv"
        self._names = compile_names(answering)
        self._lists_services = self._names.lists
        self._retry_after_s = retry_after_s

    def write(self, answer: Answer, decoded: Decoded) -> Written:
        """Write the answer to one event."""
        status = HTTPStatus.OK if self._always_200 else self._codes[answer.code].http_status
        values = self._values(answer, decoded)
        if self._in_lines:
            return Written(status, _lines(values).encode(), _TEXT)
        return Written(status, _encode(values))

    def write_array(self, answers: Iterable[tuple[Answer, Decoded]]) -> Written:
        """Write the answers to an array."""
        listed = [self._values(answer, decoded) for answer, decoded in answers]
        if self._in_lines:
            return Written(HTTPStatus.OK, "\n".join(map(_lines, listed)).encode(), _TEXT)
        return Written(HTTPStatus.OK, _encode(listed))

    def _values(self, answer: Answer, decoded: Decoded) -> dict[str, object]:
        services, codes = answer.services, self._codes
        more = (self._retry_after_s, self._failure_handling)
        named = codes[answer.code]
        desc = description(named.text, answer)
        only = services[0] if len(services) == 1 else None
        told = Told(answer, decoded, answer.code, named, desc, only, *more)
        parts = []
        if self._lists_services:
            for service in services:
                named = codes[service.code]
                parts.append(Told(answer, decoded, service.code, named, named.text, service, *more))
        return read_values(self._names, told, parts)


def _lines(values: dict[str, object]) -> str:
    lines = []
    for name, value in values.items():
        if isinstance(value, list):
            for position, part in enumerate(value):
                lines += [f"{name}.{position}.{inner}={_text(one)}" for inner, one in part.items()]
        else:
            lines.append(f"{name}={_text(value)}")
    lines.append("")
    return "\n".join(lines)


def _text(value: object) -> str:
    if type(value) is str and value.isprintable() and "%" not in value:
        return value
    if type(value) is int:
        return str(value)
    if isinstance(value, Raw):
        return bytes(value).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).translate(_ESCAPES)
