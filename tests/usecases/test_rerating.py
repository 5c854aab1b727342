"""Pages of a re-rating are applied once, whatever happens in between."""

from collections.abc import Mapping, Sequence

import pytest

from ocs.domain.money import MAX_AMOUNT
from ocs.domain.results import ResultCode
from ocs.usecases.ports import (
    Account,
    AdjustedUse,
    Adjusts,
    CreditCall,
    CreditReply,
    LedgerUnavailable,
    SessionKey,
    WalletKey,
)
from ocs.usecases.provisioning import Provisioning, account_terms
from ocs.usecases.rerating import (
    AT_ONCE,
    MOST_TOLD,
    RESUMED_FOR_MS,
    Adjusting,
    CannotApply,
    Due,
    Fates,
    Outcome,
    Whose,
    whose,
)
from tests.adapters.memory_directory import MemoryDirectory
from tests.adapters.reference_ledger import ReferenceLedger

NOW_MS = 1_000_000_000_000
OK = ResultCode.OK


class MemoryPage:
    """A page that remembers, as one on disk does."""

    def __init__(self, *dues: Due, name: str = "0001-abc") -> None:
        self.name = name
        self.decided_ms = NOW_MS
        self.noted: list[Outcome] = []
        self.is_closed = False
        self.online: dict[Whose, Adjusts] = {}
        self.looked_up = 0
        self._dues = dues

    def dues(self) -> Sequence[Due]:
        return self._dues

    def adjusts(self, dues: Sequence[Due]) -> Mapping[Whose, Adjusts]:
        self.looked_up += 1
        return {who: self.online[who] for due in dues if (who := whose(due)) in self.online}

    def outcomes(self) -> Sequence[Outcome]:
        return tuple(self.noted)

    def note(self, outcomes: Sequence[Outcome]) -> None:
        assert not self.is_closed
        assert len(outcomes) <= AT_ONCE
        self.noted += outcomes

    def close(self) -> None:
        self.is_closed = True


class MemoryBookmark:
    def __init__(self) -> None:
        self.id = ""
        self.names: dict[str, str] = {}

    async def book(self) -> str:
        return self.id

    async def begin(self, mine: str) -> str:
        self.id = self.id or mine
        return self.id

    async def pages(self) -> frozenset[str]:
        return frozenset(self.names.values())

    async def add(self, page: str) -> str:
        return self.names.setdefault(page[:4], page)


class MemoryJournal:
    """Knows what it is told; of `silent` it says that nobody can tell, and why."""

    def __init__(self) -> None:
        self.moved: dict[str, str] = {}
        self.silent: set[str] = set()
        self.asked: list[tuple[str, int, list[str]]] = []

    async def fates(self, page: str, decided_ms: int, dues: Sequence[Due]) -> Fates:
        self.asked.append((page, decided_ms, [due.account for due in dues]))
        told = {whose(due): self.moved[due.account] for due in dues if due.account in self.moved}
        silent = {whose(due): "it is gone" for due in dues if due.account in self.silent}
        return Fates(told, silent)


class LostLedger(ReferenceLedger):
    """Carries a credit out, and loses the answer to so many of them."""

    lost = 0

    async def credit(self, call: CreditCall) -> CreditReply:
        reply = await super().credit(call)
        if self.lost:
            self.lost -= 1
            raise LedgerUnavailable("the link is gone")
        return reply


class Desk:
    def __init__(self) -> None:
        self.directory, self.bookmark = MemoryDirectory(), MemoryBookmark()
        self.ledger = LostLedger(now_ms=NOW_MS)
        self.journal = MemoryJournal()
        self.adjusting = Adjusting(self.ledger, self.directory, self.bookmark, self.journal)

    async def open(self, *accounts: str, floor: str = "-1.00") -> None:
        office = Provisioning(self.directory, self.ledger)
        for name in accounts:
            terms = account_terms(name, "EUR", kind="postpaid", floor=floor)
            await office.create_account("demo", terms)

    async def left(self, account: str) -> int:
        wallet = await self.ledger.balance(WalletKey("demo", account))
        assert wallet is not None
        return wallet.balances[0].left

    async def refused(self, due_: Due) -> tuple[ResultCode, str]:
        (outcome,) = await self.adjusting.apply(MemoryPage(due_))
        assert outcome.transaction_id == ""
        return outcome.code, outcome.reason


