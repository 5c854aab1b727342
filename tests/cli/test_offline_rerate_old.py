"""`ocs offline rerate` over a page that was left half applied for longer than references live."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from ocs.adapters.valkey.keys import Keys, partition_of
from ocs.config.settings import Ledger
from ocs.usecases.ports import DAY_MS, LedgerUnavailable
from ocs.usecases.rerating import Adjusting, Due, Outcome
from tests.cli.conftest import Execute
from tests.cli.rerate_desk import GERMANY, RerateDesk
from tests.cli.terminal import Terminal

pytestmark = pytest.mark.slow

pytest.importorskip("polars", reason="the extra `offline` is not installed")

PAGE = "0001-"
LONG_AGO_MS = 40 * DAY_MS


def journal_of(account: str) -> str:
    return Keys(partition_of(f"demo/{account}", Ledger().partitions)).journal


class OldDesk(RerateDesk):
    """Of one page bob was adjusted, ann was not, and neither is written down."""

    def __init__(self, terminal: Terminal, folder: Path, execute: Execute) -> None:
        super().__init__(terminal, folder)
        self.execute = execute
        self.page = ""
        self.create_for_cdrs("ann", "bob")
        self.run(self.cdrs("a.csv", ("a", "ann", GERMANY, 61), ("c", "bob", GERMANY, 300)))
        self.before = {name: self.left(name) for name in ("ann", "bob")}

    def leave_half(self, patch: pytest.MonkeyPatch) -> str:
        """Adjust bob, and lose the link."""
        bob_is_done = asyncio.Event()
        moved = Adjusting._moved

        async def half(self: Adjusting, page: str, due: Due, *rest: Any) -> Outcome:
            if due.account == "bob":
                await moved(self, page, due, *rest)
                bob_is_done.set()
            await bob_is_done.wait()
            raise LedgerUnavailable("the link is gone")

        with patch.context() as patched:
            patched.setattr(Adjusting, "_moved", half)
            self.rerate("dear", "--apply", expect=1)
        (page,) = (self.folder / "book" / "pages").iterdir()
        return page.name

    def grow_old(self) -> None:
        """Let 40 days pass."""
        report = self.folder / "book" / "pages" / self.page / "report.json"
        told = json.loads(report.read_bytes())
        told["decided_ms"] -= LONG_AGO_MS
        report.write_text(json.dumps(told), encoding="utf-8")
        self.forget(1)

    def forget(self, references: int) -> None:
        """As the store does with what it remembers of so many adjustments, in its time."""
        keys = self.execute("KEYS", "*r:demo/*/rerate*")
        assert isinstance(keys, list)
        assert len(keys) == references
        self.execute("DEL", *keys)

    def moved(self) -> dict[str, float]:
        return {name: round(self.left(name) - left, 6) for name, left in self.before.items()}


@pytest.fixture
def young(
    terminal: Terminal, tmp_path: Path, execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> OldDesk:
    desk = OldDesk(terminal, tmp_path, execute)
    desk.page = desk.leave_half(monkeypatch)
    assert desk.moved() == {"ann": 0, "bob": -0.16}
    return desk


@pytest.fixture
def desk(young: OldDesk) -> OldDesk:
    young.grow_old()
    return young


def outcomes(done: Any) -> dict[str, str]:
    return {each["account"]: each["code"] for each in done["finished"]}


def test_what_the_journal_tells_is_not_moved_again(desk: OldDesk) -> None:
    done = desk.rerate("dear", "--apply")
    assert outcomes(done) == {"ann": "OK", "bob": "OK"}
    assert all(each["transaction_id"] for each in done["finished"])
    assert desk.moved() == {"ann": 0.011, "bob": -0.16}
    assert (done["page"], done["compared"]["changed"]) == ("", 0), "all of it is right"
    desk.rerate("old", "--apply")
    assert desk.moved() == {"ann": 0, "bob": 0}


def test_an_old_page_may_be_interrupted_again(
    desk: OldDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ann's adjustment is carried out, not written down, and forgotten in its turn."""
    moved = Adjusting._moved

    async def lost(self: Adjusting, page: str, due: Due, *rest: Any) -> Outcome:
        await moved(self, page, due, *rest)
        raise LedgerUnavailable("the link is gone")

    with monkeypatch.context() as patch:
        patch.setattr(Adjusting, "_moved", lost)
        desk.rerate("dear", "--apply", expect=1)
    assert desk.moved() == {"ann": 0.011, "bob": -0.16}
    desk.forget(1)
    assert outcomes(desk.rerate("dear", "--apply")) == {"ann": "OK", "bob": "OK"}
    assert desk.moved() == {"ann": 0.011, "bob": -0.16}


