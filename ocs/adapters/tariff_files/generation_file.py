"""The compiled tariff generation: one file, written whole or not at all, mapped by every worker.

    magic        8 bytes
    digest      32 bytes   BLAKE2b of everything after it
    length       8 bytes   of the directory, little-endian
    directory              msgpack: which tariffs, and where each of their arrays lies
    arrays                 each on a multiple of 8 bytes, in the machine's own byte order

Workers look numbers up in the arrays where they lie: nothing is decoded at the start but the
directory, and the pages are shared between workers. The digest is checked once, when the file is
opened (about 20 ms for a million prefixes), because an array cut short would not crash: it would
find another price. A file of another format or byte order is refused by its magic; the file is a
cache of the CSV folder, and whoever opens it can build it again.
"""

import hashlib
import mmap
import os
import sys
from array import array
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path
from typing import Final, Literal

import msgspec

from ocs.adapters.tariff_files.reading import TariffBuild
from ocs.adapters.tariff_files.sections import Tariff
from ocs.domain.generation import Generation
from ocs.domain.money import currency
from ocs.domain.prefix_trie import Longs, PrefixTrie, compile_trie
from ocs.domain.tariff import Deck, DeckHead, Records, Rows
from ocs.domain.zones import zone_named

FORMAT: Final = 2
"""Raised with every change of this file's layout or of how prices compile: it is part of the id, so
that a newer version does not take an older one's file for its own."""

_MAGIC: Final = f"OCSTAR{FORMAT}{'<' if sys.byteorder == 'little' else '>'}".encode("ascii")
_DIGEST_BYTES: Final = 32
_LENGTH_BYTES: Final = 8
_DIRECTORY_AT: Final = len(_MAGIC) + _DIGEST_BYTES + _LENGTH_BYTES
_ALIGNMENT: Final = 8

# The arrays of a deck, in the order of the file, with their element types.
_ARRAYS: Final[dict[str, Literal["q", "i", "b", "B"]]] = {
    "starts": "q",
    "prefixes": "i",
    "index": "i",
    "lengths": "b",
    "parents": "i",
    "first_rows": "i",
    "valid_from_ms": "q",
    "valid_to_ms": "q",
    "row_prices": "i",
    "row_destinations": "i",
    "price_offsets": "q",
    "price_blob": "B",
    "destination_offsets": "q",
    "destination_blob": "B",
}


class GenerationFileError(ValueError):
    """A compiled tariff file that cannot be used; the message says why."""


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """Where an array lies, in bytes from the end of the directory."""

    offset: int
    size: int


class _DeckEntry(msgspec.Struct, frozen=True):
    """A deck: `DeckHead` as text (`zone` "" where the file names none), and its arrays."""

    tariff: str
    currency: str
    usage_type: str
    zone: str
    from_prefix: str
    trunk: str
    wall_dates: bool
    is_timed: bool
    index_width: int
    most_digits: int
    places: dict[str, _Place]


class _Directory(msgspec.Struct, frozen=True):
    id: str
    decks: list[_DeckEntry]


def encode(build: TariffBuild) -> list[bytes | memoryview]:
    """Compile a build to the parts of its file, in order."""
    body: list[bytes | memoryview] = []
    size = 0
    entries = []
    for tariff in build.tariffs:
        places = {}
        trie, arrays = _compile(tariff)
        for name in _ARRAYS:
            content = memoryview(arrays[name]).cast("B")
            padding = bytes(-len(content) % _ALIGNMENT)
            places[name] = _Place(size, len(content))
            body += [content, padding]
            size += len(content) + len(padding)
        entries.append(
            _DeckEntry(
                tariff=tariff.name,
                currency=tariff.currency,
                usage_type=tariff.usage_type,
                zone=tariff.zone,
                from_prefix=tariff.from_prefix,
                trunk=tariff.trunk,
                wall_dates=tariff.wall_dates,
                is_timed=any(price.is_timed for price in tariff.prices),
                index_width=trie.index_width,
                most_digits=trie.most_digits,
                places=places,
            )
        )
    directory = msgspec.msgpack.encode(_Directory(build.id, entries))
    length = len(directory).to_bytes(_LENGTH_BYTES, "little")
    directory += bytes(-(_DIRECTORY_AT + len(directory)) % _ALIGNMENT)
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in (length, directory, *body):
        digest.update(part)
    return [_MAGIC, digest.digest(), length, directory, *body]


