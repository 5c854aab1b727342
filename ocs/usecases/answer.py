"""What a charging request is answered with, before anybody has named its fields.

An entry point turns this into its client's words. It is a pure function of the stored result, so
a repeat gives the same body; `hit` is the one thing that differs, and travels in a header.
"""

from collections.abc import Awaitable
from enum import StrEnum

from msgspec import Struct

from ocs.domain.explain import Explanation
from ocs.domain.results import ResultCode
from ocs.usecases.ports import RatingInfo


class FinalUnitAction(StrEnum):
    """What a client does when the final units are used (Final-Unit-Action, RFC 8506 8.35)."""

    TERMINATE = "TERMINATE"
    REDIRECT = "REDIRECT"
    RESTRICT = "RESTRICT"


class FinalUnit(Struct, frozen=True, gc=False):
    """What a plan does at the end of the money.

    `address` is where REDIRECT leads (a URL or SIP URI), `filter_id` what RESTRICT still permits.
    """

    action: FinalUnitAction = FinalUnitAction.TERMINATE
    address: str = ""
    filter_id: str = ""


class ServiceAnswer(Struct, frozen=True, gc=False):
    """One service of an answer. Amounts are integers of 10^-scale of the currency.

    `final` is there when `final_unit` is, and with NO_CREDIT where a plan does not terminate: the
    client then acts at once. `tariff_change_ms` is when the price of what was granted changes: the
    client then reports the units before and after apart; 0 where it does not.
    """

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
    final: FinalUnit | None = None
    tariff_change_ms: int = 0


class Answer(Struct, frozen=True, gc=False):
    """The whole answer.

    The one of a result, which is nearly all of them, names its fields by position (`finishing`).

    `currency` is empty where no account was found (amounts are then 0 and not to be shown).
    `settled` is False when reported use could not be debited now: it went to the `unrated` or the
    `late` stream, to be rated offline. `reason` says more than the code does, for people.
    `field` names the field of an INVALID_EVENT. `explanations` are of the services, in their order,
    where a dry run asked for them. `enough_credit` answers a balance check. `failure_handling` is
    what the client is to do when it cannot ask (Credit-Control-Failure-Handling, RFC 8506 8.14):
    "terminate", "continue" or "retry_and_terminate"; empty: it is not told. Without `balance_told`
    the amounts available and held are not known: nothing stored says them, and what they are now
    would make a repeat another answer.
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
    enough_credit: bool | None = None
    failure_handling: str = ""
    balance_told: bool = True


AnswerOfOne = Answer | Exception | Awaitable[Answer]
"""What becomes of one of several events that are charged together: its answer, the bug that it met,
or, where the others are not to wait for it, its answer to come."""
