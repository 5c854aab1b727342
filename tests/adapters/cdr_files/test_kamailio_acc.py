"""Pairing the rows of one call: whatever lies between them, and never more open than is allowed."""

from collections.abc import Iterable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("polars", reason="the extra `offline` is not installed")
cdr_files = pytest.importorskip("ocs.adapters.cdr_files")


def row(method: str, call: int, at_s: int, code: int = 200, *, swapped: bool = False) -> str:
    tags = (f"a{call}", f"b{call}")
    from_tag, to_tag = tags[::-1] if swapped else tags
    return (
        f"ACC: transaction answered: timestamp={at_s};method={method};from_tag={from_tag};"
        f"to_tag={to_tag};call_id=call{call};code={code};reason=x;dst_user=44{call}"
    )


def read(
    folder: Path, lines: Iterable[str], most: int = 100
) -> tuple[dict[str, int], list[tuple[int, str]]]:
    """Seconds by session; line and reason of each reject."""
    path = folder / "acc.log"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    options = cdr_files.Options(most_open_calls=most)
    batches = list(cdr_files.open_cdrs(path, "kamailio-acc", options))
    rejects = [(reject.line, reject.reason) for batch in batches for reject in batch.rejects]
    rows = [each for batch in batches for each in batch.frame.to_dicts()]
    used = sum(batch.used for batch in batches)
    skipped = sum(batch.skipped for batch in batches)
    assert used + skipped + len(rejects) == sum(batch.entries for batch in batches)
    return {each["session_id"]: each["units"] for each in rows}, rejects


@given(
    st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_calls_are_paired_however_they_lie_in_each_other(
    tmp_path_factory: pytest.TempPathFactory,
    calls: list[tuple[int, bool]],
    chance: Random,
) -> None:
    rows = []
    for call, (length_s, swapped) in enumerate(calls):
        begin_s = chance.randint(1_000, 1_100)
        rows.append((begin_s, 0, row("INVITE", call, begin_s)))
        end_s = begin_s + length_s
        rows.append((end_s, 1, row("BYE", call, end_s, swapped=swapped)))
    found, rejects = read(tmp_path_factory.mktemp("acc"), [text for _, _, text in sorted(rows)])
    assert found == {f"call{call}": length_s for call, (length_s, _) in enumerate(calls)}
    assert rejects == []


def test_the_oldest_call_is_given_up_where_too_many_are_open(tmp_path: Path) -> None:
    lines = [row("INVITE", call, 1_000 + call) for call in range(4)]
    lines += [row("BYE", call, 2_000) for call in range(4)]
    found, rejects = read(tmp_path, lines, most=3)
    assert found == {"call1": 999, "call2": 998, "call3": 997}
    assert rejects == [
        (1, "has no BYE within 3 calls"),
        (5, "is a BYE whose INVITE is not in the file before it"),
    ]


def test_a_reject_put_before_the_next_file_is_paired_there(tmp_path: Path) -> None:
    path = tmp_path / "acc.log"
    path.write_text(row("INVITE", 7, 1_000) + "\n", encoding="ascii")
    (batch,) = cdr_files.open_cdrs(path, "kamailio-acc")
    (reject,) = batch.rejects
    found, rejects = read(tmp_path, [reject.text, row("BYE", 7, 1_060, swapped=True)])
    assert (found, rejects) == ({"call7": 60}, [])


@pytest.mark.parametrize(
    ("lines", "column"),
    [
        ([row("INVITE", 1, 1_000).replace("dst_user=441", "")], "dst_user"),
        ([row("INVITE", 1, 1_000).replace("=1000", "=")], "timestamp of the INVITE"),
        ([row("INVITE", 1, 1_000).replace("=1000", "=x")], "timestamp of the INVITE"),
        ([row("INVITE", 1, 1_000, 486).replace("=1000", "=x")], "timestamp of the attempt"),
        ([row("INVITE", 1, 1_000), row("BYE", 1, 7).replace("=7", "=")], "timestamp of the BYE"),
        ([row("INVITE", 1, 1_000), row("BYE", 1, 7).replace("=7", "=x")], "timestamp of the BYE"),
        ([row("INVITE", 1, 1_000), row("BYE", 1, 999)], "timestamp of the BYE"),
    ],
)
def test_a_row_that_lacks_something_says_what(
    tmp_path: Path, lines: list[str], column: str
) -> None:
    path = tmp_path / "acc.log"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    (batch,) = cdr_files.open_cdrs(path, "kamailio-acc")
    assert batch.frame.height == 0
    assert [reject.column for reject in batch.rejects] == [column, *([""] * (len(lines) - 1))]


def test_both_may_hang_up_at_once(tmp_path: Path) -> None:
    byes = [row("BYE", 1, 1_060), row("BYE", 1, 1_060, 481, swapped=True)]
    found, rejects = read(tmp_path, [row("INVITE", 1, 1_000), *byes])
    assert (found, rejects) == ({"call1": 60}, [])


def test_a_bye_that_is_asked_for_a_password_ends_nothing(tmp_path: Path) -> None:
    byes = [row("BYE", 1, 1_060, 407), row("BYE", 1, 1_061)]
    found, rejects = read(tmp_path, [row("INVITE", 1, 1_000), *byes])
    assert (found, rejects) == ({"call1": 61}, [])


def test_a_refused_invite_within_a_call_is_no_call(tmp_path: Path) -> None:
    lines = [row("INVITE", 1, 1_000), row("INVITE", 1, 1_030, 488), row("BYE", 1, 1_060)]
    found, rejects = read(tmp_path, lines)
    assert (found, rejects) == ({"call1": 60}, [])