def due(account: str, amount: int, uses: int = 1, currency: str = "EUR", group: str = "") -> Due:
    return Due("demo", account, group or account, currency, amount, uses)


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await desk.open("ann", "bob")
    return desk


async def test_what_is_due_is_charged_or_given_back(desk: Desk) -> None:
    page = MemoryPage(due("ann", 300), due("bob", -200, uses=7))
    ann, bob = await desk.adjusting.apply(page)
    assert (await desk.left("ann"), await desk.left("bob")) == (-300, 200)
    assert (ann.code, ann.amount, bob.code, bob.uses) == (OK, 300, OK, 7)
    assert ann.transaction_id != bob.transaction_id != ""
    assert page.is_closed
    assert page.noted == [ann, bob]
    assert await desk.bookmark.pages() == {page.name}


async def test_a_page_is_applied_once(desk: Desk) -> None:
    """Whether or not its outcomes were written down."""
    page = MemoryPage(due("ann", 300), due("bob", -200))
    first = await desk.adjusting.apply(page)
    assert await desk.adjusting.apply(MemoryPage(*page.dues())) == first
    page.is_closed = False
    assert await desk.adjusting.apply(page) == first
    assert (await desk.left("ann"), await desk.left("bob")) == (-300, 200)
    await desk.adjusting.apply(MemoryPage(*page.dues(), name="0002-abc"))
    assert await desk.left("ann") == -600, "another page"


async def test_what_was_moved_when_the_link_was_lost_is_told_afterwards(desk: Desk) -> None:
    names = [f"a{number:03}" for number in range(AT_ONCE + 20)]
    await desk.open(*names)
    page = MemoryPage(*(due(name, 5) for name in names))
    desk.ledger.lost = 3
    with pytest.raises(LedgerUnavailable):
        await desk.adjusting.apply(page)
    assert (page.noted, page.is_closed) == ([], False)
    desk.ledger.lost = 0
    outcomes = await desk.adjusting.apply(page)
    assert [each.account for each in outcomes] == names
    assert {each.code for each in outcomes} == {OK}
    assert {await desk.left(name) for name in names} == {-5}


async def test_uses_are_looked_up_for_many_accounts_at_once(desk: Desk) -> None:
    """It reads all differences of the page."""
    names = [f"a{number:03}" for number in range(3 * AT_ONCE)]
    await desk.open(*names)
    page = MemoryPage(*(due(name, 5) for name in names))
    await desk.adjusting.apply(page)
    assert (len(page.noted), page.looked_up) == (3 * AT_ONCE, 1)


async def test_differences_that_cancel_out_move_nothing(desk: Desk) -> None:
    (outcome,) = await desk.adjusting.apply(MemoryPage(due("ann", 0, uses=2)))
    assert (outcome.code, outcome.transaction_id) == (OK, "")


async def test_a_refusal_is_told_and_the_others_go_on(desk: Desk) -> None:
    low, ann = await desk.adjusting.apply(MemoryPage(due("bob", 1_000_001), due("ann", 1)))
    assert (low.code, low.reason) == (
        ResultCode.NO_CREDIT,
        "this would take the balance below its floor",
    )
    assert (low.transaction_id, ann.code) == ("", OK)
    assert (await desk.left("bob"), await desk.left("ann")) == (0, -1)


async def test_an_account_that_is_not_what_it_was(desk: Desk) -> None:
    gone = (ResultCode.UNKNOWN_SUBSCRIBER, "there is no such account any more")
    assert await desk.refused(due("eve", 5)) == gone
    assert await desk.refused(due("ann", 5, group="other")) == gone
    code, reason = await desk.refused(due("ann", 5, currency="JPY"))
    assert (code, reason) == (ResultCode.INVALID_EVENT, "the account is in EUR now")
    await desk.directory.put_account(
        "demo", Account(account="empty", wallet_group="empty", currency="EUR")
    )
    code, reason = await desk.refused(due("empty", 5))
    assert (code, reason) == (ResultCode.UNKNOWN_SUBSCRIBER, "the account has no wallet")
    assert await desk.left("ann") == 0


