"""What a client remembers: every request that it sent, and whatever came back, attempt by attempt.

It stands between a replay and its connections, so it sees what the replay only counts: the answers
to each copy and each repeat of a request, in the order in which they came.
"""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from http import HTTPStatus

import msgspec
from msgspec import Struct

from ocs.entrypoints.http.client import HttpClient
from ocs.usecases.replay_tally import Exchange


class Cost(Struct):
    settled: str = "0"
    total: str = "0"
    overrun: str = ""


class Balance(Struct):
    available: Decimal = Decimal(0)
    held: Decimal = Decimal(0)


class Said(Struct):
    """An answer, as far as the books must say the same."""

    return_name: str
    session_id: str = ""
    request_number: int = -1
    transaction_id: str = ""
    granted_units: int = 0
    cost: Cost = msgspec.field(default_factory=Cost)
    balance: Balance = msgspec.field(default_factory=Balance)


class ClientLog:
    """A `Sender` that keeps everything. `moment` runs once, right after answer number `at`."""

    def __init__(self, client: HttpClient) -> None:
        self.answers: dict[bytes, list[Exchange]] = {}
        """By request, in the order of their first answers. A 503 is none."""
        self.counts = Counter[str]()
        self._client = client
        self._answered = 0
        self._at = 0
        self._moment: Callable[[], None] = lambda: None

    def plan(self, at: int, moment: Callable[[], None]) -> None:
        """Have something happen in the middle of it all, counted from now."""
        self._answered, self._at, self._moment = 0, at, moment

    async def post(self, body: bytes) -> Exchange:
        self.counts["sent"] += 1
        try:
            exchange = await self._client.post(body)
        except OSError:
            self.counts["lost"] += 1
            raise
        if exchange.status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.counts["503"] += 1
            return exchange
        self.counts["hits"] += exchange.hit
        self.answers.setdefault(body, []).append(exchange)
        self._answered += 1
        if self._answered == self._at:
            self._moment()
        return exchange


def said(exchange: Exchange) -> Said:
    return msgspec.json.decode(exchange.body, type=Said)
