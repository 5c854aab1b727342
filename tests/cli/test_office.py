"""Commands that work on the store: accounts, subscribers, credits, sessions, the books."""

import asyncio
from fractions import Fraction
from pathlib import Path

import pytest
import typer
from msgspec import Raw

from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.functions import assemble
from ocs.adapters.valkey.keys import PARTITIONS_KEY
from ocs.adapters.valkey.ledger import ValkeyLedger
from ocs.bootstrap import stores
from ocs.cli.office import Office, Place, at_office
from ocs.config.settings import Ledger
from ocs.domain.events import Kind
from ocs.domain.ladder import compile_ladder, packed
from ocs.domain.results import ResultCode
from ocs.domain.wallet import MAIN_PAYER, Payer
from ocs.usecases.ports import (
    ChargeCall,
    ChargeLimits,
    LedgerUnavailable,
    OutcomeUnknown,
    Segment,
    ServiceCall,
    SessionKey,
    encode,
)
from tests.cli.conftest import Execute
from tests.cli.terminal import Terminal


def test_an_account_is_created_shown_and_listed(terminal: Terminal) -> None:
    created = terminal.json("account", "create", "acme", "--currency", "EUR")
    assert created["status"] == "active"
    assert created == terminal.json("account", "show", "acme")
    assert [created] == terminal.json("account", "list")
    assert terminal.rows("account", "create", "acme", "--currency", "EUR") == [
        ["acme", "active", "prepaid", "main", "0.00", "0.00", "0.00", "EUR", "-", "0"]
    ]


def test_a_postpaid_account_shows_its_floor(terminal: Terminal) -> None:
    order = ["account", "create", "acme", "--currency", "JPY", "--kind", "postpaid"]
    shown = terminal.json(*order, "--floor", "-500")
    assert (shown["kind"], shown["floor"]) == ("postpaid", "-500")
    terminal.run("account", "create", "acme", "--currency", "JPY", expect=1)
    assert "exists on other terms" in terminal.stderr


def test_a_blocked_account_can_be_unblocked(terminal: Terminal) -> None:
    terminal.run("account", "create", "acme", "--currency", "EUR")
    assert terminal.json("account", "block", "acme")["status"] == "blocked"
    assert terminal.json("account", "unblock", "acme")["status"] == "active"


def test_a_bucket_is_added_and_filled(terminal: Terminal) -> None:
    terminal.run("account", "create", "acme", "--currency", "EUR")
    order = ["account", "add-bucket", "acme", "night", "--kind", "units", "--usage-type", "voice"]
    shown = terminal.json(*order, "--valid-until", "2030-01-31T00:00:00Z", "--zone", "44")
    _, night = shown["buckets"]
    assert (night["unit"], night["zones"], night["usage_types"]) == ("units", ["44"], ["voice"])
    assert night["valid_until"] == "2030-01-31T00:00:00+00:00"
    terminal.run("credit", "top-up", "acme", "3600", "--bucket", "night")
    assert terminal.rows("account", "show", "acme")[1] == [
        "night", "3600", "0", "3600", "units", "2030-01-31T00:00:00+00:00"
    ]  # fmt: skip
    terminal.run("account", "add-bucket", "acme", "night", expect=1)
    assert "has another bucket night" in terminal.stderr


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (["account", "create", "a/b", "--currency", "EUR"], "account: 'a/b' is no name"),
        (["account", "create", "a", "--currency", "EURO"], "currency: unknown currency"),
        (["account", "create", "a", "--currency", "EUR", "--floor", "-1"], "floor: a prepaid"),
        (["account", "add-bucket", "acme", "main"], "bucket: 'main' is no name"),
        (["account", "add-bucket", "acme", "b", "--kind", "units"], "usage_type: a bucket of"),
        (["account", "add-bucket", "acme", "b", "--usage-type", "x"], "usage_type: 'x' is none"),
        (["account", "add-bucket", "acme", "b", "--valid-from", "soon"], "valid_from: 'soon'"),
        (["subscriber", "create", "4411", "--account", "acme", "--plan", "p"], "plan: there is no"),
        (["subscriber", "create", "", "--account", "acme", "--plan", "standard"], "identity: ''"),
        (["credit", "top-up", "acme", "ten"], "'ten' is not a decimal"),
        (["credit", "refund", "acme", "-1"], "No such option: -1"),
        (["session", "show", "call-1"], "'call-1' is no session_ref"),
    ],
)
def test_a_wrong_order_is_refused_with_its_reason(
    terminal: Terminal, order: list[str], reason: str
) -> None:
    terminal.run("account", "create", "acme", "--currency", "EUR")
    terminal.run(*order, expect=2)
    assert reason in terminal.stderr


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (["account", "show", "x"], "there is no account x of tenant demo"),
        (["account", "show", "acme", "--tenant", "other"], "account acme of tenant other"),
        (["account", "block", "x"], "there is no account x"),
        (["account", "add-bucket", "x", "b"], "there is no account x"),
        (["subscriber", "show", "4411"], "there is no subscriber 4411"),
        (["subscriber", "create", "4411", "--account", "x", "--plan", "standard"], "no account x"),
        (["credit", "top-up", "x", "1"], "there is no account x"),
        (["credit", "adjust", "acme", "-1"], "below its floor"),
        (["session", "show", "demo/acme/acme/call-1"], "there is no session demo/acme/acme/call-1"),
        (["session", "show", "call-1", "--subscriber", "4411"], "there is no subscriber 4411"),
        (["rate", "4420", "-s", "1", "--subscriber", "4411"], "there is no subscriber 4411"),
    ],
)
def test_what_is_not_there_is_said(terminal: Terminal, order: list[str], reason: str) -> None:
    terminal.run("account", "create", "acme", "--currency", "EUR")
    terminal.run(*order, expect=1)
    assert reason in terminal.stderr


