"""The manner of a source: what its events mean where they do not say it themselves.

A field map brings a client's names to ours; what is left of a source after that is this.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from ocs.domain.events import Reporting, Terms


class Manner(Struct, frozen=True, gc=False):
    """How the events of one source are meant.

    `may_open`: an update that nobody started opens its session. `unasked_quota`: an update that
    asks for nothing is given the plan's quota. `terms` by usage type. `rated` by usage type: the
    fields of which the first that is there is rated; else a ported number, then the dialled one.
    """

    reporting: Reporting = Reporting.DELTA
    may_open: bool = True
    unasked_quota: bool = True
    terms: Mapping[str, Terms] = {}
    rated: Mapping[str, tuple[str, ...]] = {}


PLAIN: Final = Manner()

RATED_NUMBERS: Final = frozenset({"routing_number", "called_number", "calling_number"})
"""What may be rated, and is a number; it is cleaned by the tenant's rules."""
RATED_TEXTS: Final = frozenset({"trunk_in", "trunk_out"})
RATED_OF_SERVICE: Final = frozenset({"rating_group", "service_id"})
"""What may be rated of each service by itself."""
RATED: Final = RATED_NUMBERS | RATED_TEXTS | RATED_OF_SERVICE
