# SPDX-License-Identifier: MPL-2.0
"""Reads through the cache, counted for each route: the page shows what came from where."""

from __future__ import annotations

from typing import Any

from freshwire.cache import current

NAMES = ("hit", "miss", "bypass", "stale_rejected")


class CountReads:
    """`app.add_middleware(CountReads, counts=…)`, before CacheHeaders: it then runs inside."""

    def __init__(self, app: Any, counts: dict[str, dict[str, int]]) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def count_and_send(message: Any) -> None:
            request = current()
            if message["type"] == "http.response.start" and request and request.status:
                path = getattr(scope.get("route"), "path", scope["path"])
                counts = self._counts.setdefault(path, dict.fromkeys(NAMES, 0))
                counts[request.status.value.lower().replace("-", "_")] += 1
            await send(message)

        await self._app(scope, receive, count_and_send)
