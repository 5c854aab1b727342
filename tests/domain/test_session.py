"""The session table."""

from itertools import product

from ocs.adapters.valkey.states import LUA_FILE, states_lua
from ocs.domain.events import Kind
from ocs.domain.results import ResultCode
from ocs.domain.session import TABLE, State, row

LIVE = (State.OPEN, State.IDLE)


def test_there_is_one_row_for_every_pair() -> None:
    pairs = [(line.state, line.kind) for line in TABLE]
    assert sorted(pairs) == sorted(product(State, Kind))


def test_only_a_release_is_final() -> None:
    for kind in Kind:
        line = row(State.OPEN, kind)
        assert (line.granted is State.CLOSED) == (kind is Kind.RELEASE)


def test_a_closed_session_grants_nothing_and_stays_closed() -> None:
    for kind in (Kind.START, Kind.UPDATE, Kind.RELEASE):
        line = row(State.CLOSED, kind)
        assert (line.holds, line.granted, line.code) == (
            False,
            State.CLOSED,
            ResultCode.SESSION_CLOSED,
        )


def test_a_one_shot_event_leaves_a_session_as_it_is() -> None:
    for state in State:
        line = row(state, Kind.EVENT)
        assert line.granted is (State.CLOSED if state is State.NONE else state)


def test_an_open_session_is_started_once() -> None:
    assert [line.state for line in TABLE if line.repeats_start] == list(LIVE)


def test_the_script_has_the_same_table() -> None:
    assert LUA_FILE.read_text(encoding="utf-8") == states_lua(), (
        "lua/states.lua is not what the table says: python -m ocs.adapters.valkey.states"
    )
