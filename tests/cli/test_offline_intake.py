"""`ocs offline run --intake`: what was posted is rated as its folder says, then put away."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ocs.adapters.cdr_intake import CDRS, RATED, IntakeFolder, IntakeLimits
from ocs.usecases.posted_cdrs import Posted
from ocs.usecases.taking_cdrs import Kept
from tests.cli.terminal import Terminal
from tests.cli.test_offline_debits import Desk, desk

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")

__all__ = ["desk"]
LIMITS = IntakeLimits(folder_bytes=1 << 20, spare_bytes=0, file_bytes=1 << 20, file_s=60.0)


def take_in(folder: Path, *bodies: bytes, **fields: Any) -> None:
    """Put bodies into a folder as a worker does."""
    intake = IntakeFolder(folder, "0", LIMITS)
    told = {"tenant": "demo", "format": "ndjson", "switch": "", **fields}
    posted = [Posted(body=body, **told) for body in bodies]
    assert all(isinstance(outcome, Kept) for outcome in intake.keep(posted))
    intake.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


class Switch:
    """Posts calls of the account `post`, which CDRs settle, and has them rated."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.folder = desk.folder / "var" / "intake"

    def cdr(self, number: int, who: str = "post") -> bytes:
        end_ms = self.desk.at_ms
        cdr = {"cdr_id": f"c{number}", "subscriber": who, "called": "4930123456", "units": 60}
        return json.dumps(cdr | {"answer_ms": end_ms - 60_000, "end_ms": end_ms}).encode()

    def rate(self, *options: str, expect: int = 0) -> Any:
        place = ("--out", str(self.desk.folder / "out"), "--config", str(self.desk.config))
        where = ("--dir", str(self.desk.folder / "var"), "--intake", *place)
        said = self.desk.terminal.run("offline", "run", *where, *options, "--json", expect=expect)
        return json.loads(said) if said else None


@pytest.fixture
def switch(desk: Desk) -> Switch:
    return Switch(desk)


def test_what_was_posted_is_rated_once_and_put_away(switch: Switch) -> None:
    take_in(switch.folder, switch.cdr(1), switch.cdr(2))
    take_in(switch.folder, switch.cdr(2), switch="pbx1")
    (first, second) = names(switch.folder / CDRS)
    summary = switch.rate()
    assert summary["settled"] == {"debited": 3}
    assert {row[0] for row in switch.desk.rows("out")} == {"c1", "c2", "pbx1/c2"}
    assert names(switch.folder / CDRS) == []
    assert names(switch.folder / RATED) == [first, second]
    assert switch.rate()["entries"] == 0


def test_a_repeat_of_a_switch_is_debited_once(switch: Switch) -> None:
    take_in(switch.folder, switch.cdr(1), switch.cdr(1))
    take_in(switch.folder, switch.cdr(1))
    assert switch.rate()["settled"] == {"debited": 1, "duplicate": 2}


def test_what_is_only_recorded_is_told_by_its_chunk_alone(switch: Switch) -> None:
    """A file that is the same to the last byte is one chunk; a line in another file is a row."""
    once, twice = switch.cdr(1, "off"), switch.cdr(2, "off")
    take_in(switch.folder, once)
    take_in(switch.folder, once)
    take_in(switch.folder, twice, switch.cdr(3, "off"))
    take_in(switch.folder, twice)
    summary = switch.rate()
    assert summary["chunks"] == {"rated": 3, "found": 1, "elsewhere": 0}
    assert summary["settled"] == {"recorded": 4}
    assert sorted(row[0] for row in switch.desk.rows("out")) == ["c1", "c2", "c2", "c3"]
    assert names(switch.folder / CDRS) == []


def test_a_body_that_is_a_file_is_told_by_its_bytes(switch: Switch) -> None:
    """In this run or the next one; with a line more all of it is there again."""
    lines = [
        "cdr_id,subscriber,called,end_ms,units",
        *(f"c{n},off,4930123456,{switch.desk.at_ms},60" for n in (1, 2)),
    ]
    body = "\n".join(lines).encode()
    take_in(switch.folder, body, body, format="csv")
    assert switch.rate()["settled"] == {"recorded": 2}
    take_in(switch.folder, body, body + lines[1].replace("c1", "\nc3").encode(), format="csv")
    switch.rate()
    found = sorted(row[0] for row in switch.desk.rows("out"))
    assert found == ["c1", "c1", "c2", "c2", "c3"]


def test_what_was_rated_is_removed_in_time(switch: Switch) -> None:
    take_in(switch.folder, switch.cdr(1))
    take_in(switch.folder, switch.cdr(2))
    switch.rate()
    old, young = sorted((switch.folder / RATED).rglob("*-0-*"))
    os.utime(old, (1, 1))
    switch.rate()
    assert names(switch.folder / RATED) == [young.name]


