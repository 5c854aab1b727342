import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocs.usecases.recording import RecordingError, read_recording, renewed

RECORDING = Path(__file__).parents[1] / "data" / "kamailio-events.ndjson.gz"
NOW_MS = 1_800_000_000_500


def line(offset_s: float, **event: object) -> bytes:
    return json.dumps({"offset_s": offset_s, "event": {"session_id": "s1", **event}}).encode()


def test_the_recording_holds_what_its_description_says() -> None:
    with gzip.open(RECORDING) as lines:
        recording = read_recording(lines)
    kinds = Counter(json.loads(bytes(item.event))["record_type"] for item in recording)
    assert kinds == {"start_request": 2400, "update_request": 3583, "release_request": 2243}
    assert len({item.session for item in recording}) == 2400
    assert recording[0].offset_s == 0.0
    assert sum(item.used_units for item in recording) > 10_000


def test_a_renewed_event_is_a_new_session_at_the_time_of_sending() -> None:
    [item] = read_recording([line(3.0, event_time=1_700_000_000, used_units=4, called_number="49")])
    assert json.loads(renewed(item, "r1", NOW_MS)) == {
        "session_id": "s1-r1",
        "event_time": 1_800_000_000,
        "used_units": 4,
        "called_number": "49",
    }
    assert (item.session, item.used_units, item.offset_s) == ("s1", 4, 3.0)


@pytest.mark.parametrize(
    ("event_time", "answer_time", "renewed_times"),
    [
        (1_700_000_010, 1_700_000_003, (1_800_000_000, 1_799_999_993)),
        (1_700_000_010.25, 1_700_000_003.25, (1_800_000_000.5, 1_799_999_993.5)),
        ("2023-11-14T22:13:30Z", "2023-11-14T22:13:29+00:00", (1_800_000_000, 1_799_999_999)),
    ],
)
def test_other_times_keep_their_distance(
    event_time: object, answer_time: object, renewed_times: tuple[float, float]
) -> None:
    [item] = read_recording([line(0, event_time=event_time, answer_time=answer_time)])
    event = json.loads(renewed(item, "x", NOW_MS))
    assert (event["event_time"], event["answer_time"]) == renewed_times


def test_an_event_without_a_time_stays_without_one() -> None:
    [item] = read_recording([line(0)])
    assert json.loads(renewed(item, "x", NOW_MS)) == {"session_id": "s1-x"}


def test_one_shot_events_are_known_by_their_event_id() -> None:
    [item] = read_recording([b'{"offset_s":0,"event":{"event_id":"e1"}}'])
    assert item.session == "e1"
    assert json.loads(renewed(item, "x", NOW_MS)) == {"event_id": "e1-x"}


def test_use_is_counted_over_all_services() -> None:
    [item] = read_recording([line(0, services=[{"used_units": 3}, {"rating_group": 2}])])
    assert item.used_units == 3


def test_events_come_in_the_order_of_their_offsets_and_up_to_the_limit() -> None:
    def lines() -> Iterator[bytes]:
        yield line(2, session_id="c")
        yield b"\n"
        yield line(1, session_id="a")
        yield line(1, session_id="b")
        yield b"looked at, never read"

    assert [item.session for item in read_recording(lines(), limit=3)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"not json", "line 2: JSON is malformed"),
        (b'{"event":{"session_id":"s"}}', "line 2: Object missing required field `offset_s`"),
        (b'{"offset_s":0,"event":[]}', "line 2: Expected `object`, got `array`"),
        (b'{"offset_s":0,"event":{}}', "line 2: the event has neither session_id nor event_id"),
        (line(0, event_time="soon"), "line 2: Invalid isoformat string: 'soon'"),
        (line(0, event_time=[1]), r"line 2: \[1\] is no time"),
    ],
)
def test_a_bad_line_is_named(bad: bytes, reason: str) -> None:
    with pytest.raises(RecordingError, match=reason):
        read_recording([line(0), bad])
