"""`ocs offline rerate`: what it tells, what it moves, and that it moves it once."""

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from ocs.adapters.columns.rerating_book import Book
from ocs.cli import offline_rerate
from ocs.usecases.ports import LedgerUnavailable
from ocs.usecases.rerating import Adjusting, Due, Outcome
from tests.cli.rerate_desk import FRANCE, GERMANY, RerateDesk
from tests.cli.terminal import Terminal


@pytest.fixture
def desk(terminal: Terminal, tmp_path: Path) -> RerateDesk:
    desk = RerateDesk(terminal, tmp_path)
    desk.create_for_cdrs("ann", "bob")
    desk.create("pre")
    desk.create("off", "--kind", "offline")
    return desk


CALLS = (
    ("a", "ann", GERMANY, 61),  # old: 0.12; dear: 0.01 + 0.009 * 11 = 0.109; cheap: 0.0305
    ("b", "ann", FRANCE, 60),
    ("c", "bob", GERMANY, 300),  # old: 0.30; dear: 0.46; cheap: 0.15
    ("d", "pre", GERMANY, 60),
    ("e", "off", GERMANY, 60),
    ("f", "ann", GERMANY, 0),  # answered: dear has a fee
)


def test_a_report_changes_nothing(desk: RerateDesk) -> None:
    desk.run(desk.cdrs("a.csv", *CALLS))
    before = desk.left("ann"), desk.left("bob")
    done = desk.rerate("dear", "--by", "account")
    assert (desk.left("ann"), desk.left("bob")) == before
    assert (done["page"], done["outcomes"]) == ("", [])
    compared = done["compared"]
    assert (compared["uses"], compared["changed"]) == (5, 4)
    assert compared["left_out"] == {"reconciled": 1}
    assert compared["not_applied"] == {"nothing was taken for it: recorded": 2}
    assert [
        (line["key"], line["uses"], line["old"], line["new"], line["difference"], line["due"])
        for line in compared["lines"]
    ] == [
        ("bob", 1, 300_000, 460_000, 160_000, 160_000),
        ("off", 1, 60_000, 100_000, 40_000, 0),
        ("ann", 2, 120_000, 119_000, -1_000, -11_000),
    ]
    assert [each["use_id"] for each in compared["biggest"]] == ["c", "e", "a", "f"]
    rows = desk.differences(done)
    assert rows["use_id"].to_list() == ["a", "c", "e", "f"]
    first = rows.row(0, named=True)
    assert (first["old_amount"], first["new_amount"], first["difference"]) == (
        120_000,
        109_000,
        -11_000,
    )
    assert first["old_generation"] in done["old_generations"]
    assert first["new_generation"] == done["generation"] != first["old_generation"]
    assert (first["new_tariff"], first["new_prefix"]) == ("calls", "49")


def test_what_is_applied_is_applied_once(desk: RerateDesk) -> None:
    desk.run(desk.cdrs("a.csv", *CALLS))
    ann, bob, off = desk.left("ann"), desk.left("bob"), desk.left("off")
    done = desk.rerate("dear", "--apply")
    assert desk.left("ann") == pytest.approx(ann + 0.011)
    assert desk.left("bob") == pytest.approx(bob - 0.16)
    assert (desk.left("off"), desk.left("pre")) == (off, 0)
    assert {(each["account"], each["amount"], each["code"]) for each in done["outcomes"]} == {
        ("ann", -11_000, "OK"),
        ("bob", 160_000, "OK"),
    }
    assert all(each["transaction_id"] for each in done["outcomes"])
    kept = pl.read_parquet(Path(done["folder"]) / "adjustments.parquet").sort("use_id")
    assert kept.select("use_id", "amount").rows() == [("a", -11_000), ("c", 160_000)]
    assert set(kept["transaction_id"]) == {each["transaction_id"] for each in done["outcomes"]}
    again = desk.rerate("dear", "--apply")
    assert (again["page"], again["compared"]["changed"]) == ("", 2), "what is only recorded"
    assert desk.left("bob") == pytest.approx(bob - 0.16)
    desk.terminal.run("verify", *desk.place)