def test_an_account_that_was_left_half_made_says_so(terminal: Terminal, execute: Execute) -> None:
    terminal.run("account", "create", "acme", "--currency", "EUR")
    [wallet] = [key for key in _keys(execute) if b"}w:" in key]
    execute("DEL", wallet)
    assert terminal.json("account", "show", "acme")["status"] == "incomplete"
    assert terminal.rows("account", "list")[0][:2] == ["acme", "incomplete"]
    terminal.run("account", "block", "acme", expect=2)
    assert "create it again" in terminal.stderr
    assert terminal.json("account", "create", "acme", "--currency", "EUR")["status"] == "active"


def test_a_subscriber_is_created_shown_and_listed(terminal: Terminal) -> None:
    for account in ("acme", "other"):
        terminal.run("account", "create", account, "--currency", "EUR")
    order = ["subscriber", "create", "+44 1632 970001", "--plan", "standard", "--account"]
    created = terminal.json(*order, "acme")
    assert created == {
        "identity": "441632970001",
        "account": "acme",
        "wallet_group": "acme",
        "plan": "standard",
        "currency": "EUR",
    }
    assert created == terminal.json("subscriber", "show", "sip:+441632970001@example.com")
    assert terminal.rows("subscriber", "list") == [["441632970001", "acme", "standard", "EUR"]]
    terminal.run(*order, "other", expect=1)
    assert "belongs to account acme already" in terminal.stderr
    rated = terminal.json("rate", "4420", "--seconds", "1", "--subscriber", "441632970001")
    assert rated["prefix"] == "44"


def test_a_credit_shows_its_reference_before_it_is_given(terminal: Terminal) -> None:
    terminal.run("account", "create", "acme", "--currency", "EUR")
    assert "10.00 EUR to acme main, 10.00 left" in terminal.run("credit", "top-up", "acme", "10.00")
    assert terminal.stderr.startswith("reference cli:")
    order = ["credit", "adjust", "acme", "-4.50", "--reference", "case-7"]
    assert "adjust done: -4.50 EUR to acme main, 5.50 left" in terminal.run(*order)
    assert "adjust was done before: -4.50 EUR" in terminal.run(*order)
    answer = terminal.json("credit", "refund", "acme", "1", "--reference", "case-8")
    assert (answer["code"], answer["left"], answer["hit"]) == ("OK", "6.50", False)
    conflict = terminal.json("credit", "refund", "acme", "2", "--reference", "case-8", expect=1)
    assert conflict["code"] == "CONFLICT"


def test_sessions_are_listed_and_shown(terminal: Terminal, store_server: EmbeddedStore) -> None:
    terminal.run("account", "create", "acme", "--currency", "EUR")
    terminal.run("subscriber", "create", "4411", "--account", "acme", "--plan", "standard")
    terminal.run("credit", "top-up", "acme", "10")
    minutes = ("--kind", "units", "--usage-type", "voice")
    terminal.run("account", "add-bucket", "acme", "minutes", *minutes)
    terminal.run("credit", "top-up", "acme", "45", "--bucket", "minutes")
    asyncio.run(_open_session(store_server.url))
    [listed] = terminal.json("session", "list", "--state", "open")
    assert listed["session_ref"] == "demo/acme/acme/call-1"
    assert listed["charged"] == "0.00"
    assert terminal.json("session", "list", "--state", "closed") == []
    assert listed == terminal.json("session", "show", "demo/acme/acme/call-1")
    assert listed == terminal.json("session", "show", "call-1", "--subscriber", "4411")
    assert terminal.rows("session", "list")[0][:2] == ["demo/acme/acme/call-1", "open"]
    shown = terminal.run("session", "show", "demo/acme/acme/call-1")
    assert "holds 0.06 EUR of main for rating group 0" in shown
    assert "holds 45 units of minutes for rating group 0" in shown
    assert listed["deadline"]
    asyncio.run(_close_session(store_server.url))
    [closed] = terminal.json("session", "list")
    assert (closed["state"], closed["deadline"], closed["holds"]) == ("closed", "", [])


