"""The outline of a file: where its chunks begin and end, found without reading what stands in it.

    first line │ 8 MB ─ 8 MB ─ 8 MB │ 8 MB ─ 8 MB │ ...
    header       piece 1              piece 2          each ends at the end of a line

A *piece* is one chunk, and can be read by itself: bytes at a place of the file, below the header.
That is so for formats in which a line means what it says, wherever it stands (`cut_by`). Others are
read from their begin to their end: Kamailio's acc, where a call is two lines; Cisco and BillRun's
CSV, where a new line of names may come at any time; FreeSWITCH's JSON, which may be one document.

Where a piece ends depends on bytes and line ends only, not on what readers find in the lines. So
whoever cuts reads at the speed of a disk, and comes to the same chunks as whoever rates; what is
packed is cut as if it were not, though nobody can begin in its middle.
"""

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ocs.adapters.cdr_files import asterisk
from ocs.adapters.cdr_files.batching import cells_of, decoded
from ocs.adapters.cdr_files.cells import CellError
from ocs.adapters.cdr_files.opening import BOM, Damaged, Source, block_of, head_of, lines_in
from ocs.adapters.cdr_files.own_files import header_names
from ocs.usecases.sharing_work import Piece

NAME_CHARACTERS: Final = 32
_HEAD: Final = 1 << 20  # bytes in which a first line ends

_LINEWISE: Final = frozenset(
    {"ndjson", "asterisk", "freeswitch", "kamailio-cdr", "portsip", "billrun-json"}
)
"""Formats whose lines mean something wherever they stand."""
_OWN: Final = "csv"
_ASTERISK: Final = "asterisk-custom"


class Limits(NamedTuple):
    """After how many entries or bytes a piece ends, at the end of the block in which they come."""

    entries: int
    text: int


class Cut(NamedTuple):
    """A piece with its bytes, and the damage that ended the file behind it."""

    piece: Piece
    text: bytes
    damage: Damaged | None


def cut_by(path: Path, form: str) -> bytes | None:
    """Return the header that goes before each piece of a file, maybe none; None: it is not cut.

    What is damaged before its first line ends is not: its reader says so. OSError.
    """
    if form in _LINEWISE:
        return b""
    if form not in {_OWN, _ASTERISK}:
        return None
    try:
        line = head_of(path, _HEAD).partition(b"\n")[0].rstrip(b"\r")
        if form == _ASTERISK:
            return line if asterisk.HEADER.issubset(cells_of(decoded(line))) else b""
        header_names(line)
    except Damaged:
        return None
    except CellError:  # of an own file nothing is read below it
        return None if form == _OWN else b""
    return line


def outline(stream: io.BufferedIOBase, header: bytes, limits: Limits) -> Iterator[Cut]:
    """Cut what a stream holds; bytes are counted where they stand, lines from 1."""

    def is_full(lines: int, size: int) -> bool:
        return lines >= limits.entries or size >= limits.text

    digest, begin, line = hashlib.sha256(), 0, 1
    while True:
        text, lines, damage = _text_of(stream, is_full)
        if not text and damage is None:
            return
        end = stream.tell()
        sound = text if begin else text.removeprefix(BOM)
        digest.update(sound)
        piece = Piece(
            name=named(digest, line - 1 + lines),
            offset=begin,
            size=end - begin,
            first_line=line,
            lines=lines,
            header=header if begin else b"",
        )
        yield Cut(piece, sound, damage)
        if damage is not None:
            return
        begin, line = end, line + lines


def text_at(path: Path, piece: Piece) -> bytes:
    """Read a piece of a file that is not packed. Damaged: the file is not what it was; OSError."""
    with path.open("rb") as stream:
        stream.seek(piece.offset)
        text, _, damage = _text_of(stream, lambda _, size: size >= piece.size)
    if damage is not None:
        raise damage
    if piece.offset == 0:
        text = text.removeprefix(BOM)
    if digest_of(text) != piece.digest:
        raise Damaged(f"is not what it was when it was shared, from line {piece.first_line} on")
    return text


class PieceSource(Source):
    """A piece as if it were a file; its lines have the numbers that they have there.

    `headers` are the lines, one or none, that stand before it and belong to the first piece.
    """

    def __init__(self, path: Path, cut: Cut) -> None:
        super().__init__(path)
        self.headers = 1 if cut.piece.header else 0
        self.entries = self.told = cut.piece.first_line - 1 - self.headers
        self._cut = cut

    def opened(self) -> io.BufferedIOBase:
        """As `Source.opened`."""
        return io.BytesIO(self._cut.text)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """As `Source.lines`, the header first."""
        if self.headers:
            self.entries += 1
            yield 1, self._cut.piece.header
        yield from super().lines()
        self._end()

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """As `Source.blocks`, below the header, all of it at once."""
        if self.headers:
            self.entries += 1
            yield self.entries, self._cut.piece.header + b"\n"
        first, self.entries = self.entries + 1, self.entries + self._cut.piece.lines
        if self._cut.text:
            yield first, self._cut.text
        self._end()

    def _end(self) -> None:
        if self._cut.damage is not None:
            raise self._cut.damage


def named(digest: "hashlib._Hash", entries: int) -> str:
    """Name the chunk up to whose end so many entries have come, and bytes of this digest."""
    found = digest.copy()
    found.update(b"|%d" % entries)
    return found.hexdigest()[:NAME_CHARACTERS]


def digest_of(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _text_of(
    stream: io.BufferedIOBase, is_full: Callable[[int, int], bool]
) -> tuple[bytes, int, Damaged | None]:
    """Read blocks of whole lines until there are enough lines and bytes; each line ends with LF."""
    found: list[bytes] = []
    begin, lines, damage = stream.tell(), 0, None
    while damage is None and not is_full(lines, stream.tell() - begin):
        pieces, damage = block_of(stream)
        pieces = [piece for piece in pieces if piece]
        if not pieces:
            break
        if not pieces[-1].endswith(b"\n"):
            pieces.append(b"\n")
        found += pieces
        lines += sum(map(lines_in, pieces))
    return b"".join(found), lines, damage
