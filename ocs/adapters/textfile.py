"""Figures of a command that runs and ends, in a file for a node exporter's textfile collector.

The form is Prometheus' text exposition. The file is replaced as a whole, so that nobody reads half
of it, and stays when the command has ended: what it did last is still to be seen. A port of its
own, as a service has, would be gone before the next scrape.
"""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct


class Figure(Struct, frozen=True):
    """One metric: `kind` is counter or gauge, `samples` are (labels, value)."""

    name: str
    kind: str
    about: str
    samples: Sequence[tuple[dict[str, str], float]]


def write_figures(path: Path, figures: Sequence[Figure]) -> None:
    """Replace the file. Raises `OSError`."""
    lines = [line for figure in figures for line in _lines(figure)]
    new = path.with_name(f".{path.name}.new")
    new.write_text("\n".join((*lines, "")), encoding="utf-8")
    new.replace(path)


def _lines(figure: Figure) -> list[str]:
    lines = [f"# HELP {figure.name} {figure.about}", f"# TYPE {figure.name} {figure.kind}"]
    for labels, value in figure.samples:
        named = ",".join(f'{name}="{_quoted(text)}"' for name, text in labels.items())
        lines.append(
            f"{figure.name}{{{named}}} {value:.16g}" if named else f"{figure.name} {value:.16g}"
        )
    return lines


def _quoted(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
