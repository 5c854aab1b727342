"""A tariff file is read whole: every bad line with its column and reason, or every rate."""

from pathlib import Path

import pytest

from ocs.adapters.tariff_files import BadLine, build, check_folder, load_folder, open_generation
from ocs.domain.generation import Generation, TariffMeta
from ocs.domain.ladder import cost
from ocs.domain.tariff import Rate, Used, plan_tariffs

HEAD = "# currency = EUR\n"
INTERVAL = "prefix,destination,price_1,price_n,interval_1,interval_n"
PER_MINUTE = "prefix,destination,cost_per_minute,billing_increment"
DECK = plan_tariffs("deck")


def written(folder: Path, *lines: str, name: str = "deck.csv", head: str = HEAD) -> Path:
    (folder / name).write_text(head + "\n".join(lines) + "\n", "utf-8")
    return folder


def loaded(folder: Path, *lines: str, head: str = HEAD) -> Generation:
    return open_generation(build(written(folder, *lines, head=head), folder / "compiled"))


def found(generation: Generation, number: str, at_ms: int = 0) -> Rate:
    rate = generation.find(DECK, Used(number, "voice", at_ms))
    assert rate is not None
    return rate


def bad_lines(folder: Path, *lines: str, head: str = HEAD) -> list[tuple[int, str, str]]:
    bad = load_folder(written(folder, *lines, head=head))
    assert isinstance(bad, list)
    assert {line.file for line in bad} <= {"deck.csv"}
    return [(line.line, line.column, line.reason) for line in bad]


def test_a_row_becomes_a_rate(tmp_path: Path) -> None:
    generation = loaded(
        tmp_path,
        INTERVAL + ",connect_fee,free_seconds,grace_period,postcall_surcharge",
        "49,Germany,0.06,0.03,30,6,0.01,10,5,0.10",
        '4917,"Germany, mobile",0.16,0.16,60,60,,,,',
        "",
        "+44 ,United Kingdom, 0.02 ,0.02,60,60,0,0,0,0",
    )
    rate = found(generation, "4930")
    assert (rate.prefix, rate.destination, rate.model) == ("49", "Germany", "interval")
    assert (rate.tariff, rate.currency, rate.blocked) == ("deck", "EUR", False)
    assert cost(rate.ladder, 600) == 354_200
    assert found(generation, "4917").destination == "Germany, mobile"
    assert found(generation, "44").destination == "United Kingdom"
    assert generation.find(DECK, Used("33", "voice", 0)) is None


def test_the_model_follows_from_the_columns(tmp_path: Path) -> None:
    generation = loaded(tmp_path, PER_MINUTE, "49,Germany,0.035,1", "*,World,1,")
    assert found(generation, "49").model == "per_minute"
    assert cost(found(generation, "49").ladder, 1) == 583
    assert found(generation, "alice").prefix == "*"
    assert cost(found(generation, "1").ladder, 1) == 1_000_000


def test_settings_hold_for_the_whole_file(tmp_path: Path) -> None:
    head = (
        "\ufeff# Prices are samples.\n#\n\n# currency = KWD\n#usage_type=data\n"
        "# model = timed\n# rounding = up\n"
    )
    header = "prefix,destination,price,per,increment"
    generation = loaded(tmp_path, header, "*,Internet,0.00000001,1,1", head=head)
    assert generation.tariffs == (TariffMeta("deck", "KWD", "data", 1),)
    rate = generation.find(DECK, Used("internet", "data", 0))
    assert rate is not None
    assert cost(rate.ladder, 1) == 1


def test_settings_may_begin_with_a_capital_as_spreadsheets_write_them(tmp_path: Path) -> None:
    head = "# Currency = EUR\n# TAX = 0.25\n"
    generation = loaded(tmp_path, PER_MINUTE, "49,Germany,0.60,1", head=head)
    assert cost(found(generation, "49").ladder, 1) == 12_500


