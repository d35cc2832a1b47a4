# SPDX-License-Identifier: MPL-2.0
"""The publisher for asyncio: the socket lives in the event loop, without a thread."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from freshwire.errors import ClosedError, PublishError
from freshwire.events import Event, Invalidate, Level, Receipt

from . import _wire
from ._connection import Connection, turn
from ._link import Link, Outcome, Stats
from ._settings import DEFAULT_ENDPOINT, Settings, settings_from_env

log = logging.getLogger("freshwire.publisher")


class AsyncPublisher:
    """Publishes events and awaits the broker's acknowledgement; for use in one event loop at a
    time.

    Nothing is opened before the first event. Each process and each event loop opens its own link,
    so it may be created at import time. Needs a loop with add_reader (every loop on Unix, uvloop
    too). Call `await close()` before the loop ends (FastAPI: in the lifespan or the shutdown
    handler).
    """

    def __init__(self, endpoint: str = DEFAULT_ENDPOINT, **options: Any) -> None:
        """The options are the fields of `Settings`: name, timeout, queue_max, in_flight_max,
        linger."""
        self._settings = Settings(endpoint, **options).require_zmq()
        self._session: _Session | None = None
        self._closed = False

    @classmethod
    def from_env(cls, **options: Any) -> AsyncPublisher:
        """What the options leave open comes from FRESHWIRE_PUBLISH_ENDPOINT and
        FRESHWIRE_PUBLISH_TIMEOUT."""
        return cls(**settings_from_env(options))

    @property
    def endpoint(self) -> str:
        return self._settings.endpoint

    async def publish(
        self,
        type: str,
        *,
        data: Any = None,
        audience: str | Iterable[str] = (),
        invalidate: Invalidate | None = None,
        exclude_user: str | None = None,
        exclude_origin: str | None = None,
        origin: str | None = None,
        user_id: object = None,
        id: str | None = None,
        level: Level = "purged",
        timeout: float | None = None,
    ) -> Receipt:
        """Publishes one event, after the commit, and awaits its receipt. As `Publisher.publish`.

        When the awaiting task is cancelled, an event that was sent already is published all the
        same.
        """
        event = Event.make(
            type,
            data=data,
            audience=audience,
            invalidate=invalidate,
            exclude_user=exclude_user,
            exclude_origin=exclude_origin,
            origin=origin,
            user_id=user_id,
            id=id,
        )
        return await self.submit(event, level=level, timeout=timeout)

    def submit(
        self, event: Event, *, level: Level = "purged", timeout: float | None = None
    ) -> asyncio.Future[Receipt]:
        """Hands an event in without waiting. The future gets its outcome at the latest after
        `timeout`."""
        message = _wire.event_message(event)
        seconds = self._settings.timeout if timeout is None else timeout
        return self._running().submit(event.id, message, _wire.level_number(level), seconds)

    def stats(self) -> Stats:
        """Counters of the present link."""
        return self._session.stats() if self._session else Stats()

    async def close(self, timeout: float | None = None) -> None:
        """Waits at most `timeout` seconds (default: `linger`) for what is on its way, then ends the
        link.

        Events without an acknowledgement by then end with ClosedError; so do later calls of
        publish.
        """
        self._closed = True
        if self._session and self._session.is_mine():
            await self._session.stop(self._settings.linger if timeout is None else timeout)

    async def __aenter__(self) -> AsyncPublisher:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _running(self) -> _Session:
        if self._closed:
            raise ClosedError("the publisher is closed")
        if self._session is None or not self._session.is_mine():
            self._session = _Session(self._settings, asyncio.get_running_loop())
        return self._session


class _Session:
    """The task of one event loop, its socket and its link."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self._link = Link(
            name=settings.name,
            endpoint=settings.endpoint,
            incarnation=os.urandom(16),
            queue_max=settings.queue_max,
            in_flight_max=settings.in_flight_max,
            randomness=random.Random(),
        )
        self._endpoint = settings.endpoint
        self._curve = settings.curve
        self._loop = loop
        self._process = os.getpid()
        self._awake = asyncio.Event()
        self._stop_at: float | None = None
        self._failure: BaseException | None = None
        self._task = loop.create_task(self._run(), name="freshwire-publisher")

    def is_mine(self) -> bool:
        """False after a fork, and in another event loop."""
        return self._process == os.getpid() and self._loop is asyncio.get_running_loop()

    def submit(self, id: str, message: Any, level: int, timeout: float) -> asyncio.Future[Receipt]:
        if self._failure:
            raise PublishError("the publisher's task failed") from self._failure
        if self._stop_at is not None or self._task.done():
            raise ClosedError("the publisher is closed")
        future: asyncio.Future[Receipt] = self._loop.create_future()
        number = self._link.submit(
            id, message, level, timeout, self._loop.time(), lambda outcome: _settle(future, outcome)
        )
        future.add_done_callback(
            lambda ended: self._link.forget(number) if ended.cancelled() else None
        )
        self._awake.set()
        return future

    def stats(self) -> Stats:
        return self._link.stats()

    async def stop(self, timeout: float) -> None:
        self._stop_at = self._loop.time() + timeout
        self._awake.set()
        with suppress(asyncio.CancelledError):
            await asyncio.shield(self._task)

    # ---- in the task

    async def _run(self) -> None:
        connection: Connection | None = None
        try:
            connection = Connection(
                self._endpoint, curve=self._curve, watch=self._watch, unwatch=self._unwatch
            )
            await self._serve(connection)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            log.exception("the publisher's task failed")
            self._failure = error
        finally:
            # Whatever happened, nobody waits for ever.
            self._link.close()
            if connection:
                connection.terminate()

    async def _serve(self, connection: Connection) -> None:
        while True:
            self._awake.clear()
            now = self._loop.time()
            turn(self._link, connection, now)
            wake_at = self._link.wake_at()
            if self._stop_at is not None:
                if not self._link.pending or now >= self._stop_at:
                    connection.leave()
                    return
                wake_at = min(wake_at, self._stop_at)
            if connection.readable():
                await asyncio.sleep(0)
                continue
            timer = self._loop.call_at(wake_at, self._awake.set)
            try:
                await self._awake.wait()
            finally:
                timer.cancel()

    def _watch(self, fd: int) -> None:
        self._loop.add_reader(fd, self._awake.set)

    def _unwatch(self, fd: int) -> None:
        self._loop.remove_reader(fd)


def _settle(future: asyncio.Future[Receipt], outcome: Outcome) -> None:
    if future.done():
        return
    if isinstance(outcome, Receipt):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)
