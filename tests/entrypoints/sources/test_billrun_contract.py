"""Every field of BillRun's documented contract occurs in the recordings, on its side."""

from collections.abc import Iterator
from typing import Any

from tests.entrypoints.sources.recordings import FOLDER, read

REQUEST = """
    file_type request
    request.record_type request.session_id request.imsi request.msisdn request.charging_id
    request.apn request.usaget request.usagev request.reserved_units request.request_num
    request.rating_group request.result_code request.start_time request.end_time
"""
ANSWER = """
    status desc tx_id line_stamp balance line
    charging_decision.granted_units charging_decision.validity_time
    charging_decision.quota_threshold charging_decision.result_code
    rating.arate rating.aprice rating.usagev rating.usaget
    error.code error.message error.context
"""
RECORD_TYPES = {"start_request", "update_request", "release_request", "final_request"}
USAGE_TYPES = {"call", "sms", "mms", "data", "flat"}
STEPS = [
    step for path in sorted((FOLDER / "billrun-doc").glob("*.json")) for step in read(path)["steps"]
]


def names(value: Any, name: str = "") -> Iterator[str]:
    if name:
        yield name
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from names(inner, f"{name}.{key}" if name else key)


def test_every_field_of_the_request() -> None:
    sent = {name for step in STEPS for name in names(step["request"]["body"])}
    assert sent >= set(REQUEST.split())


def test_every_field_of_the_answer() -> None:
    told = {name for step in STEPS for name in names(step["answer"]["body"])}
    assert told >= set(ANSWER.split())


def test_every_word() -> None:
    bodies = [step["request"]["body"] for step in STEPS if step["outcome"] == "OK"]
    events = [body.get("request", body) for body in bodies]
    assert {event["record_type"] for event in events} == RECORD_TYPES | {"event_request"}
    assert {event["usaget"] for event in events} == USAGE_TYPES


def test_status_tells_whether_to_go_on() -> None:
    for step in STEPS:
        body = step["answer"]["body"]
        assert body["status"] == (1 if step["answer"]["status"] == 200 else 0)
        assert ("error" in body) is (body["status"] == 0)
