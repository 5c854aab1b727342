"""The language of the table of outcomes: a line is one request, and all that it must be told.

    start 0 asks 60     ->  200 OK granted 60              | 0.94 held 0.06
    │     │ │               │   │  │                         │    └ what sessions hold
    │     │ └ what it says  │   │  └ what else is answered   └ what may still be spent
    │     └ request number  └───┴ HTTP status and code

*Says:* `asks n`, `used n`, `answered`, `aged n` (its event_time is n seconds ago), `to fee` (the
destination; `minute` unless named).
*Answered:* `granted n`, `final`, `settled x`, `overrun x`, `parked` (settled: false), `hit` (an
earlier request's answer), `names n` (the transaction of request n). What is not written must not
be: no grant, nothing settled, no hit.

Two lines are no requests: `top-up x`, and `silence` until the session has expired.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.acceptance.service import Client, until
from tests.cli.terminal import Terminal

NUMBERS = {
    "minute": "442071234567",
    "second": "342071234567",
    "fee": "332071234567",
    "blocked": "532071234567",
    "unpriced": "992071234567",
}
_WITH_A_VALUE = frozenset({"granted", "settled", "overrun", "names"})
_ZEROS = frozenset({"0", "0.00"})


class Told(Struct):
    """One answer in the words of the table."""

    outcome: str
    said: dict[str, str]
    balance: str


class Place(Struct, frozen=True):
    """Where a service was started with what; commands need to know."""

    config: Path
    directory: Path

    def run(self, *words: str) -> str:
        """Run a command of `ocs`."""
        place = ("--config", str(self.config), "--dir", str(self.directory))
        return Terminal().run(*words, *place)

    def shown(self, *words: str) -> dict[str, Any]:
        """Run a command that shows something."""
        shown: dict[str, Any] = json.loads(self.run(*words, "--json"))
        return shown


class Case:
    """One session of one subscriber, who has an account of that name."""

    def __init__(self, client: Client, place: Place, subscriber: str, usage_type: str) -> None:
        self._client = client
        self._place = place
        self._subscriber = subscriber
        self._usage_type = usage_type
        self._session = f"call-of-{subscriber}"
        self._request_of: dict[str, str] = {}

    def play(self, text: str) -> None:
        """Play all lines; an AssertionError names the one that went otherwise."""
        for line in filter(None, map(str.strip, text.splitlines())):
            words = line.split()
            if words[0] == "top-up":
                self._place.run("credit", "top-up", self._subscriber, words[1])
            elif words[0] == "silence":
                until(self._is_expired, "the session to expire")
            else:
                asked, _, expected = line.partition("->")
                assert self._ask(asked.split()) == _expected(expected), line

    def _ask(self, words: list[str]) -> Told:
        kind, number, *rest = words
        event = {
            "record_type": f"{kind}_request",
            "session_id": self._session,
            "request_number": int(number),
            "subscriber": self._subscriber,
            "usage_type": self._usage_type,
            "called_number": NUMBERS["minute"],
            **dict(_fields(rest)),
        }
        status, headers, answer = self._client.exchange(json.dumps(event).encode())
        cost = answer.get("cost", {})
        said = {
            "granted": str(answer["granted_units"]),
            "final": "yes" if answer.get("final_unit") else "0",
            "settled": cost.get("settled", "0"),
            "overrun": cost.get("overrun", "0"),
            "parked": "0" if answer.get("settled", True) else "yes",
            "hit": "yes" if headers.get("Idempotency-Hit") else "0",
            "names": self._names(answer.get("transaction_id", ""), number),
        }
        said = {word: value for word, value in said.items() if value not in _ZEROS}
        return Told(f"{status} {answer['return_name']}", said, self._balance(answer))

    def _names(self, transaction_id: str, number: str) -> str:
        """Return the request that a transaction is of; "0" where it is a new one, or none."""
        if not transaction_id:
            return "0"
        first = self._request_of.setdefault(transaction_id, f"#{number}")
        return "0" if first == f"#{number}" else first

    def _balance(self, answer: dict[str, Any]) -> str:
        """Return what the answer says; where it says nothing, what the account has."""
        balance = answer.get("balance")
        if balance is None:
            (balance,) = self._place.shown("account", "show", self._subscriber)["buckets"]
        return f"{balance['available']} held {balance['held']}"

    def _is_expired(self) -> bool:
        options = ("--subscriber", self._subscriber)
        shown = self._place.shown("session", "show", self._session, *options)
        return bool(shown["state"] == "expired")


def _fields(words: list[str]) -> Iterator[tuple[str, object]]:
    rest = iter(words)
    for word in rest:
        match word:
            case "asks":
                yield "requested_units", int(next(rest))
            case "used":
                yield "used_units", int(next(rest))
            case "to":
                yield "called_number", NUMBERS[next(rest)]
            case "aged":
                yield "event_time", int(time.time()) - int(next(rest))
            case "answered":
                yield "answered", True
            case _:
                raise AssertionError(f"{word!r} is no word of a request")


def _expected(text: str) -> Told:
    outcome, _, balance = text.partition("|")
    status, code, *rest = outcome.split()
    words = iter(rest)
    said = {word: next(words) if word in _WITH_A_VALUE else "yes" for word in words}
    return Told(f"{status} {code}", said, " ".join(balance.split()))
