"""Which rate applies, and from when. The rows that ask for callers stand in test_origins.py."""

from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from types import ModuleType
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain import generation as generations
from ocs.domain import offers
from ocs.domain.generation import Generation, Schedule, TariffMeta
from ocs.domain.ladder import packed
from ocs.domain.tariff import Deck, PlanTariff, Rate, Used, plan_tariffs
from ocs.domain.timing import Timing
from ocs.domain.zones import Zone, zone_named
from tests.domain.decks import BLOCKED, Line, deck, generation
from tests.domain.test_timing import timings
from tests.domain.test_zones import PLACES

SPECIAL = deck("special", [("4917", 5)])
WORLD = deck("world", [("49", 10), ("4917", 20), ("4477", BLOCKED), ("", 99)])
DATED = deck("dated", [("49", 10), ("4917", 20, 100, 200), ("4917", 30, 200, 300)])
TEXTS = deck("texts", [("49", 7)], usage_type="sms")
GENERATION = generation(SPECIAL, WORLD, DATED, TEXTS)


def find(
    where: Generation, tariffs: tuple[str, ...], number: str, usage_type: str, at_ms: int
) -> Rate | None:
    return where.find(plan_tariffs(*tariffs), Used(number, usage_type, at_ms))


def scheduled(where: Generation, tariff: str, number: str, at_ms: int, until_ms: int) -> Schedule:
    return where.schedule(plan_tariffs(tariff), Used(number, "voice", at_ms), until_ms)


@pytest.mark.parametrize(
    ("tariffs", "number", "tariff", "prefix"),
    [
        (("special", "world"), "49171", "special", "4917"),
        (("special", "world"), "4930", "world", "49"),
        (("world", "special"), "49171", "world", "4917"),
        (("world",), "alice", "world", "*"),
        (("texts", "no such tariff", "world"), "4930", "world", "49"),
    ],
)
def test_the_first_tariff_with_a_match_wins(
    tariffs: tuple[str, ...], number: str, tariff: str, prefix: str
) -> None:
    rate = find(GENERATION, tariffs, number, "voice", 0)
    assert rate is not None
    assert (rate.tariff, rate.prefix) == (tariff, prefix)


@pytest.mark.parametrize(
    ("tariffs", "usage_type"), [((), "voice"), (("special",), "voice"), (("world",), "sms")]
)
def test_there_may_be_no_rate(tariffs: tuple[str, ...], usage_type: str) -> None:
    assert find(GENERATION, tariffs, "4930", usage_type, 0) is None
    used = Used("4930", usage_type, 0)
    assert GENERATION.schedule(plan_tariffs(*tariffs), used, 1) == ()


def test_a_rate_carries_all_that_a_charge_needs() -> None:
    rate = find(GENERATION, ("dated",), "49171", "voice", 150)
    assert rate is not None
    assert (rate.destination, rate.model, rate.currency) == ("to 4917", "flat", "EUR")
    assert (rate.valid_from_ms, rate.valid_to_ms, rate.usage_type) == (100, 200, "voice")
    assert msgspec.msgpack.decode(rate.packed) == list(packed(rate.ladder))
    assert find(GENERATION, ("dated",), "49172", "voice", 150) is rate


def test_a_blocked_destination_is_found_and_says_so() -> None:
    rate = find(GENERATION, ("world",), "447712", "voice", 0)
    assert rate is not None
    assert rate.blocked


def test_a_schedule_of_an_undated_deck_is_its_one_rate() -> None:
    assert [(at, rate.prefix) for at, rate in scheduled(GENERATION, "world", "491", 5, 9)] == [
        (5, "49")
    ]


@pytest.mark.parametrize(
    ("at_ms", "until_ms", "expected"),
    [
        (0, 100, [(0, 10)]),
        (0, 101, [(0, 10), (100, 20)]),
        (50, 1_000, [(50, 10), (100, 20), (200, 30), (300, 10)]),
        (100, 250, [(100, 20), (200, 30)]),
        (350, 1_000, [(350, 10)]),
    ],
)
def test_a_schedule_has_each_change_that_dates_bring(
    at_ms: int, until_ms: int, expected: list[tuple[int, int]]
) -> None:
    schedule = scheduled(GENERATION, "dated", "49171", at_ms, until_ms)
    assert [(instant, rate.ladder.rows[0].price) for instant, rate in schedule] == expected


