"""What is taken in of a body that was posted, and what is kept of one that cannot be."""

import json

import pytest

from ocs.usecases.posted_cdrs import (
    FORMATS,
    MOST_ENTRIES,
    Fault,
    Posted,
    is_too_long,
    judge,
    rejects_of,
)
from ocs.usecases.rejects import Reading, Reject, read

CDR = b'{"cdr_id":"1","called":"441632960001"}'
OTHER = b'{"cdr_id":"2","called":"441632960001"}'


def posted(body: bytes, form: str = "ndjson", switch: str = "") -> Posted:
    return Posted(tenant="demo", format=form, switch=switch, body=body)


@pytest.mark.parametrize(
    ("form", "body", "text", "entries"),
    [
        ("ndjson", CDR, CDR + b"\n", 1),
        ("ndjson", b"\r\n" + CDR + b"\r\n\r\n" + OTHER, CDR + b"\n" + OTHER + b"\n", 2),
        ("ndjson", b'{"cdr_id":"1",\r\n"tenant":"demo"}', b'{"cdr_id":"1",  "tenant":"demo"}\n', 1),
        ("ndjson", b'{"cdr_id":"1","tenant":null}', b'{"cdr_id":"1","tenant":null}\n', 1),
        ("ndjson", b'{"cdr_id":"1","tenant":""}', b'{"cdr_id":"1","tenant":""}\n', 1),
        ("freeswitch-json", b'{"variables":{}}', b'{"variables":{}}\n', 1),
        ("freeswitch-json", b"cdr=%7B%22variables%22", b"cdr=%7B%22variables%22\n", 1),
        ("portsip", b'{"event_type":"call_cdr"}', b'{"event_type":"call_cdr"}\n', 1),
        ("billrun-json", b"{}", b"{}\n", 1),
        ("kamailio-cdr", b"start_time=1\nstart_time=2", b"start_time=1\nstart_time=2\n", 2),
        ("asterisk", b'"a","b"', b'"a","b"\n', 1),
        ("csv", b"cdr_id,called\n1,2\n3,4\n", b"cdr_id,called\n1,2\n3,4\n", 2),
        ("csv", b"cdr_id,called\n", b"cdr_id,called\n", 1),
        ("kamailio-acc", b"ACC: a\nACC: b", b"ACC: a\nACC: b", 2),
    ],
)
def test_what_can_be_read_is_whole_lines(form: str, body: bytes, text: bytes, entries: int) -> None:
    judged = judge(posted(body, form))
    assert judged.is_readable
    assert (judged.text, judged.entries, judged.faults) == (text, entries, ())


@pytest.mark.parametrize(
    ("form", "body", "column", "reason"),
    [
        ("ndjson", b"nonsense", "", "is no JSON object"),
        ("ndjson", b"[1]", "", "is no JSON object"),
        ("ndjson", b'{"a":' * 5_000, "", "is no JSON object"),
        ("ndjson", b'{"called":"1"}', "cdr_id", "is missing: is the format ndjson?"),
        ("ndjson", b'{"cdr_id":"1","tenant":"x"}', "tenant", "is not the tenant"),
        ("ndjson", b'{"cdr_id":"1","tenant":["demo"]}', "tenant", "is not the tenant"),
        ("ndjson", b'{"cdr_id":"\xff"}', "", "is no UTF-8: invalid start byte at byte 11"),
        ("portsip", b'{"event_type":"","tenant_name":"x"}', "tenant_name", "is not the tenant"),
        ("freeswitch-json", CDR, "variables", "is missing"),
        ("asterisk", b"\xff", "", "is no UTF-8"),
        ("asterisk", b'\nBZh91AY\n"a","b"', "", "is packed"),
        ("ndjson", b"\x1f\x8b\n" + CDR, "", "is packed"),
        ("csv", b"\xfd7zXZ\x00\n1,2", "", "is packed"),
        ("csv", b"cdr_id,called\n1,\xff", "", "is no UTF-8"),
        ("kamailio-acc", b"\xff", "", "is no UTF-8"),
    ],
)
def test_what_can_never_be_read_is_told(form: str, body: bytes, column: str, reason: str) -> None:
    judged = judge(posted(body, form))
    assert not judged.is_readable
    assert judged.faults[0].column == column
    assert judged.faults[0].reason.startswith(reason)


def test_nothing_is_not_readable() -> None:
    for form in FORMATS:
        judged = judge(posted(b" \r\n\n", form))
        assert (judged.is_readable, judged.entries, judged.faults) == (False, 0, ())


def test_of_a_body_with_broken_lines_all_is_taken() -> None:
    judged = judge(posted(CDR + b"\n\nbroken\n" + OTHER))
    assert judged.is_readable
    assert judged.text == CDR + b"\nbroken\n" + OTHER + b"\n"
    assert [fault.line for fault in judged.faults] == [3]
    body = b"cdr_id,called\n1,2\n\xff,4"
    assert judge(posted(body, "csv")).text == body


def test_too_many_lines_are_told() -> None:
    assert not is_too_long(b"\n" * MOST_ENTRIES)
    assert is_too_long(b"\n" * (MOST_ENTRIES + 1))


def test_what_is_refused_can_be_mended_and_given_in() -> None:
    one = posted(b'{"called":"1"}\n\xff', switch="pbx1")
    reading, first, second = map(read, rejects_of(one, judge(one), "intake/x").splitlines())
    assert reading == Reading("ndjson", {"tenant": "demo", "switch": "pbx1"})
    reason = "is missing: is the format ndjson?"
    text = '{"called":"1"}'
    assert first == Reject("intake/x", 1, "cdr_id", reason, "UNREADABLE", text)
    assert isinstance(second, Reject)
    assert (second.line, second.text) == (2, "\\xff")


@pytest.mark.parametrize(
    ("form", "body", "header", "texts"),
    [
        ("csv", b"cdr_id\n\xff", ("cdr_id",), ["\\xff"]),
        ("csv", b"\xff", ("\\xff",), ["\\xff"]),
        ("kamailio-acc", b"\xff", (), ["\\xff"]),
    ],
)
def test_a_header_stands_before_its_lines(
    form: str, body: bytes, header: tuple[str, ...], texts: list[str]
) -> None:
    one = posted(body, form)
    reading, *rejects = map(read, rejects_of(one, judge(one), "intake/x").splitlines())
    assert reading == Reading(form, {"tenant": "demo"}, header)
    assert [each.text for each in rejects if isinstance(each, Reject)] == texts


def test_documents_on_several_lines_are_one() -> None:
    text = json.dumps({"variables": {"uuid": "a\nb"}}, indent=2).encode()
    judged = judge(posted(text, "freeswitch-json"))
    assert json.loads(judged.text) == {"variables": {"uuid": "a\nb"}}
    assert judged.text.count(b"\n") == 1
    assert judge(posted(b"{\n}", "freeswitch-json")).faults == (
        Fault(1, "variables", "is missing: is the format freeswitch-json?"),
    )
