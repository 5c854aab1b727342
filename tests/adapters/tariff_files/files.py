"""Tariff files for tests: text to a generation, or to what is wrong with it."""

from ocs.adapters.tariff_files import BadLine, TariffBuild
from ocs.adapters.tariff_files.generation_file import decode, encode
from ocs.adapters.tariff_files.reading import read_tariff
from ocs.domain.generation import Generation
from ocs.domain.tariff import Rate, Used, plan_tariffs
from ocs.domain.zones import UTC_ZONE, Zone

DECK = plan_tariffs("deck")


def generation_of(text: str | bytes) -> Generation | list[BadLine]:
    """Load a file as the builder does, by way of its compiled form."""
    content = text.encode() if isinstance(text, str) else text
    sections = read_tariff("deck.csv", content)
    if isinstance(sections, list):
        return sections
    return decode(memoryview(b"".join(map(bytes, encode(TariffBuild("test", sections))))))


def loaded(text: str) -> Generation:
    generation = generation_of(text)
    assert isinstance(generation, Generation), generation
    return generation


def faults(text: str) -> list[tuple[int, str, str]]:
    bad = generation_of(text)
    assert isinstance(bad, list)
    return [(line.line, line.column, line.reason) for line in sorted(bad)]


def found(
    generation: Generation,
    number: str,
    at_ms: int = 0,
    *,
    zone: Zone = UTC_ZONE,
    caller: str = "",
    trunk: str = "",
) -> Rate:
    usage_type = generation.tariffs[0].usage_type
    rate = generation.find(DECK, Used(number, usage_type, at_ms, zone, caller, trunk))
    assert rate is not None
    return rate
