"""The guides of switches name the options that there are, and every outcome with what it becomes."""

import configparser
import re
from pathlib import Path

import pytest

from ocs.domain.results import TRANSIENT, ResultCode

ROOT = Path(__file__).parents[2]
TABLE = configparser.ConfigParser()
TABLE.read(ROOT / "return_codes.ini", encoding="utf-8")

# Nothing was decided about the request: it is sent again.
SENT_AGAIN = {"RATING_FAILED", "TOO_BUSY", "OUTCOME_UNKNOWN", "UNAUTHORIZED", "FORBIDDEN"}
GOES_ON = {"OK", "NOT_CHARGED"}
SWITCHES = {
    "asterisk": ("asterisk/ocs-settings.conf", r"^(OCS_\w+) =[ ]?(.*)$"),
    "freeswitch": ("freeswitch/ocs.lua", r"^local (OCS_\w+) = (.*)$"),
    "opensips": ("opensips/ocs.cfg", r'^modparam\("cfgutils", "shvset", "(\w+)=[is]:(.*)"\)$'),
}


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """The cells of a table below a heading, by the name in its first cell."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    lines = [line.strip("|").split("|") for line in re.findall(r"^\|.*\|$", section, re.MULTILINE)]
    cells = [[cell.strip() for cell in line] for line in lines]
    return {line[0].strip("`"): line for line in cells if line[0].startswith("`")}


@pytest.mark.parametrize("switch", SWITCHES)
def test_every_option_is_explained_with_its_default(switch: str) -> None:
    file, pattern = SWITCHES[switch]
    there = dict(re.findall(pattern, text(f"deploy/{file}"), re.MULTILINE))
    explained = rows(text(f"docs/clients/{switch}.md"), "Options")
    assert {name: cells[1].strip("`") for name, cells in explained.items()} == there


@pytest.mark.parametrize("switch", SWITCHES)
def test_every_outcome_is_told_with_the_response_of_the_table(switch: str) -> None:
    told = rows(text(f"docs/clients/{switch}.md"), "What callers notice")
    assert {name: cells[1] for name, cells in told.items()} == {
        code: "relayed" if code in GOES_ON else response_of(code) for code in ResultCode
    }
    again = {name for name, cells in told.items() if cells[3] == "goes on, sent again"}
    assert again == SENT_AGAIN


def response_of(code: str) -> str:
    return "503" if code in SENT_AGAIN else TABLE[code]["sip"]


@pytest.mark.parametrize("switch", SWITCHES)
def test_what_is_sent_again_is_what_the_guide_says(switch: str) -> None:
    folder = ROOT / "deploy" / switch
    texts = (path.read_text(encoding="utf-8") for path in folder.iterdir())
    named = {
        name
        for each in texts
        for name in re.findall(r"\b[A-Z]+_[A-Z]+\b|\bFORBIDDEN\b|\bUNAUTHORIZED\b", each)
    }
    assert named & set(ResultCode) == SENT_AGAIN


def test_the_page_for_every_client_has_the_table_of_outcomes() -> None:
    told = rows(text("docs/clients/http.md"), "What answers mean")
    numbers = {name: cells[1:5] for name, cells in told.items()}
    assert numbers == {
        code: [
            TABLE[code]["number"],
            TABLE[code]["http_status"],
            TABLE[code]["sip"],
            "yes" if code in TRANSIENT else "no",
        ]
        for code in ResultCode
    }


def test_every_guide_is_in_the_list() -> None:
    pages = {path.name for path in (ROOT / "docs/clients").glob("*.md")} - {"README.md"}
    assert set(re.findall(r"\]\((\w+\.md)\)", text("docs/clients/README.md"))) >= pages
