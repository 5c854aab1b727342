"""The guide for Kamailio names the options that there are, and what its configuration answers."""

import configparser
import re
from pathlib import Path

from ocs.domain.results import ResultCode

ROOT = Path(__file__).parents[2]
CONFIGURATION = "".join(
    (ROOT / "deploy/kamailio" / name).read_text(encoding="utf-8")
    for name in ("kamailio.cfg", "ocs.cfg")
)
GUIDE = (ROOT / "docs/clients/kamailio.md").read_text(encoding="utf-8")

# Status 500 and above has no body in Kamailio 5.6; of the others nothing was decided.
SENT_AGAIN = {"RATING_FAILED", "TOO_BUSY", "OUTCOME_UNKNOWN", "UNAUTHORIZED", "FORBIDDEN"}


def rows(heading: str) -> dict[str, list[str]]:
    """The cells of a table below a heading, by each name in its first cell."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)
    tables = (re.split(r"(?<!\\) ?\| ?", line) for line in lines)
    return {name: cells for cells in tables for name in re.findall(r"`(\w+)`", cells[0])}


def test_every_option_is_explained_with_its_default() -> None:
    defaults = dict(re.findall(r"^#!ifndef \w+\n#!define (\w+) (.+)$", CONFIGURATION, re.MULTILINE))
    without = set(re.findall(r"^##!define (\w+) ", CONFIGURATION, re.MULTILINE))
    explained = rows("Options")
    assert explained.keys() == defaults.keys() | without
    assert {
        name: explained[name][1].replace("\\|", "|").strip("`") for name in defaults
    } == defaults


def test_every_outcome_has_the_answer_that_the_configuration_gives() -> None:
    (switch,) = re.findall(
        r"switch \(\$var\(name\)\) \{\n(\s+case \"NO_.*?)\n        \}", CONFIGURATION, re.DOTALL
    )
    answers = {
        name: reply
        for cases, reply in re.findall(r"((?:case \"\w+\":\s+)+)t_reply\(\"(\d+)\"", switch)
        for name in re.findall(r"\w+_\w+", cases)
    }
    told = {name: cells[2] for name, cells in rows("What callers notice").items()}
    assert told == {
        code: "503" if code in SENT_AGAIN else answers.get(code, "500") for code in ResultCode
    } | {"OK": "relayed", "NOT_CHARGED": "relayed"}


def test_what_is_refused_is_answered_as_the_table_of_outcomes_says() -> None:
    """But for what a start cannot meet (481), and for what is sent again."""
    table = configparser.ConfigParser()
    table.read(ROOT / "return_codes.ini", encoding="utf-8")
    told = {name: cells[2] for name, cells in rows("What callers notice").items()}
    for code in set(ResultCode) - SENT_AGAIN - {"OK", "NOT_CHARGED"}:
        assert table[code]["sip"] in {told[code], "481"}
