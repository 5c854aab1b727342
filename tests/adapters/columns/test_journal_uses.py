"""What was charged online, read out of the journal's tables: one use for each session and group."""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ocs.usecases.journal import Posted
from ocs.usecases.rerating_report import Period, Selection
from tests.usecases.test_call_records import change, posted

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
charged_uses = pytest.importorskip("ocs.adapters.columns.charged_uses")
journal_uses = pytest.importorskip("ocs.adapters.columns.journal_uses")
tables = pytest.importorskip("ocs.adapters.columns.journal_tables")

EVER = Selection(periods={"demo": Period(-(10**9), 10**15)})
CALL: dict[str, Any] = {"usage_type": "voice", "rated_number": "4420", "currency": "EUR"}


def uses(folder: Path, *entries: Posted, selection: Selection = EVER) -> list[dict[str, Any]]:
    tables.export(folder, 17, entries)
    left_out = Counter[str]()
    (found,) = journal_uses.online_uses(folder, selection, left_out)
    assert found.schema == charged_uses.USES
    return [row | {"open": left_out["open"]} for row in found.to_dicts()]


def report(number: int, units: int, amount: int, state: str = "open", **more: Any) -> Posted:
    kind = more.pop("kind", "release" if state == "closed" else "update")
    changes = more.pop("changes", (change("main", -amount),))
    return posted(number, kind, state, (units, amount), changes=changes, **CALL | more)


def reversal(number: int, transaction: str) -> Posted:
    entry = posted(number, "reverse", "", subject="demo/acme", changes=(change("main", 40),))
    info = msgspec.json.encode((transaction, "demo/acme/acme/call-1", "refund")).decode()
    return msgspec.structs.replace(entry, info=info, result=None, ratings=())


def test_a_call_is_one_use(tmp_path: Path) -> None:
    """Who calls whom is told at the start; a report says only what was used."""
    silent = {"subscriber": "", "plan": "", "rated_number": "", "generation": "g2"}
    (use,) = uses(
        tmp_path,
        posted(100_000, "start", "open", (0, 0), **CALL, calling_number="4411", answer_ms=99_000),
        report(160_000, 60, 40, **silent),
        report(190_000, 30, 20, "closed", **silent),
    )
    assert (use["use_id"], use["part"]) == ("call-1", "017-100000-0/0")
    assert (use["units"], use["charged_amount"], use["currency"]) == (90, 60, "EUR")
    assert (use["plan"], use["called"], use["caller"]) == ("standard", "4420", "4411")
    assert (use["used_ms"], use["generation"]) == (99_000, "g1")
    assert (use["tariff"], use["prefix"], use["destination"]) == ("a-z", "44", "United Kingdom")
    assert (use["settled"], use["doubt"], use["answered"], use["open"]) == ("debited", "", False, 0)


def test_without_an_answer_it_began_before_its_first_report(tmp_path: Path) -> None:
    (use,) = uses(
        tmp_path, report(160_001, 60, 40, direction="orig"), report(190_001, 30, 20, "closed")
    )
    assert (use["used_ms"], use["until_ms"]) == (100_000, 190_000)
    assert use["caller"] == "4411", "no number is shown: the subscriber's own"


def test_data_was_used_when_it_was_reported_first(tmp_path: Path) -> None:
    data = {"usage_type": "data", "direction": "term"}
    (use,) = uses(
        tmp_path, report(160_001, 60, 40, **data), report(190_001, 30, 20, "closed", **data)
    )
    assert (use["used_ms"], use["until_ms"], use["caller"]) == (160_000, 190_000, "")


def test_the_groups_of_a_session_are_uses_of_their_own(tmp_path: Path) -> None:
    own = CALL | {"rated_numbers": {"1": "4930"}}
    changes = (change("main", -3),)
    release = posted(40, "release", "closed", (10, 1), (20, 2), changes=changes, **own)
    found = uses(tmp_path, release)
    assert [(use["part"], use["called"], use["units"]) for use in found] == [
        ("017-40-0/0", "4420", 10),
        ("017-40-0/1", "4930", 20),
    ]
    assert {use["doubt"] for use in found} == {""}


def test_what_goes_on_or_was_free_is_not_charged(tmp_path: Path) -> None:
    found = uses(
        tmp_path,
        report(10, 60, 40),
        report(20, 60, 0, "closed", subject="demo/acme/acme/call-2"),
    )
    assert [(use["use_id"], use["settled"], use["open"]) for use in found] == [
        ("call-2", "free", 1)
    ]