async def test_what_no_adjustment_can_hold_is_told(desk: Desk) -> None:
    for amount in (MAX_AMOUNT + 1, -MAX_AMOUNT - 1):
        code, reason = await desk.refused(due("ann", amount))
        assert (code, reason[:13]) == (ResultCode.RATING_FAILED, "no adjustment")
    long_name = "a" * 290
    account = Account(account=long_name, wallet_group="ann", currency="EUR")
    await desk.directory.put_account("demo", account)
    code, _ = await desk.refused(due(long_name, 5, group="ann"))
    assert code is ResultCode.RATING_FAILED


def grow_old(desk: Desk) -> None:
    """The ledger remembers no reference of before."""
    desk.ledger.now_ms = NOW_MS + RESUMED_FOR_MS + 1
    for wallet in desk.ledger.books.wallets.values():
        wallet.references.clear()


async def test_a_young_page_is_gone_on_with_by_the_ledgers_word(desk: Desk) -> None:
    desk.ledger.now_ms = NOW_MS + RESUMED_FOR_MS
    desk.journal.silent = {"ann"}
    await desk.adjusting.apply(MemoryPage(due("ann", 5)))
    assert (await desk.left("ann"), desk.journal.asked) == (-5, [])


async def test_of_an_old_page_the_journal_tells_what_has_moved(desk: Desk) -> None:
    await desk.open("eve")
    page = MemoryPage(due("ann", 300), due("bob", -200), due("eve", 7))
    page.note([Outcome(tenant="demo", account="eve", wallet_group="eve", currency="EUR", amount=7,
                       uses=1, code=OK, transaction_id="t1")])  # fmt: skip
    await desk.adjusting._moved(page.name, due("ann", 300), None)  # killed before it was noted
    grow_old(desk)
    desk.journal.moved = {"ann": "017-5-0"}
    by_account = {each.account: each for each in await desk.adjusting.apply(page)}
    assert (await desk.left("ann"), await desk.left("bob"), await desk.left("eve")) == (
        -300,
        200,
        0,
    )
    assert (by_account["ann"].code, by_account["ann"].transaction_id) == (OK, "017-5-0")
    assert by_account["bob"].transaction_id not in {"", "017-5-0"}
    assert desk.journal.asked == [(page.name, NOW_MS, ["ann", "bob"])], "eve was noted"
    assert page.is_closed


async def test_what_nobody_can_tell_of_an_old_page_stands_in_its_way(desk: Desk) -> None:
    names = [f"a{number:02}" for number in range(MOST_TOLD + 1)]
    await desk.open(*names)
    page = MemoryPage(due("bob", -200), *(due(name, 10_000) for name in names))
    grow_old(desk)
    desk.journal.silent = set(names)
    with pytest.raises(CannotApply) as told:
        await desk.adjusting.apply(page)
    assert "of 21 of its accounts" in str(told.value)
    assert "demo a00 0.01 EUR, demo a01 0.01 EUR" in str(told.value)
    assert "demo a19 0.01 EUR and 1 more (it is gone)" in str(told.value)
    assert "--leave 0001-abc" in str(told.value)
    assert (await desk.left("bob"), page.noted, page.is_closed) == (0, [], False)


async def test_what_nobody_can_tell_may_be_left_alone(desk: Desk) -> None:
    page = MemoryPage(due("ann", 300), due("bob", -200))
    grow_old(desk)
    desk.journal.silent = {"ann"}
    ann, bob = await desk.adjusting.apply(page, leaves=True)
    assert (ann.code, ann.transaction_id) == (ResultCode.OUTCOME_UNKNOWN, "")
    assert ann.reason == "nobody can tell whether it was adjusted: it is gone"
    assert (bob.code, page.is_closed) == (OK, True)
    assert (await desk.left("ann"), await desk.left("bob")) == (0, 200)


async def test_what_is_noted_of_one_currency_did_not_move_another(desk: Desk) -> None:
    """Of one account and amount both are called the same, and the entry does not say which."""
    page = MemoryPage(due("ann", 5), due("ann", 5, currency="USD"))
    page.note([Outcome(tenant="demo", account="ann", wallet_group="ann", currency="EUR", amount=5,
                       uses=1, code=OK, transaction_id="017-5-0")])  # fmt: skip
    grow_old(desk)
    desk.journal.moved = {"ann": "017-5-0"}
    with pytest.raises(
        CannotApply,
        match=r"demo ann 0.000005 USD \(what it could have been is noted as another one's\)",
    ):
        await desk.adjusting.apply(page)
    _, dollars = await desk.adjusting.apply(page, leaves=True)
    assert (dollars.code, dollars.transaction_id) == (ResultCode.OUTCOME_UNKNOWN, "")


