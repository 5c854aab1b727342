"""The configured tariffs, loaded for one question (`ocs rate`), beside a service or without one.

They are compiled into a folder that goes away again. The service's own folder is not touched: what
is asked about today may be a file that is to come into force tomorrow.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ocs.adapters.tariff_files import BadTariffsError, build, open_generation
from ocs.bootstrap.builder import told
from ocs.bootstrap.stores import CannotStart
from ocs.config.settings import Settings
from ocs.domain.generation import Generation


@contextmanager
def opened_tariffs(settings: Settings) -> Iterator[Generation]:
    """Load the folder of tariffs. Raises `CannotStart` with every bad line."""
    with tempfile.TemporaryDirectory(prefix="ocs-rate-") as folder:
        try:
            path = build(Path(settings.rating.tariffs), Path(folder))
            generation = open_generation(path)
        except BadTariffsError as error:
            raise CannotStart("\n".join(told(line) for line in error.bad_lines)) from None
        except (OSError, ValueError) as error:
            raise CannotStart(f"the tariffs: {error}") from None
        yield generation
