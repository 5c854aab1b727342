"""`ocs offline run` debits: what each row says, what wallets say, and that both happen once."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ocs.adapters.clock import wall_ms
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.bootstrap.stores import open_stores
from ocs.config.reader import read_settings
from ocs.config.settings import Settings
from ocs.usecases.ports import CDR_DAYS, DAY_MS, LedgerUnavailable, SessionKey
from ocs.usecases.settling_cdrs import Bill, Settlements, SettlingCdrs
from tests.adapters.calls import call, use
from tests.cli.terminal import Terminal

TARIFFS = Path(__file__).parents[2] / "config" / "tariffs"
CONFIGURATION = f"""
[rating]
tariffs = "{TARIFFS}"
[charging]
default_tenant = "demo"
[provision]
tenant = "demo"
[[tenants]]
name = "demo"
country_code = "44"
national_prefix = "0"
[[plans]]
name = "standard"
tariffs = ["a-z"]
free_prefixes = ["44800"]
"""
GERMANY = "4930123456"


class Desk:
    """A terminal, a folder, and accounts of each kind with a subscriber of the same name."""

    def __init__(self, terminal: Terminal, folder: Path) -> None:
        self.terminal, self.folder = terminal, folder
        self.config = folder / "ocs.toml"
        self.config.write_text(CONFIGURATION, encoding="utf-8")
        self.at_ms = wall_ms() - DAY_MS
        self._create("post", "--kind", "postpaid", "--floor", "-0.05", "--settled-by", "cdr")
        self._create("pre")
        self._create("off", "--kind", "offline")

    def _create(self, account: str, *terms: str) -> None:
        place = ("--config", str(self.config))
        self.terminal.run("account", "create", account, "--currency", "EUR", *terms, *place)
        subscriber = ("--account", account, "--plan", "standard")
        self.terminal.run("subscriber", "create", account, *subscriber, *place)

    def cdrs(self, name: str, *rows: tuple[str, str, int] | tuple[str, str, int, int]) -> Path:
        """Write CDRs: id, subscriber, seconds, and how many days before yesterday they ended."""
        path = self.folder / name
        lines = ["cdr_id,subscriber,called,answer_ms,end_ms,units"]
        for cdr_id, subscriber, units, *rest in rows:
            end_ms = self.at_ms - DAY_MS * (rest[0] if rest else 0)
            lines.append(
                f"{cdr_id},{subscriber},{GERMANY},{end_ms - 1000 * units},{end_ms},{units}"
            )
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def run(self, path: Path, out: str, *options: str, expect: int = 0) -> Any:
        """Rate a file; give its summary."""
        place = ("--in", str(path), "--out", str(self.folder / out), "--config", str(self.config))
        said = self.terminal.run("offline", "run", *place, *options, "--json", expect=expect)
        return json.loads(said) if said else None

    def rows(self, out: str) -> list[tuple[Any, ...]]:
        """What became of each CDR, in the order of the file: id, word, whether it was all of it."""
        parts = sorted((self.folder / out).glob("tenant=*/day=*/*.parquet"))
        rows = pl.concat([pl.read_parquet(part, hive_partitioning=False) for part in parts])
        rows = rows.sort("file", "line").with_columns(
            whole=pl.col("settled_amount") == pl.col("amount")
        )
        return rows.select("cdr_id", "settled", "whole").rows()

    def left(self, account: str) -> str:
        place = ("--config", str(self.config))
        shown = self.terminal.json("account", "show", account, *place)
        left: str = shown["buckets"][0]["left"]
        return left


@pytest.fixture
def desk(terminal: Terminal, tmp_path: Path) -> Desk:
    return Desk(terminal, tmp_path)


def charge_online(settings: Settings, session_id: str) -> None:
    """A call of the account `post` that was charged while it went on, and released."""

    async def charge() -> None:
        async with open_stores(settings) as stores:
            session = SessionKey("demo", "post", "post", session_id)
            await stores.ledger.charge(call("release", 0, use(10), session=session))

    asyncio.run(charge())


def test_each_account_is_debited_as_it_says(desk: Desk, store_server: EmbeddedStore) -> None:
    charge_online(read_settings(desk.config, {"OCS_STORE_URL": store_server.url}), "online")
    path = desk.cdrs(
        "a.csv",
        ("first", "post", 60),
        ("second", "post", 120),
        ("prepaid", "pre", 60),
        ("offline", "off", 60),
        ("first", "post", 60),
        ("online", "post", 60),
        ("unanswered", "post", 0),
        ("old", "post", 60, CDR_DAYS + 1),
        ("not so old", "post", 60, CDR_DAYS - 2),
    )
    summary = desk.run(path, "out", expect=1)
    assert desk.rows("out") == [
        ("first", "debited", True),
        ("second", "debited", True),
        ("prepaid", "reconciled", False),
        ("offline", "recorded", False),
        ("first", "duplicate", False),
        ("online", "reconciled", False),
        ("unanswered", "recorded", True),
        ("old", "rejected", False),
        ("not so old", "debited", True),
    ]
    assert summary["settled"] == {
        "debited": 3,
        "duplicate": 1,
        "reconciled": 2,
        "recorded": 2,
        "rejected": 1,
    }
    [debited], [overrun] = summary["debited"], summary["overrun"]
    assert overrun["amount"] == debited["amount"] + 10 - 50_000, "the floor is at 0.05"
    assert (debited["tenant"], debited["currency"], debited["cdrs"]) == ("demo", "EUR", 3)
    left = f"{(-10 - debited['amount']) / 10**6:.6f}"  # ten units were charged online
    assert float(desk.left("post")) == float(left)
    assert (desk.left("pre"), desk.left("off")) == ("0.00", "0.00")
    desk.terminal.run("verify", "--config", str(desk.config))


def test_an_account_shows_who_settles_it(desk: Desk) -> None:
    place = ("--config", str(desk.config))
    shown = [desk.terminal.json("account", "show", name, *place) for name in ("post", "pre", "off")]
    assert [(each["kind"], each["settled_by"]) for each in shown] == [
        ("postpaid", "cdr"),
        ("prepaid", "events"),
        ("offline", "nobody"),
    ]
    again = ("account", "create", "pre", "--currency", "EUR", *place)
    desk.terminal.run(*again, "--kind", "offline", expect=1)
    assert "settled_by" in desk.terminal.stderr


def test_whatever_is_run_again_is_debited_once(desk: Desk) -> None:
    """The same file, a copy of it, into the same folder or another; and one that has grown."""
    calls = [("a", "post", 60), ("b", "post", 60)]
    path = desk.cdrs("a.csv", *calls)
    first = desk.run(path, "out")
    left = desk.left("post")
    again = desk.run(path, "out")
    assert (again["rated_now"], again["debited"]) == (0, first["debited"])
    copy = path.rename(path.with_name("copy.csv"))
    desk.run(copy, "elsewhere")
    assert desk.rows("elsewhere") == [("a", "debited", True), ("b", "debited", True)]
    assert desk.left("post") == left
    grown = desk.cdrs("grown.csv", *calls, ("c", "post", 0), ("d", "post", 60))
    desk.run(grown, "out")
    assert [row[:2] for row in desk.rows("out")][2:] == [
        ("a", "duplicate"),
        ("b", "duplicate"),
        ("c", "recorded"),
        ("d", "debited"),
    ]
    assert float(desk.left("post")) == pytest.approx(float(left) * 1.5)
    desk.terminal.run("verify", "--config", str(desk.config))


def test_a_store_that_goes_away_ends_the_run_and_the_next_one_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the debit was carried out, and only its answer was lost."""
    path = desk.cdrs("a.csv", ("a", "post", 60))
    settle = SettlingCdrs.settle

    async def lost(self: SettlingCdrs, chunk: str, bills: Iterable[Bill]) -> Settlements:
        await settle(self, chunk, bills)
        raise LedgerUnavailable("the link is gone")

    with monkeypatch.context() as patch:
        patch.setattr(SettlingCdrs, "settle", lost)
        desk.run(path, "out", expect=1)
    assert "the same command goes on from it" in desk.terminal.stderr
    left = desk.left("post")
    assert float(left) < 0
    desk.run(path, "out")
    assert desk.rows("out") == [("a", "debited", True)]
    assert desk.left("post") == left


