"""CDRs that were rated and debited by one price list, and others to rate them again by.

A minute to Germany is 0.06 by the tariffs `old`, 0.09 by `dear`, 0.03 by `cheap`, which blocks
France; fees and increments differ as well.
"""

import json
from pathlib import Path
from typing import Any, Final

import polars as pl

from ocs.adapters.clock import wall_ms
from ocs.usecases.ports import DAY_MS
from tests.cli.terminal import Terminal

GERMANY: Final = "4930123456"
FRANCE: Final = "33140123456"
HEAD: Final = "# currency = EUR\n# usage_type = voice\n# model = interval\n"
COLUMNS: Final = "prefix,destination,price_1,price_n,interval_1,interval_n,connect_fee,blocked\n"
TARIFFS: Final = {
    "old": "49,Germany,0.06,0.06,60,60,0,\n33,France,0.12,0.12,1,1,0,\n",
    "dear": "49,Germany,0.09,0.09,30,6,0.01,\n33,France,0.12,0.12,1,1,0,\n",
    "cheap": "49,Germany,0.03,0.03,1,1,0,\n33,France,0.12,0.12,1,1,0,1\n",
    "less": "49,Germany,0.03,0.03,1,1,0,\n",
}
CONFIGURATION: Final = """
[rating]
tariffs = "{tariffs}"
[charging]
default_tenant = "demo"
[provision]
tenant = "demo"
[[tenants]]
name = "demo"
zone = "{zone}"
country_code = "44"
national_prefix = "0"
[[plans]]
name = "standard"
tariffs = ["calls"]
[[plans]]
name = "half"
tariffs = [{{ name = "calls", percent = 50 }}]
"""


class RerateDesk:
    """A terminal, a folder with tariffs, and accounts each with a subscriber of the same name."""

    def __init__(self, terminal: Terminal, folder: Path, zone: str = "Europe/London") -> None:
        self.terminal, self.folder = terminal, folder
        self.config = folder / "ocs.toml"
        for name, rows in TARIFFS.items():
            (folder / name).mkdir(parents=True)
            (folder / name / "calls.csv").write_text(HEAD + COLUMNS + rows, encoding="utf-8")
        text = CONFIGURATION.format(tariffs=folder / "old", zone=zone)
        self.config.write_text(text, encoding="utf-8")
        self.at_ms = wall_ms() - DAY_MS

    @property
    def place(self) -> tuple[str, str]:
        return ("--config", str(self.config))

    def create(self, account: str, *terms: str, plan: str = "standard") -> None:
        run = self.terminal.run
        run("account", "create", account, "--currency", "EUR", *terms, *self.place)
        run("subscriber", "create", account, "--account", account, "--plan", plan, *self.place)

    def create_for_cdrs(self, *accounts: str, floor: str = "-100") -> None:
        for account in accounts:
            self.create(account, "--kind", "postpaid", "--floor", floor, "--settled-by", "cdr")

    def cdrs(self, name: str, *rows: tuple[str, str, str, int]) -> Path:
        """Write CDRs that began yesterday: id, subscriber, called, seconds."""
        lines = ["cdr_id,subscriber,called,answer_ms,end_ms,units"]
        lines += [
            f"{cdr_id},{subscriber},{called},{self.at_ms},{self.at_ms + 1000 * units},{units}"
            for cdr_id, subscriber, called, units in rows
        ]
        path = self.folder / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def run(self, path: Path, out: str = "rated", *options: str) -> Path:
        """Rate a file by the tariffs `old`."""
        folder = self.folder / out
        given = ("--in", str(path), "--out", str(folder), *options, *self.place)
        self.terminal.run("offline", "run", *given)
        return folder

    def options(self, tariffs: str, *more: str, out: str = "book") -> tuple[str, ...]:
        period = () if "--from" in more else ("--from", "2000-01-01", "--to", "2100-01-01")
        folders = ("--tariffs", str(self.folder / tariffs), "--out", str(self.folder / out))
        return ("offline", "rerate", *folders, *period, *more, *self.place)

    def rerate(self, tariffs: str, *more: str, expect: int = 0, out: str = "book") -> Any:
        """Rate again what is in `rated`, unless told otherwise; give what came of it."""
        of = () if {"--of", "--online"} & set(more) else ("--of", str(self.folder / "rated"))
        said = self.terminal.run(
            *self.options(tariffs, *of, *more, out=out), "--json", expect=expect
        )
        return json.loads(said) if said else None

    def left(self, account: str) -> float:
        shown = self.terminal.json("account", "show", account, *self.place)
        return float(shown["buckets"][0]["left"])

    def differences(self, done: Any) -> pl.DataFrame:
        parts = sorted(Path(done["folder"]).glob("differences/*.parquet"))
        return pl.concat([pl.read_parquet(part) for part in parts]).sort("source", "use_id", "part")
