"""Values of cells: said in few ways, and refused with a reason otherwise."""

from decimal import Decimal

import pytest

from ocs.adapters.tariff_files.values import (
    Instant,
    Reader,
    read_decimal,
    read_instant,
    read_quantity,
    read_rounding,
    read_steps,
    read_truth,
    read_whole,
)
from ocs.domain.money import Rounding
from ocs.domain.rates.steps import PriceStep


@pytest.mark.parametrize(
    ("text", "usage_type", "units"),
    [
        ("60", "voice", 60),
        ("60s", "voice", 60),
        ("1min", "voice", 60),
        ("1 min", "voice", 60),
        ("min", "voice", 60),
        ("2h", "voice", 7_200),
        ("0", "voice", 0),
        ("1", "data", 1),
        ("1024", "data", 1_024),
        ("512B", "data", 512),
        ("10kB", "data", 10_000),
        ("10KB", "data", 10_000),
        ("KiB", "data", 1_024),
        ("1MB", "data", 10**6),
        ("MiB", "data", 2**20),
        ("3GB", "data", 3 * 10**9),
        ("GiB", "data", 2**30),
        ("1TB", "data", 10**12),
        ("1TiB", "data", 2**40),
        ("7", "sms", 7),
    ],
)
def test_a_quantity(text: str, usage_type: str, units: int) -> None:
    assert read_quantity(text, usage_type) == units


@pytest.mark.parametrize(
    ("text", "usage_type"),
    [
        ("", "voice"),
        ("1.5", "voice"),
        ("-1", "voice"),
        ("1e3", "voice"),
        ("1MiB", "voice"),
        ("1m", "voice"),
        ("1min", "data"),
        ("1Mb", "data"),
        ("1mib", "data"),
        ("1 000", "data"),
        ("1s", "sms"),
        ("\u0661", "voice"),
        ("1" * 17, "data"),
    ],
)
def test_what_is_no_quantity(text: str, usage_type: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number"):
        read_quantity(text, usage_type)


@pytest.mark.parametrize(
    ("text", "usage_type", "steps"),
    [
        ("0-: 0.05 per 60", "voice", [(0, None, "0.05", 60, 60)]),
        (
            "0-60: 0.10 per 60; 60-: 0.05 per 60 by 1",
            "voice",
            [(0, 60, "0.10", 60, 60), (60, None, "0.05", 60, 1)],
        ),
        (
            "0-1min:0.10 per min;1min-1h:0.06 per 1min by 1s;",
            "voice",
            [(0, 60, "0.10", 60, 60), (60, 3_600, "0.06", 60, 1)],
        ),
        (
            "0 - 1 GiB : 2 per GiB by 10 KiB",
            "data",
            [(0, 2**30, "2", 2**30, 10_240)],
        ),
        (
            "0-10: 0.09 per 1; 10-: 0.07 per 1",
            "sms",
            [(0, 10, "0.09", 1, 1), (10, None, "0.07", 1, 1)],
        ),
    ],
)
def test_steps(
    text: str, usage_type: str, steps: list[tuple[int, int | None, str, int, int]]
) -> None:
    assert read_steps(text, usage_type) == tuple(
        PriceStep(start, end, Decimal(price), per, by) for start, end, price, per, by in steps
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'' is not a step such as 0-60: 0.10 per 60 by 1"),
        ("0-60: 0.10", "is not a step"),
        ("0-60 0.10 per 60", "is not a step"),
        ("0-60: 0.10 per 60; ; 60-: 1 per 60", "'' is not a step"),
        ("-60: 0.10 per 60", "is not a step"),
        ("0-: 0,10 per 60", "'0,10' is not a decimal number"),
        ("0-: 1e3 per 60", "is not a decimal number"),
        ("0-: 0.10 per 1MiB", "'1MiB' is not a whole number, nor one of s min h"),
        ("0-: 0.10 per 60 by 0.5", "is not a step"),
        ("; ".join(["0-: 1 per 1"] * 33), "there are 33 steps, more than 32"),
    ],
)
def test_what_is_no_step(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_steps(text, "voice")


def test_decimals_wholes_truths_and_roundings() -> None:
    assert read_decimal("0.0125") == Decimal("0.0125")
    assert read_whole("12") == 12
    assert [read_truth(text) for text in ("", "no", "0", "Yes", "TRUE", "1")] == [
        False, False, False, True, True, True,
    ]  # fmt: skip
    assert read_rounding("none") is Rounding.NONE


@pytest.mark.parametrize(
    ("read", "text", "reason"),
    [
        (read_decimal, "0,5", "is not a decimal number"),
        (read_whole, "-1", "is not a whole number"),
        (read_truth, "maybe", "must be yes or no"),
        (read_rounding, "sideways", "is not one of half_up, half_even, up, down, none"),
    ],
)
def test_what_none_of_them_is(read: Reader, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read(text, "voice")


@pytest.mark.parametrize(
    ("text", "zone", "instant"),
    [
        ("1970-01-02", "UTC", Instant(86_400_000)),
        ("1970-01-02T00:00:00.5", "Europe/Berlin", Instant(82_800_500)),
        ("1970-01-02T00:00:00+02:00", "Europe/Berlin", Instant(79_200_000)),
        ("1970-01-02", "", Instant(86_400_000, is_wall=True)),
        ("1970-01-02T00:00:00Z", "", Instant(86_400_000)),
        ("2026-10-25 02:30", "Europe/Berlin", Instant(1_792_888_200_000)),  # the first of the two
    ],
)
def test_a_date_in_its_zone(text: str, zone: str, instant: Instant) -> None:
    assert read_instant(text, zone) == instant


@pytest.mark.parametrize(
    ("text", "zone", "reason"),
    [
        ("soon", "", "'soon' is not a date such as"),
        ("2026-02-30", "", "is not a date"),
        ("0001-01-01T00:00:00+10:00", "", "is not a date"),
        ("2026-03-29 02:30", "Europe/Berlin", "does not exist in Europe/Berlin"),
        ("1969-12-31", "UTC", "lies before 1970"),
    ],
)
def test_what_is_no_date(text: str, zone: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_instant(text, zone)
