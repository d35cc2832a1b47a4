# SPDX-License-Identifier: MPL-2.0
"""The cache that services use: read through Redis, never stale after an invalidation."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from freshwire import sqlalchemy
from freshwire.delivery import Delivery, Submitter
from freshwire.events import Event, Invalidate, Receipt

from . import _algorithm, context
from ._algorithm import BYPASS, Fresh, Outcome, Plan, Purged, Status
from ._announcement import INVALIDATED, RESULT, Announcement, Call, is_error
from ._entry import EPOCH_TAG, PAYLOAD_SIZE_MAX, sort_tags
from ._functions import Decorated
from ._redis import AsyncRedis, Client, SyncRedis
from ._template import Template, limit_key
from ._values import Values

log = logging.getLogger("freshwire.cache")

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Seconds = float | timedelta
Texts = str | Iterable[str]

DEFAULT_URL = "redis://127.0.0.1:6379/0"
CACHED = "__freshwire_cached__"
"""Marks functions that `Cache.cached` made."""
PREFIXES_MAX = 16


class CachedFunction(Protocol[P, R_co]):
    """What `Cache.cached` makes of a function: the same, and the names of its entries."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    def cache_key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """The key of a call with these arguments, for `invalidate(keys=…)`."""

    def cache_tags(self, *args: P.args, **kwargs: P.kwargs) -> list[str]:
        """Its tags."""


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
        client: Client | None = None,
        async_client: Client | None = None,
        publisher: Submitter | Delivery | None = None,
        namespace: str = "fw",
        ttl: Seconds = 300,
        negative_ttl: Seconds = 30,
        prefixes: Iterable[str] = (),
        stamp_ttl: Seconds = 24 * 60 * 60,
        timeout: float = 0.25,
        lease: float = 10.0,
        wait: float = 1.0,
        hold_off: float = 0.0,
        margin: float = 0.0,
        payload_size_max: int = PAYLOAD_SIZE_MAX,
    ) -> None:
        """Times in seconds.

        Redis is named by a URL (default: REDIS_URL), or by redis-py's own clients: `client` for
        threads, `async_client` for asyncio, or functions that make them (called once for each
        process and event loop). They may be of a Redis Cluster or from a Sentinel, need bytes as
        replies (no `decode_responses`), and should have a `socket_timeout`.

        `publisher` is where `invalidate` and `invalidates` publish; a Delivery says how. `ttl` of
        an entry when a read names none; `negative_ttl`, at most, of one that holds None (0: none is
        kept); `prefixes`: a key that begins with one, for example "users:", also carries the tag
        "users:*", so that a purge of that tag ends them all (whoever else reads or fills such keys,
        in any language, must name the same); `stamp_ttl` of a tag's stamp, at least twice the
        longest ttl; `timeout` of one Redis round trip; `lease` after which a loader is taken for
        dead; `wait` for another's load before loading as well; `hold_off` = the most that a load
        may lag behind commits (read replicas): nothing is stored for so long after a purge;
        `margin` = the most that two Redis nodes' clocks may differ after a failover.
        """
        url: str | None = None
        if client is None and async_client is None:
            url = redis_url or os.environ.get("REDIS_URL") or DEFAULT_URL
        elif redis_url is not None:
            raise TypeError("a URL or clients, not both")
        self._namespace = namespace
        self._ttl_ms = _milliseconds(ttl)
        self._negative_ttl_ms = _milliseconds(negative_ttl)
        self._prefixes = _check_prefixes(prefixes)
        self._stamp_ttl_ms = _milliseconds(stamp_ttl)
        self._lease_ms = _milliseconds(lease)
        self._wait = wait
        self._hold_off_us = round(hold_off * 1_000_000)
        self._margin_us = round(margin * 1_000_000)
        self._payload_size_max = min(payload_size_max, PAYLOAD_SIZE_MAX)
        self._check_ttl(self._ttl_ms)
        self._random = random.Random()
        self._sync = SyncRedis(url or client, timeout)
        self._async = AsyncRedis(url or async_client, timeout)
        self._lock = threading.Lock()
        self._stats = CacheStats()
        self._complained: set[str] = set()
        self.delivery: Delivery | None = None
        """How what this cache publishes gets out; also for `freshwire.fastapi.SyncEvents`."""
        if publisher is not None:
            self.delivery = publisher if isinstance(publisher, Delivery) else Delivery(publisher)
            self.delivery.cache = self.delivery.cache or self
        _alive.add(self)

    # ---- reading

    async def get_or_load(
        self,
        key: str,
        tags: Iterable[str],
        loader: Callable[[], Awaitable[Any]],
        *,
        ttl: Seconds | None = None,
        negative_ttl: Seconds | None = None,
        returns: Any = None,
        fresh: Fresh | str | None = None,
        store: bool = True,
    ) -> Any:
        """The cached value of `key`, or what `loader` returns; see `read` for the arguments."""
        plan = self._plan(key, tags, ttl, negative_ttl, returns, fresh, store)
        return (await self._read(key, plan, loader)).value

    async def read(
        self,
        key: str,
        tags: Iterable[str],
        loader: Callable[[], Awaitable[Any]],
        *,
        ttl: Seconds | None = None,
        negative_ttl: Seconds | None = None,
        returns: Any = None,
        fresh: Fresh | str | None = None,
        store: bool = True,
    ) -> Outcome:
        """As `get_or_load`, and says whether it was a hit.

        `tags` must name everything whose change makes the value stale; they are needed before the
        load. `returns` is the type of the value when it is not plain data, as an annotation:
        `list[Project]`. `fresh` is the freshness token of the event that caused the read, "bypass"
        for an event that was unconfirmed; by default the one of the current request. `store=False`
        when the load may not see the last commits, for example inside an older transaction.
        """
        plan = self._plan(key, tags, ttl, negative_ttl, returns, fresh, store)
        return await self._read(key, plan, loader)

    def get_or_load_sync(
        self,
        key: str,
        tags: Iterable[str],
        loader: Callable[[], Any],
        *,
        ttl: Seconds | None = None,
        negative_ttl: Seconds | None = None,
        returns: Any = None,
        fresh: Fresh | str | None = None,
        store: bool = True,
    ) -> Any:
        """As `get_or_load`, for threads."""
        plan = self._plan(key, tags, ttl, negative_ttl, returns, fresh, store)
        return self._read_sync(key, plan, loader).value

    def read_sync(
        self,
        key: str,
        tags: Iterable[str],
        loader: Callable[[], Any],
        *,
        ttl: Seconds | None = None,
        negative_ttl: Seconds | None = None,
        returns: Any = None,
        fresh: Fresh | str | None = None,
        store: bool = True,
    ) -> Outcome:
        """As `read`, for threads."""
        plan = self._plan(key, tags, ttl, negative_ttl, returns, fresh, store)
        return self._read_sync(key, plan, loader)

    def cached(
        self,
        *,
        key: str,
        tags: Sequence[str] = (),
        ttl: Seconds | None = None,
        negative_ttl: Seconds | None = None,
        returns: Any = None,
    ) -> Callable[[Callable[P, R]], CachedFunction[P, R]]:
        """Caches what a function returns, `def` or `async def`, endpoint or not.

            @cache.cached(ttl=300, key="projects:{team_id}", tags=["projects"])
            async def list_projects(team_id: int) -> list[Project]: ...

        Braces hold arguments and their attributes. The key must name everything that the result
        depends on, the signed-in user too; an unknown name is an error at decoration. What comes
        back is what the return annotation says (or `returns`): a type that cannot be cached is a
        TypeError at decoration. A function that is called with a session of SQLAlchemy in which
        something is not committed neither reads from the cache nor stores.
        """
        key_template = Template(key)
        tag_templates = [Template(tag) for tag in tags]

        def decorate(function: Callable[P, R]) -> CachedFunction[P, R]:
            decorated = Decorated(function)
            decorated.check([key_template, *tag_templates])
            values = Values(decorated.returns if returns is None else returns)

            def key_of(arguments: dict[str, Any]) -> str:
                return key_template.key(arguments)

            def tags_of(arguments: dict[str, Any]) -> list[str]:
                return [template.tag(arguments) for template in tag_templates]

            def plan_of(args: Any, kwargs: Any) -> tuple[str, Plan]:
                arguments = decorated.arguments(args, kwargs)
                fresh, store = _of_sessions(arguments)
                key = key_of(arguments)
                filled = tags_of(arguments)
                return key, self._plan(key, filled, ttl, negative_ttl, values, fresh, store)

            async def read(*args: Any, **kwargs: Any) -> Any:
                key, plan = plan_of(args, kwargs)
                load = functools.partial(cast(Any, function), *args, **kwargs)
                return (await self._read(key, plan, load)).value

            def read_sync(*args: Any, **kwargs: Any) -> Any:
                key, plan = plan_of(args, kwargs)
                load = functools.partial(cast(Any, function), *args, **kwargs)
                return self._read_sync(key, plan, load).value

            wrapper = decorated.wrap(read if decorated.is_async else read_sync)
            wrapper.cache_key = lambda *args, **kwargs: key_of(decorated.arguments(args, kwargs))
            wrapper.cache_tags = lambda *args, **kwargs: tags_of(decorated.arguments(args, kwargs))
            setattr(wrapper, CACHED, True)
            return cast(CachedFunction[P, R], wrapper)

        return decorate

    # ---- invalidating

    async def invalidate(
        self,
        *,
        tags: Texts = (),
        keys: Texts = (),
        patterns: Texts = (),
        event: str = INVALIDATED,
        audience: Texts = (),
        data: Any = None,
        **fields: Any,
    ) -> Receipt:
        """Purges, and then tells the audience: publishes an event; call it after the commit.

        `keys` are those of this cache, `patterns` literal Redis keys of other programs; the other
        fields are those of `Publisher.publish`. Never raises because the broker or Redis is away
        (see freshwire.delivery). A cache without a publisher purges directly, and tells nobody.
        """
        made = self._event(
            event,
            self.invalidation(keys=keys, tags=tags, patterns=patterns),
            audience,
            data,
            fields,
        )
        return await self._send(made)

    def invalidate_sync(
        self,
        *,
        tags: Texts = (),
        keys: Texts = (),
        patterns: Texts = (),
        event: str = INVALIDATED,
        audience: Texts = (),
        data: Any = None,
        **fields: Any,
    ) -> Receipt:
        """As `invalidate`, for threads."""
        made = self._event(
            event,
            self.invalidation(keys=keys, tags=tags, patterns=patterns),
            audience,
            data,
            fields,
        )
        return self._send_sync(made)

    def invalidates(
        self,
        *tags: str,
        keys: Sequence[str] = (),
        patterns: Sequence[str] = (),
        event: str = INVALIDATED,
        audience: str | Sequence[str] = (),
        data: Any = RESULT,
        session: str | None = None,
        **fields: str,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Publishes an event when a function has succeeded, and what it did is committed.

            @cache.invalidates("projects", "project:{project_id}",
                               event="project_updated", audience="broadcast")
            async def rename(project_id: int, name: str) -> Project: ...

        Braces hold arguments, their attributes, and `result`, what the function returned; the
        other fields of `Publisher.publish` (user_id, exclude_user, …) are such texts too. `data` is
        the result, a function of it, or anything else as it is.

        A function that raises, or returns a response with an error status, publishes nothing. When
        a session of SQLAlchemy is among the arguments and holds something that is not committed,
        the event waits for its commit, and is forgotten when it is rolled back; `session` names one
        that is elsewhere ("self.session"), or whose writes SQLAlchemy's ORM does not see: its
        commit is waited for in any case. Otherwise the function has committed when it returns.
        """
        if self.delivery is None and (audience or event != INVALIDATED or patterns):
            raise ValueError("to tell anybody, the cache needs a publisher: Cache(publisher=…)")
        channels = [audience] if isinstance(audience, str) else audience
        announcement = Announcement(
            event=event,
            tags=[Template(tag) for tag in tags],
            keys=[Template(key) for key in keys],
            patterns=[Template(pattern) for pattern in patterns],
            audience=[Template(channel) for channel in channels],
            fields={name: Template(text) for name, text in fields.items()},
            data=data,
            session=session.split(".") if session else [],
        )

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            decorated = Decorated(function)
            announcement.check(decorated)

            async def run(*args: Any, **kwargs: Any) -> Any:
                call = Call(announcement, decorated.arguments(args, kwargs))
                result = await cast(Any, function)(*args, **kwargs)
                made = self._announced(call, result)
                if made:
                    await self._send(made)
                return result

            def run_sync(*args: Any, **kwargs: Any) -> Any:
                call = Call(announcement, decorated.arguments(args, kwargs))
                result = cast(Any, function)(*args, **kwargs)
                made = self._announced(call, result)
                if made:
                    self._send_sync(made)
                return result

            wrapper = decorated.wrap(run if decorated.is_async else run_sync)
            return cast(Callable[P, R], wrapper)

        return decorate

    def invalidation(
        self,
        *,
        keys: Texts = (),
        tags: Texts = (),
        patterns: Texts = (),
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
        keys: Texts = (),
        tags: Texts = (),
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
        keys: Texts = (),
        tags: Texts = (),
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

    def _prefix_tags(self, key: str) -> list[str]:
        return [f"{prefix}*" for prefix in self._prefixes if key.startswith(prefix)]

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
        negative_ttl: Seconds | None,
        returns: Any,
        fresh: Fresh | str | None,
        store: bool,
    ) -> Plan:
        if isinstance(tags, str):
            raise TypeError("tags is a list of texts, not one text")
        ordered = (EPOCH_TAG, *sort_tags([*tags, *self._prefix_tags(key)]))
        ttl_ms = self._ttl_ms if ttl is None else _milliseconds(ttl)
        self._check_ttl(ttl_ms)
        negative = self._negative_ttl_ms if negative_ttl is None else _milliseconds(negative_ttl)
        values = returns if isinstance(returns, Values) else _values_of(returns)
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
            negative_ttl_ms=min(ttl_ms, negative),
            pack=values.pack,
            unpack=values.unpack,
        )

    async def _read(self, key: str, plan: Plan, loader: Callable[[], Awaitable[Any]]) -> Outcome:
        async def load() -> Any:
            with context.loading(plan.nested):
                return await loader()

        return self._count(key, plan, await self._drive(_algorithm.read(plan, self._random), load))

    def _read_sync(self, key: str, plan: Plan, loader: Callable[[], Any]) -> Outcome:
        def load() -> Any:
            with context.loading(plan.nested):
                return loader()

        return self._count(key, plan, self._drive_sync(_algorithm.read(plan, self._random), load))

    async def unchanged(self, reads: Sequence[context.Read], fresh: Fresh) -> bool:
        """Whether each of these reads would be a hit again, and with the very same value. For
        conditional requests; False when that is not certain."""
        commands: list[_algorithm.Command] = []
        for read in reads:
            commands.append(_algorithm.Head(read.plan.entry_key))
            commands.extend(map(_algorithm.Get, read.plan.stamp_keys))
        replies = await self._async.run(commands)
        self._note(replies)
        return _algorithm.still_valid([(read.plan, read.filled) for read in reads], replies, fresh)

    def _announced(self, call: Call, result: Any) -> Event | None:
        """The event of a call that is to be sent now, if there is one: it may wait for a commit."""
        if is_error(result):
            return None
        stale, fields = call.filled(result)
        stale = self.invalidation(keys=stale.keys, tags=stale.tags, patterns=stale.patterns)
        audience, data = fields.pop("audience"), fields.pop("data")
        made = self._event(call.announcement.event, stale, audience, data, fields)
        waits_for = call.waits_for()
        if waits_for is not None:
            sqlalchemy.publish_after_commit(waits_for, self._committer(), made)
            return None
        return None if call.rolled_back() else made

    def _event(
        self, type: str, stale: Invalidate, audience: Texts, data: Any, fields: dict[str, Any]
    ) -> Event:
        request = context.current()
        if request:
            fields = {"origin": request.origin, **fields}
        return Event.make(type, invalidate=stale, audience=audience, data=data, **fields)

    async def _send(self, event: Event) -> Receipt:
        request = context.current()
        if request:
            request.event_ids.append(event.id)
        if self.delivery:
            return await self.delivery.send(event)
        try:
            return _receipt(event, await self.purge(event.invalidate))
        except CacheError as error:
            log.error("%s", error)
            return Receipt(id=event.id, unconfirmed=True, acknowledged=False)

    def _send_sync(self, event: Event) -> Receipt:
        request = context.current()
        if request:
            request.event_ids.append(event.id)
        if self.delivery:
            return self.delivery.send_sync(event)
        try:
            return _receipt(event, self.purge_sync(event.invalidate))
        except CacheError as error:
            log.error("%s", error)
            return Receipt(id=event.id, unconfirmed=True, acknowledged=False)

    def _committer(self) -> Delivery:
        """For events that wait for a commit. Without a publisher it purges, and that is all."""
        if self.delivery is None:
            return Delivery(_Nobody(), cache=self)
        return self.delivery

    def _purge_steps(self, invalidate: Invalidate | None, keys: Texts, tags: Texts) -> Any:
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
        except TypeError:
            raise  # A mistake in the program.
        except Exception as error:
            raise CacheError(f"not purged: {error}") from error

    def _purged_sync(self, steps: Any) -> Purged:
        try:
            return cast(Purged, self._drive_sync(steps, None))
        except TypeError:
            raise  # A mistake in the program.
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

    def _count(self, key: str, plan: Plan, outcome: Outcome) -> Outcome:
        context.record(context.Read(outcome.status, plan, outcome.filled, self))
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


