"""Files as streams of lines or of blocks of lines, compressed or not, in bounded memory.

What is compressed is told by its first bytes, not by its name: gzip, bzip2, xz, which the standard
library reads. zstd is refused with a reason: it came to the standard library with Python 3.14, and
Polars' own would unpack the whole file at once.

One line is one entry, also in CSV. A quote that is not closed in its line would otherwise swallow
the lines behind it, good ones among them, and switches do not write line breaks into cells.
"""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

LONGEST_LINE: Final = 4 << 20
"""Bytes. The JSON of a long FreeSWITCH call with its logs is some hundred kB."""

BLOCK: Final = 8 << 20
"""Bytes that are read at once where lines are not looked at one by one: some 70,000 CDRs."""

BOM: Final = b"\xef\xbb\xbf"
_HEAD: Final = 6  # bytes that tell how a file is compressed
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_DAMAGES: Final = (EOFError, OSError, zlib.error, lzma.LZMAError)


class Damaged(Exception):
    """The file ends or goes wrong before its end; what came before was good."""


class Source:
    """One file, read once from its begin to its end.

    `entries` counts what was taken from it, `told` what batches have accounted for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self.entries = 0
        self.told = 0

    def opened(self) -> io.BufferedIOBase:
        """Open what is read, unpacked."""
        return opened(self.path)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield each line with its number from 1, without its end.

        Of a line that is too long comes one byte more than `LONGEST_LINE`. Damaged at the place
        where the file is.
        """
        with self.opened() as stream:
            while line := _sound(lambda: stream.readline(LONGEST_LINE + 1)):
                if len(line) > LONGEST_LINE and not line.endswith(b"\n"):
                    _skip_line(stream)
                self.entries += 1
                text = line.removeprefix(BOM) if self.entries == 1 else line
                yield self.entries, text.rstrip(b"\r\n")

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """Yield whole lines, some MB at a time, with the number of the first; each ends with LF."""
        with self.opened() as stream:
            damage = None
            while damage is None:
                pieces, damage = block_of(stream)
                text = b"".join(pieces)
                if not text:
                    break
                if not text.endswith(b"\n"):
                    text += b"\n"
                first, self.entries = self.entries + 1, self.entries + lines_in(text)
                yield first, text.removeprefix(BOM) if first == 1 else text
            if damage is not None:
                raise damage


def lines_in(text: bytes) -> int:
    """Count line ends; CPython replaces bytes twice as fast as it counts them."""
    return len(text) - len(text.replace(b"\n", b""))


def head_of(path: Path, size: int) -> bytes:
    """Return the first bytes of what a file holds; Damaged, OSError."""
    with opened(path) as stream:
        return _sound(lambda: stream.read(size)).removeprefix(BOM)


def opened(path: Path) -> io.BufferedIOBase:
    """Open what a file holds, unpacked; Damaged, OSError."""
    with path.open("rb") as plain:
        head = plain.read(_HEAD)
    if head.startswith(_ZSTD):
        raise Damaged("is compressed with zstd, expected gzip, bzip2, xz or no compression")
    if head.startswith(b"\x1f\x8b"):
        return gzip.open(path)
    if head.startswith(b"BZh"):
        return bz2.open(path)
    if head == b"\xfd7zXZ\x00":
        return lzma.open(path)
    return path.open("rb")


def _sound(read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except _DAMAGES as error:
        raise Damaged(f"cannot be read on from here: {error}") from error


def block_of(stream: io.BufferedIOBase) -> tuple[list[bytes], Damaged | None]:
    """Return the pieces of a block of whole lines, and what ended it before its time."""
    pieces: list[bytes] = []
    size = 0
    try:
        while size < BLOCK and (piece := _sound(partial(stream.read1, BLOCK - size))):
            pieces.append(piece)
            size += len(piece)
        pieces.append(_sound(lambda: stream.readline(LONGEST_LINE + 1)))
        if len(pieces[-1]) > LONGEST_LINE and not pieces[-1].endswith(b"\n"):
            _skip_line(stream)
    except Damaged as damage:
        return pieces, damage
    return pieces, None


def _skip_line(stream: io.BufferedIOBase) -> None:
    while piece := _sound(lambda: stream.readline(LONGEST_LINE)):
        if piece.endswith(b"\n"):
            return
