"""`ocs offline parked`: what became of events that were parked, as it is told and as it is kept."""

import asyncio
import io
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from rich.console import Console

from ocs.adapters.cdr_files.records import COLUMNS
from ocs.adapters.clock import wall_ms
from ocs.adapters.columns.call_rating import ADDED
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.bootstrap import parked as module
from ocs.bootstrap.parked import OUTPUT
from ocs.bootstrap.stores import open_stores
from ocs.cli import offline_parked
from ocs.config.reader import read_settings
from ocs.usecases.parked import TakenOver
from ocs.usecases.parked_settling import ParkedRun
from ocs.usecases.parked_summary import ParkedTally
from ocs.usecases.ports import LATE, UNRATED, LedgerUnavailable, SessionKey
from tests.cli.terminal import Terminal
from tests.cli.test_offline_debits import CONFIGURATION, GERMANY
from tests.usecases.charging_desk import told


class Desk:
    """A terminal, a folder, and a prepaid account `pre` with a subscriber of that name."""

    def __init__(self, terminal: Terminal, folder: Path, url: str) -> None:
        self.terminal, self.folder = terminal, folder
        self.config, self.out = folder / "ocs.toml", folder / "out"
        self.config.write_text(CONFIGURATION, encoding="utf-8")
        self.settings = read_settings(self.config, {"OCS_STORE_URL": url})
        self.at_ms = wall_ms()

    def create(self, account: str) -> None:
        place = ("--config", str(self.config))
        self.terminal.run("account", "create", account, "--currency", "EUR", *place)
        subscriber = ("--account", account, "--plan", "standard")
        self.terminal.run("subscriber", "create", account, *subscriber, *place)

    def park(self, stream: str, who: str, *used: int, **fields: Any) -> None:
        """Park what a call reported; the last report releases it."""

        async def park() -> None:
            async with open_stores(self.settings) as stores:
                key = SessionKey("demo", who, who, f"call of {who}")
                for number, units in enumerate(used, 1):
                    said = {
                        "session_id": key.session_id,
                        "subscriber": who,
                        "rated_number": GERMANY,
                        "event_ms": self.at_ms,
                        "reported_ms": self.at_ms,
                        **fields,
                    }
                    kind = "release" if number == len(used) else "update"
                    event = told(kind, number, used=units, **said)
                    entry = msgspec.json.encode((event, msgspec.Raw(b"{}")))
                    await stores.ledger.park(stream, key, str(number), entry)

        asyncio.run(park())

    def run(self, *options: str, expect: int = 0, out: Path | None = None) -> str:
        place = ("--out", str(out or self.out), "--config", str(self.config), "--quiet", "0")
        return self.terminal.run("offline", "parked", *place, *options, expect=expect)

    def rows(self) -> pl.DataFrame:
        parts = sorted(self.out.glob("tenant=*/day=*/*.parquet"))
        rows = [pl.read_parquet(part, hive_partitioning=False) for part in parts]
        return pl.concat(rows).sort("session_id")


@pytest.fixture
def desk(terminal: Terminal, tmp_path: Path, store_server: EmbeddedStore) -> Desk:
    return Desk(terminal, tmp_path, store_server.url)


def test_rows_have_the_columns_of_rated_cdrs(desk: Desk) -> None:
    desk.create("pre")
    attributes = b'{"colour":"red"}'
    desk.park(UNRATED, "pre", 30, 61, attributes=attributes, called_number=GERMANY)
    told = json.loads(desk.run("--json"))
    assert told["events"] == {"debited": 2}
    rows = desk.rows()
    assert list(rows.columns) == [*COLUMNS, *ADDED]
    (row,) = rows.to_dicts()
    assert (row["tenant"], row["account"], row["wallet_group"]) == ("demo", "pre", "pre")
    assert (row["file"], row["session_id"], row["units"]) == ("unrated", "call of pre", 91)
    assert (row["settled"], row["code"], row["currency"]) == ("debited", "OK", "EUR")
    assert row["amount"] == row["settled_amount"] == told["debited"][0]["amount"] > 0
    assert (row["tariff"], row["called_number"]) == ("a-z", GERMANY)
    assert row["end_ms"] == desk.at_ms
    assert row["answer_ms"] == row["used_ms"] == desk.at_ms - 30_000
    about = json.loads(row["attributes"])
    assert about["event"] == {"colour": "red"}
    assert about["rating_group"] == "0"
    place = ("--config", str(desk.config))
    shown = json.loads(desk.terminal.run("audit", "show", about["transaction_id"], *place))
    assert shown["info"]["parked"] == {"stream": "unrated", "requests": ["1", "2"]}
    desk.terminal.run("verify", "--config", str(desk.config))
    (report,) = (desk.out / "chunks").iterdir()
    assert json.loads(report.read_bytes())["settled"] == {"debited": 1}


