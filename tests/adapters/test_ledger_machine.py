"""Two ledgers, one life: whatever happens to the real one happens to the reference, and they agree.

Each step is done to both. Then the replies must be equal, and the wallet, and all sessions with
their counters, holds and deadlines. Transaction ids differ, but must correspond one to one: a
repeat that got a new transaction would be a second charge.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Iterator
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.domain.events import Kind
from ocs.domain.ladder import FREE
from ocs.domain.wallet import Wallet
from ocs.usecases.ports import (
    ChargeCall,
    ChargeLimits,
    ChargeResult,
    CreditCall,
    Ledger,
    Reply,
    ServiceCall,
    SessionKey,
    SessionView,
    WalletDefinition,
    WalletKey,
)
from tests.adapters import ledger_strategies as draw
from tests.adapters.ledger_strategies import BASE_MS, USAGE
from tests.adapters.ledgers import RealBench, bench_library
from tests.adapters.reference_ledger import ReferenceLedger
from tests.adapters.store import READY_TIMEOUT_S

WALLET = WalletKey("demo", "family")
ACCOUNTS = ["ann", "ann", "bob"]
"""Whose line it is: three calls may go on at a time."""
GROUPS = {"0": ["t0", "t1", "t2"], "1": ["u0", "u1", "free"]}
lines = st.sampled_from(range(len(ACCOUNTS)))
T = TypeVar("T")


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self, server: EmbeddedStore, *, restarts: bool) -> None:
        super().__init__()
        self.server, self.restarts = server, restarts
        self.runner = asyncio.Runner()
        library = bench_library()
        self.connection = Connection(server.url, library=library)
        self.reference = ReferenceLedger(forgets=False)
        self.real = RealBench(self.connection, library)
        self.calls: list[ChargeCall] = []
        self.granted: dict[tuple[SessionKey, str], int] = {}
        self.transactions: dict[str, str] = {}
        self.numbers = Counter[SessionKey]()
        self.hung_up = Counter[int]()
        self.now_ms = BASE_MS

    def teardown(self) -> None:
        if hasattr(self, "definition"):
            self.run(self.real.check(WALLET))
        self.run(self.connection.close())
        self.runner.close()

    def run(self, step: Awaitable[T]) -> T:
        async def wait() -> T:
            return await step

        return self.runner.run(wait())

    # The world ----------------------------------------------------------------------------------

    @initialize(
        data=st.data(),
        limits=draw.limits(),
        minimum=st.sampled_from([1, 1, 20]),
    )
    def begin(self, data: st.DataObject, limits: ChargeLimits, minimum: int) -> None:
        self.limits, self.minimum = limits, minimum
        names = [name for group in GROUPS.values() for name in group if name != "free"]
        schedules = {name: data.draw(draw.schedules(), name) for name in names}
        self.segments = {name: draw.segments(s) for name, s in schedules.items()}
        self.segments["free"] = draw.segments([(0, FREE)])
        self.run(self._begin())
        self._define(data.draw(draw.definitions(1)))
        for bucket in self.definition.buckets:
            amount = data.draw(st.integers(0, 400))
            self._credit(bucket.bucket, amount, f"first {bucket.bucket}")

    async def _begin(self) -> None:
        self.connection.start()
        await self.connection.wait_connected(READY_TIMEOUT_S)
        await self.connection.execute("FLUSHALL")
        await self._set_now()

    async def _set_now(self) -> None:
        self.reference.now_ms = self.now_ms
        await self.real.set_now(self.now_ms)

    def _define(self, definition: WalletDefinition) -> None:
        answers = (
            self.run(self.reference.define(WALLET, definition)),
            self.run(self.real.ledger.define(WALLET, definition)),
        )
        assert answers[0] == answers[1]
        if answers[0]:
            self.definition = definition

    def _credit(self, bucket: str, amount: int, reference: str) -> None:
        call = CreditCall(wallet=WALLET, bucket=bucket, amount=amount, reference=reference)
        mine = self.run(self.reference.credit(call))
        real = self.run(self.real.ledger.credit(call))
        self._same_transaction(mine.transaction_id, real.transaction_id)
        real = msgspec.structs.replace(real, transaction_id=mine.transaction_id)
        agree(real, mine)

    # Charging -----------------------------------------------------------------------------------

    @rule(line=lines, use=draw.use(GROUPS), again=st.sampled_from([False] * 3 + [True]))
    def start(self, line: int, use: dict[str, Any], again: bool) -> None:
        self.hung_up[line] += not again
        self._plain(Kind.START, line, use)

    @rule(line=lines, use=draw.use(GROUPS))
    def update(self, line: int, use: dict[str, Any]) -> None:
        self._plain(Kind.UPDATE, line, use)

    @rule(line=lines, use=draw.use(GROUPS))
    def go_on(self, line: int, use: dict[str, Any]) -> None:
        """What happens most of the time: all that was granted was used, and more is wanted."""
        granted = self.granted.get((self._session(line), use["group"]), 0)
        self._plain(Kind.UPDATE, line, {**use, "used": granted, "ask": 60})

    @rule(line=lines, use=draw.use(GROUPS))
    def release(self, line: int, use: dict[str, Any]) -> None:
        self._plain(Kind.RELEASE, line, use)
        self.hung_up[line] += 1

    @rule(line=lines, use=draw.use(GROUPS))
    def one_shot(self, line: int, use: dict[str, Any]) -> None:
        self._plain(Kind.EVENT, line, use)

    def _plain(self, kind: Kind, line: int, use: dict[str, Any]) -> None:
        self._charge(self._call(kind, self._session(line), [use], draw.Trouble()))

    def _session(self, line: int, back: int = 0) -> SessionKey:
        """The session that is on a line now, or an earlier one."""
        number = max(0, self.hung_up[line] - back)
        return SessionKey("demo", "family", ACCOUNTS[line], f"call {line}.{number}")

    @rule(
        kind=st.sampled_from(Kind),
        line=lines,
        uses=st.lists(draw.use(GROUPS), min_size=1, max_size=2, unique_by=lambda use: use["group"]),
        trouble=draw.troubles(),
    )
    def trouble(
        self, kind: Kind, line: int, uses: list[dict[str, Any]], trouble: draw.Trouble
    ) -> None:
        """Late, early, unanswered, out of order, by key, dry, stale, or of two services at once."""
        self._charge(self._call(kind, self._session(line, trouble.back), uses, trouble))

    def _call(
        self, kind: Kind, session: SessionKey, uses: list[dict[str, Any]], trouble: draw.Trouble
    ) -> ChargeCall:
        event_ms = self.now_ms - trouble.lag_s * 1000
        request = self._request(session, trouble.number)
        by_key = trouble.number == "key"
        return ChargeCall(
            session=session,
            kind=kind,
            request_number=-1 if by_key else request,
            request_key=f"key {request}" if by_key else "",
            fingerprint=f"{kind} {uses}",
            wallet_version=self.definition.version - trouble.stale,
            event_ms=event_ms,
            answer_ms=0 if trouble.answer_s is None else event_ms - trouble.answer_s * 1000,
            answered=trouble.answered and kind is not Kind.EVENT,
            dry_run=trouble.dry_run,
            can_open=trouble.can_open,
            limits=self.limits,
            services=tuple(self._service(kind, use, known=trouble.can_open) for use in uses),
        )

    def _request(self, session: SessionKey, choice: str) -> int:
        latest = self.numbers[session]
        number = {"older": max(0, latest - 3), "far": latest + 61}.get(choice, latest + 1)
        self.numbers[session] = max(latest, number)
        return number

    def _service(self, kind: Kind, use: dict[str, Any], *, known: bool) -> ServiceCall:
        asks = use["ask"]
        if kind is Kind.RELEASE:
            asks = -1
        if kind is Kind.START:
            use = {**use, "used": 0}
        timed = use["group"] == "0" and kind is not Kind.EVENT
        segments = self.segments[use["subject"]] if known else ()
        wallet = Wallet(self.definition.version, self.definition.buckets)
        return ServiceCall(
            rating_group=use["group"],
            used_units=use["used"],
            ask_units=asks,
            cap_units=min(asks, use["cap"]),
            minimum_units=self.minimum,
            timed=int(timed),
            free=int(use["subject"] == "free"),
            subject=use["subject"] if known else "",
            payers=wallet.payers(USAGE, ""),
            # Only elapsed time runs into a switch of the price.
            segments=segments if timed else segments[:1],
        )

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """The same request again, stamped anew; clients do that."""
        call = data.draw(st.sampled_from(self.calls[-12:]))
        self._charge(msgspec.structs.replace(call, event_ms=self.now_ms))

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def repeat_with_another_body(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.calls[-12:]))
        self._charge(msgspec.structs.replace(call, fingerprint=f"{call.fingerprint} edited"))

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), other=st.integers(1, 5))
    def repeat_under_another_number(self, data: st.DataObject, other: int) -> None:
        """A second start, most interestingly."""
        call = data.draw(st.sampled_from(self.calls[-12:]))
        self._charge(
            msgspec.structs.replace(call, request_number=self.numbers[call.session] + other)
        )
        self.numbers[call.session] += other

    def _charge(self, call: ChargeCall) -> None:
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

    # Everything else ----------------------------------------------------------------------------

    @rule(data=st.data(), amount=st.integers(-60, 200), old=st.booleans())
    def credit(self, data: st.DataObject, amount: int, old: bool) -> None:
        bucket = data.draw(st.sampled_from([*(b.bucket for b in self.definition.buckets), "none"]))
        number = len(self.transactions)
        self._credit(bucket, amount, f"credit {max(0, number - 2) if old else number}")

    @rule(seconds=st.sampled_from([1, 20, 119, 121, 700]))
    def pass_time(self, seconds: int) -> None:
        self.now_ms += seconds * 1000
        self.run(self._set_now())

    @rule(line=lines, back=st.sampled_from([0, 0, 1]))
    def expire(self, line: int, back: int) -> None:
        session = self._session(line, back)
        mine = self.run(self.reference.expire(session))
        assert self.run(self.real.ledger.expire(session)) == mine

    @rule(data=st.data(), ahead=st.sampled_from([1, 1, 1, 1, 0, 2]))
    def define(self, data: st.DataObject, ahead: int) -> None:
        self._define(data.draw(draw.definitions(self.definition.version + ahead)))

    @precondition(lambda self: self.restarts)
    @rule(really=st.sampled_from([False] * 4 + [True]))
    def kill_the_store(self, really: bool) -> None:
        """kill -9, and the next start: with an fsync before each answer nothing is forgotten."""
        if really:
            assert self.server.pid
            os.kill(self.server.pid, signal.SIGKILL)
            self.server.stop()
            self.server.start()
            self.server.wait_ready(READY_TIMEOUT_S)
            self.run(self.connection.wait_connected(READY_TIMEOUT_S))

    @invariant()
    def books_agree(self) -> None:
        if not hasattr(self, "definition"):
            return
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


def run(server: EmbeddedStore, *, examples: int, steps: int, restarts: bool = False) -> None:
    class Machine(LedgerMachine):
        def __init__(self) -> None:
            super().__init__(server, restarts=restarts)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
            # Shrinking tells what matters; explaining takes minutes more.
            phases=(Phase.generate, Phase.shrink),
        ),
    )


def test_the_two_ledgers_agree(store_server: EmbeddedStore) -> None:
    run(store_server, examples=80, steps=25)


@pytest.mark.slow
def test_the_two_ledgers_agree_for_long(store_server: EmbeddedStore) -> None:
    run(store_server, examples=400, steps=50)


@pytest.mark.slow
def test_the_two_ledgers_agree_over_restarts_of_the_store(own_server: EmbeddedStore) -> None:
    run(own_server, examples=40, steps=50, restarts=True)
