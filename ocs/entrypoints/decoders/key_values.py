"""Bodies of names and values: a form, or lines.

    session_id=call-1&called_number=%2B441632960001      a form, as HTML sends it
    session_id=call-1                                    lines, as a dialplan writes them
    called_number=+441632960001

A body with a line end within it is lines: there a value is what stands behind the first `=`, taken
as it is, because what a script pastes together (`from=$fu`) is not encoded. All else is a form:
percent signs are decoded and `+` is a blank, but for one that a value begins with before a digit.
Switches forget to encode that of a number, and no value begins with a blank that means anything.

There are no comments and no charsets: a line without `=` is a mistake, and what is not UTF-8 is
refused by its name. So is a name that occurs twice. In JSON the last one counts, because no parser
tells; here it is seen, and where both report use one of them would go unpaid. So would use under a
name that begins with a byte order mark or a blank, which nobody sees: neither is of the name.

All values are texts. Who knows the field knows whether "60" is a number: the judge of canonical
events reads numbers and booleans out of texts, and no one else does. How long a value may be is
bounded by the body.
"""

from codecs import BOM_UTF8
from typing import Final
from urllib.parse import unquote_to_bytes

from ocs.entrypoints.decoders.wire import LONGEST_TEXT, Unreadable

MOST_FIELDS: Final = 500
"""Names of one body; a FreeSWITCH event with all variables of a channel has some 250."""

_BLANKS: Final = " \t"
_SIGNS: Final = {f"{code:02{case}}": chr(code) for code in range(128) for case in "xX"}
"""ASCII by what stands behind a percent sign, if its digits are of one case."""

Fields = dict[str, str]


def read_key_values(body: bytes) -> Fields:
    """Return the texts of a body by their names; raises Unreadable with the name of the field."""
    body = body.removeprefix(BOM_UTF8).rstrip(b"\r\n")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(_name_around(body, error.start), "expected UTF-8") from None
    fields = _of_lines(text) if "\n" in text or "\r" in text else _of_form(text)
    if not fields:
        raise Unreadable("body", "expected name=value, in lines or as a form")
    return fields


def read_form(body: bytes) -> Fields:
    """Read a body that is no JSON as a form; empty if it is none either."""
    try:
        return read_key_values(body)
    except Unreadable:
        return {}


def _plainly(text: str, end: str) -> Fields | None:
    """Read values by plain names, each once, as nearly all bodies are; None where one is not.

    What is not plain is looked at one by one, see below: this only saves time.
    """
    parts = text.split(end)
    try:
        fields = dict([part.split("=", 1) for part in parts])
    except ValueError:
        return None
    names = "".join(fields)
    is_plain = names.isidentifier() and len(names) <= LONGEST_TEXT and "" not in fields
    return fields if is_plain and len(parts) == len(fields) <= MOST_FIELDS else None


def _decode_values(fields: Fields) -> Fields:
    for name, value in fields.items():
        if "%" in value or "+" in value:
            fields[name] = _decoded(value, name)
    return fields


def _of_lines(text: str) -> Fields:
    has_blanks = "\r" in text or " " in text or "\t" in text
    if not has_blanks and (plain := _plainly(text, "\n")) is not None:
        return plain
    fields: Fields = {}
    # Not splitlines(): a value may hold what Unicode calls a line end.
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        name, equals, value = line.partition("=")
        name = name.strip(_BLANKS)
        if equals:
            if name in fields or not 0 < len(name) <= LONGEST_TEXT or len(fields) == MOST_FIELDS:
                raise _unfit(name, fields)
            fields[name] = value.strip(_BLANKS)
        elif name:
            raise Unreadable("body", f"line {number}: expected name=value")
    return fields


def _of_form(text: str) -> Fields:
    if (plain := _plainly(text, "&")) is not None:
        return _decode_values(plain) if "%" in text or "+" in text else plain
    fields: Fields = {}
    for position, part in enumerate(text.split("&"), 1):
        name, equals, value = part.partition("=")
        if equals:
            if "%" in part or "+" in part:
                name = _decoded(name, name)
                value = _decoded(value, name)
            name = name.strip(_BLANKS)
            if name in fields or not 0 < len(name) <= LONGEST_TEXT or len(fields) == MOST_FIELDS:
                raise _unfit(name, fields)
            fields[name] = value
        elif part.strip(_BLANKS):
            raise Unreadable("body", f"part {position}: expected name=value")
    return fields


def _unfit(name: str, fields: Fields) -> Unreadable:
    """Say why there can be no field of this name behind the others."""
    if not 0 < len(name) <= LONGEST_TEXT:
        return Unreadable("body", f"expected names of 1 to {LONGEST_TEXT} characters", fields)
    if name in fields:
        return Unreadable(name, "expected once", fields)
    return Unreadable("body", f"expected at most {MOST_FIELDS} fields", fields)


def _decoded(text: str, name: str) -> str:
    if "+" in text:
        kept = 1 if text[0] == "+" and text[1:2].isdecimal() else 0
        text = text[:kept] + text[kept:].replace("+", " ")
    if "%" not in text:
        return text
    before, _, behind = text.partition("%")
    if "%" not in behind and (sign := _SIGNS.get(behind[:2])):  # as most that have one
        return f"{before}{sign}{behind[2:]}"
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise Unreadable(name[:LONGEST_TEXT], "expected UTF-8") from None


def _name_around(body: bytes, position: int) -> str:
    """Name the field that a byte stands in, as far as its name can be read."""
    lines = b"\n" in body or b"\r" in body
    ends = (b"\n", b"\r") if lines else (b"&",)
    start = 1 + max(body.rfind(end, 0, position) for end in ends)
    name, equals, _ = body[start:position].partition(b"=")
    found = name.decode(errors="replace")[:LONGEST_TEXT].strip() if equals else ""
    return found or "body"
