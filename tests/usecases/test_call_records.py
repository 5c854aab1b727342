"""What the journal says of a call, added up."""

import json
from typing import Any

import msgspec
import pytest

from ocs.domain.results import ResultCode
from ocs.usecases.call_records import About, BucketUse, CallRecord, CallRecords, PricedUse, row_of
from ocs.usecases.journal import Posted, entries_of
from ocs.usecases.ports import ChargeResult, ServiceResult, WalletKey
from ocs.usecases.verification import Change, Entry

PEAK = '["a-z","44","United Kingdom","timed"]'
NIGHT = '["a-z","44","United Kingdom, night","timed"]'
ABOUT = {"subscriber": "4411", "called_number": "4420", "plan": "standard", "generation": "g1"}


def change(bucket: str, left_by: int, held_by: int = 0) -> Change:
    return Change(bucket=bucket, left_by=left_by, held_by=held_by, left=0, held=0, floor=None)


def service(units: int, amount: int, group: str = "0") -> ServiceResult:
    return ServiceResult(
        rating_group=group,
        code=ResultCode.OK,
        granted_units=60,
        validity_s=600,
        final_unit=False,
        settled_units=units,
        settled_amount=amount,
        total_amount=99,
    )


def posted(
    number: int,
    kind: str,
    state: str,
    *used: tuple[int, int],
    changes: tuple[Change, ...] = (),
    ratings: tuple[str, ...] = (),
    subject: str = "demo/acme/acme/call-1",
    **about: Any,
) -> Posted:
    services = tuple(service(units, amount, str(n)) for n, (units, amount) in enumerate(used))
    name = f"017-{number}-0"
    return Posted(
        entry=Entry(
            transaction_id=name,
            wallet=WalletKey("demo", "acme"),
            subject=subject,
            kind=kind,
            request=str(number),
            at_ms=number,
            state=state,
            changes=changes,
        ),
        partition=17,
        event_ms=number - 1,
        info=json.dumps(ABOUT | about),
        result=ChargeResult(
            code=ResultCode.OK,
            transaction_id=name,
            services=services,
            available_amount=50,
            held_amount=0,
            overrun_amount=7 * len(used),
            late_start=False,
        ),
        ratings=ratings or (PEAK,) * len(services),
    )


def records(*entries: Posted) -> list[CallRecord]:
    adding = CallRecords()
    found = [record for record in map(adding.add, entries) if record]
    assert adding.open_sessions == 0
    return found


def test_a_call() -> None:
    (record,) = records(
        posted(10, "start", "open", (0, 0), changes=(change("main", 0, 50),)),
        posted(
            20, "update", "open", (60, 40), changes=(change("minutes", -20), change("main", -40))
        ),
        posted(30, "update", "open", (60, 20), ratings=(NIGHT,), changes=(change("main", -20),)),
        posted(40, "release", "closed", (9, 5), ratings=(NIGHT,), changes=(change("main", -5),)),
    )
    assert (record.account, record.session_id, record.transaction_id) == (
        "acme",
        "call-1",
        "017-40-0",
    )
    assert (record.opened_ms, record.started_ms) == (10, 9)
    assert (record.closed_ms, record.released_ms) == (40, 39)
    assert (record.reports, record.units, record.amount, record.overrun_amount) == (4, 129, 65, 28)
    assert record.uses == (
        PricedUse("0", "", "a-z", "44", "United Kingdom", "timed", 60, 40),
        PricedUse("0", "", "a-z", "44", "United Kingdom, night", "timed", 69, 25),
    )
    assert record.buckets == (BucketUse("main", 65), BucketUse("minutes", 20))
    assert record.about == msgspec.convert(ABOUT, About)


def test_the_answer_is_the_first_that_is_told() -> None:
    (record,) = records(
        posted(10, "start", "open"),
        posted(20, "update", "open", answer_ms=15),
        posted(40, "release", "closed", answer_ms=16),
    )
    assert record.about.answer_ms == 15


def test_services_are_told_apart() -> None:
    (record,) = records(posted(40, "release", "closed", (10, 1), (20, 2)))
    assert [(use.rating_group, use.units) for use in record.uses] == [("0", 10), ("1", 20)]
    assert record.opened_ms == 0  # its start is not there


def test_a_service_may_be_rated_by_a_number_of_its_own() -> None:
    own = {"1": "4930"}
    release = posted(
        40, "release", "closed", (10, 1), (20, 2), rated_number="4420", rated_numbers=own
    )
    (record,) = records(release)
    assert [use.rated_number for use in record.uses] == ["4420", "4930"]


