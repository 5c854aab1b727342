"""Where the configuration is that `ocs` comes with: beside the package, or inside a wheel."""

from pathlib import Path
from typing import Final

import ocs

_PACKAGE: Final = Path(ocs.__file__).parent


def shipped_configuration() -> Path:
    """Return the sample; it is a whole configuration, for a first run and for demonstrations."""
    beside = _PACKAGE.parent / "config/ocs.toml"
    return beside if beside.exists() else _PACKAGE / "_data/config/ocs.toml"


def is_installed(path: Path) -> bool:
    """Whether a file belongs to an installed package, whose folder is no place for data."""
    return path.absolute().is_relative_to(_PACKAGE)
