"""`ocs offline reconcile`: what people type, what they are told, and exit codes."""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from ocs.adapters.reels.folder import ReelFolder, ReelLimits
from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.journal import ValkeyStream, moves_of
from ocs.bootstrap.pricing import opened_tariffs
from ocs.bootstrap.stores import open_stores
from ocs.config.reader import read_settings
from ocs.config.settings import Ledger
from ocs.usecases.draining import Drainer, DrainRules
from ocs.usecases.ports import SessionKey
from tests.adapters.calls import call, use
from tests.adapters.columns.two_sides import NOON_MS, Cdr, Charge, Folder, price
from tests.bootstrap.offline_scene import Online, Scene
from tests.cli.terminal import Terminal
from tests.cli.test_offline_debits import Desk

CHARGES = [
    Charge(),
    Charge(session="missing", begun_ms=NOON_MS + 1_000),
    Charge(session="longer", begun_ms=NOON_MS + 3_000),
    Charge(session="open", is_open=True),
]
CDRS = [
    Cdr(),
    Cdr(),
    Cdr(session="extra", begun_ms=NOON_MS + 2_000, currency="USD"),
    Cdr(session="longer", begun_ms=NOON_MS + 3_000, units=67, amount=price(67)),
]


class Bureau:
    """A terminal, a configuration, and both sides on disk."""

    def __init__(self, folder: Path) -> None:
        self.terminal, self.scene = Terminal(), Scene(folder)
        self.sides = Folder(folder)

    def options(self, *more: str) -> tuple[str, ...]:
        where = ("--rated", str(self.sides.rated), "--journal", str(self.sides.tables))
        return ("offline", "reconcile", *where, "--config", str(self.scene.config), *more)

    def run(self, *more: str, expect: int = 0) -> str:
        return self.terminal.run(*self.options(*more), expect=expect)

    def refused(self, *more: str, expect: int = 2) -> str:
        self.run(*more, expect=expect)
        return self.terminal.stderr


@pytest.fixture
def bureau(tmp_path: Path) -> Bureau:
    return Bureau(tmp_path)


def test_a_summary_by_day_and_the_first_differences(bureau: Bureau) -> None:
    bureau.sides.write(CHARGES, CDRS)
    lines = [line.split() for line in bureau.run(expect=1).splitlines()]
    words = ["calls", "open", "by_cdr", "nothing", "agreed", "no_cdr", "no_charge", "units"]
    assert lines[0] == ["tenant", "day", *words, "duplicates"]
    assert lines[1] == ["demo", "2026-09-23", "5", "1", "0", "0", "1", "1", "1", "1", "1"]
    assert lines[2] == ["tenant", "day", "currency", "charged", "online", "by", "CDRs", "apart"]
    assert lines[3] == ["demo", "2026-09-23", "EUR", "0.195", "0.19", "-0.005"]
    assert lines[4] == ["demo", "2026-09-23", "USD", "0.00", "0.065", "0.065"]
    assert lines[6][:4] == ["no_cdr", "demo", "2026-09-23T12:00:01Z", "missing"]
    assert lines[6][4:] == ["60", "0.065", "EUR", "acme", "-", "-", "-", "-"]
    assert lines[7][4:] == ["-", "-", "-", "60", "0.065", "USD", "acme", "a.csv:4"]
    assert lines[8][3:] == [
        *("longer", "60", "0.065", "EUR", "acme"),
        *("67", "0.125", "EUR", "acme", "a.csv:5"),
    ]
    assert " ".join(lines[9]) == "5 calls, 3 differences"
    assert "3 differences; 2 of them not shown" in bureau.run("--most", "1", expect=1)


def test_where_both_agree_the_exit_code_is_0(bureau: Bureau, tmp_path: Path) -> None:
    bureau.sides.write([Charge()], [Cdr()])
    out = tmp_path / "differences.parquet"
    said = bureau.run("--out", str(out))
    assert said.splitlines()[-2:] == ["1 calls, 0 differences", f"all differences are in {out}"]
    assert len(pl.read_parquet(out)) == 0


def test_two_empty_sides_agree(bureau: Bureau) -> None:
    bureau.sides.write([], [])
    assert bureau.run() == "0 calls, 0 differences\n"


