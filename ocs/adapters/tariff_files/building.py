"""From a folder of price lists to the generation that is served: read, compile, publish.

`build` is what a start and a reload run, in a process of their own. It reads everything before it
writes anything, writes `gen-<hash of the inputs>.tariffs`, and only then moves the pointer file
`current` to it. So a bad line, a full disk or a kill leaves the old generation in force, whole; and
a restart with unchanged files finds the generation of last time and compiles nothing.

Older generations but the last are removed; a worker that still has one mapped keeps it until it
lets go.
"""

import hashlib
import re
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ocs.adapters.tariff_files.generation_file import (
    FORMAT,
    GenerationFileError,
    decode,
    encode,
    open_generation,
    replace_file,
    write_generation,
)
from ocs.adapters.tariff_files.header import BadLine
from ocs.adapters.tariff_files.reading import TariffBuild, read_tariff
from ocs.domain.generation import Generation, TariffMeta
from ocs.domain.plan import Plan
from ocs.domain.plan_check import check_plan, plan_warnings

_POINTER: Final = "current"
_TARIFF_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)

Sources = list[tuple[str, bytes]]
"""The tariff files of a folder: name and content, in the order of names."""


class BadTariffsError(ValueError):
    """A folder with bad lines, all of them in `bad_lines`; nothing was built."""

    def __init__(self, bad_lines: Sequence[BadLine]) -> None:
        first = bad_lines[0]
        place = f"{first.file}, line {first.line}, column {first.column or '-'}"
        super().__init__(f"{len(bad_lines)} bad tariff lines; the first: {place}: {first.reason}")
        self.bad_lines = tuple(bad_lines)


class TariffCheck(msgspec.Struct, frozen=True):
    """What `ocs check` found in a folder; `tariffs` is empty when there is a bad line."""

    tariffs: tuple[TariffMeta, ...]
    bad_lines: tuple[BadLine, ...]
    plan_faults: tuple[str, ...]
    plan_warnings: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether the folder would load and the plans would work on it."""
        return not self.bad_lines and not self.plan_faults


def load_folder(folder: Path) -> TariffBuild | list[BadLine]:
    """Read every *.csv of a folder; all bad lines of all files if there is any."""
    return _load(*_read_sources(folder))


def check_folder(folder: Path, plans: Collection[Plan] = (), *, warn: bool = False) -> TariffCheck:
    """Read a folder as `build` would, compile it in memory, and hold the plans against it.

    `warn`: also look for tariffs that others hide, some seconds for a million prefixes.
    """
    build_or_bad = load_folder(folder)
    if isinstance(build_or_bad, list):
        return TariffCheck((), tuple(build_or_bad), ())
    generation = decode(memoryview(b"".join(encode(build_or_bad))))
    faults = tuple(fault for plan in plans for fault in check_plan(plan, generation))
    warned = plans if warn else ()
    warnings = tuple(each for plan in warned for each in plan_warnings(plan, generation))
    return TariffCheck(generation.tariffs, (), faults, warnings)


def build(folder: Path, out_dir: Path) -> Path:
    """Compile a folder, make it the current generation, return its file.

    BadTariffsError if any line is bad; then, as after any failure, the former one stays current.
    """
    sources, bad = _read_sources(folder)
    out_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = out_dir / f"gen-{_hash(sources)}.tariffs"
    if bad or not _is_usable(path):
        build_or_bad = _load(sources, bad)
        if isinstance(build_or_bad, list):
            raise BadTariffsError(build_or_bad)
        write_generation(build_or_bad, path)
    former = _current_name(out_dir)
    replace_file(out_dir / _POINTER, [f"{path.name}\n".encode()])
    for other in out_dir.glob("gen-*.tariffs"):
        if other.name not in {path.name, former}:
            other.unlink(missing_ok=True)
    return path


def open_current(out_dir: Path) -> Generation:
    """Map the generation that was built last; GenerationFileError if there is none to use."""
    name = _current_name(out_dir)
    if name is None:
        raise GenerationFileError("no tariff generation has been built yet")
    return open_generation(out_dir / name)


def _read_sources(folder: Path) -> tuple[Sources, list[BadLine]]:
    """Read all files before any is looked at, so that the hash is of what was compiled."""
    sources: Sources = []
    bad: list[BadLine] = []
    for path in sorted(folder.glob("*.csv")):
        if not _TARIFF_NAME.fullmatch(path.stem):
            reason = "the name of a tariff file may hold letters, digits and _ . -"
            bad.append(BadLine(path.name, 0, "", reason))
        try:
            sources.append((path.name, path.read_bytes()))
        except OSError as error:
            bad.append(BadLine(path.name, 0, "", f"cannot be read: {error.strerror}"))
    if not sources and not bad:
        bad.append(BadLine(folder.name, 0, "", "there is no tariff file (*.csv) in this folder"))
    return sources, bad


def _load(sources: Sources, bad: list[BadLine]) -> TariffBuild | list[BadLine]:
    results = [read_tariff(file, content) for file, content in sources]
    bad = bad + [line for result in results if isinstance(result, list) for line in result]
    if bad:
        return sorted(bad)
    sections = [section for result in results if isinstance(result, tuple) for section in result]
    return TariffBuild(_hash(sources), tuple(sections))


def _hash(sources: Sources) -> str:
    digest = hashlib.blake2b(f"{FORMAT} {sys.byteorder}".encode(), digest_size=8)
    for file, content in sources:
        digest.update(f"\0{file}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _is_usable(path: Path) -> bool:
    """Whether a compiled generation is there and whole."""
    try:
        open_generation(path)
    except GenerationFileError:
        return False
    return True


def _current_name(out_dir: Path) -> str | None:
    try:
        return (out_dir / _POINTER).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
