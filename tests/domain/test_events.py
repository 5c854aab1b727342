"""Events."""

from ocs.domain.events import Event, Kind, ServiceUse


def test_the_use_of_an_event_is_that_of_all_its_services() -> None:
    event = Event(
        kind=Kind.UPDATE,
        tenant="demo",
        session_id="s1",
        request_number=1,
        request_key="",
        subscriber="alice",
        usage_type="data",
        rated_number="",
        event_ms=0,
        reported_ms=0,
        answer_ms=None,
        services=(ServiceUse("1", 20, None), ServiceUse("2", 22, 0)),
    )
    assert event.used_units == 42
