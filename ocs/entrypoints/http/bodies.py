"""Reading the body of a request that aiohttp has the connection of."""

import asyncio

from aiohttp import web


async def read_body(request: web.BaseRequest, most_bytes: int, timeout_s: float) -> bytes:
    """Read a body whole, or a little more than `most_bytes` of it. Raises TimeoutError."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    parts, size = [], 0
    async with asyncio.timeout(timeout_s):
        async for part in request.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > most_bytes:
                break
    return b"".join(parts)
