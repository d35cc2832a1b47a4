# SPDX-License-Identifier: MPL-2.0
"""Redis for the algorithm: one round trip for each `Commands`, from threads and from asyncio.

A round trip either answers every command or fails as a whole; it never raises. redis-py is used
here only, and only what its versions 4.3 to 8 share. A client that the application made may be of a
Redis Cluster: then each call touches one slot, and time is the latest of all primaries.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from collections.abc import Sequence
from typing import Any

import redis
import redis.asyncio
import redis.connection
from redis.asyncio.cluster import ClusterNode

from ._algorithm import Command
from ._breaker import Breaker
from ._calls import (
    Call,
    Split,
    UnexpectedReplyError,
    calls_again,
    calls_of,
    check_answers,
    check_replies,
    latest_time,
    merged,
    replies_of,
)

CONNECTIONS_MAX = 64

Client = Any
"""A client of redis-py (Redis, RedisCluster, what Sentinel.master_for returns, or one of their
asyncio kinds), or a function without arguments that makes one."""


class RedisRestingError(ConnectionError):
    """Redis failed a moment ago, and is not asked again yet."""


def connection_options(url: str, timeout: float) -> dict[str, Any]:
    """ValueError for an address that redis-py cannot read."""
    redis.connection.parse_url(url)  # type: ignore[no-untyped-call]
    options: dict[str, Any] = {"socket_timeout": timeout}
    if not url.startswith("unix:"):  # A Unix socket connects at once, and takes no such option.
        options["socket_connect_timeout"] = timeout
    return options


def failure_of(error: Exception) -> Exception:
    """The error of a round trip. A peer that is no Redis makes the library raise anything."""
    if isinstance(error, (redis.RedisError, OSError, asyncio.TimeoutError)):
        return error
    return UnexpectedReplyError(f"{type(error).__name__}: {error}")


def is_cluster(client: Any) -> bool:
    return isinstance(client, (redis.RedisCluster, redis.asyncio.RedisCluster))


def check_client(client: Any, asynchronous: bool) -> Any:
    """TypeError for a client that cannot work: better at once than as a miss each time."""
    kinds: tuple[type, ...] = (redis.Redis, redis.RedisCluster)
    if asynchronous:
        kinds = (redis.asyncio.Redis, redis.asyncio.RedisCluster)
    if not isinstance(client, kinds):
        wanted = "redis.asyncio" if asynchronous else "redis"
        raise TypeError(f"not a client of {wanted}: {client!r}")
    found: Any = client
    if found.get_encoder().decode_responses:
        raise TypeError("the client has decode_responses=True, but entries are bytes")
    return client


# ---- the two clients


class SyncRedis:
    """For threads. Connections are pooled, each process opens its own."""

    def __init__(self, source: str | Client | None, timeout: float) -> None:
        self._source = source
        self._timeout = timeout
        self._options = connection_options(source, timeout) if isinstance(source, str) else {}
        if source is not None and not isinstance(source, str) and not callable(source):
            check_client(source, asynchronous=False)
        self._breaker = Breaker()
        self._client: Any = None
        self._process = 0

    def run(self, commands: Sequence[Command]) -> list[Any] | Exception:
        if self._source is None:
            raise TypeError("this cache was given a client for asyncio only: Cache(client=…)")
        if not self._breaker.allows(time.monotonic()):
            return RedisRestingError("Redis failed a moment ago")
        client = self._connected()
        try:
            replies = self._ask(client, commands)
            check_replies(commands, replies)
        except Exception as error:
            self._breaker.failed(time.monotonic())
            return failure_of(error)
        self._breaker.succeeded()
        return replies

    def close(self) -> None:
        """A client that the application made stays open: it is the application's."""
        client, self._client = self._client, None
        if client is not None and self._process == os.getpid() and self._owns_client:
            client.close()
            if not is_cluster(client):
                client.connection_pool.disconnect()

    @property
    def _owns_client(self) -> bool:
        return isinstance(self._source, str) or callable(self._source)

    def _ask(self, client: Any, commands: Sequence[Command]) -> list[Any]:
        if not is_cluster(client):
            return replies_of(commands, self._execute(client, calls_of(commands)))
        split = Split(commands, client.keyslot)
        answers = self._execute(client, split.calls) if split.calls else []
        now = None
        if split.asks_time:  # After the rest: a time read before a purge would be too old.
            now = latest_time(client.execute_command("TIME", target_nodes=client.PRIMARIES))
        return split.replies(answers, now)

    def _execute(self, client: Any, calls: Sequence[Call]) -> list[Any]:
        answers = check_answers(self._send(client, calls))
        index, again = calls_again(calls, answers)
        if again:
            sent = check_answers(self._send(client, again))
            answers[index:] = merged(again, answers[index:], sent)
        return answers

    @staticmethod
    def _send(client: Any, calls: Sequence[Call]) -> list[Any]:
        pipeline = client.pipeline(transaction=False) if not is_cluster(client) else None
        pipeline = pipeline or client.pipeline()
        for call in calls:
            pipeline.execute_command(*call)
        return list(pipeline.execute(raise_on_error=False))

    def _connected(self) -> Any:
        if self._client is None or self._process != os.getpid():
            self._process = os.getpid()
            if isinstance(self._source, str):
                pool = redis.BlockingConnectionPool.from_url(
                    self._source,
                    max_connections=CONNECTIONS_MAX,
                    timeout=self._timeout,
                    **self._options,
                )
                self._client = redis.Redis(connection_pool=pool)
            else:
                self._client = made(self._source, asynchronous=False)
        return self._client


