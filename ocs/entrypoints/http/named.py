"""What the line and the headers of a request say of the event in it: its source, or all of it.

    POST /realtime?source=kamailio              or ?file_type=kamailio, as BillRun's clients say it
    X-OCS-Source: kamailio                      where the address is not the client's to choose
    GET /realtime?file_type=classic&request={"record_type":...}

The address goes before the header, `source` before `file_type`; the last of one name counts.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

SOURCE_HEADER: Final = "X-OCS-Source"

_SOURCE_NAMES: Final = ("source", "file_type")
_REQUEST: Final = "request"


def source_named(address: str, headers: Mapping[str, str]) -> str:
    """Return the event source that a request names; empty if it names none."""
    if "?" in address:
        query = _query(address)
        for name in _SOURCE_NAMES:
            if query.get(name):
                return query[name]
    return headers.get(SOURCE_HEADER, "")


def request_in(address: str) -> bytes:
    """Return the event that stands in an address, as if it were the body."""
    return _query(address).get(_REQUEST, "").encode(errors="replace") if "?" in address else b""


def only_names_source(address: str) -> bool:
    """Tell whether there is nothing else in the query of an address."""
    return "?" not in address or _query(address).keys() <= set(_SOURCE_NAMES)


def _query(address: str) -> dict[str, str]:
    _, _, query = address.partition("?")
    return dict(parse_qsl(query.partition("#")[0], keep_blank_values=True, errors="replace"))
