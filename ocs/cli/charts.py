"""A bar chart as SVG, written by hand: a few dozen rectangles and texts need no library.

Rejected: matplotlib, whose 60 MB would be most of what the extra brings; PNG, for which something
has to draw letters, while a browser does so with an SVG.
"""

from collections.abc import Sequence
from html import escape
from typing import Final

from msgspec import Struct

_WIDTH: Final = 860
_LABELS: Final = 220  # pixels that names may take
_BARS: Final = 480
_LINE: Final = 22
_HEAD: Final = 48
_LONGEST_NAME: Final = 32  # characters that fit into _LABELS


class Bar(Struct, frozen=True):
    """One bar: its length is `value`, `told` stands at its end."""

    name: str
    value: int
    told: str


def bar_chart(title: str, bars: Sequence[Bar]) -> str:
    """Draw bars below each other; the longest takes all the room, none of 0 or below has any."""
    height = _HEAD + _LINE * len(bars) + _LINE
    most = max((bar.value for bar in bars), default=0)
    shapes = [shape for number, bar in enumerate(bars) for shape in _drawn(bar, number, most)]
    return "\n".join(
        (
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
                ' font-family="sans-serif" font-size="12">'
            ),
            f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
            f'<text x="16" y="28" font-size="16">{escape(title)}</text>',
            *shapes,
            "</svg>\n",
        )
    )


def _drawn(bar: Bar, number: int, most: int) -> tuple[str, str, str]:
    top = _HEAD + _LINE * number
    length = max(0, bar.value) * _BARS / most if most > 0 else 0.0
    name = bar.name if len(bar.name) <= _LONGEST_NAME else f"{bar.name[: _LONGEST_NAME - 1]}…"
    return (
        f'<text x="{_LABELS - 8}" y="{top + 14}" text-anchor="end">{escape(name)}</text>',
        f'<rect x="{_LABELS}" y="{top + 3}" width="{length:.1f}" height="15" fill="#3b6ea5"/>',
        f'<text x="{_LABELS + length + 6:.1f}" y="{top + 14}">{escape(bar.told)}</text>',
    )
