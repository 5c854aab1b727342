"""Calls that were charged while they went on, exported from the journal and rated again."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ocs.adapters.reels.folder import ReelFolder, ReelLimits
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.journal import ValkeyStream, moves_of
from ocs.bootstrap.pricing import opened_tariffs
from ocs.bootstrap.stores import open_stores
from ocs.config.reader import read_settings
from ocs.config.settings import Settings
from ocs.domain.events import Event, ServiceUse
from ocs.domain.results import ResultCode
from ocs.usecases.draining import Drainer, DrainRules
from ocs.usecases.ports import ReverseCall, ReverseReply
from tests.cli.rerate_desk import COLUMNS, GERMANY, HEAD, RerateDesk
from tests.cli.terminal import Terminal
from tests.usecases.charging_desk import ALICE, Desk, told

pytestmark = pytest.mark.slow

PEAK = "# currency = EUR\n# zone = Europe/London\n# model = timed\n# timing.peak = 08:00-18:00\n"
PRICES = "prefix,destination,price,increment,timing\n49,Germany,{},7,peak\n49,Germany,{},60,\n"
CALLS = 60


class OnlineDesk(RerateDesk):
    """Has alice, who is charged by the tariffs `old` in the real store."""

    def __init__(self, terminal: Terminal, folder: Path, server: EmbeddedStore) -> None:
        super().__init__(terminal, folder)
        self.server = server
        for name, peak, night in (("old", "0.07", "0.05"), ("dear", "0.11", "0.05")):
            path = self.folder / name / "calls.csv"
            path.write_text(PEAK + PRICES.format(peak, night), encoding="utf-8")
        (self.folder / "cheap" / "calls.csv").write_text(
            HEAD + COLUMNS + "49,Germany,0.03,0.03,1,1,0.002,\n33,France,0.1,0.1,1,1,0,\n", "utf-8"
        )
        self.create("alice")
        self.terminal.run("credit", "top-up", "alice", "1000", *self.place)

    @property
    def settings(self) -> Settings:
        environment = {
            "OCS_STORE_URL": self.server.url,
            "OCS_STORE_DIRECTORY": str(self.folder / "data"),
        }
        return read_settings(self.config, environment)

    def one(self, kind: str, number: int = 0, **fields: Any) -> Event:
        """An event of the desk's time, of a call to Germany."""
        times = {"event_ms": self.at_ms, "reported_ms": self.at_ms}
        return told(kind, number, rated_number=GERMANY, **times, **fields)

    def reverse(self, transaction_id: str) -> ReverseReply:
        async def reverse() -> ReverseReply:
            async with open_stores(self.settings) as stores:
                call = ReverseCall(wallet=ALICE, transaction_id=transaction_id)
                return await stores.ledger.reverse(call)

        return asyncio.run(reverse())

    def charge(self, *events: Event, reverse: int = -1) -> list[str]:
        """Charge events in their order; reverse one of them at the end. Returns transactions."""

        async def charge() -> list[str]:
            with opened_tariffs(self.settings) as generation:
                async with open_stores(self.settings) as stores:
                    plan = self.settings.plans[0].plan()
                    desk = Desk(stores.ledger, plan, generation, now_ms=self.at_ms)
                    await desk.know()
                    answers = []
                    for event in events:
                        desk.now_ms = event.event_ms
                        answers.append(await desk.charge(event))
                    if reverse >= 0:
                        call = ReverseCall(
                            wallet=ALICE, transaction_id=answers[reverse].transaction_id
                        )
                        assert (await stores.ledger.reverse(call)).amount > 0
                    return [answer.transaction_id for answer in answers]

        return asyncio.run(charge())

    def export(self, to: str = "export") -> str:
        """Drain the journal and export it."""

        async def drain() -> None:
            reels = ReelFolder(self.folder / "data" / "journal", ReelLimits(), moves_of)
            partitions = self.settings.ledger.partitions
            async with open_stores(self.settings) as stores:
                stream = ValkeyStream(stores.connection, partitions, "test")
                drainer = Drainer(stream, reels, DrainRules(partitions=partitions), lambda: 0.0)
                await drainer.begin()
                for partition in range(partitions):
                    await drainer.drain(partition)
                await drainer.conclude()
            reels.close()

        asyncio.run(drain())
        place = ("--dir", str(self.folder / "data"), *self.place)
        folder = self.folder / to
        self.terminal.run("audit", "export", "--to", str(folder), *place)
        return str(folder)


