"""A file of each model, with the settings and columns that any of them may have."""

import pytest

from ocs.adapters.tariff_files.values import read_instant
from ocs.domain.ladder import affordable, cost
from ocs.domain.zones import zone_named
from tests.adapters.tariff_files.files import faults, found, loaded

HEAD = "# currency = EUR\n"
MIB = 2**20


def wall_ms(text: str) -> int:
    return read_instant(text, "").ms


@pytest.mark.parametrize(
    ("text", "number", "units", "amount"),
    [
        ("# model = flat\n# usage_type = sms\nprefix,destination,price\n49,Germany,0.07\n", "49", 3, 210_000),
        ("# model = flat\nprefix,destination,price\n49,Germany,0.07\n", "49", 300, 70_000),
        ("# model = free\nprefix,destination\n800,Freephone\n", "800", 300, 0),
        (
            ("# model = tiered\nprefix,destination,steps,access\n"
            "49,Germany,0-1min: 0.10 per 60; 60-: 0.05 per 60 by 1,0.02\n"),
            "49", 90, 145_000,
        ),
        (
            ("# model = volume\n# usage_type = data\nprefix,destination,steps\n"
            "*,Internet,0-100MiB: 0.02 per MiB; 100MiB-: 0.01 per MiB\n"),
            "web", 200 * MIB, 2_000_000,
        ),
        (
            ("# model = timed\nprefix,destination,price,per,increment,initial_charge,initial_period\n"
            "44,United Kingdom,0.05,60,1,0.50,30\n"),
            "44", 90, 550_000,
        ),
        (
            ("# model = timed\nprefix,destination,connect_fee,steps\n"
            "44,United Kingdom,0.4,0-60: 0.2 per 60; 60-: 0.1 per 60 by 1\n"),
            "44", 75, 625_000,
        ),
        (
            ("# usage_type = data\n# per = MiB\n# model = interval\n"
            "prefix,destination,price_1,price_n,interval_1,interval_n\n*,Internet,1,1,1KiB,1KiB\n"),
            "web", 512 * 1_024, 500_000,
        ),
    ],
)  # fmt: skip
def test_a_file_of_each_model(text: str, number: str, units: int, amount: int) -> None:
    rate = found(loaded(HEAD + text), number)
    assert f"# model = {rate.model}\n" in text
    assert cost(rate.ladder, units) == amount


def test_a_file_of_blocked_numbers() -> None:
    rate = found(loaded(HEAD + "# model = blocked\nprefix,destination\n900,Premium\n"), "900")
    assert (rate.blocked, rate.model) == (True, "blocked")


def test_terms_stand_in_the_head_or_in_a_column_that_overrides_it() -> None:
    generation = loaded(
        HEAD + "# tax = 0.20\n# decimals = 2\n# rounding = up\n# minimum_charge = 0.05\n"
        "prefix,destination,cost_per_minute,tax,tax_included,decimals,maximum_charge,maximum_strategy\n"
        "1,One,0.101,,,,,\n"
        "2,Two,0.101,0,,4,,\n"
        "3,Three,0.101,0.19,yes,4,,\n"
        "4,Four,1,,,,2,disconnect\n"
    )
    rates = {number: found(generation, number) for number in "1234"}
    assert [cost(rates[number].ladder, 60) for number in "123"] == [130_000, 101_000, 101_000]
    assert [(rates[number].tax, rates[number].tax_included) for number in "123"] == [
        ("0.20", False), ("0", False), ("0.19", True),
    ]  # fmt: skip
    assert cost(found(generation, "1").ladder, 1) == 130_000
    assert affordable(rates["4"].ladder, 10**9) == 120


