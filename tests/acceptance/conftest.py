"""What the tests of whole processes have in common."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MEASURED = {"test_serve.py"}
"""What shows that all of parent and workers is run by some test."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder `apart`: being measured would slow the servers they start."""
    for item in items:
        if item.path.parent == HERE and item.path.name not in MEASURED:
            item.add_marker(pytest.mark.apart)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: the store's socket lies below it."""
    with tempfile.TemporaryDirectory(prefix="ocs-") as name:
        yield Path(name)
