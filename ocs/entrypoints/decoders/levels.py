"""One level of a client's event (the event, its services, parts of their use), by the field map.

A level is compiled once from the lines of `fields` that are about it. Reading it takes a pass over
the mapped fields, each looked for where the map says, and a pass over what the client sent, which
finds canonical names that stand for themselves and sets aside the rest for the CDR. What was read
is noted in a small tree of names, so that of nested objects only the unread leaves are kept.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeGuard

from msgspec import Struct

from ocs.entrypoints.decoders.conversions import Convert, conversions, native_of
from ocs.entrypoints.decoders.wire import Extras, Unreadable, WireEvent, WireService, WireUsed

TENANT_KEY: Final = "tenant_key"
ANY_WORD: Final = "*"
LIST: Final = "[]."

Words = Mapping[str, str]
Fields = Mapping[str, tuple[str, ...]]
Tree = dict[str, Any]
"""Names that were read, each None, or the tree of what was read below it."""

_NAMES: Final = {
    "": (*WireEvent.__struct_fields__, TENANT_KEY),
    "services": WireService.__struct_fields__,
    "used": WireUsed.__struct_fields__,
}
_TOLD_APART: Final = ("rating_group", "units", "when")
"""What is kept along with the rest of an item, so that one can tell which it is of."""
_NOTHING: Final = object()
"""Stands for what was read to its last leaf; a null that nothing reads is kept."""
_LISTS: Final = {"": "services", "services": "used", "used": ""}
_OF_USE: Final = ("used_units", "services", "used")
"""Canonical names of what was used: never only kept, since nobody would pay for it."""


class Place(NamedTuple):
    """Where a value is: a name as a whole, or else its parts, one object inside the other."""

    name: str
    parts: tuple[str, ...]

    @classmethod
    def of(cls, path: str) -> "Place":
        return cls(path, tuple(path.split(".")) if "." in path else ())

    @property
    def root(self) -> str:
        """Where to begin to look for it, if not by its name."""
        return self.parts[0] if self.parts else self.name

    def look(self, event: Extras, read: Tree) -> object:
        """Return what is there, and note that it was read; None where nothing is."""
        value = event.get(self.name)
        if value is not None:
            read[self.name] = None
            return value
        return _inside(event, self.parts, read) if self.parts else None

    def peek(self, event: Extras) -> object:
        """Return what is there."""
        value, parts = event.get(self.name), self.parts
        return _inside(event, parts, {}) if value is None and parts and parts[0] in event else value


class Field(NamedTuple):
    """A canonical field: where it may be, of which kind it is, what the client's words mean.

    What is of the type `native` needs no conversion.
    """

    name: str
    places: tuple[Place, ...]
    native: type
    convert: Convert
    words: Words | None

    @classmethod
    def of(cls, name: str, paths: Sequence[str], convert: Convert, words: Words | None) -> "Field":
        return cls(name, tuple(map(Place.of, paths)), native_of(convert), convert, words)


def look(fields: tuple[Field, ...], event: Extras, known: Extras, read: Tree) -> None:
    """Put into `known` what the first place of each field has that is not empty."""
    there = event.get
    for name, places, native, convert, words in fields:
        for place, parts in places:
            found = there(place)
            if found is not None:
                read[place] = None
            elif parts and parts[0] in event:
                found = _inside(event, parts, read)
            if found is None or found == "":
                continue
            if words is not None:
                found = translated(found, words)
            if type(found) is native or (found := convert(found)) is not None:
                known[name] = found
                break


class Level:
    """Reads one level; `many` is the level below, which is a list.

    `mapped` are the fields that the map names, `own` the others, which stand for themselves;
    `elsewhere` are those of use that the map takes from another place.
    """

    def __init__(
        self,
        fields: Fields,
        values: Mapping[str, Words],
        inside: str = "",
        *,
        keeps: bool = True,
    ) -> None:
        """`inside` is the list that it is in; without `keeps` nothing is set aside."""
        converts = conversions(_NAMES[inside], inside)
        self._inside = inside
        self.keeps = keeps
        self.mapped = tuple(
            Field.of(name, paths, converts[name], values.get(name))
            for name, paths in fields.items()
            if LIST not in name and paths
        )
        self.own = {
            name: (native_of(convert), convert, values.get(name))
            for name, convert in converts.items()
            if name not in fields
        }
        self.many = _many(type(self), fields, values, _LISTS[inside]) if _LISTS[inside] else None
        if self.many is not None:
            self.own.pop(self.many.name, None)
        self.elsewhere = tuple(name for name in _OF_USE if _is_elsewhere(name, fields))
        self._own_names = frozenset(self.own)

    def read(self, event: Extras) -> tuple[Extras, Extras]:
        """Return what is known, and what is only kept."""
        known: Extras = {}
        read: Tree = {}
        look(self.mapped, event, known, read)
        kept = [] if self.many is None else self.many.read(event, known, read)
        rest: Extras = {}
        self._refuse_use(event, known, read)
        own, keeps = self.own, self.keeps
        unread = event.items() if keeps or not self._own_names.isdisjoint(event) else ()
        for name, value in unread:
            named = own.get(name)
            if named is not None:
                if value is None or value == "":
                    continue
                native, convert, words = named
                found = value if words is None else translated(value, words)
                if type(found) is native or (found := convert(found)) is not None:
                    known[name] = found
            elif keeps and name not in read:
                rest[name] = value
            elif keeps and read[name] is not None:
                _keep(rest, name, value, read[name])
        if kept and keeps:
            rest[_LISTS[self._inside]] = kept
        return known, rest

    def _refuse_use(self, event: Extras, known: Extras, read: Tree) -> None:
        """Refuse a report of use under our name where the map looks for it under another."""
        for name in self.elsewhere:
            if event.get(name) and name not in read:
                place = f"{self._inside}[].{name}" if self._inside else name
                raise Unreadable(place, f"expected here, not in {name}", known)


class Many(Struct, frozen=True):
    """The level below: in which list it is, and which of its fields are one for all its items.

    `is_named`: the map says which list; if not, it is the one of the canonical name, unless the map
    has read that as something else.
    """

    name: str
    is_named: bool
    bases: tuple[tuple[Place, Level], ...]
    above: tuple[Field, ...]

    def read(self, event: Extras, known: Extras, read: Tree) -> list[Extras]:
        """Read the first list that is there; return what is only kept of its items."""
        for base, level in self.bases:
            if not self.is_named and base.name in read:
                return []
            found = base.look(event, read)
            if found is None or found == "":
                continue
            items = found if isinstance(found, list) else [found]
            shared = self._shared(event, read)
            kept: list[Extras] = []
            known[self.name] = read_items = [_item(item, level, shared, kept) for item in items]
            if items is not found and found and read_items[0] == shared:
                # What PHP makes of a list with gaps, {"0": {...}}: use that nobody would pay for.
                raise Unreadable(base.name, "expected a list")
            return kept
        return []

    def _shared(self, event: Extras, read: Tree) -> Extras:
        shared: Extras = {}
        look(self.above, event, shared, read)
        return shared


def _item(item: object, level: Level, shared: Extras, kept: list[Extras]) -> object:
    if not is_object(item):
        return item  # named by the typed decoder
    known, rest = level.read(item)
    if rest:
        kept.append({name: known[name] for name in _TOLD_APART if name in known} | rest)
    return shared | known if shared else known


def _many(kind: type[Level], fields: Fields, values: Mapping[str, Words], name: str) -> Many:
    """Compile the level below, once for each list that its fields may be in."""
    below = _below(fields, f"{name}{LIST}")
    words = {key.partition(LIST)[2]: value for key, value in values.items() if LIST in key}
    bases = dict.fromkeys(
        path.partition(LIST)[0] for paths in below.values() for path in paths if LIST in path
    )
    bases = dict.fromkeys(fields.get(name, ())) | bases
    is_named = bool(bases) or name in fields
    if not is_named:
        bases = {name: None}
    converts = conversions(_NAMES[name], name)
    above = tuple(
        Field.of(key, places, converts[key], words.get(key))
        for key, paths in below.items()
        if LIST not in key and (places := [path for path in paths if LIST not in path])
    )
    return Many(
        name,
        is_named,
        tuple((Place.of(base), kind(_within(below, base), words, name)) for base in bases),
        above,
    )


def _below(fields: Fields, prefix: str) -> Fields:
    return {
        key.removeprefix(prefix): paths for key, paths in fields.items() if key.startswith(prefix)
    }


def _within(fields: Fields, base: str) -> Fields:
    """Return the fields whose places are in the list at `base`, with their places inside of it."""
    prefix = f"{base}{LIST}"
    return {
        key: tuple(path.removeprefix(prefix) for path in paths if path.startswith(prefix))
        for key, paths in fields.items()
        if not paths or any(path.startswith(prefix) for path in paths)
    }


def _keep(rest: Extras, name: str, value: object, read: Tree) -> None:
    """Set aside what is left of a value of which some was read."""
    left = _unread(value, read)
    if left is not _NOTHING:
        rest[name] = left


def _is_elsewhere(name: str, fields: Fields) -> bool:
    """Tell whether the map takes a canonical field, or what is in it, from another place."""
    below = [paths for key, paths in fields.items() if key.startswith(f"{name}{LIST}")]
    places = [*fields.get(name, ()), *(path for paths in below for path in paths if LIST in path)]
    return bool(places) and not any(path.partition(LIST)[0] == name for path in places)


def _unread(value: object, read: Tree | None) -> object:
    """Return what is left of a value of which some was read, or all."""
    if read is None or not is_object(value):
        return _NOTHING
    left: Extras = {}
    for name, inner in value.items():
        below = _unread(inner, read[name]) if name in read else inner
        if below is not _NOTHING:
            left[name] = below
    return left or _NOTHING


def _inside(event: Extras, parts: tuple[str, ...], read: Tree) -> object:
    """Return what is inside of inner objects, and note that it was read."""
    inner: object = event
    for part in parts:
        if not is_object(inner) or (inner := inner.get(part)) is None:
            return None
    for part in parts[:-1]:
        read = read.setdefault(part, {})
        if read is None:  # all of it was read already
            return inner
    read[parts[-1]] = None
    return inner


def translated(value: object, words: Words) -> object:
    """Return the canonical word for a client's, which may be a number or a truth value."""
    if type(value) is bool:
        word = "true" if value else "false"
    else:
        word = value if isinstance(value, str) else str(value)
    return words.get(word, words.get(ANY_WORD, value))


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def known_names(inside: str = "") -> Sequence[str]:
    """Name the canonical fields of a level."""
    return _NAMES[inside]
