"""The ledger of the store, behind what it has forgotten: entries that have left it for the journal's
files, reversals and re-ratings that are too old.

Each test reads as one sentence of `docs/design.md` 2.12. Amounts are bare money units. The reference
ledger forgets none of this, so it is not asked.
"""

from collections.abc import AsyncIterator
from typing import cast

import msgspec
import pytest

from ocs.adapters.clock import wall_ms
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.keys import partition_of
from ocs.adapters.valkey.ledger import ValkeyLedger
from ocs.domain.results import ResultCode
from ocs.usecases.journal import EntryId, RawEntry, parse_id, spell_id
from ocs.usecases.ports import ChargeResult, ReverseCall, ReverseReply, WalletKey
from tests.adapters.calls import FAMILY, main, open_wallet
from tests.adapters.ledgers import PARTITIONS, RealBench, real_bench
from tests.adapters.test_ledger_adjusted import adjust, event, reverse

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
MONTH_MS = 30 * DAY_MS
CONFLICT, OK, UNKNOWN = ResultCode.CONFLICT, ResultCode.OK, ResultCode.UNKNOWN_SESSION


class Files:
    """The journal's files: entries as they were, and how often one was looked for."""

    def __init__(self) -> None:
        self.entries: dict[EntryId, bytes] = {}
        self.asked: list[EntryId] = []

    async def find(self, partition: int, wanted: EntryId) -> RawEntry | None:
        assert partition == partition_of("demo/family", PARTITIONS)
        self.asked.append(wanted)
        record = self.entries.get(wanted)
        return None if record is None else (spell_id(wanted).encode(), record)


class Past(RealBench):
    """A wallet of 100, of which events have each spent 10, and whose entries leave the store."""

    def __init__(self, bench: RealBench) -> None:
        super().__init__(bench.connection, bench.library)
        self.files = Files()
        self.ledger.reverse_from(self.files.find)

    async def spend(self) -> list[ChargeResult]:
        await open_wallet(self, 100)
        return [await event(self, f"e{n}", 10) for n in range(3)]

    async def journal(self) -> bytes:
        (name,) = await self.keys("{p???}j")
        return name

    async def forget(self) -> None:
        """Take all entries from the store to the files."""
        journal = await self.journal()
        page = await self.connection.execute("XRANGE", journal, "-", "+")
        for entry_id, (_, record) in cast("list[tuple[bytes, list[bytes]]]", page):
            self.files.entries[parse_id(entry_id.decode())] = record
        await self.connection.execute("XTRIM", journal, "MAXLEN", 0)

    async def grow_old(self, result: ChargeResult, ms: int) -> None:
        """Let the journal get so far beyond a result."""
        last = f"{entry_of(result)[0] + ms}-0"
        await self.connection.execute("XSETID", await self.journal(), last)


def entry_of(result: ChargeResult) -> EntryId:
    return parse_id(result.transaction_id.partition("-")[2])


async def reverse_past(past: Past, transaction_id: str, wallet: WalletKey = FAMILY) -> ReverseReply:
    return await past.ledger.reverse(ReverseCall(wallet=wallet, transaction_id=transaction_id))


@pytest.fixture
async def bench(store_server: EmbeddedStore) -> AsyncIterator[RealBench]:
    async with real_bench(store_server.url) as bench:
        yield bench


async def test_what_has_left_the_store_is_reversed_from_the_files(bench: RealBench) -> None:
    """Once; and what was done before is known without them."""
    past = Past(bench)
    spent = await past.spend()
    await past.forget()
    first = [await reverse_past(past, each.transaction_id) for each in spent[:2]]
    assert [(each.code, each.amount, each.hit) for each in first] == [(OK, 10, False)] * 2
    past.files.entries.clear()
    again = [await reverse_past(past, each.transaction_id) for each in spent[:2]]
    assert again == [msgspec.structs.replace(each, hit=True) for each in first]
    assert past.files.asked == [entry_of(each) for each in spent[:2]]
    assert await main(past) == (90, 0)


async def test_what_is_not_in_the_files_either_cannot_be_reversed(bench: RealBench) -> None:
    past = Past(bench)
    spent = await past.spend()
    await past.forget()
    past.files.entries.clear()
    gone = await reverse_past(past, spent[0].transaction_id)
    assert (gone.code, "files are not here" in gone.why) == (UNKNOWN, True)
    assert await main(past) == (70, 0)


async def test_a_ledger_without_files_knows_what_the_store_has(bench: RealBench) -> None:
    past = Past(bench)
    spent = await past.spend()
    alone = ValkeyLedger(past.connection, PARTITIONS, past.library)
    order = ReverseCall(wallet=FAMILY, transaction_id=spent[0].transaction_id)
    assert (await alone.reverse(order)).code is OK
    await past.forget()
    assert (await alone.reverse(order)).hit, "what was done before"
    other = ReverseCall(wallet=FAMILY, transaction_id=spent[1].transaction_id)
    assert (await alone.reverse(other)).code is UNKNOWN


async def test_in_the_files_too_only_a_charge_of_the_wallet_counts(bench: RealBench) -> None:
    past = Past(bench)
    spent = await past.spend()
    await past.forget()
    stranger = WalletKey("demo", "family/x")
    assert (await reverse_past(past, spent[0].transaction_id, stranger)).code is UNKNOWN
    label = spent[0].transaction_id.partition("-")[0]
    others = past.files.entries.keys() - {entry_of(each) for each in spent}
    assert others, "the wallet was made, and filled"
    for entry_id in others:
        other = await reverse_past(past, f"{label}-{spell_id(entry_id)}")
        assert other.code is CONFLICT
    assert await main(past) == (70, 0)


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize(("ms", "code"), [(MONTH_MS, OK), (MONTH_MS + 1, UNKNOWN)])
async def test_a_charge_is_reversed_within_thirty_days(
    bench: RealBench, ms: int, code: ResultCode, *, leaves: bool
) -> None:
    """By the journal's ids, wherever its entry is by then."""
    past = Past(bench)
    spent = await past.spend()
    if leaves:
        await past.forget()
    await past.grow_old(spent[0], ms)
    assert (await reverse_past(past, spent[0].transaction_id)).code is code