def test_named_timings_make_the_bands_of_a_price() -> None:
    generation = loaded(
        HEAD + "# zone = Europe/London\n# timing.peak = mon-fri 08:00-18:00\n"
        "# timing.holiday = dec 25, weight 10\n"
        "prefix,destination,cost_per_minute,timing\n"
        "44,United Kingdom,0.10,peak\n44,United Kingdom,0.04,\n44,United Kingdom,0.02,holiday\n"
        "1,United States,0.05,\n"
    )
    assert generation.tariffs[0].rates == 2
    prices = {
        "2026-07-01 07:59:59": 40_000,  # a Wednesday; British summer time is UTC + 1
        "2026-07-01 08:00:00": 100_000,
        "2026-07-01 17:59:59": 100_000,
        "2026-07-01 18:00:00": 40_000,
        "2026-07-04 12:00:00": 40_000,  # a Saturday
        "2026-12-25 12:00:00": 20_000,  # a Friday
    }
    london = zone_named("Europe/London")
    for wall, price in prices.items():
        at_ms = london.instant_ms(wall_ms(wall))
        assert cost(found(generation, "44", at_ms).ladder, 60) == price, wall
        assert cost(found(generation, "1", at_ms).ladder, 60) == 50_000


def test_dates_cut_the_prices_of_a_prefix() -> None:
    generation = loaded(
        HEAD + "# timing.peak = mon-fri 08:00-18:00\n# zone = UTC\n"
        "prefix,destination,cost_per_minute,timing,valid_from,valid_to\n"
        "44,United Kingdom,0.10,peak,,\n"
        "44,United Kingdom,0.04,,,2026-06-01\n"
        "44,United Kingdom,0.05,,2026-06-01,2026-07-01\n"
        "44,United Kingdom,0.05,,2026-07-01,\n"
    )
    may, june = wall_ms("2026-05-31 12:00"), wall_ms("2026-06-01 07:00")
    assert cost(found(generation, "44", may).ladder, 60) == 40_000
    assert cost(found(generation, "44", june).ladder, 60) == 50_000
    assert cost(found(generation, "44", wall_ms("2026-06-01 08:00")).ladder, 60) == 100_000
    assert generation.tariffs[0].rates == 2  # the rows of June and July say the same


def test_a_file_may_hold_for_a_time_only() -> None:
    generation = loaded(
        HEAD + "# zone = UTC\n# valid_from = 2026-01-01\n# valid_to = 2027-01-01\n"
        "prefix,destination,cost_per_minute,valid_from\n49,Germany,1,\n44,United Kingdom,1,2025-01-01\n"
        "33,France,1,2026-07-01\n"
    )
    held = {
        number: (
            found(generation, number, at_ms).valid_from_ms,
            found(generation, number, at_ms).valid_to_ms,
        )
        for number in ("49", "44", "33")
        for at_ms in [wall_ms("2026-12-31")]
    }
    year = wall_ms("2026-01-01"), wall_ms("2027-01-01")
    assert held == {"49": year, "44": year, "33": (wall_ms("2026-07-01"), year[1])}


def test_dates_without_a_zone_are_those_of_the_tenant() -> None:
    generation = loaded(
        HEAD + "prefix,destination,cost_per_minute,valid_from,valid_to\n"
        "49,Germany,1,,2026-06-01\n49,Germany,2,2026-06-01,\n"
    )
    at_ms = wall_ms("2026-05-31 22:30")  # in Berlin it is June
    assert cost(found(generation, "49", at_ms).ladder, 60) == 1_000_000
    assert (
        cost(found(generation, "49", at_ms, zone=zone_named("Europe/Berlin")).ladder, 60)
        == 2_000_000
    )


def test_rows_for_callers_and_trunks_are_sections_of_their_own() -> None:
    generation = loaded(
        HEAD + "prefix,destination,cost_per_minute,from_prefix,trunk,valid_from\n"
        "49,Germany,0.03,,,\n49,Germany,0.02,+44,,\n49,Germany mobile,0.01,44,carrier-1,\n"
        "33,France,0.05,44,carrier-1,2026-01-01\n"
    )
    assert [(deck.head.from_prefix, deck.head.trunk, len(deck)) for deck in generation.decks] == [
        ("", "", 1), ("44", "", 1), ("44", "carrier-1", 2),
    ]  # fmt: skip
    assert cost(found(generation, "49").ladder, 60) == 30_000
    assert cost(found(generation, "49", caller="4420").ladder, 60) == 20_000
    rate = found(generation, "49", caller="4420", trunk="carrier-1")
    assert (cost(rate.ladder, 60), rate.destination) == (10_000, "Germany mobile")


