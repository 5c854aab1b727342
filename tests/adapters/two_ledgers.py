"""Two ledgers, one life: whatever happens to the real one happens to the reference, and they agree.

Each step is done to both. Then the replies must be equal, and the wallet, and all sessions with
their counters, holds and deadlines. Transaction ids differ, but must correspond one to one: a
repeat that got a new transaction would be a second charge.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterator
from typing import Any, TypeVar

import msgspec

from ocs.adapters.valkey.connection import Connection
from ocs.domain.events import Kind, Reporting
from ocs.domain.wallet import Wallet
from ocs.usecases.ports import (
    ChargeCall,
    ChargeLimits,
    ChargeResult,
    CreditCall,
    DebitCall,
    Ledger,
    Reply,
    ReverseCall,
    Segment,
    ServiceCall,
    SessionKey,
    SessionView,
    Settler,
    WalletDefinition,
    WalletKey,
)
from tests.adapters.ledger_strategies import BASE_MS, USAGE, Trouble
from tests.adapters.ledgers import RealBench, bench_library
from tests.adapters.reference_ledger import ReferenceLedger
from tests.adapters.store import READY_TIMEOUT_S

WALLET = WalletKey("demo", "family")
ACCOUNTS = ["ann", "ann", "bob"]
"""Whose line it is: three calls may go on at a time."""
GROUPS = {"0": ["t0", "t1", "t2"], "1": ["u0", "u1", "free"]}
"""The prices of each rating group; those of `0` are timed."""
T = TypeVar("T")


class TwoLedgers:
    """A wallet in both, and three lines that call."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        library = bench_library()
        self.connection = Connection(url, library=library)
        self.reference = ReferenceLedger(forgets=False)
        self.real = RealBench(self.connection, library)
        self.calls: list[ChargeCall] = []
        self.granted: dict[tuple[SessionKey, str], int] = {}
        self.transactions: dict[str, str] = {}
        self.numbers = Counter[SessionKey]()
        self.hung_up = Counter[int]()
        self.now_ms = BASE_MS
        self.limits = ChargeLimits()
        self.minimum = 1
        self.reporting: Reporting | None = None
        """That of all services; None: each report has its own."""
        self.segments: dict[str, tuple[Segment, ...]] = {}
        self.settled_by = Settler.EVENTS
        self.definition: WalletDefinition | None = None

    def close(self) -> None:
        if self.definition:
            self.run(self.real.check(WALLET))
        self.run(self.connection.close())
        self.runner.close()

    def run(self, step: Awaitable[T]) -> T:
        async def wait() -> T:
            return await step

        return self.runner.run(wait())

    # The world ----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin with an empty store."""
        self.run(self._begin())

    async def _begin(self) -> None:
        self.connection.start()
        await self.connection.wait_connected(READY_TIMEOUT_S)
        await self.connection.execute("FLUSHALL")
        await self._set_now()

    async def _set_now(self) -> None:
        self.reference.now_ms = self.now_ms
        await self.real.set_now(self.now_ms)

    def pass_time(self, seconds: int) -> None:
        self.now_ms += seconds * 1000
        self.run(self._set_now())

    def define(self, definition: WalletDefinition) -> None:
        definition = msgspec.structs.replace(definition, settled_by=self.settled_by)
        answers = (
            self.run(self.reference.define(WALLET, definition)),
            self.run(self.real.ledger.define(WALLET, definition)),
        )
        assert answers[0] == answers[1]
        if answers[0]:
            self.definition = definition

    @property
    def defined(self) -> WalletDefinition:
        assert self.definition
        return self.definition

    def credit(self, bucket: str, amount: int, reference: str) -> None:
        call = CreditCall(wallet=WALLET, bucket=bucket, amount=amount, reference=reference)
        mine = self.run(self.reference.credit(call))
        real = self.run(self.real.ledger.credit(call))
        self._same_transaction(mine.transaction_id, real.transaction_id)
        real = msgspec.structs.replace(real, transaction_id=mine.transaction_id)
        agree(real, mine)

    def reverse(self, mine: str, real: str) -> None:
        """Take a transaction back, by the name that it has in each ledger."""
        replies = (
            self.run(self.reference.reverse(ReverseCall(wallet=WALLET, transaction_id=mine))),
            self.run(self.real.ledger.reverse(ReverseCall(wallet=WALLET, transaction_id=real))),
        )
        self._same_transaction(replies[0].transaction_id, replies[1].transaction_id)
        agree(*(msgspec.structs.replace(r, transaction_id="", why="") for r in reversed(replies)))

    def debit(self, call: DebitCall) -> None:
        """Give finished CDRs in."""
        mine, real = self.run(self.reference.debit(call)), self.run(self.real.ledger.debit(call))
        self._same_transaction(mine.transaction_id, real.transaction_id)
        agree(*(msgspec.structs.replace(r, transaction_id="", why="") for r in (real, mine)))

    def expire(self, session: SessionKey) -> None:
        mine = self.run(self.reference.expire(session))
        assert self.run(self.real.ledger.expire(session)) == mine

    # Charging -----------------------------------------------------------------------------------

    def session(self, line: int, back: int = 0) -> SessionKey:
        """The session that is on a line now, or an earlier one."""
        number = max(0, self.hung_up[line] - back)
        return SessionKey("demo", "family", ACCOUNTS[line], f"call {line}.{number}")

    def call(
        self, kind: Kind, session: SessionKey, uses: list[dict[str, Any]], trouble: Trouble
    ) -> ChargeCall:
        """A call of the ledgers; `uses` are as `ledger_strategies.use` draws them."""
        event_ms = self.now_ms - trouble.lag_s * 1000
        request = self._request(session, trouble.number)
        by_key = trouble.number == "key"
        return ChargeCall(
            session=session,
            kind=kind,
            request_number=-1 if by_key else request,
            request_key=f"key {request}" if by_key else "",
            fingerprint=f"{kind} {uses}",
            wallet_version=self.defined.version - trouble.stale,
            event_ms=event_ms,
            answer_ms=0 if trouble.answer_s is None else event_ms - trouble.answer_s * 1000,
            answered=trouble.answered and kind is not Kind.EVENT,
            dry_run=trouble.dry_run,
            can_open=trouble.can_open,
            only_repeats=trouble.only_repeats,
            limits=self.limits,
            services=tuple(
                self._service(kind, session, use, known=trouble.can_open) for use in uses
            ),
        )

    def _request(self, session: SessionKey, choice: str) -> int:
        latest = self.numbers[session]
        number = {"older": max(0, latest - 3), "far": latest + 61}.get(choice, latest + 1)
        self.numbers[session] = max(latest, number)
        return number

    def _used(self, kind: Kind, session: SessionKey, use: dict[str, Any]) -> int:
        """What is reported as used, in the way that it is."""
        if kind is Kind.START:
            return 0
        told: int = use["used"]
        books = self.reference.books.sessions.get(session)
        service = books.services.get(use["group"]) if books else None
        if kind is Kind.EVENT or use["reporting"] is Reporting.DELTA or not service:
            return told
        used: int = service.meter.elapsed + (-use["back"] or told + service.granted)
        return max(0, used)

    def _service(
        self, kind: Kind, session: SessionKey, use: dict[str, Any], *, known: bool
    ) -> ServiceCall:
        asks = -1 if kind is Kind.RELEASE else use["ask"]
        if self.reporting is not None:
            use = {**use, "reporting": self.reporting}
        timed = use["group"] == "0" and kind is not Kind.EVENT
        changes = known and not timed
        segments = self.segments[use["subject"]] if known else ()
        wallet = Wallet(self.defined.version, self.defined.buckets)
        return ServiceCall(
            rating_group=use["group"],
            used_units=self._used(kind, session, use),
            ask_units=asks,
            cap_units=min(asks, use["cap"]),
            minimum_units=self.minimum,
            timed=int(timed),
            free=int(use["subject"] == "free"),
            subject=use["subject"] if known else "",
            payers=wallet.payers(USAGE, ""),
            # Only elapsed time runs into a switch of the price.
            segments=segments if timed else segments[:1],
            reporting=use["reporting"],
            before_units=use["before"] if changes else 0,
            before=self.segments[use["before_subject"]][:1] if changes and use["before"] else (),
            before_subject=use["before_subject"] if changes else "",
            coming=self.segments[use["coming"]][:1] if changes and use["coming"] else (),
        )

    def charge(self, call: ChargeCall) -> None:
        self.calls.append(call)
        mine = self.run(self.reference.charge(call))
        real = self.run(_charged(self.real.ledger, call))
        self._same_transactions(mine.result, real.result)
        agree(bare(real), bare(mine))
        for service in mine.result.services if mine.result else ():
            self.granted[call.session, service.rating_group] = service.granted_units

    def _same_transactions(self, mine: ChargeResult | None, real: ChargeResult | None) -> None:
        if mine and real:
            self._same_transaction(mine.transaction_id, real.transaction_id)

    def _same_transaction(self, mine: str, real: str) -> None:
        assert bool(mine) == bool(real)
        assert self.transactions.setdefault(mine, real) == real

    # Looking ------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Compare the wallet, and the sessions that were charged last."""
        mine, real = self.run(self._look(self.reference)), self.run(self._look(self.real.ledger))
        agree(real, mine)
        self.reference.check_invariants()

    async def _look(self, ledger: Any) -> tuple[Any, ...]:
        keys = {call.session: None for call in self.calls[-8:]}
        views = [await ledger.session(key) for key in keys]
        return (await ledger.balance(WALLET), *(bare_view(view) for view in views))


