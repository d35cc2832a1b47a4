# SPDX-License-Identifier: MPL-2.0
"""Getting an event out after its commit, without ever failing what was committed.

The mutation is done when an event is published, so a broker that is away must not fail the request.
The caller waits at most `wait` seconds for the acknowledgement; the event is sent in the background
until `timeout`. Until the broker has it, the cache is purged directly, so that at least no reader
gets an old copy. Each such case is logged, and its receipt says `acknowledged=False`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, Protocol

from freshwire.errors import PublishError
from freshwire.events import Event, Level, Receipt

if TYPE_CHECKING:
    from freshwire.cache import Cache

log = logging.getLogger("freshwire.delivery")

HTTP_THREADS = 4


class Submitter(Protocol):
    """What is needed of a publisher: Publisher, AsyncPublisher,
    freshwire.testing.RecordingPublisher. An HttpPublisher, which has `send` instead, will do
    too."""

    def submit(
        self, event: Event, *, level: Level = "purged", timeout: float | None = None
    ) -> asyncio.Future[Receipt] | Future[Receipt]: ...


class Delivery:
    """One for the application. `strict=True` raises what went wrong, for tests."""

    def __init__(
        self,
        publisher: Any,
        *,
        cache: Cache | None = None,
        level: Level = "purged",
        wait: float = 2.0,
        timeout: float = 60.0,
        at_once: bool = True,
        strict: bool = False,
    ) -> None:
        """`publisher` is a Submitter or an HttpPublisher; `level` says what a receipt means (see
        `Publisher.publish`); `at_once`: what a commit hook hands in is purged directly as well."""
        self.publisher = publisher
        self.cache = cache
        self._level: Level = level
        self._wait = wait
        self._timeout = timeout
        self._at_once = at_once
        self._strict = strict
        self._only_in_loop = inspect.iscoroutinefunction(getattr(publisher, "publish", None))
        self._threads: ThreadPoolExecutor | None = None
        self._process = 0
        self._purging: set[asyncio.Task[None]] = set()

    async def send(self, event: Event) -> Receipt:
        """Publishes an event; call it after the commit. Returns within about `wait`, and raises
        only if strict."""
        try:
            submitted = self._submit(event)
        except (PublishError, TypeError, ValueError) as error:
            return await self._failed(event, error)
        future = asyncio.wrap_future(submitted) if isinstance(submitted, Future) else submitted
        done, _ = await asyncio.wait({future}, timeout=self._wait)
        if not done:
            future.add_done_callback(lambda ended: _log_outcome(event, ended))
            return await self._failed(event, self._too_late())
        try:
            return future.result()
        except PublishError as error:
            return await self._failed(event, error)

    def send_sync(self, event: Event) -> Receipt:
        """As `send`, for threads. With an AsyncPublisher: for those that run beside its event
        loop, as `def` endpoints do."""
        if self._only_in_loop and not _in_loop():
            receipt: Receipt = _from_thread("run", self.send, event)
            return receipt
        try:
            future = self._submit(event)
            if not isinstance(future, Future):
                raise TypeError("send_sync would block the event loop: await send instead")
        except (PublishError, TypeError, ValueError) as error:
            return self._failed_sync(event, error)
        try:
            return future.result(self._wait)
        except FutureTimeoutError as error:
            # The future's own error may be a time-out too.
            if future.done():
                return self._failed_sync(event, error)
            future.add_done_callback(lambda ended: _log_outcome(event, ended))
            return self._failed_sync(event, self._too_late())
        except PublishError as error:
            return self._failed_sync(event, error)

    def post(self, event: Event) -> Any:
        """Hands an event in without waiting, from where nothing may block: a commit hook. The cache
        is purged directly as well, so that whoever committed reads what was written. Returns the
        future of the receipt, or None."""
        if self._only_in_loop and not _in_loop():
            return _from_thread("run_sync", self.post, event)
        if self._at_once:
            self._purge_soon(event)
        try:
            future = self._submit(event)
        except (PublishError, TypeError, ValueError) as error:
            if self._strict:
                raise
            log.error("event %s (%s) is not published: %s", event.id, event.type, error)
            return None
        future.add_done_callback(lambda ended: _log_outcome(event, ended, good=logging.DEBUG))
        return future

    def _submit(self, event: Event) -> asyncio.Future[Receipt] | Future[Receipt]:
        if hasattr(self.publisher, "submit"):
            submitted: Future[Receipt] = self.publisher.submit(
                event, level=self._level, timeout=self._timeout
            )
            return submitted
        if self._threads is None or self._process != os.getpid():
            self._threads = ThreadPoolExecutor(HTTP_THREADS, "freshwire-http")
            self._process = os.getpid()
        send: Callable[..., Receipt] = self.publisher.send
        return self._threads.submit(send, event, level=self._level, timeout=self._timeout)

    def _too_late(self) -> TimeoutError:
        return TimeoutError(f"no answer in {self._wait:g} s, still trying")

    async def _failed(self, event: Event, error: Exception) -> Receipt:
        if self._strict:
            raise error
        log.error("event %s (%s) is not published: %s", event.id, event.type, error)
        await self._purge(event)
        return Receipt(id=event.id, unconfirmed=True, acknowledged=False)

    def _failed_sync(self, event: Event, error: Exception) -> Receipt:
        if self._strict:
            raise error
        log.error("event %s (%s) is not published: %s", event.id, event.type, error)
        self._purge_sync(event)
        return Receipt(id=event.id, unconfirmed=True, acknowledged=False)

    def _purge_soon(self, event: Event) -> None:
        if not _in_loop():
            self._purge_sync(event)
        elif self.cache and event.invalidate:
            task = asyncio.ensure_future(self._purge(event))
            self._purging.add(task)
            task.add_done_callback(self._purging.discard)

    async def _purge(self, event: Event) -> None:
        if self.cache and event.invalidate:
            from freshwire.cache import CacheError

            try:
                await self.cache.purge(event.invalidate)
            except CacheError as error:
                log.error("event %s: %s", event.id, error)

    def _purge_sync(self, event: Event) -> None:
        if self.cache and event.invalidate:
            from freshwire.cache import CacheError

            try:
                self.cache.purge_sync(event.invalidate)
            except CacheError as error:
                log.error("event %s: %s", event.id, error)


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _from_thread(how: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Into the event loop that started this thread. RuntimeError in a thread of another kind."""
    from anyio import from_thread

    return getattr(from_thread, how)(function, *arguments)


def _log_outcome(event: Event, future: Any, good: int = logging.INFO) -> None:
    if future.cancelled():
        log.error("event %s (%s) is lost: the publisher stopped", event.id, event.type)
    elif future.exception():
        log.error("event %s (%s) is lost: %s", event.id, event.type, future.exception())
    else:
        log.log(good, "event %s (%s) is published after all", event.id, event.type)
