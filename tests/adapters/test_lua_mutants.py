"""Every fault that is put into the ledger's script is noticed by the suite.

The suite here are the scenarios and the table tests of `test_ledger*.py`, run on the real store with
one text of the library replaced, until the first of them fails. A mutant that survives shows a rule
that no test holds; one whose text is not found any more shows a list that fell behind the script.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from importlib import resources
from inspect import signature
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ocs.adapters.valkey.embedded import EmbeddedStore
from tests.adapters import (
    test_ledger,
    test_ledger_adjusted,
    test_ledger_changes,
    test_ledger_debits,
    test_ledger_memory,
    test_ledger_money,
    test_ledger_parked,
    test_ledger_past,
    test_ledger_prices,
    test_ledger_reports,
    test_ledger_reversal,
    test_ledger_services,
    test_ledger_short_ways,
)
from tests.adapters.debit_mutants import DEBIT_MUTANTS
from tests.adapters.ledgers import RealBench, real_bench
from tests.adapters.lua_mutants import MUTANTS, Mutant
from tests.adapters.memory_mutants import MEMORY_MUTANTS
from tests.adapters.parked_mutants import PARKED_MUTANTS
from tests.adapters.price_mutants import PRICE_MUTANTS
from tests.adapters.report_mutants import REPORT_MUTANTS
from tests.adapters.short_way_mutants import SHORT_WAY_MUTANTS
from tests.usecases.scenario_language import parse
from tests.usecases.scenario_player import Player

SCENARIOS = sorted((Path(__file__).parents[1] / "usecases" / "scenarios").glob("*.txt"))

Case = Callable[[RealBench], Awaitable[None]]


def scenario(path: Path) -> Case:
    played = parse(path.read_text(encoding="utf-8"))
    return lambda bench: Player(played, bench).play()


def table_tests(module: ModuleType) -> Iterator[tuple[str, Case]]:
    """The tests of a part of the suite, spelled out for all their parameters."""
    for name, test in vars(module).items():
        if not name.startswith("test_") or "bench" not in signature(test).parameters:
            continue
        marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
        for values in product(*(mark.args[1] for mark in marks)):
            arguments: dict[str, Any] = {}
            for mark, value in zip(marks, values, strict=True):
                names = mark.args[0]
                single = isinstance(names, str)
                arguments |= {names: value} if single else dict(zip(names, value, strict=True))
            yield f"{name} {values}", _with(test, arguments)


def _with(test: Callable[..., Awaitable[None]], arguments: dict[str, Any]) -> Case:
    return lambda bench: test(bench, **arguments)


MODULES = (
    *(test_ledger, test_ledger_money, test_ledger_prices, test_ledger_short_ways),
    *(test_ledger_reports, test_ledger_reversal, test_ledger_services, test_ledger_changes),
    *(test_ledger_debits, test_ledger_parked, test_ledger_memory, test_ledger_adjusted),
    test_ledger_past,
)
SUITE: dict[ModuleType | None, dict[str, Case]] = {
    None: {path.stem: scenario(path) for path in SCENARIOS},
    **{module: dict(table_tests(module)) for module in MODULES},
}
"""The scenarios, and the table tests of each module."""


def source(file: str) -> str:
    return (resources.files("ocs.adapters.valkey") / "lua" / file).read_text(encoding="utf-8")


async def first_failure(
    url: str, overrides: dict[str, str], likely: Sequence[ModuleType] = ()
) -> str:
    """The name of the first test that fails with these texts; empty when none does.

    `likely` are asked first, which spares minutes; then all others.
    """
    async with real_bench(url, overrides) as bench:
        for module in dict.fromkeys((*likely, *SUITE)):
            for name, case in SUITE[module].items():
                await bench.connection.execute("FLUSHALL")
                try:
                    await case(bench)
                except Exception:  # noqa: BLE001 - whatever a faulty script leads to, it is noticed
                    return name
    return ""


@pytest.mark.slow
async def test_the_script_as_it_is_passes(store_server: EmbeddedStore) -> None:
    assert await first_failure(store_server.url, {}) == ""


GROUPS = (
    (MUTANTS, ()),
    (PRICE_MUTANTS, (test_ledger_prices, test_ledger_money)),
    (SHORT_WAY_MUTANTS, (test_ledger_short_ways,)),
    (REPORT_MUTANTS, (test_ledger_reports, test_ledger_changes)),
    (DEBIT_MUTANTS, (test_ledger_debits,)),
    (PARKED_MUTANTS, (test_ledger_parked,)),
    (MEMORY_MUTANTS, (test_ledger_memory, test_ledger_adjusted, test_ledger_past)),
)
LIKELY_OF_FILE = {"reverse.lua": (test_ledger_reversal, test_ledger_adjusted, test_ledger_past)}
ALL_MUTANTS = [
    (mutant, likely or LIKELY_OF_FILE.get(mutant.file, ()))
    for mutants, likely in GROUPS
    for mutant in mutants
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mutant", "likely"),
    ALL_MUTANTS,
    ids=[mutant.name.replace(" ", "-") for mutant, _ in ALL_MUTANTS],
)
async def test_a_fault_is_caught(
    mutant: Mutant, likely: Sequence[ModuleType], store_server: EmbeddedStore
) -> None:
    text = source(mutant.file)
    assert text.count(mutant.text) == 1, f"{mutant.file} has changed: adapt the mutant"
    overrides = {mutant.file: text.replace(mutant.text, mutant.instead)}
    caught_by = await first_failure(store_server.url, overrides, likely)
    assert caught_by, f"no test notices it: {mutant.name}"
    print(f"{mutant.name}: {caught_by}")