async def _send_all(pipeline: Any, calls: Sequence[Call]) -> list[Any]:
    for call in calls:
        pipeline.execute_command(*call)
    return list(await pipeline.execute(raise_on_error=False))


_MIXES_TASKS = "commands" not in inspect.signature(ClusterNode.execute_pipeline).parameters
"""redis-py 4.3 keeps the commands of a cluster's pipeline where those of another task overwrite
them: there, one goes after the other."""


class AsyncRedis:
    """For asyncio. Each event loop opens its own connections."""

    def __init__(self, source: str | Client | None, timeout: float) -> None:
        self._source = source
        self._options = connection_options(source, timeout) if isinstance(source, str) else {}
        if source is not None and not isinstance(source, str) and not callable(source):
            check_client(source, asynchronous=True)
        self._breaker = Breaker()
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0
        self._free = asyncio.Semaphore(CONNECTIONS_MAX)
        self._alone = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, commands: Sequence[Command]) -> list[Any] | Exception:
        """Goes on to its end when the caller is cancelled.

        A connection that is given back between a command and its reply hands that reply to whoever
        uses it next. Seen with redis-py 4.5.1: one user was served what another had asked for.
        """
        if self._source is None:
            raise TypeError("this cache was given a client for threads only: Cache(async_client=…)")
        if not self._breaker.allows(time.monotonic()):
            return RedisRestingError("Redis failed a moment ago")
        task = asyncio.ensure_future(self._run(self._connected(), commands))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """A client that the application made stays open: it is the application's."""
        client, self._client = self._client, None
        if client is None or not self._is_mine():
            return
        if self._running:
            await asyncio.wait(list(self._running))
        if isinstance(self._source, str) or callable(self._source):
            await (getattr(client, "aclose", None) or client.close)()  # redis-py 5, redis-py 4
            if not is_cluster(client):
                await client.connection_pool.disconnect()

    async def _run(self, client: Any, commands: Sequence[Command]) -> list[Any] | Exception:
        try:
            async with self._free:
                replies = await self._ask(client, commands)
            check_replies(commands, replies)
        except Exception as error:
            self._breaker.failed(time.monotonic())
            return failure_of(error)
        self._breaker.succeeded()
        return replies

    async def _ask(self, client: Any, commands: Sequence[Command]) -> list[Any]:
        if not is_cluster(client):
            return replies_of(commands, await self._execute(client, calls_of(commands)))
        await client.initialize()  # Once; later it returns at once.
        split = Split(commands, client.keyslot)
        answers = await self._execute(client, split.calls) if split.calls else []
        now = None
        if split.asks_time:  # After the rest: a time read before a purge would be too old.
            now = latest_time(await client.execute_command("TIME", target_nodes=client.PRIMARIES))
        return split.replies(answers, now)

    async def _execute(self, client: Any, calls: Sequence[Call]) -> list[Any]:
        answers = check_answers(await self._send(client, calls))
        index, again = calls_again(calls, answers)
        if again:
            sent = check_answers(await self._send(client, again))
            answers[index:] = merged(again, answers[index:], sent)
        return answers

    async def _send(self, client: Any, calls: Sequence[Call]) -> list[Any]:
        if not is_cluster(client):
            return await _send_all(client.pipeline(transaction=False), calls)
        if not _MIXES_TASKS:
            return await _send_all(client.pipeline(), calls)
        async with self._alone:
            return await _send_all(client.pipeline(), calls)

    def _is_mine(self) -> bool:
        return self._process == os.getpid() and self._loop is asyncio.get_running_loop()

    def _connected(self) -> Any:
        if self._client is None or not self._is_mine():
            # The semaphore bounds the connections, and belongs to the loop like them.
            self._free = asyncio.Semaphore(CONNECTIONS_MAX)
            self._alone = asyncio.Lock()
            self._loop = asyncio.get_running_loop()
            self._process = os.getpid()
            self._running = set()
            if isinstance(self._source, str):
                self._client = redis.asyncio.Redis.from_url(self._source, **self._options)
            else:
                self._client = made(self._source, asynchronous=True)
        return self._client


def made(source: Client, asynchronous: bool) -> Any:
    """The application's client, or the one that its function makes. TypeError when it is neither:
    that is a mistake in the program, not a Redis that failed."""
    client = source() if callable(source) else source
    return check_client(client, asynchronous)
