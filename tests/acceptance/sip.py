"""Kamailio with the configuration that is shipped, and SIPp at both ends of its calls.

All of it on loopback, on ports that were free a moment ago, with files in a folder of the test.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from tests.acceptance.service import PATIENCE_S, ROOT, until

CONFIGURATION = ROOT / "deploy/kamailio/kamailio.cfg"
SCENARIOS = ROOT / "tests/data/sip"
LOOPBACK = "127.0.0.1"

# Debian's Kamailio lies where only root looks.
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
_POSTED = re.compile(r"ocs-(answer|no-answer): (\{.*\})$", re.MULTILINE)


def program(name: str) -> str | None:
    return shutil.which(name, path=_PATH)


def missing() -> list[str]:
    """Name the programs and modules that are not installed."""
    programs = [name for name in ("kamailio", "sipp") if program(name) is None]
    if "kamailio" in programs:
        return programs
    command = [str(program("kamailio")), "-c", "-f", str(CONFIGURATION)]
    check = subprocess.run(command, capture_output=True, text=True, check=False)
    modules = re.findall(r"could not find module <(\w+)", check.stderr)
    return [*programs, *(f"Kamailio's module {module}" for module in modules)]


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


class Program:
    """A program in a process group of its own, with its output in a file."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self.log_file = folder / f"{name}.log"
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                (str(program(arguments[0])), *arguments[1:]),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def alive(self) -> bool:
        assert self.process.poll() is None, self.log()
        return True

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def sweep_away(self) -> None:
        """End it; it ends its children, or else they are ended with it."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def sipp_options(port: int) -> tuple[str, ...]:
    """Keep all of its sockets on loopback, the control port included."""
    control = ("-ci", LOOPBACK, "-cp", str(free_port()))
    media = ("-mi", LOOPBACK, "-mp", str(free_port()))
    return ("-i", LOOPBACK, "-p", str(port), *control, *media, "-nostdin", "-trace_err")


class Posted(Struct, frozen=True):
    """A line of Kamailio's log: a request, and what became of it."""

    answered: bool
    fields: Mapping[str, Any]

    @property
    def call_id(self) -> str:
        return str(self.fields["call_id"])

    @property
    def session_id(self) -> str:
        return str(self.fields["session_id"])

    @property
    def number(self) -> int:
        return int(self.fields["request_number"])

    @property
    def used(self) -> int:
        return int(self.fields.get("used_units", 0))

    @property
    def kind(self) -> str:
        return str(self.fields["record_type"]).removesuffix("_request")