def test_a_call_begun_at_a_price_that_ends_is_finished_at_it() -> None:
    ending = generation(deck("ending", [("49", 10, 0, 100), ("50", 1)]))
    assert [at for at, _ in scheduled(ending, "ending", "491", 50, 500)] == [50]


@pytest.mark.parametrize("following", [10, BLOCKED])
def test_a_renewed_price_or_a_block_does_not_cut_a_call(following: int | None) -> None:
    renewed = generation(deck("renewed", [("49", 10, 0, 100), ("49", following, 100, 200)]))
    assert [at for at, _ in scheduled(renewed, "renewed", "491", 50, 500)] == [50]


def test_a_blocked_call_has_no_later_price() -> None:
    opening = generation(deck("opening", [("49", BLOCKED, 0, 100), ("49", 5, 100, 200)]))
    schedule = scheduled(opening, "opening", "491", 50, 500)
    assert [(at, rate.blocked) for at, rate in schedule] == [(50, True)]


def test_rates_are_kept_but_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offers, "_MOST_RATES_KEPT", 1)
    small = generation(deck("small", [("1", 1), ("2", 1)]))
    first = find(small, ("small",), "1", "voice", 0)
    assert find(small, ("small",), "1", "voice", 0) is first
    find(small, ("small",), "2", "voice", 0)
    assert find(small, ("small",), "1", "voice", 0) is not first
    assert find(small, ("small",), "1", "voice", 0) == first


def test_rows_with_one_price_share_it() -> None:
    deck_of_two = deck("same", [("1", 5), ("2", 5)])
    one, two = (
        find(generation(deck_of_two), ("same",), number, "voice", 0) for number in ("1", "2")
    )
    assert one is not None
    assert two is not None
    assert one.packed == two.packed
    assert len(deck_of_two.rows.price_records) == 1


def test_a_generation_says_what_it_holds() -> None:
    assert GENERATION.tariffs[1] == TariffMeta("world", "EUR", "voice", 4)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


PEAK: Final = Timing(week_days=(1, 2, 3, 4, 5), start_s=28_800, end_s=64_800, weight=1)
LONDON: Final = zone_named("Europe/London")
NEW_YORK: Final = zone_named("America/New_York")
TIMED = generation(
    deck("hours", [("49", ((PEAK, 20), (None, 10)))]),
    deck("own zone", [("49", ((PEAK, 20), (None, 10)))], zone=NEW_YORK),
    deck("peak only", [("49", ((PEAK, 20),)), ("", 7)]),
    deck("night", [("49", ((Timing(start_s=5_400, end_s=6_300, weight=1), 90), (None, 10)))]),
    deck("dated", [("49", 10, 0, ms("2026-04-01")), ("49", 20, ms("2026-04-01"), 2**53 - 1)],
         wall_dates=True),
    deck("base", [("", 3)]),
)  # fmt: skip


def prices(
    tariffs: tuple[str, ...], begin: str, end: str, zone: Zone = LONDON
) -> list[tuple[str, int]]:
    """When (UTC) which price for a minute takes over, for a call to Germany."""
    used = Used("4930", "voice", ms(begin), zone)
    schedule = TIMED.schedule(plan_tariffs(*tariffs), used, ms(end))
    return [
        (datetime.fromtimestamp(at / 1000, UTC).strftime("%dT%H:%M"), rate.ladder.rows[0].price)
        for at, rate in schedule
    ]


