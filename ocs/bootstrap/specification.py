"""What a worker is told by its parent, in the first line of their socket."""

from msgspec import Struct

from ocs.config.settings import Settings
from ocs.entrypoints.sources.source import Source


class WorkerSpecification(Struct, frozen=True):
    """`tariffs` is the file of the generation in force; slots count from 0."""

    settings: Settings
    store_url: str
    tariffs: str
    slot: int
    slots: int
    sources: tuple[Source, ...] = ()
