"""The table of outcomes: complete, in order, and strict about what operators write into it."""

from pathlib import Path

import pytest

from ocs.domain.results import ResultCode
from ocs.entrypoints.return_codes import ReturnCodesError, load_return_codes, return_codes_path

STATUSES = {
    "OK": (1, 200, 2001),
    "NOT_CHARGED": (2, 200, 2001),
    "NO_CREDIT": (-1, 402, 4012),
    "LIMIT_REACHED": (-19, 403, 4010),
    "UNKNOWN_SUBSCRIBER": (-2, 404, 5030),
    "SUBSCRIBER_BLOCKED": (-18, 403, 4010),
    "NO_RATE": (-3, 422, 5031),
    "RATE_BLOCKED": (-17, 403, 4010),
    "UNKNOWN_SESSION": (-15, 404, 5002),
    "SESSION_CLOSED": (-16, 410, 5002),
    "CONFLICT": (-13, 409, 5004),
    "REPEAT_EXPIRED": (-14, 409, 5004),
    "INVALID_EVENT": (-10, 400, 5004),
    "UNAUTHORIZED": (-7, 401, 5003),
    "FORBIDDEN": (-8, 403, 5003),
    "TOO_LARGE": (-9, 413, 5004),
    "TOO_BUSY": (-11, 503, 3004),
    "OUTCOME_UNKNOWN": (-12, 503, 3004),
    "RATING_FAILED": (-4, 500, 5012),
}


def test_the_shipped_table_is_complete_and_in_order_of_precedence() -> None:
    codes = load_return_codes(return_codes_path())

    assert list(codes) == list(ResultCode)


def test_the_shipped_numbers_are_the_contract() -> None:
    codes = load_return_codes(return_codes_path())

    assert {
        str(code): (entry.number, entry.http_status, entry.diameter)
        for code, entry in codes.items()
    } == STATUSES


def test_a_number_above_zero_says_go_on() -> None:
    codes = load_return_codes(return_codes_path())

    go_on = {code for code, entry in codes.items() if entry.number > 0}
    assert go_on == {ResultCode.OK, ResultCode.NOT_CHARGED}


def changed(tmp_path: Path, before: str, after: str) -> Path:
    text = return_codes_path().read_text(encoding="utf-8")
    assert before in text
    path = tmp_path / "return_codes.ini"
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    return path


NO_CREDIT_NUMBER = "[NO_CREDIT]\nnumber = -1\n"


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        (NO_CREDIT_NUMBER, "[NO_CREDIT]\n", "[NO_CREDIT] number is missing"),
        (NO_CREDIT_NUMBER, "[NO_CREDIT]\nnumber =\n", "[NO_CREDIT] number is missing"),
        (NO_CREDIT_NUMBER, "[NO_CREDIT]\nnumber = ten\n", "[NO_CREDIT] number: 'ten' is not an integer"),
        (NO_CREDIT_NUMBER, "[NO_CREDIT]\nnumber = 1\n", "[OK] number: 1 is the number of [NO_CREDIT] already"),
        (NO_CREDIT_NUMBER, "[NO_MONEY]\nnumber = -1\n", "[NO_CREDIT] is missing"),
        (NO_CREDIT_NUMBER, "[NO_MONEY]\nnumber = -1\n", "[NO_MONEY] is not an outcome"),
        (NO_CREDIT_NUMBER, NO_CREDIT_NUMBER + "colour = red\n", "[NO_CREDIT] colour is not a key of this table"),
        ("http_status = 402", "http_status = 99", "[NO_CREDIT] http_status: 99 is not within 200 .. 599"),
        ("http_status = 402", "http_status = 600", "[NO_CREDIT] http_status: 600 is not within 200 .. 599"),
        ("diameter = 4012", "diameter = 12", "[NO_CREDIT] diameter: 12 is not within 1000 .. 5999"),
        ("sip = 402", "sip = -1", "[NO_CREDIT] sip: -1 is not within 200 .. 699"),
        (NO_CREDIT_NUMBER, NO_CREDIT_NUMBER * 2, "section 'NO_CREDIT' already exists"),
        (NO_CREDIT_NUMBER, "[NO_CREDIT]\nnumber\n", "'number\\n'"),
    ],
)  # fmt: skip
def test_every_fault_of_the_table_names_file_section_and_key(
    tmp_path: Path, before: str, after: str, problem: str
) -> None:
    path = changed(tmp_path, before, after)

    with pytest.raises(ReturnCodesError) as error:
        load_return_codes(path)

    assert any(line.startswith(str(path)) and problem in line for line in error.value.problems)


def test_all_faults_are_reported_together(tmp_path: Path) -> None:
    path = changed(tmp_path, "http_status = 402", "http_status = x\nsound = loud")
    path.write_text(path.read_text().replace("diameter = 5030", "diameter = y"), encoding="utf-8")

    with pytest.raises(ReturnCodesError) as error:
        load_return_codes(path)

    assert len(error.value.problems) == 3


def test_sections_out_of_order_are_refused(tmp_path: Path) -> None:
    text = return_codes_path().read_text(encoding="utf-8")
    first, second = text.split("[UNAUTHORIZED]")[1].split("[FORBIDDEN]")
    second, rest = second.split("[TOO_LARGE]")
    path = tmp_path / "return_codes.ini"
    path.write_text(f"[FORBIDDEN]{second}[UNAUTHORIZED]{first}[TOO_LARGE]{rest}", encoding="utf-8")

    with pytest.raises(ReturnCodesError, match=r"\[FORBIDDEN\] is out of order"):
        load_return_codes(path)


@pytest.mark.parametrize(("content", "problem"), [(None, "cannot be read"), (b"\xff", "not UTF-8")])
def test_a_file_that_is_no_text_is_refused(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "return_codes.ini"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ReturnCodesError, match=problem):
        load_return_codes(path)


def test_texts_may_hold_a_percent_sign(tmp_path: Path) -> None:
    path = changed(tmp_path, "text = not enough credit", "text = 100 % used")

    assert load_return_codes(path)[ResultCode.NO_CREDIT].text == "100 % used"
