"""Whatever a tariff file holds, it loads wholly or is refused with reasons; it never crashes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.adapters.tariff_files.building import load_folder
from ocs.adapters.tariff_files.generation_file import decode, encode
from ocs.adapters.tariff_files.reading import TariffBuild, read_tariff

GOOD = (
    b"# currency = EUR\n# zone = Europe/Berlin\n"
    b"prefix,destination,price_1,price_n,interval_1,interval_n,valid_from,valid_to,blocked\n"
    b"49,Germany,0.06,0.03,30,6,,,\n"
    b"4917,Mobile,0.16,0.16,60,60,2026-01-01,2026-02-01,\n"
    b"4917,Mobile,0.17,0.17,60,60,2026-02-01T00:00:00+01:00,,\n"
    b"979,Premium,,,,,,,yes\n"
)

bites = st.one_of(
    st.binary(max_size=4),
    st.sampled_from(
        [b",", b'"', b"\n", b"\r", b"\x00", b"#", b"# model = interval\n", b"-", b"9" * 20]
    ),
    st.sampled_from([b"1e9", b"nan", b"0", b"*", b"49", b"\xef\xbb\xbf", b"2026-02-01", b"yes"]),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    content = GOOD
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 12)))
        content = content[:start] + draw(bites) + content[end:]
    return content


@given(st.one_of(mutated(), st.binary(max_size=200)))
def test_a_mutated_file_loads_wholly_or_not_at_all(content: bytes) -> None:
    result = read_tariff("deck.csv", content)
    if isinstance(result, list):
        assert result
        assert all(line.reason for line in result)
        return
    generation = decode(memoryview(b"".join(map(bytes, encode(TariffBuild("fuzz", (result,)))))))
    (meta,) = generation.tariffs
    assert meta.rates == len(result.row_prices) >= len(result.prefixes) > 0
    assert result.prefixes == sorted(set(result.prefixes))
    for prefix in result.prefixes:
        at_ms = (
            result.valid_from_ms[result.first_rows[result.prefixes.index(prefix)]]
            if result.first_rows
            else 0
        )
        rate = generation.find(("deck",), prefix, meta.usage_type, at_ms)
        assert rate is not None
        assert rate.prefix == (prefix or "*")


@pytest.fixture
def put(tmp_path: Path) -> Callable[[bytes], Path]:
    def put(content: bytes) -> Path:
        (tmp_path / "deck.csv").write_bytes(content)
        return tmp_path

    return put


def test_the_file_that_is_mutated_is_good(put: Callable[[bytes], Path]) -> None:
    result = load_folder(put(GOOD))
    assert isinstance(result, TariffBuild)
    assert len(result.tariffs[0].row_prices) == 4
