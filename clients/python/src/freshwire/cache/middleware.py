# SPDX-License-Identifier: MPL-2.0
"""Cache headers and the freshness token, as pure ASGI.

Not starlette's BaseHTTPMiddleware: that runs the application in another task, and context variables
set there do not come back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from .context import RequestCache, _current, parse_fresh
from .policy import LIVE, LIVE_PATTERNS, STATIC_PATTERNS, cache_control

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

FRESH_HEADER = b"x-freshwire-fresh"
VARY = b"Authorization, Cookie"


class CacheHeaders:
    """`app.add_middleware(CacheHeaders)`.

    Reads X-Freshwire-Fresh for the caches below. Adds X-Cache when a cache was read, and
    Cache-Control when the application said nothing: live paths, and whatever was read from a cache,
    `private, no-cache`; health and docs 60 s; other successful reads 10 s; the rest `no-store`.
    """

    def __init__(
        self,
        app: App,
        *,
        live: Sequence[str] = LIVE_PATTERNS,
        static: Sequence[str] = STATIC_PATTERNS,
        static_seconds: int = 60,
        default_seconds: int = 10,
    ) -> None:
        self._app = app
        self._policy: dict[str, Any] = {
            "live": tuple(live),
            "static": tuple(static),
            "static_seconds": static_seconds,
            "default_seconds": default_seconds,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = RequestCache(parse_fresh(_header(scope["headers"], FRESH_HEADER)))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._headers(scope, message, request)
            await send(message)

        token = _current.set(request)
        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            _current.reset(token)

    def _headers(
        self, scope: Scope, message: Message, request: RequestCache
    ) -> list[tuple[bytes, bytes]]:
        headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
        names = {name.lower() for name, _ in headers}
        if request.status:
            headers.append((b"x-cache", request.status.value.encode()))
        if b"cache-control" not in names:
            control = self._control(scope, message["status"], request)
            headers.append((b"cache-control", control.encode()))
            if control.startswith("private") and b"vary" not in names:
                headers.append((b"vary", VARY))
        return headers

    def _control(self, scope: Scope, status: int, request: RequestCache) -> str:
        if scope["method"] not in ("GET", "HEAD") or not (200 <= status < 300 or status == 304):
            return "no-store"
        if request.reads:
            return LIVE
        return cache_control(scope["path"], **self._policy)


def _header(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> str | None:
    for name, value in headers:
        if name.lower() == wanted:
            return value.decode("latin-1")
    return None
