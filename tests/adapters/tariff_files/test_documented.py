"""The tariff files that docs/tariffs.md shows load, and cost what its tables say."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocs.adapters.tariff_files.columns import columns_of
from ocs.adapters.tariff_files.values import read_instant, read_quantity
from ocs.domain.ladder import cost
from ocs.domain.money import currency, parse_money
from ocs.domain.rates import MODELS
from tests.adapters.tariff_files.files import found, loaded

PAGE = (Path(__file__).parents[3] / "docs/tariffs.md").read_text("utf-8")
EXAMPLE = re.compile(r"```\n(#.*?)```\n\n((?:\|[^\n]*\n)*)", re.DOTALL)


def quotes() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each line of a table that follows a file, with the file."""
    for text, table in EXAMPLE.findall(PAGE):
        lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
        for line in lines[2:]:
            yield text, dict(zip(lines[0], line, strict=True))


@pytest.mark.parametrize(("text", "quote"), tuple(quotes()))
def test_a_quote_is_what_the_file_costs(text: str, quote: dict[str, str]) -> None:
    generation = loaded(text)
    (meta,) = generation.tariffs
    zone = generation.decks[0].head.zone
    at_ms = read_instant(quote["at"], zone.name).ms if zone and "at" in quote else 0
    rate = found(generation, quote["number"], at_ms)
    units = read_quantity(quote["used"], meta.usage_type)
    assert cost(rate.ladder, units) == parse_money(quote["cost"], currency(meta.currency))


def test_every_file_that_is_shown_loads() -> None:
    files = [text for text, _ in EXAMPLE.findall(PAGE)]
    assert len(files) >= 10
    for text in files:
        assert loaded(text).tariffs


def test_every_model_is_shown_with_a_quote_or_said_to_have_none() -> None:
    shown = {found(loaded(text), quote["number"]).model for text, quote in quotes()}
    assert shown == set(MODELS) - {"free", "blocked"}


def test_every_column_is_explained() -> None:
    for model in MODELS:
        for column in columns_of(model):
            assert f"`{column}`" in PAGE, f"{model}: {column}"
