"""How long the store keeps what is safe: less when its memory is short, more again when it is not."""

import pytest

from ocs.usecases.keeping import LEAST_MS, Keeping
from ocs.usecases.shedding import StoreMemory

DAY_MS = 86_400_000
LIMIT = 3_000_000
MUCH = 1_000
"""Entries that are a fifth of it."""


def kept(keeping: Keeping, permille: int, oldest_ms: int = DAY_MS, entries: int = MUCH) -> int:
    keeping.look(StoreMemory(LIMIT // 1_000 * permille, LIMIT), entries, oldest_ms)
    return keeping.keep_ms


def test_with_room_it_is_what_is_wanted() -> None:
    keeping = Keeping(DAY_MS)
    assert kept(keeping, 499) == kept(keeping, 599) == DAY_MS
    assert not keeping.is_short


def test_short_of_memory_the_older_half_goes_with_every_pass() -> None:
    keeping = Keeping(DAY_MS)
    assert [kept(keeping, 600) for _ in range(3)] == [DAY_MS // 2, DAY_MS // 4, DAY_MS // 8]
    assert keeping.is_short


def test_half_of_what_is_there_and_not_of_what_is_wanted() -> None:
    assert kept(Keeping(DAY_MS), 900, oldest_ms=240_000) == 120_000


def test_what_others_fill_is_not_made_good_by_the_journal() -> None:
    keeping = Keeping(DAY_MS)
    assert kept(keeping, 1_000, entries=MUCH - 1) == DAY_MS
    assert kept(keeping, 1_000) == DAY_MS // 2
    assert kept(keeping, 1_000, entries=MUCH - 1) == DAY_MS // 2, "nor is it kept longer"


def test_a_little_is_kept_in_any_case() -> None:
    keeping = Keeping(DAY_MS)
    for _ in range(50):
        kept(keeping, 1_000)
    assert keeping.keep_ms == LEAST_MS


@pytest.mark.parametrize("most_ms", [-1_000, 0, 500])
def test_what_is_wanted_may_be_less_than_that(most_ms: int) -> None:
    keeping = Keeping(most_ms)
    assert kept(keeping, 1_000) == most_ms
    assert not keeping.is_short


def test_between_the_two_nothing_changes() -> None:
    keeping = Keeping(DAY_MS)
    kept(keeping, 600)
    assert kept(keeping, 599) == kept(keeping, 500) == DAY_MS // 2


def test_it_grows_again_slowly() -> None:
    keeping = Keeping(DAY_MS)
    kept(keeping, 600, oldest_ms=1_200_000)
    assert kept(keeping, 499) == 612_000
    passes = 0
    while keeping.is_short:
        kept(keeping, 499)
        passes += 1
    assert 200 < passes < 300
    assert keeping.keep_ms == DAY_MS


def test_a_store_without_a_limit_keeps_what_is_wanted() -> None:
    keeping = Keeping(DAY_MS)
    kept(keeping, 600)
    keeping.look(StoreMemory(LIMIT, 0), MUCH, DAY_MS)
    assert keeping.keep_ms == DAY_MS
