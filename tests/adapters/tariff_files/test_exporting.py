"""A tariff that is written and read again has the same prices, whatever its model was."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from ocs.adapters.tariff_files.exporting import NotWritableError, price_list_of
from ocs.adapters.tariff_files.reading import read_tariff
from ocs.adapters.tariff_files.sections import Tariff
from ocs.adapters.tariff_files.timings import read_timings
from ocs.adapters.tariff_files.writing import text_of, timing_text
from ocs.domain.coverage import ever_holds
from ocs.domain.ladder import Ladder, Row, cost
from ocs.domain.money import Rounding, currency
from ocs.domain.rates import RateModel
from ocs.domain.rates.flat import Blocked, Flat, Free
from ocs.domain.rates.interval import Interval
from ocs.domain.rates.per_minute import PerMinute
from ocs.domain.rates.steps import PriceStep
from ocs.domain.rates.terms import Terms
from ocs.domain.rates.tiered import Tiered, Volume
from ocs.domain.rates.timed import Timed
from ocs.domain.tariff import Price, untimed
from ocs.domain.timing import Timing
from ocs.usecases.price_lists import PriceList, PriceRow
from tests.adapters.tariff_files.test_fuzz import GOOD, mutated

EUR = currency("EUR")
UNITS = (0, 1, 29, 30, 31, 60, 61, 90, 180, 3_600, 10**6)

amounts = st.decimals(0, 100, places=5)
small = st.integers(1, 600)
per = st.sampled_from([1, 7, 30, 60, 100, 1_000])  # whose denominators stay within 2^26 together
terms = st.builds(
    Terms,
    rounding=st.sampled_from([each for each in Rounding if each is not Rounding.NONE]),
    decimals=st.none() | st.integers(0, 6),
    tax=st.decimals(0, 1, places=2),
    tax_included=st.booleans(),
    minimum_charge=st.decimals(0, 1, places=2),
    maximum_charge=st.none() | st.decimals(10, 99, places=2),
    maximum_strategy=st.sampled_from(["free", "disconnect"]),
)


@st.composite
def steps(draw: st.DrawFn) -> tuple[PriceStep, ...]:
    """One to four steps of whole increments, the last open or bounded."""
    start, made = 0, []
    count = draw(st.integers(1, 4))
    for number in range(count):
        by = draw(small)
        is_open = number == count - 1 and draw(st.booleans())
        end = None if is_open else start + by * draw(st.integers(1, 20))
        made.append(PriceStep(start, end, draw(amounts), draw(per), by))
        start = end or 0
    return tuple(made)


models: dict[str, st.SearchStrategy[RateModel]] = {
    "interval": st.builds(
        Interval,
        price_1=amounts,
        price_n=amounts,
        interval_1=small,
        interval_n=small,
        connect_fee=amounts,
        free_seconds=st.integers(0, 60),
        grace_period=st.integers(0, 10),
        postcall_surcharge=st.decimals(0, 1, places=2),
        terms=terms,
    ),
    "per_minute": st.builds(
        PerMinute, cost_per_minute=amounts, billing_increment=small, terms=terms
    ),
    "flat": st.builds(Flat, price=amounts, terms=terms),
    "free": st.just(Free()),
    "blocked": st.just(Blocked()),
    "tiered": st.builds(
        Tiered, steps=steps(), access=amounts, grace_period=st.integers(0, 10), terms=terms
    ),
    "volume": st.builds(
        Volume, steps=steps(), access=amounts, grace_period=st.integers(0, 10), terms=terms
    ),
    "timed": st.builds(Timed, connect_fee=amounts, steps=steps(), terms=terms)
    | st.builds(
        Timed,
        connect_fee=amounts,
        price=amounts,
        per=per,
        increment=small,
        initial_charge=amounts,
        initial_period=st.integers(0, 60),
        terms=terms,
    ),
}


def _place(row: PriceRow) -> tuple[str, str, str]:
    return row.prefix, row.from_prefix, row.trunk


@st.composite
def price_lists(draw: st.DrawFn) -> PriceList:
    model = draw(st.sampled_from(sorted(models)))
    row = st.builds(
        PriceRow,
        prefix=st.text("0123456789", max_size=4),
        destination=st.sampled_from(["Germany", "A, B", 'say "x"']),
        price=models[model],
        from_prefix=st.sampled_from(["", "44"]),
        trunk=st.sampled_from(["", "gw-1"]),
        valid_from_ms=st.none() | st.integers(1, 10**12),
        valid_to_ms=st.none() | st.integers(10**12 + 1, 2 * 10**12),
    )
    rows = draw(st.lists(row, min_size=1, max_size=5, unique_by=_place))
    return PriceList("deck", "EUR", "voice", model, tuple(rows), zone="UTC")


def read(text: str) -> tuple[Tariff, ...]:
    sections = read_tariff("deck.csv", text.encode())
    assert isinstance(sections, tuple), (sections, text)
    return sections


def prices(sections: tuple[Tariff, ...]) -> list[tuple[object, ...]]:
    """All that a lookup could find out about the tariff, but for the name of the model."""
    found = []
    for section in sections:
        head = section.from_prefix, section.trunk, section.zone, section.wall_dates
        for number, prefix in enumerate(section.prefixes):
            first_rows = section.first_rows or range(len(section.prefixes) + 1)
            for row in range(first_rows[number], first_rows[number + 1]):
                price = section.prices[section.row_prices[row]]
                dates = [each[row] for each in (section.valid_from_ms, section.valid_to_ms) if each]
                destination = section.destinations[section.row_destinations[row]]
                tax = Fraction(price.tax)
                found.append((*head, prefix, destination, price.blocked, price.bands, tax, *dates))
    return found


@given(price_lists())
def test_a_written_list_holds_the_prices_that_it_was_made_of(price_list: PriceList) -> None:
    for section in read(text_of(price_list)):
        for row, prefix in enumerate(section.prefixes):
            made_of = [
                each.price
                for each in price_list.rows
                if _place(each) == (prefix, section.from_prefix, section.trunk)
            ]
            (band,) = section.prices[section.row_prices[row]].bands
            assert [price.compile(EUR) for price in made_of] == [band.ladder]


@given(price_lists())
def test_an_exported_tariff_has_the_same_prices(price_list: PriceList) -> None:
    sections = read(text_of(price_list))
    assert prices(read(text_of(price_list_of(sections)))) == prices(sections)


@pytest.mark.parametrize("model", GOOD)
def test_a_file_of_each_model_survives(model: str) -> None:
    """Timed prices among them, wall times, origins, other currencies and usage types."""
    sections = read(GOOD[model].decode())
    again = read(text_of(price_list_of(sections)))
    assert prices(again) == prices(sections)
    for before, after in zip(sections, again, strict=True):
        assert (after.currency, after.usage_type) == (before.currency, before.usage_type)


@given(st.sampled_from(sorted(GOOD.values())).flatmap(mutated))
def test_whatever_loads_can_be_written(content: bytes) -> None:
    sections = read_tariff("deck.csv", content)
    if isinstance(sections, tuple):
        try:
            written = text_of(price_list_of(sections))
        except NotWritableError:
            return
        assert prices(read(written)) == prices(sections)


def test_a_price_is_written_for_as_many_units_as_it_has_decimals() -> None:
    text = "# currency = EUR\nprefix,destination,cost_per_minute,billing_increment\n49,Germany,0.035,1\n"
    assert text_of(price_list_of(read(text))) == (
        "# currency = EUR\n# usage_type = voice\n# model = tiered\n"
        "prefix,destination,steps\n49,Germany,0-: 0.035 per 60 by 1\n"
    )


def test_a_list_may_hold_nothing_but_blocked_numbers() -> None:
    written = text_of(
        PriceList("deck", "EUR", "voice", "tiered", (PriceRow("900", "x", Blocked()),))
    )
    (section,) = read(written)
    assert [price.blocked for price in section.prices] == [True]


def test_a_comment_cannot_become_a_setting() -> None:
    row = PriceRow("49", "x", Flat(price=Decimal(1)))
    comments = ("Plan A\n# currency = USD",)
    written = text_of(PriceList("deck", "EUR", "voice", "flat", (row,), comments=comments))
    assert written.startswith("# Plan A # currency : USD\n# currency = EUR\n")
    assert read(written)[0].currency == "EUR"


def test_tax_is_written_as_included() -> None:
    text = (
        "# currency = EUR\n# model = flat\n# tax = 0.19\nprefix,destination,price\n49,Germany,1\n"
    )
    written = text_of(price_list_of(read(text)))
    assert "# tax = 0.19\n# tax_included = yes\n" in written
    (section,) = read(written)
    assert cost(section.prices[0].bands[0].ladder, 60) == 1_190_000


@pytest.mark.parametrize(
    ("rate", "reason"),
    [
        (Timed(connect_fee=Decimal("0.1")), "price"),
        (
            Flat(price=Decimal(1), terms=Terms(tax=Decimal("0.1"), maximum_charge=Decimal("0.5"))),
            "",
        ),
    ],
)
def test_what_cannot_be_read_was_wrong_before_it_was_written(rate: RateModel, reason: str) -> None:
    model = "timed" if isinstance(rate, Timed) else "flat"
    written = text_of(PriceList("deck", "EUR", "voice", model, (PriceRow("49", "x", rate),)))
    is_readable = isinstance(read_tariff("deck.csv", written.encode()), tuple)
    assert is_readable is (not reason)


@pytest.mark.parametrize(
    ("ladders", "reason"),
    [
        ([Ladder(3, 1, (Row(0, 1, 0),))], "an amount of .* has no decimals"),
        ([Ladder(1, 0, (Row(0, 1, 0),), maximum=1, limit=1)], "a maximum of both kinds"),
        ([Ladder(2**26, 0, (Row(0, 2**53 - 1, 2**79 - 3),))], "a price of .* has no decimals"),
        (
            [
                Ladder(1, 0, (Row(0, 1, 2), Row(1, 1, 1)), by_total=True),
                Ladder(1, 0, (Row(0, 1, 2), Row(1, 1, 1))),
            ],
            "tiered prices and prices by volume are in one tariff",
        ),
    ],
)
def test_what_no_file_can_say_is_refused(ladders: list[Ladder], reason: str) -> None:
    text = "# currency = EUR\n# model = flat\nprefix,destination,price\n49,x,1\n44,y,2\n"
    (section,) = read(text)
    made = [Price("made", blocked=False, bands=untimed(ladder)) for ladder in ladders]
    odd = replace(section, prices=(made * 2)[:2])
    with pytest.raises(NotWritableError, match=reason):
        price_list_of([odd])


@pytest.mark.parametrize(
    "text",
    [
        "mon-fri 08:00-18:00",
        "2026-2027 nov-dec 24-26 31 last mon wed-fri 00:00:01-23:59:59, weight 10",
        "always, weight 0.5",
        "sat-sun, mon-fri 18:00-24:00",
    ],
)
def test_timings_are_spelled_as_they_are_read(text: str) -> None:
    assert timing_text(read_timings(text)) == text


@given(
    st.builds(
        Timing,
        years=st.sets(st.integers(2000, 2030), max_size=4).map(sorted).map(tuple),
        months=st.sets(st.integers(1, 12), max_size=6).map(sorted).map(tuple),
        week_days=st.sets(st.integers(1, 7), max_size=6).map(sorted).map(tuple),
        month_days=st.sets(st.integers(1, 28), max_size=6).map(sorted).map(tuple),
        start_s=st.integers(0, 40_000),
        end_s=st.integers(40_001, 86_400),
        weight=st.integers(0, 100).map(lambda hundredths: hundredths / 8),
    )
)
def test_any_timing_survives(timing: Timing) -> None:
    assume(ever_holds(timing))
    assert read_timings(timing_text([timing])) == (timing,)
