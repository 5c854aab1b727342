"""What has to be told about a file, because the file does not say it."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from ocs.domain.zones import zone_named

RENAMED: Final = (
    "cdr_id",
    "tenant",
    "session_id",
    "subscriber",
    "calling",
    "called",
    "trunk_in",
    "trunk_out",
    "cause",
)
"""The columns of a CDR that `fields` can take from another column of the switch."""


class CdrOptionError(ValueError):
    """An option that cannot be used; the text names it. Nothing has been read."""


class Seconds(StrEnum):
    """How milliseconds become the whole seconds that are charged."""

    UP = "up"
    HALF_UP = "half_up"
    DOWN = "down"


_ADDED_MS: Final = {Seconds.UP: 999, Seconds.HALF_UP: 500, Seconds.DOWN: 0}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is to be read; docs/cdr.md says which format asks for what.

    `tenant` is whose calls these are, where the file does not say. `zone` is that of local times.
    `switch` is put before ids that are unique on one switch only. `columns` are the names of all
    columns in their order, of files without a header. `fields` takes a column of the CDR from
    another column of the switch: {"subscriber": "userfield"}.
    """

    tenant: str = ""
    zone: str = "UTC"
    switch: str = ""
    columns: tuple[str, ...] = ()
    fields: Mapping[str, str] = {}
    seconds: Seconds = Seconds.UP
    extra_column: str = ""
    template: str = "example"
    encoded_values: bool = True
    most_open_calls: int = 100_000

    @property
    def added_ms(self) -> int:
        """What is added to milliseconds before they are cut to whole seconds."""
        return _ADDED_MS[self.seconds]

    def id_of(self, cdr_id: str) -> str:
        """Return the id that is unique over all switches."""
        return f"{self.switch}/{cdr_id}" if self.switch else cdr_id


DEFAULTS: Final = Options()


def check_options(options: Options) -> None:
    """Refuse what no format can use: CdrOptionError."""
    wrong = [name for name in options.fields if name not in RENAMED]
    if wrong:
        raise CdrOptionError(f"fields: {wrong[0]!r} is none of {', '.join(RENAMED)}")
    _check("zone", lambda: zone_named(options.zone))
    _check("seconds", lambda: Seconds(options.seconds))
    if len(set(options.columns)) != len(options.columns):
        raise CdrOptionError("columns: a name occurs twice")
    if options.most_open_calls < 1:
        raise CdrOptionError("most_open_calls: at least one call has to be remembered")


def _check(name: str, use: Callable[[], object]) -> None:
    try:
        use()
    except ValueError as error:
        raise CdrOptionError(f"{name}: {error}") from error
