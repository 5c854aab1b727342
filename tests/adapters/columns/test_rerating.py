"""What uses would cost by other tariffs, held against the price of each by itself."""

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocs.domain.generation import Generation
from ocs.domain.plan import Plan
from ocs.domain.tariff import ANY_CURRENCY, plan_tariffs
from ocs.domain.timing import Timing
from ocs.domain.zones import UTC_ZONE
from tests.adapters.columns.test_rater import (
    AMOUNT,
    CODE,
    CURRENCY,
    LONDON,
    SPRING_MS,
    books,
    cdr,
    priced,
)
from tests.domain.decks import deck, generation

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
charged_uses = pytest.importorskip("ocs.adapters.columns.charged_uses")
rerating = pytest.importorskip("ocs.adapters.columns.rerating")

ZONES = {"there": LONDON, "here": UTC_ZONE}
NOTHING = pl.DataFrame(schema=rerating.ADJUSTED)
USE: dict[str, Any] = {
    "source": "cdr",
    "tenant": "here",
    "account": "ann",
    "wallet_group": "ann",
    "use_id": "c1",
    "part": "20000",
    "plan": "standard",
    "usage_type": "voice",
    "called": "4930",
    "caller": "",
    "trunk": "",
    "used_ms": SPRING_MS,
    "until_ms": SPRING_MS,
    "units": 60,
    "answered": True,
    "charged_amount": 0,
    "currency": "EUR",
    "tariff": "calls",
    "prefix": "49",
    "destination": "Germany",
    "generation": "old",
    "settled": "debited",
    "doubt": "",
}

Book = tuple[Generation, dict[str, Plan]]


def uses(*changed: dict[str, Any]) -> Any:
    return pl.DataFrame([USE | each for each in changed], schema=charged_uses.USES)


def compared(book: Book, frame: Any, adjusted: Any = NOTHING) -> Any:
    return rerating.Comparer(*book, ZONES, adjusted).compare(frame)


def adjusted(*differences: Any) -> Any:
    """What applying all of them has moved."""
    rows = pl.concat(differences).filter("applies").select(*rerating.key_hashes(), "difference")
    return rows.group_by("h1", "h2").agg(
        adjusted_amount=pl.col("difference").sum(), is_left_alone=pl.lit(value=False)
    )


def charged(chance: Random, book: Book, number: int) -> dict[str, Any]:
    """A use of somewhere, charged by its price one by one, or by whatever it was."""
    row = cdr(chance)
    price = priced(*book, row)
    is_priced = price[CODE] == "OK"
    return USE | {
        **{name: row[name] for name in row if name != "answer_ms"},
        "used_ms": row["answer_ms"],
        "use_id": f"c{number}",
        "charged_amount": price[AMOUNT] if is_priced else chance.randrange(1_000),
        "currency": (price[CURRENCY] if is_priced else "") or "EUR",
        "settled": chance.choice(["debited", "debited", "recorded", "rejected"]),
        "doubt": chance.choice(["", "", "", "it is odd"]),
    }


def expected(book: Book, use: dict[str, Any], moved: int) -> tuple[Any, ...] | None:
    """Old, new, difference, and whether it applies; None where nothing is to be told."""
    price = priced(*book, use | {"answer_ms": use["used_ms"]})
    old = use["charged_amount"] + moved
    is_told = price[CODE] == "OK" and price[CURRENCY] in (use["currency"], ANY_CURRENCY)
    new = price[AMOUNT] if is_told and not use["doubt"] else None
    if (old == 0) if new is None else (new == old):
        return None
    applies = new is not None and use["settled"] == "debited"
    return old, new, None if new is None else new - old, applies


def moved_by(*pages: Any) -> dict[str, int]:
    """What applying all of them has moved, by use."""
    sums: Counter[str] = Counter()
    for row in pl.concat(pages).filter("applies").iter_rows(named=True):
        sums[row["use_id"]] += row["difference"]
    return sums


