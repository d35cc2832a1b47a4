# SPDX-License-Identifier: MPL-2.0
"""Cache headers, ETags and the freshness token, as pure ASGI.

Not starlette's BaseHTTPMiddleware: that runs the application in another task, and context variables
set there do not come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from concurrent.futures import Future
from typing import Any

from ._cache import CACHED
from ._conditional import VARY, Headers, Remembered, Validators, etag_of, header, matches
from .context import RequestCache, _current, origin_of, parse_fresh
from .policy import LIVE, LIVE_PATTERNS, READ, STATIC_PATTERNS, cache_control

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

FRESH_HEADER = "X-Freshwire-Fresh"
ORIGIN_HEADER = "X-Freshwire-Origin"
EVENT_ID_HEADER = "X-Freshwire-Event-Id"
_VARY_TEXT = b"Authorization, Cookie"


class CacheHeaders:
    """`app.add_middleware(CacheHeaders)`.

    Reads X-Freshwire-Fresh for the caches below, and X-Freshwire-Origin for what they publish. Adds
    X-Cache when a cache was read, X-Freshwire-Event-Id when something was published, and
    Cache-Control when the application said nothing:

        live paths                   `live_control`: private, no-store
        what was read from a cache   private, no-cache, with an ETag
        health and docs              public, max-age=`static_seconds` (60)
        other successful reads       private, max-age=`default_seconds` (10)
        everything else              no-store

    A request whose copy is still good (`If-None-Match`) is answered 304 before the application
    runs, if the whole answer came from caches: if its endpoint is `@cached`, or called
    `covers_response()`. With `live_control="private, no-cache"` that is done for live paths too.
    `etag=False` switches it off, for applications whose dependencies must see every request.
    """

    def __init__(
        self,
        app: App,
        *,
        live: Sequence[str] = LIVE_PATTERNS,
        live_control: str = LIVE,
        static: Sequence[str] = STATIC_PATTERNS,
        static_seconds: int = 60,
        default_seconds: int = 10,
        etag: bool = True,
        wait: float = 2.0,
    ) -> None:
        """`wait`: how long, at most, an answer waits for the events of what it committed."""
        self._app = app
        self._policy: dict[str, Any] = {
            "live": tuple(live),
            "live_control": live_control,
            "static": tuple(static),
            "static_seconds": static_seconds,
            "default_seconds": default_seconds,
        }
        self._validators = Validators() if etag else None
        self._wait = wait

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = RequestCache(
            parse_fresh(_text(scope, FRESH_HEADER)), origin_of(_text(scope, ORIGIN_HEADER))
        )
        if self._validators and scope["method"] == "GET":
            known = await self._validators.unchanged(scope, request.fresh)
            if known:
                await _send_unchanged(known.headers, send)
                return
        answer = _Answer(self, scope, request, send)
        token = _current.set(request)
        try:
            await self._app(scope, receive, answer.send)
        finally:
            _current.reset(token)

    def headers_of(
        self, scope: Scope, message: Message, request: RequestCache
    ) -> list[tuple[bytes, bytes]]:
        headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
        names = {name.lower() for name, _ in headers}
        if request.status:
            headers.append((b"x-cache", request.status.value.encode()))
        if request.event_ids and EVENT_ID_HEADER.lower().encode() not in names:
            ids = ",".join(request.event_ids).encode()
            headers.append((EVENT_ID_HEADER.lower().encode(), ids))
        if b"cache-control" not in names:
            control = self._control(scope, message["status"], request)
            headers.append((b"cache-control", control.encode()))
            if control.startswith("private") and b"vary" not in names:
                headers.append((b"vary", _VARY_TEXT))
        return headers

    def may_have_etag(
        self, scope: Scope, status: int, headers: Headers, reads: RequestCache
    ) -> bool:
        if not self._validators or scope["method"] != "GET" or status != 200:
            return False
        if not reads.covered and not getattr(scope.get("endpoint"), CACHED, False):
            return False
        if header(headers, b"etag") is not None or header(headers, b"set-cookie") is not None:
            return False
        if b"no-store" in (header(headers, b"cache-control") or b""):
            return False
        vary = {name.strip().lower() for name in (header(headers, b"vary") or b"").split(b",")}
        return vary <= {*VARY, b"accept-encoding", b"origin", b""}

    def remember(self, scope: Scope, answer: Remembered) -> None:
        if self._validators:
            self._validators.remember(scope, answer)

    async def settle(self, request: RequestCache) -> None:
        """Waits a little for the events of what was committed: whoever gets the answer may read."""
        pending, request.pending = request.pending, []
        futures = [asyncio.wrap_future(one) if isinstance(one, Future) else one for one in pending]
        if futures:
            await asyncio.wait(futures, timeout=self._wait)

    def _control(self, scope: Scope, status: int, request: RequestCache) -> str:
        if scope["method"] not in ("GET", "HEAD") or not (200 <= status < 300 or status == 304):
            return "no-store"
        control = cache_control(scope["path"], **self._policy)
        if request.reads and control != self._policy["live_control"]:
            return READ
        return control


class _Answer:
    """One answer on its way out. Its start is held back until the body is known, if that may have
    an ETag."""

    def __init__(
        self, middleware: CacheHeaders, scope: Scope, request: RequestCache, send: Send
    ) -> None:
        self._middleware = middleware
        self._scope = scope
        self._request = request
        self._send = send
        self._held: Message | None = None

    async def send(self, message: Message) -> None:
        middleware, request = self._middleware, self._request
        if message["type"] == "http.response.start":
            if request.pending:
                await middleware.settle(request)
            message["headers"] = middleware.headers_of(self._scope, message, request)
            if middleware.may_have_etag(
                self._scope, message["status"], message["headers"], request
            ):
                self._held = message
                return
        elif self._held is not None:
            start, self._held = self._held, None
            whole = message["type"] == "http.response.body" and not message.get("more_body", False)
            if whole and await self._confirmed(start, message.get("body", b"")):
                return
            await self._send(start)
        await self._send(message)

    async def _confirmed(self, start: Message, body: bytes) -> bool:
        """Gives the answer its ETag. True when the browser has it already, and was told so."""
        etag = etag_of(self._scope, self._request, body)
        if etag is None:
            return False
        headers = [*start["headers"], (b"etag", etag)]
        start["headers"] = headers
        kept = (b"etag", b"cache-control", b"vary", b"content-location", b"expires")
        unchanged = [(name, value) for name, value in headers if name.lower() in kept]
        self._middleware.remember(
            self._scope,
            Remembered(etag, [*unchanged, (b"x-cache", b"HIT")], tuple(self._request.reads)),
        )
        asked = header(self._scope["headers"], b"if-none-match")
        if asked is None or not matches(asked, etag, or_any=True):
            return False
        status = self._request.status
        await _send_unchanged(
            [*unchanged, (b"x-cache", status.value.encode() if status else b"HIT")], self._send
        )
        return True


async def _send_unchanged(headers: Sequence[tuple[bytes, bytes]], send: Send) -> None:
    await send({"type": "http.response.start", "status": 304, "headers": list(headers)})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _text(scope: Scope, name: str) -> str | None:
    value = header(scope["headers"], name.lower().encode())
    return None if value is None else value.decode("latin-1")
