"""What the journal says of a session whose events are parked."""

from collections.abc import Callable, Collection

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


class Source:
    """A journal that hands on more than it was asked for."""

    async def read(
        self,
        partition: int,
        subjects: Collection[str],
        since_ms: int,
        take: Callable[[Posted], None],
    ) -> int:
        assert (partition, subjects, since_ms) == (17, {"demo/acme/acme/call-1"}, 2_000)
        take(posted(1_999, "release", "closed", (60, 40)))
        take(posted(2_000, "release", "closed", (30, 20)))
        return 1_500


async def test_what_came_before_was_another_session() -> None:
    key = SessionKey("demo", "acme", "acme", "call-1")
    known = await charged_of(Source(), {key: 2_000}, lambda _: 17)
    assert known.charged[key].units == {"0": 30}
    assert known.since_ms == {key: 1_500}