async def test_who_was_stopped_over_an_old_page_looks_again(desk: Desk) -> None:
    """What he was told is too old by now: another may have moved it, and that be forgotten."""
    page = MemoryPage(*(due("ann", amount, currency=str(amount)) for amount in range(AT_ONCE + 1)))
    grow_old(desk)
    note = page.note

    def stopped(outcomes: Sequence[Outcome]) -> None:
        note(outcomes)
        if outcomes:
            desk.ledger.now_ms += RESUMED_FOR_MS + 1

    page.note = stopped  # type: ignore[method-assign]
    with pytest.raises(CannotApply, match="become too old meanwhile"):
        await desk.adjusting.apply(page)
    assert len(page.noted) == AT_ONCE
    page.note = note  # type: ignore[method-assign]
    await desk.adjusting.apply(page)
    assert len(page.noted) == AT_ONCE + 1
    assert len(desk.journal.asked) == 2


async def test_a_page_that_was_all_applied_is_closed_whenever(desk: Desk) -> None:
    page = MemoryPage(due("ann", 5))
    await desk.adjusting.apply(page)
    page.is_closed = False
    desk.ledger.now_ms = NOW_MS + 2 * RESUMED_FOR_MS
    await desk.adjusting.apply(page)
    assert page.is_closed


async def test_a_book_is_held_against_what_the_store_knows(desk: Desk) -> None:
    await desk.adjusting.check("mine", {})
    with pytest.raises(CannotApply, match="book mine"):
        await desk.adjusting.check("other", {})
    await desk.adjusting.apply(MemoryPage(due("ann", 5)))
    with pytest.raises(CannotApply, match="0001-abc is missing"):
        await desk.adjusting.check("mine", {"0002-abc": False})
    await desk.adjusting.check("mine", {"0001-abc": True, "0002-abc": False})
    assert await desk.adjusting.now_ms() == NOW_MS


async def test_a_book_of_another_store_is_refused(desk: Desk) -> None:
    """What it says was adjusted was adjusted there; a page half applied there is none of ours."""
    for is_begun in (False, True):
        with pytest.raises(CannotApply, match="knows of no re-rating"):
            await desk.adjusting.check("mine", {"0001-abc": is_begun})
    assert await desk.bookmark.book() == "", "it is not taken for ours by this"
    await desk.adjusting.check("mine", {})


async def test_a_store_that_was_brought_back_from_before_a_page(desk: Desk) -> None:
    """Its wallets never saw what the page says was moved."""
    await desk.adjusting.check("mine", {})
    with pytest.raises(CannotApply, match="0001-abc"):
        await desk.adjusting.check("mine", {"0001-abc": True})
    await desk.adjusting.check("mine", {"0001-abc": False})


async def test_of_two_copies_of_a_book_one_goes_on(desk: Desk) -> None:
    """Both were looked at before either had moved anything."""
    await desk.adjusting.apply(MemoryPage(due("ann", 5)))
    with pytest.raises(CannotApply, match="applied meanwhile as 0001-abc"):
        await desk.adjusting.apply(MemoryPage(due("ann", 5), name="0001-def"))
    assert await desk.left("ann") == -5


async def test_the_ledger_is_told_for_which_uses_an_amount_is(desk: Desk) -> None:
    """Also where nothing moves for the account; a reversal that the page does not know of stops it."""
    await desk.open("a", "b", "c")
    page = MemoryPage(due("a", 0), due("b", 500_000), due("c", 0))
    for name in ("a", "b"):
        session = SessionKey("demo", name, name, "s1")
        use = AdjustedUse(session, "0", "000-1-0", 500_000)
        page.online["demo", name, name, "EUR"] = Adjusts(page.name, "000-1-0", (use,))
    desk.ledger.books.last_reversals[WalletKey("demo", "b")] = "000-2-0"
    outcomes = {each.account: each for each in await desk.adjusting.apply(page)}
    assert [outcomes[name].code for name in "abc"] == [OK, ResultCode.CONFLICT, OK]
    assert desk.ledger.books.wallets[WalletKey("demo", "a")].adjusted
    assert outcomes["b"].reason == "it was reversed since"
    assert (outcomes["c"].transaction_id, page.is_closed) == ("", True)
