"""The store's faults in the words of the ports."""

from collections.abc import Awaitable

from ocs.adapters.valkey.connection import OutcomeUnknown as StoreOutcomeUnknown
from ocs.adapters.valkey.connection import Reply, ReplyError, StoreUnavailable, not_executed
from ocs.usecases.ports import LedgerUnavailable, OutcomeUnknown


async def answered(reply: Awaitable[Reply]) -> Reply:
    """Wait for a reply. Raises LedgerUnavailable and OutcomeUnknown."""
    try:
        return await reply
    except StoreUnavailable as fault:
        raise LedgerUnavailable(str(fault)) from fault
    except StoreOutcomeUnknown as fault:
        raise OutcomeUnknown(str(fault)) from fault
    except ReplyError as fault:
        kind = LedgerUnavailable if not_executed(fault) else OutcomeUnknown
        raise kind(str(fault)) from fault
