"""What a frame of CDRs may hold, and what comes back for it."""

from itertools import pairwise
from typing import Any

import pytest

from ocs.domain.plan import Plan
from ocs.domain.tariff import plan_tariffs
from ocs.domain.timing import Timing
from ocs.domain.zones import UTC_ZONE
from tests.domain.decks import BLOCKED, deck, generation

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
columns = pytest.importorskip("ocs.adapters.columns")
rater_module = pytest.importorskip("ocs.adapters.columns.rater")
paths = pytest.importorskip("ocs.adapters.columns.paths")

NEW_YEAR_MS = 1_798_761_600_000  # 2027-01-01 00:00 UTC
PEAK = Timing(start_s=8 * 3_600, end_s=18 * 3_600, weight=1)
GENERATION = generation(
    deck("world", [("", 60), ("44", 30), ("447", BLOCKED), ("49", ((None, 10), (PEAK, 20)))]),
    deck("dated", [("33", 6, 0, NEW_YEAR_MS), ("33", 12, NEW_YEAR_MS, 2**53 - 1)]),
    deck("texts", [("4", 5), ("5", 10**9)], usage_type="sms"),
)
PLANS = {
    "basic": Plan(name="basic", tariffs=plan_tariffs("dated", "world", "texts")),
    "family": Plan(name="family", tariffs=plan_tariffs("world"), free_prefixes=("4411",)),
}


def cdr(**given: Any) -> dict[str, Any]:
    return {
        "tenant": "demo",
        "plan": "basic",
        "usage_type": "voice",
        "called": "441632960001",
        "answer_ms": NEW_YEAR_MS,
        "units": 90,
    } | given


def rate(*cdrs: dict[str, Any], **kinds: Any) -> list[dict[str, Any]]:
    rater = columns.ColumnRater(GENERATION, PLANS, {})
    rows: list[dict[str, Any]] = rater.rate(pl.DataFrame(cdrs, schema_overrides=kinds)).to_dicts()
    return rows


def test_a_row_comes_back_with_all_that_is_known() -> None:
    assert rate(cdr()) == [
        {
            "amount": 60,
            "currency": "EUR",
            "tariff": "world",
            "prefix": "44",
            "destination": "to 44",
            "model": "flat",
            "code": "OK",
            "generation": "test",
            "fee_amount": 0,
        }
    ]
    (blocked,) = rate(cdr(called="447"))
    assert (blocked["code"], blocked["amount"], blocked["prefix"]) == ("RATE_BLOCKED", None, "447")
    (none,) = rate(cdr(called="33", usage_type="sms"))
    assert {name for name, value in none.items() if value is not None} == {"code", "generation"}
    assert none["code"] == "NO_RATE"


def test_an_empty_frame_has_the_columns_of_prices() -> None:
    rater = columns.ColumnRater(GENERATION, PLANS, {})
    empty = pl.DataFrame(schema=columns.CDRS)
    assert rater.rate(empty).schema == columns.PRICES


@pytest.mark.parametrize(
    "unsound",
    [
        {"units": None},
        {"units": -1},
        {"units": 2**53, "usage_type": "data"},
        {"units": 366 * 86_400 + 1},
        {"answer_ms": None},
        {"answer_ms": -1},
        {"answer_ms": 253_370_764_800_000},
        {"plan": None},
        {"plan": "gone"},
    ],
    ids=str,
)
def test_a_damaged_row_fails_alone(unsound: dict[str, Any]) -> None:
    rows = rate(cdr(), cdr(**unsound), cdr())
    assert [row["code"] for row in rows] == ["OK", "RATING_FAILED", "OK"]
    assert rows[1]["amount"] is None


def test_who_is_called_may_be_missing() -> None:
    (row,) = rate(cdr(called=None))
    assert (row["prefix"], row["amount"]) == ("*", 120)


def test_other_kinds_of_columns_are_taken() -> None:
    (row,) = rate(cdr(), plan=pl.Categorical, units=pl.UInt16, called=pl.Categorical)
    assert row["amount"] == 60


def test_rows_keep_their_places_however_the_frame_is_cut() -> None:
    numbers = ["441", "447", "49", "33", "alice", "4411", "1" * 20]
    rows = [
        cdr(
            called=number,
            plan=plan,
            usage_type=usage,
            answer_ms=NEW_YEAR_MS + 1_000 * (7 * second - 500),
        )
        for second in range(100)
        for number in numbers
        for plan in ("basic", "family", "gone")
        for usage in ("voice", "sms")
    ]
    frame = pl.DataFrame(rows)
    rater = columns.ColumnRater(GENERATION, PLANS, {})
    whole = rater.rate(frame)
    cuts = [0, 1, 2, 700, 701, len(rows)]
    pieces = [rater.rate(frame[begin:end]) for begin, end in pairwise(cuts)]
    assert pl.concat(pieces).equals(whole)
    backwards = rater.rate(frame.reverse())
    assert backwards.reverse().equals(whole)


def test_a_call_across_a_date_or_a_switch_is_priced_by_its_parts() -> None:
    dated, peak = rate(
        cdr(called="33", answer_ms=NEW_YEAR_MS - 60_000, units=180),
        cdr(called="49", answer_ms=NEW_YEAR_MS + 8 * 3_600_000 - 90_000, units=180),
    )
    assert dated["amount"] == 6 + 2 * 12
    assert peak["amount"] == 2 * 10 + 20


def test_an_amount_above_the_limit_fails() -> None:
    within, above = rate(
        cdr(called="4", units=2**53 - 1, usage_type="sms"),
        cdr(called="5", units=2**53 - 1, usage_type="sms"),
    )
    assert (within["code"], within["amount"]) == ("OK", 5 * (2**53 // 60 + 1))
    assert (above["code"], above["amount"], above["prefix"]) == ("RATING_FAILED", None, "5")


def test_few_calls_do_not_flatten_a_deck() -> None:
    big = generation(deck("big", [(f"{prefix:03}", prefix) for prefix in range(300)]))
    plans = {"basic": Plan(name="basic", tariffs=plan_tariffs("big"))}
    rater = columns.ColumnRater(big, plans, {})
    path = rater._path(plans["basic"], "voice", UTC_ZONE)
    few = pl.DataFrame([cdr(called=f"{number:03}") for number in range(3)])
    many = pl.concat([few] * 5)
    assert rater.rate(few)["amount"].to_list() == [0, 2, 4]
    assert path._ranges == {}
    assert rater.rate(many)["amount"].to_list() == [0, 2, 4] * 5
    assert len(path._ranges) == 1


def test_what_is_kept_stays_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (paths, rater_module):
        monkeypatch.setattr(module, "MOST_ROWS_KEPT", 8)
    rater = columns.ColumnRater(GENERATION, PLANS, {})
    for number in range(8):
        early, plan = number % 2, ("basic", "family")[number // 2 % 2]
        at_ms = NEW_YEAR_MS - early * 3_600_000
        rows = [cdr(called="33", answer_ms=at_ms, plan=plan)] * 10
        amounts = rater.rate(pl.DataFrame(rows))["amount"].to_list()
        assert amounts == [2 * (60 if plan == "family" else 6 if early else 12)] * 10
        assert [len(path._ranges) for path in rater._paths.values()] == [1]


def test_plans_with_the_same_tariffs_share_what_is_made_of_them() -> None:
    plans = {name: Plan(name=name, tariffs=plan_tariffs("world")) for name in "abc"}
    rater = columns.ColumnRater(GENERATION, plans, {})
    rater.rate(pl.DataFrame([cdr(plan=name) for name in "abc"]))
    assert len(rater._paths) == 1
