"""What the journal says of a session whose events are parked."""

from collections.abc import Callable, Collection

import pytest
from msgspec.structs import replace

from ocs.usecases.journal import Posted
from ocs.usecases.parked_journal import Charged, charged_of
from ocs.usecases.ports import SessionKey
from tests.usecases.test_call_records import posted


def charged(*entries: Posted) -> Charged:
    known = Charged()
    for entry in entries:
        known.add(entry)
    return known


def test_units_and_money_of_a_session_are_added() -> None:
    known = charged(
        posted(1_000, "start", "open", (0, 0)),
        posted(2_000, "update", "open", (60, 40)),
        posted(3_000, "release", "closed", (30, 20)),
    )
    assert (known.units, known.amounts) == ({"0": 90}, {"0": 60})
    assert {group for _, group in known.answered} == {"0"}


def test_what_is_no_charge_says_nothing() -> None:
    known = charged(
        posted(1_000, "expire", "expired"),
        replace(posted(2_000, "update", "open", (60, 40)), result=None),
    )
    assert (known.units, known.answered) == ({}, set())


def test_one_shot_events_are_not_the_beginning_of_a_call() -> None:
    known = charged(posted(1_000, "event", "closed", (60, 40)))
    assert known.units == {}
    assert len(known.answered) == 1


KEY = SessionKey("demo", "acme", "acme", "call-1")
DAY_MS = 86_400_000
NOW_MS = 100 * DAY_MS


class Source:
    """A journal that is known from an instant on; `at_ms` are its entries, of 30 units each."""

    def __init__(self, *at_ms: int, known_ms: int = 0, kind: str = "update") -> None:
        self.reads: list[int] = []
        self._known_ms = known_ms
        self._entries = [posted(at, kind, "open", (30, 20)) for at in at_ms]

    async def read(
        self,
        partition: int,
        subjects: Collection[str],
        since_ms: int,
        take: Callable[[Posted], None],
    ) -> int:
        """Hand on more than was asked for, as a reel does."""
        assert (partition, subjects) == (17, {"demo/acme/acme/call-1"})
        self.reads.append(since_ms)
        for each in self._entries:
            if each.entry.at_ms >= since_ms - 1_000:
                take(each)
        return self._known_ms

    async def units(self) -> int | None:
        known = (await charged_of(self, {KEY: NOW_MS}, lambda _: 17))[KEY]
        return None if known is None else known.units["0"]


async def test_what_came_before_was_another_session() -> None:
    assert await Source(NOW_MS - DAY_MS - 1).units() == 0
    assert await Source(NOW_MS - DAY_MS).units() == 30
    assert await Source(NOW_MS - 3_600_000 - DAY_MS - 1, NOW_MS - 3_600_000).units() == 30


async def test_what_is_short_is_found_by_one_look() -> None:
    source = Source(NOW_MS - 3_600_000, NOW_MS + 1_000)
    assert await source.units() == 60
    assert len(source.reads) == 1


async def test_of_a_session_that_lasts_for_weeks_all_counts() -> None:
    """Or its totals would be debited again, but for the last day."""
    source = Source(*range(NOW_MS - 30 * DAY_MS, NOW_MS, DAY_MS))
    assert await source.units() == 30 * 30
    assert source.reads == sorted(source.reads, reverse=True)
    assert len(source.reads) == 6


async def test_of_messages_of_one_name_none_lasts() -> None:
    source = Source(*range(NOW_MS - 30 * DAY_MS, NOW_MS, 3_600_000), kind="event")
    await source.units()
    assert len(source.reads) == 1


async def test_from_the_journals_beginning_on_all_is_known() -> None:
    source = Source(*range(0, NOW_MS, DAY_MS // 2))
    assert await source.units() == 200 * 30
    assert source.reads[-1] == 0


@pytest.mark.parametrize("days", [0, 1, 5])
async def test_nothing_is_known_unless_all_of_it_is(days: int) -> None:
    """A day before the session began is needed, and enough."""
    began_ms = NOW_MS - days * DAY_MS
    entries = range(began_ms, NOW_MS + 1, DAY_MS)
    needed_ms = began_ms - DAY_MS
    assert await Source(*entries, known_ms=needed_ms + 1).units() is None
    assert await Source(*entries, known_ms=needed_ms).units() == 30 * (days + 1)