def test_what_nobody_can_tell_waits_until_it_is_left_alone(desk: OldDesk) -> None:
    """Bob's entry has left the store, and the journal's files are not here."""
    page = desk.page
    assert journal_of("ann") != journal_of("bob")
    desk.execute("XTRIM", journal_of("bob"), "MAXLEN", 0)
    desk.rerate("dear", "--apply", expect=1)
    assert "of 1 of its accounts whether they were adjusted: demo bob 0.16 EUR" in (
        desk.terminal.stderr
    )
    assert f"--leave {page}" in desk.terminal.stderr
    assert desk.moved() == {"ann": 0, "bob": -0.16}
    of = ("--of", str(desk.folder / "rated"))
    said = desk.terminal.run(*desk.options("dear", *of, "--apply", "--leave", page), expect=1)
    assert "1 accounts adjusted, 0 refused, 1 left alone" in said
    assert "left alone: demo bob 0.16 EUR: nobody can tell" in desk.terminal.stderr
    assert desk.moved() == {"ann": 0.011, "bob": -0.16}
    assert "not needed" not in desk.terminal.stderr


def test_a_journal_that_cannot_be_read_is_told_and_may_be_left(desk: OldDesk) -> None:
    reels = desk.folder / "reels"
    reels.mkdir()
    (reels / "heads").write_text("what", encoding="utf-8")
    with desk.config.open("a", encoding="utf-8") as config:
        config.write(f'[journal]\nfolder = "{reels}"\n')
    desk.execute("HSET", "ocs:journal", "folder", "this one")
    desk.rerate("dear", "--apply", expect=1)
    assert f"{reels}/heads is damaged" in desk.terminal.stderr
    assert f"--leave {desk.page}" in desk.terminal.stderr
    done = desk.rerate("dear", "--apply", "--leave", desk.page, expect=1)
    assert outcomes(done) == {"ann": "OUTCOME_UNKNOWN", "bob": "OUTCOME_UNKNOWN"}
    assert all(f"{reels}/heads is damaged" in each["reason"] for each in done["finished"])
    assert desk.moved() == {"ann": 0, "bob": -0.16}
    assert desk.rerate("dear", "--apply")["finished"] == [], "the page is closed"


def test_what_was_left_alone_is_left_alone_by_later_pages(desk: OldDesk) -> None:
    page = desk.page
    desk.execute("XTRIM", journal_of("bob"), "MAXLEN", 0)
    done = desk.rerate("cheap", "--apply", "--leave", page, expect=1)
    assert outcomes(done) == {"ann": "OK", "bob": "OUTCOME_UNKNOWN"}
    assert done["compared"]["not_applied"] == {"nobody can tell whether a page has adjusted it": 1}
    assert {each["account"] for each in done["outcomes"]} == {"ann"}
    assert desk.moved() == {"ann": 0.0895, "bob": -0.16}
    again = desk.rerate("old", "--apply")
    assert {each["account"] for each in again["outcomes"]} == {"ann"}
    assert desk.moved() == {"ann": 0, "bob": -0.16}


@pytest.mark.parametrize("is_old", [False, True])
def test_where_all_can_be_told_there_is_nothing_to_leave(young: OldDesk, *, is_old: bool) -> None:
    """Of a young page the ledger tells, of an old one the journal."""
    desk = young
    if is_old:
        desk.grow_old()
    done = desk.rerate("dear", "--apply", "--leave", desk.page)
    assert outcomes(done) == {"ann": "OK", "bob": "OK"}
    assert f"--leave was not needed: of {desk.page} all could be told" in desk.terminal.stderr
    assert desk.moved() == {"ann": 0.011, "bob": -0.16}


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (("--leave", PAGE), 2, "--leave goes with --apply only"),
        (("--leave", PAGE, "--apply"), 1, f"--leave: {PAGE} is no page that is applied in part"),
    ],
)
def test_what_is_no_such_page_is_not_left(
    desk: OldDesk, options: tuple[str, ...], code: int, reason: str
) -> None:
    desk.rerate("dear", *options, expect=code)
    assert reason in desk.terminal.stderr
    assert desk.moved() == {"ann": 0, "bob": -0.16}
