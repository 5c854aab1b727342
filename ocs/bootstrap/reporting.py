"""Reports on rated CDRs, for `ocs offline report`."""

from pathlib import Path

from ocs.bootstrap.extras import offline_extra
from ocs.bootstrap.stores import CannotStart
from ocs.usecases.traffic import By, Traffic


def reported(folder: Path, by: By) -> list[Traffic]:
    """Add up what is in a folder of rated CDRs. Raises `CannotStart`."""
    with offline_extra():
        from ocs.adapters.columns.traffic import traffic  # noqa: PLC0415
    try:
        return traffic(folder, by)
    except OSError as error:
        raise CannotStart(f"{error.filename or folder}: {error.strerror}") from None