class _Nobody:
    """A publisher without a broker: for a cache that was given none."""

    def submit(self, event: Event, *, level: Any = None, timeout: Any = None) -> Future[Receipt]:
        future: Future[Receipt] = Future()
        future.set_result(Receipt(id=event.id))
        return future


def _receipt(event: Event, purged: Purged) -> Receipt:
    return Receipt(id=event.id, fresh=purged.fresh)


def _of_sessions(arguments: dict[str, Any]) -> tuple[Fresh | None, bool]:
    """How to read when a function is called with sessions of SQLAlchemy: the freshness that it
    asks for, and whether the value may be stored."""
    found = sqlalchemy.sessions_in(arguments.values())
    if any(map(sqlalchemy.is_dirty, found)):
        return BYPASS, False  # It reads its own writes, which nobody else may see yet.
    return None, not any(map(sqlalchemy.may_see_the_past, found))


@functools.lru_cache(maxsize=1024)
def _values_of(annotation: Any) -> Values:
    return Values(Any if annotation is None else annotation)


def _check_prefixes(prefixes: Iterable[str]) -> tuple[str, ...]:
    found = tuple(prefixes)
    if isinstance(prefixes, str) or len(found) > PREFIXES_MAX:
        raise ValueError(f"prefixes is a list of at most {PREFIXES_MAX} texts")
    if not all(found):
        raise ValueError("an empty prefix is everything: use flush()")
    sort_tags([f"{prefix}*" for prefix in found])  # ValueError for one that is too long.
    return found


def _milliseconds(value: Seconds) -> int:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    return round(seconds * 1000)


__all__ = ["BYPASS", "RESULT", "Cache", "CacheError", "CacheStats", "CachedFunction"]
