"""Whatever a tariff file holds, it loads wholly or is refused with reasons; it never crashes.

And what loads can be priced: every row of it, in both directions, with every one of its bands.
"""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocs.adapters.tariff_files import TariffBuild
from ocs.adapters.tariff_files.generation_file import decode, encode
from ocs.adapters.tariff_files.reading import read_tariff
from ocs.adapters.tariff_files.sections import Tariff
from ocs.domain.ladder import affordable, cost
from ocs.domain.rates import MODELS
from ocs.domain.tariff import Band
from tests.adapters.tariff_files.files import found

GOOD = {
    "interval": (
        b"# currency = EUR\n# zone = Europe/Berlin\n"
        b"prefix,destination,price_1,price_n,interval_1,interval_n,valid_from,valid_to,blocked\n"
        b"49,Germany,0.06,0.03,30,6,,,\n"
        b"4917,Mobile,0.16,0.16,60,60,2026-01-01,2026-02-01,\n"
        b"4917,Mobile,0.17,0.17,60,60,2026-02-01T00:00:00+01:00,,\n"
        b"979,Premium,,,,,,,yes\n"
    ),
    "per_minute": (
        b"# currency = KWD\n# tax = 0.05\n# decimals = 3\n# valid_from = 2026-01-01\n"
        b"prefix,destination,cost_per_minute,billing_increment,from_prefix,trunk,valid_to\n"
        b"965,Kuwait,0.010,1,,,\n965,Kuwait,0.008,1,966,,2027-01-01\n96550,Mobile,0.02,60,,gw-1,\n"
    ),
    "flat": (
        b"# currency = EUR\n# model = flat\n# usage_type = sms\n"
        b"prefix,destination,price,tax,tax_included,rounding\n"
        b"49,Germany,0.07,0.19,yes,none\n*,World,0.11,,,up\n"
    ),
    "free": b"# currency = EUR\n# model = free\nprefix,destination\n800,Freephone\n",
    "blocked": b"# currency = EUR\n# model = blocked\nprefix,destination\n900,Premium\n",
    "tiered": (
        b"# currency = EUR\n# model = tiered\nprefix,destination,steps,access,minimum_charge\n"
        b"49,Germany,0-1min: 0.10 per 60; 60-: 0.05 per 60 by 1,0.02,0.05\n"
        b"44,United Kingdom,0-60: 0.10 per 60; 60-3600: 0.05 per 60 by 6,,\n"
    ),
    "volume": (
        b"# currency = JPY\n# usage_type = data\n# model = volume\n"
        b"prefix,destination,steps,maximum_charge,maximum_strategy,grace_period\n"
        b"*,Internet,0-100MiB: 2 per MiB by KiB; 100MiB-: 1 per MiB,5000,disconnect,1kB\n"
    ),
    "timed": (
        b"# currency = GBP\n# model = timed\n# timing.peak = mon-fri 08:00-18:00\n"
        b"# timing.holiday = dec 25-26, jan 1, weight 10\n"
        b"prefix,destination,price,per,increment,initial_charge,initial_period,steps,timing\n"
        b"44,UK,0.05,60,1,0.50,30,,peak\n44,UK,,,,,,0-60: 0.2 per 60; 60-: 0.1 per 60 by 1,\n"
        b"44,UK,0.01,60,60,,,,holiday\n"
    ),
}

bites = st.one_of(
    st.binary(max_size=4),
    st.sampled_from([b",", b'"', b"\n", b"\r", b"\x00", b"#", b"-", b":", b";", b"9" * 20]),
    st.sampled_from([f"# model = {model}\n".encode() for model in MODELS]),
    st.sampled_from([b"1e9", b"nan", b"0", b"*", b"49", b"\xef\xbb\xbf", b"2026-02-01", b"yes"]),
    st.sampled_from(
        [b"0.10 per 60", b" by 7", b"60-", b"GiB", b"h", b"peak", b"none", b"disconnect"]
    ),
    st.sampled_from([b"# timing.peak = always\n", b", weight 3", b"fri-mon", b"feb 29", b"24:00"]),
)


@st.composite
def mutated(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes replaced, cells and lines swapped, doubled or dropped."""
    for _ in range(draw(st.sampled_from([1, 1, 2, 4]))):
        kind = draw(st.sampled_from(["bytes", "bytes", "cells", "lines"]))
        if kind == "bytes":
            start = draw(st.integers(0, len(content)))
            end = min(len(content), start + draw(st.integers(0, 12)))
            content = content[:start] + draw(bites) + content[end:]
            continue
        separator = b"," if kind == "cells" else b"\n"
        pieces = content.split(separator)
        taken, put = (draw(st.integers(0, len(pieces) - 1)) for _ in range(2))
        piece = draw(st.one_of(st.just(pieces[taken]), bites))
        pieces[put : put + draw(st.integers(0, 1))] = [piece] * draw(st.integers(0, 2))
        content = separator.join(pieces)
    return content


files = st.one_of(st.sampled_from(sorted(GOOD.values())).flatmap(mutated), st.binary(max_size=200))


@pytest.mark.slow
@settings(max_examples=max(1_000, settings().max_examples))
@given(files)
def test_a_mutated_file_loads_wholly_or_not_at_all(content: bytes) -> None:
    sections = read_tariff("deck.csv", content)
    if isinstance(sections, list):
        assert sections
        assert all(line.reason for line in sections)
        return
    generation = decode(memoryview(b"".join(map(bytes, encode(TariffBuild("fuzz", sections))))))
    (meta,) = generation.tariffs
    assert meta.rates == sum(len(section.row_prices) for section in sections) > 0
    for section in sections:
        assert section.prefixes == sorted(set(section.prefixes))
        for prefix, at_ms in rows_of(section):
            rate = found(generation, prefix, at_ms, caller=section.from_prefix, trunk=section.trunk)
            assert rate.prefix == (prefix or "*")
            assert all(map(can_be_priced, rate.bands))


def rows_of(section: Tariff) -> Iterator[tuple[str, int]]:
    """Yield each prefix with an instant at which a row of it is in force."""
    for number, prefix in enumerate(section.prefixes):
        first_row = section.first_rows[number] if section.first_rows else 0
        yield prefix, section.valid_from_ms[first_row] if section.valid_from_ms else 0


def can_be_priced(band: Band) -> bool:
    ladder = band.ladder
    reached = min(affordable(ladder, 10_000_000), 10**12)
    amounts = [cost(ladder, units, hold=True) for units in (0, 1, 60, 3_600, 10**9)]
    return cost(ladder, reached, hold=True) <= 10_000_000 and min(amounts) >= 0


@pytest.mark.parametrize("model", GOOD)
def test_the_files_that_are_mutated_are_good(model: str) -> None:
    sections = read_tariff("deck.csv", GOOD[model])
    assert isinstance(sections, tuple)
    assert {price.model for section in sections for price in section.prices} >= {model}


def test_every_model_is_mutated() -> None:
    assert set(GOOD) == set(MODELS)