def test_what_waits_is_told_with_its_reason(desk: Desk) -> None:
    desk.park(UNRATED, "stranger", 30, 30)
    metrics = desk.folder / "figures"
    shown = desk.run("--metrics-file", str(metrics), expect=1)
    assert "parked still  because             events  since" in shown
    assert "unrated       UNKNOWN_SUBSCRIBER  2" in shown
    text = metrics.read_text(encoding="utf-8")
    assert 'ocs_parked_waiting{stream="unrated",reason="UNKNOWN_SUBSCRIBER"} 2' in text
    desk.create("stranger")
    shown = desk.run("--metrics-file", str(metrics))
    assert "2 parked events settled" in shown
    assert "debited  2" in shown
    assert 'ocs_parked_settled_total{fate="debited"} 2' in metrics.read_text(encoding="utf-8")
    assert len(list((desk.out / "runs").iterdir())) == 2


def test_an_overrun_is_told(desk: Desk) -> None:
    desk.create("pre")
    desk.park(UNRATED, "pre", 6_000)
    assert "EUR of demo below the accounts' floors" in desk.run()


def test_what_is_not_over_is_no_failure(desk: Desk) -> None:
    desk.create("pre")
    desk.park(UNRATED, "pre", 30)
    shown = desk.run("--quiet", "3600")
    assert "OPEN" in shown


def test_what_is_given_up_is_a_reject(desk: Desk) -> None:
    desk.park(UNRATED, "stranger", 30, 31)
    assert "UNKNOWN_SUBSCRIBER" in desk.run("--drop", "UNKNOWN_SUBSCRIBER", expect=1)
    shown = desk.run("--drop", "UNKNOWN_SUBSCRIBER", "--drop-after", "0")
    assert "dropped  2" in shown
    (path,) = (desk.out / "rejects").iterdir()
    _, line = path.read_text(encoding="utf-8").splitlines()
    reject = json.loads(line)
    assert (reject["code"], reject["file"]) == ("DROPPED", "unrated")
    assert json.loads(reject["text"])["units"] == 61
    assert not list(desk.out.glob("tenant=*"))
    given_in = desk.terminal.run(
        "offline", "run", "--in", str(path), "--out", str(desk.folder / "rated"), "--json",
        "--config", str(desk.config), expect=1,
    )  # fmt: skip
    assert json.loads(given_in)["rejected"] == {"UNKNOWN_SUBSCRIBER": 1}


def test_what_cannot_be_read_is_kept_as_it_lay(desk: Desk) -> None:
    async def park() -> None:
        async with open_stores(desk.settings) as stores:
            await stores.ledger.park(LATE, SessionKey("demo", "x", "x", "s"), "1", b"not an event")

    asyncio.run(park())
    desk.run("--drop", "UNREADABLE", "--drop-after", "0")
    (path,) = (desk.out / "rejects").iterdir()
    text = json.loads(path.read_text(encoding="utf-8").splitlines()[1])["text"]
    assert json.loads(json.loads(text)["attributes"])["event"] == "not an event"


def test_a_reason_that_there_is_not_is_refused(desk: Desk) -> None:
    for reason in ("OPEN", "whatever"):
        desk.run("--drop", reason, expect=2)
        assert "NO_RATE" in desk.terminal.stderr


def test_one_output_has_all(desk: Desk) -> None:
    desk.run()
    elsewhere = desk.folder / "elsewhere"
    desk.run(out=elsewhere, expect=1)
    assert "--new-output" in desk.terminal.stderr
    desk.run("--new-output", out=elsewhere)
    desk.run(expect=1)


def test_two_runs_do_not_write_into_one_folder(desk: Desk) -> None:
    with module._locked(desk.out):
        desk.run(expect=1)
        assert "another run" in desk.terminal.stderr
    assert len((desk.out / OUTPUT).read_text(encoding="utf-8")) == 33


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (TakenOver(), "another run has begun"),
        (LedgerUnavailable("it is away"), "the same command goes on"),
        (OSError(28, "No space left on device"), "No space left"),
    ],
)
def test_what_stands_in_the_way_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, fault: Exception, told: str
) -> None:
    async def fails(*_: object, **__: object) -> bool:
        raise fault

    monkeypatch.setattr(ParkedRun, "run", fails)
    desk.run(expect=1)
    assert told in desk.terminal.stderr


def test_a_chunk_that_somebody_else_writes_is_left_alone(desk: Desk) -> None:
    output = module._output(desk.settings, desk.out)
    with module._output(desk.settings, desk.out)._files.claimed("chunk"):  # type: ignore[attr-defined]
        with pytest.raises(BlockingIOError):
            output.has("chunk")
        with pytest.raises(BlockingIOError):
            output.put("chunk", [])
    assert not output.has("chunk")


def test_what_an_earlier_run_left_is_told_as_finished(capsys: pytest.CaptureFixture[str]) -> None:
    summary = msgspec.structs.replace(ParkedTally().summary(0.0), finished=7)
    offline_parked._show(summary)
    assert "7 settlements were left under way and are finished" in capsys.readouterr().out


def test_a_terminal_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Console(file=io.StringIO(), force_terminal=True)
    monkeypatch.setattr(offline_parked, "Console", lambda **_: shown)
    tally = ParkedTally()
    tally.events["debited"] = 4_711
    offline_parked._moved()(tally)
    file = shown.file
    assert isinstance(file, io.StringIO)
    assert "events settled" in file.getvalue()


def test_without_the_extra_it_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ocs.adapters.columns.parked_files", None)
    desk.run(expect=1)
    assert "ocs[offline]" in desk.terminal.stderr
