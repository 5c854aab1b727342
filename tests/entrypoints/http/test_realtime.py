"""`POST /realtime` over a real socket: answers, limits, order, overload."""

import asyncio
from typing import Any

import pytest

from ocs.domain.events import Event
from ocs.domain.results import ResultCode
from ocs.entrypoints.http.realtime import RealtimeLimits
from ocs.usecases.answer import Answer, FinalUnit, ServiceAnswer
from tests.entrypoints.http.serving import START, Reply, call, serving, until

RATING = {"tariff": "a-z", "prefix": "2609", "destination": "Zambia mobile", "model": "interval"}


async def test_a_start_is_answered_with_what_it_may_use() -> None:
    async with serving() as face:
        reply = await call(face, body=START)

    assert (reply.status, reply.body) == (
        200,
        {
            "return_code": 1,
            "return_name": "OK",
            "desc": "ok",
            "transaction_id": "007-1795166545000-0",
            "session_id": "s1",
            "session_ref": "p007-s1",
            "request_number": 0,
            "granted_units": 60,
            "validity_time": 300,
            "final_unit": False,
            "cost": {"settled": "0.00", "total": "0.00", "currency": "EUR"},
            "balance": {"available": "9.94", "held": "0.06", "currency": "EUR"},
            "rating": RATING,
        },
    )
    assert reply.headers["Content-Type"] == "application/json"
    assert "Idempotency-Hit" not in reply.headers


async def test_services_are_answered_in_their_form() -> None:
    services = [{"rating_group": 1, "requested_units": 5}, {"rating_group": 2, "used_units": 3}]
    async with serving() as face:
        reply = await call(
            face, body=START | {"requested_units": None, "usage_type": "data", "services": services}
        )

    assert "granted_units" not in reply.body
    assert reply.body["cost"]["settled"] == "0.003"
    assert reply.body["services"] == [
        {
            "rating_group": "1",
            "return_code": 1,
            "return_name": "OK",
            "granted_units": 5,
            "validity_time": 300,
            "final_unit": False,
            "cost": {"settled": "0.00", "total": "0.00", "currency": "EUR"},
            "rating": RATING,
        },
        {
            "rating_group": "2",
            "return_code": 1,
            "return_name": "OK",
            "granted_units": 0,
            "settled_units": 3,
            "cost": {"settled": "0.003", "total": "0.003", "currency": "EUR"},
            "rating": RATING,
        },
    ]


async def test_one_service_in_the_services_form_is_answered_in_it() -> None:
    async with serving() as face:
        reply = await call(face, body=START | {"requested_units": None, "services": [{}]})

    assert [service["rating_group"] for service in reply.body["services"]] == ["0"]


async def test_a_repeat_differs_in_a_header_alone() -> None:
    async with serving() as face:
        first = await call(face, body=START)
        face.charger.answers["s1"] = Answer(**_fields(face.charger.events[0]), hit=True)
        again = await call(face, body=START)
        face.charger.answers["s1"] = Answer(**_fields(face.charger.events[0]))
        once_more = await call(face, body=START)

    assert first.status == again.status == 200
    assert again.body == once_more.body
    assert again.headers["Idempotency-Hit"] == "true"
    assert "Idempotency-Hit" not in once_more.headers


def _fields(event: Event) -> dict[str, Any]:
    return {"code": ResultCode.OK, "session_id": event.session_id, "transaction_id": "007-1"}


@pytest.mark.parametrize(
    ("answer", "status", "expected"),
    [
        (
            Answer(code=ResultCode.NO_CREDIT, session_id="s1", reason="asks 60 s, buys 0 s"),
            402,
            {
                "return_code": -1,
                "return_name": "NO_CREDIT",
                "desc": "not enough credit: asks 60 s, buys 0 s",
                "session_id": "s1",
                "granted_units": 0,
            },
        ),
        (
            Answer(code=ResultCode.UNKNOWN_SUBSCRIBER, session_id="s1", settled=False),
            404,
            {
                "return_code": -2,
                "return_name": "UNKNOWN_SUBSCRIBER",
                "desc": "unknown subscriber",
                "session_id": "s1",
                "granted_units": 0,
                "settled": False,
            },
        ),
    ],
)
async def test_refusals_by_charging(answer: Answer, status: int, expected: object) -> None:
    async with serving() as face:
        face.charger.answers["s1"] = answer
        reply = await call(face, body=START)

    assert (reply.status, reply.body) == (status, expected)


@pytest.mark.parametrize("code", list(ResultCode))
async def test_every_outcome_has_an_answer(code: ResultCode) -> None:
    async with serving() as face:
        face.charger.answers["s1"] = Answer(code=code, session_id="s1")
        reply = await call(face, body=START)

    assert reply.body["return_name"] == code
    assert ("Retry-After" in reply.headers) == (reply.status == 503)


