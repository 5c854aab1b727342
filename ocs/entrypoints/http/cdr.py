"""`POST /cdr`: finished CDRs, from switches that push them.

    POST /cdr?format=freeswitch-json         which of docs/cdr.md; our own `ndjson` unless named
             &switch=pbx1                    put before ids that are unique on one switch only
             &tenant=acme                    of a credential with several

By the status a switch decides whether it keeps its copy:

    202   on the disk, to be rated
    4xx   never to be taken as it is: 400 and 403 say which field and why, 413 how much is too much
    503   not now (no room, a slow disk); Retry-After. It may be there nevertheless: a repeat is
          found by the id of its CDR where accounts are settled by CDRs, else it is a second row

Switches that can only do Basic authentication send the token as its password. FreeSWITCH appends
`?uuid=...` to whatever address it has, so a value ends at a question mark.
"""

import asyncio
import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web
from aiohttp.web import RequestPayloadError
from msgspec import Struct

from ocs.domain.results import ResultCode
from ocs.entrypoints.http.auth import TENANT_HEADER, Authenticator, Caller, Refused, Role
from ocs.entrypoints.http.bodies import read_body
from ocs.entrypoints.http.responses import JSON_HEADERS
from ocs.usecases.posted_cdrs import (
    DEFAULT_FORMAT,
    FORMATS,
    MOST_ENTRIES,
    Fault,
    Posted,
    is_too_long,
)
from ocs.usecases.taking_cdrs import Intake, Kept, Outcome, Unreadable

CDR_PATH: Final = "/cdr"

_SWITCH: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_BOM: Final = b"\xef\xbb\xbf"
_BASIC: Final = "basic "
_UNPACKED: Final = ("", "identity", "gzip", "deflate")
"""Content-Encodings; aiohttp has undone them when a body is read."""
_encode: Final = msgspec.json.Encoder().encode


class CdrLimits(Struct, frozen=True, kw_only=True):
    """Bounds of a request, and how long it waits for the disk at most."""

    body_bytes: int
    body_timeout_s: float
    answer_s: float
    retry_after_s: int
    most_at_once: int = 64
    """Requests in hand, whose bodies are in memory."""


class CdrAnswer(Struct, omit_defaults=True):
    """The body of every answer."""

    status: int
    desc: str
    entries: int = 0
    unreadable: int = 0
    field: str = ""
    line: int = 0
    reason: str = ""
    retry_after: int = 0


