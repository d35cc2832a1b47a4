# SPDX-License-Identifier: MPL-2.0
"""A cache as it is usually written: GET, on a miss load and SET, and the key is removed when something changes. The
checker must catch it, or it catches nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import redis

from freshwire.cache import Cache, Outcome, Status, _codec
from freshwire.cache import context


class NaiveCache(Cache):
    """Keeps the names, the codec and the events; forgets leases, stamps and tokens."""

    def __init__(self, redis_url: str, **options: Any) -> None:
        super().__init__(redis_url, **options)
        self._plain = redis.Redis.from_url(redis_url, socket_timeout=1)

    def _read_sync(self, key: str, plan: Any, loader: Any) -> Outcome:
        if not plan.store:
            return Outcome(loader(), Status.BYPASS)
        value = self._get(plan.entry_key)
        if value is not None:
            outcome = Outcome(plan.unpack(value), Status.HIT)
        else:
            outcome = Outcome(loader(), Status.MISS)
            with suppress(redis.RedisError):
                self._plain.set(plan.entry_key, plan.pack(outcome.value), px=plan.ttl_ms)
        context.record(context.Read(outcome.status, plan, None, self))
        return outcome

    def _get(self, key: str) -> bytes | None:
        try:
            value = self._plain.get(key)
            _codec.unpack(value or b"\xc0")
        except (redis.RedisError, ValueError):
            return None
        return value
