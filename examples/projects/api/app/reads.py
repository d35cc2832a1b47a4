# SPDX-License-Identifier: MPL-2.0
"""Reads through the cache, counted for each path: the page shows what came from where."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from freshwire.cache import Cache

from .database import Connection, Database

Query = Callable[[Connection], Awaitable[Any]]


class Reads:
    def __init__(self, database: Database, cache: Cache) -> None:
        self._database = database
        self._cache = cache
        self.counts: dict[str, dict[str, int]] = {}

    async def read(self, path: str, key: str, tags: Sequence[str], query: Query) -> Any:
        """What the query returns, from the cache if nothing that `tags` name has changed since."""

        async def load() -> Any:
            async with self._database.read() as connection:
                return await query(connection)

        outcome = await self._cache.read(key, tags, load)
        names = ("hit", "miss", "bypass", "stale_rejected")
        counts = self.counts.setdefault(path, dict.fromkeys(names, 0))
        counts[outcome.status.value.lower().replace("-", "_")] += 1
        return outcome.value