@pytest.mark.slow
def test_there_and_back_gives_back_exactly(desk: RerateDesk) -> None:
    desk.run(desk.cdrs("a.csv", *CALLS))
    wallets = desk.left("ann"), desk.left("bob")
    desk.rerate("dear", "--apply")
    desk.rerate("cheap", "--apply")
    assert desk.left("bob") == pytest.approx(-0.15)
    desk.rerate("dear", "--apply")
    assert desk.left("bob") == pytest.approx(-0.46)
    desk.rerate("old", "--apply")
    assert (desk.left("ann"), desk.left("bob")) == wallets
    assert desk.rerate("old")["compared"]["changed"] == 0
    desk.terminal.run("verify", *desk.place)


@pytest.mark.slow
def test_what_has_no_price_any_more_is_left_alone(desk: RerateDesk) -> None:
    desk.run(desk.cdrs("a.csv", *CALLS))
    blocked = desk.rerate("cheap")["compared"]["not_applied"]
    assert blocked["no price by these tariffs: RATE_BLOCKED"] == 1
    gone = desk.rerate("less")
    assert gone["compared"]["not_applied"]["no price by these tariffs: NO_RATE"] == 1
    row = desk.differences(gone).filter(pl.col("use_id") == "b").row(0, named=True)
    assert (row["old_amount"], row["new_amount"], row["difference"]) == (120_000, None, None)


@pytest.mark.slow
def test_copies_of_rated_cdrs_are_one_use(desk: RerateDesk) -> None:
    path = desk.cdrs("a.csv", *CALLS)
    first, second = desk.run(path), desk.run(path, "copy")
    recorded = desk.run(path, "only-recorded", "--no-debit")
    of = [option for each in (first, second, recorded) for option in ("--of", str(each))]
    done = desk.rerate("dear", "--apply", *of)
    assert {(each["account"], each["amount"], each["uses"]) for each in done["outcomes"]} == {
        ("ann", -11_000, 1),
        ("bob", 160_000, 1),
    }
    assert desk.rerate("dear", *of)["compared"]["not_applied"] == {
        "nothing was taken for it: recorded": 3
    }


@pytest.mark.slow
def test_rows_that_do_not_agree_are_left_alone(desk: RerateDesk) -> None:
    """Somebody wrote what a CDR had been debited into a copy of its row."""
    rated = desk.run(desk.cdrs("a.csv", *CALLS))
    (part,) = rated.glob("tenant=*/day=*/*.parquet")
    rows = pl.read_parquet(part, hive_partitioning=False).filter(pl.col("cdr_id") == "c")
    mine = part.with_name("by-hand.parquet")
    rows.with_columns(settled_amount=pl.lit(1, pl.Int64)).write_parquet(mine)
    done = desk.rerate("dear", "--apply")
    assert done["compared"]["not_applied"]["two rows say different things of it"] == 1
    assert [each["account"] for each in done["outcomes"]] == ["ann"]


@pytest.mark.slow
def test_accounts_that_cannot_be_adjusted_are_told_and_the_others_go_on(desk: RerateDesk) -> None:
    desk.create_for_cdrs("low", floor="-0.09")
    rated = desk.run(desk.cdrs("a.csv", *CALLS, ("x", "low", GERMANY, 60)))
    (part,) = rated.glob("tenant=*/day=*/*.parquet")
    rows = pl.read_parquet(part, hive_partitioning=False)
    strange = rows.filter(pl.col("cdr_id") == "c").with_columns(
        cdr_id=pl.lit("of another store"), account=pl.lit("gone")
    )
    other = rows.filter(pl.col("cdr_id") == "c").with_columns(
        cdr_id=pl.lit("of another time"), account=pl.lit("bob"), wallet_group=pl.lit("other")
    )
    pl.concat([strange, other]).write_parquet(part.with_name("strange.parquet"))
    bob = desk.left("bob")
    done = desk.rerate("dear", "--apply", expect=1)
    refused = {
        (each["account"], each["wallet_group"]): each["reason"]
        for each in done["outcomes"]
        if each["code"] != "OK"
    }
    assert refused.keys() == {("gone", "bob"), ("low", "low"), ("bob", "other")}
    assert "no such account" in refused["gone", "bob"]
    assert refused["low", "low"] == "this would take the balance below its floor"
    assert refused["bob", "other"] == refused["gone", "bob"]
    assert desk.left("bob") == pytest.approx(bob - 0.16)
    again = desk.rerate("dear", "--apply", expect=1)
    assert {each["account"] for each in again["outcomes"]} == {"gone", "low", "bob"}
    desk.terminal.run("credit", "top-up", "low", "1", *desk.place)
    assert desk.rerate("dear", "--apply", "--account", "low")["outcomes"][0]["code"] == "OK"