def decode(content: memoryview) -> Generation:
    """Open a compiled generation in place; GenerationFileError if it is not whole."""
    if bytes(content[: len(_MAGIC)]) != _MAGIC:
        raise GenerationFileError("is not a compiled tariff generation of this version and machine")
    checked = content[len(_MAGIC) + _DIGEST_BYTES :]
    digest = hashlib.blake2b(checked, digest_size=_DIGEST_BYTES).digest()
    if digest != bytes(content[len(_MAGIC) : len(_MAGIC) + _DIGEST_BYTES]):
        raise GenerationFileError("is damaged: its checksum does not match")
    length = int.from_bytes(checked[:_LENGTH_BYTES], "little")
    end = _DIRECTORY_AT + length
    directory = msgspec.msgpack.decode(content[_DIRECTORY_AT:end], type=_Directory)
    body = content[end + -end % _ALIGNMENT :]
    return Generation(directory.id, [_open_deck(entry, body) for entry in directory.decks])


def write_generation(build: TariffBuild, path: Path) -> None:
    """Write a compiled generation so that `path` is, at any moment, absent, old or complete."""
    replace_file(path, encode(build))


def open_generation(path: Path) -> Generation:
    """Map a compiled generation; GenerationFileError, naming the file, if it cannot be used."""
    try:
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # mmap: ValueError for an empty file
        raise GenerationFileError(f"{path.name}: cannot be read: {error}") from error
    try:
        return decode(memoryview(content))
    except GenerationFileError as error:
        raise GenerationFileError(f"{path.name}: {error}") from error


def replace_file(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file beside its place, sync it, and move it there in one step."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _compile(tariff: Tariff) -> "tuple[PrefixTrie, dict[str, array[int] | bytes]]":
    trie = compile_trie(
        tariff.prefixes, tariff.first_rows, tariff.valid_from_ms, tariff.valid_to_ms
    )
    encoder = msgspec.msgpack.Encoder()
    prices = [encoder.encode(price) for price in tariff.prices]
    destinations = [name.encode() for name in tariff.destinations]
    arrays: dict[str, array[int] | bytes] = {
        "row_prices": tariff.row_prices,
        "row_destinations": tariff.row_destinations,
        "price_offsets": _offsets(prices),
        "price_blob": b"".join(prices),
        "destination_offsets": _offsets(destinations),
        "destination_blob": b"".join(destinations),
    }
    arrays |= {name: getattr(trie, name) for name in _ARRAYS if name not in arrays}
    return trie, arrays


def _offsets(records: list[bytes]) -> "array[int]":
    return array("q", accumulate(map(len, records), initial=0))


def _open_deck(entry: _DeckEntry, body: memoryview) -> Deck:
    arrays: dict[str, memoryview] = {}
    for name, element in _ARRAYS.items():
        place = entry.places[name]
        arrays[name] = body[place.offset : place.offset + place.size].cast(element)
    trie_arrays: dict[str, Longs] = {
        name: arrays[name] for name in _ARRAYS if name in PrefixTrie.__struct_fields__
    }
    rows = Rows(
        prices=arrays["row_prices"],
        destinations=arrays["row_destinations"],
        price_records=Records(arrays["price_offsets"], arrays["price_blob"]),
        destination_records=Records(arrays["destination_offsets"], arrays["destination_blob"]),
    )
    trie = PrefixTrie(index_width=entry.index_width, most_digits=entry.most_digits, **trie_arrays)
    head = DeckHead(
        tariff=entry.tariff,
        usage_type=entry.usage_type,
        currency=currency(entry.currency),
        zone=zone_named(entry.zone) if entry.zone else None,
        from_prefix=entry.from_prefix,
        trunk=entry.trunk,
        wall_dates=entry.wall_dates,
        is_timed=entry.is_timed,
    )
    return Deck(head, trie, rows)
