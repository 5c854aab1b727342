"""`ocs tariff diff` and `export`: tariffs of files or folders, loaded to be looked at.

A file is a folder with one tariff. Two files are compared whatever their names; of two folders the
tariffs of one name are.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ocs.adapters.tariff_files import BadLine, load_folder
from ocs.adapters.tariff_files.exporting import NotWritableError, price_list_of
from ocs.adapters.tariff_files.generation_file import open_generation, write_generation
from ocs.adapters.tariff_files.reading import TariffBuild
from ocs.adapters.tariff_files.sections import Tariff
from ocs.adapters.tariff_files.writing import text_of
from ocs.domain.generation import Generation
from ocs.usecases.tariff_diff import CannotCompareError, Origin, Question, Side, TariffDiff, compare


class CannotLoad(Exception):
    """Tariffs that cannot be read; `bad_lines` are empty where they are not even there."""

    def __init__(self, reason: str, bad_lines: Sequence[BadLine] = ()) -> None:
        super().__init__(reason)
        self.bad_lines = tuple(bad_lines)


class FolderDiff(msgspec.Struct, frozen=True):
    """What changes from one set of tariffs to another."""

    tariffs: tuple[TariffDiff, ...]
    only_in_old: tuple[str, ...]
    only_in_new: tuple[str, ...]

    @property
    def is_different(self) -> bool:
        """Whether anything costs another amount, or is only there or only here."""
        changed = any(tariff.is_different for tariff in self.tariffs)
        return changed or bool(self.only_in_old or self.only_in_new)


def diff(old: Path, new: Path, question_of: Callable[[str], Question]) -> FolderDiff:
    """Compare two files or folders; `question_of` a usage type says how.

    CannotLoad where one of them cannot be read, CannotCompareError for decks of different kinds.
    """
    with _sides(old) as before, _sides(new) as after:
        pairs = [(name, name) for name in before if name in after]
        if old.is_file() and new.is_file():
            pairs = [(next(iter(before)), next(iter(after)))]
        compared = {name for pair in pairs for name in pair}
        diffs = []
        for old_name, new_name in pairs:
            question = question_of(after[new_name].usage_type)
            diffs.append(compare(before[old_name], after[new_name], question))
        return FolderDiff(
            tariffs=tuple(diffs),
            only_in_old=tuple(name for name in before if name not in compared),
            only_in_new=tuple(name for name in after if name not in compared),
        )


def exported(folder: Path, name: str) -> str:
    """Return the text of a tariff of a folder, made anew from its compiled prices."""
    loaded = _loaded(folder)
    sections = [tariff for tariff in loaded.tariffs if tariff.name == name]
    if not sections:
        known = ", ".join(dict.fromkeys(tariff.name for tariff in loaded.tariffs))
        raise CannotLoad(f"there is no tariff {name!r} in {folder}; known: {known}")
    try:
        return text_of(price_list_of(sections))
    except NotWritableError as error:
        raise CannotLoad(f"{name} cannot be written: {error}") from None


@contextmanager
def _sides(path: Path) -> Iterator[dict[str, Side]]:
    """Load a file or a folder, compiled as it would be served, and let go of it again."""
    loaded = _loaded(path)
    with tempfile.TemporaryDirectory(prefix="ocs-diff-") as scratch:
        compiled = Path(scratch) / "compiled"
        write_generation(loaded, compiled)
        generation = open_generation(compiled)
        names = dict.fromkeys(tariff.name for tariff in loaded.tariffs)
        yield {name: _side(name, loaded.tariffs, generation) for name in names}


def _side(name: str, tariffs: Sequence[Tariff], generation: Generation) -> Side:
    sections = [tariff for tariff in tariffs if tariff.name == name]
    return Side(
        generation=generation,
        name=name,
        usage_type=sections[0].usage_type,
        currency=sections[0].currency,
        origins=tuple(
            Origin(prefix, section.from_prefix, section.trunk)
            for section in sections
            for prefix in section.prefixes
        ),
    )


def _loaded(path: Path) -> TariffBuild:
    if not path.exists():
        raise CannotLoad(f"{path} is not there")
    if path.is_file():
        with tempfile.TemporaryDirectory(prefix="ocs-diff-") as scratch:
            (Path(scratch) / f"{path.stem}.csv").write_bytes(path.read_bytes())
            loaded = load_folder(Path(scratch))
    else:
        loaded = load_folder(path)
    if isinstance(loaded, list):
        raise CannotLoad(f"{path} cannot be loaded", loaded)
    return loaded


__all__ = ["CannotCompareError", "CannotLoad", "FolderDiff", "diff", "exported"]
