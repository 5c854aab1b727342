"""Forms and lines: what a body of names and values means, and what is refused by which name."""

from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.entrypoints.decoders import key_values
from ocs.entrypoints.decoders.key_values import MOST_FIELDS, read_key_values
from ocs.entrypoints.decoders.wire import Unreadable

GOOD = [
    ("a form", b"a=1&b=2", {"a": "1", "b": "2"}),
    ("one field", b"a=1", {"a": "1"}),
    ("an empty value", b"a=&b=2", {"a": "", "b": "2"}),
    ("a value with an equals sign", b"a=b=c", {"a": "b=c"}),
    (
        "percent signs",
        b"to=sip%3Aalice%40example.com&x%2Dy=%C3%A9",
        {"to": "sip:alice@example.com", "x-y": "é"},
    ),
    ("a plus is a blank", b"name=Alice+Smith", {"name": "Alice Smith"}),
    ("a leading plus is a number's", b"to=+44+1632", {"to": "+44 1632"}),
    ("an encoded plus", b"to=%2B441632", {"to": "+441632"}),
    ("a percent sign of nothing", b"a=100%&b=%zz", {"a": "100%", "b": "%zz"}),
    ("empty parts", b"&a=1&&b=2&", {"a": "1", "b": "2"}),
    ("lines", b"a=1\nb=2\n", {"a": "1", "b": "2"}),
    ("lines with carriage returns", b"a=1\r\nb=2\r\n", {"a": "1", "b": "2"}),
    ("lines of carriage returns", b"a=1\rb=2", {"a": "1", "b": "2"}),
    ("blank lines", b"\n\na=1\n  \n\nb=2\n", {"a": "1", "b": "2"}),
    ("blanks around name and value", b" a = 1 \nb\t=\t2\n", {"a": "1", "b": "2"}),
    ("lines are not decoded", b"a=1+2%20&c=3\nb=+44\n", {"a": "1+2%20&c=3", "b": "+44"}),
    (
        "another line end inside a value",
        "a=x\u2028y\nb=\x0bz\n".encode(),
        {"a": "x\u2028y", "b": "\x0bz"},
    ),
    ("UTF-8", "a=é\n".encode(), {"a": "é"}),
    ("a byte order mark", b"\xef\xbb\xbfused_units=60\na=1\n", {"used_units": "60", "a": "1"}),
    ("a byte order mark before a form", b"\xef\xbb\xbfa=1&b=2", {"a": "1", "b": "2"}),
    ("blanks around the names of a form", b"a=1& used_units =60", {"a": "1", "used_units": "60"}),
    ("encoded blanks around them", b"a=1&+used_units%20=60", {"a": "1", "used_units": "60"}),
    ("a form with a line end behind it", b"a=1&b=x%20y\r\n", {"a": "1", "b": "x y"}),
]

BAD = [
    ("nothing", b"", "body", "expected name=value, in lines or as a form"),
    ("blank lines only", b"\r\n\n", "body", "expected name=value, in lines or as a form"),
    ("no equals sign", b"start_request", "body", "part 1: expected name=value"),
    ("JSON", b'{"record_type":"start_request"}', "body", "part 1: expected name=value"),
    ("a line without one", b"a=1\n# a comment\n", "body", "line 2: expected name=value"),
    ("a part without one", b"a=1&b", "body", "part 2: expected name=value"),
    ("no name", b"=1", "body", "expected names of 1 to 255 characters"),
    ("a blank name", b" =1\na=2", "body", "expected names of 1 to 255 characters"),
    ("a long name", b"n" * 256 + b"=1", "body", "expected names of 1 to 255 characters"),
    ("a name twice", b"used_units=60&used_units=5", "used_units", "expected once"),
    ("a name twice, in lines", b"a=1\nb=2\na=1\n", "a", "expected once"),
    ("a name twice, once encoded", b"ab=1&a%62=2", "ab", "expected once"),
    ("Latin-1 in lines", "a=1\nname=Müller\n".encode("latin-1"), "name", "expected UTF-8"),
    ("a name twice, once with a blank", b"a=1& a=2", "a", "expected once"),
    ("Latin-1 behind a byte order mark", b"\xef\xbb\xbfa=1&b=\xff\n", "b", "expected UTF-8"),
    ("Latin-1 in a form", "a=1&name=Müller".encode("latin-1"), "name", "expected UTF-8"),
    ("Latin-1, encoded", b"a=1&name=M%FCller", "name", "expected UTF-8"),
    ("Latin-1 in a name", "a=1\nMüller=x\n".encode("latin-1"), "body", "expected UTF-8"),
    ("Latin-1 of no name", b"a=1&=\xff", "body", "expected UTF-8"),
    ("UTF-16", "a=1".encode("utf-16"), "body", "expected UTF-8"),
]


