"""What the answers of every source say: how it went, and, of what is refused, which field is to be
mended.
"""

import json
from typing import Any, Final

from ocs.entrypoints.return_codes import load_return_codes, return_codes_path

_CODES: Final = load_return_codes(return_codes_path())
_BY_NUMBER: Final = {code.number: str(name) for name, code in _CODES.items()}
_BY_TEXT: Final = {code.text: str(name) for name, code in _CODES.items()}
_TEXT_KIND: Final = "text/plain"
_DIAMETER_SUCCESS: Final = 2001

Told = dict[str, Any]


def answers_in(content_type: str, body: bytes) -> list[Told]:
    """Read the answers to a request; a refused array has one."""
    if content_type.startswith(_TEXT_KIND):
        parts = body.decode().strip("\n").split("\n\n")
        return [dict(line.split("=", 1) for line in part.split("\n")) for part in parts]
    read = json.loads(body)
    return read if isinstance(read, list) else [read]


def outcome_of(told: Told) -> str:
    """Return the outcome's name, whatever the source calls it."""
    if "return_name" in told:
        return str(told["return_name"])
    if "Result-Code" in told:
        if told["Result-Code"] == _DIAMETER_SUCCESS:
            return "OK"
        return _BY_TEXT[told["Error-Message"].partition(":")[0]]
    number = told["returnCode"] if "returnCode" in told else told["line"]["granted_return_code"]
    return _BY_NUMBER[number]


def field_of(told: Told) -> str:
    """Return which field a refusal names, as far as that can be told from the answer."""
    if "field" in told:
        return str(told["field"])
    if "Result-Code" in told:
        text = told["Error-Message"]
    else:
        text = told["error"]["context"] if isinstance(told["error"], dict) else told["error"]
        if isinstance(told["error"], dict):
            return str(text)
    return str(text.partition(": ")[2].partition(":")[0])
