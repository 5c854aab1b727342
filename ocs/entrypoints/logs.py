"""Log lines as JSON on stderr, without anybody's number.

    {"time": "2026-01-01T12:00:00.123Z", "level": "info", "logger": "ocs.events",
     "message": "refused", "code": "NO_CREDIT", "op": "start", "subscriber": "5f0c…9a-66", …}

A number becomes a keyed pseudonym and its last two digits: lines of one subscriber can be found
together, by who has the key, and a list of all numbers does not decode them, as it would a plain
hash. Without a key in the configuration each start draws its own.

Nothing is logged of a granted event. Refused ones, slow ones and those whose outcome is unknown get
a line each, up to a rate; what is left out is counted in the next line. The reason of a refusal is
not logged, only its field: a reason may quote.
"""

import hmac
import logging
import re
import secrets
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, TextIO

import msgspec

from ocs.domain.events import Event
from ocs.domain.results import ResultCode
from ocs.usecases.answer import Answer

LINES_PER_SECOND: Final = 20
"""Event lines of one worker. An attack or a wrong tariff refuses thousands a second; twenty of them
tell as much, and the metrics count the rest."""

_PSEUDONYM_DIGITS: Final = 12
_SHOWN_DIGITS: Final = 2
_NUMBER: Final = re.compile(r"\d{7,}")
_QUIET: Final = frozenset({ResultCode.OK, ResultCode.NOT_CHARGED})
_events: Final = logging.getLogger("ocs.events")
_encode: Final = msgspec.json.Encoder(enc_hook=str).encode


class Pseudonyms:
    """Names that stand for numbers in logs; the same number has the same name under one key."""

    def __init__(self, key: str = "") -> None:
        """Raises nothing: an empty key is replaced by a random one."""
        self._key = key.encode() or secrets.token_bytes(32)

    def of(self, number: str) -> str:
        """Name a subscriber: 12 hexadecimal digits and the last two of the number."""
        if not number:
            return ""
        return f"{self._digest(number)}-{number[-_SHOWN_DIGITS:]}"

    def session(self, session_id: str) -> str:
        """Name a session; ids of some switches hold numbers."""
        return self._digest(session_id) if session_id else ""

    def _digest(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), sha256).hexdigest()[:_PSEUDONYM_DIGITS]


class JsonFormatter(logging.Formatter):
    """One JSON object a record; fields come from `extra={"fields": {...}}`.

    Runs of seven and more digits in a traceback are masked: values that an exception quotes.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _iso(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = _NUMBER.sub("#", self.formatException(record.exc_info))
        return _encode(line).decode()


def configure_logs(level: str, stream: TextIO | None = None) -> None:
    """Send all logging of this process to one stream (stderr), as JSON."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class EventLog:
    """Writes the lines about events; `monotonic_s` is the clock for their rate.

    An event that takes more than `slow_s` is noted, whatever became of it.
    """

    def __init__(
        self,
        pseudonyms: Pseudonyms,
        monotonic_s: Callable[[], float],
        *,
        slow_s: float,
        lines_per_second: int = LINES_PER_SECOND,
    ) -> None:
        self._slow_s = slow_s
        self._pseudonyms = pseudonyms
        self._monotonic_s = monotonic_s
        self._lines_per_second = lines_per_second
        self._second = 0
        self._lines = 0
        self._suppressed = 0

    def refused(self, kind: str, answer: Answer) -> None:
        """Note an event that was answered without being charged."""
        if self._may_write():
            self._write("refused", self._fields(kind, answer))

    def charged(self, events: Sequence[Event], answers: Sequence[Answer], took_s: float) -> None:
        """Note events that charging refused, whose outcome is not known, or that were slow.

        Each of them took `took_s`.
        """
        is_slow = took_s > self._slow_s
        for event, answer in zip(events, answers, strict=True):
            if (answer.code in _QUIET and not is_slow) or not self._may_write():
                continue
            fields = self._fields(event.kind, answer) | self._of(event)
            if is_slow:
                self._write("slow", fields | {"took_ms": round(took_s * 1_000)})
            else:
                self._write("refused", fields)

    def _fields(self, kind: str, answer: Answer) -> dict[str, object]:
        fields = {
            "code": str(answer.code),
            "op": str(kind),
            "session": self._pseudonyms.session(answer.session_id),
            "field": answer.field,
            "transaction_id": answer.transaction_id,
        }
        return {name: value for name, value in fields.items() if value}

    def _of(self, event: Event) -> dict[str, object]:
        return {
            "tenant": event.tenant,
            "service": event.usage_type,
            "subscriber": self._pseudonyms.of(event.subscriber),
            "session": self._pseudonyms.session(event.session_id),
            "request_number": event.request_number,
        }

    def _may_write(self) -> bool:
        second = int(self._monotonic_s())
        if second != self._second:
            self._second, self._lines = second, 0
        if self._lines >= self._lines_per_second:
            self._suppressed += 1
            return False
        self._lines += 1
        return True

    def _write(self, message: str, fields: dict[str, object]) -> None:
        if self._suppressed:
            fields["suppressed"], self._suppressed = self._suppressed, 0
        _events.info(message, extra={"fields": fields})


def _iso(created_s: float) -> str:
    text = datetime.fromtimestamp(created_s, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
