"""`ocs rate` on the sample tariff: the same words as the service, the same integer."""

from pathlib import Path

import pytest

from tests.cli.terminal import Terminal


def test_a_price_is_explained_row_by_row() -> None:
    explained = Terminal().json("rate", "+44-20-7123-4567", "--seconds", "75")
    assert (explained["prefix"], explained["tariff"], explained["units"]) == ("44", "a-z", 75)
    (part,) = explained["parts"]
    rows = [step for step in part["steps"] if step["what"] == "row"]
    assert [(row["from_units"], row["to_units"], row["increments"]) for row in rows] == [
        (0, 30, 1),
        (30, 75, 8),
    ]
    total = sum(float(step["amount"]) for step in part["steps"])
    assert total == pytest.approx(float(explained["total"]), abs=1e-12)


def test_the_table_ends_with_the_total() -> None:
    terminal = Terminal()
    lines = terminal.run("rate", "442071234567", "--seconds", "75", "--plan", "standard")
    total = terminal.json("rate", "442071234567", "--seconds", "75")["total"]
    assert lines.splitlines()[-1].split() == [
        "total",
        "(rounded",
        "half_up",
        "to",
        "0.000001)",
        total,
    ]


def test_each_part_of_a_call_has_its_own_tax(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A minute at 19 % and one at 16 %, over the midnight at which Germany changed them."""
    (tmp_path / "a-z.csv").write_text(
        "# currency = EUR\n# zone = Europe/Berlin\n"
        "prefix,destination,cost_per_minute,billing_increment,tax,valid_from,valid_to\n"
        "49,Germany,1.00,1,0.19,,2026-07-01\n49,Germany,1.00,1,0.16,2026-07-01,\n"
    )
    monkeypatch.setenv("OCS_RATING_TARIFFS", str(tmp_path))
    terminal = Terminal()
    asked = ("rate", "4930", "-s", "120", "--at", "2026-06-30T23:59:00+02:00")
    told = terminal.json(*asked)
    assert (told["total"], told["net"], told["tax_amount"]) == ("2.35", "2.00", "0.35")
    assert [part["tax"] for part in told["parts"]] == ["0.19", "0.16"]
    assert "tax of 0.19 and 0.16" in terminal.run(*asked)


@pytest.mark.parametrize("at", ["1893456000", "2030-01-01T00:00:00Z", "2030-01-01T00:00:00"])
def test_a_time_may_be_written_in_several_ways(at: str) -> None:
    assert Terminal().json("rate", "442071234567", "-s", "1", "--at", at)["total"]


@pytest.mark.parametrize(
    ("order", "code", "reason"),
    [
        (["rate", "000", "-s", "1"], 1, "NO_RATE: no tariff of a-z"),
        (["rate", "44", "-s", "1", "--plan", "gold"], 2, "there is no plan 'gold'"),
        (["rate", "44", "-s", "1", "--at", "soon"], 2, "neither RFC 3339 nor epoch"),
        (["rate", "44", "-s", "1", "--usage-type", "fax"], 2, "'fax' is none of voice"),
        (["rate", "44", "-s", "1", "--usage-type", "sms"], 1, "has a rate for sms to 44"),
        (["rate", "44", "-s", str(2**53)], 2, "Invalid value for"),
    ],
)
def test_what_has_no_price_says_why(order: list[str], code: int, reason: str) -> None:
    terminal = Terminal()
    terminal.run(*order, expect=code)
    assert reason in terminal.stderr


def test_bad_tariffs_are_told_with_every_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tariffs")
    header = "# currency = EUR\nprefix,destination,price_1,price_n,interval_1,interval_n\n"
    (folder / "bad.csv").write_text(header + "44x,UK,1,1,1,1\n49,DE,free,1,1,1\n")
    monkeypatch.setenv("OCS_RATING_TARIFFS", str(folder))
    terminal = Terminal()
    terminal.run("rate", "44", "-s", "1", expect=1)
    assert "bad.csv:3: prefix" in terminal.stderr
    assert "bad.csv:4: price_1" in terminal.stderr


def test_a_blocked_destination_is_explained_and_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tariffs")
    header = "# currency = EUR\nprefix,destination,price_1,price_n,interval_1,interval_n,blocked\n"
    (folder / "a-z.csv").write_text(header + "44,UK,1,1,1,1,yes\n")
    monkeypatch.setenv("OCS_RATING_TARIFFS", str(folder))
    terminal = Terminal()
    terminal.run("rate", "44", "-s", "1", expect=1)
    assert "RATE_BLOCKED: UK may not be called" in terminal.stderr


def test_a_name_in_brackets_is_a_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Names are the operator's; to the library that prints, brackets would be its own markup."""
    folder = tmp_path_factory.mktemp("tariffs")
    header = "# currency = EUR\nprefix,destination,price_1,price_n,interval_1,interval_n\n"
    (folder / "a-z.csv").write_text(header + "49,Germany [bold] and a long name [/x],1,1,1,1\n")
    monkeypatch.setenv("OCS_RATING_TARIFFS", str(folder))
    first = Terminal().run("rate", "49", "-s", "1").splitlines()[0]
    assert first == "49 is Germany [bold] and a long name [/x]: 1 seconds, EUR"