class _Refusal(Exception):
    def __init__(self, status: HTTPStatus, reason: str, field: str = "", word: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.field = field
        self.word = word or "asked_wrongly"


class Cdrs:
    """Handles the CDRs that are posted to one worker."""

    def __init__(self, intake: Intake, authenticator: Authenticator, limits: CdrLimits) -> None:
        self._intake = intake
        self._authenticator = authenticator
        self._limits = limits
        self._in_hand = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        try:
            caller = self._caller(request)
            with self._room():
                posted = await self._posted(request, caller)
                return self._answer(await self._kept(posted))
        except _Refusal as refusal:
            self._intake.refused[refusal.word] += 1
            told = CdrAnswer(
                refusal.status, refusal.status.phrase, field=refusal.field, reason=refusal.reason
            )
            response = self._respond(told)
            response.force_close()  # a body may be on its way that nobody reads
            return response

    @contextmanager
    def _room(self) -> Iterator[None]:
        if self._in_hand >= self._limits.most_at_once:
            raise _Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many at once", word="no_room")
        self._in_hand += 1
        try:
            yield
        finally:
            self._in_hand -= 1

    def _caller(self, request: web.BaseRequest) -> Caller:
        headers = {name: request.headers[name] for name in _HEADERS if name in request.headers}
        headers["Authorization"] = _bearer(headers.get("Authorization", ""))
        told = _query(request.raw_path).get("tenant")
        if told:
            headers[TENANT_HEADER] = told
        try:
            caller = self._authenticator.caller(headers, request.remote, Role.CHARGE)
        except Refused as refused:
            status = _STATUSES[refused.code]
            raise _Refusal(status, refused.reason, word="unauthorized") from None
        if not caller.tenant:
            reason = "the credential has several: name one"
            raise _Refusal(HTTPStatus.FORBIDDEN, reason, "tenant", "unauthorized")
        return caller

    async def _posted(self, request: web.BaseRequest, caller: Caller) -> Posted:
        query = _query(request.raw_path)
        form, switch = query.get("format") or DEFAULT_FORMAT, query.get("switch", "")
        if form not in FORMATS:
            raise _Refusal(HTTPStatus.BAD_REQUEST, f"is none of {', '.join(FORMATS)}", "format")
        if switch and not _SWITCH.fullmatch(switch):
            reason = "is no name of at most 64 letters, digits, '.', '_' and '-'"
            raise _Refusal(HTTPStatus.BAD_REQUEST, reason, "switch")
        body = await self._body(request)
        return Posted(tenant=caller.tenant, format=form, switch=switch, body=body)

    async def _body(self, request: web.BaseRequest) -> bytes:
        if request.headers.get("Content-Encoding", "").strip().lower() not in _UNPACKED:
            reason = "expected gzip, deflate or none"
            raise _Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, reason, "Content-Encoding")
        most = self._limits.body_bytes
        try:
            body = await read_body(request, most, self._limits.body_timeout_s)
        except TimeoutError:
            reason = "the body did not come in time"
            raise _Refusal(HTTPStatus.REQUEST_TIMEOUT, reason, "body", "late") from None
        except RequestPayloadError as error:
            raise _Refusal(HTTPStatus.BAD_REQUEST, str(error), "body") from None
        if len(body) > most or is_too_long(body):
            reason = f"at most {most} bytes in {MOST_ENTRIES} lines"
            raise _Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason, "body", "too_large")
        return body.removeprefix(_BOM)

    async def _kept(self, posted: Posted) -> Outcome:
        """Wait until it is kept; what has begun is finished all the same."""
        taking = self._intake.take(posted)
        done, _ = await asyncio.wait((taking,), timeout=self._limits.answer_s)
        if not done:
            reason = "the disk is slow"
            raise _Refusal(HTTPStatus.SERVICE_UNAVAILABLE, reason, word="late")
        return taking.result()

    def _answer(self, outcome: Outcome) -> web.Response:
        if isinstance(outcome, Kept):
            status = HTTPStatus.ACCEPTED
            told = CdrAnswer(
                status, status.phrase, entries=outcome.entries, unreadable=outcome.unreadable
            )
        elif isinstance(outcome, Unreadable):
            told = _told(outcome.fault)
        else:
            status = HTTPStatus.SERVICE_UNAVAILABLE
            told = CdrAnswer(status, status.phrase, reason=outcome.reason)
        return self._respond(told)

    def _respond(self, told: CdrAnswer) -> web.Response:
        headers = dict(JSON_HEADERS)
        if told.status == HTTPStatus.SERVICE_UNAVAILABLE:
            told.retry_after = self._limits.retry_after_s
            headers["Retry-After"] = str(told.retry_after)
        if told.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = 'Bearer, Basic realm="ocs"'
        return web.Response(body=_encode(told), status=told.status, headers=headers)


_HEADERS: Final = ("Authorization", TENANT_HEADER)
_STATUSES: Final[Mapping[ResultCode, HTTPStatus]] = {
    ResultCode.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
    ResultCode.FORBIDDEN: HTTPStatus.FORBIDDEN,
}


def _told(fault: Fault) -> CdrAnswer:
    status = HTTPStatus.BAD_REQUEST
    return CdrAnswer(
        status,
        status.phrase,
        field=fault.column or "body",
        line=fault.line,
        reason=fault.reason,
    )


def _query(address: str) -> dict[str, str]:
    _, _, query = address.partition("?")
    pairs = parse_qsl(query.partition("#")[0], errors="replace")
    return {name: value.partition("?")[0] for name, value in pairs}


def _bearer(presented: str) -> str:
    """Write a credential as a bearer's: of Basic authentication the password is the token."""
    if presented[: len(_BASIC)].lower() != _BASIC:
        return presented
    try:
        plain = base64.b64decode(presented[len(_BASIC) :].strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return f"Bearer {plain.partition(':')[2]}"
