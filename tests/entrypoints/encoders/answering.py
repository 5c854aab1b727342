"""Answers and events to be written, with everything that they may tell."""

from typing import Any

from msgspec.structs import replace

from ocs.domain.events import Event, Kind, ServiceUse
from ocs.domain.results import ResultCode
from ocs.entrypoints.dialects import Decoded
from ocs.entrypoints.return_codes import load_return_codes, return_codes_path
from ocs.usecases.answer import Answer, ServiceAnswer
from ocs.usecases.ports import RatingInfo

CODES = load_return_codes(return_codes_path())
EVENT = Event(
    kind=Kind.UPDATE,
    tenant="demo",
    session_id="s1",
    request_number=3,
    request_key="",
    subscriber="441632960001",
    usage_type="voice",
    rated_number="442071234567",
    event_ms=1_795_166_545_000,
    reported_ms=1_795_166_545_000,
    answer_ms=None,
    services=(ServiceUse("0", 30, 60),),
    calling_number="441632960001",
    called_number="442071234567",
)
SERVICE = ServiceAnswer(
    rating_group="0",
    code=ResultCode.OK,
    granted_units=60,
    validity_s=300,
    quota_threshold_units=10,
    final_unit=False,
    settled_units=30,
    settled_amount=60_000,
    total_amount=120_000,
    rating=RatingInfo("a-z", "44", "United Kingdom", "interval"),
)
ANSWER = Answer(
    code=ResultCode.OK,
    session_id="s1",
    request_number=3,
    transaction_id="007-1-0",
    session_ref="demo/a/a/s1",
    services=(SERVICE,),
    currency="EUR",
    available_amount=9_940_000,
    held_amount=60_000,
)


def service(**changes: Any) -> ServiceAnswer:
    return replace(SERVICE, **changes)


def answer(*services: ServiceAnswer, **changes: Any) -> Answer:
    return replace(ANSWER, services=services or (SERVICE,), **changes)


def refused(code: ResultCode, **changes: Any) -> Answer:
    """Return a refusal that the ledger decided on, for the one service that there is."""
    one = service(
        code=code, granted_units=0, validity_s=0, quota_threshold_units=0, settled_units=0
    )
    return answer(one, code=code, **changes)


def decoded(request_type: int = 2, **changes: Any) -> Decoded:
    return Decoded(replace(EVENT, **changes), request_type=request_type)