def test_what_costs_nothing_has_no_currency(bureau: Bureau) -> None:
    bureau.sides.write([Charge(amount=0, currency=None)], [])
    (line,) = [line for line in bureau.run(expect=1).splitlines() if line.startswith("no_cdr")]
    assert line.split()[4:7] == ["60", "0", "acme"]


def test_machines_are_told_the_same(bureau: Bureau) -> None:
    bureau.sides.write(CHARGES, CDRS)
    told = bureau.terminal.json(*bureau.options("--most", "2"), expect=1)
    (day,) = told["days"]
    assert (day["tenant"], day["day"], day["duplicates"]) == ("demo", "2026-09-23", 1)
    assert day["found"] == {"open": 1, "no_cdr": 1, "no_charge": 1, "units": 1, "agreed": 1}
    assert day["money"][0] == {"currency": "EUR", "online": 195_000, "cdrs": 190_000}
    assert [each["session_id"] for each in told["first"]] == ["missing", "extra"]


def test_figures_for_metrics(bureau: Bureau, tmp_path: Path) -> None:
    bureau.sides.write(CHARGES, CDRS)
    path = tmp_path / "figures.prom"
    bureau.run("--metrics-file", str(path), expect=1)
    figures = path.read_text(encoding="utf-8").splitlines()
    calls = 'ocs_reconcile_calls{tenant="demo",found='
    assert {line for line in figures if line.startswith(calls)} == {
        *(f'{calls}"{word}"}} 1' for word in ("open", "agreed", "no_cdr", "no_charge", "units")),
        *(f'{calls}"{word}"}} 0' for word in ("double", "account", "currency", "amount")),
    }
    assert 'ocs_reconcile_difference_amount{tenant="demo",currency="EUR"} -0.005' in figures
    assert "# TYPE ocs_reconcile_calls gauge" in figures


def test_a_period_and_a_tenant(bureau: Bureau) -> None:
    bureau.sides.write(CHARGES, CDRS)
    assert bureau.run("--to", "2026-09-22") == "0 calls, 0 differences\n"
    assert bureau.run("--from", "2026-09-24") == "0 calls, 0 differences\n"
    day = ("--from", "2026-09-23", "--to", "2026-09-23", "--reach-days", "1")
    assert "5 calls, 3 differences" in bureau.run(*day, expect=1)
    assert bureau.run("--tenant", "acme") == "0 calls, 0 differences\n"


def test_what_is_tolerated(bureau: Bureau) -> None:
    sms = Charge(session="sms", usage_type="sms", units=1, amount=10_000)
    bureau.sides.write([sms], [Cdr(session="sms", usage_type="sms", units=2, amount=20_000)])
    assert "units" in bureau.run(expect=1)
    bureau.run("--units", "1", "--amount", "0.01")


def test_a_second_is_priced_by_the_tariffs(bureau: Bureau) -> None:
    """What both sides say is what it costs, or an amount above."""
    call = {"called": "4930123456", "calling": "", "usage_type": "voice", "answer_ms": NOON_MS}
    settings = bureau.scene.settings
    with opened_tariffs(settings) as generation:
        online = Online(settings, generation)
        who = {"subscriber": "441632960001"}
        amounts = [online.price({**call, **who, "units": units})[1] for units in (60, 61)]
    assert amounts[0] != amounts[1]
    bureau.sides.write(
        [Charge(amount=amounts[0]), Charge(session="t", amount=amounts[0])],
        [Cdr(units=61, amount=amounts[1]), Cdr(session="t", units=61, amount=amounts[1] + 1)],
    )
    assert "2 calls, 1 differences" in bureau.run(expect=1)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--from", "yesterday"), "--from: 'yesterday' is no day such as 2026-11-20"),
        (("--to", "2026-13-01"), "--to: '2026-13-01' is no day"),
        (("--from", "2026-09-24", "--to", "2026-09-23"), "--from 2026-09-24 is after --to"),
        (("--amount", "much"), "--amount: "),
        (("--amount", "-1"), "--amount: -1 is below zero"),
        (("--tenant", "nobody"), "--tenant: there is no 'nobody'; known: demo, acme"),
    ],
)
def test_who_asks_wrongly_is_told(bureau: Bureau, options: tuple[str, ...], reason: str) -> None:
    bureau.sides.write([], [])
    assert reason in bureau.refused(*options)


