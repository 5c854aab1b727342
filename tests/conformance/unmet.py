"""The cases that are not met, by id, each with its reason. This list only shrinks.

A case that is listed here and is met fails the run, so that the list stays true.
"""

from typing import Final

UNMET: Final[dict[str, str]] = {}