@pytest.mark.parametrize(
    ("tariffs", "begin", "end", "expected"),
    [
        # Peak ends at six, in summer time.
        (("hours",), "2026-07-01T16:50", "2026-07-01T18:00", [("01T16:50", 20), ("01T17:00", 10)]),
        # A deck that names its zone keeps it.
        (("own zone",), "2026-07-01T21:50", "2026-07-01T23:00", [("01T21:50", 20), ("01T22:00", 10)]),
        # Over a week-end, and over the night in which clocks are put forward.
        (("hours",), "2026-03-27T17:00", "2026-03-30T08:00",
         [("27T17:00", 20), ("27T18:00", 10), ("30T07:00", 20)]),
        # From one midnight to the next nothing changes.
        (("hours",), "2026-03-28T12:00", "2026-03-29T12:00", [("28T12:00", 10)]),
        # 01:30 to 01:45 is skipped, and shown twice.
        (("night",), "2026-03-29T00:00", "2026-03-29T06:00", [("29T00:00", 10)]),
        (("night",), "2026-10-25T00:00", "2026-10-25T06:00",
         [("25T00:00", 10), ("25T00:30", 90), ("25T00:45", 10), ("25T01:30", 90), ("25T01:45", 10)]),
        # Where no band is active the row is not there: a shorter prefix, or the next tariff.
        (("peak only",), "2026-01-05T17:00", "2026-01-06T08:00",
         [("05T17:00", 20), ("05T18:00", 7)]),
        # A tariff comes into force at midnight, by the tenant's clocks.
        (("dated",), "2026-03-31T22:00", "2026-04-01T02:00", [("31T22:00", 10), ("31T23:00", 20)]),
        # What a tariff further up may yet have takes over; what is further down does not.
        (("peak only", "base"), "2026-01-05T07:00", "2026-01-05T09:00",
         [("05T07:00", 7), ("05T08:00", 20)]),
        (("base", "hours"), "2026-01-05T07:00", "2026-01-05T09:00", [("05T07:00", 3)]),
    ],
)  # fmt: skip
def test_a_call_over_a_switch(
    tariffs: tuple[str, ...], begin: str, end: str, expected: list[tuple[str, int]]
) -> None:
    assert prices(tariffs, begin, end) == expected


def test_dates_and_hours_of_one_tariff_follow_each_tenants_clocks() -> None:
    begin, end = "2026-03-31T00:00", "2026-04-01T12:00"
    assert prices(("dated",), begin, end, NEW_YORK)[1] == ("01T04:00", 20)
    assert prices(("dated",), begin, end, LONDON)[1] == ("31T23:00", 20)
    assert prices(("hours",), begin, end, NEW_YORK)[1] == ("31T12:00", 20)
    assert prices(("hours",), begin, end, LONDON)[1] == ("31T07:00", 20)
    rate = TIMED.find(plan_tariffs("dated"), Used("49", "voice", ms(end), NEW_YORK))
    assert rate is not None
    assert (rate.zone, rate.valid_from_ms) == ("America/New_York", ms("2026-04-01T04:00"))


def test_a_rate_says_which_of_its_bands_is_in_force() -> None:
    tariffs = plan_tariffs("hours")
    peak = TIMED.find(tariffs, Used("49", "voice", ms("2026-01-05T12:00"), LONDON))
    evening = TIMED.find(tariffs, Used("49", "voice", ms("2026-01-05T20:00"), LONDON))
    assert peak is not None
    assert evening is not None
    assert (peak.band, evening.band) == (0, 1)
    assert peak.bands == evening.bands
    assert peak.ladder == peak.bands[0].ladder
    assert [band.timing for band in peak.bands] == [PEAK, None]


def test_a_long_call_is_cut_at_its_few_switches_only() -> None:
    bands = [(Timing(start_s=hour * 3_600, weight=hour), 10 + hour) for hour in range(24)]
    hourly = generation(deck("hourly", [("49", tuple(bands))]))
    begin = ms("2026-01-05T12:30")
    schedule = scheduled(hourly, "hourly", "491", begin, begin + 86_400_000)
    assert len(schedule) == 25


@pytest.mark.parametrize(
    ("percent", "price"),
    [(100, 60), (90, 54), (0, 0), (150, 90), (Fraction("12.5"), Fraction(15, 2))],
)
def test_a_plan_may_take_a_tariff_at_a_percentage(percent: Fraction | int, price: Fraction) -> None:
    minute = generation(deck("minute", [("49", 60), ("44", ((PEAK, 120), (None, 60)))]))
    tariffs = (PlanTariff("minute", Fraction(percent)),)
    rate = minute.find(tariffs, Used("49", "voice", 0))
    assert rate is not None
    assert Fraction(rate.ladder.rows[0].price, rate.ladder.den) == price
    assert rate.percent == percent
    assert msgspec.msgpack.decode(rate.packed) == list(packed(rate.ladder))
    timed = minute.find(tariffs, Used("44", "voice", 0))
    assert timed is not None
    assert Fraction(timed.bands[0].ladder.rows[0].price, timed.bands[0].ladder.den) == 2 * price