@pytest.fixture
def desk(terminal: Terminal, tmp_path: Path, store_server: EmbeddedStore) -> OnlineDesk:
    return OnlineDesk(terminal, tmp_path, store_server)


def call(chance: Random, name: str, begin_ms: int) -> Iterator[Event]:
    """A call in some reports; who calls whom is told at its start, or all the time."""
    used = [chance.choice([0, 7, 60, chance.randrange(400)]) for _ in range(chance.randint(1, 4))]
    answer_ms = chance.choice([begin_ms, None])
    at_ms = begin_ms
    for number, units in enumerate(used):
        at_ms += 1_000 * units
        kind = "update" if number < len(used) - 1 else "release"
        times = {"event_ms": at_ms, "reported_ms": at_ms, "answer_ms": answer_ms}
        asks = 60 if kind == "update" else None
        yield told(
            kind, number, used=units, asks=asks, session_id=name, rated_number=GERMANY, **times
        )


def calls(chance: Random, day_ms: int) -> list[Event]:
    """Calls of a day, some of them across eight o'clock."""
    events: list[Event] = []
    for number in range(CALLS):
        eight_ms = day_ms + 8 * 3_600_000
        near = chance.choice([eight_ms - chance.randrange(500_000), day_ms])
        begin_ms = near + chance.randrange(1_000_000)
        events += call(chance, f"s{number}", begin_ms)
    return events


def test_by_the_tariffs_of_its_time_everything_costs_what_was_charged(desk: OnlineDesk) -> None:
    """However it was reported, and whatever took over meanwhile."""
    day_ms = desk.at_ms // 86_400_000 * 86_400_000
    desk.charge(*calls(Random(3), day_ms))
    spent = 1_000 - desk.left("alice")
    export = desk.export()
    done = desk.rerate("old", "--online", export, "--apply")
    compared = done["compared"]
    assert CALLS - 10 < compared["uses"] <= CALLS
    assert (compared["changed"], compared["not_applied"], done["page"]) == (0, {}, "")
    done = desk.rerate("cheap", "--online", export, "--apply", "--by", "account")
    (line,) = done["compared"]["lines"]
    assert line["due"] == line["difference"] < 0
    assert 1_000 - desk.left("alice") == pytest.approx(spent + line["due"] / 10**6)
    later = desk.export("later")
    assert desk.rerate("cheap", "--online", later)["compared"]["changed"] == 0
    desk.rerate("dear", "--online", later, "--apply")
    desk.rerate("old", "--online", export, "--apply")
    assert 1_000 - desk.left("alice") == pytest.approx(spent)
    desk.terminal.run("verify", *desk.place)


def test_what_was_given_back_is_left_alone(desk: OnlineDesk) -> None:
    at: dict[str, Any] = {
        "event_ms": desk.at_ms,
        "reported_ms": desk.at_ms,
        "rated_number": GERMANY,
    }
    desk.charge(
        told("release", 0, used=60, session_id="kept", **at),
        told("release", 0, used=60, session_id="reversed", **at),
        reverse=1,
    )
    done = desk.rerate("cheap", "--online", desk.export(), "--apply")
    assert done["compared"]["not_applied"] == {"a transaction of it was reversed": 1}
    (outcome,) = done["outcomes"]
    assert (outcome["account"], outcome["uses"]) == ("alice", 1)


