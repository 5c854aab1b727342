"""The folder of re-ratings: pages that appear whole, are applied in part, and add up."""

from pathlib import Path
from typing import Any

import pytest

from ocs.domain.results import ResultCode
from ocs.usecases.rerating import Due, Outcome
from ocs.usecases.rerating_report import Biggest, By, Line, Period, Selection

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
rerating_book = pytest.importorskip("ocs.adapters.columns.rerating_book")
rerating = pytest.importorskip("ocs.adapters.columns.rerating")

EVER = Selection(periods={"demo": Period(0, 10**15)})
DIFFERENCE: dict[str, Any] = dict.fromkeys(rerating.DIFFERENCES, None) | {
    "source": "cdr",
    "tenant": "demo",
    "account": "ann",
    "wallet_group": "ann",
    "use_id": "c1",
    "part": "20000",
    "used_ms": 1_700_000_000_000,
    "usage_type": "voice",
    "units": 60,
    "currency": "EUR",
    "old_amount": 10,
    "new_amount": 15,
    "difference": 5,
    "applies": True,
    "reason": "",
    "destination": "Germany",
}


def differences(*changed: dict[str, Any]) -> Any:
    rows = [DIFFERENCE | {"use_id": f"c{n}"} | each for n, each in enumerate(changed)]
    return pl.DataFrame(rows, schema=rerating.DIFFERENCES)


def decided(book: Any, *changed: dict[str, Any], name: str = "abc") -> Any:
    found = book.begin()
    found.add(differences(*changed))
    return book.decide(name, {"decided_ms": 7})


def outcome(account: str, code: ResultCode = ResultCode.OK) -> Outcome:
    return Outcome(
        tenant="demo",
        account=account,
        wallet_group=account,
        currency="EUR",
        amount=5,
        uses=1,
        code=code,
        transaction_id="017-1-0" if code is ResultCode.OK else "",
    )


BOB = {"account": "bob", "wallet_group": "bob"}


@pytest.fixture
def book(tmp_path: Path) -> Any:
    with rerating_book.Book(tmp_path / "book") as book:
        yield book


def test_differences_add_up(book: Any) -> None:
    found = book.begin()
    assert (found.lines(By.DAY), found.dues(), found.changed()) == ([], [], 0)
    found.add(differences({}, {"difference": -2, "new_amount": 8, "destination": "France"}))
    found.add(
        differences(BOB | {"use_id": "c7", "difference": 4, "applies": False, "reason": "so"})
    )
    found.add(
        differences({"new_amount": None, "difference": None, "applies": False, "reason": "why"})
    )
    assert found.changed() == 3
    assert found.not_applied() == {"so": 1, "why": 1}
    assert found.dues() == [Due("demo", "ann", "ann", "EUR", 3, 2)]
    assert found.lines(By.ACCOUNT) == [
        Line("demo", "EUR", "bob", 1, 10, 15, 4, 0),
        Line("demo", "EUR", "ann", 2, 20, 23, 3, 3),
    ]
    assert [line.key for line in found.lines(By.DESTINATION)] == ["Germany", "France"]
    assert found.biggest(1) == [
        Biggest("demo", "ann", "cdr", "c0", "Germany", 60, "EUR", 10, 15, 5)
    ]
    assert found.biggest(0) == []


def test_a_page_is_closed_when_every_account_has_its_outcome(book: Any) -> None:
    page = decided(book, {}, BOB)
    (same,) = book.pages()
    assert (page.name, page.decided_ms, same.is_closed) == ("0001-abc", 7, False)
    assert [each.account for each in page.dues()] == ["ann", "bob"]
    page.note([outcome("ann")])
    page.note([outcome("bob", ResultCode.NO_CREDIT)])
    page.close()
    assert page.is_closed
    kept = pl.read_parquet(page.folder / "adjustments.parquet")
    assert kept.schema == rerating_book.ADJUSTMENTS
    assert kept.select("use_id", "amount", "transaction_id", "page").rows() == [
        ("c0", 5, "017-1-0", "0001-abc")
    ]
    assert decided(book, {}, name="def").name == "0002-def"


def test_a_line_that_a_kill_cut_short_does_not_count(book: Any) -> None:
    page = decided(book, {}, BOB)
    page.note([outcome("ann")])
    path = page.folder / "outcomes.ndjson"
    with path.open("ab") as stream:
        stream.write(b'{"tenant":"demo","account":"bo')
    (again,) = book.pages()
    assert again.outcomes() == [outcome("ann")]
    again.note([outcome("bob", ResultCode.NO_CREDIT)])
    assert again.outcomes() == [outcome("ann"), outcome("bob", ResultCode.NO_CREDIT)]


def test_adjustments_of_all_pages_add_up(book: Any) -> None:
    assert book.adjusted(EVER).is_empty()
    for name, amount in (("abc", 5), ("def", -2)):
        page = decided(book, {"difference": amount}, {"applies": False}, name=name)
        page.note([outcome("ann")])
        page.close()
    keys = differences({}).select(*rerating.key_hashes())
    found = book.adjusted(EVER)
    assert found.schema == rerating.ADJUSTED
    assert found.rows() == [(*keys.row(0), 3, False)]
    other = Selection(periods={"acme": Period(0, 10**15), "demo": Period(0, 10**9)})
    assert book.adjusted(other).is_empty()


def test_what_nobody_can_tell_is_kept_without_an_amount(book: Any) -> None:
    first = decided(book, {"difference": 4}, BOB)
    first.note([outcome("ann"), outcome("bob", ResultCode.OUTCOME_UNKNOWN)])
    first.close()
    second = decided(book, {}, BOB, name="def")
    second.note([outcome("ann", ResultCode.OUTCOME_UNKNOWN), outcome("bob")])
    second.close()
    kept = pl.read_parquet(first.folder / "adjustments.parquet").sort("account")
    assert kept.schema == rerating_book.ADJUSTMENTS
    assert kept.select("account", "amount", "transaction_id").rows() == [
        ("ann", 4, "017-1-0"),
        ("bob", None, ""),
    ]
    sums = {row[2:] for row in book.adjusted(EVER).rows()}
    assert sums == {(4, True), (5, True)}


def test_a_report_takes_the_place_of_the_same_one(book: Any) -> None:
    def kept(rows: int) -> Path:
        found = book.begin()
        found.add(differences(*({},) * rows))
        place: Path = book.report("abc", {"decided_ms": 0})
        return place

    assert kept(1) == kept(2)
    place = kept(2)
    assert pl.read_parquet(place / "differences").height == 2
    assert (place.parent.name, book.pages()) == ("reports", [])


def test_what_was_begun_and_not_decided_is_nothing(book: Any) -> None:
    book.begin().add(differences({}))
    assert book.begin().dues() == []


def test_a_book_is_the_same_when_it_is_opened_again(tmp_path: Path) -> None:
    with rerating_book.Book(tmp_path) as first:
        name = first.id
        with pytest.raises(rerating_book.BookInUse, match="in use"):
            rerating_book.Book(tmp_path)
    with rerating_book.Book(tmp_path) as second:
        assert second.id == name
