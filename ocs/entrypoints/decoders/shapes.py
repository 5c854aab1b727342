"""Events of a shape that was seen before: the short cut of a source's field map.

A client writes few kinds of events, each with the same names every time. Which of a field's places
may be there, which names stand for themselves and which are only kept follows from the names alone:
their *shape*. So it is found out once for each shape, and reading another event of it costs a
look-up for each field that is there, and nothing for those that are not.

The longer way (`levels`) is gone by what depends on more than names: use under the wrong name,
lists in several places, and, where what is not read is kept, nulls, places inside of objects, and
a first place that is empty where another one might have the field. Nothing is decided here;
test_shapes holds the two equal.

Rejected: a function generated for each source. It saves another microsecond, and nobody can read it
where it goes wrong.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from msgspec import Struct

from ocs.entrypoints.decoders.conversions import Convert
from ocs.entrypoints.decoders.levels import Field, Fields, Level, Place, Words, look, translated
from ocs.entrypoints.decoders.wire import Extras

MOST_NAMES: Final = 40
"""Names of an event whose unread fields are kept; with more, no two events have the same."""

MOST_SHAPES: Final = 200
"""Shapes that a level remembers, some 200 kB; whoever invents names cannot make it more."""


class _Row(NamedTuple):
    """A field that may be there: at `place`, or else at one of `others`, a field of what is left.

    `others` is None where the longer way has to look there.
    """

    name: str
    place: str
    native: type
    convert: Convert
    words: Words | None
    others: tuple[Field, ...] | None


class _Plan(Struct, frozen=True):
    """How events of a shape are read.

    The last rows are of the names that stand for themselves, `own`. `has_list`: there may be items
    of the level below.
    """

    rows: tuple[_Row, ...]
    own: tuple[str, ...]
    has_list: bool
    kept: tuple[str, ...]


_UNSEEN: Final = _Plan((), (), has_list=False, kept=())


class ShapedLevel(Level):
    """A level that remembers the shapes of what it reads."""

    def __init__(
        self,
        fields: Fields,
        values: Mapping[str, Words],
        inside: str = "",
        *,
        keeps: bool = True,
    ) -> None:
        """Begin without any shapes."""
        super().__init__(fields, values, inside, keeps=keeps)
        self._plans: dict[tuple[str, ...], _Plan | None] = {}
        self._is_read = frozenset(self._names_read()).__contains__

    def read(self, event: Extras) -> tuple[Extras, Extras]:
        """Return what is known, and what is only kept; raises Unreadable."""
        if not self.keeps:
            shape = tuple(filter(self._is_read, event))
        elif len(event) <= MOST_NAMES:
            shape = tuple(event)
        else:
            return super().read(event)
        plan = self._plans.get(shape, _UNSEEN)
        if plan is _UNSEEN:
            plan = self._learn(shape)
        if plan is None or (self.keeps and None in event.values()):
            return super().read(event)
        return self._by(plan, event) or super().read(event)

    def _by(self, plan: _Plan, event: Extras) -> tuple[Extras, Extras] | None:
        """Read an event by the plan of its shape; None where that does not say it."""
        known: Extras = {}
        there = event.get
        for name, place, native, convert, words, others in plan.rows:
            found = there(place)
            if found is not None and found != "":
                if words is not None:
                    found = translated(found, words)
                if type(found) is native or (found := convert(found)) is not None:
                    known[name] = found
                    continue
            if others is None:
                return None
            if others:
                look(others, event, known, {})
        kept = {name: event[name] for name in plan.kept}
        if plan.has_list:
            self._read_list(plan, event, known, kept)
        return known, kept

    def _read_list(self, plan: _Plan, event: Extras, known: Extras, kept: Extras) -> None:
        """Read it as if before the names that stand for themselves: the first mistake is told."""
        assert self.many is not None, "it is the list of the level below"
        items = self.many.read(event, known, {})
        if items and self.keeps:
            kept[self.many.name] = items
        for name in plan.own:
            if name in known:
                known[name] = known.pop(name)

    def _learn(self, shape: tuple[str, ...]) -> _Plan | None:
        if len(self._plans) >= MOST_SHAPES:
            return None
        plan = self._plans[shape] = self._plan(shape)
        return plan

    def _plan(self, shape: tuple[str, ...]) -> _Plan | None:
        lists = self._lists(shape)
        if lists is None or not set(shape).isdisjoint(self.elsewhere):
            return None
        rows = [row for field in self.mapped if (row := self._row(field, shape))]
        read = {row.place for row in rows} | set(lists)
        if self.keeps and not read.issubset(shape):
            return None
        own = tuple(name for name in shape if name in self.own)
        rows += [_Row(name, name, *self.own[name], ()) for name in own]
        kept = (name for name in shape if name not in read and name not in self.own)
        return _Plan(tuple(rows), own, bool(lists), tuple(kept) if self.keeps else ())

    def _row(self, field: Field, shape: tuple[str, ...]) -> _Row | None:
        places = _there(field.places, shape)
        if not places:
            return None
        place = places[0].name
        others = places[1:] if place in shape else places
        left = (field._replace(places=others),) if others else ()
        return _Row(field.name, place, *field[2:], None if left and self.keeps else left)

    def _lists(self, shape: tuple[str, ...]) -> tuple[str, ...] | None:
        """Name the list of the level below, if one is there; None where there is more to it."""
        if self.many is None:
            return ()
        bases = _there((base for base, _ in self.many.bases), shape)
        if not bases:
            return ()
        others = [place for field in (*self.mapped, *self.many.above) for place in field.places]
        roots = {place.root for place in _there(others, shape)}
        is_alone = len(bases) == 1 and bases[0].name in shape and bases[0].name not in roots
        is_shared = any(_there(field.places, shape) for field in self.many.above)
        return (bases[0].name,) if is_alone and not is_shared else None

    def _names_read(self) -> Iterable[str]:
        """Name all that may be looked at."""
        bases = () if self.many is None else tuple(base for base, _ in self.many.bases)
        yield from (*self.own, *self.elsewhere)
        for place in (*bases, *(place for field in self.mapped for place in field.places)):
            yield from (place.name, place.root)


def _there(places: Iterable[Place], shape: tuple[str, ...]) -> tuple[Place, ...]:
    """Return the places that may be in an event of a shape: by their names, or inside of one."""
    return tuple(place for place in places if place.name in shape or place.root in shape)