@pytest.mark.parametrize(
    ("body", "expected"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD]
)
def test_a_body_is_read(body: bytes, expected: dict[str, str]) -> None:
    assert read_key_values(body) == expected


@pytest.mark.parametrize(
    ("body", "field", "reason"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_what_is_wrong_has_a_name(body: bytes, field: str, reason: str) -> None:
    with pytest.raises(Unreadable) as problem:
        read_key_values(body)
    assert (problem.value.field, problem.value.reason) == (field, reason)


def test_what_was_read_before_the_problem_is_there_for_the_answer() -> None:
    with pytest.raises(Unreadable) as problem:
        read_key_values(b"session_id=s1&a=1&a=2")
    assert problem.value.plain == {"session_id": "s1", "a": "1"}


def test_there_is_a_limit_to_the_number_of_fields() -> None:
    pairs = [f"n{number}=x" for number in range(MOST_FIELDS)]
    assert len(read_key_values("&".join(pairs).encode())) == MOST_FIELDS
    with pytest.raises(Unreadable, match="at most 500 fields"):
        read_key_values("&".join([*pairs, "one_more=x"]).encode())


_NAMES = st.text(min_size=1, max_size=20).filter(lambda name: name == name.strip())
_VALUES = st.text(max_size=50).map(lambda value: value.lstrip(" "))
_FIELDS = st.dictionaries(_NAMES, _VALUES, min_size=1, max_size=8)


@given(fields=_FIELDS)
def test_a_form_comes_back_as_it_was_encoded(fields: dict[str, str]) -> None:
    assert read_key_values(urlencode(fields, quote_via=quote_plus).encode()) == fields


_LINE_ENDS = str.maketrans("", "", "\r\n")


@given(fields=_FIELDS)
def test_lines_come_back_as_they_were_written(fields: dict[str, str]) -> None:
    whole = {
        name.translate(_LINE_ENDS).replace("=", "").strip(" \t"): value.translate(_LINE_ENDS)
        for name, value in fields.items()
    }
    whole.pop("", None)
    ends = {"first": "x", "last": "x"}
    whole = {"first": "x"} | {name: whole[name] for name in whole.keys() - ends.keys()} | ends
    lines = "".join(f"{name}={value}\n" for name, value in whole.items())
    expected = {name: value.strip(" \t") for name, value in whole.items()}
    assert read_key_values(lines.encode()) == expected


@given(body=st.binary(max_size=200))
def test_no_body_is_a_surprise(body: bytes) -> None:
    try:
        fields = read_key_values(body)
    except Unreadable as problem:
        fields = {"field": problem.field, "reason": problem.reason}
    assert fields
    assert all(isinstance(value, str) for value in fields.values())


PIECES = st.lists(
    st.sampled_from(["a", "b", "name", "=", "&", "\n", "\r\n", "\r", " ", "\t", "+", "+4", "%", "%2B", "%2b", "%3D", "%C3%A9", "%zz", "%2", "%00", "1", "é", "\u2028", "x" * 256]),
    max_size=12,
)  # fmt: skip


def outcome(body: bytes) -> object:
    try:
        return [*read_key_values(body).items()]
    except Unreadable as problem:
        return problem.field, problem.reason, problem.plain


@given(pieces=PIECES)
def test_plain_bodies_are_read_by_a_short_cut_which_nobody_can_tell(pieces: list[str]) -> None:
    body = "".join(pieces).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_values, "_plainly", lambda _text, _end: None)
        patch.setattr(key_values, "_SIGNS", {})
        longer = outcome(body)
    assert outcome(body) == longer


@pytest.mark.parametrize(
    ("text", "end", "is_plain"),
    [("a=1&b=", "&", True), ("a=1\nb=2", "\n", True), ("a=1&a=2", "&", False), ("a", "&", False), ("=1", "&", False)],
)  # fmt: skip
def test_what_is_plain(text: str, end: str, *, is_plain: bool) -> None:
    assert (key_values._plainly(text, end) is not None) == is_plain
