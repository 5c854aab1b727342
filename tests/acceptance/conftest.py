"""What the tests of whole processes have in common."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: the store's socket lies below it."""
    with tempfile.TemporaryDirectory(prefix="ocs-") as name:
        yield Path(name)
