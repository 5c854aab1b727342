"""Files as shares of work, and shares as files again, maybe on another machine.

A file that is cut by bytes and lines (`outline`) and not packed is a share for each of its pieces;
any other is one share. What a share is called says what is in it, so a copy is the same shares.
"""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from ocs.adapters.cdr_files.chunks import CdrFile, faults, told_of
from ocs.adapters.cdr_files.opening import opened
from ocs.adapters.cdr_files.options import Options
from ocs.adapters.cdr_files.outline import NAME_CHARACTERS, cut_by, digest_of
from ocs.adapters.cdr_files.rejected_files import RejectedFile, is_rejected_file
from ocs.usecases import offline_rating
from ocs.usecases.offline_rating import Chunk
from ocs.usecases.sharing_work import Piece, Share

_READ_AT_ONCE: Final = 1 << 20
_WHOLE: Final = b"a whole file|"


class ShareableFile:
    """Implements the port `ShareableFile`. Raises CdrOptionError and OSError."""

    def __init__(self, path: Path, format_name: str, options: Options) -> None:
        self._path = path.absolute()
        self._options = options
        self.name = str(self._path)
        self.size = path.stat().st_size
        is_rejects = is_rejected_file(path)
        self._file = None if is_rejects else CdrFile(self._path, format_name, options)

    def shares(self) -> Iterator[Share]:
        """As `ShareableFile.shares`."""
        with faults():
            if self._file is None or not _is_cut(self._path, self._file.format_name):
                name, size = _named_whole(self._path)
                yield self._share(name, size, None)
                return
            for piece, text, damage in self._file.cuts():
                if damage is not None:
                    raise damage
                yield self._share(piece.name, piece.size, replace(piece, digest=digest_of(text)))

    def _share(self, name: str, size: int, piece: Piece | None) -> Share:
        is_rejects = self._file is None
        return Share(
            name=name,
            file=self.name,
            size=size,
            format="" if self._file is None else self._file.format_name,
            options={} if is_rejects else told_of(self._options),
            piece=piece,
        )


class PieceFile:
    """Implements the port `CdrFile` for one piece of a file: it is one chunk."""

    def __init__(self, file: CdrFile, piece: Piece) -> None:
        self.name = file.name
        self.size = piece.size
        self._file = file
        self._piece = piece

    def chunks(self) -> Iterator[Chunk]:
        """As `CdrFile.chunks`."""
        yield self._file.chunk_at(self._piece)


def open_share(share: Share) -> offline_rating.CdrFile:
    """Open what a share is made of. FileFault."""
    with faults():
        path = Path(share.file)
        if not share.format:
            return RejectedFile(path)
        file = CdrFile(path, share.format, msgspec.convert(share.options, Options))
        return file if share.piece is None else PieceFile(file, share.piece)


def _is_cut(path: Path, form: str) -> bool:
    with opened(path) as stream:
        is_packed = not isinstance(stream, io.BufferedReader)
    return not is_packed and cut_by(path, form) is not None


def _named_whole(path: Path) -> tuple[str, int]:
    """Name a file by all that is in it."""
    digest = hashlib.sha256(_WHOLE)
    with path.open("rb") as stream:
        while piece := stream.read(_READ_AT_ONCE):
            digest.update(piece)
        return digest.hexdigest()[:NAME_CHARACTERS], stream.tell()
