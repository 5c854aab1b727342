"""Reconciliation by columns: cases that are read aloud, and a dumb judge for all others."""

import os
import random
import subprocess
import sys
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ocs.adapters.columns import matching, reconciling, sides
from ocs.adapters.columns.sides import SideError
from ocs.usecases.reconciliation import (
    DIFFERENCES,
    Difference,
    Period,
    Reconciled,
    Tolerance,
    Verdict,
)
from tests.adapters.columns.two_sides import (
    HOUR_MS,
    NOON_MS,
    Cdr,
    Charge,
    Folder,
    day_of,
    judged,
    price,
)

MIDNIGHT_MS = NOON_MS + 11 * HOUR_MS  # in London
TODAY, TOMORROW = date(2026, 9, 23), date(2026, 9, 24)
OFFLINE = "it is an offline account"


def counts(found: Reconciled) -> dict[str, int]:
    total: Counter[str] = Counter()
    for day in found.days:
        total.update(day.found)
    return dict(total)


FOREIGN = "441632"
CASES: list[tuple[str, list[Charge], list[Cdr], dict[str, int]]] = [
    ("both say the same", [Charge()], [Cdr()], {"agreed": 1}),
    ("charged, and no CDR", [Charge()], [], {"no_cdr": 1}),
    ("a CDR, and no charge", [], [Cdr()], {"no_charge": 1}),
    ("refused, but the call took place", [], [Cdr(units=9, amount=price(9))], {"no_charge": 1}),
    ("an attempt", [], [Cdr(units=0, amount=0, answered=False, currency=None)], {"nothing": 1}),
    ("a call for help", [], [Cdr(account=None, amount=0, currency=None)], {"nothing": 1}),
    ("a free call that only its CDR tells", [], [Cdr(amount=0)], {"nothing": 1}),
    ("a session that nobody used", [Charge(units=0, amount=0)], [], {"nothing": 1}),
    (
        "nothing on both sides",
        [Charge(units=0, amount=0)],
        [Cdr(units=0, amount=0, answered=False)],
        {"nothing": 1},
    ),
    ("still open", [Charge(is_open=True)], [], {"open": 1}),
    ("still open, and its CDR is there", [Charge(is_open=True, units=7)], [Cdr()], {"open": 1}),
    ("expired, and reported later", [Charge(units=50), Charge(units=10, amount=0)], [Cdr()], {"agreed": 1}),
    ("another account", [Charge(account="beta")], [Cdr()], {"account": 1}),
    ("another currency", [Charge(currency="USD")], [Cdr()], {"currency": 1}),
    ("a second, which costs nothing", [Charge(units=59)], [Cdr()], {"agreed": 1}),
    ("a second that begins a minute", [Charge()], [Cdr(units=61, amount=price(61))], {"agreed": 1}),
    ("a second at another price", [Charge()], [Cdr(units=61, amount=price(61) + 1)], {"amount": 1}),
    ("a second of a plan that is gone", [Charge()], [Cdr(units=61, amount=price(61), plan="old")], {"amount": 1}),
    ("two seconds", [Charge(units=58)], [Cdr()], {"units": 1}),
    ("a byte", [Charge(usage_type="data")], [Cdr(usage_type="data", units=61)], {"units": 1}),
    ("another cost", [Charge(amount=1)], [Cdr()], {"amount": 1}),
    ("a fee that only the CDR knows of", [Charge(units=0, amount=0)], [Cdr(units=0, amount=price(0))], {"amount": 1}),
    ("a second of a call that online never began", [Charge(units=0, amount=0)], [Cdr(units=1, amount=price(1))], {"agreed": 1}),
    ("minutes of a bucket", [Charge(amount=0, of_buckets=60)], [Cdr()], {"units_only": 1}),
    ("more of a bucket than the CDR has", [Charge(units=70, amount=0, of_buckets=70)], [Cdr()], {"units": 1}),
    ("debited by its CDR", [], [Cdr(settled="debited")], {"by_cdr": 1}),
    ("charged and debited", [Charge()], [Cdr(settled="debited")], {"double": 1}),
    ("charged, and debited by a CDR that is elsewhere", [Charge()], [Cdr(settled="duplicate")], {"double": 1}),
    ("a session without use of what was debited", [Charge(units=0, amount=0)], [Cdr(settled="debited")], {"by_cdr": 1}),
    ("could not be debited", [], [Cdr(settled="rejected", reason="too old")], {"by_cdr": 1}),
    ("an offline account", [], [Cdr(settled="recorded", reason=OFFLINE)], {"by_cdr": 1}),
    ("a run that debits nobody", [Charge()], [Cdr(settled="recorded")], {"agreed": 1}),
    ("the CDR twice", [Charge()], [Cdr(), Cdr()], {"agreed": 1}),
    ("two CDRs of one call", [Charge(units=120, amount=price(120))], [Cdr(cdr_id="a"), Cdr(cdr_id="b", begun_ms=NOON_MS + 60_000, amount=price(120) - price(60))], {"agreed": 1}),
    ("both legs, one of them charged", [Charge()], [Cdr(), Cdr(direction="term", amount=0, cdr_id="b")], {"agreed": 1, "nothing": 1}),
    ("both legs, charged to two", [Charge(), Charge(account="beta", direction="forward")], [Cdr(), Cdr(account="beta", direction="forward")], {"agreed": 2}),
    ("sides that name directions apart", [Charge(direction="forward")], [Cdr()], {"agreed": 1}),
    ("the missing CDR of one leg is not the other's", [Charge()], [Cdr(account="beta", direction="term", amount=0)], {"no_cdr": 1, "nothing": 1}),
    ("the missing CDR of one leg is not one that was debited", [Charge()], [Cdr(account="beta", settled="debited")], {"no_cdr": 1, "by_cdr": 1}),
    ("a name that comes again", [Charge(), Charge(begun_ms=NOON_MS + 3 * HOUR_MS)], [Cdr(), Cdr(begun_ms=NOON_MS + 3 * HOUR_MS)], {"agreed": 2}),
    ("a name that comes again, and one CDR", [Charge(), Charge(begun_ms=NOON_MS + 3 * HOUR_MS)], [Cdr()], {"agreed": 1, "no_cdr": 1}),
    ("parts of a long call", [Charge(units=14_400, amount=3)], [Cdr(cdr_id="a", units=14_000, amount=1), Cdr(cdr_id="b", units=200, amount=1), Cdr(cdr_id="c", units=200, amount=1, begun_ms=NOON_MS + 3 * HOUR_MS)], {"agreed": 1}),
    ("another tenant", [Charge()], [Cdr(tenant="acme")], {"no_cdr": 1, "no_charge": 1}),
    ("a message of a call's name", [Charge()], [Cdr(), Cdr(usage_type="sms", units=1, amount=9)], {"agreed": 1, "no_charge": 1}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("charges", "cdrs", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_call_is_judged(
    tmp_path: Path, charges: list[Charge], cdrs: list[Cdr], wanted: dict[str, int]
) -> None:
    found = Folder(tmp_path).write(charges, cdrs).reconcile()
    assert counts(found) == wanted
    told, twice = judged(charges, cdrs)
    assert sum(told.values()) == sum(wanted.values())
    assert {word for _, _, _, word in told} == set(wanted)
    assert sum(day.duplicates for day in found.days) == twice


def test_what_is_tolerated_is_said(tmp_path: Path) -> None:
    folder = Folder(tmp_path).write(
        [Charge(units=53), Charge(session="sms", usage_type="sms", units=2, amount=20_000)],
        [Cdr(), Cdr(session="sms", usage_type="sms", units=3, amount=30_000)],
    )
    assert counts(folder.reconcile()) == {"units": 2}
    near = Tolerance(seconds=7, other_units=1)
    assert counts(folder.reconcile(tolerance=near)) == {"amount": 1, "agreed": 1}
    for amount, word in (("0.0099", "amount"), ("0.01", "agreed")):
        tolerance = Tolerance(seconds=7, other_units=1, amount=amount)
        (sms,) = {each.verdict for each in folder.reconcile(tolerance=tolerance).first} or {
            "agreed"
        }
        assert sms == word


def test_tolerance_is_for_each_cdr(tmp_path: Path) -> None:
    parts = [
        Cdr(cdr_id=str(n), units=30, amount=price(60) // 5, begun_ms=NOON_MS + n) for n in range(5)
    ]
    charge = Charge(units=145, amount=price(60) // 5 * 5)
    assert counts(Folder(tmp_path).write([charge], parts).reconcile()) == {"agreed": 1}


def test_a_difference_tells_both_sides(tmp_path: Path) -> None:
    out = tmp_path / "differences.parquet"
    charges, cdrs = [Charge(begun_ms=NOON_MS + 500)], [Cdr(units=67, amount=price(67))]
    (first,) = Folder(tmp_path).write(charges, cdrs).reconcile(out).first
    assert first == Difference(
        tenant="demo",
        day=TODAY,
        verdict="units",
        session_id="s",
        usage_type="voice",
        online_account="acme",
        online_units=60,
        online_amount=65_000,
        online_currency="EUR",
        online_begun_ms=NOON_MS + 500,
        online_called="4930",
        online_records=1,
        online_transaction=f"017-{NOON_MS + 1}-0",
        cdr_account="acme",
        cdr_units=67,
        cdr_amount=125_000,
        cdr_currency="EUR",
        cdr_begun_ms=NOON_MS,
        cdr_called="4930",
        cdrs=1,
        cdr_id="cdr-s",
        cdr_file="a.csv",
        cdr_line=2,
        cdr_settled="reconciled",
        cdr_debited_amount=0,
    )
    rows = pl.read_parquet(out)
    assert rows.schema == reconciling.DIFFERENCES
    assert tuple(reconciling.DIFFERENCES) == Difference.__struct_fields__
    (row,) = rows.to_dicts()
    assert row == {name: getattr(first, name) for name in reconciling.DIFFERENCES}


def test_a_side_that_is_not_there_is_null(tmp_path: Path) -> None:
    found = Folder(tmp_path).write([Charge()], [Cdr(session="t")]).reconcile()
    no_cdr, no_charge = sorted(found.first, key=lambda each: each.verdict, reverse=True)[::-1]
    of_side = [
        [getattr(each, n) for n in reconciling.DIFFERENCES if n.startswith("cdr")]
        for each in (no_cdr, no_charge)
    ]
    assert (no_cdr.verdict, no_charge.verdict) == ("no_cdr", "no_charge")
    assert set(of_side[0]) == {None}
    assert None not in of_side[1]
    assert {getattr(no_charge, n) for n in reconciling.DIFFERENCES if n.startswith("online")} == {
        None
    }


def test_calls_are_judged_in_the_order_of_the_verdicts() -> None:
    rules = matching._rules(is_explained=pl.lit(value=False))
    assert [*(word for _, word in rules), Verdict.AGREED] == list(Verdict)


# --- Days -----------------------------------------------------------------------------------------


def test_a_call_over_midnight_is_one_call_of_the_day_of_its_cdr(tmp_path: Path) -> None:
    late = Charge(begun_ms=MIDNIGHT_MS + 5_000)
    folder = Folder(tmp_path).write([late], [Cdr(begun_ms=MIDNIGHT_MS - 5_000)])
    for period in (Period(), Period(first=TODAY, last=TODAY)):
        (day,) = folder.reconcile(period=period).days
        assert (day.day, day.found) == (TODAY, {"agreed": 1})
    assert folder.reconcile(period=Period(first=TOMORROW)).days == ()
    assert folder.reconcile(period=Period(last=date(2026, 9, 22))).days == ()


def test_each_call_is_in_one_period(tmp_path: Path) -> None:
    """Days that are compared one by one come to what they come to together."""
    hours = range(-30, 40)
    half_ms = HOUR_MS // 2
    charges = [Charge(session=str(n), begun_ms=NOON_MS + n * HOUR_MS + half_ms) for n in hours]
    cdrs = [
        Cdr(session=str(n), begun_ms=NOON_MS + n * HOUR_MS + half_ms + shift * half_ms)
        for n in hours
        for shift in ([-1, 0, 1][(n + 1) % 3],)
        if n % 4
    ]
    folder = Folder(tmp_path).write(charges, cdrs)
    whole = folder.reconcile()
    days = [date(2026, 9, day) for day in range(20, 28)]
    singly = [folder.reconcile(period=Period(first=day, last=day)) for day in days]
    assert [each for found in singly for each in found.days] == list(whole.days)
    assert [each for found in singly for each in found.first] == list(whole.first)
    assert sum(counts(whole).values()) == len(hours)


def test_a_day_is_that_of_the_tenants_clocks(tmp_path: Path) -> None:
    """Half an hour before midnight in UTC it is the next day in London."""
    at_ms = MIDNIGHT_MS + HOUR_MS // 2
    found = Folder(tmp_path).write(
        [Charge(begun_ms=at_ms), Charge(begun_ms=at_ms, tenant="acme")], []
    )
    assert [(day.tenant, day.day) for day in found.reconcile().days] == [
        ("acme", TODAY),
        ("demo", TOMORROW),
    ]


def test_money_is_told_by_day_and_currency(tmp_path: Path) -> None:
    charges = [
        Charge(amount=7),
        Charge(session="t", currency="USD"),
        Charge(session="u", is_open=True),
    ]
    cdrs = [Cdr(), Cdr(session="v", settled="debited")]
    (day,) = Folder(tmp_path).write(charges, cdrs).reconcile().days
    assert [(each.currency, each.online, each.cdrs) for each in day.money] == [
        ("EUR", 7, price(60)),
        ("USD", price(60), 0),
    ]
    assert (day.calls, day.differences) == (4, 2)


def test_one_tenant_may_be_asked_for(tmp_path: Path) -> None:
    both = [Charge(), Charge(tenant="acme")]
    folder = Folder(tmp_path).write(both, [Cdr(tenant="acme", session="t"), Cdr(session="t")])
    assert {day.tenant for day in folder.reconcile().days} == {"acme", "demo"}
    (day,) = folder.reconcile(tenant="acme").days
    assert (day.tenant, day.calls) == ("acme", 2)


# --- What is there, and what is not ---------------------------------------------------------------


def test_either_side_may_be_empty(tmp_path: Path) -> None:
    assert Folder(tmp_path / "a").write([], []).reconcile() == Reconciled((), ())
    assert counts(Folder(tmp_path / "b").write([], [Cdr()]).reconcile()) == {"no_charge": 1}
    out = tmp_path / "none.parquet"
    assert counts(Folder(tmp_path / "c").write([Charge()], [Cdr()]).reconcile(out)) == {"agreed": 1}
    assert pl.read_parquet(out).schema == reconciling.DIFFERENCES


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with pytest.raises(SideError, match="holds no rated CDRs"):
        folder.reconcile()
    folder.write([Charge()], [])
    table = folder.tables / "cdrs" / "partition=017" / "00000000.parquet"
    pl.read_parquet(table).drop("started_ms").write_parquet(table)
    with pytest.raises(SideError, match="lacks started_ms: export it again"):
        folder.reconcile()


def test_only_the_first_are_told_and_all_are_written(tmp_path: Path) -> None:
    out = tmp_path / "all.parquet"
    charges = [Charge(session=str(n), begun_ms=NOON_MS + n) for n in range(50)]
    found = Folder(tmp_path).write(charges, []).reconcile(out, most=3)
    assert [each.session_id for each in found.first] == ["0", "1", "2"]
    assert (found.differences, len(pl.read_parquet(out))) == (50, 50)


def test_a_file_of_differences_is_replaced_when_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out" / "all.parquet"
    out.parent.mkdir()
    out.write_text("the one before", encoding="ascii")
    folder = Folder(tmp_path).write([Charge(session=str(n)) for n in range(9)], [])
    with monkeypatch.context() as patch:
        patch.setattr(sides, "ROWS", 3)
        _fail_at_the_second(patch)
        with pytest.raises(OSError, match="full"):
            folder.reconcile(out)
    assert [path.name for path in out.parent.iterdir()] == ["all.parquet"]
    assert out.read_text(encoding="ascii") == "the one before"
    folder.reconcile(out)
    assert len(pl.read_parquet(out)) == 9


def _fail_at_the_second(patch: pytest.MonkeyPatch) -> None:
    add = reconciling._DifferencesFile.add

    def failing(self: Any, rows: pl.DataFrame) -> None:
        if self._parts:
            raise OSError(28, "the disk is full")
        add(self, rows)

    patch.setattr(reconciling._DifferencesFile, "add", failing)


KILLED = """
import os, signal, sys
from pathlib import Path
from ocs.adapters.columns import reconciling
from tests.adapters.columns.two_sides import Folder

class Killed(type(Path())):
    def replace(self, to):
        os.kill(os.getpid(), signal.SIGKILL)

reconciling.Path = Killed
Folder(Path(sys.argv[1])).reconcile(Path(sys.argv[2]))
"""


def test_a_kill_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    out = tmp_path / "all.parquet"
    out.write_text("the one before", encoding="ascii")
    folder = Folder(tmp_path).write([Charge()], [])
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(out)],
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
    )
    assert killed.returncode == -9, killed.stderr
    assert out.read_text(encoding="ascii") == "the one before"
    folder.reconcile(out)
    assert len(pl.read_parquet(out)) == 1


# --- Against the dumb judge -----------------------------------------------------------------------

CALLS = 4_000


def some_charge(chance: random.Random, session: str) -> Charge:
    units = chance.choice([0, 1, 59, 60, 61, 62, 4_000])
    return Charge(
        session=session,
        account=chance.choice(["acme", "acme", "beta"]),
        tenant=chance.choice(["demo"] * 6 + ["acme"]),
        usage_type=chance.choice(["voice"] * 6 + ["data"]),
        direction=chance.choice(["orig", "orig", "term"]),
        begun_ms=NOON_MS + chance.choice([0, 0, 1_000, HOUR_MS, 9 * HOUR_MS, 11 * HOUR_MS]),
        units=units,
        amount=price(units, answered=False) + chance.choice([0, 0, 0, 1]),
        currency=chance.choice(["EUR"] * 8 + ["USD", None]),
        of_buckets=chance.choice([0] * 7 + [60]),
        is_open=chance.random() < 0.05,
    )


def some_cdr(chance: random.Random, charge: Charge) -> Cdr:
    """A CDR of a call, with some of it told otherwise."""
    units = max(0, charge.units + chance.choice([0, 0, 0, 1, -1, 1, 2, 60]))
    answered = units > 0 or chance.random() < 0.5
    settled = chance.choice(["reconciled"] * 8 + ["recorded", "debited", "duplicate", "rejected"])
    return Cdr(
        session=charge.session,
        account=chance.choice([charge.account] * 6 + ["beta", None]),
        tenant=charge.tenant,
        usage_type=charge.usage_type,
        direction=chance.choice([charge.direction] * 4 + ["orig", "term"]),
        begun_ms=charge.begun_ms + chance.choice([0, 0, 500, -HOUR_MS // 2, 8 * HOUR_MS]),
        units=units,
        amount=chance.choice([price(units, answered=answered)] * 4 + [charge.amount, 0]),
        currency=chance.choice([charge.currency, "EUR"]),
        cdr_id=chance.choice(["", "", "x"]),
        settled=settled,
        reason=chance.choice([None, OFFLINE]) if settled == "recorded" else None,
        plan=chance.choice(["standard"] * 4 + ["gone"]),
        answered=answered,
    )


def some_calls(chance: random.Random) -> tuple[list[Charge], list[Cdr]]:
    """Sides of calls, most of which have one record on each."""
    charges: list[Charge] = []
    cdrs: list[Cdr] = []
    for number in range(CALLS):
        few = [some_charge(chance, f"s{number}") for _ in range(chance.choice([1, 1, 1, 2, 3]))]
        cdrs += [
            some_cdr(chance, chance.choice(few)) for _ in range(chance.choice([0, 1, 1, 1, 2, 3]))
        ]
        if chance.random() < 0.3 and cdrs:
            cdrs.append(chance.choice(cdrs[-3:]))
        charges += few[: chance.choice([0, 1, 2, 3])]
    return charges, cdrs


@pytest.mark.parametrize("rows", [10**6, CALLS // 2])
def test_columns_judge_as_plain_loops_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(sides, "ROWS", rows)
    seed = random.randrange(2**32)
    charges, cdrs = some_calls(random.Random(seed))
    told, twice = judged(charges, cdrs)
    assert {word for _, _, _, word in told} == set(Verdict)
    found = Folder(tmp_path).write(charges, cdrs).reconcile(most=10**6)
    named = Counter((each.tenant, each.day, each.session_id, each.verdict) for each in found.first)
    differences = {key: count for key, count in told.items() if key[3] in DIFFERENCES}
    assert named == Counter(differences), f"seed {seed}"
    by_day = Counter[tuple[str, date, str]]()
    for (tenant, day, _, word), count in told.items():
        by_day[tenant, day, word] += count
    days = {(day.tenant, day.day, word): n for day in found.days for word, n in day.found.items()}
    assert days == by_day, f"seed {seed}"
    assert sum(day.duplicates for day in found.days) == twice, f"seed {seed}"


def test_the_judge_knows_days() -> None:
    assert day_of(MIDNIGHT_MS, "demo") == TOMORROW
    assert day_of(MIDNIGHT_MS, "acme") == TODAY
