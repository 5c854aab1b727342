"""Asterisk with the configuration that is shipped, on loopback and in a folder of the test."""

import contextlib
import re
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl

from msgspec import Struct

from tests.acceptance.service import PATIENCE_S, ROOT, until
from tests.acceptance.sip import LOOPBACK, Program, free_port, program

SHIPPED = ROOT / "deploy/asterisk"
OLDEST = (20, 6)
"""PJSIPHangup came with it."""

_VERSION = re.compile(r"Asterisk (\d+)\.(\d+)")
_POSTED = re.compile(r"ocs-(answer|no-answer): (\S.*?)\r?$", re.MULTILINE)


def missing() -> list[str]:
    """Name the programs that are not installed, or too old."""
    programs = [name for name in ("asterisk", "sipp") if program(name) is None]
    if "asterisk" in programs:
        return programs
    command = [str(program("asterisk")), "-V"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    version = _VERSION.search(said)
    if version is None or tuple(map(int, version.groups())) < OLDEST:
        programs.append("Asterisk 20.6 or later")
    return programs


class Told(Struct, frozen=True):
    """A request that was posted: seconds used since the answer, and what became of it."""

    call_id: str
    kind: str
    number: int
    used_s: float
    outcome: str
    granted_units: int
    final_unit: bool

    @classmethod
    def of(cls, line: str) -> "Told":
        said = dict(parse_qsl(line, keep_blank_values=True))
        return cls(
            call_id=said.get("callid", ""),
            kind=said["record_type"],
            number=int(said["number"]),
            used_s=float(said.get("billsec", "0")),
            outcome=said["return_name"],
            granted_units=int(said.get("granted_units", "0")),
            final_unit=said.get("final_unit") == "true",
        )


class Asterisk(Program):
    """The switch; it charges at `url`."""

    def __init__(self, folder: Path, url: str, **settings: str) -> None:
        self.port, self.carrier_port = free_port(), free_port()
        self.home = folder / f"asterisk-{self.port}"
        settings["OCS_URL"] = f"{url}/realtime?source=asterisk"
        self._configure(settings)
        self._run()

    def _run(self) -> None:
        options = ("-C", str(self.home / "asterisk.conf"), "-f", "-n")
        super().__init__(self.home, "asterisk", "asterisk", *options)
        try:
            until(lambda: self.alive() and self.log().count("Asterisk Ready.") > 0, "Asterisk")
        except BaseException:
            self.sweep_away()
            raise

    def run_again(self) -> None:
        """End it and start it anew, with what it has in its database."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)
        self.log_file.rename(self.home / "asterisk.log.1")
        self._run()

    def command(self, text: str) -> str:
        command = (str(program("asterisk")), "-C", str(self.home / "asterisk.conf"), "-rx", text)
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=PATIENCE_S
        ).stdout

    def told(self, call_ids: Iterable[str]) -> dict[str, list[Told]]:
        """Give the answered requests of these calls."""
        found: dict[str, list[Told]] = {call_id: [] for call_id in call_ids}
        for one in self.posted("answer"):
            if one.call_id in found:
                found[one.call_id].append(one)
        return found

    def posted(self, how: str) -> list[Told]:
        """Give what it has posted so far, with an `answer` or with `no-answer`."""
        logs = [*sorted(self.home.glob("asterisk.log.*")), self.log_file]
        text = "".join(log.read_text(encoding="utf-8", errors="replace") for log in logs)
        return [Told.of(line) for what, line in _POSTED.findall(text) if what == how]

    def _configure(self, settings: dict[str, str]) -> None:
        for name in ("var", "run", "spool", "log"):
            (self.home / name).mkdir(parents=True)
        for file in SHIPPED.glob("*.conf"):
            text = file.read_text(encoding="utf-8")
            if file.name == "ocs-settings.conf":
                for name, value in settings.items():
                    text, count = re.subn(rf"(?m)^{name} =.*$", f"{name} = {value}", text)
                    assert count == 1, name
            if file.name == "pjsip.conf":
                text = text.replace("127.0.0.1:5060", f"{LOOPBACK}:{self.port}")
                text = text.replace("127.0.0.1:5070", f"{LOOPBACK}:{self.carrier_port}")
            (self.home / file.name).write_text(text, encoding="utf-8")
        (self.home / "asterisk.conf").write_text(self._directories(), encoding="utf-8")
        # To the terminal, where the test finds what was posted.
        logger = "[logfiles]\nconsole => notice,warning,error\n"
        (self.home / "logger.conf").write_text(logger, encoding="utf-8")

    def _directories(self) -> str:
        folders = {
            "astetcdir": self.home,
            "astvarlibdir": self.home / "var",
            "astdbdir": self.home / "var",
            "astkeydir": self.home / "var",
            "astspooldir": self.home / "spool",
            "astrundir": self.home / "run",
            "astlogdir": self.home / "log",
        }
        lines = [f"{name} => {folder}" for name, folder in folders.items()]
        return "\n".join(["[directories]", *lines, ""])

    def sweep_away(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            super().sweep_away()
