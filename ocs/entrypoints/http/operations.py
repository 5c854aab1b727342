"""What operators and their machines ask a worker: metrics, whether it lives, whether it is ready.

`/livez` never touches the store: a worker is not to be killed because the store is away.
`/readyz` says whether to send events here, and names every check, so that a person who looks sees
why not. `/metrics` needs the role `operate` where it is asked for from another machine and there
are credentials.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from aiohttp import web

from ocs.domain.results import ResultCode
from ocs.entrypoints.http.auth import Authenticator, Refused, Role
from ocs.entrypoints.http.responses import JSON_HEADERS
from ocs.entrypoints.listening import is_loopback

Check = Callable[[], Awaitable[str]]
"""Returns what is wrong, or an empty text. Raising counts as wrong."""

CHECK_TIMEOUT_S: Final = 0.05
"""A store that takes longer to answer a ping cannot charge in time either."""

_PASSED: Final = "ok"
_encode: Final = msgspec.json.Encoder().encode


class Readiness:
    """Whether this worker should be sent events. `draining` is set when it is about to end."""

    def __init__(self, checks: Mapping[str, Check], timeout_s: float = CHECK_TIMEOUT_S) -> None:
        self.draining = False
        self._checks = dict(checks)
        self._timeout_s = timeout_s

    async def results(self) -> dict[str, str]:
        """Return "ok", or what is wrong, of each check."""
        found = await asyncio.gather(*map(self._run, self._checks.values()))
        results = dict(zip(self._checks, found, strict=True))
        return results | {"draining": "this worker is about to end" if self.draining else _PASSED}

    async def _run(self, check: Check) -> str:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await check() or _PASSED
        except TimeoutError:
            return f"no answer within {round(self._timeout_s * 1000)} ms"
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is why we are not ready
            return f"{type(error).__name__}: {error}"


class Operations:
    """Handlers of the operations port; also served beside `/realtime`, but for the metrics."""

    def __init__(
        self,
        readiness: Readiness,
        render_metrics: Callable[[], tuple[bytes, str]],
        authenticator: Authenticator,
        look: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`look` is awaited before each scrape: for what only the store can count."""
        self._readiness = readiness
        self._render_metrics = render_metrics
        self._authenticator = authenticator
        self._look = look

    async def livez(self, _: web.BaseRequest) -> web.Response:
        return _json(200, {"alive": True})

    async def readyz(self, _: web.BaseRequest) -> web.Response:
        checks = await self._readiness.results()
        ready = all(result == _PASSED for result in checks.values())
        return _json(200 if ready else 503, {"ready": ready, "checks": checks})

    async def metrics(self, request: web.BaseRequest) -> web.Response:
        if request.remote and not is_loopback(request.remote):
            try:
                self._authenticator.caller(request.headers, request.remote, Role.OPERATE)
            except Refused as refused:
                unknown = refused.code is ResultCode.UNAUTHORIZED
                return _json(401 if unknown else 403, {"desc": refused.reason or "who are you?"})
        if self._look is not None:
            await self._look()
        body, content_type = self._render_metrics()
        return web.Response(body=body, headers={"Content-Type": content_type, "Server": "ocs"})


def _json(status: int, content: object) -> web.Response:
    return web.Response(
        body=_encode(content),
        status=status,
        headers=JSON_HEADERS,
    )
