"""A connection to the store that is always either usable or on its way back.

`Connection` keeps one link (`pipeline.Pipeline`) alive: it dials, shakes hands, hands the link out,
and when the link is lost starts again with growing pauses. While there is no link, commands fail at
once with `StoreUnavailable`; they are never queued for later, because whoever charges has a time
limit of its own and knows better whether to ask again.

The handshake leaves the link in the one state that the ledger relies on: authenticated, the right
database, a server that is new enough and takes writes, and our function library in it. So a link
that is handed out can be charged on.

What comes out of `execute` is the future itself, not a coroutine: nothing runs between the caller
and the reply. The faults are in `faults`.
"""

import asyncio
import logging
import random
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ocs.adapters.valkey.address import StoreAddress, dial, parse_address
from ocs.adapters.valkey.faults import (
    OutcomeUnknown,
    ReplyError,
    StoreFault,
    StoreOverloaded,
    StoreUnavailable,
    StoreUntrusted,
    StoreUnusable,
    function_not_found,
    not_executed,
)
from ocs.adapters.valkey.functions import FunctionLibrary, load
from ocs.adapters.valkey.pipeline import (
    Argument,
    Counters,
    LinkLimits,
    Pipeline,
    Replies,
    Reply,
    pack,
)

__all__ = [
    "Argument",
    "Connection",
    "ConnectionSettings",
    "LinkLimits",
    "OutcomeUnknown",
    "Reply",
    "ReplyError",
    "StoreFault",
    "StoreOverloaded",
    "StoreUnavailable",
    "StoreUntrusted",
    "StoreUnusable",
    "function_not_found",
    "not_executed",
]

# Functions came with Redis 7.0, the fixes and replies that the ledger relies on with 7.2.
OLDEST_VERSION = (7, 2)
_VERSION = re.compile(r"^(?:valkey|redis)_version:(\d+)\.(\d+)", re.MULTILINE)
# Refusals of the handshake that waiting does not cure.
_UNUSABLE_CODES = frozenset({"WRONGPASS", "NOAUTH", "NOPERM", "ERR"})

# OpenSSL's codes for a certificate whose issuer is not known (X509_V_ERR_..., x509_vfy.h).
_UNKNOWN_ISSUER = frozenset({18, 19, 20, 21})
_TOO_MANY_CLIENTS = "max number of clients"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    limits: LinkLimits = field(default_factory=LinkLimits)
    # For one attempt, handshake and loading of the library included.
    connect_timeout_s: float = 2.0
    # Pauses between attempts double from the first to the longest; the embedded store is back in
    # well under a second, and a thousand workers must not knock together (hence the jitter).
    first_pause_s: float = 0.02
    longest_pause_s: float = 1.0
    # Profile `replicated`: answers count only when so many replicas received them. 0 turns it off.
    confirm_replicas: int = 0
    confirm_ms: int = 50
    client_name: str = "ocs"
    # Side links break with the main one: once is enough to be told.
    logs_faults: bool = True

    def __post_init__(self) -> None:
        if self.confirm_replicas and self.confirm_ms >= self.limits.timeout_s * 1000:
            raise ValueError("the confirmation by replicas must take less than the store time-out")