def test_a_use_without_a_price() -> None:
    (record,) = records(posted(40, "release", "closed", (10, 0), ratings=("",)))
    assert record.uses == (PricedUse("0", "", "", "", "", "", 10, 0),)


def expiry(number: int) -> Posted:
    return msgspec.structs.replace(
        posted(number, "expire", "expired", changes=(change("main", 0, -9),)),
        result=None,
        ratings=(),
        info="",
    )


def test_a_session_that_expired_is_over() -> None:
    (record,) = records(
        posted(10, "start", "open"), posted(15, "update", "open", (5, 1)), expiry(20)
    )
    assert (record.kind, record.transaction_id) == ("expire", "017-20-0")
    assert (record.started_ms, record.released_ms, record.closed_ms) == (9, 14, 20)
    assert (record.reports, record.units, record.amount) == (2, 5, 1)
    assert record.about == msgspec.convert(ABOUT, About)


def test_what_is_reported_after_the_expiry_is_a_record_of_its_own() -> None:
    first, second = records(
        posted(10, "start", "open"), expiry(20), posted(30, "release", "closed", (5, 1))
    )
    assert (first.reports, first.units, second.reports, second.units) == (1, 0, 1, 5)


def test_an_expiry_of_what_nobody_has_seen_is_no_record() -> None:
    assert records(expiry(20)) == []


def test_a_report_after_the_release_is_a_record_of_its_own() -> None:
    first, second = records(
        posted(10, "start", "open"),
        posted(20, "release", "closed", (60, 10)),
        posted(30, "update", "closed", (5, 1)),
    )
    assert (first.reports, first.amount) == (2, 10)
    assert (second.reports, second.amount, second.transaction_id) == (1, 1, "017-30-0")


def test_a_one_shot_event_within_a_call() -> None:
    event, call = records(
        posted(10, "start", "open"),
        posted(15, "event", "open", (1, 9)),
        posted(20, "release", "closed", (60, 10)),
    )
    assert (event.kind, event.amount, event.reports) == ("event", 9, 1)
    assert (call.kind, call.amount, call.reports) == ("release", 10, 2)


def test_a_report_whose_result_is_not_there_settled_nothing() -> None:
    start = msgspec.structs.replace(posted(1, "start", "open"), result=None)
    (record,) = records(start, posted(2, "release", "closed", (60, 6)))
    assert (record.reports, record.units, record.amount) == (2, 60, 6)
    assert record.overrun_amount == 7


def test_what_is_refused_or_open_is_no_record() -> None:
    adding = CallRecords()
    assert adding.add(posted(10, "start", "refused")) is None
    assert adding.open_sessions == 0
    assert adding.add(posted(20, "start", "open", subject="demo/acme/acme/call-2")) is None
    assert adding.add(posted(30, "update", "open", (7, 3), subject="demo/acme/acme/call-2")) is None
    assert adding.open_sessions == 1
    (still_open,) = adding.open_records()
    assert (still_open.session_id, still_open.kind) == ("call-2", "update")
    assert (still_open.reports, still_open.units, still_open.amount) == (2, 7, 3)


def test_an_entry_as_a_row() -> None:
    row = row_of(posted(20, "update", "open", (60, 40), changes=(change("main", -40, 3),)))
    assert (row.account, row.session_id, row.code) == ("acme", "call-1", "OK")
    assert (row.available_amount, row.overrun_amount, row.event_ms) == (50, 7, 19)
    assert (row.about.plan, row.buckets) == ("standard", (BucketUse("main", 40),))
    assert row.uses == (PricedUse("0", "", "a-z", "44", "United Kingdom", "timed", 60, 40),)


@pytest.mark.parametrize("info", ["", '["main",100,"top-up"]'])
def test_a_credit_as_a_row(info: str) -> None:
    credit = msgspec.structs.replace(
        posted(20, "credit", "", subject="demo/acme", changes=(change("main", 100),)),
        info=info,
        result=None,
        ratings=(),
    )
    row = row_of(credit)
    assert (row.account, row.session_id, row.code, row.uses) == ("", "", "", ())
    assert (row.buckets, row.about, row.info) == ((BucketUse("main", -100),), About(), info)
    assert CallRecords().add(credit) is None


def test_entries_are_those_of_what_is_posted() -> None:
    one = posted(20, "update", "open")
    assert list(entries_of(17, [(b"20-0", b"")], lambda *_: one)) == [one.entry]
