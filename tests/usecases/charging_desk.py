"""A charger on whatever ledger, with the prices and the plan that a test makes up.

Its one subscriber is alice, whose account and wallet have her name; amounts are in EUR.
"""

from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from ocs.domain.events import Event, Kind, ServiceUse
from ocs.domain.generation import Generation
from ocs.domain.plan import Plan
from ocs.domain.tariff import plan_tariffs
from ocs.domain.wallet import MAIN, MAIN_BUCKET, Bucket
from ocs.usecases.answer import Answer
from ocs.usecases.charging import Charger, ChargingSettings
from ocs.usecases.ports import CreditCall, Ledger, Subscriber, WalletDefinition, WalletKey
from tests.adapters.calls import NOW_MS
from tests.adapters.memory_directory import MemoryDirectory
from tests.adapters.reference_ledger import ReferenceLedger
from tests.domain.decks import deck, generation
from tests.together import outcomes

EUR = 1_000_000
CENT = 10_000
ALICE = WalletKey("demo", "alice")
PRICES = generation(
    deck("calls", [("49", 6 * CENT), ("800", 0), ("900", None)]),
    deck("texts", [("49", 9 * CENT), ("800", 0)], usage_type="sms"),
    deck("bytes", [("", 10)], usage_type="data"),
)
TARIFFS = plan_tariffs("calls", "texts", "bytes")
STANDARD = Plan("standard", TARIFFS)
"""0.06 for a begun minute, 0.09 for each 60 messages begun."""

_ALICE = Subscriber(
    identity="alice", account="alice", wallet_group="alice", plan="standard", currency="EUR"
)


class Known(MemoryDirectory):
    def peek(self, tenant: str, identity: str, _now_ms: int) -> Subscriber | None:
        return self._subscribers.get((tenant, identity))


@dataclass
class Held:
    current: Generation


class Desk:
    """Charges events of alice, at a time that stands still until a test moves it."""

    def __init__(
        self,
        ledger: Ledger,
        plan: Plan = STANDARD,
        tariffs: Generation = PRICES,
        *,
        refunds_any: bool = False,
        now_ms: int = NOW_MS,
    ) -> None:
        self.ledger = ledger
        self.now_ms = now_ms
        self.tariffs = Held(tariffs)
        self._directory = Known()
        self._charger = Charger(
            ledger=ledger,
            directory=self._directory,
            tariffs=self.tariffs,
            plans={plan.name: plan},
            settings=ChargingSettings(refunds_any=refunds_any),
            clock_ms=lambda: self.now_ms,
        )

    async def know(self) -> None:
        """Write down who alice is; her wallet may be missing."""
        await self._directory.put_subscriber("demo", _ALICE)

    async def also(self, identity: str) -> None:
        """Let somebody else use what alice pays."""
        await self._directory.put_subscriber("demo", replace(_ALICE, identity=identity))

    async def open(
        self, amount: int, *buckets: Bucket, floor: int = 0, active: bool = True
    ) -> None:
        """Give alice a wallet, with `amount` in `main` and nothing in the other buckets."""
        await self.know()
        definition = WalletDefinition(
            version=1,
            currency="EUR",
            buckets=(*buckets, MAIN_BUCKET),
            floor_amount=floor,
            active=active,
        )
        assert await self.ledger.define(ALICE, definition)
        if amount:
            await self.credit(amount)

    async def credit(self, amount: int, bucket: str = MAIN) -> None:
        reference = f"{bucket} {amount}"
        await self.ledger.credit(
            CreditCall(wallet=ALICE, bucket=bucket, amount=amount, reference=reference)
        )

    async def charge(self, event: Event) -> Answer:
        return await self._charger.charge(event)

    async def charge_all(self, *events: Event) -> list[Answer | Exception]:
        return await outcomes(await self._charger.charge_all(events))

    async def twice(self, event: Event) -> Answer:
        """Charge an event, and again as clients do, at another time; the answer is the same one."""
        first = await self.charge(event)
        self.now_ms += 7_000
        again = await self.charge(
            replace(event, event_ms=event.event_ms + 7_000, reported_ms=event.reported_ms + 7_000)
        )
        assert (first.hit, again.hit) == (False, True)
        assert replace(again, hit=False) == first
        return first

    async def main(self) -> tuple[int, int]:
        """Left and held of `main`."""
        return await self.bucket(MAIN)

    async def bucket(self, name: str) -> tuple[int, int]:
        wallet = await self.ledger.balance(ALICE)
        assert wallet is not None
        return next((each.left, each.held) for each in wallet.balances if each.bucket == name)


def on_paper(plan: Plan = STANDARD, tariffs: Generation = PRICES, **options: Any) -> Desk:
    """Give a desk on the reference ledger."""
    ledger = ReferenceLedger(now_ms=options.get("now_ms", NOW_MS))
    return Desk(ledger, plan, tariffs, **options)


def told(
    kind: str, number: int, *uses: ServiceUse, used: int = 0, asks: int | None = None, **fields: Any
) -> Event:
    """Give an event of session s1: a call to Germany, if nothing else is said."""
    plain: dict[str, Any] = {
        "tenant": "demo",
        "session_id": "s1",
        "request_key": "",
        "subscriber": "alice",
        "usage_type": "voice",
        "rated_number": "4930",
        "event_ms": NOW_MS,
        "reported_ms": NOW_MS,
        "answer_ms": None,
        "services": uses or (ServiceUse("0", used, asks),),
    }
    return Event(kind=Kind(kind), request_number=number, **{**plain, **fields})
