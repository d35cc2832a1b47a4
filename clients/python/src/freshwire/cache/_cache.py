# SPDX-License-Identifier: MPL-2.0
"""The cache that services use: read through Redis, never stale after an invalidation."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

from freshwire.events import Invalidate

from . import _algorithm, context
from ._algorithm import BYPASS, Fresh, Outcome, Plan, Purged, Status
from ._entry import EPOCH_TAG, PAYLOAD_SIZE_MAX, sort_tags
from ._redis import AsyncRedis, SyncRedis
from ._template import Template, limit_key

log = logging.getLogger("freshwire.cache")

Function = TypeVar("Function", bound=Callable[..., Any])
Seconds = float | timedelta

DEFAULT_URL = "redis://127.0.0.1:6379/0"


class CacheError(Exception):
    """Redis did not do what was asked. Reads never raise it: they load instead."""


@dataclass
class CacheStats:
    hits: int = 0
    misses: int = 0
    bypassed: int = 0
    stale_rejected: int = 0
    stored: int = 0
    not_stored: int = 0
    """Loaded, but not stored: purged meanwhile, too recent, not cacheable, or Redis did not
    answer."""
    redis_failures: int = 0

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


_COUNTER = {
    Status.HIT: "hits",
    Status.MISS: "misses",
    Status.BYPASS: "bypassed",
    Status.STALE_REJECTED: "stale_rejected",
}


class Cache:
    """Reads through Redis from asyncio and from threads. Safe across fork.

    A read never fails because of Redis: it loads instead. A value is served again only if nothing
    it carries the tag of, and not its key, was purged since before it was loaded.
    """

    def __init__(
        self,
        redis_url: str | None = None,
        *,
        namespace: str = "fw",
        ttl: Seconds = 300,
        stamp_ttl: Seconds = 24 * 60 * 60,
        timeout: float = 0.25,
        lease: float = 10.0,
        wait: float = 1.0,
        hold_off: float = 0.0,
        margin: float = 0.0,
        payload_size_max: int = PAYLOAD_SIZE_MAX,
    ) -> None:
        """Times in seconds.

        `ttl` of an entry when a read names none; `stamp_ttl` of a tag's stamp, at least twice the
        longest ttl; `timeout` of one Redis round trip; `lease` after which a loader is taken for
        dead; `wait` for another's load before loading as well; `hold_off` = the most that a load
        may lag behind commits (read replicas): nothing is stored for so long after a purge;
        `margin` = the most that two Redis nodes' clocks may differ after a failover.
        """
        self._url = redis_url or os.environ.get("REDIS_URL") or DEFAULT_URL
        self._namespace = namespace
        self._ttl_ms = _milliseconds(ttl)
        self._stamp_ttl_ms = _milliseconds(stamp_ttl)
        self._lease_ms = _milliseconds(lease)
        self._wait = wait
        self._hold_off_us = round(hold_off * 1_000_000)
        self._margin_us = round(margin * 1_000_000)
        self._payload_size_max = min(payload_size_max, PAYLOAD_SIZE_MAX)
        self._check_ttl(self._ttl_ms)
        self._random = random.Random()
        self._sync = SyncRedis(self._url, timeout)
        self._async = AsyncRedis(self._url, timeout)
        self._lock = threading.Lock()
        self._stats = CacheStats()
        self._complained: set[str] = set()
        _alive.add(self)

    # ---- reading

    async def get_or_load(
        self,
        key: str,
        tags: Iterable[str],
        loader: Callable[[], Awaitable[Any]],
        *,
        ttl: Seconds | None = None,
        fresh: Fresh | str | None = None,
        store: bool = True,
    ) -> Any:
        """The cached value of `key`, or what `loader` returns; see `read` for the arguments."""
        outcome = await self.read(key, tags, loader, ttl=ttl, fresh=fresh, store=store)
        return outcome.value

    async def read(
        self,
        key: str,
        tags: Iterable[str],
        loader: Callable[[], Awaitable[Any]],
        *,
        ttl: Seconds | None = None,
        fresh: Fresh | str | None = None,
        store: bool = True,
    ) -> Outcome:
        """As `get_or_load`, and says whether it was a hit.

        `tags` must name everything whose change makes the value stale; they are needed before the
        load. `fresh` is the freshness token of the event that caused the read, "bypass" for an
        event that was unconfirmed; by default the one of the current request. `store=False` when
        the load may not see the last commits, for example inside an older transaction.
        """
        steps = _algorithm.read(self._plan(key, tags, ttl, fresh, store), self._random)
        return self._count(key, await self._drive(steps, loader))

    def get_or_load_sync(
        self,
        key: str,
        tags: Iterable[str],
        loader: Callable[[], Any],
        *,
        ttl: Seconds | None = None,
        fresh: Fresh | str | None = None,
        store: bool = True,
    ) -> Any:
        """As `get_or_load`, for threads."""
        return self.read_sync(key, tags, loader, ttl=ttl, fresh=fresh, store=store).value

    def read_sync(
        self,
        key: str,
        tags: Iterable[str],
        loader: Callable[[], Any],
        *,
        ttl: Seconds | None = None,
        fresh: Fresh | str | None = None,
        store: bool = True,
    ) -> Outcome:
        """As `read`, for threads."""
        steps = _algorithm.read(self._plan(key, tags, ttl, fresh, store), self._random)
        return self._count(key, self._drive_sync(steps, loader))

    def cached(
        self, *, key: str, tags: Sequence[str] = (), ttl: Seconds | None = None
    ) -> Callable[[Function], Function]:
        """Caches what a function returns, `def` or `async def`, endpoint or not.

            @cache.cached(ttl=300, key="projects:{team_id}", tags=["projects"])
            async def list_projects(team_id: int) -> list[dict]: ...

        Braces hold arguments and their attributes. The key must name everything that the result
        depends on, the signed-in user too; an unknown name is an error at decoration. The decorated
        function has `cache_key(…)`, for exact invalidation, with the same arguments.
        """
        key_template = Template(key)
        tag_templates = [Template(tag) for tag in tags]

        def decorate(function: Function) -> Function:
            signature = inspect.signature(function)
            for template in (key_template, *tag_templates):
                template.check(signature, getattr(function, "__qualname__", repr(function)))

            def name(*args: Any, **kwargs: Any) -> tuple[str, list[str]]:
                bound = signature.bind(*args, **kwargs)
                bound.apply_defaults()
                filled = [template.tag(bound.arguments) for template in tag_templates]
                return key_template.key(bound.arguments), filled

            if inspect.iscoroutinefunction(function):

                @functools.wraps(function)
                async def read_async(*args: Any, **kwargs: Any) -> Any:
                    filled_key, filled_tags = name(*args, **kwargs)
                    load = functools.partial(function, *args, **kwargs)
                    return await self.get_or_load(filled_key, filled_tags, load, ttl=ttl)

                wrapper: Any = read_async
            else:

                @functools.wraps(function)
                def read_sync(*args: Any, **kwargs: Any) -> Any:
                    filled_key, filled_tags = name(*args, **kwargs)
                    load = functools.partial(function, *args, **kwargs)
                    return self.get_or_load_sync(filled_key, filled_tags, load, ttl=ttl)

                wrapper = read_sync
            wrapper.cache_key = lambda *args, **kwargs: name(*args, **kwargs)[0]
            return cast(Function, wrapper)

        return decorate

    # ---- invalidating

    def invalidation(
        self,
        *,
        keys: str | Iterable[str] = (),
        tags: str | Iterable[str] = (),
        patterns: str | Iterable[str] = (),
    ) -> Invalidate:
        """What to publish so that these entries are purged: `keys` are those of this cache,
        `patterns` match literal Redis keys of other programs."""
        asked = Invalidate(keys, tags, patterns)
        if EPOCH_TAG in asked.tags:
            raise ValueError("a tag is not empty; flush() is for everything")
        return Invalidate([self._entry_key(key) for key in asked.keys], asked.tags, asked.patterns)

    async def purge(
        self,
        invalidate: Invalidate | None = None,
        *,
        keys: str | Iterable[str] = (),
        tags: str | Iterable[str] = (),
    ) -> Purged:
        """Purges at once, without telling anybody; it is `publish` that tells browsers.

        `keys` are those of this cache; the ones in `invalidate` are literal Redis keys, and its
        patterns are left to the workers. CacheError when Redis did not do it.
        """
        return await self._purged(self._purge_steps(invalidate, keys, tags))

    def purge_sync(
        self,
        invalidate: Invalidate | None = None,
        *,
        keys: str | Iterable[str] = (),
        tags: str | Iterable[str] = (),
    ) -> Purged:
        """As `purge`, for threads."""
        return self._purged_sync(self._purge_steps(invalidate, keys, tags))

    async def flush(self) -> Purged:
        """Makes every entry of the namespace stale at once, by its epoch. CacheError when Redis did
        not do it."""
        return await self._purged(self._bump_steps([EPOCH_TAG], []))

    def flush_sync(self) -> Purged:
        """As `flush`, for threads."""
        return self._purged_sync(self._bump_steps([EPOCH_TAG], []))

    # ---- the rest

    def stats(self) -> CacheStats:
        """Counters of this process."""
        with self._lock:
            return CacheStats(**asdict(self._stats))

    async def close(self) -> None:
        """Closes the connections of this event loop and of threads. The cache may be used again."""
        await self._async.close()
        self._sync.close()

    def close_sync(self) -> None:
        self._sync.close()

    def _entry_key(self, key: str) -> str:
        return f"{self._namespace}:c:{limit_key(key)}"

    def _stamp_key(self, tag: str) -> str:
        return f"{self._namespace}:t:{tag}" if tag != EPOCH_TAG else f"{self._namespace}:epoch"

    def _check_ttl(self, ttl_ms: int) -> None:
        if ttl_ms <= 0 or 2 * ttl_ms > self._stamp_ttl_ms:
            # A stamp that ran out before its entries would only cost misses, but all the time.
            raise ValueError(f"ttl must be above 0 and at most half of stamp_ttl, not {ttl_ms} ms")

    def _plan(
        self,
        key: str,
        tags: Iterable[str],
        ttl: Seconds | None,
        fresh: Fresh | str | None,
        store: bool,
    ) -> Plan:
        if isinstance(tags, str):
            raise TypeError("tags is a list of texts, not one text")
        ordered = (EPOCH_TAG, *sort_tags(list(tags)))
        ttl_ms = self._ttl_ms if ttl is None else _milliseconds(ttl)
        self._check_ttl(ttl_ms)
        if fresh is None:
            request = context.current()
            fresh = request.fresh if request else 0
        elif isinstance(fresh, str):
            fresh = context.parse_fresh(fresh)
        return Plan(
            entry_key=self._entry_key(key),
            tags=ordered,
            stamp_keys=tuple(map(self._stamp_key, ordered)),
            ttl_ms=ttl_ms,
            stamp_ttl_ms=self._stamp_ttl_ms,
            fresh=fresh,
            store=store,
            lease_ms=self._lease_ms,
            wait=self._wait,
            hold_off_us=self._hold_off_us,
            margin_us=self._margin_us,
            payload_size_max=self._payload_size_max,
        )

    def _purge_steps(
        self, invalidate: Invalidate | None, keys: str | Iterable[str], tags: str | Iterable[str]
    ) -> Any:
        mine = self.invalidation(keys=keys, tags=tags)
        literal = invalidate or Invalidate()
        all_tags = sorted({*mine.tags, *literal.tags} - {EPOCH_TAG})
        return self._bump_steps(all_tags, [*mine.keys, *literal.keys])

    def _bump_steps(self, tags: Sequence[str], literal_keys: Sequence[str]) -> Any:
        stamp_keys = [self._stamp_key(tag) for tag in tags]
        return _algorithm.purge(tags, stamp_keys, literal_keys, self._stamp_ttl_ms)

    async def _purged(self, steps: Any) -> Purged:
        try:
            return cast(Purged, await self._drive(steps, None))
        except Exception as error:
            raise CacheError(f"not purged: {error}") from error

    def _purged_sync(self, steps: Any) -> Purged:
        try:
            return cast(Purged, self._drive_sync(steps, None))
        except Exception as error:
            raise CacheError(f"not purged: {error}") from error

    async def _drive(self, steps: Any, loader: Callable[[], Awaitable[Any]] | None) -> Any:
        reply: Any = None
        raised: BaseException | None = None
        try:
            while True:
                operation = steps.throw(raised) if raised else steps.send(reply)
                reply = raised = None
                if isinstance(operation, _algorithm.Commands):
                    reply = await self._async.run(operation.commands)
                    self._note(reply)
                elif isinstance(operation, _algorithm.Pause):
                    await asyncio.sleep(operation.seconds)
                else:
                    assert loader is not None
                    try:
                        reply = await loader()
                    except (Exception, asyncio.CancelledError) as error:
                        raised = error
        except StopIteration as end:
            return end.value

    def _drive_sync(self, steps: Any, loader: Callable[[], Any] | None) -> Any:
        reply: Any = None
        raised: BaseException | None = None
        try:
            while True:
                operation = steps.throw(raised) if raised else steps.send(reply)
                reply = raised = None
                if isinstance(operation, _algorithm.Commands):
                    reply = self._sync.run(operation.commands)
                    self._note(reply)
                elif isinstance(operation, _algorithm.Pause):
                    time.sleep(operation.seconds)
                else:
                    assert loader is not None
                    try:
                        reply = loader()
                    except BaseException as error:
                        raised = error
        except StopIteration as end:
            return end.value

    def _note(self, reply: list[Any] | Exception) -> None:
        failure = _algorithm._failure(reply)
        if failure is None:
            return
        with self._lock:
            self._stats.redis_failures += 1
            failures = self._stats.redis_failures
        # The first one, and then ever more seldom: a Redis that is down is asked all the time.
        if failures & (failures - 1) == 0:
            log.warning("Redis: %s; loading instead (%d failures so far)", failure, failures)

    def _count(self, key: str, outcome: Outcome) -> Outcome:
        request = context.current()
        if request:
            request.reads.append(outcome.status)
        with self._lock:
            counter = _COUNTER[outcome.status]
            setattr(self._stats, counter, getattr(self._stats, counter) + 1)
            self._stats.stored += outcome.stored
            self._stats.not_stored += not outcome.stored and outcome.status is not Status.HIT
            new = outcome.reason.startswith("cannot be cached") and (
                outcome.reason not in self._complained and len(self._complained) < 100
            )
            if new:
                self._complained.add(outcome.reason)
        if new:
            log.warning("%s: %s", key, outcome.reason)
        return outcome


_alive: weakref.WeakSet[Cache] = weakref.WeakSet()


def _after_fork() -> None:
    """In a child: a lock that another thread of the parent held would stay held for ever."""
    for cache in list(_alive):
        cache._lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def _milliseconds(value: Seconds) -> int:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    return round(seconds * 1000)


__all__ = ["BYPASS", "Cache", "CacheError", "CacheStats"]
