"""`ocs audit` and `ocs verify` on a store whose journal was drained into files."""

import asyncio
import json
from pathlib import Path

import pytest

from ocs.adapters.reels.folder import ReelFolder, ReelLimits
from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.journal import ValkeyStream, moves_of
from ocs.config.settings import Ledger
from ocs.usecases.draining import Drainer, DrainRules
from tests.cli.terminal import Terminal

PARTITIONS = Ledger().partitions


@pytest.fixture
def folder(terminal: Terminal, store_server: EmbeddedStore, tmp_path: Path) -> Path:
    """A data directory; its journal has an account's two entries, and the store has a third."""
    terminal.run("account", "create", "acme", "--currency", "EUR")
    terminal.run("credit", "top-up", "acme", "10", "--reference", "r1")
    asyncio.run(drain(store_server, tmp_path / "journal"))
    terminal.run("credit", "top-up", "acme", "5", "--reference", "r2")
    return tmp_path


async def drain(server: EmbeddedStore, folder: Path) -> None:
    """Drain everything, and keep nothing in the store that is safe."""
    reels = ReelFolder(folder, ReelLimits(), moves_of)
    async with Connection(server.url) as connection:
        rules = DrainRules(partitions=PARTITIONS, keep_ms=-1_000)
        stream = ValkeyStream(connection, PARTITIONS, "test")
        drainer = Drainer(stream, reels, rules, lambda: 0.0)
        await drainer.begin()
        for partition in range(PARTITIONS):
            await drainer.drain(partition)
        await drainer.conclude()
        assert (drainer.drained, drainer.trimmed) == (2, 2)
    reels.close()


def at(folder: Path) -> tuple[str, str]:
    return ("--dir", str(folder))


def reel(folder: Path) -> Path:
    (path,) = (folder / "journal").glob("*/00000001")
    return path


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def first_id(terminal: Terminal, folder: Path) -> str:
    terminal.run("audit", "export", "--to", str(folder / "out"), *at(folder))
    import polars as pl  # noqa: PLC0415 -- only where the extra is

    tables = pl.read_parquet(folder / "out" / "entries", hive_partitioning=True)
    return str(tables["transaction_id"][0])


def test_books_are_verified_from_the_checkpoint_and_from_the_start(
    terminal: Terminal, folder: Path
) -> None:
    assert "1 journal entries" in terminal.run("verify", *at(folder))
    assert "3 journal entries" in terminal.run("verify", "--from-start", *at(folder))


def test_without_the_files_of_its_journal_a_store_cannot_be_verified(
    terminal: Terminal, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    found = terminal.json("verify", "--dir", str(other), expect=1)["findings"]
    assert "no journal entry is missing" in {each["rule"] for each in found}
    heads = folder / "journal" / "heads"
    text = heads.read_text(encoding="ascii")
    heads.write_text(text.replace('"id":"', '"id":"of-another-store-'), encoding="ascii")
    terminal.run("verify", *at(folder), expect=1)


def test_damaged_files_end_the_verification(terminal: Terminal, folder: Path) -> None:
    flip(reel(folder))
    terminal.run("verify", *at(folder))  # the checkpoint is older than the damage
    terminal.run("verify", "--from-start", *at(folder), expect=1)
    assert "ocs audit verify" in terminal.stderr


def test_the_chains_are_checked(terminal: Terminal, folder: Path) -> None:
    shown = terminal.run("audit", "verify", *at(folder))
    assert "audited 2 entries in 1 reels of 1 partitions" in shown
    assert len(terminal.json("audit", "verify", *at(folder))["digest"]) == 64
    flip(reel(folder))
    partition = int(reel(folder).parent.name)
    terminal.run("audit", "verify", *at(folder), expect=1)
    row = terminal.stdout.splitlines()[1].split()
    assert row[:3] == [str(partition), "1", "51"]
    damages = terminal.json("audit", "verify", *at(folder), expect=1)["damages"]
    assert [(each["partition"], each["reel"]) for each in damages] == [(partition, 1)]


@pytest.mark.parametrize("order", [["verify"], ["export", "--to", "out"]])
def test_where_there_is_no_journal(terminal: Terminal, tmp_path: Path, order: list[str]) -> None:
    terminal.run("audit", *order, *at(tmp_path), expect=1)
    assert "there is no journal in" in terminal.stderr


def test_an_entry_is_shown_from_the_files_and_from_the_store(
    terminal: Terminal, folder: Path
) -> None:
    known = first_id(terminal, folder)
    shown = json.loads(terminal.run("audit", "show", known, *at(folder)))
    assert (shown["transaction_id"], shown["kind"]) == (known, "define")
    assert "result" not in shown
    last = terminal.json("credit", "top-up", "acme", "1", "--reference", "r3")["transaction_id"]
    shown = json.loads(terminal.run("audit", "show", last, *at(folder)))
    assert (shown["kind"], shown["changes"][0]["left_by"]) == ("credit", 1_000_000)
    label = last.partition("-")[0]
    terminal.run("audit", "show", f"{label}-1-1", *at(folder), expect=1)
    assert "there is no transaction" in terminal.stderr
    for wrong in ("x", "017", "017-1", "017-a-b"):
        terminal.run("audit", "show", wrong, *at(folder), expect=2)
    (folder / "journal" / "heads").write_bytes(b"{")
    terminal.run("audit", "show", known, *at(folder), expect=1)


def test_tables_go_into_an_empty_folder(terminal: Terminal, folder: Path) -> None:
    order = ["audit", "export", "--to", str(folder / "out"), *at(folder)]
    (part,) = terminal.json(*order)
    assert (part["entries"], part["cdrs"], part["open_sessions"]) == (2, 0, 0)
    terminal.run(*order, expect=1)
    assert "is not empty" in terminal.stderr
    (folder / "file").write_text("", encoding="ascii")
    terminal.run("audit", "export", "--to", str(folder / "file" / "x"), *at(folder), expect=1)
    flip(reel(folder))
    terminal.run("audit", "export", "--to", str(folder / "other"), *at(folder), expect=1)
    assert "is damaged" in terminal.stderr
