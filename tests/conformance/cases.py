"""Where the conformance cases come from: files that are not part of this project.

They are read from `OCS_CONFORMANCE_DIR`, by default `../shared/conformance` beside the project.
"""

import json
import os
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conformance.unmet import UNMET

_ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = Path(os.environ.get("OCS_CONFORMANCE_DIR", _ROOT.parent / "shared" / "conformance"))

Case = dict[str, Any]


def cases(file: str, kind: str) -> list[Any]:
    """Return the cases of one kind as test parameters; one that skips where there is no file."""
    path = FOLDER / file
    if not path.is_file():
        reason = f"no {file}: set OCS_CONFORMANCE_DIR to the folder of the conformance cases"
        return [pytest.param({}, id="absent", marks=pytest.mark.skip(reason=reason))]
    found = [case for case in json.loads(path.read_text("utf-8"))["cases"] if case["kind"] == kind]
    assert found, f"{file} has no cases of kind {kind}"
    return [
        pytest.param(
            case,
            id=case["id"],
            marks=[pytest.mark.xfail(reason=UNMET[case["id"]], strict=True)]
            if case["id"] in UNMET
            else [],
        )
        for case in found
    ]
