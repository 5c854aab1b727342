"""The recording, charged by a real service, held against CDRs that know nothing of the charging.

The CDRs are built from the recording alone: of each session one, from its first start to its
release, by the clocks of those two events. What the service made of the reports in between is in
its journal, and nowhere in the CDRs. What there is to know of the recording:

* Its clocks have whole seconds: in 454 calls the release is a second later than what was reported
  says. That may begin an increment, and is no difference if it costs exactly that.
* It does not say when a call was answered, so neither do the CDRs: of nothing used, nothing is due.
* 157 sessions were not released: they have no CDR. Of these the service of the recording had
  refused 150, nearly all of which are refused here too (callers without money); the rest is open.
* Some calls run out of money, and their clients go on. What is above is charged all the same.
"""

import asyncio
import csv
import gzip
import json
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ocs.cli.demo import RECORDING
from ocs.entrypoints.http.client import HttpClient
from tests.acceptance.service import Client, Service, run, until

pytestmark = pytest.mark.slow

RELEASED, ONE_MORE, UNUSED = 2243, 454, 102
AT_ONCE = 64

Event = dict[str, Any]
Cdr = dict[str, Any]


class Charged:
    """A service that has charged the recording, its CDRs, and the commands to compare them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = calls_of_the_recording()
        self.service = Service(folder / "var", "--port", "0", OCS_JOURNAL_PERIOD_S="1")
        self.answers: dict[str, list[str]] = {}

    def charge(self) -> None:
        asyncio.run(self._charge())
        until(self._is_drained, "the journal to be on disk")

    async def _charge(self) -> None:
        room = asyncio.Semaphore(AT_ONCE)
        url = self.service.url
        async with HttpClient(url, connections=16, token="", timeout_s=10.0) as client:

            async def one(name: str, events: list[Event]) -> None:
                async with room:
                    self.answers[name] = []
                    for event in events:
                        exchange = await client.post(json.dumps(event).encode())
                        self.answers[name].append(json.loads(exchange.body)["return_name"])

            await asyncio.gather(*(one(*call) for call in self.calls.items()))

    def _is_drained(self) -> bool:
        with Client(self.service.operations_url) as client:
            text = client.get("/metrics")[1]
        drained = [line for line in text.splitlines() if line.startswith("ocs_journal_drained")]
        entries = sum(float(line.split()[-1]) for line in drained)
        return "ocs_journal_lag_entries 0.0" in text and entries >= sum(
            map(len, self.answers.values())
        )

    def rate(self, name: str, cdrs: list[Cdr]) -> Path:
        """Rate CDRs as an operator does; the folder of the output."""
        path, out = self.folder / f"{name}.csv", self.folder / name
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(cdrs[0]))
            writer.writeheader()
            writer.writerows(cdrs)
        done = self.ocs("run", "--in", str(path), "--out", str(out))
        assert done.returncode == 0, done.stdout + done.stderr
        return out

    def reconcile(self, rated: Path, *options: str) -> tuple[int, Any]:
        done = self.ocs("reconcile", "--rated", str(rated), *options, "--json")
        return done.returncode, json.loads(done.stdout)

    def ocs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run("offline", *arguments, "--dir", str(self.folder / "var"))


def calls_of_the_recording() -> dict[str, list[Event]]:
    """The events of each session, moved so that the last one is of now."""
    with gzip.open(RECORDING) as lines:
        events = [json.loads(line)["event"] for line in lines]
    later_s = int(time.time()) - max(event["event_time"] for event in events)
    calls = defaultdict(list)
    for event in events:
        event["event_time"] += later_s
        calls[event["session_id"]].append(event)
    return calls


def cdrs_of(calls: dict[str, list[Event]]) -> list[Cdr]:
    """What a switch would write: a line for each call that ended."""
    cdrs = []
    for name, events in calls.items():
        kinds = {event["record_type"]: event for event in reversed(events)}
        start, release = kinds["start_request"], kinds.get("release_request")
        if release is None:
            continue
        begun_ms, ended_ms = 1000 * start["event_time"], 1000 * release["event_time"]
        cdrs.append(
            {
                "cdr_id": f"cdr-{name}",
                "session_id": name,
                "subscriber": start["subscriber"],
                "calling": start["subscriber"],
                "called": start["called_number"],
                "start_ms": begun_ms,
                "end_ms": ended_ms,
                "duration_ms": ended_ms - begun_ms,
            }
        )
    return cdrs


@pytest.fixture(scope="module")
def charged() -> Iterator[Charged]:
    with tempfile.TemporaryDirectory(prefix="ocs-") as name:
        one = Charged(Path(name))
        try:
            one.charge()
            yield one
        finally:
            one.service.sweep_away()


@pytest.fixture(scope="module")
def rated(charged: Charged) -> Path:
    return charged.rate("rated", cdrs_of(charged.calls))


def found(reconciled: Any) -> Counter[str]:
    """Add up what was found over the days: the recording may lie across midnight."""
    total: Counter[str] = Counter()
    for day in reconciled["days"]:
        assert (day["tenant"], day["duplicates"]) == ("demo", 0)
        total.update(day["found"])
    return total


def used_of(events: list[Event]) -> int:
    return sum(event["used_units"] for event in events)


def lasted_of(events: list[Event]) -> int:
    return int(events[-1]["event_time"] - events[0]["event_time"])


def released(charged: Charged) -> dict[str, list[Event]]:
    return {
        name: events
        for name, events in charged.calls.items()
        if events[-1]["record_type"] == "release_request"
    }


def test_the_recording_is_what_it_is_said_to_be(charged: Charged) -> None:
    over = released(charged)
    more = Counter(lasted_of(events) - used_of(events) for events in over.values())
    assert (len(over), more) == (RELEASED, {0: RELEASED - ONE_MORE, 1: ONE_MORE})
    assert sum(not used_of(events) for events in over.values()) == UNUSED
    words = Counter(word for answers in charged.answers.values() for word in answers)
    assert set(words) == {"OK", "NO_CREDIT"}
    out_of_money = [name for name in over if "NO_CREDIT" in charged.answers[name][1:]]
    assert out_of_money, "calls that go on without money are among them"


def test_what_was_charged_is_what_the_cdrs_come_to(charged: Charged, rated: Path) -> None:
    code, reconciled = charged.reconcile(rated)
    total = found(reconciled)
    unused = sum(
        not used_of(events) and not lasted_of(events) for events in released(charged).values()
    )
    still_open = sum(
        name not in released(charged) and "OK" in answers
        for name, answers in charged.answers.items()
    )
    assert total == {"agreed": RELEASED - unused, "nothing": unused, "open": still_open}
    assert (code, reconciled["first"]) == (0, [])
    money = [money for day in reconciled["days"] for money in day["money"]]
    online, by_cdrs = (sum(each[side] for each in money) for side in ("online", "cdrs"))
    assert 0 < online < by_cdrs < 1.05 * online  # the seconds more


def test_exported_tables_say_the_same_as_reels(charged: Charged, rated: Path) -> None:
    tables = charged.folder / "tables"
    where = ("--dir", str(charged.folder / "var"))
    assert run("audit", "export", "--to", str(tables), *where).returncode == 0
    assert charged.reconcile(rated, "--journal", str(tables)) == charged.reconcile(rated)


def test_exactly_what_was_falsified_is_found(charged: Charged) -> None:
    cdrs = cdrs_of(charged.calls)
    missing, longer = (
        next(cdr for cdr in cdrs[begin:] if cdr["duration_ms"] >= 5_000) for begin in (700, 1400)
    )
    cdrs.remove(missing)
    longer["end_ms"] += 7_000
    longer["duration_ms"] += 7_000
    extra = dict(missing, cdr_id="cdr-extra", session_id="extra")
    cdrs.append(extra)
    false = charged.rate("false", cdrs)
    files = [charged.folder / name for name in ("differences.parquet", "figures.prom")]
    options = ("--out", str(files[0]), "--metrics-file", str(files[1]))
    code, reconciled = charged.reconcile(false, *options)
    assert code == 1
    named = {each["verdict"]: each for each in reconciled["first"]}
    assert {word: each["session_id"] for word, each in named.items()} == {
        "no_cdr": missing["session_id"],
        "no_charge": "extra",
        "units": longer["session_id"],
    }
    assert len(reconciled["first"]) == sum(found(reconciled)[word] for word in named) == 3
    assert named["no_cdr"]["online_units"] == used_of(charged.calls[missing["session_id"]])
    assert named["no_charge"]["cdr_units"] == missing["duration_ms"] // 1000
    units = named["units"]
    assert units["online_units"] == used_of(charged.calls[longer["session_id"]])
    assert units["cdr_units"] == lasted_of(charged.calls[longer["session_id"]]) + 7
    assert sorted(pl.read_parquet(files[0])["verdict"]) == sorted(named)
    figures = files[1].read_text(encoding="utf-8")
    for word in named:
        assert f'ocs_reconcile_calls{{tenant="demo",found="{word}"}} 1\n' in figures


def test_after_the_service_has_ended_it_is_the_same(charged: Charged, rated: Path) -> None:
    before = charged.reconcile(rated)
    assert charged.service.stop() == 0
    assert charged.reconcile(rated) == before