async def _open_session(url: str) -> None:
    """A start that asks for a minute: 45 s from a bucket, and 15 s of a minute for 0.06."""
    await _charge(url, Kind.START, 0, 60)


async def _close_session(url: str) -> None:
    await _charge(url, Kind.RELEASE, 1, 0)


async def _charge(url: str, kind: Kind, number: int, ask_units: int) -> None:
    library = assemble()
    price = compile_ladder(Fraction(0), [(0, 60, Fraction(60_000))])
    minute = ServiceCall(
        rating_group="0",
        used_units=0,
        ask_units=ask_units,
        cap_units=ask_units,
        minimum_units=1,
        timed=1,
        free=0,
        subject="44",
        payers=(Payer("minutes", 1, 1), MAIN_PAYER),
        segments=(Segment(0, Raw(encode(packed(price))), ""),),
    )
    async with Connection(url, library=library) as connection:
        ledger = ValkeyLedger(connection, Ledger().partitions, library)
        call = ChargeCall(
            session=SessionKey("demo", "acme", "acme", "call-1"),
            kind=kind,
            request_number=number,
            request_key="",
            fingerprint="f",
            wallet_version=2,
            event_ms=1,
            answer_ms=0,
            answered=False,
            dry_run=False,
            can_open=True,
            limits=ChargeLimits(),
            services=(minute,),
        )
        assert (await ledger.charge(call)).code is ResultCode.OK


def test_the_books_are_right_until_somebody_meddles(terminal: Terminal, execute: Execute) -> None:
    terminal.run("account", "create", "acme", "--currency", "EUR")
    terminal.run("credit", "top-up", "acme", "10")
    assert terminal.run("verify").startswith(
        "verified 1 wallets, 0 sessions (0 open) and 2 journal"
    )
    assert terminal.json("verify")["findings"] == []
    [journal] = [key for key in _keys(execute) if key.endswith(b"}j")]
    execute("DEL", journal)
    assert "journal = wallets" in terminal.run("verify", expect=1)
    assert "the books are NOT right: 1 findings" in terminal.stderr


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (LedgerUnavailable("hung"), "the store did nothing: hung"),
        (OutcomeUnknown("lost"), "whether it was done is not known, do the same again: lost"),
    ],
)
def test_a_fault_says_what_to_do(
    terminal: Terminal,
    store_server: EmbeddedStore,
    fault: Exception,
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def work(_: Office) -> None:
        raise fault

    terminal.run("account", "list")
    with pytest.raises(typer.Exit):
        at_office(Place(store=store_server.url), work)
    assert capsys.readouterr().err.strip() == told


def _keys(execute: Execute) -> list[bytes]:
    keys = execute("KEYS", "*")
    assert isinstance(keys, list)
    return keys


def test_no_store_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "START_PATIENCE_S", 0.05)
    terminal = Terminal()
    terminal.run("account", "list", "--store", f"unix://{tmp_path}/none.sock", expect=1)
    [line] = terminal.stderr.splitlines()
    assert "is `ocs serve` running" in line


@pytest.mark.parametrize(("kept", "told"), [("256", "an earlier form"), ("256 form 99", "form 99")])
def test_records_of_another_version_are_not_touched(
    terminal: Terminal, execute: Execute, kept: str, told: str
) -> None:
    execute("SET", PARTITIONS_KEY, kept)
    terminal.run("account", "create", "acme", "--currency", "EUR", expect=1)
    assert f"the store holds records of {told}, and this version of ocs reads" in terminal.stderr
    assert _keys(execute) == [PARTITIONS_KEY.encode()]


def test_a_store_of_somebody_else_is_not_touched(terminal: Terminal, execute: Execute) -> None:
    execute("DEL", PARTITIONS_KEY)
    terminal.run("account", "create", "acme", "--currency", "EUR", expect=1)
    assert "never used by `ocs serve`" in terminal.stderr
    assert _keys(execute) == []
