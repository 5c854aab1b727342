"""Each rule of the books is caught when it is broken, and nothing is found when all hold."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from ocs.domain.session import State
from ocs.domain.wallet import MAIN_BUCKET
from ocs.usecases.ports import (
    BucketBalance,
    HoldView,
    SessionKey,
    SessionView,
    WalletBalance,
    WalletDefinition,
    WalletKey,
)
from ocs.usecases.verification import LOOKS, Base, Change, Entry, Image, check, verify

ALICE = WalletKey("demo", "alice")
S1 = "demo/alice/alice/s1"
replace = msgspec.structs.replace


def change(left_by: int, held_by: int, left: int, held: int, floor: int | None = None) -> Change:
    return Change(
        bucket="main", left_by=left_by, held_by=held_by, left=left, held=held, floor=floor
    )


def entry(number: int, request: str, state: str, *changes: Change, at_ms: int = 0) -> Entry:
    return Entry(
        transaction_id=f"017-{number}-0",
        wallet=ALICE,
        subject=S1 if request else "demo/alice",
        kind="update" if request else "credit",
        request=request,
        at_ms=at_ms,
        state=state,
        changes=changes,
    )


def session(state: State, held: int) -> SessionView:
    holds = (HoldView(rating_group="0", bucket="main", amount=held),) if held else ()
    return SessionView(
        key=SessionKey("demo", "alice", "alice", "s1"),
        state=state,
        opened_ms=1,
        deadline_ms=2,
        answer_ms=0,
        elapsed_units=0,
        granted_units=0,
        charged_amount=0,
        repeats=0,
        holds=holds,
        last=None,
    )


def wallet(
    *, left: int = 90, held: int = 30, credited: int = 100, debited: int = 10
) -> WalletBalance:
    balance = BucketBalance(bucket="main", left=left, held=held, credited=credited, debited=debited)
    definition = WalletDefinition(version=1, currency="EUR", buckets=(MAIN_BUCKET,))
    return WalletBalance(definition=definition, balances=(balance,), open_sessions=1)


CLEAN = Image(
    partition=17,
    entries=(
        entry(1, "", "", change(100, 0, 100, 0)),
        entry(2, "0", "open", change(0, 20, 100, 20, floor=0)),
        entry(3, "1", "open", change(-10, 10, 90, 30, floor=0)),
    ),
    wallets=((ALICE, wallet()),),
    sessions=(session(State.OPEN, 30),),
    deadlines=frozenset({S1}),
    addresses=(S1,),
)


def rules(image: Image) -> list[str]:
    return [finding.rule for finding in check(image)]


def test_books_in_order() -> None:
    assert rules(CLEAN) == []


@pytest.mark.parametrize(
    ("image", "rule"),
    [
        (
            replace(CLEAN, wallets=((ALICE, wallet(credited=101)),)),
            "credited = left + debited",
        ),
        (replace(CLEAN, sessions=(session(State.OPEN, 29),)), "held = sum of open holds"),
        (
            replace(CLEAN, sessions=(session(State.CLOSED, 30),)),
            "open sessions are counted",
        ),
        (replace(CLEAN, deadlines=frozenset()), "an open session has a deadline"),
        (
            replace(
                CLEAN,
                entries=(*CLEAN.entries[:2], entry(3, "0", "open", *CLEAN.entries[2].changes)),
            ),
            "each answer once",
        ),
    ],
)
def test_each_rule_is_looked_after(image: Image, rule: str) -> None:
    assert rules(image) == [rule]


def test_a_missing_entry_is_a_gap() -> None:
    found = rules(replace(CLEAN, entries=(CLEAN.entries[0], CLEAN.entries[2])))
    assert found == ["the journal has no gap"]


def test_a_journal_that_ends_too_early_does_not_make_the_wallet() -> None:
    assert rules(replace(CLEAN, entries=CLEAN.entries[:2])) == ["journal = wallets"]


def test_a_hold_below_the_floor() -> None:
    last = entry(3, "1", "open", change(-10, 10, 90, 30, floor=61))
    image = replace(CLEAN, entries=(*CLEAN.entries[:2], last))
    assert rules(image) == ["no hold below the floor"]


def test_holds_of_a_bucket_that_is_not_there() -> None:
    assert rules(replace(CLEAN, wallets=(), entries=())) == ["held = sum of open holds"]


def test_a_request_may_come_anew_when_its_session_is_forgotten() -> None:
    refused = entry(4, "2", "refused", at_ms=1_000)
    soon = entry(5, "2", "refused", at_ms=2_000)
    later = entry(5, "2", "refused", at_ms=62_000)
    assert rules(replace(CLEAN, entries=(*CLEAN.entries, refused, soon))) == ["each answer once"]
    assert rules(replace(CLEAN, entries=(*CLEAN.entries, refused, later))) == []


# --- From a checkpoint ----------------------------------------------------------------------------

CHECKPOINT = Base("2-0", 2, {(ALICE, "main"): (100, 20)})
LATER = replace(CLEAN, entries=CLEAN.entries[2:], base=CHECKPOINT, added=3)


def test_books_in_order_from_a_checkpoint() -> None:
    assert rules(LATER) == []


def test_a_checkpoint_that_is_wrong_is_a_gap() -> None:
    base = replace(CHECKPOINT, numbers={(ALICE, "main"): (101, 20)})
    assert rules(replace(LATER, base=base)) == ["the journal has no gap"]


def test_an_entry_between_checkpoint_and_store_is_missed() -> None:
    """Though the numbers are right: it held something, and the next one gave it back."""
    assert rules(replace(LATER, added=5)) == ["no journal entry is missing"]
    assert rules(replace(CLEAN, added=4)) == ["no journal entry is missing"]


def test_the_history_is_added_up_too() -> None:
    base = Base("2-0", 2, history=lambda: iter(CLEAN.entries[:2]), replayed=2)
    assert rules(replace(LATER, base=base)) == []
    twice = replace(base, history=lambda: iter(CLEAN.entries[:1] * 2))
    assert set(rules(replace(LATER, base=twice))) == {"the journal has no gap"}


async def test_what_was_added_up_is_counted() -> None:
    base = Base("2-0", 2, history=lambda: iter(CLEAN.entries[:2]), replayed=2)
    report = await verify(Shelf(replace(LATER, base=base)))
    assert (report.clean, report.entries) == (True, 3)


def test_requests_are_forgotten_as_the_store_does() -> None:
    """Else a history of years would have to be remembered; what is open is never forgotten."""
    ended = [entry(n, "9", "closed", at_ms=n * 100_000) for n in range(4, 9)]
    assert rules(replace(CLEAN, entries=(*CLEAN.entries, *ended))) == []
    soon = [entry(n, "9", "closed", at_ms=at_ms) for n, at_ms in ((4, 10_000), (6, 75_000))]
    other = entry(5, "", "", at_ms=60_000)
    assert rules(replace(CLEAN, entries=(*CLEAN.entries, soon[0], other, soon[1]))) == []
    again = entry(9, "1", "open", at_ms=900_000)
    assert rules(replace(CLEAN, entries=(*CLEAN.entries, again))) == ["each answer once"]


class Shelf:
    """Books whose first looks are wrong."""

    def __init__(self, *looks: Image) -> None:
        self.looks = list(looks)

    async def images(self) -> AsyncIterator[Image]:
        yield self.looks.pop(0)

    async def image(self, partition: int) -> Image:
        assert partition == 17
        return self.looks.pop(0)


BROKEN = replace(CLEAN, deadlines=frozenset())


async def test_a_busy_partition_is_looked_at_again() -> None:
    report = await verify(Shelf(BROKEN, CLEAN))
    assert report.clean
    assert (report.partitions, report.wallets, report.sessions, report.open_sessions) == (
        1,
        1,
        1,
        1,
    )
    assert report.entries == 3


async def test_what_stays_wrong_is_reported() -> None:
    report = await verify(Shelf(*[BROKEN] * (LOOKS + 1)))
    assert not report.clean
    assert [(f.partition, f.subject) for f in report.findings] == [(17, S1)]
