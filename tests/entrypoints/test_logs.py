"""What is logged of events, and above all what is not."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from ocs.domain.events import Event, Kind, ServiceUse
from ocs.domain.results import ResultCode
from ocs.entrypoints.logs import EventLog, Pseudonyms, configure_logs
from ocs.usecases.answer import Answer

NUMBER = "441632960166"
CALLED = "260955123456"


def event(session_id: str = f"{NUMBER}@pbx") -> Event:
    return Event(
        kind=Kind.START,
        tenant="demo",
        session_id=session_id,
        request_number=3,
        request_key="",
        subscriber=NUMBER,
        usage_type="voice",
        rated_number=CALLED,
        event_ms=0,
        reported_ms=0,
        answer_ms=None,
        services=(ServiceUse("0", 0, 30),),
        calling_number=NUMBER,
        called_number=CALLED,
    )


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    former, level = root.handlers[:], root.level
    written = io.StringIO()
    root.handlers = []
    configure_logs("info", written)
    yield written
    root.handlers, root.level = former, level


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def log_of(clock: Clock, lines_per_second: int = 20) -> EventLog:
    return EventLog(Pseudonyms("key"), clock, slow_s=0.1, lines_per_second=lines_per_second)


def charged(code: ResultCode, took_s: float = 0.001) -> None:
    answer = Answer(
        code=code,
        session_id=event().session_id,
        transaction_id="007-1",
        reason=f"no rate for {CALLED}",
        field="called_number",
    )
    log_of(Clock()).charged([event()], [answer], took_s)


@pytest.mark.parametrize("code", [ResultCode.OK, ResultCode.NOT_CHARGED])
def test_nothing_is_logged_of_a_granted_event(stream: io.StringIO, code: ResultCode) -> None:
    charged(code)

    assert lines(stream) == []


def test_a_refused_event_is_one_line(stream: io.StringIO) -> None:
    charged(ResultCode.NO_RATE)

    (line,) = lines(stream)
    pseudonyms = Pseudonyms("key")
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "ocs.events",
        "message": "refused",
        "code": "NO_RATE",
        "op": "start",
        "field": "called_number",
        "transaction_id": "007-1",
        "tenant": "demo",
        "service": "voice",
        "subscriber": pseudonyms.of(NUMBER),
        "session": pseudonyms.session(event().session_id),
        "request_number": 3,
    }


def test_a_slow_event_is_one_line_though_it_was_granted(stream: io.StringIO) -> None:
    charged(ResultCode.OK, took_s=0.25)

    (line,) = lines(stream)
    assert (line["message"], line["code"], line["took_ms"]) == ("slow", "OK", 250)


def test_lines_have_a_rate_and_what_is_left_out_is_counted(stream: io.StringIO) -> None:
    clock = Clock()
    log = log_of(clock, lines_per_second=2)
    for _ in range(5):
        log.refused("start", Answer(code=ResultCode.TOO_BUSY))
    clock.now_s += 1
    log.refused("start", Answer(code=ResultCode.TOO_BUSY))

    written = lines(stream)
    assert len(written) == 3
    assert [line.get("suppressed") for line in written] == [None, None, 3]


def test_no_number_is_logged_in_clear(stream: io.StringIO) -> None:
    charged(ResultCode.NO_RATE)
    charged(ResultCode.OK, took_s=1.0)
    refused = Answer(
        code=ResultCode.INVALID_EVENT, session_id=f"{NUMBER}-1", field="x", reason=NUMBER
    )
    log_of(Clock()).refused("", refused)
    try:
        int(f"{NUMBER} and more")
    except ValueError:
        logging.getLogger("ocs").exception("an event could not be charged")

    assert len(lines(stream)) == 4
    assert NUMBER not in stream.getvalue()
    assert CALLED not in stream.getvalue()
    assert "base 10: '# and more'" in stream.getvalue()


def test_pseudonyms_are_stable_under_a_key_and_end_like_the_number() -> None:
    assert Pseudonyms("a").of(NUMBER) == Pseudonyms("a").of(NUMBER)
    assert len({Pseudonyms(key).of(NUMBER) for key in ("a", "b", "", "")}) == 4
    assert Pseudonyms("a").of(NUMBER).endswith("-66")
    assert len(Pseudonyms("a").of(NUMBER)) == 15
    assert Pseudonyms("a").of("") == Pseudonyms("a").session("") == ""


def test_other_lines_are_json_too(stream: io.StringIO) -> None:
    logging.getLogger("ocs.store").warning("link lost: %s", "reset", extra={"fields": {"port": 1}})

    (line,) = lines(stream)
    assert (line["level"], line["logger"], line["message"], line["port"]) == (
        "warning",
        "ocs.store",
        "link lost: reset",
        1,
    )
