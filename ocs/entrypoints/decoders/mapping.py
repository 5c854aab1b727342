"""A client's event into a canonical one, by the field map of its source.

Only names, words and kinds are changed here; nothing is interpreted, so that no client has a way of
its own through charging: what the canonical decoder refuses, it refuses of every source. The map is
compiled once (`levels`); an event then costs a look-up for each field that is mapped.

    inside              where the event is in the body; what stands beside it lies below it
    fields, values      the levels of the event
    constants           what the event does not say
    tenants             the tenant that goes with the value of `tenant_key`
    session_fields      the session's name, joined; `%` and `:` in a part are escaped, so that two
                        sessions have never one name
    unit_ms             seconds of a voice call that are counted in something else
    identify            who uses
"""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from ocs.entrypoints.decoders.conversions import text
from ocs.entrypoints.decoders.levels import LIST, TENANT_KEY, Level, Place, Tree, is_object
from ocs.entrypoints.decoders.shapes import ShapedLevel
from ocs.entrypoints.decoders.who import Who
from ocs.entrypoints.decoders.wire import Extras, Unreadable, WireEvent, read_json
from ocs.entrypoints.decoders.words import USAGE_TYPES
from ocs.entrypoints.dialects import FILE_TYPE
from ocs.entrypoints.sources.source import Identity, Paths, Source

REQUEST: Final = "request"
"""BillRun's envelope: the event is in `request`, of the kind that `file_type` names."""

_WHO: Final = frozenset({*WireEvent.__struct_fields__, "nai", "private_id"})
_UNITS: Final = ("used_units", "requested_units")
_UNITS_OF_PART: Final = ("units",)
_SECOND_MS: Final = 1_000


class Mapped(Struct, frozen=True, gc=False):
    """A canonical event: what is known, what is only kept, and who uses, if the source says how."""

    known: Extras
    rest: Extras
    who: Who | None


class _Identity(Struct, frozen=True):
    place: Place
    is_number: bool
    pattern: re.Pattern[str] | None

    @classmethod
    def of(cls, identity: Identity) -> "_Identity":
        pattern = re.compile(identity.pattern) if identity.pattern else None
        return cls(Place.of(identity.field), identity.kind == "number", pattern)

    def text(self, event: Extras) -> str:
        """Return what identifies; empty where it is not there."""
        found = self.place.peek(event)
        if found is None:
            return ""
        if type(found) is not str and not isinstance(found := text(found), str):
            return ""
        if self.pattern is None:
            return found.strip()
        match = self.pattern.search(found)
        return (match[1] or "").strip() if match else ""


