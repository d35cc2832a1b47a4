# SPDX-License-Identifier: MPL-2.0
"""Redis for the algorithm: one round trip for each `Commands`, from threads and from asyncio.

A round trip either answers every command or fails as a whole; it never raises. redis-py is imported
here only, and only what its versions 4.3 to 6 share.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Sequence
from typing import Any

import redis
import redis.asyncio
import redis.connection
from redis.exceptions import NoScriptError

from freshwire import _lua

from ._algorithm import Command, Get, Script, Time, Unlink
from ._breaker import Breaker

CONNECTIONS_MAX = 64

_SOURCES = {name: _lua.script(name) for name in ("acquire", "bump", "capture", "release", "store")}
_SHAS = {name: hashlib.sha1(source).hexdigest() for name, source in _SOURCES.items()}

Call = tuple[Any, ...]


class RedisRestingError(ConnectionError):
    """Redis failed a moment ago, and is not asked again yet."""


def connection_options(url: str, timeout: float) -> dict[str, Any]:
    """ValueError for an address that redis-py cannot read."""
    redis.connection.parse_url(url)  # type: ignore[no-untyped-call]
    options: dict[str, Any] = {"socket_timeout": timeout}
    if not url.startswith("unix:"):  # A Unix socket connects at once, and takes no such option.
        options["socket_connect_timeout"] = timeout
    return options


def calls_of(commands: Sequence[Command]) -> list[Call]:
    """The commands as Redis takes them. Neighbouring Gets become one MGET."""
    calls: list[Call] = []
    keys: list[str] = []
    for command in (*commands, None):
        if isinstance(command, Get):
            keys.append(command.key)
            continue
        if keys:
            calls.append(("MGET", *keys))
            keys = []
        if isinstance(command, Script):
            sha = _SHAS[command.name]
            calls.append(("EVALSHA", sha, len(command.keys), *command.keys, *command.arguments))
        elif isinstance(command, Unlink):
            calls.append(("UNLINK", *command.keys))
        elif isinstance(command, Time):
            calls.append(("TIME",))
    return calls


def calls_again(calls: Sequence[Call], answers: Sequence[Any]) -> tuple[int, list[Call]]:
    """For a server that lost its scripts: where to begin again, and the calls with their sources.

    Everything from the first lost script on is repeated, so that the order stays: a time read after
    a purge must not be one read before it. What was done before must not be done twice: a lease
    that is taken again would not be granted. (0, []) when nothing was lost.
    """
    for index, answer in enumerate(answers):
        if isinstance(answer, NoScriptError):
            return index, [_with_source(call) for call in calls[index:]]
    return 0, []


def _with_source(call: Call) -> Call:
    if call[0] != "EVALSHA":
        return call
    name = next(name for name, sha in _SHAS.items() if sha == call[1])
    return ("EVAL", _SOURCES[name], *call[2:])


def replies_of(commands: Sequence[Command], answers: Sequence[Any]) -> list[Any]:
    """One reply for each command, from one answer for each call."""
    replies: list[Any] = []
    left = iter(answers)
    gets = 0
    for command in (*commands, None):
        if isinstance(command, Get):
            gets += 1
            continue
        if gets:
            values = next(left)
            replies.extend(values if isinstance(values, list) else [values] * gets)
            gets = 0
        if command is not None:
            replies.append(next(left))
    return replies


class SyncRedis:
    """For threads. Connections are pooled, each process opens its own."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._options = connection_options(url, timeout)
        self._breaker = Breaker()
        self._client: Any = None
        self._process = 0

    def run(self, commands: Sequence[Command]) -> list[Any] | Exception:
        if not self._breaker.allows(time.monotonic()):
            return RedisRestingError("Redis failed a moment ago")
        try:
            calls = calls_of(commands)
            answers = self._execute(calls)
            index, again = calls_again(calls, answers)
            if again:
                answers[index:] = self._execute(again)
        except (redis.RedisError, OSError) as error:
            self._breaker.failed(time.monotonic())
            return error
        self._breaker.succeeded()
        return replies_of(commands, answers)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None and self._process == os.getpid():
            client.close()
            client.connection_pool.disconnect()

    def _execute(self, calls: Sequence[Call]) -> list[Any]:
        pipeline = self._connected().pipeline(transaction=False)
        for call in calls:
            pipeline.execute_command(*call)
        return list(pipeline.execute(raise_on_error=False))

    def _connected(self) -> Any:
        if self._client is None or self._process != os.getpid():
            pool = redis.BlockingConnectionPool.from_url(
                self._url,
                max_connections=CONNECTIONS_MAX,
                timeout=self._timeout,
                **self._options,
            )
            self._process = os.getpid()
            self._client = redis.Redis(connection_pool=pool)
        return self._client


class AsyncRedis:
    """For asyncio. Each event loop opens its own connections."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url
        self._options = connection_options(url, timeout)
        self._breaker = Breaker()
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0
        self._free = asyncio.Semaphore(CONNECTIONS_MAX)
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, commands: Sequence[Command]) -> list[Any] | Exception:
        """Goes on to its end when the caller is cancelled.

        A connection that is given back between a command and its reply hands that reply to whoever
        uses it next. Seen with redis-py 4.5.1: one user was served what another had asked for.
        """
        if not self._breaker.allows(time.monotonic()):
            return RedisRestingError("Redis failed a moment ago")
        task = asyncio.ensure_future(self._run(commands))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None and self._is_mine():
            if self._running:
                await asyncio.wait(list(self._running))
            await (getattr(client, "aclose", None) or client.close)()  # redis-py 5, redis-py 4
            await client.connection_pool.disconnect()

    async def _run(self, commands: Sequence[Command]) -> list[Any] | Exception:
        client = self._connected()
        try:
            calls = calls_of(commands)
            async with self._free:
                answers = await self._execute(client, calls)
                index, again = calls_again(calls, answers)
                if again:
                    answers[index:] = await self._execute(client, again)
        except (redis.RedisError, OSError, asyncio.TimeoutError) as error:
            self._breaker.failed(time.monotonic())
            return error
        self._breaker.succeeded()
        return replies_of(commands, answers)

    async def _execute(self, client: Any, calls: Sequence[Call]) -> list[Any]:
        pipeline = client.pipeline(transaction=False)
        for call in calls:
            pipeline.execute_command(*call)
        return list(await pipeline.execute(raise_on_error=False))

    def _is_mine(self) -> bool:
        return self._process == os.getpid() and self._loop is asyncio.get_running_loop()

    def _connected(self) -> Any:
        if self._client is None or not self._is_mine():
            # The semaphore bounds the connections, and belongs to the loop like them.
            self._free = asyncio.Semaphore(CONNECTIONS_MAX)
            self._loop = asyncio.get_running_loop()
            self._process = os.getpid()
            self._running = set()
            self._client = redis.asyncio.Redis.from_url(self._url, **self._options)
        return self._client
