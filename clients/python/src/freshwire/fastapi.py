# SPDX-License-Identifier: MPL-2.0
"""Events of a request, published after its commit.

    sync_events = SyncEvents(freshwire.AsyncPublisher.from_env())

    @app.put("/projects/{id}")
    async def update(id: str, change: Change, events: Events = Depends(sync_events)):
        async with database.transaction():
            project = await save(id, change)
        await events.publish("project_updated", data=project, audience="broadcast",
                             invalidate=Invalidate(tags=["projects", f"project:{id}"]))
        return project

There is no middleware that publishes by itself, and there will be none. A transaction that is
opened in a dependency with `yield` is committed when the dependency ends: in FastAPI 0.92, and
again since 0.118, that is after every middleware has seen the response. Measured: INSERT, event,
COMMIT. Browsers would read the old row, and put it into the cache again. Only the handler knows
when it committed.
"""

# No `from __future__ import annotations`: FastAPI could not resolve those of a callable object.
import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import Future
from typing import Any, Protocol, Union

try:
    from anyio import from_thread
    from fastapi import Request, Response
except ImportError as error:
    raise ImportError("freshwire.fastapi needs: pip install freshwire[fastapi]") from error

from freshwire.cache import Cache, CacheError
from freshwire.errors import PublishError
from freshwire.events import Event, Level, Receipt

log = logging.getLogger("freshwire.fastapi")

ORIGIN_HEADER = "X-Freshwire-Origin"
EVENT_ID_HEADER = "X-Freshwire-Event-Id"
ORIGIN_SIZE_MAX = 128

SomeFuture = Union["asyncio.Future[Receipt]", "Future[Receipt]"]


class Submitter(Protocol):
    """What is needed of a publisher: Publisher, AsyncPublisher,
    freshwire.testing.RecordingPublisher."""

    def submit(
        self, event: Event, *, level: Level = "purged", timeout: float | None = None
    ) -> SomeFuture: ...


class Events:
    """The events of one request. Nothing is sent before `publish` or `flush` is called."""

    def __init__(self, settings: "SyncEvents", origin: str, response: Response | None) -> None:
        self._settings = settings
        self._response = response
        self.origin = origin
        """The browser tab that sent the request: it recognises its own event."""
        self.user_id = ""
        """Who did it; the application knows."""
        self.pending: list[Event] = []
        """Collected by `add`, not sent yet."""
        self.receipts: list[Receipt] = []

    def add(self, type: str, **fields: Any) -> Event:
        """Collects an event for `flush`. The fields are those of `Publisher.publish`."""
        event = self._event(type, fields)
        self.pending.append(event)
        return event

    async def publish(self, type: str, **fields: Any) -> Receipt:
        """Publishes one event. Call it after the commit. The fields are those of
        `Publisher.publish`."""
        return (await self._send([self._event(type, fields)]))[0]

    async def flush(self) -> list[Receipt]:
        """Publishes what `add` collected, in order. Call it after the commit."""
        pending, self.pending = self.pending, []
        return await self._send(pending)

    def publish_sync(self, type: str, **fields: Any) -> Receipt:
        """As `publish`, for `def` endpoints: those run in a thread beside the event loop."""
        receipts: list[Receipt] = from_thread.run(self._send, [self._event(type, fields)])
        return receipts[0]

    def flush_sync(self) -> list[Receipt]:
        """As `flush`, for `def` endpoints."""
        pending, self.pending = self.pending, []
        receipts: list[Receipt] = from_thread.run(self._send, pending)
        return receipts

    def discard(self) -> None:
        """Forgets what `add` collected: the transaction was rolled back."""
        self.pending = []

    def _event(self, type: str, fields: dict[str, Any]) -> Event:
        fields.setdefault("origin", self.origin)
        fields.setdefault("user_id", self.user_id)
        return Event.make(type, **fields)

    async def _send(self, events: Iterable[Event]) -> list[Receipt]:
        receipts = [await self._settings._send(event) for event in events]
        self.receipts += receipts
        if self._response is not None and self.receipts:
            ids = ",".join(receipt.id for receipt in self.receipts)
            self._response.headers[EVENT_ID_HEADER] = ids
        return receipts


class SyncEvents:
    """The dependency: `events: Events = Depends(sync_events)`. One for the application.

    The mutation is committed when an event is published, so no failure to publish fails the
    request. The handler waits at most `wait` seconds for the acknowledgement; the event is sent in
    the background until `timeout`. Until the broker has it, `cache` (if given) is purged directly,
    so that at least no reader gets an old copy. Each such case is logged, and its receipt says
    `acknowledged=False`. `strict=True` raises instead, for tests.
    """

    def __init__(
        self,
        publisher: Submitter,
        *,
        cache: Cache | None = None,
        level: Level = "purged",
        wait: float = 2.0,
        timeout: float = 60.0,
        strict: bool = False,
    ) -> None:
        self._publisher = publisher
        self._cache = cache
        self._level: Level = level
        self._wait = wait
        self._timeout = timeout
        self._strict = strict

    async def __call__(self, request: Request, response: Response) -> AsyncIterator[Events]:
        events = Events(self, origin_of(request.headers.get(ORIGIN_HEADER)), response)
        yield events
        # Reached only when the handler did not fail.
        if events.pending:
            types = ", ".join(event.type for event in events.pending)
            log.warning("%s: collected, but flush() was never called: %s", request.url.path, types)

    async def _send(self, event: Event) -> Receipt:
        future: asyncio.Future[Receipt]
        try:
            submitted = self._publisher.submit(event, level=self._level, timeout=self._timeout)
            future = asyncio.wrap_future(submitted) if isinstance(submitted, Future) else submitted
        except (PublishError, TypeError, ValueError) as error:
            return await self._failed(event, error)
        done, _ = await asyncio.wait({future}, timeout=self._wait)
        if not done:
            future.add_done_callback(lambda ended: _log_outcome(event, ended))
            return await self._failed(
                event, TimeoutError(f"no answer in {self._wait:g} s, still trying")
            )
        try:
            return future.result()
        except PublishError as error:
            return await self._failed(event, error)

    async def _failed(self, event: Event, error: Exception) -> Receipt:
        if self._strict:
            raise error
        log.error("event %s (%s) is not published: %s", event.id, event.type, error)
        if self._cache and event.invalidate:
            try:
                await self._cache.purge(event.invalidate)
            except CacheError as cache_error:
                log.error("event %s: %s", event.id, cache_error)
        return Receipt(id=event.id, unconfirmed=True, acknowledged=False)


def _log_outcome(event: Event, future: "asyncio.Future[Receipt]") -> None:
    if future.cancelled():
        log.error("event %s (%s) is lost: the publisher stopped", event.id, event.type)
    elif future.exception():
        log.error("event %s (%s) is lost: %s", event.id, event.type, future.exception())
    else:
        log.info("event %s (%s) is published after all", event.id, event.type)


def origin_of(header: str | None) -> str:
    """The tab's name from its header. One that no broker would take is none: it must not be able to
    keep the event from everybody else."""
    origin = (header or "").strip()
    if not origin.isprintable() or len(origin.encode("utf-8", "replace")) > ORIGIN_SIZE_MAX:
        return ""
    return origin
