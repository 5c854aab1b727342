"""`return_codes.ini`: what a client is told for each outcome, as a frozen table.

The file belongs to operators, so reading it is strict: every problem is reported, with file,
section and key, and `ocs` does not start on a table with a hole. A code that is missing would
otherwise be noticed on the day that it is needed. The order of the sections is the precedence of
the outcomes; the code declares it (`ocs.domain.results`), the file shows it, and the two are held
equal here.
"""

from collections.abc import Mapping
from configparser import ConfigParser, Error
from pathlib import Path
from typing import Final

from msgspec import Struct

from ocs.domain.results import ResultCode

FILE_NAME: Final = "return_codes.ini"

_KEYS: Final = ("number", "http_status", "diameter", "3gpp", "sip", "text")
_RANGES: Final = {
    "number": (-(2**31), 2**31 - 1),  # Diameter's and most clients' integers
    "http_status": (200, 599),
    "diameter": (1000, 5999),
    "sip": (200, 699),
}


class ReturnCode(Struct, frozen=True, gc=False):
    """What one outcome is called in each protocol."""

    number: int
    http_status: int
    diameter: int
    result_3gpp: str
    sip: int
    text: str


ReturnCodes = Mapping[ResultCode, ReturnCode]
"""A complete table: every ResultCode has its entry."""


class ReturnCodesError(Exception):
    """The table is not usable; `problems` says everything that is wrong, a line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def return_codes_path() -> Path:
    """Return where the shipped table is: beside the package (a checkout), or inside (a wheel)."""
    package = Path(__file__).resolve().parent.parent
    beside = package.parent / FILE_NAME
    return beside if beside.exists() else package / "_data" / FILE_NAME


def load_return_codes(path: Path) -> ReturnCodes:
    """Read the table; ReturnCodesError lists every problem with file, section and key."""
    sections = _sections(path)
    problems = _order_problems(path, list(sections))
    codes = {}
    for name, section in sections.items():
        found = [f"{path}: [{name}] {problem}" for problem in _problems(section)]
        problems += found
        if not found and name in ResultCode.__members__:
            codes[ResultCode(name)] = _return_code(section)
    problems += _repeated_numbers(path, codes)
    if problems:
        raise ReturnCodesError(problems)
    return codes


def _sections(path: Path) -> dict[str, dict[str, str]]:
    """Read the file as it is; texts may hold a %, so nothing is interpolated."""
    parser = ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(path.read_text(encoding="utf-8"), source=str(path))
    except OSError as error:
        raise ReturnCodesError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ReturnCodesError([f"{path}: is not UTF-8 text"]) from error
    except Error as error:
        raise ReturnCodesError([f"{path}: {' '.join(str(error).split())}"]) from error
    return {name: dict(parser[name]) for name in parser.sections()}


def _order_problems(path: Path, names: list[str]) -> list[str]:
    expected = [str(code) for code in ResultCode]
    problems = [f"{path}: [{name}] is missing" for name in expected if name not in names]
    problems += [f"{path}: [{name}] is not an outcome" for name in names if name not in expected]
    if not problems and names != expected:
        first = next(name for name, other in zip(names, expected, strict=True) if name != other)
        problems.append(f"{path}: [{first}] is out of order: sections stand in order of precedence")
    return problems


def _problems(section: dict[str, str]) -> list[str]:
    problems = [f"{key} is missing" for key in _KEYS if not section.get(key)]
    problems += [f"{key} is not a key of this table" for key in section if key not in _KEYS]
    for key, (least, greatest) in _RANGES.items():
        if not (text := section.get(key)):
            continue
        number = _integer(text)
        if number is None:
            problems.append(f"{key}: {text!r} is not an integer")
        elif not least <= number <= greatest:
            problems.append(f"{key}: {number} is not within {least} .. {greatest}")
    return problems


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _return_code(section: dict[str, str]) -> ReturnCode:
    return ReturnCode(
        number=int(section["number"]),
        http_status=int(section["http_status"]),
        diameter=int(section["diameter"]),
        result_3gpp=section["3gpp"],
        sip=int(section["sip"]),
        text=section["text"],
    )


def _repeated_numbers(path: Path, codes: ReturnCodes) -> list[str]:
    """A number that stands for two outcomes would hide one from clients that read only it."""
    owners: dict[int, ResultCode] = {}
    return [
        f"{path}: [{code}] number: {entry.number} is the number of [{owner}] already"
        for code, entry in codes.items()
        if (owner := owners.setdefault(entry.number, code)) is not code
    ]