class Kamailio(Program):
    """The proxy; it charges at `url`."""

    def __init__(self, folder: Path, url: str, credential: str = "", **settings: str) -> None:
        self.port, self.carrier_port = free_port(), free_port()
        settings |= {
            "LISTEN": f"udp:{LOOPBACK}:{self.port}",
            "CARRIER": f'"sip:{LOOPBACK}:{self.carrier_port}"',
            "OCS_SERVER": f'"ocs=>{url}"',
        }
        if credential:
            settings["OCS_URL"] = f'"{url}/realtime"'
            settings["OCS_AUTHORIZATION"] = f'"Authorization: Bearer {credential}"'
        defines = [word for name, text in settings.items() for word in ("-A", f"{name}={text}")]
        where = ("-f", str(CONFIGURATION), "-Y", str(folder), "-w", str(folder))
        name = f"kamailio-{self.port}"
        super().__init__(folder, name, "kamailio", *where, "-DD", "-E", *defines)
        try:
            until(lambda: self.alive() and self._answers(), "Kamailio")
        except BaseException:
            self.sweep_away()
            raise

    def _answers(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
            phone.bind((LOOPBACK, 0))
            phone.settimeout(0.2)
            here = f"{LOOPBACK}:{phone.getsockname()[1]}"
            lines = (
                f"OPTIONS sip:{LOOPBACK}:{self.port} SIP/2.0",
                f"Via: SIP/2.0/UDP {here};branch=z9hG4bK-ready-{here}",
                f"From: <sip:ready@{here}>;tag=1",
                f"To: <sip:{LOOPBACK}:{self.port}>",
                f"Call-ID: ready@{here}",
                "CSeq: 1 OPTIONS",
                "Max-Forwards: 70",
                "Content-Length: 0",
            )
            text = "\r\n".join((*lines, "", ""))
            with contextlib.suppress(OSError):
                phone.sendto(text.encode(), (LOOPBACK, self.port))
                return phone.recv(2048).startswith(b"SIP/2.0 200")
        return False

    def posted(self) -> list[Posted]:
        """What it has posted so far, in the order of the answers."""
        return [
            Posted(answered=what == "answer", fields=json.loads(fields))
            for what, fields in _POSTED.findall(self.log())
        ]

    def answered(self, call_ids: Iterable[str]) -> dict[str, list[Posted]]:
        """Give the answered requests of these calls."""
        found: dict[str, list[Posted]] = {call_id: [] for call_id in call_ids}
        for one in self.posted():
            if one.answered and one.call_id in found:
                found[one.call_id].append(one)
        return found


class Callee(Program):
    """Takes all calls of a Kamailio, until it is swept away."""

    def __init__(self, folder: Path, port: int) -> None:
        scenario = str(SCENARIOS / "callee.xml")
        super().__init__(folder, "callee", "sipp", "-sf", scenario, *sipp_options(port))
        wanted = f":{port:04X} "
        table = Path("/proc/net/udp")
        until(lambda: self.alive() and wanted in table.read_text("ascii"), "the callee")


class Call(Struct, frozen=True):
    """What SIPp noted of one call: `how` it ended, and how long it lasted."""

    call_id: str
    how: str
    duration_s: float


class Switch(Protocol):
    """Where calls come in."""

    port: int


class Caller(Program):
    """Places calls: who dials what, `rate` a second, each for `hold_s` seconds."""

    def __init__(
        self,
        folder: Path,
        switch: Switch,
        calls: list[tuple[str, str]],
        *,
        hold_s: float,
        rate: int = 10,
    ) -> None:
        self.name = f"caller-{len(list(folder.glob('caller-*.csv')))}"
        scenario = folder / f"{self.name}.xml"
        template = (SCENARIOS / "caller.xml").read_text(encoding="utf-8")
        scenario.write_text(
            template.replace("HOLD_MS", str(round(hold_s * 1000))), encoding="utf-8"
        )
        lines = ["SEQUENTIAL", *(f"{who};{number};" for who, number in calls)]
        numbers = folder / f"{self.name}.csv"
        numbers.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.notes = folder / f"{self.name}.notes"
        count = str(len(calls))
        super().__init__(
            folder,
            self.name,
            *("sipp", "-sf", str(scenario), *sipp_options(free_port()), "-inf", str(numbers)),
            *("-m", count, "-l", count, "-r", str(rate)),
            *("-trace_logs", "-log_file", str(self.notes)),
            f"{LOOPBACK}:{switch.port}",
        )

    def noted(self) -> list[list[str]]:
        if not self.notes.exists():
            return []
        return [line.split() for line in self.notes.read_text(encoding="utf-8").splitlines()]

    def calls(self) -> list[Call]:
        """Wait until all calls are over; SIPp found nothing amiss."""
        code = self.process.wait(PATIENCE_S)
        assert code == 0, f"sipp ended with {code}: {self.log()[-2000:]}"
        return list(_paired(self.noted()))


def _paired(notes: list[list[str]]) -> Iterator[Call]:
    answered: dict[str, int] = {}
    for call_id, what, at_ms in notes:
        if what == "answered":
            answered[call_id] = int(at_ms)
        else:
            spent_ms = int(at_ms) - answered.get(call_id, int(at_ms))
            yield Call(call_id, what, spent_ms / 1000)
