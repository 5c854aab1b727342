"""Events of a known shape are read by a short cut, which nobody can tell."""

from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.entrypoints.decoders.levels import Level
from ocs.entrypoints.decoders.mapping import paths_of
from ocs.entrypoints.decoders.shapes import MOST_NAMES, MOST_SHAPES, ShapedLevel
from ocs.entrypoints.decoders.wire import Unreadable
from tests.entrypoints.sources.stage import shipped_sources

ODD_MAP = {
    "called_number": ("route.ported", "route.to", "to"),
    "calling_number": ("subscriber", "from"),
    "session_id": ("id",),
    "answer_time": ("at", "answered.at"),
    "services[].rating_group": ("parts[].rg", "group"),
    "services[].used_units": ("parts[].used", "parts[].n.used"),
}
WORDS = {"record_type": {"INVITE": "start_request", "*": "update_request"}}
PAIRS = [
    (Level(fields, values, keeps=keeps), ShapedLevel(fields, values, keeps=keeps))
    for fields, values, keeps in (
        *((ODD_MAP, WORDS, keeps) for keeps in (True, False)),
        *(
            ({name: paths_of(paths) for name, paths in source.fields.items()}, source.values, keeps)
            for source in shipped_sources()
            for keeps in (True, False)
            if source.format != "diameter"
        ),
    )
]
VALUES: st.SearchStrategy[Any] = st.sampled_from([
    "INVITE", "441632960001", "60", "1795166545", "0", "", " ", 0, 5, 59.5, 1_795_166_545_000, True, "ANSWERED",
    None, [], {}, ["x"], [{"rg": 1, "used": 5, "kept": 2}], [{"rg": 1, "n": {"used": 5}}, {}], [{"rating_group": 7, "used_units": 1}],
    {"to": "44", "ported": "", "x": 1}, {"at": 7}, {"uuid": "u1", "billmsec": "5", "end_uepoch": None},
])  # fmt: skip


def names_of(level: Level) -> list[str]:
    places = list(chain.from_iterable(field.places for field in level.mapped))
    lists = [base for base, _ in level.many.bases] if level.many else []
    ours = ["record_type", "used_units", "services", "imsi", "kept", "unread", "n.used"]
    return sorted({name for place in (*places, *lists) for name in (place.name, place.root)} | {*ours})  # fmt: skip


@st.composite
def events(draw: st.DrawFn) -> tuple[Level, ShapedLevel, dict[str, Any]]:
    level, shaped = draw(st.sampled_from(PAIRS))
    return level, shaped, draw(st.dictionaries(st.sampled_from(names_of(level)), VALUES, max_size=8))  # fmt: skip


def read(level: Level, event: dict[str, Any]) -> object:
    """Return all there is to tell, the order of names too: it is that of the CDR."""
    try:
        known, rest = level.read(event)
    except Unreadable as problem:
        return problem.field, problem.reason, problem.plain
    return [*known.items()], [*rest.items()]


@given(case=events())
def test_it_is_read_as_by_the_longer_way(
    case: tuple[Level, ShapedLevel, dict[str, Any]],
) -> None:
    level, shaped, event = case
    before = repr(event)
    assert read(shaped, event) == read(shaped, event) == read(level, event)
    assert repr(event) == before


@pytest.mark.parametrize(
    ("event", "keeps", "is_taken"),
    [
        ({"id": "s", "from": "44", "x": 1}, True, True),
        ({"id": "s", "parts": [{"rg": 1}]}, True, True),
        ({"id": "s", "route": {"to": "44"}}, False, True),
        ({"id": "s", "route": {"to": "44", "x": 1}}, True, False),
        ({"id": "s", "parts": [], "services": []}, True, False),
        ({"id": "s", "used_units": 5, "parts": [], "group": 1}, True, False),
        ({"id": "s", "x": None}, True, False),
        ({"id": "s", "from": "", "subscriber": "44"}, True, True),
        ({"id": "s", "from": "44", "subscriber": ""}, True, False),
        ({str(n): n for n in range(MOST_NAMES + 1)}, True, False),
        ({"id": "s"} | {str(n): n for n in range(MOST_NAMES + 1)}, False, True),
    ],
)
def test_which_events_take_the_short_cut(
    event: dict[str, Any], *, keeps: bool, is_taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = ShapedLevel(ODD_MAP, WORDS, keeps=keeps)
    longer: list[object] = []
    read_longer = Level.read

    def noted(self: Level, event: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        longer.append(event)
        return read_longer(self, event)

    monkeypatch.setattr(Level, "read", noted)
    level.read(event)
    assert (longer == []) == is_taken


def test_no_more_shapes_are_remembered_than_there_is_room_for() -> None:
    level = ShapedLevel({}, {})
    for number in range(MOST_SHAPES + 5):
        assert level.read({f"x{number}": 1, "session_id": "s"}) == (
            {"session_id": "s"},
            {f"x{number}": 1},
        )
    assert len(level._plans) == MOST_SHAPES