@pytest.mark.parametrize(("ms", "code"), [(60_000, OK), (-60_000, UNKNOWN)])
async def test_where_nothing_is_charged_the_clock_tells_how_old_a_charge_is(
    bench: RealBench, ms: int, code: ResultCode
) -> None:
    past = Past(bench)
    spent = (await past.spend())[0]
    await past.forget()
    then = (wall_ms() - MONTH_MS + ms, 0)
    past.files.entries[then] = past.files.entries[entry_of(spent)]
    journal = await past.journal()
    await past.connection.execute("DEL", journal)
    await past.connection.execute("XADD", journal, spell_id(then), "e", "")
    await past.connection.execute("XTRIM", journal, "MAXLEN", 0)
    label = spent.transaction_id.partition("-")[0]
    assert (await reverse_past(past, f"{label}-{spell_id(then)}")).code is code


async def test_a_reversal_is_forgotten_when_its_charge_is_too_old(bench: RealBench) -> None:
    """A day later: so nothing that is forgotten could be reversed again."""
    past = Past(bench)
    old = (await past.spend())[0]
    assert (await reverse_past(past, old.transaction_id)).code is OK
    await past.forget()
    for ms, code in ((MONTH_MS + DAY_MS - 60_000, OK), (MONTH_MS + DAY_MS + 1, UNKNOWN)):
        await past.grow_old(old, ms)
        young = await event(past, f"after {ms}", 1)
        assert (await reverse_past(past, young.transaction_id)).code is OK
        again = await reverse_past(past, old.transaction_id)
        assert (again.code, again.hit) == (code, code is OK)
    assert await main(past) == (80, 0)


@pytest.mark.parametrize("left", ["", "1-1"])
async def test_a_charge_that_the_store_never_made_is_not_reversed(
    bench: RealBench, left: str
) -> None:
    """It was put back to an earlier state, or begun anew, and the files are ahead of it."""
    past = Past(bench)
    spent = await past.spend()
    await past.forget()
    journal = await past.journal()
    await past.connection.execute("DEL", journal)
    if left:
        await past.connection.execute("XADD", journal, left, "e", "")
    assert (await reverse_past(past, spent[0].transaction_id)).code is UNKNOWN
    assert await main(past) == (70, 0)


# --- What re-ratings have moved ------------------------------------------------------------------


async def test_pages_are_forgotten_after_a_day(bench: RealBench) -> None:
    """Then no charge of their time is reversed any more: they may have moved something for it."""
    await open_wallet(bench, 50)
    plain, old = await event(bench, "e0", 1), await event(bench, "e1", 1)
    await adjust(bench, (old, 1), name="e1", page="0001-a")
    await time_passes(bench, old, HOUR_MS)
    young = await event(bench, "e2", 1)
    await adjust(bench, (young, 1), name="e2", page="0002-a")
    await time_passes(bench, old, DAY_MS + 1)
    newest = await event(bench, "e3", 1)
    await adjust(bench, (newest, 1), name="e3", page="0003-a")
    assert await pages_of(bench) == [b"0002-a", b"0003-a"]
    for result in (plain, old):
        refused = await reverse(bench, result)
        assert (refused.code, "not known any more" in refused.why) == (CONFLICT, True)
    assert [(await reverse(bench, result)).amount for result in (young, newest)] == [2, 2]
    assert await main(bench) == (47, 0)


async def test_a_page_of_an_old_journal_is_not_noted_for_each_use(bench: RealBench) -> None:
    """A re-rating of a month by an export of yesterday; an older one changes nothing in that."""
    await open_wallet(bench, 50)
    results = [await event(bench, f"e{n}", 1) for n in range(3)]
    await time_passes(bench, results[2], DAY_MS + 60_000)
    for n in (1, 0):
        await adjust(bench, (results[n], 1), name=f"e{n}", page=f"000{n}-a")
    assert await pages_of(bench) == []
    assert [(await reverse(bench, results[n])).code for n in (0, 1)] == [CONFLICT] * 2
    assert (await reverse(bench, results[2])).code is OK


async def test_what_is_known_of_pages_and_reversals_does_not_expire(bench: RealBench) -> None:
    """Without it, a page or a reversal could give the same back again."""
    await open_wallet(bench, 50)
    spent = await event(bench, "e1", 1)
    await adjust(bench, (spent, 1), name="e1")
    await reverse(bench, spent)
    (noted,) = await bench.keys("{p???}u:*")
    assert await bench.connection.execute("PTTL", noted) == -1


async def time_passes(bench: RealBench, since: ChargeResult, ms: int) -> None:
    """Let the journal get so far beyond a result."""
    (journal,) = await bench.keys("{p???}j")
    at_ms = int(since.transaction_id.split("-")[1])
    await bench.connection.execute("XSETID", journal, f"{at_ms + ms}-0")


async def pages_of(bench: RealBench) -> list[bytes]:
    """Which pages are noted."""
    (noted,) = await bench.keys("{p???}u:*")
    names = await bench.connection.execute("HKEYS", noted)
    assert isinstance(names, list)
    return sorted(name.split()[0] for name in names if isinstance(name, bytes) and b" " in name)
