"""Commands that are imported when they are asked for, so that each starts with its own modules.

All of them together import half of `ocs`, aiohttp and more: most of a second before a command that
needs none of it does anything. A group therefore knows its commands by name and place only. Help
and shell completion import those that they show, so a help text stands in one place.

Rejected: imports within the functions (what a module needs would no longer stand at its head).
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, ClassVar, cast

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group


class _Commands(Mapping[str, Any]):
    """Commands by name, made when they are looked up."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 -- typer keeps its command type private
        if name not in self._made:
            self._made[name] = _made(name, self._places[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class DeferredGroup(TyperGroup):
    """A group of typer's; `places` says which commands it has: name -> "module:function or app"."""

    places: ClassVar[Mapping[str, str]]

    def __init__(self, **given: Any) -> None:  # noqa: ANN401 -- typer's business
        super().__init__(**given)
        self.commands = cast("Any", _Commands(self.places))

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 -- typer's signature
        """Return the names in their order, importing nothing."""
        return list(self.places)


def _made(name: str, place: str) -> object:
    module, _, attribute = place.partition(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        group = get_group(found)
        group.name = name
        return group
    single = typer.Typer(add_completion=False)
    single.command(name)(found)
    return get_command(single)
