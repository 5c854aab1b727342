"""What is turned away when the store's memory runs short, and until when."""

import pytest
from msgspec.structs import replace

from ocs.domain.events import Action, Event, Kind, ServiceUse
from ocs.usecases.shedding import NEVER, Shed, ShedLevels, StoreMemory, is_shed, shed_at
from tests.usecases.charging_desk import told

NOTHING, STARTS, ONE_SHOTS = Shed
DEFAULT = ShedLevels()


def event(kind: Kind, used: int = 0) -> Event:
    return told(kind, 0, ServiceUse("0", 0, 60), ServiceUse("1", used, 60))


def walk(levels: ShedLevels, *used: float) -> list[Shed]:
    """What is shed, look by look; `used` in per cent."""
    shed, found = NOTHING, []
    for percent in used:
        shed = shed_at(StoreMemory(round(percent * 1_000), 100_000), levels, shed)
        found.append(shed)
    return found


@pytest.mark.parametrize(
    ("used", "shed"),
    [
        (0, NOTHING),
        (69.999, NOTHING),
        (70, STARTS),
        (84.999, STARTS),
        (85, ONE_SHOTS),
        (100, ONE_SHOTS),
        (250, ONE_SHOTS),
    ],
)
def test_from_each_level_on_more_is_shed(used: float, shed: Shed) -> None:
    assert walk(DEFAULT, used) == [shed]


def test_it_ends_a_little_below_where_it_began() -> None:
    way = [70, 69, 67.9, 67.899, 69.999, 70, 67.9]
    assert walk(DEFAULT, *way) == [STARTS] * 3 + [NOTHING] * 2 + [STARTS] * 2
    way = [85, 84, 82.45, 82.449, 84.999, 67.9, 67.899]
    assert walk(DEFAULT, *way) == [ONE_SHOTS] * 3 + [STARTS] * 3 + [NOTHING]


def test_what_falls_far_ends_at_once() -> None:
    assert walk(DEFAULT, 90, 10) == [ONE_SHOTS, NOTHING]


def test_starts_begin_again_by_their_own_level_also_after_worse() -> None:
    assert walk(DEFAULT, 90, 69, 67) == [ONE_SHOTS, STARTS, NOTHING]


def test_two_levels_may_be_one() -> None:
    both = ShedLevels(starts_percent=60, one_shots_percent=60)
    assert walk(both, 59, 60, 59, 58) == [NOTHING, ONE_SHOTS, ONE_SHOTS, NOTHING]


def test_the_lowest_level_can_be_left() -> None:
    least = ShedLevels(starts_percent=1, one_shots_percent=1)
    assert walk(least, 1, 0.97, 0.96) == [ONE_SHOTS, ONE_SHOTS, NOTHING]


@pytest.mark.parametrize(
    ("levels", "worst"),
    [
        (ShedLevels(one_shots_percent=NEVER), STARTS),
        (ShedLevels(starts_percent=NEVER, one_shots_percent=NEVER), NOTHING),
    ],
)
def test_a_hundred_means_never(levels: ShedLevels, worst: Shed) -> None:
    assert walk(levels, 99, 100, 101)[1:] == [worst, worst]


def test_a_store_without_a_limit_is_never_full() -> None:
    assert shed_at(StoreMemory(10**12, 0), DEFAULT, ONE_SHOTS) is NOTHING


def test_memory_is_told_in_whole_per_cent() -> None:
    assert StoreMemory(699, 1_000).used_percent == 69


@pytest.mark.parametrize(
    ("kind", "sheds"),
    [
        (Kind.START, {STARTS, ONE_SHOTS}),
        (Kind.EVENT, {ONE_SHOTS}),
        (Kind.UPDATE, set()),
        (Kind.RELEASE, set()),
    ],
)
def test_starts_are_shed_first_and_what_goes_on_never(kind: Kind, sheds: set[Shed]) -> None:
    assert {shed for shed in Shed if is_shed(event(kind), shed)} == sheds


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("change", [{"emergency": True}, {"dry_run": True}])
def test_neither_calls_for_help_nor_what_writes_nothing(
    kind: Kind, change: dict[str, bool]
) -> None:
    assert not is_shed(replace(event(kind), **change), ONE_SHOTS)


@pytest.mark.parametrize("kind", list(Kind))
def test_nor_what_reports_use_in_any_service(kind: Kind) -> None:
    assert not is_shed(event(kind, used=1), ONE_SHOTS)


@pytest.mark.parametrize(
    ("action", "used", "turned_away"),
    [
        (Action.DIRECT_DEBIT, 0, True),
        (Action.DIRECT_DEBIT, 1, False),
        (Action.REFUND, 0, True),
        (Action.REFUND, 1, True),
        (Action.CHECK_BALANCE, 0, False),
        (Action.PRICE_ENQUIRY, 0, False),
    ],
)
def test_of_one_shot_events_those_that_write_and_settle_nothing(
    action: Action, used: int, *, turned_away: bool
) -> None:
    assert is_shed(replace(event(Kind.EVENT, used), action=action), ONE_SHOTS) is turned_away
