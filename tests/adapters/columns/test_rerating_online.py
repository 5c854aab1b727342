"""Which uses that were charged online a page moves money for, and what it knows of the journal."""

from pathlib import Path
from typing import Any

import pytest

from ocs.usecases.ports import AdjustedUse, Adjusts, SessionKey
from ocs.usecases.rerating import whose
from tests.adapters.columns.test_rerating_book import BOB, book, differences

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
journal_uses = pytest.importorskip("ocs.adapters.columns.journal_uses")

__all__ = ["book"]

ONLINE = {"source": "online", "use_id": "a call/1", "part": "017-5-0/0"}


def test_a_page_says_for_which_uses_its_amounts_are(book: Any) -> None:
    """Of the accounts that it is asked for; not of CDRs, nor of what is left alone."""
    found = book.begin()
    found.add(
        differences(
            {},
            ONLINE,
            ONLINE | {"part": "017-5-0/a/b", "difference": -3},
            ONLINE | {"part": "017-6-0/0", "applies": False},
            BOB | ONLINE | {"part": "018-7-0/0"},
        )
    )
    page = book.decide("abc", {"decided_ms": 7, "seen": {"017": "017-9-2"}})
    ann, bob = page.dues()
    call = SessionKey("demo", "ann", "ann", "a call/1")
    uses = AdjustedUse(call, "0", "017-5-0", 5), AdjustedUse(call, "a/b", "017-5-0", -3)
    assert page.adjusts([ann]) == {whose(ann): Adjusts("0001-abc", "017-9-2", uses)}
    bobs = page.adjusts([ann, bob])[whose(bob)]
    assert (bobs.seen, [use.begun_by for use in bobs.uses]) == ("", ["018-7-0"])


def test_an_export_is_known_up_to_its_last_entry(tmp_path: Path) -> None:
    for partition, part, ids in ((17, 0, [1, 2]), (17, 1, [3, 12]), (3, 0, [9])):
        folder = tmp_path / "entries" / f"partition={partition:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        rows = {"transaction_id": [f"{partition:03d}-{n}-0" for n in ids]}
        pl.DataFrame(rows).write_parquet(folder / f"{part:08d}.parquet")
    assert journal_uses.last_transactions(tmp_path) == {"017": "017-12-0", "003": "003-9-0"}
