"""The compiled form keeps all that a tariff says: its clocks, its hours, its callers and trunks."""

from datetime import datetime

import pytest

from ocs.domain.tariff import Used
from ocs.domain.zones import zone_named
from tests.adapters.tariff_files.files import DECK, loaded

HEAD = "# currency = EUR\n# timing.peak = mon-fri 08:00-18:00\n"
COLUMNS = "prefix,destination,cost_per_minute,timing,from_prefix,trunk,valid_from,valid_to\n"
ROWS = """
49,Germany,0.10,peak,,,,
49,Germany,0.05,,,,,
49,Germany,0.02,,49,,,
49,Germany,0.01,,49,t1,2026-07-02,
""".lstrip()


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("head", "zone", "at", "price"),
    [
        (HEAD, "UTC", "2026-07-01T17:59:59Z", 100_000),
        (HEAD, "Europe/London", "2026-07-01T16:59:59Z", 100_000),
        (HEAD, "Europe/London", "2026-07-01T17:00:00Z", 50_000),
        (HEAD + "# zone = Europe/Berlin\n", "Europe/London", "2026-07-01T15:59:59Z", 100_000),
        (HEAD + "# zone = Europe/Berlin\n", "Europe/London", "2026-07-01T16:00:00Z", 50_000),
    ],
)
def test_hours_follow_the_zone_of_the_file_or_else_the_tenants(
    head: str, zone: str, at: str, price: int
) -> None:
    generation = loaded(head + COLUMNS + ROWS)
    rate = generation.find(DECK, Used("4930", "voice", ms(at), zone_named(zone)))
    assert rate is not None
    assert rate.ladder.rows[0].price == price * rate.ladder.den


@pytest.mark.parametrize(
    ("caller", "trunk", "at", "price"),
    [
        ("4417", "t1", "2026-07-02T20:00:00Z", 50_000),
        ("4917", "t2", "2026-07-02T20:00:00Z", 20_000),
        ("4917", "t1", "2026-07-02T20:00:00Z", 10_000),
        ("4917", "t1", "2026-07-01T22:59:59Z", 20_000),
        ("4917", "t1", "2026-07-01T23:00:00Z", 10_000),  # midnight in London
    ],
)
def test_callers_and_trunks_have_rows_of_their_own(
    caller: str, trunk: str, at: str, price: int
) -> None:
    generation = loaded(HEAD + COLUMNS + ROWS)
    (tariff,) = generation.tariffs
    assert (tariff.rates, len(generation.decks)) == (3, 3)
    london = zone_named("Europe/London")
    rate = generation.find(DECK, Used("4930", "voice", ms(at), london, caller, trunk))
    assert rate is not None
    assert rate.ladder.rows[0].price == price * rate.ladder.den
