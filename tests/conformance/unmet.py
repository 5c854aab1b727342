"""The cases that are not met, by id, each with the rule of docs/design.md that decides otherwise.

This list only shrinks: a test asserts its length, and a case that is listed here and is met fails
the run, so that the list stays true.
"""

from typing import Final

UNMET: Final[dict[str, str]] = {
    "mu-max-rate-limits": (
        "2.3: what a grant may cost a minute is decided by the plan's tariffs; a request cannot "
        "set a highest price of its own, and a units bucket has no price that could be compared"
    ),
}

MOST_UNMET: Final = 5