def test_a_run_that_does_not_debit_puts_nothing_away(switch: Switch) -> None:
    take_in(switch.folder, switch.cdr(1))
    assert switch.rate("--no-debit")["rated"] == 1
    assert len(names(switch.folder / CDRS)) == 1


def test_a_file_that_is_not_all_done_stays(switch: Switch, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = pytest.importorskip("ocs.adapters.cdr_files.chunks")
    take_in(switch.folder, switch.cdr(1))
    take_in(switch.folder, switch.cdr(2), tenant="gone")

    def damaged(*_: object) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(chunks, "reading_of", damaged)
        summary = switch.rate(expect=1)
    reasons = {each["reason"] for each in summary["unread"]}
    assert reasons == {"there is no tenant 'gone'", "the disk is gone"}
    assert len(names(switch.folder / CDRS)) == 2


def test_one_run_at_a_time(switch: Switch) -> None:
    intake_files = pytest.importorskip("ocs.bootstrap.intake_files")
    with intake_files._ours(switch.folder):
        switch.rate(expect=1)
    assert "another run is at the intake" in switch.desk.terminal.stderr


def test_files_or_the_intake_have_to_be_named(tmp_path: Path) -> None:
    terminal = Terminal()
    terminal.run("offline", "run", "--out", str(tmp_path), expect=2)
    assert "--in, or --intake" in terminal.stderr


# --- What a sender could want ---------------------------------------------------------------------


def test_no_body_makes_rows_of_another_tenant(switch: Switch) -> None:
    foreign = json.dumps(json.loads(switch.cdr(2)) | {"tenant": "acme"}).encode()
    take_in(switch.folder, switch.cdr(1) + b"\n" + foreign)
    take_in(switch.folder, switch.cdr(3) + b"\n\xef\xbb\xbf" + foreign)
    twice = switch.cdr(5).replace(b"{", b'{"tenant":"acme","tenant":"demo",', 1)
    take_in(switch.folder, switch.cdr(4) + b"\n" + twice)
    rows = "".join(
        f"{name},post,4930123456,{tenant},{switch.desk.at_ms},60\n"
        for name, tenant in (("c6", "demo"), ("c7", "acme"), ("c8", ""))
    )
    head = b"cdr_id,subscriber,called,tenant,answer_ms,units\n"
    take_in(switch.folder, head + rows.encode(), format="csv")
    summary = switch.rate(expect=1)
    found = {row[0] for row in switch.desk.rows("out")}
    assert {"c1", "c3", "c4", "c6", "c8"} <= found <= {"c1", "c3", "c4", "c5", "c6", "c8"}
    assert summary["rejected"]["UNKNOWN_TENANT"] >= 2
    assert summary["entries"] == sum(summary[name] for name in ("used", "skipped")) + (
        summary["rejected"].get("UNREADABLE", 0) + summary["rejected"]["UNKNOWN_TENANT"]
    )
    parts = (switch.desk.folder / "out").glob("tenant=*")
    assert [part.name for part in parts] == ["tenant=demo"]


@pytest.mark.parametrize("form", ["asterisk", "csv", "kamailio-acc"])
def test_no_body_says_how_it_is_read(switch: Switch, form: str) -> None:
    options = {"tenant": "acme", "switch": "pbx9"}
    reading = {"is": "reading", "format": "ndjson", "options": options, "header": []}
    reject = {"is": "reject", "file": "x", "line": 1, "column": "", "reason": "", "code": "x"}
    lines = [reading, reject | {"text": switch.cdr(1).decode()}]
    take_in(switch.folder, "\n".join(map(json.dumps, lines)).encode(), format=form)
    assert switch.rate(expect=1)["used"] == 0


def test_the_same_bytes_of_two_switches_are_two_cdrs(switch: Switch) -> None:
    take_in(switch.folder, switch.cdr(1), switch="pbx1")
    take_in(switch.folder, switch.cdr(1), switch="pbx2")
    assert switch.rate()["settled"] == {"debited": 2}
    assert {row[0] for row in switch.desk.rows("out")} == {"pbx1/c1", "pbx2/c1"}


def test_what_was_rated_without_debiting_stays_to_be_debited(switch: Switch) -> None:
    take_in(switch.folder, switch.cdr(1))
    switch.rate("--no-debit")
    (unread,) = switch.rate(expect=1)["unread"]
    assert "without debiting" in unread["reason"]
    assert len(names(switch.folder / CDRS)) == 1
    place = ("--out", str(switch.desk.folder / "other"), "--config", str(switch.desk.config))
    where = ("--dir", str(switch.desk.folder / "var"), "--intake", *place)
    switch.desk.terminal.run("offline", "run", *where)
    assert names(switch.folder / CDRS) == []
    assert switch.desk.rows("other") == [("c1", "debited", True)]