class SourceMap:
    """The field map of one source, compiled."""

    def __init__(self, source: Source) -> None:
        """ValueError: a pattern is no regular expression; the reader of sources has told so."""
        fields = {name: paths_of(paths) for name, paths in source.fields.items()}
        # Names that all stand for themselves are read as fast without a shape.
        kind = ShapedLevel if fields else Level
        self._level = kind(fields, source.values, keeps=source.keep_unmapped)
        self._fields = fields
        self._constants = source.constants
        self._inside = tuple(map(Place.of, source.inside))
        self._tenants = source.tenants
        self._session = tuple(map(Place.of, source.session_fields))
        self._identities = tuple(map(_Identity.of, source.identify))
        self._asked_of = tuple(identity.field for identity in source.identify)
        self._sayers = [(one.place.name, one.place.root, one) for one in self._identities]
        self._nobody = Who("", is_number=True, fields=self._asked_of)
        unit_ms = source.reports.unit_ms
        self._unit_ms = 0 if unit_ms == _SECOND_MS else unit_ms
        self.is_bare = source.keep_unmapped and not (
            fields
            or source.values
            or source.constants
            or source.tenants
            or self._session
            or self._unit_ms
        )
        """Whether it changes nothing of an event that is canonical already."""
        self.knows_who = _WHO.issuperset(self._asked_of)
        """Whether who uses follows from canonical fields alone."""

    def canonical(self, event: Extras) -> Mapped:
        """Return the canonical event; raises Unreadable."""
        known, rest = self._level.read(event)
        for name, value in self._constants.items():
            known.setdefault(name, value)
        if TENANT_KEY in known:
            self._choose_tenant(known)
        if self._session:
            known["session_id"] = self._session_id(known, event)
        if self._unit_ms and _is_call(known.get("usage_type", "")):
            self._count_seconds(known)
        return Mapped(known, rest, self.who(event))

    def who(self, event: Extras) -> Who | None:
        """Tell who uses, if the source says how."""
        if not self._identities:
            return None
        for name, root, identity in self._sayers:
            if (name in event or root in event) and (found := identity.text(event)):
                return Who(found, identity.is_number, self._asked_of)
        return self._nobody

    def client_name(self, field: str) -> str:
        """Name a canonical field as the client does: the first place that the map has for it."""
        name = re.sub(r"\[\d+\]", "[]", field)
        paths = self._fields.get(name, ())
        if not paths:
            return field
        numbers = iter(re.findall(r"\[\d+\]", field))
        return re.sub(r"\[\]", lambda empty: next(numbers, empty[0]), paths[0])

    def where(self, event: Extras) -> dict[str, str]:
        """Tell where in a client's event each canonical field was found, for people."""
        found = {name: name for name in event if name not in self._fields}
        for name, paths in self._fields.items():
            for path in paths:
                value = Place.of(path.partition(LIST)[0]).peek(event)
                if value is not None and value != "":
                    found[name] = path
                    break
        for identity in self._identities:
            if identity.text(event):
                return found | {"subscriber": identity.place.name}
        return found

    def event(self, plain: object) -> Extras:
        """Find the event in a body; raises Unreadable."""
        if not is_object(plain):
            raise Unreadable("body", "expected an object: one event")
        for place in self._inside:
            read: Tree = {}
            found = place.look(plain, read)
            if found is not None:
                first = next(iter(read))
                return _beside(plain, first) | _object(found, place.name)
        return unwrapped(plain)

    def _choose_tenant(self, known: Extras) -> None:
        tenant = self._tenants.get(str(known.pop(TENANT_KEY)))
        if tenant is None:
            raise Unreadable(TENANT_KEY, "expected one that the source has a tenant for", known)
        known["tenant"] = tenant

    def _session_id(self, known: Extras, event: Extras) -> str:
        parts = [_part(known, event, place) for place in self._session]
        if len(parts) == 1:
            return parts[0]
        return ":".join(part.replace("%", "%25").replace(":", "%3A") for part in parts)

    def _count_seconds(self, known: Extras) -> None:
        self._count(known, _UNITS)
        services = known.get("services")
        for service in services if isinstance(services, list) else ():
            if is_object(service):
                self._count(service, _UNITS)
                used = service.get("used")
                for part in filter(is_object, used if isinstance(used, list) else ()):
                    self._count(part, _UNITS_OF_PART)

    def _count(self, part: Extras, names: tuple[str, ...]) -> None:
        for name in names:
            units = part.get(name)
            if type(units) is int or type(units) is float:
                part[name] = units * self._unit_ms / _SECOND_MS


def unwrapped(plain: Extras) -> Extras:
    """Return the event in BillRun's envelope, or what is none as it is; raises Unreadable."""
    if REQUEST in plain and (FILE_TYPE in plain or len(plain) == 1):
        return _beside(plain, REQUEST) | _object(plain[REQUEST], REQUEST)
    return plain


def _part(known: Extras, event: Extras, place: Place) -> str:
    """Return a part of the session's name: a canonical field, or one of the client's own."""
    found = known.get(place.name)
    if found is None:
        found = text(place.peek(event))
    if isinstance(found, str) and found:
        return found
    raise Unreadable("session_id", f"expected {place.name}, which is a part of it", known)


def _is_call(usage_type: object) -> bool:
    return isinstance(usage_type, str) and USAGE_TYPES.get(usage_type) == "voice"


def paths_of(paths: Paths) -> tuple[str, ...]:
    return (paths,) if isinstance(paths, str) else tuple(paths)


def _beside(plain: Mapping[str, object], name: str) -> Extras:
    return {key: value for key, value in plain.items() if key != name}


def _object(value: object, field: str) -> Extras:
    """Return an object, or that which a text of JSON holds."""
    if isinstance(value, str):
        try:
            value = read_json(value.encode(errors="surrogatepass"))
        except Unreadable as problem:
            raise Unreadable(field, problem.reason) from None
    if not is_object(value):
        raise Unreadable(field, "expected an object: one event")
    return value
