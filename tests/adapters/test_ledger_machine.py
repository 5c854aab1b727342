"""Hypothesis plays with two ledgers at once (`two_ledgers.py`): whatever it does, they agree."""

import os
import signal
from typing import Any

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

from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.domain.events import Kind, Reporting
from ocs.domain.ladder import FREE
from ocs.usecases.ports import CDR_DAYS, DAY_MS, CdrDebit, ChargeLimits, DebitCall, Settler
from tests.adapters import ledger_strategies as draw
from tests.adapters.store import READY_TIMEOUT_S
from tests.adapters.two_ledgers import ACCOUNTS, GROUPS, WALLET, TwoLedgers

lines = st.sampled_from(range(len(ACCOUNTS)))


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self, server: EmbeddedStore, *, restarts: bool) -> None:
        super().__init__()
        self.server, self.restarts = server, restarts
        self.both = TwoLedgers(server.url)

    def teardown(self) -> None:
        self.both.close()

    @initialize(
        data=st.data(),
        limits=draw.limits(),
        minimum=st.sampled_from([1, 1, 20]),
        reporting=st.sampled_from([*Reporting, Reporting.DELTA, None]),
        settled_by=st.sampled_from([Settler.EVENTS, Settler.CDR]),
    )
    def begin(
        self,
        data: st.DataObject,
        limits: ChargeLimits,
        minimum: int,
        reporting: Reporting | None,
        settled_by: Settler,
    ) -> None:
        both = self.both
        both.settled_by = settled_by
        both.limits, both.minimum, both.reporting = limits, minimum, reporting
        names = [name for group in GROUPS.values() for name in group if name != "free"]
        schedules = {name: data.draw(draw.schedules(), name) for name in names}
        both.segments = {name: draw.segments(s) for name, s in schedules.items()}
        both.segments["free"] = draw.segments([(0, FREE)])
        both.begin()
        both.define(data.draw(draw.definitions(1)))
        for bucket in both.defined.buckets:
            amount = data.draw(st.integers(0, 400))
            both.credit(bucket.bucket, amount, f"first {bucket.bucket}")

    # Charging -----------------------------------------------------------------------------------

    @rule(line=lines, use=draw.use(GROUPS), again=st.sampled_from([False] * 3 + [True]))
    def start(self, line: int, use: dict[str, Any], again: bool) -> None:
        self.both.hung_up[line] += not again
        self._plain(Kind.START, line, use)

    @rule(line=lines, use=draw.use(GROUPS))
    def update(self, line: int, use: dict[str, Any]) -> None:
        self._plain(Kind.UPDATE, line, use)

    @rule(line=lines, use=draw.use(GROUPS))
    def go_on(self, line: int, use: dict[str, Any]) -> None:
        """What happens most of the time: all that was granted was used, and more is wanted."""
        granted = self.both.granted.get((self.both.session(line), use["group"]), 0)
        self._plain(Kind.UPDATE, line, {**use, "used": granted, "ask": 60})

    @rule(line=lines, use=draw.use(GROUPS))
    def release(self, line: int, use: dict[str, Any]) -> None:
        self._plain(Kind.RELEASE, line, use)
        self.both.hung_up[line] += 1

    @rule(line=lines, use=draw.use(GROUPS))
    def one_shot(self, line: int, use: dict[str, Any]) -> None:
        self._plain(Kind.EVENT, line, use)

    def _plain(self, kind: Kind, line: int, use: dict[str, Any]) -> None:
        both = self.both
        both.charge(both.call(kind, both.session(line), [use], draw.Trouble()))

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
        both = self.both
        both.charge(both.call(kind, both.session(line, trouble.back), uses, trouble))

    @precondition(lambda self: self.both.calls)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """The same request again, stamped anew; clients do that."""
        call = data.draw(st.sampled_from(self.both.calls[-12:]))
        self.both.charge(msgspec.structs.replace(call, event_ms=self.both.now_ms))

    @precondition(lambda self: self.both.calls)
    @rule(data=st.data())
    def repeat_with_another_body(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.both.calls[-12:]))
        self.both.charge(msgspec.structs.replace(call, fingerprint=f"{call.fingerprint} edited"))

    @precondition(lambda self: self.both.calls)
    @rule(data=st.data(), other=st.integers(1, 5))
    def repeat_under_another_number(self, data: st.DataObject, other: int) -> None:
        """A second start, most interestingly."""
        both = self.both
        call = data.draw(st.sampled_from(both.calls[-12:]))
        number = both.numbers[call.session] + other
        both.charge(msgspec.structs.replace(call, request_number=number))
        both.numbers[call.session] += other

    # Everything else ----------------------------------------------------------------------------

    @rule(data=st.data(), amount=st.integers(-60, 200), old=st.booleans())
    def credit(self, data: st.DataObject, amount: int, old: bool) -> None:
        names = [bucket.bucket for bucket in self.both.defined.buckets]
        bucket = data.draw(st.sampled_from([*names, "none"]))
        number = len(self.both.transactions)
        self.both.credit(bucket, amount, f"credit {max(0, number - 2) if old else number}")

    @precondition(lambda self: self.both.transactions)
    @rule(data=st.data())
    def reverse(self, data: st.DataObject) -> None:
        """Whatever it was, and whether it is over or was taken back before."""
        known = [pair for pair in self.both.transactions.items() if all(pair)]
        self.both.reverse(*data.draw(st.sampled_from(known)))

    @rule(
        chunk=st.sampled_from(["one", "two"]),
        names=st.lists(st.sampled_from("abcd"), min_size=1, max_size=3),
        line=lines,
        back=st.sampled_from([0, 1]),
        days=st.sampled_from([0, 0, 1, -CDR_DAYS - 1]),
    )
    def debit(self, chunk: str, names: list[str], line: int, back: int, days: int) -> None:
        """Finished CDRs, the first of them of a call that may be known."""
        session = self.both.session(line, back)
        sessions = [session.session_id, *names[1:]]
        cdrs = [CdrDebit(name, of, ord(name)) for name, of in zip(names, sessions, strict=True)]
        self.both.debit(
            DebitCall(
                wallet=WALLET,
                account=session.account,
                currency="EUR",
                day=self.both.now_ms // DAY_MS + days,
                chunk=chunk,
                cdrs=tuple(cdrs),
            )
        )

    @rule(seconds=st.sampled_from([1, 20, 119, 121, 700]))
    def pass_time(self, seconds: int) -> None:
        self.both.pass_time(seconds)

    @rule(line=lines, back=st.sampled_from([0, 0, 1]))
    def expire(self, line: int, back: int) -> None:
        self.both.expire(self.both.session(line, back))

    @rule(data=st.data(), ahead=st.sampled_from([1, 1, 1, 1, 0, 2]))
    def define(self, data: st.DataObject, ahead: int) -> None:
        self.both.define(data.draw(draw.definitions(self.both.defined.version + ahead)))

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
            self.both.run(self.both.connection.wait_connected(READY_TIMEOUT_S))

    @invariant()
    def books_agree(self) -> None:
        if self.both.definition:
            self.both.compare()


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
    run(store_server, examples=settings().max_examples * 2 // 5, steps=25)


@pytest.mark.slow
def test_the_two_ledgers_agree_for_long(store_server: EmbeddedStore) -> None:
    run(store_server, examples=120, steps=50)


@pytest.mark.nightly
def test_the_two_ledgers_agree_all_night(store_server: EmbeddedStore) -> None:
    run(store_server, examples=400, steps=50)


@pytest.mark.slow
def test_the_two_ledgers_agree_over_restarts_of_the_store(own_server: EmbeddedStore) -> None:
    run(own_server, examples=40, steps=50, restarts=True)
