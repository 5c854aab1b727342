"""`config/ocs.toml` shows every option, each at its default unless it says "sample"."""

import re
import tomllib
from pathlib import Path
from typing import get_args, get_origin

import pytest
from msgspec.structs import asdict, fields

from ocs.config.reader import read_settings
from ocs.config.settings import Settings

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "config/ocs.toml"
TEXT = SAMPLE.read_text(encoding="utf-8")

SECTIONS = {field.name: field for field in fields(Settings) if field.name != "file"}
LISTS = {name: field for name, field in SECTIONS.items() if get_origin(field.type) is tuple}
PLAIN = {name: field for name, field in SECTIONS.items() if name not in LISTS}
OF_THE_SAMPLE = {
    ("provision", "accounts"),
    ("provision", "subscribers"),
}


@pytest.mark.parametrize("section", PLAIN)
def test_every_option_is_set_to_its_default(section: str) -> None:
    written = tomllib.loads(TEXT)[section]
    default = asdict(PLAIN[section].type())
    assert written.keys() == default.keys()
    differing = {(section, key) for key in written if written[key] != default[key]}
    assert differing == {place for place in OF_THE_SAMPLE if place[0] == section}


@pytest.mark.parametrize("section", LISTS)
def test_every_option_of_a_list_is_shown(section: str) -> None:
    _, _, rest = TEXT.partition(f"[[{section}]]\n")
    shown = set(re.findall(r"^(?:# )?(\w+) = ", rest.split("# ---")[0], re.MULTILINE))
    (kind, _) = get_args(LISTS[section].type)
    assert {field.name for field in fields(kind)} <= shown


def test_the_options_of_lists_are_at_their_defaults() -> None:
    settings = read_settings(SAMPLE, {})
    for each in (*settings.tenants, *settings.plans):
        for field in fields(type(each)):
            if not field.required and not field.name.endswith("_units"):
                assert getattr(each, field.name) == field.default
    plan = settings.plans[0].plan()
    bare = type(plan)(plan.name, plan.tariffs)
    assert plan == bare


def test_the_shown_credential_can_be_taken_as_it_is(tmp_path: Path) -> None:
    _, head, rest = TEXT.partition("# [[credentials]]")
    lines = [line.removeprefix("# ") for line in (head + rest).splitlines()]
    wanted = [line for line in lines if line.startswith("[[") or " = " in line]
    file = tmp_path / "ocs.toml"
    file.write_text(TEXT + "\n".join(wanted), encoding="utf-8")
    (credential,) = read_settings(file, {}).credentials
    assert credential.roles == ("charge",)


def test_the_files_it_names_are_there() -> None:
    settings = read_settings(SAMPLE, {})
    for path in (
        settings.rating.tariffs,
        settings.provision.accounts,
        settings.provision.subscribers,
    ):
        assert Path(path).exists()


def test_the_sample_accounts_are_those_of_the_recording() -> None:
    lines = (ROOT / "config/accounts.csv").read_text(encoding="utf-8").splitlines()
    rows = {row[0]: row[1:] for row in (line.split(",") for line in lines[1:])}
    assert list(rows) == [str(441_632_960_000 + number) for number in range(1, 401)]
    for account, row in rows.items():
        assert row == ["EUR", "prepaid", "0", "0.05" if account.endswith("7") else "10.00"]
    subscribers = (ROOT / "config/subscribers.csv").read_text(encoding="utf-8").splitlines()
    assert subscribers[1:] == [f"{account},{account},standard" for account in rows]
