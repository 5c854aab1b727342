"""How `ocs` starts processes of itself: the same interpreter, the same package, nothing else.

Whoever starts a service stands somewhere, and Python would look there first for every module. With
-P it does not, and the package is found where this one was.
"""

import os
import sys
from pathlib import Path

import ocs


def python_command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", module, *arguments]


def python_environment() -> dict[str, str]:
    package_folder = str(Path(ocs.__file__).parents[1])
    former = os.environ.get("PYTHONPATH")
    path = f"{package_folder}{os.pathsep}{former}" if former else package_folder
    return {**os.environ, "PYTHONPATH": path}
