"""What can go wrong between `ocs` and its store.

Money depends on one distinction only: was the command executed or not?

- `StoreUnavailable`: it never left this process. Nothing was executed.
- `OutcomeUnknown`: it left, and the answer did not come. It may have been executed.
- `ReplyError`: the store refused it or it failed; `not_executed` tells which refusals prove that
  nothing ran.

The store client never repeats a command by itself: whether a repeat is harmless is known only where
the command's idempotency is known.
"""

# Codes with which a server refuses a command before it starts.
_REFUSED_BEFORE_START = frozenset(
    {
        "MOVED",
        "ASK",
        "TRYAGAIN",
        "LOADING",
        "NOSCRIPT",
        "READONLY",
        "CLUSTERDOWN",
        "BUSY",
        "OOM",
        "NOREPLICAS",
        "MISCONF",
        "MASTERDOWN",
        "NOAUTH",
        "NOPERM",
    }
)
_FUNCTION_NOT_FOUND = "Function not found"
# The server adds this to an error that a running script met. Such a script may have written before,
# whatever the code says.
_RAISED_INSIDE_SCRIPT = " script: "


class StoreFault(Exception):
    """The store could not be asked, or did not answer."""


class StoreUnavailable(StoreFault):
    """Not connected, or `StoreOverloaded`. The command was not executed."""


class StoreOverloaded(StoreUnavailable):
    """Too much is waiting for the store already: whoever waits too makes it worse."""


class StoreUnusable(StoreUnavailable):
    """A server answers, but waiting will not make it serve: wrong version, wrong password."""


class StoreUntrusted(StoreUnavailable):
    """Its certificate is not trusted. Who starts is told at once; others may see it renewed."""


class OutcomeUnknown(StoreFault):
    """The command was sent; whether it was executed is not known."""


class EmbeddedStoreError(Exception):
    """The embedded store cannot be started or kept up; the message tells the operator why."""


class ReplyError(Exception):
    """The store answered with an error: `code` is its first word, `message` the rest."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message

    @classmethod
    def parse(cls, text: str) -> "ReplyError":
        code, _, message = text.partition(" ")
        return cls(code, message)


def function_not_found(error: BaseException) -> bool:
    """Whether the library is missing, as after FUNCTION FLUSH: it must be loaded again."""
    return isinstance(error, ReplyError) and error.message.startswith(_FUNCTION_NOT_FOUND)


def not_executed(error: BaseException) -> bool:
    """Whether this fault proves that the command changed nothing. In doubt: no."""
    if isinstance(error, StoreUnavailable):
        return True
    if not isinstance(error, ReplyError) or _RAISED_INSIDE_SCRIPT in error.message:
        return False
    return error.code in _REFUSED_BEFORE_START or function_not_found(error)