def test_plans_with_one_percentage_share_what_is_remembered() -> None:
    first = find(GENERATION, ("world",), "49", "voice", 0)
    assert first is not None
    assert find(GENERATION, ("special", "world"), "49", "voice", 0) is first
    dearer = GENERATION.find((PlanTariff("world", Fraction(110)),), Used("49", "voice", 0))
    assert dearer is not None
    assert dearer.ladder != first.ladder


def test_paths_are_kept_but_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations, "_MOST_PATHS_KEPT", 2)
    for _ in range(5):
        assert find(GENERATION, ("world",), "49", "voice", 0) is not None
    assert len(GENERATION._paths) <= 2


@pytest.mark.parametrize(
    ("module", "bound"),
    [
        (offers, "_MOST_DAYS_KEPT"),
        (offers, "_MOST_RATES_KEPT"),
        (generations, "_MOST_TIMELINES_KEPT"),
    ],
)
def test_memories_are_bounded_and_forget_nothing_that_counts(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, bound: str
) -> None:
    lines: list[Line] = [(prefix, ((PEAK, 20), (None, 10))) for prefix in ("33", "44", "49")]
    begin, week = ms("2026-01-05"), 7 * 86_400_000
    kept = generation(deck("hours", lines))
    expected = [scheduled(kept, "hours", each, begin, begin + week) for each in ("33", "44", "49")]
    monkeypatch.setattr(module, bound, 1)
    small = generation(deck("hours", lines))
    for _ in range(2):
        found = [
            scheduled(small, "hours", each, begin, begin + week) for each in ("33", "44", "49")
        ]
        assert found == expected
    assert len(expected[0]) == 11


amounts = st.one_of(
    st.integers(0, 3),
    st.just(BLOCKED),
    st.lists(st.tuples(timings() | st.none(), st.integers(0, 3)), min_size=1, max_size=4).map(
        tuple
    ),
)
BEGIN: Final = ms("2026-03-27")
cuts = st.lists(
    st.integers(0, 96).map(lambda hour: BEGIN + hour * 3_600_000), max_size=2, unique=True
)


@st.composite
def decks(draw: st.DrawFn, name: str) -> Deck:
    """A deck with up to four prefixes, each with rows one after the other."""
    lines = []
    for prefix in draw(st.lists(st.sampled_from(["", "4", "49", "491"]), min_size=1, unique=True)):
        edges = [0, *sorted(draw(cuts)), 2**53 - 1]
        lines += [(prefix, draw(amounts), low, high) for low, high in pairwise(edges)]
    zone = draw(st.none() | st.sampled_from(PLACES).map(zone_named))
    return deck(name, lines, zone=zone, wall_dates=draw(st.booleans()) and zone is None)


@given(
    decks("a"),
    decks("b"),
    st.sampled_from(PLACES),
    st.integers(0, 96 * 60),
    st.integers(0, 48 * 60),
)
def test_a_schedule_is_what_one_finds_at_every_instant(
    first: Deck, second: Deck, place: str, from_min: int, length_min: int
) -> None:
    where, tariffs = generation(first, second), plan_tariffs("a", "b")
    begin_ms = BEGIN + from_min * 60_000
    until_ms = begin_ms + length_min * 60_000

    def found(at_ms: int) -> Rate | None:
        return where.find(tariffs, Used("4911", "voice", at_ms, zone_named(place)))

    schedule = where.schedule(tariffs, Used("4911", "voice", begin_ms, zone_named(place)), until_ms)
    rate = found(begin_ms)
    assert [each for _, each in schedule[:1]] == ([] if rate is None else [rate])
    switches = {at for at, _ in schedule}
    for at_ms in sorted({*range(begin_ms, until_ms, 15 * 60_000), *switches}):
        now = found(at_ms)
        if rate is None or now is None or now.blocked or rate.blocked or now.ladder == rate.ladder:
            assert at_ms not in switches or at_ms == begin_ms
        else:
            assert (at_ms, now) in schedule
            rate = now