@pytest.mark.slow
def test_a_book_is_the_only_one_of_its_store(desk: RerateDesk) -> None:
    """In another folder, or in a copy from before, nobody knows what was adjusted already."""
    desk.run(desk.cdrs("a.csv", *CALLS))
    desk.rerate("dear", "--apply")
    bob = desk.left("bob")
    desk.rerate("dear", "--apply", out="other", expect=1)
    assert "in another folder" in desk.terminal.stderr
    pages = desk.folder / "book" / "pages"
    (page,) = pages.iterdir()
    page.rename(desk.folder / "lost")
    desk.rerate("dear", "--apply", expect=1)
    assert f"{page.name} is missing" in desk.terminal.stderr
    (desk.folder / "lost").rename(page)
    assert desk.rerate("dear", "--apply")["page"] == ""
    assert desk.left("bob") == bob


@pytest.mark.slow
def test_one_works_with_a_book_at_a_time(desk: RerateDesk) -> None:
    desk.run(desk.cdrs("a.csv", *CALLS))
    with Book(desk.folder / "book"):
        desk.rerate("dear", expect=1)
    assert "in use by another re-rating" in desk.terminal.stderr
    desk.rerate("dear")


@pytest.mark.slow
def test_half_of_what_was_decided_is_finished_first(
    desk: RerateDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link is lost after the first account; by then somebody has changed the tariffs."""
    desk.run(desk.cdrs("a.csv", *CALLS))
    ann, bob = desk.left("ann"), desk.left("bob")
    moved = Adjusting._moved

    async def lost(self: Adjusting, page: str, due: Due, *rest: Any) -> Outcome:
        outcome = await moved(self, page, due, *rest)
        if due.account == "bob":
            raise LedgerUnavailable("the link is gone")
        return outcome

    with monkeypatch.context() as patch:
        patch.setattr(Adjusting, "_moved", lost)
        desk.rerate("dear", "--apply", expect=1)
    assert "the same command goes on from it" in desk.terminal.stderr
    assert desk.left("bob") == pytest.approx(bob - 0.16), "it was moved, and not written down"
    desk.rerate("cheap", expect=1)
    assert "is applied in part only" in desk.terminal.stderr
    done = desk.rerate("cheap", "--apply")
    assert {(each["account"], each["amount"]) for each in done["finished"]} == {
        ("ann", -11_000),
        ("bob", 160_000),
    }
    assert done["page"].startswith("0002-")
    assert desk.left("bob") == pytest.approx(-0.15)
    desk.rerate("old", "--apply")
    assert (desk.left("ann"), desk.left("bob")) == (ann, bob)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--tenant", "nobody"), "--tenant: there is no 'nobody'; known: demo"),
        (("--from", "then", "--to", "2026-01-01"), "--from: 'then' is neither RFC 3339 nor"),
        (("--from", "2026-02-01", "--to", "2026-02-01"), "--to: expected to be later than --from"),
        (("--by", "moon"), "'moon' is not one of"),
    ],
)
def test_wrong_options(desk: RerateDesk, options: tuple[str, ...], reason: str) -> None:
    desk.rerate("dear", *options, expect=2)
    assert reason in desk.terminal.stderr


def test_it_has_to_be_told_of_what(desk: RerateDesk) -> None:
    desk.terminal.run(*desk.options("dear"), expect=2)
    assert "--of or --online" in desk.terminal.stderr
    for option, kind in (("--of", "rated CDRs"), ("--online", "export of the journal")):
        desk.rerate("dear", option, str(desk.folder), expect=1)
        assert f"holds no {kind}" in desk.terminal.stderr


@pytest.mark.slow
def test_tariffs_that_the_plans_cannot_use(desk: RerateDesk) -> None:
    desk.run(desk.cdrs("a.csv", *CALLS))
    (desk.folder / "dear" / "calls.csv").rename(desk.folder / "dear" / "others.csv")
    desk.rerate("dear", expect=1)
    assert "plan standard: there is no tariff 'calls'" in desk.terminal.stderr


@pytest.mark.slow
def test_a_period_without_calls(desk: RerateDesk) -> None:
    desk.run(desk.cdrs("a.csv", *CALLS))
    done = desk.rerate("dear", "--from", "2020-01-01", "--to", "2020-02-01", "--apply")
    assert (done["compared"]["uses"], done["page"], done["outcomes"]) == (0, "", [])


@pytest.mark.slow
def test_only_some(desk: RerateDesk) -> None:
    desk.run(desk.cdrs("a.csv", *CALLS))
    for options, uses in (
        (("--account", "bob"), ["c"]),
        (("--account", "bob", "--account", "off"), ["c", "e"]),
        (("--destination", "Germany"), ["a", "c", "e", "f"]),
        (("--destination", "France"), []),
        (("--prefix", "4930", "--account", "ann"), ["a", "f"]),
        (("--prefix", "33"), []),
        (("--plan", "standard", "--tenant", "demo"), ["a", "c", "e", "f"]),
        (("--plan", "half"), []),
    ):
        found = desk.rerate("dear", *options)
        told = desk.differences(found)["use_id"].to_list() if uses else []
        assert (told, found["compared"]["changed"]) == (uses, len(uses)), options


@pytest.mark.slow
def test_plans_of_another_configuration(desk: RerateDesk) -> None:
    desk.run(desk.cdrs("a.csv", *CALLS))
    other = desk.folder / "other.toml"
    text = desk.config.read_text(encoding="utf-8")
    other.write_text(text.replace('["calls"]', '["calls"]\nfree_prefixes = ["49"]'), "utf-8")
    done = desk.rerate("old", "--plans-of", str(other), "--account", "bob")
    (line,) = done["compared"]["lines"]
    assert (line["old"], line["new"], line["due"]) == (300_000, 0, -300_000)


def test_the_tables(desk: RerateDesk) -> None:
    desk.create_for_cdrs("low", floor="-0.09")
    desk.run(desk.cdrs("a.csv", *CALLS, ("x", "low", GERMANY, 60)))
    of = ("--of", str(desk.folder / "rated"))
    said = desk.terminal.run(*desk.options("dear", *of, "--by", "account", "--most", "1"))
    assert said.startswith("6 uses compared, 5 have another price by tariffs ")
    cells = [line.split() for line in said.splitlines()]
    assert ["demo", "bob", "1", "0.30", "0.46", "0.16", "0.16", "EUR"] in cells
    assert ["c", "bob", "Germany", "300", "0.30", "0.46", "0.16", "EUR"] in cells
    assert ["reconciled", "1"] in cells
    assert "nothing was adjusted: that is done with --apply" in said
    said = desk.terminal.run(*desk.options("dear", *of, "--apply"), expect=1)
    assert "2 accounts adjusted, 1 refused" in said
    assert "0.16 EUR charged, 0.011 given back" in said
    assert "refused: demo low 0.04 EUR: this would take the balance below" in desk.terminal.stderr
    empty = desk.options("dear", *of, "--from", "2020-01-01", "--to", "2020-01-02")
    assert "nothing was adjusted\n" in desk.terminal.run(*empty)


@pytest.mark.slow
def test_a_table_of_many_lines_is_cut(desk: RerateDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.run(desk.cdrs("a.csv", *CALLS))
    monkeypatch.setattr(offline_rerate, "MOST_LINES", 1)
    of = ("--of", str(desk.folder / "rated"), "--by", "account", "--most", "0")
    assert "and 2 more" in desk.terminal.run(*desk.options("dear", *of))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("day", "after", "hours"),
    [
        ("2026-03-29", "2026-03-30", 23),
        ("2026-10-25", "2026-10-26", 25),
        ("2026-07-01", "2026-07-02", 24),
    ],
)
def test_a_day_is_that_of_the_tenants_clocks(
    desk: RerateDesk, day: str, after: str, hours: int
) -> None:
    """Calls every quarter of an hour about the days on which the clocks of London change."""
    noon_ms = int(datetime.fromisoformat(f"{day}T12:00+00:00").timestamp() * 1_000)
    begins = [noon_ms + quarter * 900_000 for quarter in range(-150, 150)]
    lines = ["cdr_id,subscriber,called,answer_ms,units"]
    lines += [f"c{at_ms},ann,{GERMANY},{at_ms},60" for at_ms in begins]
    path = desk.folder / "a.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    desk.run(path, "rated", "--no-debit")
    done = desk.rerate("dear", "--from", day, "--to", after, "--by", "day")
    (line,) = done["compared"]["lines"]
    assert (line["key"], line["uses"]) == (day, 4 * hours)
    london = ZoneInfo("Europe/London")
    of_day = [
        f"c{at_ms}"
        for at_ms in begins
        if datetime.fromtimestamp(at_ms / 1_000, london).date().isoformat() == day
    ]
    assert desk.differences(done)["use_id"].to_list() == of_day