async def test_a_bug_in_charging_is_one_events_failure_not_its_neighbours() -> None:
    async with serving() as face:
        face.charger.answers["broken"] = ZeroDivisionError()
        alone = await call(face, body=START | {"session_id": "broken"})
        beside = await call(face, body=[START | {"session_id": "broken"}, START])
        assert face.realtime.in_flight == 0

    assert (alone.status, alone.body["return_name"]) == (500, "RATING_FAILED")
    assert [item["return_name"] for item in beside.body] == ["RATING_FAILED", "OK"]


MB = b'{"record_type":"start_request","x":"' + b"a" * 1_000_000 + b'"}'

BAD = [
    ("wrong type", b'{"record_type":"start_request","session_id":"s","used_units":"ten"}', 400, -10, "used_units"),
    ("unknown record_type", START | {"record_type": "begin"}, 400, -10, "record_type"),
    ("no request number", START | {"request_number": None}, 400, -10, "request_number"),
    ("a body of 1 MB", MB, 413, -9, "body"),
    ("an array of 2 MB", b"[" + b" " * 2_000_000 + b"]", 413, -9, "body"),
    ("1,001 events", b"[" + b",".join([b"{}"] * 1_001) + b"]", 413, -9, "body"),
    ("not UTF-8", b'{"session_id":"\xff\xfe"}', 400, -10, "body"),
    ("deep JSON", b'{"a":' * 100_000, 413, -9, "body"),
    ("deep JSON of few bytes", b'{"a":' * 10_000, 400, -10, "body"),
    ("deep array", b"[" * 100_000, 400, -10, "body"),
    ("empty", b"", 400, -10, "body"),
    ("not JSON", b"record_type=start_request", 400, -10, "body"),
    ("a text", b'"start"', 400, -10, "body"),
    ("a tenant of somebody else", START | {"tenant": "foreign"}, 403, -8, "tenant"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "number", "field"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
async def test_bad_requests(body: object, status: int, number: int, field: str) -> None:
    seen: list[tuple[str, ResultCode]] = []
    async with serving(observers=[lambda kind, answer: seen.append((kind, answer.code))]) as face:
        reply = await call(face, body=body)

    assert (reply.status, reply.body["return_code"], reply.body["field"]) == (status, number, field)
    assert field in reply.body["desc"]
    assert face.charger.events == []
    assert seen == [("", ResultCode(reply.body["return_name"]))]


async def test_an_array_is_answered_item_by_item() -> None:
    async with serving() as face:
        face.charger.answers["s2"] = Answer(code=ResultCode.NO_CREDIT, session_id="s2")
        reply = await call(
            face, body=[START, START | {"session_id": "s2"}, {"session_id": "s3"}, 4]
        )
        empty = await call(face, body=[])

    assert reply.status == empty.status == 200
    assert empty.body == []
    assert [(item["return_name"], item.get("session_id")) for item in reply.body] == [
        ("OK", "s1"),
        ("NO_CREDIT", "s2"),
        ("INVALID_EVENT", "s3"),
        ("INVALID_EVENT", None),
    ]


async def test_a_bug_that_one_event_of_an_array_meets_is_answered_for_it_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as face:
        face.charger.answers["s2"] = ZeroDivisionError("a bug")
        reply = await call(face, body=[START, START | {"session_id": "s2"}])
        assert face.realtime.in_flight == 0

    assert [item["return_name"] for item in reply.body] == ["OK", "RATING_FAILED"]
    assert reply.body[1]["session_id"] == "s2"
    assert "ZeroDivisionError" in caplog.text


async def test_events_of_one_session_keep_their_order_and_sessions_do_not_wait() -> None:
    events = [
        START | {"session_id": session, "request_number": number}
        for number in range(3)
        for session in ("a", "b")
    ]
    async with serving() as face:
        reply = await call(face, body=events)

    charged = [(event.session_id, event.request_number) for event in face.charger.events]
    # Each event takes a turn of the loop: the sessions go hand in hand.
    assert charged == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert [item["request_number"] for item in reply.body] == [0, 0, 1, 1, 2, 2]


async def test_load_is_shed_starts_first_releases_last() -> None:
    async with serving(limits=RealtimeLimits(max_in_flight=10)) as face:
        face.charger.gate = asyncio.Event()
        taken: list[asyncio.Task[Reply]] = []
        for kind, count in (("start", 8), ("update", 1), ("release", 1)):
            record = START | {"record_type": f"{kind}_request"}
            for number in range(count):
                event = record | {"request_number": number}
                taken.append(asyncio.create_task(call(face, body=event)))
            await until(lambda: len(face.charger.events) == len(taken))
            refused = await call(face, body=record | {"request_number": 99})
            assert (refused.status, refused.body["return_name"]) == (503, "TOO_BUSY")
            assert refused.headers["Retry-After"] == "1"
        assert face.realtime.in_flight == 10
        face.charger.gate.set()
        replies = await asyncio.gather(*taken)
        assert face.realtime.in_flight == 0

    assert [reply.status for reply in replies] == [200] * 10


async def test_one_array_does_not_fill_the_room_by_itself() -> None:
    events = [START | {"session_id": f"s{number}"} for number in range(20)]
    async with serving(limits=RealtimeLimits(max_in_flight=10)) as face:
        reply = await call(face, body=events)

    assert [item["return_name"] for item in reply.body] == ["OK"] * 20


async def test_an_array_that_the_store_has_kept_waiting_is_not_begun_any_further() -> None:
    """Of twenty events three are begun at a time: each three would wait for a time-out."""
    events = [START | {"session_id": f"s{number}"} for number in range(20)]
    async with serving(limits=RealtimeLimits(max_in_flight=15)) as face:
        face.charger.answers["s4"] = Answer(code=ResultCode.OUTCOME_UNKNOWN, session_id="s4")
        reply = await call(face, body=[*events, {"session_id": "wrong"}])

    names = [item["return_name"] for item in reply.body]
    assert names == [
        *["OK"] * 4,
        "OUTCOME_UNKNOWN",
        "OK",
        *["TOO_BUSY"] * 14,
        "INVALID_EVENT",
    ]
    assert [event.session_id for event in face.charger.events] == [f"s{n}" for n in range(6)]


async def test_each_event_of_an_array_needs_room() -> None:
    async with serving(limits=RealtimeLimits(max_in_flight=2)) as face:
        face.charger.gate = asyncio.Event()
        first = asyncio.create_task(call(face, body=START))
        await until(lambda: len(face.charger.events) == 1)
        release = START | {"record_type": "release_request", "session_id": "s2"}
        beside = asyncio.create_task(call(face, body=[START, release]))
        await until(lambda: len(face.charger.events) == 2)
        face.charger.gate.set()
        await first
        reply = await beside

    assert [item["return_name"] for item in reply.body] == ["TOO_BUSY", "OK"]


async def test_overrun_and_final_units_are_told() -> None:
    service = ServiceAnswer(
        rating_group="0",
        code=ResultCode.OK,
        granted_units=9,
        validity_s=30,
        quota_threshold_units=2,
        final_unit=True,
        settled_units=60,
        settled_amount=60_000,
        total_amount=120_000,
        rating=None,
        final=FinalUnit(),
    )
    async with serving() as face:
        face.charger.answers["s1"] = Answer(
            code=ResultCode.OK,
            services=(service,),
            currency="EUR",
            available_amount=-10_000,
            overrun_amount=10_000,
        )
        reply = await call(face, body=START)

    assert reply.body == {
        "return_code": 1,
        "return_name": "OK",
        "desc": "ok",
        "granted_units": 9,
        "validity_time": 30,
        "quota_threshold": 2,
        "final_unit": True,
        "final_unit_action": "TERMINATE",
        "cost": {"settled": "0.06", "total": "0.12", "currency": "EUR", "overrun": "0.01"},
        "balance": {"available": "-0.01", "held": "0.00", "currency": "EUR"},
    }


async def test_services_without_an_account_have_no_cost() -> None:
    service = ServiceAnswer(
        rating_group="7",
        code=ResultCode.NO_RATE,
        granted_units=0,
        validity_s=0,
        quota_threshold_units=0,
        final_unit=False,
        settled_units=0,
        settled_amount=0,
        total_amount=0,
        rating=None,
    )
    async with serving() as face:
        face.charger.answers["s1"] = Answer(code=ResultCode.NO_RATE, services=(service,))
        reply = await call(face, body=START)

    assert reply.body["services"] == [
        {"rating_group": "7", "return_code": -3, "return_name": "NO_RATE", "granted_units": 0}
    ]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/realtime", 405),
        ("POST", "/livez", 405),
        ("POST", "/elsewhere", 404),
        ("POST", "/", 404),
        ("GET", "/realtime/1", 404),
    ],
)
async def test_other_paths_and_methods(method: str, path: str, status: int) -> None:
    async with serving() as face:
        reply = await call(face, path, START, method=method)

    assert (reply.status, reply.body["status"]) == (status, status)
    assert ("Allow" in reply.headers) == (status == 405)


async def test_a_query_does_not_change_the_path() -> None:
    async with serving() as face:
        assert (await call(face, "/realtime?source=default", START)).status == 200


async def test_the_idempotency_key_stands_for_a_number() -> None:
    async with serving() as face:
        await call(face, body=START | {"request_number": None}, headers={"Idempotency-Key": "k1"})

    assert [event.request_key for event in face.charger.events] == ["key:k1"]
