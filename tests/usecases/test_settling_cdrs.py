"""Finished CDRs are debited once: chunks that come again, in pieces, killed, or from two sides."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.wallet import MAIN_BUCKET
from ocs.usecases import settling_cdrs
from ocs.usecases.ports import (
    CDR_DAYS,
    DAY_MS,
    MOST_CDRS_DEBITED,
    CdrDebit,
    DebitCall,
    DebitReply,
    LedgerUnavailable,
    OutcomeUnknown,
    Settler,
    WalletDefinition,
    WalletKey,
)
from ocs.usecases.settling_cdrs import Bill, Settled, Settlement, Settlements, SettlingCdrs
from tests.adapters.reference_ledger import ReferenceLedger

NOW_MS = 1_800_000_000_000
TODAY = NOW_MS // DAY_MS


class Killed(Exception):
    """The sidecar is gone."""


class Mortal:
    """A ledger behind which the sidecar dies, just after or just before the n-th debit."""

    def __init__(self, ledger: ReferenceLedger, *, calls: int = -1, after: bool = False) -> None:
        self.ledger, self.calls, self.after = ledger, calls, after
        self.asked: list[DebitCall] = []

    async def debit(self, call: DebitCall) -> DebitReply:
        self.asked.append(call)
        dies = len(self.asked) - 1 == self.calls
        if dies and not self.after:
            raise Killed
        reply = await self.ledger.debit(call)
        if dies:
            raise Killed
        return reply


def wallet(account: str) -> WalletKey:
    return WalletKey("demo", account)


async def opened(**accounts: Settler) -> ReferenceLedger:
    ledger = ReferenceLedger(now_ms=NOW_MS)
    for account, settler in accounts.items():
        terms = WalletDefinition(
            version=1, currency="EUR", buckets=(MAIN_BUCKET,), settled_by=settler
        )
        assert await ledger.define(wallet(account), terms)
    return ledger


async def left(ledger: ReferenceLedger, account: str) -> int:
    found = await ledger.balance(wallet(account))
    assert found
    return found.balances[0].left


def bill(account: str, items: Sequence[tuple[int, str, int]], day: int = TODAY) -> Bill:
    """Of rows: place, id, amount."""
    return Bill(
        wallet=wallet(account),
        account=account,
        currency="EUR",
        day=day,
        rows=[row for row, _, _ in items],
        cdrs=[CdrDebit(name, f"s-{name}", amount) for _, name, amount in items],
    )


def words(settlements: Settlements) -> list[tuple[int, str, int]]:
    return [(row, s.settled, s.amount) for row, s in sorted(settlements.by_row.items())]


async def test_each_row_is_told_what_became_of_it() -> None:
    ledger = await opened(acme=Settler.CDR, online=Settler.EVENTS, other=Settler.NOBODY)
    settling = SettlingCdrs(ledger)
    bills = [
        bill("acme", [(0, "a", 5), (3, "b", 7), (4, "a", 5)]),
        bill("acme", [(5, "old", 1)], TODAY - CDR_DAYS - 1),
        bill("acme", [(6, "new", 1)], TODAY + 2),
        bill("online", [(1, "c", 9), (7, "c", 9)]),
        bill("other", [(2, "d", 9)]),
        bill("nobody", [(8, "e", 9)]),
    ]
    settled = await settling.settle("one", bills)
    assert words(settled) == [
        (0, "debited", 5),
        (1, "reconciled", 0),
        (2, "recorded", 0),
        (3, "debited", 7),
        (4, "duplicate", 0),
        (5, "rejected", 0),
        (6, "rejected", 0),
        (7, "reconciled", 0),
        (8, "rejected", 0),
    ]
    assert settled.overruns == {("demo", "EUR"): 12}
    assert [await left(ledger, each) for each in ("acme", "online", "other")] == [-12, 0, 0]
    reasons = [settled.by_row[row].reason for row in range(8)]
    assert [bool(reason) for reason in reasons] == [row not in (0, 3) for row in range(8)]


async def test_the_same_chunk_again_is_the_same_rows() -> None:
    ledger = await opened(acme=Settler.CDR)
    bills = [bill("acme", [(0, "a", 5), (1, "b", 7), (2, "a", 5)])]
    first = await SettlingCdrs(ledger).settle("one", bills)
    again = await SettlingCdrs(ledger).settle("one", bills)
    assert again.by_row == first.by_row
    assert (first.overruns, again.overruns) == ({("demo", "EUR"): 12}, {})
    other = await SettlingCdrs(ledger).settle("two", bills)
    assert {each.settled for each in other.by_row.values()} == {Settled.DUPLICATE}
    assert await left(ledger, "acme") == -12


async def test_a_large_bill_goes_in_pieces() -> None:
    """And an id that comes again in a later piece is known from the first."""
    ledger = await opened(acme=Settler.CDR)
    mortal = Mortal(ledger)
    items = [(n, f"c{n}", 1) for n in range(2 * MOST_CDRS_DEBITED + 3)]
    items.append((len(items), "c0", 1))
    settled = await SettlingCdrs(mortal).settle("one", [bill("acme", items)])
    assert [len(call.cdrs) for call in mortal.asked] == [MOST_CDRS_DEBITED] * 2 + [3]
    assert settled.by_row[len(items) - 1].settled is Settled.DUPLICATE
    assert await left(ledger, "acme") == 1 - len(items)


async def test_who_is_not_settled_by_cdrs_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling_cdrs, "MOST_ACCOUNTS_KEPT", 1)
    ledger = await opened(one=Settler.EVENTS, two=Settler.NOBODY)
    mortal = Mortal(ledger)
    settling = SettlingCdrs(mortal)
    for account in ("one", "one", "two", "two", "one"):
        await settling.settle("chunk", [bill(account, [(0, "a", 5)])])
    assert [call.account for call in mortal.asked] == ["one", "two", "one"]


async def test_bills_are_not_sent_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling_cdrs, "MOST_UNDER_WAY", 3)
    ledger = await opened(acme=Settler.CDR)
    under_way: list[int] = []

    class Slow(Mortal):
        async def debit(self, call: DebitCall) -> DebitReply:
            self.calls += len(call.cdrs)
            await asyncio.sleep(0)
            under_way.append(self.calls)
            self.calls -= len(call.cdrs)
            return await self.ledger.debit(call)

    bills = [bill("acme", [(2 * n, f"a{n}", 1), (2 * n + 1, f"b{n}", 1)]) for n in range(4)]
    bills += [bill("acme", [(8 + n, f"c{n}", 1)]) for n in range(4)]
    await SettlingCdrs(Slow(ledger, calls=0)).settle("one", bills)
    assert max(under_way) <= 3
    assert await left(ledger, "acme") == -12


async def test_an_unknown_outcome_is_to_be_done_again() -> None:
    class Lost(Mortal):
        async def debit(self, call: DebitCall) -> DebitReply:
            await self.ledger.debit(call)
            raise OutcomeUnknown("the link is gone")

    ledger = await opened(acme=Settler.CDR)
    bills = [bill("acme", [(0, "a", 5)])]
    with pytest.raises(LedgerUnavailable):
        await SettlingCdrs(Lost(ledger)).settle("one", bills)
    settled = await SettlingCdrs(ledger).settle("one", bills)
    assert settled.by_row == {0: Settlement(Settled.DEBITED, 5)}
    assert await left(ledger, "acme") == -5


rows = st.lists(
    st.tuples(st.sampled_from(["acme", "beta"]), st.sampled_from("abcdefgh"), st.integers(0, 9)),
    max_size=12,
)
deaths = st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=4)


def bills_of(chunk: Sequence[tuple[str, str, int]]) -> list[Bill]:
    """Day and price of a CDR follow from its id, as they do wherever it is read."""
    found: dict[tuple[str, int], list[tuple[int, str, int]]] = {}
    for row, (account, name, _) in enumerate(chunk):
        found.setdefault((account, TODAY - ord(name) % 2), []).append((row, name, ord(name)))
    return [bill(account, items, day) for (account, day), items in found.items()]


@given(chunks=st.lists(rows, min_size=1, max_size=4), deaths=deaths, size=st.integers(1, 4))
async def test_killed_anywhere_and_begun_again_comes_to_the_same(
    chunks: list[list[tuple[str, str, int]]], deaths: list[tuple[int, bool]], size: int
) -> None:
    """The rows of each chunk, and the wallets, are those of an undisturbed run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settling_cdrs, "MOST_CDRS_DEBITED", size)
        both = Settler.CDR
        calm, wild = await opened(acme=both, beta=both), await opened(acme=both, beta=both)
        for number, chunk in enumerate(chunks):
            name, bills = f"chunk {number}", bills_of(chunk)
            wanted = await SettlingCdrs(calm).settle(name, bills)
            for calls, after in deaths:
                mortal = Mortal(wild, calls=calls, after=after)
                try:
                    await SettlingCdrs(mortal).settle(name, bills)
                except Killed:
                    continue
            got = await SettlingCdrs(wild).settle(name, bills)
            assert got.by_row == wanted.by_row
            assert len(got.by_row) == len(chunk)
        for account in ("acme", "beta"):
            assert await left(wild, account) == await left(calm, account)
        once = {(account, name) for chunk in chunks for account, name, _ in chunk}
        owed = Counter[str]()
        for account, name in once:
            owed[account] += ord(name)
        assert {each: -(await left(wild, each)) for each in ("acme", "beta")} == {
            each: owed[each] for each in ("acme", "beta")
        }
        wild.check_invariants()
