"""Which value stands under which name: `answer.fields` of a source, compiled once.

    "charging_decision.granted_units" = "granted_units"     dots nest
    "msccData[].grantedUnits" = "granted_units"             once for each service
    "usage" = "usage_type"                                  with the client's word, where `values`
    "version" = "=2"                                        has one; a constant

A compiled name is a branch with its leaves; writing an answer walks it and reads each value. What
has nothing to say is left out, and a branch of nothing is too.

Rejected: a template of the whole body (values that are not there would leave holes to be mended),
and writing the answer in canonical names to rename it (two dictionaries for each answer).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from ocs.entrypoints.encoders.values import (
    GOING_ON,
    NAMES,
    NUMBERS,
    OF_SERVICE,
    VALUES,
    Told,
    Value,
)
from ocs.entrypoints.sources.source import Answering

_SERVICES: Final = "services"
_EACH: Final = "[]"
_CONSTANT: Final = "="
_INTEGER: Final = re.compile(r"-?[0-9]{1,15}")
_WORDS: Final = {"true": True, "false": False}


class Branch(Struct, gc=False):
    """One object of an answer. `each`: a list of it, one for each service."""

    leaves: dict[str, "Value | Branch"]
    each: bool = False

    @property
    def lists(self) -> bool:
        """Whether a list of services stands in it."""
        return any(isinstance(leaf, Branch) and leaf.each for leaf in self.leaves.values())


def problems(answering: Answering) -> list[str]:
    """Say what is wrong with the names of values of a source, each with its key."""
    named = {f"fields.{name}": value for name, value in answering.fields.items()}
    named |= {f"empty.{name}": name for name in answering.empty}
    named |= {f"values.{name}": name for name in answering.values}
    found = [
        f"{key}: there is no value {value!r}; encoders/values.py lists them"
        for key, value in named.items()
        if not value.startswith(_CONSTANT) and value not in NAMES
    ]
    return found or _misplaced(answering.fields)


def compile_names(answering: Answering) -> Branch:
    """Compile the fields of a source; ValueError says what is wrong with them.

    For lines nothing is nested but services: a name with dots is the name of a line.
    """
    nests = answering.encoding == "json"
    if found := problems(answering):
        raise ValueError("; ".join(found))
    values = _values(answering)
    root = Branch({})
    for path, name in answering.fields.items():
        if name == _SERVICES:
            for part in OF_SERVICE:
                _plant(root, _steps(f"{path}{_EACH}.{part}", nests=nests), values[part])
        else:
            value = values[name] if name in values else _constant(name)
            _plant(root, _steps(path, nests=nests), value)
    return root


def read_values(branch: Branch, told: Told, parts: Iterable[Told]) -> dict[str, object]:
    """Return what is told, by its names; `parts` are the services, each told by itself."""
    out: dict[str, object] = {}
    for name, leaf in branch.leaves.items():
        if type(leaf) is not Branch:
            found = leaf(told)  # type: ignore[operator] # no Branch, as was asked
            if found is not None:
                out[name] = found
        elif leaf.each:
            if listed := [read_values(leaf, part, ()) for part in parts]:
                out[name] = listed
        elif inner := read_values(leaf, told, parts):
            out[name] = inner
    return out


def _values(answering: Answering) -> dict[str, Value]:
    number = NUMBERS[answering.code]
    values = {
        "return_code": number,
        "error_code": lambda told: None if told.code in GOING_ON else number(told),
        **VALUES,
    }
    for name in answering.values.keys() & values.keys():
        values[name] = _translated(values[name], answering.values[name])
    for name in answering.empty.keys() & values.keys():
        values[name] = _filled(values[name], answering.empty[name])
    return values


def _translated(value: Value, words: Mapping[str, str]) -> Value:
    def translated(told: Told) -> object:
        found = value(told)
        return words.get(str(found), found)

    return translated


def _filled(value: Value, replacement: str | int | bool) -> Value:
    def filled(told: Told) -> object:
        found = value(told)
        return replacement if found is None else found

    return filled


def _constant(text: str) -> Value:
    """Return what an `=text` always says: an integer, true, false or the text."""
    said = text.removeprefix(_CONSTANT)
    value = int(said) if _INTEGER.fullmatch(said) else _WORDS.get(said, said)
    return lambda _: value


def _misplaced(fields: Mapping[str, str]) -> list[str]:
    """Find names that cannot stand beside each other, or are no names."""
    found = []
    for path, value in fields.items():
        steps = path.split(".")
        if not all(step.removesuffix(_EACH) for step in steps):
            found.append(f"fields.{path}: expected names joined by dots")
        if any(step.endswith(_EACH) for step in steps[1:]) or steps[-1].endswith(_EACH):
            found.append(f"fields.{path}: expected [] behind the first of several names only")
        if value == _SERVICES and _EACH in path:
            found.append(f"fields.{path}: services are a list already")
        above = {".".join(steps[:depth]) for depth in range(1, len(steps))}
        taken = fields.keys() & (above | {name.removesuffix(_EACH) for name in above})
        found += [f"fields.{path}: {other} is a value already, and no object" for other in taken]
    return found


def _steps(path: str, *, nests: bool) -> list[str]:
    if nests:
        return path.split(".")
    above, each, name = path.partition(f"{_EACH}.")
    return [above + _EACH, name] if each else [path]


def _plant(root: Branch, steps: list[str], value: Value) -> None:
    *above, name = steps
    branch = root
    for step in above:
        inner = branch.leaves.setdefault(step.removesuffix(_EACH), Branch({}))
        assert isinstance(inner, Branch), "problems() has looked"
        inner.each = inner.each or step.endswith(_EACH)
        branch = inner
    branch.leaves[name] = value