def test_a_fee_without_use(tmp_path: Path) -> None:
    (use,) = uses(tmp_path, report(10, 0, 40, "closed"))
    assert (use["answered"], use["settled"]) == (True, "debited")


def test_events_are_uses_of_their_own(tmp_path: Path) -> None:
    """A second one of the same session, and a call that has the same name."""
    found = uses(
        tmp_path,
        report(10, 1, 9, "", kind="event"),
        report(20, 1, 9, "", kind="event"),
        report(30, 60, 40, "closed"),
    )
    parts = ["017-10-0/0", "017-20-0/0", "017-30-0/0"]
    assert [(use["part"], use["doubt"]) for use in found] == [(part, "") for part in parts]


def test_an_event_in_the_middle_of_a_call_ends_nothing(tmp_path: Path) -> None:
    """Or the rest of the call would be priced as one of its own, with a fee of its own."""
    found = uses(
        tmp_path,
        report(10, 60, 40),
        report(20, 1, 9, "open", kind="event"),
        report(30, 60, 40, "closed"),
    )
    parts = [("017-10-0/0", 120, 80), ("017-20-0/0", 1, 9)]
    told = sorted((use["part"], use["units"], use["charged_amount"]) for use in found)
    assert told == parts
    assert {use["doubt"] for use in found} == {""}


def test_a_session_of_the_same_name_is_another_one(tmp_path: Path) -> None:
    found = uses(
        tmp_path,
        report(10, 60, 40),
        report(20, 1, 1, "closed"),
        posted(30, "start", "open", **CALL),
        report(40, 7, 5, "closed"),
        report(50, 8, 5),
        report(60, 1, 1, "closed"),
    )
    assert [(use["part"], use["units"], use["doubt"]) for use in found] == [
        ("017-10-0/0", 61, ""),
        ("017-30-0/0", 7, ""),
        ("017-50-0/0", 9, ""),
    ]


@pytest.mark.parametrize(
    ("entries", "doubt"),
    [
        ((report(10, 60, 40), report(20, 1, 1, "closed"), reversal(30, "017-10-0")), "REVERSED"),
        ((report(10, 9, 0, "closed", changes=(change("minutes", -9),)),), "PAID_IN_UNITS"),
        (
            (report(10, 9, 4, "closed", changes=(change("minutes", -5), change("main", -4))),),
            "PAID_IN_UNITS",
        ),
        ((report(10, 60, 40), report(20, 1, 1, "closed", rated_number="4930")), "SEVERAL"),
        ((report(10, 60, 40), report(20, 1, 1, "closed", plan="other")), "SEVERAL"),
        ((report(10, 60, 40, "closed"), report(20, 1, 1, "closed")), "BEGUN_AGAIN"),
        ((report(10, 60, 40, "expired"), report(20, 1, 1, "closed")), "BEGUN_AGAIN"),
        (
            (
                report(10, 60, 40, "expired"),
                posted(20, "start", "open", **CALL),
                report(30, 1, 1, "closed"),
            ),
            "BEGUN_AGAIN",
        ),
    ],
)
def test_what_cannot_be_priced_as_one_use_is_in_doubt(
    tmp_path: Path, entries: tuple[Posted, ...], doubt: str
) -> None:
    (use,) = uses(tmp_path, *entries)
    assert use["doubt"] == getattr(journal_uses, doubt)


def test_several_buckets_of_money_are_money(tmp_path: Path) -> None:
    paid = (change("bonus", -15), change("main", -25))
    (use,) = uses(tmp_path, report(10, 60, 40, "closed", changes=paid))
    assert (use["charged_amount"], use["doubt"]) == (40, "")


def test_a_partition_without_charges(tmp_path: Path) -> None:
    assert uses(tmp_path, reversal(30, "017-10-0")) == []


def test_a_session_is_of_the_period_in_which_its_use_began(tmp_path: Path) -> None:
    entries = (report(70_001, 60, 40), report(190_001, 30, 20, "closed"))
    for begin, end, count in ((10_000, 10_001, 1), (10_001, 200_000, 0), (0, 10_000, 0)):
        selection = Selection(periods={"demo": Period(begin, end)})
        folder = tmp_path / str(begin)
        assert len(uses(folder, *entries, selection=selection)) == count


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    uses(tmp_path, report(10, 60, 40, "closed"))
    (file,) = (tmp_path / "entries" / "partition=017").iterdir()
    file.write_bytes(b"nothing")
    with pytest.raises(OSError, match="cannot be read"):
        list(journal_uses.online_uses(tmp_path, EVER, Counter()))