def test_a_run_may_leave_wallets_alone(desk: Desk) -> None:
    summary = desk.run(desk.cdrs("a.csv", ("a", "post", 60)), "out", "--no-debit")
    assert (summary["settled"], summary["debited"]) == ({}, [])
    assert desk.left("post") == "0.00"


def test_what_was_rated_without_debiting_is_not_taken_for_done(desk: Desk) -> None:
    """In that folder it would never be debited, and nobody would be told."""
    path = desk.cdrs("a.csv", ("a", "post", 60))
    desk.run(path, "out", "--no-debit")
    (unread,) = desk.run(path, "out", expect=1)["unread"]
    assert unread["file"] == str(path)
    assert "was rated into this output without debiting" in unread["reason"]
    assert desk.left("post") == "0.00"
    assert desk.run(path, "out", "--no-debit")["rated"] == 1
    assert desk.run(path, "other")["settled"] == {"debited": 1}
    assert desk.run(path, "other", "--no-debit")["settled"] == {"debited": 1}


def test_the_table_says_what_was_debited(desk: Desk) -> None:
    path = desk.cdrs("a.csv", ("a", "post", 600), ("b", "pre", 60))
    place = ("--in", str(path), "--out", str(desk.folder / "out"), "--config", str(desk.config))
    said = desk.terminal.run("offline", "run", *place)
    assert [line.split()[:3] for line in said.splitlines() if line.startswith("demo")][1] == [
        "demo",
        "EUR",
        "1",
    ]
    assert [
        line.split() for line in said.splitlines() if line.startswith(("debited", "recon"))
    ] == [
        ["debited", "1"],
        ["reconciled", "1"],
    ]
    assert "EUR of demo below the accounts' floors" in said
