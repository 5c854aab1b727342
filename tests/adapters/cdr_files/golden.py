"""The golden files: a folder for each format, and beside each file what is read from it, as JSON.

    tests/data/cdr/<format>/<file>                 as a switch writes it, with broken lines
    tests/data/cdr/<format>/<file>.expected.json   options, counts, rows, rejects

Rows leave out the file, and what is empty.
"""

import json
from pathlib import Path
from typing import Any

from ocs.adapters.cdr_files import Options, open_cdrs

FOLDER = Path(__file__).parents[2] / "data" / "cdr"
SUFFIX = ".expected.json"
FILES = sorted(
    path for path in FOLDER.glob("*/*") if path.is_file() and not path.name.endswith(SUFFIX)
)


def expected(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(f"{path}{SUFFIX}").read_text(encoding="utf-8"))
    return found


def read(path: Path, options: dict[str, Any], form: str = "") -> dict[str, Any]:
    """What comes out of a file, in the form of its expectation."""
    batches = list(open_cdrs(path, form or path.parent.name, options_of(options)))
    return {
        "options": options,
        "entries": sum(batch.entries for batch in batches),
        "used": sum(batch.used for batch in batches),
        "skipped": sum(batch.skipped for batch in batches),
        "rows": [shown(row) for batch in batches for row in batch.frame.to_dicts()],
        "rejects": [
            [reject.line, reject.column, reject.reason]
            for batch in batches
            for reject in batch.rejects
        ],
    }


def options_of(options: dict[str, Any]) -> Options:
    given = dict(options)
    if "columns" in given:
        given["columns"] = tuple(given["columns"])
    return Options(**given)


def shown(row: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if value not in {None, ""}}
    del kept["file"]
    return kept | {"attributes": json.loads(row["attributes"])}