def test_a_destination_with_blanks_around_it_is_the_same(tmp_path: Path) -> None:
    head = HEAD + "# timing.night = 00:00-06:00\n"
    rows = "49, Germany,0.60,1,\n49,Germany ,0.30,1,night"
    generation = loaded(tmp_path, PER_MINUTE + ",timing", rows, head=head)
    assert found(generation, "49").destination == "Germany"


def test_a_blocked_row_needs_no_price(tmp_path: Path) -> None:
    generation = loaded(
        tmp_path, INTERVAL + ",blocked", "979,Premium,,,,,yes", "49,Germany,1,1,60,60,no"
    )
    assert (found(generation, "979").blocked, found(generation, "979").model) == (True, "blocked")
    assert not found(generation, "49").blocked


def test_dates_are_inclusive_exclusive_and_in_the_zone_of_the_file(tmp_path: Path) -> None:
    generation = loaded(
        tmp_path,
        PER_MINUTE + ",valid_from,valid_to",
        "49,late,3,60,2026-02-01,",
        "49,early,1,60,,2026-01-01T00:00:00Z",
        "49,middle,2,60,2026-01-01T00:00:00+00:00,2026-02-01",
        "4917,mobile,4,60,2026-01-15 12:00:00.5,2026-01-16",
        head="# currency = EUR\n# zone = Europe/Berlin\n",
    )
    january, february_in_berlin = 1_767_225_600_000, 1_769_900_400_000
    assert found(generation, "491", january - 1).destination == "early"
    assert found(generation, "491", january).destination == "middle"
    assert found(generation, "491", february_in_berlin - 1).destination == "middle"
    assert found(generation, "491", february_in_berlin).destination == "late"
    noon = 1_768_474_800_500
    assert found(generation, "4917", noon).destination == "mobile"
    assert found(generation, "4917", noon - 1).destination == "middle"
    schedule = generation.schedule(DECK, Used("4917", "voice", january), 2 * january)
    assert [rate.destination for _, rate in schedule] == ["middle", "mobile", "middle", "late"]


@pytest.mark.parametrize(("column", "before", "after"), [("valid_from", 0, 1), ("valid_to", 1, 0)])
def test_one_date_column_is_enough(tmp_path: Path, column: str, before: int, after: int) -> None:
    generation = loaded(tmp_path, f"{PER_MINUTE},{column}", "49,Germany,1,60,1970-01-02")
    midnight = 86_400_000
    rates = [generation.find(DECK, Used("49", "voice", midnight + step)) for step in (-1, 0)]
    assert [rate is not None for rate in rates] == [bool(before), bool(after)]


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        (",Germany,1,1,60,60", "prefix", "is not a prefix"),
        ("4x,Germany,1,1,60,60", "prefix", "is not a prefix"),
        ("\u0664,Germany,1,1,60,60", "prefix", "is not a prefix"),
        ("-49,Germany,1,1,60,60", "prefix", "is not a prefix"),
        ("1234567890123456789,Germany,1,1,60,60", "prefix", "more than 18 digits"),
        ("49,,1,1,60,60", "destination", "1 to 255 printable"),
        (f"49,{'x' * 256},1,1,60,60", "destination", "1 to 255 printable"),
        ("49,Germany,,1,60,60", "price_1", "empty"),
        ("49,Germany,one,1,60,60", "price_1", "not a decimal"),
        ("49,Germany,1,-1,60,60", "price_n", "is negative"),
        ("49,Germany,1,1e2,60,60", "price_n", "not a decimal"),
        ("49,Germany,1,1,0,60", "interval_1", "is not within 1"),
        ("49,Germany,1,1,60,1.5", "interval_n", "not a whole number"),
        ("49,Germany,1,1,60,-6", "interval_n", "not a whole number"),
        ("49,Germany,1,1,60,12345678901234567", "interval_n", "not a whole number"),
        ("49,Germany,1,1,60,9999999999999999", "interval_n", "is not within"),
        ("49,Germany,0.00000000000000001,1,1,1", "", "common denominator"),
        ("49,Germany,1,1,60", "", "has 5 cells where the header has 6"),
        ("49,Germany,1,1,60,60,", "", "has 7 cells where the header has 6"),
        ('49,"Germany"x,1,1,60,60', "", "is not CSV"),
        ('49,"Germany,1,1,60,60', "", "is not CSV"),
    ],
)
def test_a_bad_row_is_reported(tmp_path: Path, row: str, column: str, reason: str) -> None:
    ((_, bad_column, bad_reason),) = bad_lines(tmp_path, INTERVAL, "33,France,1,1,60,60", row)
    assert bad_column == column
    assert reason in bad_reason


