"""Where the conformance cases come from: files that are not part of this project.

They are read from `OCS_CONFORMANCE_DIR`, by default `../shared/conformance` beside the project.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conformance.unmet import UNMET

_ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = Path(os.environ.get("OCS_CONFORMANCE_DIR", _ROOT.parent / "shared" / "conformance"))

Case = dict[str, Any]


def cases(file: str, *kinds: str, wanted: Callable[[Case], bool] = lambda _: True) -> list[Any]:
    """Return the cases of some kinds as test parameters; one that skips where there are none."""
    path = FOLDER / file
    if not path.is_file():
        return _nothing(f"no {file}: set OCS_CONFORMANCE_DIR to the folder of the cases")
    content = json.loads(path.read_text("utf-8"))
    every = content["cases"] if isinstance(content, dict) else content
    found = [case for case in every if case["kind"] in kinds and wanted(case)]
    return [_parameter(case) for case in found] or _nothing(f"{file} has no {', '.join(kinds)}")


def _parameter(case: Case) -> Any:
    reason = UNMET.get(case["id"])
    marks = [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True)]
    return pytest.param(case, id=case["id"], marks=marks)


def _nothing(reason: str) -> list[Any]:
    return [pytest.param({}, id="absent", marks=pytest.mark.skip(reason=reason))]
