"""Rated rows become bills, and say afterwards what became of them."""

from typing import Any

import polars as pl
import pytest

from ocs.adapters.columns.bills import bills_of, with_settlements
from ocs.usecases.ports import DAY_MS, CdrDebit, WalletKey
from ocs.usecases.settling_cdrs import Settled, Settlement

NOON_MS = 20_000 * DAY_MS + DAY_MS // 2
SCHEMA: dict[str, Any] = {
    "cdr_id": pl.String,
    "session_id": pl.String,
    "tenant": pl.String,
    "account": pl.String,
    "wallet_group": pl.String,
    "currency": pl.String,
    "amount": pl.Int64,
    "usage_type": pl.String,
    "units": pl.Int64,
    "duration_ms": pl.Int64,
    "used_ms": pl.Int64,
    "end_ms": pl.Int64,
    "settled": pl.String,
}


def rows(*changes: dict[str, Any]) -> pl.DataFrame:
    """CDRs of one account at noon, c0 and on."""
    plain = {
        "session_id": "s",
        "tenant": "demo",
        "account": "acme",
        "wallet_group": "family",
        "currency": "EUR",
        "amount": 5,
        "usage_type": "voice",
        "units": 60,
        "duration_ms": None,
        "used_ms": NOON_MS,
        "end_ms": NOON_MS,
        "settled": "recorded",
    }
    return pl.DataFrame(
        [plain | {"cdr_id": f"c{n}"} | change for n, change in enumerate(changes)], schema=SCHEMA
    )


def test_rows_are_gathered_by_who_pays_and_when_it_ended() -> None:
    table = rows(
        {},
        {"account": "other", "wallet_group": "other"},
        {"amount": 0, "account": None, "wallet_group": None, "currency": ""},
        {"amount": 7},
        {"end_ms": NOON_MS + DAY_MS},
        {"currency": "USD"},
    )
    bills = list(bills_of(table))
    assert [(b.account, b.currency, b.day, list(b.rows)) for b in bills] == [
        ("acme", "EUR", 20_000, [0, 3]),
        ("other", "EUR", 20_000, [1]),
        ("acme", "EUR", 20_001, [4]),
        ("acme", "USD", 20_000, [5]),
    ]
    assert bills[0].wallet == WalletKey("demo", "family")
    assert bills[0].cdrs == [CdrDebit("c0", "s", 5), CdrDebit("c3", "s", 7)]


@pytest.mark.parametrize(
    ("change", "days"),
    [
        ({"end_ms": NOON_MS + DAY_MS}, 1),
        ({"end_ms": None}, 0),
        ({"end_ms": None, "duration_ms": DAY_MS}, 1),
        ({"end_ms": None, "units": 86_400}, 1),
        ({"end_ms": None, "usage_type": "data", "units": 86_400}, 0),
    ],
)
def test_the_day_is_that_of_the_end(change: dict[str, Any], days: int) -> None:
    [bill] = bills_of(rows(change))
    assert bill.day == 20_000 + days


def test_a_chunk_that_owes_nothing_has_no_bills() -> None:
    assert not list(bills_of(rows()))
    assert not list(bills_of(rows({"amount": 0})))


def test_each_row_says_what_became_of_it() -> None:
    table = rows({}, {"amount": 0}, {})
    told = with_settlements(
        table,
        {
            2: Settlement(Settled.DEBITED, 5),
            0: Settlement(Settled.REJECTED, reason="too old"),
        },
    )
    assert told.select("cdr_id", "settled", "settled_amount", "settled_reason").rows() == [
        ("c0", "rejected", 0, "too old"),
        ("c1", "recorded", 0, ""),
        ("c2", "debited", 5, ""),
    ]
    assert told.columns[: len(SCHEMA)] == list(SCHEMA)
