"""For an emergency call there is room, however much is in hand."""

import asyncio

from ocs.domain.results import ResultCode
from ocs.entrypoints.http.realtime import RealtimeLimits
from ocs.usecases.answer import Answer
from tests.entrypoints.http.serving import START, call, serving, until

HELP = START | {"session_id": "help", "called_number": "112"}


async def test_it_is_not_turned_away_where_others_are() -> None:
    async with serving(limits=RealtimeLimits(max_in_flight=2)) as face:
        face.charger.gate = asyncio.Event()
        kinds = ("start", "release")
        sent = [
            asyncio.create_task(call(face, body=START | {"record_type": f"{kind}_request"}))
            for kind in kinds
        ]
        await until(lambda: face.realtime.in_flight == 2)
        assert (await call(face, body=START)).body["return_name"] == "TOO_BUSY"
        for kind in ("start", "update", "release", "event"):
            event = HELP | {"record_type": f"{kind}_request"}
            sent.append(asyncio.create_task(call(face, body=event)))
            sent.append(asyncio.create_task(call(face, body=[event])))
        await until(lambda: len(face.charger.events) == 2 + 4 + 4)
        face.charger.gate.set()
        assert {reply.status for reply in await asyncio.gather(*sent)} == {200}
        assert face.realtime.in_flight == 0


async def test_nor_is_one_behind_events_for_which_the_store_took_too_long() -> None:
    async with serving(limits=RealtimeLimits(max_in_flight=4)) as face:
        face.charger.answers["s1"] = Answer(code=ResultCode.OUTCOME_UNKNOWN, session_id="s1")
        body = [START, START | {"request_number": 1}, HELP, HELP | {"request_number": 1}]
        reply = await call(face, body=body)
    names = [item["return_name"] for item in reply.body]
    assert names == ["OUTCOME_UNKNOWN", "TOO_BUSY", "OK", "OK"]