def test_what_stands_in_the_way(bureau: Bureau, tmp_path: Path) -> None:
    assert "holds no rated CDRs" in bureau.refused(expect=1)
    bureau.sides.write([Charge()], [])
    gone = str(tmp_path / "gone" / "file")
    assert "No such file or directory" in bureau.refused("--out", gone, expect=1)
    assert f"{tmp_path}/gone" in bureau.refused("--metrics-file", gone, expect=1)
    where = ("--rated", str(bureau.sides.rated), "--dir", str(tmp_path))
    config = ("--config", str(bureau.scene.config))
    bureau.terminal.run("offline", "reconcile", *where, *config, expect=1)
    assert "there is no journal in" in bureau.terminal.stderr


def test_without_the_extra_it_says_what_to_install(
    bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ocs.adapters.columns.reconciling", None)
    assert "ocs[offline]" in bureau.refused(expect=1)


# --- From the reels of a journal ------------------------------------------------------------------


def charge(desk: Desk, server: EmbeddedStore, account: str, session: str) -> None:
    """A call that the ledger settles, at its end."""
    rating = json.dumps(["a-z", "49", "Germany", "per_minute"])
    used = use(60)
    segments = tuple(msgspec.structs.replace(each, rating=rating) for each in used.segments)
    info = {"usage_type": "voice", "direction": "orig", "currency": "EUR", "answer_ms": desk.at_ms}

    async def settle() -> None:
        settings = read_settings(desk.config, {"OCS_STORE_URL": server.url})
        async with open_stores(settings) as stores:
            key = SessionKey("demo", account, account, session)
            told = call("release", 0, used, session=key)
            told = msgspec.structs.replace(
                told,
                event_ms=desk.at_ms,
                info=json.dumps(info).encode(),
                services=(msgspec.structs.replace(used, segments=segments),),
            )
            await stores.ledger.charge(told)

    asyncio.run(settle())


async def drain(server: EmbeddedStore, folder: Path) -> None:
    partitions = Ledger().partitions
    reels = ReelFolder(folder, ReelLimits(), moves_of)
    async with Connection(server.url) as connection:
        stream = ValkeyStream(connection, partitions, "test")
        drainer = Drainer(stream, reels, DrainRules(partitions=partitions, keep_ms=0), lambda: 0.0)
        await drainer.begin()
        for partition in range(partitions):
            await drainer.drain(partition)
        await drainer.conclude()
    reels.close()


def test_what_was_debited_and_charged_is_found_in_the_reels(
    terminal: Terminal, tmp_path: Path, store_server: EmbeddedStore
) -> None:
    """An event that comes after its call's CDR was debited is settled too: that is a double."""
    desk = Desk(terminal, tmp_path)
    desk.run(desk.cdrs("a.csv", ("both", "post", 60), ("once", "post", 60)), "out")
    charge(desk, store_server, "post", "both")
    charge(desk, store_server, "pre", "no CDR")
    asyncio.run(drain(store_server, tmp_path / "journal"))
    where = ("--rated", str(tmp_path / "out"), "--dir", str(tmp_path))
    command = ("offline", "reconcile", *where, "--config", str(desk.config))
    day = datetime.fromtimestamp(desk.at_ms / 1000, UTC).date()
    shifted = [str(day + timedelta(days=days)) for days in (-1, 1)]
    for period in ((), ("--from", shifted[0], "--to", shifted[1])):
        told: Any = terminal.json(*command, *period, expect=1)
        found = {each["session_id"]: each for each in told["first"]}
        assert {name: each["verdict"] for name, each in found.items()} == {
            "both": "double",
            "no CDR": "no_cdr",
        }
        both = found["both"]
        assert (both["online_amount"], both["cdr_settled"]) == (60, "debited")
        assert both["cdr_debited_amount"] == both["cdr_amount"] > 0
        assert sum(each["found"].get("by_cdr", 0) for each in told["days"]) == 1
    assert terminal.json(*command, "--to", str(day - timedelta(days=2)))["days"] == []