class Connection:
    """`start()`, then `execute` as often as wanted; `close()` answers what was sent."""

    def __init__(
        self,
        url: str,
        *,
        settings: ConnectionSettings | None = None,
        library: FunctionLibrary | None = None,
        counters: Counters | None = None,
    ) -> None:
        """Raises `AddressError` for a URL that names no store.

        `counters`: those of another connection, which then count what happens on both.
        """
        self.address: StoreAddress = parse_address(url)
        self.counters = counters or Counters()
        self.reconnects = 0
        self.last_fault = ""
        self._settings = settings or ConnectionSettings()
        self._library = library
        self._link: Pipeline | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._loading: asyncio.Task[None] | None = None
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def connected(self) -> bool:
        # A link that was just given up stays until its socket is closed.
        return self._link is not None and not self._link.lost_because

    @property
    def waiting(self) -> int:
        """Commands that were asked for and have no reply."""
        return 0 if self._link is None else self._link.waiting

    def execute(self, *arguments: Argument) -> asyncio.Future[Reply]:
        """The future of the reply; it may fail with any fault of `faults`.

        Cancelling the future does not take the command back: it is sent and executed.
        """
        return self.execute_packed(pack(arguments))

    def execute_packed(self, command: bytes) -> asyncio.Future[Reply]:
        """As `execute`, of a command that is in the store's protocol already."""
        link = self._link
        if link is not None:
            return link.send_packed(command)
        self.counters.refused += 1
        refused: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        refused.set_exception(self._not_connected())
        return refused

    def execute_all(self, commands: Sequence[bytes]) -> Replies | None:
        """The replies to packed commands, together; None: only one by one, or not at all."""
        return None if self._link is None else self._link.send_all(commands)

    # --- Life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Connects in the background, again and again until `close`."""
        assert self._keeper is None, "a connection is started once"
        self._keeper = asyncio.get_running_loop().create_task(self._keep_connected())

    async def wait_connected(self, timeout_s: float) -> None:
        """Raises `StoreUnavailable` in the end; what an operator must mend, as soon as it is clear.

        That is `StoreUnusable` and `StoreUntrusted`.
        """
        if self.connected:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError:
            raise self._not_connected() from None
        finally:
            self._waiters.discard(waiter)

    async def close(self) -> None:
        """Takes no new commands, waits for the replies to the others, then closes the link."""
        link, self._link = self._link, None
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if link is None:
            return
        await link.drain(self._settings.limits.timeout_s * 2)
        link.give_up("the connection was closed")
        await link.closed.wait()

    async def __aenter__(self) -> Self:
        self.start()
        try:
            await self.wait_connected(self._settings.connect_timeout_s)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def ensure_loaded(self) -> None:
        """Loads the library again if it is gone (FUNCTION FLUSH, an emptied store).

        Everybody who meets "Function not found" may call it: it is loaded once for all of them.
        """
        assert self._library is not None, "this connection was made without a library"
        if self._loading is None or self._loading.done():
            coroutine = load(self.execute, self._library)
            self._loading = asyncio.get_running_loop().create_task(coroutine)
        # Shielded: the others still want it when one of them is cancelled.
        await asyncio.shield(self._loading)

    # --- Keeping the link -----------------------------------------------------------------------

    def _not_connected(self) -> StoreUnavailable:
        reason = f": {self.last_fault}" if self.last_fault else ""
        return StoreUnavailable(f"not connected to the store at {self.address}{reason}")

    async def _keep_connected(self) -> None:
        pause_s = self._settings.first_pause_s
        was_linked = False
        while True:
            try:
                link = await self._open()
            except (OSError, StoreFault, ValueError) as error:
                self._report(error)
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
                pause_s = min(pause_s * 2, self._settings.longest_pause_s)
                continue
            pause_s = self._settings.first_pause_s
            self._hand_out(link)
            self.reconnects += was_linked
            self.counters.reconnects += was_linked
            was_linked = True
            await link.closed.wait()
            self._link = None
            self.last_fault = link.lost_because
            self._tell(logging.WARNING, "lost the store at", link.lost_because)

    def _hand_out(self, link: Pipeline) -> None:
        if self.last_fault:
            self._tell(logging.INFO, "connected to the store at")
        self.last_fault = ""
        self._link = link
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _report(self, error: Exception) -> None:
        text = str(error) or "no answer in time"
        if text != self.last_fault:
            self._tell(logging.WARNING, "no link to the store at", text)
        self.last_fault = text
        if not isinstance(error, StoreUnusable | StoreUntrusted):
            return
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(type(error)(text))

    def _tell(self, severity: int, what: str, reason: str = "") -> None:
        behind = f": {reason}" if reason else ""
        told = severity if self._settings.logs_faults else logging.DEBUG
        _log.log(told, "%s %s%s", what, self.address, behind)

    async def _open(self) -> Pipeline:
        """Raises `OSError` (time-outs are among them), `StoreFault`, `ValueError` (host name)."""
        settings = self._settings
        link = Pipeline(settings.limits, self.counters)
        try:
            async with asyncio.timeout(settings.connect_timeout_s):
                await dial(self.address, link)
                await self._shake_hands(link)
        except ReplyError as error:
            link.give_up(str(error))
            raise _as_fault(error) from None
        except ssl.SSLCertVerificationError as error:
            link.give_up(error.verify_message)
            raise _as_untrusted(error) from None
        except BaseException as error:
            link.give_up(str(error) or "given up during the handshake")
            raise
        if settings.confirm_replicas:
            link.confirm(settings.confirm_replicas, settings.confirm_ms)
        return link

    async def _shake_hands(self, link: Pipeline) -> None:
        address = self.address
        if address.password:
            credentials = (address.user, address.password) if address.user else (address.password,)
            await link.send(("AUTH", *credentials))
        _require_version(await link.send(("INFO", "server")))
        _require_primary(await link.send(("INFO", "replication")))
        await link.send(("CLIENT", "SETNAME", self._settings.client_name))
        if address.database:
            await link.send(("SELECT", address.database))
        if self._library is not None:
            await load(lambda *arguments: link.send(arguments), self._library)


def _as_untrusted(problem: ssl.SSLCertVerificationError) -> StoreUntrusted:
    told = f"its certificate is not trusted: {problem.verify_message}"
    if problem.verify_code in _UNKNOWN_ISSUER:
        told += " (SSL_CERT_FILE in the environment may name its authority)"
    return StoreUntrusted(told)


def _as_fault(refusal: ReplyError) -> StoreUnavailable:
    busy = refusal.message.startswith(_TOO_MANY_CLIENTS)
    if refusal.code in _UNUSABLE_CODES and not busy:
        return StoreUnusable(str(refusal))
    return StoreUnavailable(str(refusal))


def _require_version(info: Reply) -> None:
    # Valkey also names a redis_version, for clients that look for features: its own is newer.
    text = info.decode(errors="replace") if isinstance(info, bytes) else ""
    versions = [(int(major), int(minor)) for major, minor in _VERSION.findall(text)]
    if not versions or max(versions) < OLDEST_VERSION:
        found = "{}.{}".format(*max(versions)) if versions else "unknown"
        raise StoreUnusable(f"the store is version {found}; Valkey or Redis >= 7.2 is needed")


def _require_primary(info: Reply) -> None:
    # After a failover the address may lead to the old primary for a while: it is asked again.
    if isinstance(info, bytes) and b"\nrole:slave" in info:
        raise StoreUnavailable("the store is a replica, which takes no writes")