async def _charged(ledger: Ledger, call: ChargeCall) -> Reply:
    return await ledger.charge(call)


def agree(real: object, mine: object) -> None:
    """Equal, or fail with the places where they differ: real value, reference value."""
    assert not (differences := list(_differences("", real, mine))), differences


def _differences(place: str, real: Any, mine: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(mine, msgspec.Struct) and type(real) is type(mine):
        for name in mine.__struct_fields__:
            yield from _differences(f"{place}.{name}", getattr(real, name), getattr(mine, name))
    elif isinstance(mine, tuple) and isinstance(real, tuple) and len(real) == len(mine):
        for index, pair in enumerate(zip(real, mine, strict=True)):
            yield from _differences(f"{place}[{index}]", *pair)
    elif real != mine:
        yield place, real, mine


def bare(reply: Reply) -> Reply:
    """A reply without what the two ledgers need not share."""
    if reply.stale:
        return Reply(reply.code, stale=reply.stale)
    if reply.result is None:
        return reply
    result = msgspec.structs.replace(reply.result, transaction_id="")
    return msgspec.structs.replace(reply, result=result)


def bare_view(view: SessionView | None) -> SessionView | None:
    if view is None or view.last is None:
        return view
    last = msgspec.structs.replace(view.last, transaction_id="")
    return msgspec.structs.replace(view, last=last)
