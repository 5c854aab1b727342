"""What a charging request is answered with, before anybody has named its fields.

An entry point turns this into its client's words. It is a pure function of the stored result, so
a repeat gives the same body; `hit` is the one thing that differs, and travels in a header.
"""

from msgspec import Struct

from ocs.domain.explain import Explanation
from ocs.domain.results import ResultCode
from ocs.usecases.ports import RatingInfo


class ServiceAnswer(Struct, frozen=True, gc=False):
    """One service of an answer. Amounts are integers of 10^-scale of the currency."""

    rating_group: str
    code: ResultCode
    granted_units: int
    validity_s: int
    quota_threshold_units: int
    final_unit: bool
    settled_units: int
    settled_amount: int
    total_amount: int
    rating: RatingInfo | None


class Answer(Struct, frozen=True, gc=False):
    """The whole answer.

    The one of a result, which is nearly all of them, names its fields by position (`finishing`).

    `currency` is empty where no account was found (amounts are then 0 and not to be shown).
    `settled` is False when reported use could not be debited now: it went to the `unrated` or the
    `late` stream, to be rated offline. `reason` says more than the code does, for people.
    `field` names the field of an INVALID_EVENT. `explanations` are of the services, in their order,
    where a dry run asked for them.
    """

    code: ResultCode
    session_id: str = ""
    request_number: int | None = None
    transaction_id: str = ""
    session_ref: str = ""
    reason: str = ""
    field: str = ""
    services: tuple[ServiceAnswer, ...] = ()
    currency: str = ""
    available_amount: int = 0
    held_amount: int = 0
    overrun_amount: int = 0
    settled: bool = True
    hit: bool = False
    late_start: bool = False
    explanations: tuple[Explanation | None, ...] = ()
