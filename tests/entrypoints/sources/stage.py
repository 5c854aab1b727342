"""A service for recorded requests: all shipped sources in front of a charger on the reference
ledger, whose prices, accounts and time are always the same.

| who                                                        | wallet     | what it is for           |
|------------------------------------------------------------|------------|--------------------------|
| 441632960001, imsi 234150000000001, sip user alice         | 10.00 EUR  | what goes well           |
| 441632960002                                               | 0.00 EUR   | no credit                |
| 441632960003                                               | 0.06 EUR   | the end of the money, with a redirect |

Calls to 44 cost 0.06 a begun minute, to 800 nothing, to 900 they are blocked; a message to 44 costs
0.05, a picture 0.20, a MiB of data 0.005 and 0.01 in rating group 200, an event 0.25.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import msgspec

from ocs.config.sources import read_source
from ocs.domain.events import Event
from ocs.domain.ladder import Ladder, compile_ladder
from ocs.domain.plan import Plan
from ocs.domain.results import ResultCode
from ocs.domain.tariff import plan_tariffs
from ocs.domain.wallet import MAIN_BUCKET
from ocs.entrypoints.decoders.judging import DecoderSettings
from ocs.entrypoints.http.auth import Authenticator, Caller
from ocs.entrypoints.http.named import request_in, source_named
from ocs.entrypoints.http.realtime import Realtime, RealtimeLimits
from ocs.entrypoints.http.responses import Answered
from ocs.entrypoints.return_codes import load_return_codes, return_codes_path
from ocs.entrypoints.sources.dialects import Writing, make_dialects
from ocs.entrypoints.sources.source import Source
from ocs.usecases.answer import Answer
from ocs.usecases.charging import Charger, ChargingSettings
from ocs.usecases.ports import CreditCall, Subscriber, WalletDefinition, WalletKey
from tests.adapters.reference_ledger import ReferenceLedger
from tests.domain.decks import deck, generation
from tests.together import outcomes
from tests.usecases.charging_desk import Held, Known

NOW_MS: Final = 1_795_166_545_000
FOLDER: Final = Path(__file__).parents[3] / "config" / "sources"
CODES: Final = load_return_codes(return_codes_path())
CALLER: Final = Caller("demo", frozenset({"demo"}))

_CENT: Final = 10_000
_MIB: Final = 1_048_576


def _each(amount: int, increment: int = 1) -> Ladder:
    return compile_ladder(Fraction(0), [(0, increment, Fraction(amount))])


_PRICES: Final = generation(
    deck("calls", [("44", 6 * _CENT), ("800", 0), ("900", None)]),
    deck("messages", [("44", _each(5 * _CENT))], usage_type="sms"),
    deck("pictures", [("44", _each(20 * _CENT))], usage_type="mms"),
    deck("octets", [("", _each(_CENT // 2, _MIB)), ("200", _each(_CENT, _MIB))], usage_type="data"),
    deck("events", [("", _each(25 * _CENT))], usage_type="event"),
)
_TARIFFS: Final = plan_tariffs("calls", "messages", "pictures", "octets", "events")
_PLANS: Final = (
    Plan("standard", _TARIFFS),
    Plan(
        "redirecting",
        _TARIFFS,
        final_unit_action="redirect",
        redirect_address="https://pay.example.com",
    ),
)
_SUBSCRIBERS: Final = (
    ("441632960001", "441632960001", "standard"),
    ("234150000000001", "441632960001", "standard"),
    ("alice", "441632960001", "standard"),
    ("441632960002", "441632960002", "standard"),
    ("441632960003", "441632960003", "redirecting"),
)
_BALANCES: Final = {
    "441632960001": 1_000 * _CENT,
    "441632960002": 0,
    "441632960003": 6 * _CENT,
}


class Reply(msgspec.Struct, kw_only=True):
    """What became of a request: of the first event, where it is an array.

    `event` is None where there is nothing to charge, `outcome` of an array of nothing.
    """

    event: dict[str, Any] | None
    outcome: ResultCode | None
    hit: bool
    status: int
    content_type: str
    body: Any


class Stage:
    """Answers requests as they are recorded."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.ledger = ReferenceLedger(now_ms=NOW_MS)
        self.events: list[Event] = []
        self.answers: list[Answer] = []
        self._directory = Known()
        self._charger = Charger(
            ledger=self.ledger,
            directory=self._directory,
            tariffs=Held(_PRICES),
            plans={plan.name: plan for plan in _PLANS},
            settings=ChargingSettings(),
            clock_ms=lambda: self.ledger.now_ms,
        )
        self._realtime = Realtime(
            charge=self._charge,
            charge_all=self._charge_all,
            dialects=make_dialects(sources, DecoderSettings(), Writing(CODES)),
            authenticator=Authenticator((), tenants=["demo"], default_tenant="demo"),
            limits=RealtimeLimits(),
            wall_ms=lambda: self.ledger.now_ms,
            observers=[lambda _, answer: self.answers.append(answer)],
        )

    @classmethod
    async def open(cls, sources: Sequence[Source]) -> "Stage":
        stage = cls(sources)
        for account, amount in _BALANCES.items():
            wallet = WalletKey("demo", account)
            definition = WalletDefinition(version=1, currency="EUR", buckets=(MAIN_BUCKET,))
            assert await stage.ledger.define(wallet, definition)
            credit = CreditCall(wallet=wallet, bucket="main", amount=amount, reference="opening")
            await stage.ledger.credit(credit)
        for identity, account, plan in _SUBSCRIBERS:
            subscriber = Subscriber(
                identity=identity, account=account, wallet_group=account, plan=plan, currency="EUR"
            )
            await stage._directory.put_subscriber("demo", subscriber)
        return stage

    async def post(self, request: dict[str, Any]) -> Reply:
        """Answer one request: `path`, `headers`, `body` (bytes, a text, or JSON)."""
        path, headers, body = request["path"], request.get("headers", {}), request.get("body", "")
        content = body.encode() if isinstance(body, str) else body
        content = content if isinstance(content, bytes) else msgspec.json.encode(content)
        self.events.clear()
        self.answers.clear()
        answered = self._realtime.answer(
            content or request_in(path),
            CALLER,
            headers.get("Idempotency-Key", ""),
            source_named(path, headers),
        )
        whole = answered if isinstance(answered, Answered) else await answered
        return self._reply(whole.whole(keep_alive=True))

    def _reply(self, response: bytes) -> Reply:
        head, _, content = response.partition(b"\r\n\r\n")
        status_line, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        kind = headers["Content-Type"]
        body = msgspec.json.decode(content) if kind == "application/json" else content.decode()
        return Reply(
            event=plain_event(self.events[0]) if self.events else None,
            outcome=self.answers[0].code if self.answers else None,
            hit="Idempotency-Hit" in headers,
            status=int(status_line.split()[1]),
            content_type=kind,
            body=body,
        )

    async def _charge(self, event: Event) -> Answer:
        self.events.append(event)
        answer = await self._charger.charge(event)
        self.answers.append(answer)
        return answer

    async def _charge_all(self, events: Sequence[Event]) -> list[Answer | Exception]:
        self.events += events
        answers = await outcomes(await self._charger.charge_all(events))
        self.answers += [answer for answer in answers if isinstance(answer, Answer)]
        return answers


def shipped_sources() -> list[Source]:
    return [read_source(path) for path in sorted(FOLDER.glob("*.toml"))]


def plain_event(event: Event) -> dict[str, Any]:
    """Write an event as a recording has it: what is not the default, times of now left out."""
    plain = _without_defaults(event)
    for name, usual in (("tenant", "demo"), ("event_ms", NOW_MS), ("reported_ms", event.event_ms)):
        if plain[name] == usual:
            del plain[name]
    if event.attributes:
        plain["attributes"] = msgspec.json.decode(event.attributes)
    plain["services"] = [_without_defaults(service) for service in event.services]
    if event.terms is not None:
        plain["terms"] = _without_defaults(event.terms)
    return {name: value for name, value in plain.items() if value not in ("", None)}


def _without_defaults(struct: msgspec.Struct) -> dict[str, Any]:
    return {
        field.name: msgspec.to_builtins(value)
        for field in msgspec.structs.fields(struct)
        if (value := getattr(struct, field.name)) != field.default
    }
