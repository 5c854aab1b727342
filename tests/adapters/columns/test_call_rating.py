"""Who pays for a CDR, which price it has, and what is said of it where there is none."""

import json
from pathlib import Path
from typing import Any

import pytest

from ocs.usecases.offline_rating import Money, Rated
from tests.bootstrap.offline_scene import Scene

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
records = pytest.importorskip("ocs.adapters.cdr_files.records")

NOON_MS = 1_789_815_600_000  # Saturday 2026-09-19, 12:00 in London
GERMANY = "4917112345678"


def cdr(**told: Any) -> Any:
    """A call of a minute to Germany by the first subscriber, but for what is told."""
    given = {
        "cdr_id": "c1", "file": "cdrs.csv", "line": 7, "tenant": "demo", "session_id": "c1",
        "subscriber": "441632960001", "calling": "", "called": GERMANY, "trunk_in": "", "trunk_out": "",
        "start_ms": None, "answer_ms": NOON_MS, "end_ms": None, "duration_ms": None, "units": 60,
        "answered": True,
    }  # fmt: skip
    return records.Cdr(**given | told)


def rate(folder: Path, *cdrs: Any) -> Rated:
    return Scene(folder).rate(records.frame_of(list(cdrs)))


def row(folder: Path, **told: Any) -> dict[str, Any]:
    rated = rate(folder, cdr(**told))
    assert not rated.rejects
    found: dict[str, Any] = rated.table.to_dicts()[0]  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize(
    ("told", "identity", "account"),
    [
        ({}, "441632960001", "alpha"),
        ({"subscriber": "01632960002", "calling": "1"}, "441632960002", "beta"),
        ({"subscriber": "", "calling": "+44 1632 960003"}, "441632960003", "beta"),
        ({"subscriber": "sip:Alice@host"}, "alice", "alpha"),
        ({"subscriber": "", "trunk_in": "north"}, "north", "gamma"),
    ],
)
def test_who_pays(tmp_path: Path, told: dict[str, Any], identity: str, account: str) -> None:
    found = row(tmp_path, **told)
    assert (found["identity"], found["account"]) == (identity, account)
    assert found["code"] == "OK"


@pytest.mark.parametrize(
    ("told", "used_ms"),
    [
        ({}, NOON_MS),
        ({"answer_ms": None, "start_ms": 5, "end_ms": NOON_MS}, NOON_MS - 60_000),
        ({"answer_ms": None, "start_ms": NOON_MS}, NOON_MS),
        ({"answer_ms": None, "start_ms": 5, "end_ms": NOON_MS, "units": 0}, 5),
        ({"answer_ms": None, "end_ms": NOON_MS, "units": 0}, NOON_MS),
        ({"answer_ms": None, "start_ms": 5, "end_ms": NOON_MS, "usage_type": "sms", "units": 1}, 5),
    ],
)
def test_when_the_use_began(tmp_path: Path, told: dict[str, Any], used_ms: int) -> None:
    assert row(tmp_path, **told)["used_ms"] == used_ms


@pytest.mark.parametrize(
    ("told", "code", "amount"),
    [
        ({"called": "44800123"}, "OK", 0),  # the plan's free prefix
        ({"called": "112"}, "NOT_CHARGED", 0),
        ({"called": "112", "subscriber": "stranger"}, "NOT_CHARGED", 0),
        ({"called": "112", "usage_type": "sms", "units": 1}, "NOT_CHARGED", 0),
        ({"subscriber": "stranger", "units": 0, "answered": False}, "NOT_CHARGED", 0),
        ({"called": "bob", "units": 0, "answered": False}, "NOT_CHARGED", 0),
        ({"called": "4490123", "units": 0, "answered": False}, "NOT_CHARGED", 0),
        ({"units": 0, "answered": False}, "OK", 0),
    ],
)
def test_what_costs_nothing(tmp_path: Path, told: dict[str, Any], code: str, amount: int) -> None:
    found = row(tmp_path, **told)
    assert (found["code"], found["amount"]) == (code, amount)
    assert (found["tariff"] is None) == (code == "NOT_CHARGED")


@pytest.mark.parametrize(
    ("told", "code", "column", "reason"),
    [
        ({"tenant": "mars"}, "UNKNOWN_TENANT", "tenant", "there is no tenant 'mars'"),
        ({"subscriber": "bob"}, "UNKNOWN_SUBSCRIBER", "subscriber", "no subscriber 'bob'"),
        ({"subscriber": ""}, "UNKNOWN_SUBSCRIBER", "subscriber", "nobody is named"),
        ({"called": "bob"}, "NO_RATE", "called", "plan standard has no price for 'bob'"),
        ({"called": "4490123"}, "RATE_BLOCKED", "called", "plan standard blocks '4490123'"),
        ({"answer_ms": None}, "RATING_FAILED", "start_ms", "when it was used"),
        ({"units": 2**40}, "RATING_FAILED", "", "units cannot be used"),
        ({"tenant": "acme"}, "UNKNOWN_SUBSCRIBER", "subscriber", "no subscriber '441632960001'"),
    ],
)
def test_what_has_no_price(
    tmp_path: Path, told: dict[str, Any], code: str, column: str, reason: str
) -> None:
    rated = rate(tmp_path, cdr(), cdr(**told))
    (reject,) = rated.rejects
    assert (reject.file, reject.line, reject.code, reject.column) == ("cdrs.csv", 7, code, column)
    assert reason in reject.reason
    given = cdr(**told)._asdict()
    kept = {name: value for name, value in given.items() if value not in (None, "")}
    assert json.loads(reject.text) == {n: v for n, v in kept.items() if n not in ("file", "line")}
    assert len(rated.table) == 1


def test_rows_keep_their_order_and_money_is_added_up_by_tenant(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    given = [
        cdr(cdr_id="1"),
        cdr(cdr_id="2", tenant="acme", called="112"),
        cdr(cdr_id="3", answer_ms=NOON_MS + 1),
    ]
    rated = scene.rate(records.frame_of(given))
    rows = rated.table.to_dicts()  # type: ignore[attr-defined]
    assert [each["cdr_id"] for each in rows] == ["1", "2", "3"]
    assert rows[0]["amount"] > 0
    assert list(rated.money) == [
        Money("acme", "", 1, 0),
        Money("demo", "EUR", 2, 2 * rows[0]["amount"]),
    ]
    assert rated.newest_ms == NOON_MS + 1
    assert rated.generation == rows[0]["generation"]


def test_nothing_comes_to_nothing(tmp_path: Path) -> None:
    rated = rate(tmp_path)
    assert (len(rated.table), rated.rejects, rated.money, rated.newest_ms) == (0, [], (), 0)
