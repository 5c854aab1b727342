"""`ocs source` lists the sources, and shows how one understands what was recorded."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.cli.terminal import Terminal

ROOT = Path(__file__).parents[2]
SOURCE = """about = "a switch"
keep_unmapped = true
identify = [{ field = "account", kind = "text" }]
[fields]
record_type = "method"
session_id = "call"
request_number = "seq"
called_number = "leg.to"
event_time = "at"
"services[].rating_group" = "parts[].rg"
"services[].used_units" = "parts[].used"
[values.record_type]
INVITE = "start_request"
[rated]
voice = ["rating_group", "called_number"]
[reports]
used = "total"
unknown_session = "refuse"
[defaults.voice]
quota_units = 60
"""
EVENT: dict[str, Any] = {
    "method": "INVITE",
    "call": "c1",
    "seq": "0",
    "account": "A7",
    "at": 1_000_000_000,
    "leg": {"to": "+44 1632 960001", "from": "x"},
}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    (tmp_path / "switch.toml").write_text(SOURCE, encoding="utf-8")
    return Terminal({"COLUMNS": "200"})


def recorded(folder: Path, body: object) -> str:
    path = folder / "body"
    path.write_bytes(body if isinstance(body, bytes) else json.dumps(body).encode())
    return str(path)


def lines(understood: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {line["field"]: (line["client"], line["value"]) for line in understood["lines"]}


def test_sources_are_listed(terminal: Terminal) -> None:
    listed = {each["source"]: each for each in terminal.json("source", "list")}

    assert listed.keys() == {path.stem for path in (ROOT / "config/sources").glob("*.toml")}
    assert listed["default"]["answer"] == "canonical"
    assert listed["diameter"]["format"] == "diameter"
    rows = terminal.rows("source", "list")
    assert [row[0] for row in rows] == sorted(listed)


def test_a_body_is_shown_field_by_field(terminal: Terminal, tmp_path: Path) -> None:
    source = str(tmp_path / "switch.toml")
    (found,) = terminal.json("source", "test", source, recorded(tmp_path, EVENT))
    shown = lines(found)

    assert shown["record_type"] == ("method", "start")
    assert shown["session_id"] == ("call", "c1")
    assert shown["request_number"] == ("seq", "0")
    assert shown["subscriber"] == ("account", "A7")
    assert shown["called_number"] == ("leg.to", "441632960001")
    assert shown["rated_number"] == ("leg.to", "441632960001")
    assert shown["event_time"] == ("at", "2001-09-09T01:46:40.000+00:00")
    assert shown["requested_units"] == ("", "the plan's quota")
    assert shown["reports"] == ("", "since the session began")
    assert shown["unknown_session"] == ("", "refuse")
    assert shown["terms"] == ("", "quota_units 60")
    assert found["kept"] == {"account": "A7", "leg": {"from": "x"}}
    text = terminal.run("source", "test", source, recorded(tmp_path, EVENT))
    assert "kept for the CDR" in text
    assert "the client's field" in text


def test_services_are_shown_each(terminal: Terminal, tmp_path: Path) -> None:
    parts = [{"rg": "9", "used": 5}, {"rg": "8"}]
    body = recorded(tmp_path, EVENT | {"parts": parts})
    (found,) = terminal.json("source", "test", str(tmp_path / "switch.toml"), body)
    shown = lines(found)

    assert shown["services[0].rating_group"] == ("parts[].rg", "9")
    assert shown["services[0].used_units"] == ("parts[].used", "5")
    assert shown["services[0].rated_number"] == ("", "9")
    assert shown["services[1].rating_group"] == ("parts[].rg", "8")


def test_many_events_of_one_file(terminal: Terminal, tmp_path: Path) -> None:
    source = str(tmp_path / "switch.toml")
    each_line = b"\n\n".join(json.dumps(EVENT | {"call": f"c{n}"}).encode() for n in range(3))
    pretty = json.dumps(EVENT, indent=2).encode()
    array = json.dumps([EVENT, EVENT | {"call": "c2"}]).encode()

    for body, count in ((each_line, 3), (pretty, 1), (array, 2)):
        assert len(terminal.json("source", "test", source, recorded(tmp_path, body))) == count


def test_lines_of_names_and_values_are_one_event(terminal: Terminal, tmp_path: Path) -> None:
    body = b"record_type=start_request\nsession_id=c1\nrequest_number=1\nsubscriber=441632960001\n"
    (found,) = terminal.json("source", "test", "kv", recorded(tmp_path, body))

    assert lines(found)["request_number"] == ("request_number", "1")


@pytest.mark.parametrize("at", [10**30, -(10**30)])
def test_a_time_beyond_every_calendar(terminal: Terminal, tmp_path: Path, at: int) -> None:
    body = recorded(tmp_path, EVENT | {"at": at})

    terminal.json("source", "test", str(tmp_path / "switch.toml"), body)


def test_what_is_wrong_is_named(terminal: Terminal, tmp_path: Path) -> None:
    source = str(tmp_path / "switch.toml")
    bad = b"\n".join(
        json.dumps(each).encode() for each in (EVENT, EVENT | {"leg": {"to": [1]}}, {"seq": "x"})
    )
    found = terminal.json("source", "test", source, recorded(tmp_path, bad), expect=1)

    assert [(each["outcome"], each["field"]) for each in found] == [
        ("event", ""),
        ("INVALID_EVENT", "leg.to"),
        ("INVALID_EVENT", "seq"),
    ]
    text = terminal.run("source", "test", source, recorded(tmp_path, bad), expect=1)
    assert "event 2: INVALID_EVENT\n  leg.to: expected str, got array" in text
    for body in (b"no JSON", b"[" + b"1," * 1_001 + b"1]"):
        (refused,) = terminal.json("source", "test", source, recorded(tmp_path, body), expect=1)
        assert refused["field"] == "body"
    text = terminal.run("source", "test", "default", recorded(tmp_path, EVENT), expect=1)
    assert "record_type" in text


WRAPPED = {
    "a text": {"file_type": "switch", "request": json.dumps(EVENT)},
    "beside it": EVENT | {"file_type": "switch"},
    "a form": f"file_type=switch&request={quote(json.dumps(EVENT))}".encode(),
}


@pytest.mark.parametrize("body", WRAPPED.values(), ids=WRAPPED)
def test_an_event_that_names_its_source_is_shown_as_that_one_understands_it(
    tmp_path: Path, body: object
) -> None:
    (tmp_path / "switch.toml").write_text(SOURCE, encoding="utf-8")
    terminal = Terminal({"OCS_SOURCES_FOLDER": str(tmp_path)})
    (by_name,) = terminal.json("source", "test", "switch", recorded(tmp_path, EVENT))
    (found,) = terminal.json("source", "test", "default", recorded(tmp_path, body))

    assert lines(found) == lines(by_name)
    assert lines(found)["subscriber"] == ("account", "A7")


def test_an_event_of_default_is_shown_unwrapped(terminal: Terminal, tmp_path: Path) -> None:
    start = {
        "record_type": "start_request",
        "session_id": "s",
        "request_number": 0,
        "subscriber": "441632960001",
        "called_number": "442071234567",
    }
    file = recorded(tmp_path, {"file_type": "default", "request": start})
    (found,) = terminal.json("source", "test", "default", file)

    assert lines(found)["session_id"] == ("", "s")


def test_an_event_that_names_a_source_that_is_not_there(terminal: Terminal, tmp_path: Path) -> None:
    file = recorded(tmp_path, EVENT | {"file_type": "nobody"})
    (found,) = terminal.json("source", "test", "default", file, expect=1)

    assert (found["outcome"], found["field"]) == ("INVALID_EVENT", "source")


def test_what_is_asked_wrongly(terminal: Terminal, tmp_path: Path) -> None:
    body = recorded(tmp_path, EVENT)

    terminal.run("source", "test", "nobody", body, expect=2)
    assert "there is no source 'nobody'; known: asterisk" in terminal.stderr
    terminal.run("source", "test", "default", str(tmp_path / "nothing"), expect=2)
    assert "cannot be read" in terminal.stderr
    bad = tmp_path / "bad.toml"
    bad.write_text("about = 5", encoding="utf-8")
    terminal.run("source", "test", str(bad), body, expect=2)
    assert "bad.toml:1: about: expected str, got int" in terminal.stderr
    terminal = Terminal({"OCS_SOURCES_FOLDER": str(tmp_path)})
    terminal.run("source", "list", expect=2)
    assert "bad.toml:1" in terminal.stderr
