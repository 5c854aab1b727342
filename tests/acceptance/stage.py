"""A stage for real calls: the service, a switch that asks it, somebody who picks up, and callers.

A second costs a cent, so that what a switch has reported can be held against the wallets by eye.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Protocol

from tests.acceptance.bookkeeping import Ledgered, open_books
from tests.acceptance.own_prices import Prices, write_configuration
from tests.acceptance.service import Service, run
from tests.acceptance.sip import Callee, Caller

LONDON, PREMIUM, BUSY = "442071234567", "449098790000", "442071230486"
CENT = 10_000
"""In the ledger's millionths: the price of a second."""
QUOTA_S = 4
STEADY, POOR, BROKE = "441632960001", "441632960002", "441632960003"
FIRST, SECOND, THIRD, BLOCKED = (f"44163296000{n}" for n in range(4, 8))
CROWD = [f"4416329602{n:02}" for n in range(20)]
NOBODY = "441632969999"
WALLETS = {
    **dict.fromkeys([STEADY, FIRST, SECOND, THIRD, BLOCKED, *CROWD], "10.00"),
    POOR: "0.07",
    BROKE: "0.00",
}


class Switch(Protocol):
    """What stands between callers and the callee."""

    port: int
    carrier_port: int

    def sweep_away(self) -> None: ...


class MakeSwitch(Protocol):
    def __call__(self, folder: Path, url: str) -> Switch: ...


class Stage:
    """Sets the scene; whatever becomes of it, `sweep_away` leaves nothing."""

    def __init__(self, folder: Path, make_switch: MakeSwitch, credential: str = "") -> None:
        self.folder = folder
        self.configuration = _configuration(folder / "config", credential)
        self._ends = contextlib.ExitStack()
        with contextlib.ExitStack() as ends:
            self.service = self._serve("0")
            ends.callback(self._end_the_service)
            self._switch = make_switch(folder, self.service.url)
            ends.callback(self._switch.sweep_away)
            callee = Callee(folder, self._switch.carrier_port)
            ends.callback(callee.sweep_away)
            self._ends = ends.pop_all()

    def _serve(self, port: str) -> Service:
        options = ("--config", str(self.configuration), "--port", port)
        return Service(self.folder / "var", *options)

    def _end_the_service(self) -> None:
        self.service.sweep_away()  # the last one that was started

    def dial(self, *calls: tuple[str, str], hold_s: float = 1, rate: int = 10) -> Caller:
        caller = Caller(self.folder, self._switch, list(calls), hold_s=hold_s, rate=rate)
        self._ends.callback(caller.sweep_away)
        return caller

    def block(self, subscriber: str) -> None:
        where = ("--config", str(self.configuration), "--dir", str(self.folder / "var"))
        assert run("account", "block", subscriber, *where).returncode == 0

    def kill_the_service(self) -> int:
        """Kill its processes and its store, all at once; the port at which it was."""
        for pid in (self.service.store(), *self.service.workers(), self.service.process.pid):
            os.kill(pid, signal.SIGKILL)
        self.service.end()
        return self.service.port

    def serve_again(self, port: int) -> None:
        self.service = self._serve(str(port))

    def books(self) -> Ledgered:
        """Read the books when all calls are over: they are right, and nothing is held."""
        where = ("--config", str(self.configuration), "--dir", str(self.folder / "var"))
        verified = run("verify", *where)
        assert verified.returncode == 0, verified.stdout
        still_open = run("session", "list", "--state", "open", "--json", *where)
        assert json.loads(still_open.stdout) == [], still_open.stderr
        return asyncio.run(open_books(self.folder / "var"))

    def sweep_away(self) -> None:
        self._ends.close()


def _configuration(folder: Path, credential: str) -> Path:
    voice = ("44,Britain,0.60,0.60,1,1,0,0", "4490987,Premium,0,0,1,1,0,1")
    file = write_configuration(folder, Prices(voice=voice), WALLETS)
    text = file.read_text(encoding="utf-8")
    text = text.replace("quota_units = { voice = 300 }", f"quota_units = {{ voice = {QUOTA_S} }}")
    if credential:
        digest = hashlib.sha256(credential.encode()).hexdigest()
        roles = 'roles = ["charge", "operate"]\ntenants = ["demo"]'
        text += f'\n[[credentials]]\nname = "sbc"\ntoken_sha256 = "{digest}"\n{roles}\n'
    file.write_text(text, encoding="utf-8")
    return file
