"""What a worker turns away while the store is short of memory: alone, in arrays, on either way."""

from typing import Any

import pytest

from ocs.domain.results import ResultCode
from ocs.usecases.shedding import Shed
from tests.entrypoints.http.serving import START, Face, Reply, call, serving

REQUESTS = {
    kind: START | {"record_type": f"{kind}_request", "session_id": kind}
    for kind in ("start", "update", "release", "event")
}
HELP = {
    f"help {kind}": event | {"session_id": f"help {kind}", "called_number": "112"}
    for kind, event in REQUESTS.items()
}
GOES_ON = {
    "delivered": REQUESTS["event"] | {"session_id": "delivered", "used_units": 5},
    "begun": START | {"session_id": "begun", "used_units": 5},
    "dry": START | {"session_id": "dry", "dry_run": True},
    "check": REQUESTS["event"] | {"session_id": "check", "action": "check_balance"},
    "price": REQUESTS["event"] | {"session_id": "price", "action": "price_enquiry"},
}
EVENTS: dict[str, dict[str, Any]] = {**REQUESTS, **HELP, **GOES_ON}


async def outcomes(face: Face, *, in_array: bool) -> dict[str, Reply]:
    """What becomes of each event, told of an array as of single ones."""
    if not in_array:
        return {name: await call(face, body=event) for name, event in EVENTS.items()}
    answers = (await call(face, body=list(EVENTS.values()))).body
    return {
        name: Reply(503 if answer["return_name"] == "TOO_BUSY" else 200, {}, answer)
        for name, answer in zip(EVENTS, answers, strict=True)
    }


@pytest.mark.parametrize("in_array", [False, True], ids=["alone", "array"])
@pytest.mark.parametrize("front", [True, False], ids=["front", "aiohttp"])
@pytest.mark.parametrize(
    ("shed", "turned_away"),
    [
        (Shed.NOTHING, []),
        (Shed.STARTS, ["start"]),
        (Shed.ONE_SHOTS, ["start", "event"]),
    ],
)
async def test_what_is_turned_away(
    shed: Shed, turned_away: list[str], *, front: bool, in_array: bool
) -> None:
    async with serving(front=front) as face:
        face.realtime.shed = shed
        replies = await outcomes(face, in_array=in_array)
        assert face.realtime.in_flight == 0
    refused = {name: reply for name, reply in replies.items() if reply.status == 503}
    assert list(refused) == turned_away
    assert {event.session_id for event in face.charger.events} == EVENTS.keys() - set(turned_away)
    assert face.realtime.shed_events == {
        kind: int(kind in turned_away) for kind in ("start", "event", "update", "release")
    }
    for name, reply in refused.items():
        assert reply.body == {
            "return_code": -11,
            "return_name": "TOO_BUSY",
            "desc": "too busy, nothing was charged; send the same request again:"
            " the store is short of memory",
            "session_id": name,
            "request_number": 0,
            "granted_units": 0,
            "retry_after": 1,
        }


async def test_a_refusal_says_when_to_come_back_and_is_told_to_observers() -> None:
    seen: list[tuple[str, ResultCode]] = []
    async with serving(observers=[lambda kind, answer: seen.append((kind, answer.code))]) as face:
        face.realtime.shed = Shed.STARTS
        refused = await call(face, body=START)
        face.realtime.shed = Shed.NOTHING
        taken = await call(face, body=START)
    assert (refused.status, refused.headers["Retry-After"], taken.status) == (503, "1", 200)
    assert seen == [("start", ResultCode.TOO_BUSY)]


async def test_in_an_array_the_updates_behind_a_start_that_is_shed_go_on() -> None:
    """The client talks of a call: what it reports is settled, whoever granted it."""
    async with serving() as face:
        face.realtime.shed = Shed.ONE_SHOTS
        update = START | {"record_type": "update_request", "request_number": 1, "used_units": 60}
        reply = await call(face, body=[START, update])
    assert [answer["return_name"] for answer in reply.body] == ["TOO_BUSY", "OK"]