@pytest.mark.parametrize("model", ["tiered", "volume", "timed"])
def test_above_the_last_step_nothing_is_granted_and_what_was_used_is_paid(model: str) -> None:
    generation = loaded(
        f"{HEAD}# model = {model}\nprefix,destination,steps\n49,Germany,0-60: 0.6 per 60 by 1; 60-120: 0.6 per 60 by 1\n"
    )
    ladder = found(generation, "49").ladder
    assert affordable(ladder, 10**12) == 120
    assert cost(ladder, 180) == 1_800_000


def test_what_a_spreadsheet_makes_of_a_file_is_read() -> None:
    generation = loaded(
        '# currency = EUR,,,\n"# timing.peak = mon-fri 08:00-18:00, sat 09:00-12:00",,,\n'
        '"# the ""new"" prices, from June",,,\n,,,\n'
        "prefix,destination,cost_per_minute,timing\n44,UK,0.10,peak\n44,UK,0.04,\n,,,\n"
    )
    saturday = wall_ms("2026-07-04 10:00")
    assert cost(found(generation, "44", saturday).ladder, 60) == 100_000


TIMED = HEAD + "# timing.peak = mon-fri 08:00-18:00\n# timing.night = 00:00-08:00\n"
COLUMNS = "prefix,destination,cost_per_minute,timing\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            TIMED + COLUMNS + "44,UK,1,pek\n",
            (5, "timing", "'pek' is not defined; the file defines peak, night"),
        ),
        (HEAD + COLUMNS + "44,UK,1,peak\n", (3, "timing", "the file defines no timing at all")),
        (
            TIMED + COLUMNS + "44,UK,1,peak\n",
            (5, "timing", "44 has no price on Monday 00:00-08:00"),
        ),
        (
            TIMED + COLUMNS + "44,UK,1,peak\n44,UK,2,night\n",
            (5, "timing", "44 has no price on Monday 18:00-24:00"),
        ),
        (
            TIMED + COLUMNS + "44,UK,1,peak\n44,UK,2,\n44,UK,3,peak\n",
            (7, "timing", "44 overlaps with line 5 on Monday 08:00-18:00, with the same weight"),
        ),
        (
            TIMED + COLUMNS + "44,UK,1,peak\n44,UK,2,\n44,UK,2,\n",
            (7, "prefix", "44 is in force at the same time by line 6"),
        ),
        (
            HEAD
            + "# timing.odd = mon 08:00-12:00, mon 11:30-13:00\n"
            + COLUMNS
            + "44,UK,1,odd\n44,UK,2,\n",
            (4, "timing", "44 overlaps with itself on Monday 11:30-12:00, with the same weight"),
        ),
        (
            HEAD + "# timing.xmas = dec 25\n" + COLUMNS + "44,UK,1,xmas\n44,UK,2,xmas\n44,UK,3,\n",
            (5, "timing", "44 overlaps with line 4 on"),
        ),
        (
            TIMED + COLUMNS + "44,UK,1,peak\n44,GB,2,\n",
            (6, "destination", "44 differs from that of line 5"),
        ),
        (
            TIMED + "prefix,destination,cost_per_minute,timing,tax\n44,UK,1,peak,0.2\n44,UK,2,,\n",
            (6, "tax", "44 differs from that of line 5"),
        ),
        (
            TIMED
            + "prefix,destination,cost_per_minute,timing,blocked\n44,UK,1,peak,\n44,UK,,,yes\n",
            (6, "prefix", "44 is in force at the same time by line 5"),
        ),
        (
            TIMED + "prefix,destination,cost_per_minute,timing,blocked\n44,UK,1,peak,yes\n",
            (5, "timing", "must be empty: what is blocked is blocked at all times"),
        ),
        (
            HEAD + "# timing.x = noon\n" + COLUMNS + "44,UK,1,\n",
            (2, "timing.x", "is not a week day"),
        ),
        (
            HEAD + "# per = 60\n" + COLUMNS + "44,UK,1,\n",
            (2, "per", "model per_minute has no such column"),
        ),
        (
            HEAD + "# minimum_charge = 2\n# maximum_charge = 1\n" + COLUMNS + "44,UK,1,\n",
            (3, "maximum_charge", "is less than the minimum charge"),
        ),
        (
            HEAD + "# per = 0\nprefix,destination,price_1,price_n,interval_1,interval_n\n",
            (2, "per", "is not within 1"),
        ),
        (HEAD + "# tax = 19\n" + COLUMNS + "44,UK,1,\n", (2, "tax", "19 is not a fraction")),
        (HEAD + "# tax = x\n" + COLUMNS + "44,UK,1,\n", (2, "tax", "is not a decimal number")),
        (
            HEAD + "# valid_from = 2026-01-02\n# valid_to = 2026-01-01\n" + COLUMNS + "44,UK,1,\n",
            (3, "valid_to", "must be later than valid_from"),
        ),
        (
            HEAD + "# zone = UTC\n# valid_to = 2026-01-01\n"
            "prefix,destination,cost_per_minute,valid_from\n44,UK,1,2027-01-01\n",
            (5, "valid_to", "the file holds at other times only"),
        ),
        (
            HEAD
            + "prefix,destination,cost_per_minute,valid_from\n44,UK,1,2026-01-01\n45,DK,1,2026-01-01T00:00:00Z\n",
            (4, "valid_from", "has an offset, while other dates of the file have none"),
        ),
        (
            HEAD + "# valid_from = 2026-01-01T00:00:00Z\n"
            "prefix,destination,cost_per_minute,valid_from\n44,UK,1,2026-02-01\n",
            (4, "valid_from", "has an offset, while other dates of the file have none"),
        ),
        (
            HEAD + "prefix,destination,cost_per_minute,from_prefix,trunk\n44,UK,1,4x,\n",
            (3, "from_prefix", "is not a prefix"),
        ),
        (
            HEAD + "prefix,destination,cost_per_minute,trunk\n44,UK,1,a\u0007b\n",
            (3, "trunk", "1 to 255 printable"),
        ),
        (
            HEAD + "prefix,destination,cost_per_minute,trunk\n44,UK,1,a\n44,UK,1,a\n",
            (4, "prefix", "44 is in force at the same time by line 3"),
        ),
        (
            HEAD
            + "# model = tiered\nprefix,destination,steps\n44,UK,0-60: 1 per 60; 61-: 1 per 60\n",
            (4, "steps", "a step begins at 61 where 60 is reached: a gap"),
        ),
        (HEAD + "# model = tiered\nprefix,destination,steps\n44,UK,\n", (4, "steps", "is empty")),
        (
            HEAD + "# usage_type = data\n# model = timed\nprefix,destination,price\n*,Internet,1\n",
            (5, "per", "must be set for data"),
        ),
    ],
)
def test_what_is_wrong_is_told_with_line_and_column(
    text: str, expected: tuple[int, str, str]
) -> None:
    line, column, reason = expected
    assert any(
        (fault[0], fault[1]) == (line, column) and reason in fault[2] for fault in faults(text)
    ), faults(text)


def test_all_wrong_cells_of_a_row_are_told_at_once() -> None:
    text = (
        HEAD + "# model = tiered\nprefix,destination,steps,access,grace_period,tax\n44,,x,y,z,w\n"
    )
    assert [(line, column) for line, column, _ in faults(text)] == [
        (4, "access"), (4, "destination"), (4, "grace_period"), (4, "steps"), (4, "tax"),
    ]  # fmt: skip


def test_more_ranges_than_a_price_can_have_are_refused() -> None:
    days = "".join(
        f"# timing.d{day} = {day} 00:00-12:00 12:00-18:00 18:00-24:00\n" for day in range(1, 23)
    )
    rows = "".join(f"44,UK,{day},d{day}\n" for day in range(1, 23))
    ((line, column, reason),) = faults(HEAD + days + COLUMNS + rows)
    assert (line, column) == (25, "timing")
    assert "more than 64 ranges of time" in reason
