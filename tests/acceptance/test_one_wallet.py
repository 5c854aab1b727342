"""Sixty-four sessions at once on one wallet: to the last millionth, and not beyond.

Every start of a wallet is under way before the first is answered, each on its own connection, so
the order in which they reach the money is the kernel's. What may not depend on it is the sum.
"""

import asyncio
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from ocs.entrypoints.http.client import HttpClient
from tests.acceptance.bookkeeping import hold_against, open_books
from tests.acceptance.client_log import Said, said
from tests.acceptance.own_prices import Prices, write_configuration
from tests.acceptance.service import Service

pytestmark = pytest.mark.slow

SESSIONS = 64
TIMES = 100
BALANCE = Decimal("10.00")
BY_SECOND, BY_MINUTE = "44", "33"
A_SECOND = Decimal("0.001")
FEE, A_MINUTE = Decimal("0.01"), Decimal("0.06")
PRICES = Prices(
    voice=(
        f"{BY_SECOND},By the second,0.06,0.06,1,1,0,",
        f"{BY_MINUTE},By the minute with a fee,{A_MINUTE},{A_MINUTE},60,60,{FEE},",
    )
)
WALLETS = [f"4920{number:03d}" for number in range(TIMES)]


@pytest.fixture
def service() -> Iterator[Service]:
    with tempfile.TemporaryDirectory(prefix="ocs-") as name:
        folder = Path(name)
        wallets = {wallet: str(BALANCE) for wallet in WALLETS}
        config = write_configuration(folder / "config", PRICES, wallets)
        service = Service(folder / "var", "--config", str(config), "--port", "0")
        try:
            yield service
        finally:
            service.sweep_away()


class Caller:
    """Sends events of one subscriber to one destination."""

    def __init__(self, client: HttpClient, subscriber: str, prefix: str) -> None:
        self._client = client
        self._subscriber = subscriber
        self._prefix = prefix

    async def send(self, kind: str, session: int, number: int, **units: int) -> Said:
        event = {
            "record_type": f"{kind}_request",
            "session_id": f"{self._subscriber}-{session}",
            "request_number": number,
            "subscriber": self._subscriber,
            "called_number": f"{self._prefix}2071234567",
            **units,
        }
        return said(await self._client.post(json.dumps(event).encode()))

    async def start_all(self, asks: Sequence[int]) -> list[Said]:
        """Start a session for each ask, all at once."""
        starts = [
            self.send("start", session, 0, requested_units=units)
            for session, units in enumerate(asks)
        ]
        return await asyncio.gather(*starts)

    async def release_all(self, started: Sequence[Said]) -> list[Said]:
        """End all that were granted, with all of the grant used."""
        releases = [
            self.send("release", session, 1, used_units=answer.granted_units)
            for session, answer in enumerate(started)
            if answer.granted_units
        ]
        return await asyncio.gather(*releases)


async def test_all_money_is_granted_to_the_last_second(service: Service) -> None:
    """1/1 without a fee, a hundred wallets: Σ granted times price is the balance, exactly."""
    chance = random.Random(64)
    told: list[Said] = []
    async with HttpClient(service.url, connections=SESSIONS) as client:
        for wallet in WALLETS:
            caller = Caller(client, wallet, BY_SECOND)
            # Some 19,000 s of wishes on money for 10,000.
            asks = [chance.randrange(1, 600) for _ in range(SESSIONS)]
            assert sum(asks) * A_SECOND > BALANCE
            started = await caller.start_all(asks)
            assert sum(answer.granted_units for answer in started) * A_SECOND == BALANCE
            assert all(
                answer.granted_units <= ask for answer, ask in zip(started, asks, strict=True)
            )
            assert {a.return_name for a in started if not a.granted_units} <= {"NO_CREDIT"}
            told += started
            released = await caller.release_all(started)
            assert {answer.return_name for answer in released} == {"OK"}
            assert {answer.cost.overrun for answer in released} == {""}
            assert min(answer.balance.available for answer in released) == 0
            told += released
    books = await open_books(service.directory)
    hold_against(books, told)
    assert books.debited == dict.fromkeys(WALLETS, 10_000_000)


async def test_whole_minutes_and_a_fee_leave_less_than_the_least_price(service: Service) -> None:
    """60/60 with a fee: full, full, ..., one with what is left, and the others refused."""
    full_s = 180
    price = FEE + 3 * A_MINUTE
    told: list[Said] = []
    async with HttpClient(service.url, connections=SESSIONS) as client:
        for wallet in WALLETS[:10]:
            caller = Caller(client, wallet, BY_MINUTE)
            started = await caller.start_all([full_s] * SESSIONS)
            grants = sorted((answer.granted_units for answer in started), reverse=True)
            full = int(BALANCE / price)
            # 52 times three minutes with their fee are 9.88; 0.12 are one minute with its fee,
            # and 0.05, for which nobody gets anything.
            assert grants == [full_s] * full + [60] + [0] * (SESSIONS - full - 1)
            refused = [answer for answer in started if not answer.granted_units]
            assert {answer.return_name for answer in refused} == {"NO_CREDIT"}
            assert (
                min(answer.balance.available for answer in started)
                == Decimal("0.05")
                < FEE + A_MINUTE
            )
            told += started
            released = await caller.release_all(started)
            assert {answer.cost.overrun for answer in released} == {""}
            assert min(answer.balance.available for answer in released) == Decimal("0.05")
            told += released
    books = await open_books(service.directory)
    hold_against(books, told)
    assert {books.debited[wallet] for wallet in WALLETS[:10]} == {9_950_000}
