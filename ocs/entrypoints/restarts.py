"""When a process that died is started again, and when it is not.

Pauses double from death to death, and a process that lived for a while has earned a short one
again. Whoever dies at once, again and again, is broken in a way that restarting does not mend:
after five quick deaths in a row it stays down, and somebody must look.
"""

from typing import Final

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
QUICK_S: Final = 10.0
"""Who lives shorter than this died quickly: a start takes below a second."""
QUICK_DEATHS: Final = 5


class Restarts:
    """The memory of one slot."""

    def __init__(self) -> None:
        self.quick_deaths = 0

    def pause_after(self, lived_s: float) -> float | None:
        """Count a death; return the pause before the next start, None: not again."""
        self.quick_deaths = self.quick_deaths + 1 if lived_s < QUICK_S else 0
        if self.quick_deaths >= QUICK_DEATHS:
            return None
        pause_s: float = FIRST_PAUSE_S * 2 ** max(0, self.quick_deaths - 1)
        return min(pause_s, LONGEST_PAUSE_S)
