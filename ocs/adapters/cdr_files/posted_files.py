"""Files that came over HTTP: read in one format only, and confined to one tenant.

What a body says of tenants is looked at when it is taken in, but with another parser than the one
that reads it here, and two parsers never agree about everything. So it is here that counts:
whatever a file says, none of its rows is another tenant's. For the same reason nothing is detected:
a body that looks like a file of rejects would say by which options it is to be read.

The same bytes in the folders of two tenants or switches are other CDRs, so their chunks have other
names.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl
from msgspec.structs import replace

from ocs.adapters.cdr_files.chunks import CdrFile
from ocs.adapters.cdr_files.options import Options
from ocs.usecases.offline_rating import Chunk
from ocs.usecases.rejects import UNKNOWN_TENANT, Reject

_REASON: Final = "is not the tenant whose folder this is"


class PostedFile:
    """Implements the port `CdrFile`. Raises as that of `chunks`."""

    def __init__(self, path: Path, format_name: str, options: Options) -> None:
        self._file = CdrFile(path, format_name, options)
        self._tenant = options.tenant
        self._place = f"{options.tenant}/{format_name}/{options.switch}"
        self.name = self._file.name
        self.size = self._file.size

    def chunks(self) -> Iterator[Chunk]:
        """As `CdrFile.chunks`."""
        for chunk in self._file.chunks():
            text = f"{self._place}|{chunk.name}"
            name = hashlib.sha256(text.encode()).hexdigest()[: len(chunk.name)]
            yield replace(_confined(chunk, self._tenant), name=name)


def _confined(chunk: Chunk, tenant: str) -> Chunk:
    """Make rejects of the entries that have rows of other tenants."""
    table = chunk.table
    assert isinstance(table, pl.DataFrame)
    lines = table.filter(pl.col("tenant").ne_missing(tenant))["line"].unique().sort().to_list()
    if not lines:
        return chunk
    rejects = [Reject(chunk.file, line, "tenant", _REASON, UNKNOWN_TENANT, "") for line in lines]
    return replace(
        chunk,
        table=table.filter(~pl.col("line").is_in(lines)),
        rejects=[*chunk.rejects, *rejects],
        used=chunk.used - len(lines),
    )
