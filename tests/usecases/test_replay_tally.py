import json

import pytest

from ocs.usecases.replay_tally import Exchange, Latency, Tally


def answer(name: str = "OK", status: int = 200, *, hit: bool = False, **fields: object) -> Exchange:
    return Exchange(status, json.dumps({"return_name": name, **fields}).encode(), hit)


def test_a_report_adds_up_what_was_answered() -> None:
    tally = Tally()
    cost = {"settled": "0.0600", "total": "0.12", "currency": "EUR"}
    tally.answered([answer(granted_units=60)], 0, 1.0)
    tally.answered([answer(granted_units=30, cost=cost)], 30, 2.0)
    tally.answered([answer(cost=cost)], 30, 3.0)
    tally.answered([answer("NOT_CHARGED", granted_units=5)], 0, 4.0)
    tally.answered([answer("NO_CREDIT", 402)], 0, 5.0)
    report = tally.report(2.0)
    assert report.events == report.answered == 5
    assert report.events_per_s == 2.5
    assert report.return_codes == {"OK": 3, "NOT_CHARGED": 1, "NO_CREDIT": 1}
    assert report.http_statuses == {"200": 4, "402": 1}
    assert (report.grants, report.refusals) == (3, 1)
    assert (report.granted_units, report.used_units) == (95, 60)
    assert report.settled == {"EUR": "0.1200"}
    assert report.clean


def test_percentiles_are_latencies_that_were_measured() -> None:
    tally = Tally()
    for latency_ms in reversed(range(1, 2001)):
        tally.answered([answer()], 0, float(latency_ms))
    assert tally.report(1.0).latency == Latency(
        p50_ms=1000.0, p90_ms=1800.0, p99_ms=1980.0, p99_9_ms=1998.0, max_ms=2000.0
    )


def test_a_copy_counts_neither_money_nor_grants_again() -> None:
    tally = Tally()
    cost = {"settled": "1", "currency": "EUR"}
    first = answer(granted_units=60, cost=cost)
    tally.answered([first, Exchange(200, first.body, hit=True)], 60, 1.0)
    report = tally.report(1.0)
    assert (report.grants, report.granted_units, report.used_units) == (1, 60, 60)
    assert report.settled == {"EUR": "1"}
    assert (report.idempotency_hits, report.copies_that_differ) == (1, 0)
    assert report.clean


@pytest.mark.parametrize("copy", [answer(status=402), answer("NO_CREDIT")])
def test_a_copy_with_another_answer_is_not_clean(copy: Exchange) -> None:
    tally = Tally()
    tally.answered([answer(), copy], 0, 1.0)
    assert tally.report(1.0).copies_that_differ == 1
    assert not tally.report(1.0).clean


def test_unanswered_events_and_503_are_not_clean() -> None:
    tally = Tally()
    tally.retried()
    tally.unanswered()
    assert not tally.report(1.0).clean
    busy = Tally()
    busy.answered([answer("TOO_BUSY", 503)], 0, 1.0)
    assert not busy.report(1.0).clean
    report = tally.report(1.0)
    assert (report.events, report.answered, report.unanswered, report.retries) == (1, 0, 1, 1)


def test_what_is_not_our_answer_is_counted_as_such() -> None:
    tally = Tally()
    tally.answered([Exchange(502, b"<html>")], 5, 1.0)
    tally.answered([Exchange(200, b'{"cost":{"settled":"much","currency":"EUR"}}')], 5, 1.0)
    tally.answered([Exchange(200, b"{}")], 5, 1.0)
    report = tally.report(1.0)
    assert report.return_codes == {"(not an answer)": 2, "(no return_name)": 1}
    assert report.refusals == 3
    assert report.used_units == 5


def test_an_empty_replay_has_a_report() -> None:
    report = Tally().report(0.0)
    assert report.events == 0
    assert report.events_per_s == 0.0
    assert report.latency == Latency()