def test_an_event_that_was_adjusted_is_reversed_with_it(desk: OnlineDesk) -> None:
    """As if it had never been, whatever it costs by then; and nothing moves for it any more."""
    (transaction,) = desk.charge(desk.one("event", asks=60, session_id="e"))
    export = desk.export()
    for tariffs in ("cheap", "dear"):
        desk.rerate(tariffs, "--online", export, "--apply")
    assert desk.left("alice") < 1_000
    assert desk.reverse(transaction).code is ResultCode.OK
    assert desk.left("alice") == 1_000
    (outcome,) = desk.rerate("cheap", "--online", export, "--apply", expect=1)["outcomes"]
    assert (outcome["code"], "export it again" in outcome["reason"]) == ("CONFLICT", True)
    done = desk.rerate("cheap", "--online", desk.export("later"), "--apply")
    assert (done["page"], desk.left("alice")) == ("", 1_000)
    desk.terminal.run("verify", *desk.place)


def test_a_session_that_was_adjusted_is_reversed_when_that_was_taken_back(
    desk: OnlineDesk,
) -> None:
    asks = {"asks": 60, "session_id": "s"}
    transactions = desk.charge(
        desk.one("update", 0, used=60, **asks), desk.one("release", 1, used=90, session_id="s")
    )
    export = desk.export()
    desk.rerate("cheap", "--online", export, "--apply")
    moved = desk.left("alice")
    for transaction in transactions:
        reply = desk.reverse(transaction)
        assert (reply.code, "re-rating 0001-" in reply.why) == (ResultCode.CONFLICT, True)
    assert desk.left("alice") == moved
    desk.rerate("old", "--online", export, "--apply")
    assert [desk.reverse(each).code for each in transactions] == [ResultCode.OK] * 2
    assert desk.left("alice") == 1_000


def test_of_an_export_that_is_older_than_a_reversal_nothing_is_moved(desk: OnlineDesk) -> None:
    """For that account; the same from a new export leaves out what was reversed."""
    transactions = desk.charge(
        *(desk.one("release", 0, used=60, session_id=name) for name in ("kept", "gone"))
    )
    export = desk.export()
    desk.reverse(transactions[1])
    left = desk.left("alice")
    (outcome,) = desk.rerate("cheap", "--online", export, "--apply", expect=1)["outcomes"]
    assert (outcome["code"], desk.left("alice")) == ("CONFLICT", left)
    done = desk.rerate("cheap", "--online", desk.export("later"), "--apply")
    assert done["compared"]["not_applied"] == {"a transaction of it was reversed": 1}
    assert [(each["code"], each["uses"]) for each in done["outcomes"]] == [("OK", 1)]
    assert desk.reverse(transactions[0]).code is ResultCode.CONFLICT


def test_what_a_bucket_of_units_paid_is_left_alone(desk: OnlineDesk) -> None:
    bucket = ("--kind", "units", "--usage-type", "voice")
    desk.terminal.run("account", "add-bucket", "alice", "minutes", *bucket, *desk.place)
    desk.terminal.run("credit", "top-up", "alice", "70", "--bucket", "minutes", *desk.place)
    at: dict[str, Any] = {
        "event_ms": desk.at_ms,
        "reported_ms": desk.at_ms,
        "rated_number": GERMANY,
    }
    desk.charge(
        told("release", 0, used=100, session_id="both", **at),
        told("release", 0, used=100, session_id="money", **at),
    )
    done = desk.rerate("cheap", "--online", desk.export(), "--apply")
    assert done["compared"]["not_applied"] == {"a bucket of units paid for it": 1}
    assert [outcome["uses"] for outcome in done["outcomes"]] == [1]


def test_both_kinds_in_one_page(desk: OnlineDesk) -> None:
    """An account whose CDRs are debited and whose data is charged online gets one adjustment."""
    desk.create_for_cdrs("bob")
    rated = desk.run(desk.cdrs("a.csv", ("c", "bob", GERMANY, 60)))
    at: dict[str, Any] = {
        "event_ms": desk.at_ms,
        "reported_ms": desk.at_ms,
        "rated_number": GERMANY,
    }
    services = (ServiceUse("0", 60, None), ServiceUse("1", 30, None))
    desk.charge(told("release", 0, *services, session_id="s", **at))
    options = ("--of", str(rated), "--online", desk.export(), "--by", "account", "--apply")
    done = desk.rerate("cheap", *options)
    assert [(each["account"], each["uses"]) for each in done["outcomes"]] == [
        ("alice", 2),
        ("bob", 1),
    ]
    assert done["compared"]["uses"] == 3
