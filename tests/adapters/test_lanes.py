"""Many commands over several links: replies in order, one lane a partition, nothing lost with one.

On the real store: a side link that is cut in the middle of an array costs no charge, and none twice.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import msgspec
import pytest

from ocs.adapters.valkey.books import ValkeyBooks
from ocs.adapters.valkey.connection import Connection, StoreUnavailable
from ocs.adapters.valkey.embedded import EmbeddedStore, socket_path
from ocs.adapters.valkey.functions import assemble
from ocs.adapters.valkey.keys import partition_of
from ocs.adapters.valkey.lanes import SIDE_LINKS, Lanes
from ocs.adapters.valkey.ledger import ValkeyLedger
from ocs.adapters.valkey.pipeline import Replies
from ocs.domain.results import ResultCode
from ocs.domain.wallet import MAIN_BUCKET
from ocs.usecases.addresses import wallet_address
from ocs.usecases.ports import (
    ChargeCall,
    CreditCall,
    Reply,
    SessionKey,
    WalletDefinition,
    WalletKey,
)
from ocs.usecases.verification import verify
from tests.adapters import calls
from tests.adapters.cutting_proxy import CuttingProxy, Direction
from tests.together import outcomes

MANY = 40
AWAY = StoreUnavailable("not connected")


class Link(Connection):
    """Answers each command with the link's name and its bytes; or has no room for any."""

    def __init__(self, name: str, *, takes: bool = True) -> None:
        super().__init__("unix:///nowhere.sock")
        self.name = name
        self.takes = takes
        self.is_connected = True
        self.is_closed = False
        self.sent: list[bytes] = []

    @property
    def connected(self) -> bool:
        return self.is_connected

    def start(self) -> None:
        """Be there."""

    async def close(self) -> None:
        self.is_closed = True

    def execute_all(self, commands: Sequence[bytes]) -> Replies | None:
        if not self.takes:
            return None
        self.sent += commands
        replies = Replies(len(commands), asyncio.get_running_loop())
        replies.set_result([f"{self.name} {command.decode()}" for command in commands])
        return replies

    def execute_packed(self, _command: bytes) -> asyncio.Future:  # type: ignore[type-arg]
        future = asyncio.get_running_loop().create_future()
        future.set_exception(AWAY)
        return future


class Desk:
    """Lanes of a main link `0` and side links `1`, `2`, `3`; then `4` and so on."""

    def __init__(self, *, takes: bool = True, side_takes: bool = True) -> None:
        self.main = Link("0", takes=takes)
        self.side: list[Link] = []
        self.lanes = Lanes(self.main, self._make_side)
        self._side_takes = side_takes

    def _make_side(self) -> Connection:
        self.side.append(Link(str(len(self.side) + 1), takes=self._side_takes))
        return self.side[-1]

    async def sent(self, partitions: Sequence[int]) -> list[object]:
        asked = self.lanes.execute_all(many(len(partitions)), partitions)
        assert asked is not None
        return list(await asked)


