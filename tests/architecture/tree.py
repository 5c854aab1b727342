"""The files that a commit would contain, for the tests that read the tree itself."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def files() -> tuple[Path, ...]:
    """Every file of the project, ignored ones left out; paths are relative to ROOT."""
    listing = subprocess.run(
        # A checkout may belong to another user than the one who tests it (a container's root).
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "-c", "-o", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    named = {Path(name) for name in listing.stdout.split("\0") if name}
    return tuple(sorted(path for path in named if (ROOT / path).is_file()))


def files_under(*folders: str, suffix: str = "") -> list[Path]:
    """Those below one of the folders, with this suffix if one is given."""
    return [
        path
        for path in files()
        if path.parts[0] in folders and (not suffix or path.suffix == suffix)
    ]


def text(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")