@pytest.mark.parametrize(
    ("cells", "column", "reason"),
    [
        ("2026-02-01,2026-01-01,", "valid_to", "later than valid_from"),
        ("2026-02-30,,", "valid_from", "is not a date"),
        (",soon,", "valid_to", "is not a date"),
        (",9999-12-31T23:59:59-23:59,", "valid_to", "is not a date"),
        ("2026-03-29 02:30,,", "valid_from", "clocks are put forward"),
        ("1969-07-20,,", "valid_from", "before 1970"),
        (",,maybe", "blocked", "must be yes or no"),
    ],
)
def test_a_bad_date_or_flag_is_reported(
    tmp_path: Path, cells: str, column: str, reason: str
) -> None:
    head = "# currency = EUR\n# zone = Europe/Berlin\n"
    header = PER_MINUTE + ",valid_from,valid_to,blocked"
    ((line, bad_column, bad_reason),) = bad_lines(
        tmp_path, header, f"49,DE,1,60,{cells}", head=head
    )
    assert (line, bad_column) == (4, column)
    assert reason in bad_reason


def test_every_bad_cell_of_every_bad_line_is_reported(tmp_path: Path) -> None:
    lines = bad_lines(
        tmp_path, INTERVAL, "x,,1,1,60,y", "49,Germany,1,1,60,60", "33,France,-1,1,60,60",
        "34,Spain,-1,1,60,60",
    )  # fmt: skip
    assert [(line, column) for line, column, _ in lines] == [
        (3, "destination"), (3, "interval_n"), (3, "prefix"), (5, "price_1"), (6, "price_1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("head", "header", "expected"),
    [
        ("", INTERVAL, (0, "currency", "is not set")),
        ("# currency = XYZ\n", INTERVAL, (1, "currency", "unknown currency 'XYZ'")),
        (HEAD + HEAD, INTERVAL, (2, "currency", "is set twice")),
        (HEAD + "# currrency = USD\n", INTERVAL, (2, "currrency", "unknown setting")),
        (HEAD + "# minimum-charge = 1\n", INTERVAL, (2, "minimum-charge", "unknown setting")),
        (HEAD + "# valid from = 2027-01-01\n", INTERVAL, (2, "valid from", "unknown setting")),
        (HEAD + "# timing peak = mon-fri\n", INTERVAL, (2, "timing peak", "unknown setting")),
        (HEAD + "# timing.été = jul\n", INTERVAL, (2, "timing.été", "unknown setting")),
        (HEAD + f"# {'x' * 50} = 1\n", INTERVAL, (2, "x" * 40, "a comment has no equals sign")),
        (HEAD + "## tax = 1.5\n", INTERVAL, (2, "tax", "is not a fraction")),
        (HEAD + "# usage_type = fax\n", INTERVAL, (2, "usage_type", "is not one of")),
        (HEAD + "# model = fancy\n", INTERVAL, (2, "model", "is not one of")),
        (HEAD + "# rounding = sideways\n", INTERVAL, (2, "rounding", "is not one of")),
        (HEAD + "# zone = Mars/Olympus\n", INTERVAL, (2, "zone", "is not a time zone")),
        (HEAD + "# zone = ../etc/passwd\n", INTERVAL, (2, "zone", "is not a time zone")),
        (HEAD, INTERVAL + ",price", (2, "price", "unknown column")),
        (HEAD, INTERVAL + ",price_1", (2, "price_1", "appears twice")),
        (HEAD, INTERVAL.replace("destination,", ""), (2, "destination", "missing column")),
        (HEAD, INTERVAL.replace("prefix,", ""), (2, "prefix", "missing column")),
        (HEAD, INTERVAL.replace(",", ";"), (2, "", "separated by semicolons")),
        (HEAD, INTERVAL.replace("price_n,", ""), (2, "", "no rate model fits")),
        (HEAD, INTERVAL + ",cost_per_minute", (2, "", "more than one rate model")),
        (HEAD + "# model = interval\n", PER_MINUTE, (3, "price_1", "missing column")),
    ],
)
def test_a_bad_head_is_reported(
    tmp_path: Path, head: str, header: str, expected: tuple[int, str, str]
) -> None:
    line, column, reason = expected
    lines = bad_lines(tmp_path, header, "49,Germany,1,1,60,60", head=head)
    assert any(bad[:2] == (line, column) and reason in bad[2] for bad in lines), lines


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["49,,,", "44,,,", "49,,,"], [(5, "49 is in force at the same time by line 3")]),
        (["*,,,", "*,,,"], [(4, "* is in force at the same time by line 3")]),
        (["49,,2026-01-01,", "49,,,2026-01-02"], [(4, "49 is in force at the same time by line 3")]),
        (["49,,2026-01-01,2026-02-01", "49,,2026-02-01,", "49,,,2026-01-01"], []),
        (
            ["49,,2026-01-01,2026-09-01", "49,,2026-02-01,2026-03-01", "49,,2026-04-01,2026-05-01"],
            [
                (4, "49 is in force at the same time by line 3"),
                (5, "49 is in force at the same time by line 3"),
            ],
        ),
    ],
)  # fmt: skip
def test_a_prefix_in_force_twice_is_reported(
    tmp_path: Path, rows: list[str], expected: list[tuple[int, str]]
) -> None:
    header = "prefix,billing_increment,valid_from,valid_to,destination,cost_per_minute"
    result = load_folder(written(tmp_path, header, *(f"{row},Germany,1" for row in rows)))
    bad = result if isinstance(result, list) else []
    assert [(line.line, line.reason) for line in bad] == expected


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"", 0, "is not set"),
        (b"# currency = EUR\n", 2, "no rate model fits"),
        (b"# currency = EUR\n" + INTERVAL.encode() + b"\n", 0, "has no rates"),
        (b"# currency = EUR\n\xff\n", 2, "is not UTF-8"),
        (b"# currency = EUR\n" + INTERVAL.encode() + b"\n" + b"4" * 140_000, 3, "is not CSV"),
    ],
)
def test_a_file_that_is_no_tariff_is_reported(
    tmp_path: Path, content: bytes, line: int, reason: str
) -> None:
    (tmp_path / "deck.csv").write_bytes(content)
    bad = load_folder(tmp_path)
    assert isinstance(bad, list)
    assert any(one.line == line and reason in one.reason for one in bad), bad


def test_one_bad_file_spoils_the_folder_and_all_are_reported(tmp_path: Path) -> None:
    written(tmp_path, PER_MINUTE, "49,Germany,1,60", name="good.csv")
    written(tmp_path, PER_MINUTE, "49,Germany,x,60", name="bad.csv")
    written(tmp_path, PER_MINUTE, "49,Germany,1,60", name="b d.csv")
    (tmp_path / "folder.csv").mkdir()
    bad = load_folder(tmp_path)
    assert isinstance(bad, list)
    assert [(line.file, line.line) for line in bad] == [
        ("b d.csv", 0), ("bad.csv", 3), ("folder.csv", 0),
    ]  # fmt: skip


def test_a_folder_without_tariffs_is_reported(tmp_path: Path) -> None:
    missing = tmp_path / "tariffs"
    expected = BadLine("tariffs", 0, "", "there is no tariff file (*.csv) in this folder")
    assert load_folder(missing) == [expected]
    assert check_folder(missing).bad_lines == (expected,)
