"""Writes the session table of `ocs.domain.session` into docs/design.md, between its two markers.

    python deploy/tools/write_states.py

`tests/architecture/test_documents.py` holds the page to what this writes.
"""

from pathlib import Path
from typing import Final

from ocs.domain.events import Kind
from ocs.domain.session import Row, State, row

PAGE: Final = Path(__file__).parents[2] / "docs" / "design.md"
BEGIN: Final = "<!-- the table of ocs/domain/session.py, by deploy/tools/write_states.py -->\n"
END: Final = "<!-- end of the table -->\n"


def table() -> str:
    """Return the table as Markdown: a line a state, a column a kind of event."""
    lines = ["| state | " + " | ".join(kind.value for kind in Kind) + " |"]
    lines.append("|---" * (len(Kind) + 1) + "|")
    for state in State:
        cells = (_cell(row(state, kind)) for kind in Kind)
        lines.append(f"| **{state.value}** | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(line: Row) -> str:
    if line.repeats_start:
        return "the first answer again, or `CONFLICT`"
    words = ["settle, hold" if line.holds else "settle"]
    if line.code is not None:
        words.append(f"`{line.code.value}`")
    if line.kind is Kind.EVENT and line.state is not State.NONE:
        return f"{words[0]}; stays"
    after = f"→ {line.granted.value}"
    if line.holds and line.refused is not line.granted:
        after += f" (refused: {line.refused.value})"
    return ", ".join(words) + f" {after}"


def with_table(page: str) -> str:
    """Return the page with the table as it is now; ValueError where the markers are not there."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no place for the table")
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
