"""Each file of the function library says what it is, and what it says is true."""

import re
from pathlib import Path

import pytest

from ocs.adapters.valkey.functions import LUA_FILES, assemble
from ocs.adapters.valkey.records import RECORD_FORM

LUA = Path(__file__).parents[2] / "ocs" / "adapters" / "valkey" / "lua"
FUNCTIONS = tuple(name for name in LUA_FILES if "register_function" in (LUA / name).read_text())


def header(name: str) -> str:
    lines = (LUA / name).read_text(encoding="utf-8").splitlines()
    return "\n".join(
        line
        for line in lines[: next(i for i, line in enumerate(lines) if not line.startswith("--"))]
    )


def test_every_file_is_listed_and_there() -> None:
    assert sorted(path.name for path in LUA.glob("*.lua")) == sorted(LUA_FILES)


@pytest.mark.parametrize("name", LUA_FILES)
def test_every_file_opens_with_what_it_is(name: str) -> None:
    assert len(header(name).splitlines()) >= 2, f"{name} needs a header"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_states_its_contract(name: str) -> None:
    text, head = (LUA / name).read_text(encoding="utf-8"), header(name)
    verb = name.removesuffix(".lua")
    assert head.startswith(f"-- {verb}: "), "purpose"
    for part in ("KEYS", "ARGV", "Returns", "Keeps true"):
        assert part in head, part
    assert re.findall(r"register_function\('@LIBRARY@_(\w+)'", text) == [verb]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_keys_that_are_stated_are_the_keys_that_are_used(name: str) -> None:
    line = next(line for line in header(name).splitlines() if "KEYS" in line)
    stated = {int(n) for n in re.findall(r"\b(\d) +\w", line)}
    body = (LUA / name).read_text(encoding="utf-8").split("\n", header(name).count("\n") + 1)[-1]
    assert {int(n) for n in re.findall(r"keys\[(\d)\]", body)} == stated


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_statuses_that_are_stated_are_those_that_are_returned(name: str) -> None:
    body = (LUA / name).read_text(encoding="utf-8")[len(header(name)) :]
    returned = set(re.findall(r"(?:return \{|status = ) ?'([A-Z_]+)'", body))
    assert returned <= set(re.findall(r"[A-Z]{2,}(?:_[A-Z]+)*", header(name)))


def test_the_library_registers_the_eight_verbs() -> None:
    assert assemble().verbs == {
        "charge",
        "credit",
        "reverse",
        "debit",
        "expire",
        "define",
        "park",
        "settle_parked",
    }


def test_script_and_program_have_the_same_form_of_records() -> None:
    [form] = re.findall(
        r"^local FORM = (\d+)$", (LUA / "records.lua").read_text("utf-8"), re.MULTILINE
    )
    assert int(form) == RECORD_FORM
