"""AVPs in JSON: names as keys, groups as objects, what may be repeated as arrays.

A group is read by taking from it. What nobody has taken when it is read is its *rest*, which goes
onto the CDR under the names it came with: so an AVP that charging does not know is neither lost nor
in need of a list of what may be there. Null is absent; an array of one is that one.

Integers may be texts (Unsigned64 does not fit into every JSON), enumerations numbers or the names
that the standards give them.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from ocs.domain.money import MAX_UNITS
from ocs.entrypoints.decoders.wire import Unreadable

MISSING: Final = "a mandatory AVP is missing"
"""The reason of an Unreadable that is answered DIAMETER_MISSING_AVP (RFC 6733 7.1.5)."""

_MOST_DIGITS: Final = 20  # of an Unsigned64


class Group:
    """A grouped AVP, or a whole command, while it is read. Methods raise Unreadable.

    `label` is put before the rest, where there is one, to tell whose rest it is.
    """

    __slots__ = ("_children", "_left", "_name", "_position", "_within", "label")

    def __init__(
        self,
        avps: Mapping[str, Any],
        within: "Group | None" = None,
        name: str = "",
        position: int | None = None,
    ) -> None:
        """`within` is the group that it is in as `name`; of several it is the one at `position`."""
        self._left = dict(avps)
        self._within = within
        self._name = name
        self._position = position
        self._children: list[tuple[str, list[Group]]] = []
        self.label: dict[str, Any] | None = None

    def at(self, name: str) -> str:
        """Spell where an AVP is."""
        if self._within is None:
            return name
        place = self._name if self._position is None else f"{self._name}[{self._position}]"
        return self._within.at(f"{place}.{name}")

    @property
    def left(self) -> Mapping[str, Any]:
        """What was not taken yet."""
        return self._left

    def look(self, name: str) -> Any:  # noqa: ANN401 -- a JSON value of any kind
        """Return an AVP and leave it; None when it is absent."""
        return look(self._left, name)

    def take(self, name: str) -> Any:  # noqa: ANN401 -- a JSON value of any kind
        """Return an AVP of any kind; None when it is absent."""
        value = self._left.pop(name, None)
        return value if type(value) is not list else _alone(value)

    def text(self, name: str) -> str:
        """Take a text; empty when it is absent. A number is its digits."""
        value = self._left.pop(name, None)
        if type(value) is str:
            return value
        if value is None:
            return ""
        value = _alone(value)
        if type(value) is str:
            return value
        if type(value) is int:
            return str(value)
        raise Unreadable(self.at(name), "expected a text")

    def whole(self, name: str, most: int = MAX_UNITS) -> int | None:
        """Take an integer of 0 to `most`."""
        value = self._left.pop(name, None)
        if value is None or (type(value) is int and 0 <= value <= most):
            return value
        return self.as_whole(_alone(value), name, most)

    def only_whole(self, name: str, inner: str) -> int | None:
        """Take a group that holds one integer and nothing else; None where it is otherwise.

        Most groups of units are so, and to read them as any group takes five times as long.
        """
        value = self._left.get(name)
        if type(value) is dict and len(value) == 1:
            units = value.get(inner)
            if type(units) is int and 0 <= units <= MAX_UNITS:
                del self._left[name]
                return units
        return None

    def as_whole(self, value: object, name: str, most: int) -> int:
        """Read a value of this group as an integer of 0 to `most`."""
        if type(value) is str and value.isascii() and value.isdecimal():
            value = int(value[: _MOST_DIGITS + 1])
        if type(value) is int and 0 <= value <= most:
            return value
        raise Unreadable(self.at(name), f"expected an integer of 0 to {most}")

    def one_of(self, name: str, names: Mapping[str, int]) -> int | None:
        """Take an enumeration: one of the numbers, or of their names."""
        value = _alone(self._left.pop(name, None))
        if type(value) is str:
            value = names.get(value, int(value) if value in _DIGITS else value)
        if value is None or (type(value) is int and value in names.values()):
            return value
        known = ", ".join(f"{number} ({word})" for word, number in names.items())
        raise Unreadable(self.at(name), f"expected one of {known}")

    def group(self, name: str) -> "Group | None":
        """Take a group that is there once."""
        value = self._left.get(name)
        if value is None:
            return None
        if type(value) is dict:
            del self._left[name]
            child = Group(value, self, name)
            self._children.append((name, [child]))
            return child
        groups = self.groups(name)
        if len(groups) > 1:
            raise Unreadable(self.at(name), "expected once")
        return groups[0] if groups else None

    def groups(self, name: str) -> "list[Group]":
        """Take a group that may be repeated."""
        value = self._left.pop(name, None)
        if value is None:
            return []
        if type(value) is dict:
            groups = [Group(value, self, name)]
        elif isinstance(value, list) and all(map(is_object, value)):
            groups = [Group(item, self, name, position) for position, item in enumerate(value)]
        else:
            raise Unreadable(self.at(name), "expected a group, or an array of them")
        self._children.append((name, groups))
        return groups

    def rest(self) -> dict[str, Any]:
        """Return what was not taken, also of the groups inside; the group is not read again."""
        rest = self._left
        if None in rest.values():
            rest = {name: value for name, value in rest.items() if value is not None}
        # Let go of: groups that hold each other would stay until the garbage is collected.
        children, self._children = self._children, []
        for name, groups in children:
            if len(groups) == 1:
                if inner := groups[0].rest():
                    rest[name] = inner
            elif rests := [inner for group in groups if (inner := group.rest())]:
                rest[name] = rests
        return self.label | rest if rest and self.label else rest


def look(avps: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 -- a JSON value of any kind
    """Return an AVP of plain ones; None when it is absent."""
    value = avps.get(name)
    return value if type(value) is not list else _alone(value)


def _alone(value: Any) -> Any:  # noqa: ANN401 -- a JSON value of any kind
    """Return what an array of one holds; all else is what it is."""
    return value[0] if type(value) is list and len(value) == 1 else value


_DIGITS: Final = frozenset("0123456789")


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)