@pytest.mark.slow
@settings(max_examples=settings().max_examples // 8)
@given(books(), books(), st.integers(0, 2**32))
def test_differences_are_those_of_single_uses(old: Book, new: Book, seed: int) -> None:
    """By other tariffs, by them again, and by the old ones: every time as one by one."""
    chance = Random(seed)
    rows = [charged(chance, old, number) for number in range(200)]
    frame = pl.DataFrame(rows, schema=charged_uses.USES)
    pages: list[Any] = [compared(new, frame).clear()]
    for book in (new, new, old):
        moved = moved_by(*pages)
        page = compared(book, frame, adjusted(*pages))
        found = {row["use_id"]: row for row in page.iter_rows(named=True)}
        for use in rows:
            row = found.get(use["use_id"])
            told = row and tuple(
                row[name] for name in ("old_amount", "new_amount", "difference", "applies")
            )
            assert told == expected(book, use, moved[use["use_id"]]), use
        pages.append(page)
    assert pages[2].filter("applies").is_empty(), "the same tariffs again"
    moved = moved_by(*pages)
    for use in rows:
        if priced(*old, use | {"answer_ms": use["used_ms"]})[CODE] == "OK":
            assert moved[use["use_id"]] == 0, use


GERMANY = deck("calls", [("49", 60)])
PEAK = Timing(start_s=8 * 3_600, end_s=18 * 3_600, weight=10)
TEXTS = deck("texts", [("49", ((None, 60), (PEAK, 120)))], usage_type="sms")


def standard(*decks: Any, **plan: Any) -> Book:
    names = dict.fromkeys(each.head.tariff for each in decks)
    return generation(*decks), {"standard": Plan("standard", plan_tariffs(*names), **plan)}


def test_another_currency_is_told_and_left_alone() -> None:
    yen = standard(deck("calls", [("49", 60)], code="JPY"))
    (row,) = compared(yen, uses({"charged_amount": 5})).to_dicts()
    assert (row["new_amount"], row["applies"]) == (None, False)
    assert row["reason"] == "the price is in another currency"
    free = standard(deck("calls", [("49", 60)], code="JPY"), free_prefixes=("49",))
    (row,) = compared(free, uses({"charged_amount": 5})).to_dicts()
    assert (row["new_amount"], row["applies"], row["currency"]) == (0, True, "EUR")


def test_a_plan_that_is_not_there_any_more_has_no_price() -> None:
    book = standard(GERMANY)
    (row,) = compared(book, uses({"plan": "gone", "charged_amount": 5}, {"plan": ""})).to_dicts()
    assert row["reason"] == "no price by these tariffs: RATING_FAILED"


def test_what_a_page_may_have_adjusted_is_left_alone() -> None:
    """Whatever the tariffs say; of the others each is put right by what was moved for it."""
    frame = uses(*({"charged_amount": 5, "use_id": name} for name in ("a", "b", "c")))
    known = frame.head(2).select(
        *rerating.key_hashes(), adjusted_amount=pl.lit(7), is_left_alone=pl.col("use_id") == "a"
    )
    left, moved, other = compared(standard(GERMANY), frame, known).to_dicts()
    assert (left["new_amount"], left["difference"], left["applies"]) == (None, None, False)
    assert left["reason"] == rerating.LEFT_ALONE
    assert (moved["old_amount"], moved["difference"], moved["applies"]) == (12, 48, True)
    assert (other["old_amount"], other["difference"], other["applies"]) == (5, 55, True)


ONLINE = {"source": "online", "charged_amount": 5}


def test_the_journal_does_not_tell_the_trunk() -> None:
    """So where tariffs ask for it, what was charged online is left alone; CDRs tell it."""
    book = standard(GERMANY, deck("calls", [("49", 30)], trunk="north"))
    online, cdr = compared(book, uses(ONLINE, {"charged_amount": 5, "trunk": "north"})).to_dicts()
    assert (online["difference"], online["reason"]) == (None, rerating.NOT_TOLD_TRUNK)
    assert (cdr["difference"], cdr["reason"]) == (25, "")


def test_messages_whose_price_changes_while_the_session_goes_on() -> None:
    """Each report had the price of its time, and how many it was is not told here."""
    eight_ms = SPRING_MS + 6 * 3_600_000 + 3_600_000  # 08:00 UTC
    text = ONLINE | {"usage_type": "sms", "used_ms": eight_ms - 10, "units": 1}
    book = standard(TEXTS)
    before, across = compared(
        book, uses(text | {"until_ms": eight_ms - 1}, text | {"until_ms": eight_ms})
    ).to_dicts()
    assert (before["new_amount"], before["reason"]) == (60, "")
    assert (across["new_amount"], across["reason"]) == (None, rerating.PRICE_CHANGES)


def test_calls_are_priced_across_a_change() -> None:
    book = standard(deck("calls", [("49", ((None, 60), (PEAK, 120)))]))
    eight_ms = SPRING_MS + 7 * 3_600_000
    (row,) = compared(book, uses(ONLINE | {"used_ms": eight_ms - 60_000, "units": 120})).to_dicts()
    assert (row["new_amount"], row["reason"]) == (180, "")


def test_the_day_is_that_of_the_tenants_clocks() -> None:
    late_ms = SPRING_MS + 22 * 3_600_000 + 1_800_000  # 23:30 UTC: half past midnight in London
    paid = {"charged_amount": 5, "used_ms": late_ms}
    rows = compared(standard(GERMANY), uses(paid, paid | {"tenant": "there"}))
    assert rows["day"].cast(pl.String).to_list() == ["2026-03-29", "2026-03-30"]
