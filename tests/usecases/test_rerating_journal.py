"""What the journal says of adjustments that the ledger may have forgotten."""

import json
from collections.abc import Callable, Collection, Sequence
from zlib import crc32

import pytest

from ocs.usecases.addresses import wallet_address
from ocs.usecases.journal import DamagedReel, Posted
from ocs.usecases.parked_journal import FOR_EVER
from ocs.usecases.ports import DAY_MS, WalletKey
from ocs.usecases.rerating import Due, Fates, whose
from ocs.usecases.rerating_journal import PageJournal
from ocs.usecases.verification import Entry

DECIDED_MS = 50 * DAY_MS
SINCE_MS = DECIDED_MS - DAY_MS
PAGE = "0003-abc"
PARTITIONS = 4

Credit = tuple[str, int, str]
"""Wallet group, amount, reason."""


def partition_of(wallet: WalletKey) -> int:
    return crc32(wallet.wallet_group.encode()) % PARTITIONS


class MemorySource:
    """Entries of wallets, and from when on each partition is known; `known_ms` may raise."""

    def __init__(self, *moved: Credit, known_ms: Callable[[int], int] = lambda _: FOR_EVER) -> None:
        self.read_since: dict[int, int] = {}
        self._known_ms = known_ms
        self._entries = [_entry(number, *credit) for number, credit in enumerate(moved)]

    async def read(
        self,
        partition: int,
        subjects: Collection[str],
        since_ms: int,
        take: Callable[[Posted], None],
    ) -> int:
        assert partition not in self.read_since, "each is read once"
        self.read_since[partition] = since_ms
        for each in self._entries:
            if each.partition == partition and each.entry.subject in subjects:
                take(each)
        return self._known_ms(partition)


def _entry(number: int, group: str, amount: int, reason: str) -> Posted:
    wallet = WalletKey("demo", group)
    is_credit = reason != "define"
    return Posted(
        entry=Entry(
            transaction_id=f"t{number}",
            wallet=wallet,
            subject=wallet_address(wallet),
            kind="credit" if is_credit else "define",
            request="",
            at_ms=DECIDED_MS,
            state="",
            changes=(),
        ),
        partition=partition_of(wallet),
        event_ms=0,
        info=json.dumps(["main", amount, reason]) if is_credit else "",
        result=None,
        ratings=(),
    )


def due(account: str, amount: int = 5, group: str = "", currency: str = "EUR") -> Due:
    return Due("demo", account, group or account, currency, amount, 1)


async def fates(source: MemorySource, *dues: Due) -> Fates:
    return await PageJournal(source, partition_of).fates(PAGE, DECIDED_MS, dues)


def unknown_of(found: Fates) -> Sequence[str]:
    return sorted(account for _, account, _, _ in found.unknown)


async def test_an_entry_says_for_which_page_and_account_it_was() -> None:
    source = MemorySource(
        ("ann", -5, "define"),
        ("ann", -5, "rerate 0003-abc ann"),
        ("bob", -5, "rerate 0002-abc bob"),
        ("eve", -5, "top-up"),
        ("kin", -5, "rerate 0003-abc son"),
    )
    found = await fates(
        source, due("ann"), due("bob"), due("eve"), due("son", group="kin"), due("dad", group="kin")
    )
    assert found.moved == {whose(due("ann")): "t1", whose(due("son", group="kin")): "t4"}
    assert found.unknown == {}
    assert set(source.read_since.values()) == {SINCE_MS}


async def test_an_adjustment_of_the_same_amount_may_be_the_one() -> None:
    source = MemorySource(
        ("ann", -5, "adjust"),
        ("bob", 5, "adjust"),
        ("eve", -5, "adjust"),
        ("eve", -5, "rerate 0003-abc eve"),
    )
    found = await fates(source, due("ann"), due("bob"), due("eve"))
    assert unknown_of(found) == ["ann"]
    assert found.moved == {whose(due("eve")): "t3"}


async def test_of_two_currencies_the_one_has_moved_whose_amount_it_was() -> None:
    """Both are of one account, so their adjustments are called the same."""
    source = MemorySource(("ann", -5, "rerate 0003-abc ann"))
    euros, dollars = due("ann"), due("ann", 700, currency="USD")
    assert await fates(source, euros, dollars) == Fates({whose(euros): "t0"}, {})


@pytest.mark.parametrize("amounts", [(700,), (6, 700), (5, 5)])
async def test_an_entry_of_the_name_that_no_amount_or_two_explain(amounts: Sequence[int]) -> None:
    source = MemorySource(("ann", -5, "rerate 0003-abc ann"))
    dues = [due("ann", amount, currency=f"X{i}") for i, amount in enumerate(amounts)]
    found = await fates(source, *dues)
    assert (found.moved, set(found.unknown)) == ({}, {whose(each) for each in dues})


async def test_of_a_partition_that_cannot_be_read_nobody_can_tell() -> None:
    """Unless the entry itself came before the damage."""

    damaged = partition_of(WalletKey("demo", "ann"))

    def known_ms(partition: int) -> int:
        if partition == damaged:
            raise DamagedReel("003/00000001 cannot be read")
        return FOR_EVER

    source = MemorySource(("ann", -5, "rerate 0003-abc ann"), known_ms=known_ms)
    names = [f"a{number}" for number in range(20)]
    found = await fates(source, due("ann"), *map(due, names))
    there = [name for name in names if partition_of(WalletKey("demo", name)) == damaged]
    assert 0 < len(there) < len(names)
    assert found.moved == {whose(due("ann")): "t0"}
    assert found.unknown == {whose(due(name)): "003/00000001 cannot be read" for name in there}


async def test_where_the_journal_does_not_reach_back_nobody_can_tell() -> None:
    """Unless there is the entry itself."""
    short = partition_of(WalletKey("demo", "ann"))
    source = MemorySource(
        ("ann", -5, "rerate 0003-abc ann"),
        known_ms=lambda partition: SINCE_MS + (1 if partition == short else 0),
    )
    names = [f"a{number}" for number in range(20)]
    found = await fates(source, due("ann"), *map(due, names))
    there = [name for name in names if partition_of(WalletKey("demo", name)) == short]
    assert 0 < len(there) < len(names)
    assert unknown_of(found) == sorted(there)
    assert list(found.moved) == [whose(due("ann"))]


async def test_an_entry_may_move_nothing() -> None:
    """It says of uses whose differences cancel out that they were adjusted."""
    source = MemorySource(("ann", 0, "rerate 0003-abc ann"))
    found = await fates(source, due("ann", 0), due("bob", 0))
    assert found == Fates({whose(due("ann", 0)): "t0"}, {})
