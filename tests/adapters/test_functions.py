"""The library is named by its content, loads beside others, and comes back when it is lost."""

import asyncio
from pathlib import Path

import pytest

from ocs.adapters.valkey.connection import (
    Connection,
    OutcomeUnknown,
    ReplyError,
    StoreUnavailable,
    StoreUnusable,
    function_not_found,
    not_executed,
)
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.functions import FunctionLibrary, assemble, load

FILES = ("base.lua", "answer.lua")
BASE = "local function the_answer() return 42 end\n"
ANSWER = (
    "server.register_function('@LIBRARY@_answer', function(keys, args) return the_answer() end)\n"
)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "base.lua").write_text(BASE)
    (tmp_path / "answer.lua").write_text(ANSWER)
    return tmp_path


@pytest.fixture
def library(sources: Path) -> FunctionLibrary:
    return assemble(directory=sources, files=FILES)


def test_the_files_are_joined_in_the_listed_order_under_one_name(library: FunctionLibrary) -> None:
    assert library.code.startswith(f"#!lua name={library.name}\n-- base.lua\n{BASE}")
    assert library.code.index("-- base.lua") < library.code.index("-- answer.lua")
    assert "@LIBRARY@" not in library.code
    assert library.function("answer") == f"{library.name}_answer"


def test_a_verb_that_no_source_registers_is_a_bug(library: FunctionLibrary) -> None:
    with pytest.raises(AssertionError, match="no function 'anwser'"):
        library.function("anwser")


def test_the_name_tells_the_content(sources: Path, library: FunctionLibrary) -> None:
    assert library.name.startswith("ocs_v1_")
    assert assemble(directory=sources, files=FILES).name == library.name
    other = assemble({"base.lua": BASE.replace("42", "43")}, directory=sources, files=FILES)
    assert other.name != library.name
    assert len(other.name) == len("ocs_v1_") + 8


def test_only_listed_files_can_be_replaced(sources: Path) -> None:
    with pytest.raises(AssertionError, match=r"clokc\.lua"):
        assemble({"clokc.lua": ""}, directory=sources, files=FILES)


async def test_the_handshake_loads_the_library(
    store_server: EmbeddedStore, library: FunctionLibrary
) -> None:
    async with Connection(store_server.url, library=library) as connection:
        assert await connection.execute("FCALL", library.function("answer"), 0) == 42


async def test_two_libraries_live_side_by_side(
    store: Connection, sources: Path, library: FunctionLibrary
) -> None:
    other = assemble({"base.lua": BASE.replace("42", "43")}, directory=sources, files=FILES)
    for loaded in (library, other, library):
        await load(store.execute, loaded)
    assert await store.execute("FCALL", library.function("answer"), 0) == 42
    assert await store.execute("FCALL", other.function("answer"), 0) == 43


async def test_two_that_load_at_once_do_not_disturb_each_other(
    store_server: EmbeddedStore, store: Connection, library: FunctionLibrary
) -> None:
    await store.execute("FUNCTION", "FLUSH")
    async with Connection(store_server.url) as other:
        await asyncio.gather(load(store.execute, library), load(other.execute, library))
    assert await store.execute("FCALL", library.function("answer"), 0) == 42


async def test_a_flushed_library_comes_back_once_for_all_who_miss_it(
    store_server: EmbeddedStore, library: FunctionLibrary
) -> None:
    async with Connection(store_server.url, library=library) as connection:
        await connection.execute("FUNCTION", "FLUSH")
        with pytest.raises(ReplyError) as missing:
            await connection.execute("FCALL", library.function("answer"), 0)
        assert function_not_found(missing.value)
        assert not_executed(missing.value)
        before = connection.counters.commands
        await asyncio.gather(*[connection.ensure_loaded() for _ in range(20)])
        assert connection.counters.commands - before == len(["FUNCTION LIST", "FUNCTION LOAD"])
        assert await connection.execute("FCALL", library.function("answer"), 0) == 42


async def test_a_full_store_still_lets_in_whoever_finds_the_library_there(
    own_server: EmbeddedStore, library: FunctionLibrary
) -> None:
    async with Connection(own_server.url, library=library) as first:
        await first.execute("CONFIG", "SET", "maxmemory", 1)
        with pytest.raises(ReplyError, match="OOM") as full:
            await first.execute("SET", "a", 1)
        assert not_executed(full.value)
        async with Connection(own_server.url, library=library) as second:
            assert second.connected


async def test_lua_that_does_not_compile_is_reported_at_once(
    store_server: EmbeddedStore, sources: Path
) -> None:
    broken = assemble({"base.lua": "local function\n"}, directory=sources, files=FILES)
    with pytest.raises(StoreUnusable, match="compiling"):
        async with Connection(store_server.url, library=broken):
            pytest.fail("connected with a broken library")


def test_a_command_that_was_not_sent_was_not_executed_one_that_was_may_have_been() -> None:
    assert not_executed(StoreUnavailable())
    assert not not_executed(OutcomeUnknown())


@pytest.mark.parametrize(
    ("reply", "proves"),
    [
        ("MOVED 1 host:1", True),
        ("LOADING server is loading", True),
        ("READONLY You can't write against a read only replica.", True),
        ("OOM command not allowed when used memory > 'maxmemory'.", True),
        ("OOM command not allowed. script: charge, on @user_function:9.", False),
        ("ERR Function not found", True),
        ("ERR user_function:9: attempt to index a nil value script: charge", False),
        ("WRONGTYPE Operation against a key", False),
    ],
)
def test_only_refusals_before_the_start_prove_that_nothing_ran(reply: str, proves: bool) -> None:
    assert not_executed(ReplyError.parse(reply)) is proves