def many(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


async def test_few_commands_stay_together_on_the_main_link() -> None:
    desk = Desk()
    assert await desk.sent(range(32)) == [f"0 {number}" for number in range(32)]
    assert not desk.side, "and open nothing"


async def test_many_go_over_all_and_are_answered_in_their_order() -> None:
    desk = Desk()
    assert await desk.sent(range(MANY)) == [f"{number % 4} {number}" for number in range(MANY)]
    assert [len(link.sent) for link in (desk.main, *desk.side)] == [MANY // 4] * 4


async def test_a_partition_keeps_its_order_on_one_lane() -> None:
    desk = Desk()
    await desk.sent([7, 4] * MANY)
    assert desk.side[2].sent == many(2 * MANY)[::2]
    assert desk.main.sent == many(2 * MANY)[1::2]


async def test_without_side_links_all_go_over_the_main_one() -> None:
    main = Link("0")
    asked = Lanes(main).execute_all(many(MANY), range(MANY))
    assert asked is not None
    assert len(await asked) == len(main.sent) == MANY


async def test_a_side_link_that_is_away_has_no_part() -> None:
    desk = Desk()
    await desk.sent(range(MANY))
    desk.side[0].is_connected = desk.side[2].is_connected = False
    replies = await desk.sent(range(MANY))
    assert replies == [f"{number % 2 * 2} {number}" for number in range(MANY)]
    desk.side[1].is_connected = False
    assert await desk.sent(range(MANY)) == [f"0 {number}" for number in range(MANY)]


async def test_what_a_side_link_does_not_take_goes_over_the_main_one() -> None:
    desk = Desk(side_takes=False)
    assert await desk.sent(range(MANY)) == [f"0 {number}" for number in range(MANY)]


async def test_when_no_link_takes_it_each_has_a_fate_of_its_own() -> None:
    replies = await Desk(takes=False).sent(range(MANY))
    told = [f"{number % 4} {number}" for number in range(MANY)]
    assert replies == [AWAY if number % 4 == 0 else told[number] for number in range(MANY)]


async def test_without_the_main_link_nothing_is_sent() -> None:
    desk = Desk(takes=False)
    desk.main.is_connected = False
    assert desk.lanes.execute_all(many(MANY), range(MANY)) is None
    assert not desk.side


async def test_side_links_are_closed_when_no_array_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocs.adapters.valkey.lanes.IDLE_S", 0.05)
    desk = Desk()
    for _ in range(4):
        await desk.sent(range(MANY))
        await asyncio.sleep(0.03)
    assert len(desk.side) == 3, "in use they stay"
    await asyncio.sleep(0.15)
    assert all(link.is_closed for link in desk.side)
    await desk.sent(range(MANY))
    assert len(desk.side) == 6, "and the next array opens others"


async def test_side_links_do_not_outlive_the_main_one() -> None:
    desk = Desk()
    await desk.sent(range(MANY))
    desk.main.reconnects += 1
    await desk.sent(range(MANY))
    await asyncio.sleep(0)
    assert [link.is_closed for link in desk.side] == [True] * 3 + [False] * 3


async def test_once_closed_no_side_link_is_opened() -> None:
    desk = Desk()
    await desk.sent(range(MANY))
    await desk.lanes.close()
    assert all(link.is_closed for link in desk.side)
    await desk.sent(range(MANY))
    assert len(desk.side) == 3


# --- On the store --------------------------------------------------------------------------------

WALLETS = [WalletKey("demo", f"w{number}") for number in range(60)]
# Of the first bytes on a side link, of the middle of an array's part, and of its last ones.
CUTS: list[tuple[Direction, int]] = [
    *(("sent", after) for after in (0, 1, 700, 9_000, 17_000)),
    *(("answered", after) for after in (0, 1, 90, 1_500, 3_000)),
]


class Real:
    """A ledger over a main link, and side ones that lead through a proxy, which can cut them."""

    def __init__(self, main: Connection, proxy: CuttingProxy) -> None:
        self.main = main
        self.proxy = proxy
        self.side: list[Connection] = []
        self.lanes = Lanes(main, self._make_side)
        self.ledger = ValkeyLedger(main, 256, assemble(), lanes=self.lanes)

    async def all_connected(self) -> None:
        for link in self.side[-SIDE_LINKS:]:
            await link.wait_connected(5)

    def _make_side(self) -> Connection:
        self.side.append(Connection(f"unix://{self.proxy.path}", library=assemble()))
        return self.side[-1]


@pytest.fixture
async def real(store_server: EmbeddedStore, tmp_path: Path) -> AsyncIterator[Real]:
    library = assemble()
    server_path = socket_path(store_server.directory)
    async with (
        Connection(store_server.url, library=library) as main,
        CuttingProxy(tmp_path / "proxy", server_path) as proxy,
    ):
        await main.execute("FLUSHALL")
        real = Real(main, proxy)
        definition = WalletDefinition(version=1, currency="EUR", buckets=(MAIN_BUCKET,))
        for wallet in WALLETS:
            assert await real.ledger.define(wallet, definition)
            credit = CreditCall(wallet=wallet, bucket="main", amount=10_000, reference="r")
            await real.ledger.credit(credit)
        await charged(real.ledger, starts("opens side links"))
        await real.all_connected()
        yield real
        await real.lanes.close()


def starts(name: str) -> list[ChargeCall]:
    return [
        calls.call(
            "start",
            0,
            calls.use(0, 60),
            session=SessionKey(wallet.tenant, wallet.wallet_group, wallet.wallet_group, name),
        )
        for wallet in WALLETS
    ]


async def charged(ledger: ValkeyLedger, these: Sequence[ChargeCall]) -> list[Reply]:
    replies = await outcomes(await ledger.charge_all(these))
    for reply in replies:
        assert isinstance(reply, Reply), reply
    return cast("list[Reply]", replies)


async def test_an_array_over_several_links_is_what_single_charges_are(real: Real) -> None:
    lanes = {partition_of(wallet_address(wallet), 256) % 4 for wallet in WALLETS}
    assert lanes == {0, 1, 2, 3}, "every lane has its part"
    these = starts("s")
    for call, reply in zip(these, await charged(real.ledger, these), strict=True):
        assert reply.code is ResultCode.OK
        assert await real.ledger.charge(call) == msgspec.structs.replace(reply, hit=True)


async def test_side_links_that_are_cut_lose_nothing_and_charge_nothing_twice(real: Real) -> None:
    for number, (direction, after) in enumerate(CUTS):
        await real.all_connected()
        these = starts(f"cut{number}")
        real.proxy.cut(direction, after)
        replies = await charged(real.ledger, these)
        again = await charged(real.ledger, these)
        assert [one.result for one in replies] == [one.result for one in again]
        assert all(one.hit for one in again)
    assert real.proxy.cuts == len(CUTS)
    for wallet in WALLETS:
        found = await real.ledger.balance(wallet)
        assert found is not None
        (main,) = found.balances
        assert (found.open_sessions, main.held) == (len(CUTS) + 1, len(CUTS) * 60 + 60)
    report = await verify(ValkeyBooks(real.main))
    assert report.clean, report.findings
