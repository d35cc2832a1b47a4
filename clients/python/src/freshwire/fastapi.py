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
import logging
from collections.abc import AsyncIterator, Iterable
from typing import Any

try:
    from anyio import from_thread
    from fastapi import Request, Response
except ImportError as error:
    raise ImportError("freshwire.fastapi needs: pip install freshwire[fastapi]") from error

from freshwire.cache import Cache
from freshwire.cache.context import origin_of
from freshwire.cache.middleware import EVENT_ID_HEADER, ORIGIN_HEADER
from freshwire.delivery import Delivery, Submitter
from freshwire.events import Event, Level, Receipt

log = logging.getLogger("freshwire.fastapi")


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
        receipts = [await self._settings.delivery.send(event) for event in events]
        self.receipts += receipts
        if self._response is not None and self.receipts:
            ids = ",".join(receipt.id for receipt in self.receipts)
            self._response.headers[EVENT_ID_HEADER] = ids
        return receipts


class SyncEvents:
    """The dependency: `events: Events = Depends(sync_events)`. One for the application.

    For what `Cache.invalidates` cannot say: several events, or data that only the handler has. No
    failure to publish fails the request (see freshwire.delivery).
    """

    def __init__(
        self,
        publisher: Submitter | Delivery,
        *,
        cache: Cache | None = None,
        level: Level = "purged",
        wait: float = 2.0,
        timeout: float = 60.0,
        strict: bool = False,
    ) -> None:
        """A publisher and what to do with it, or a Delivery, such as `cache.delivery`."""
        self.delivery = (
            publisher
            if isinstance(publisher, Delivery)
            else Delivery(
                publisher, cache=cache, level=level, wait=wait, timeout=timeout, strict=strict
            )
        )

    async def __call__(self, request: Request, response: Response) -> AsyncIterator[Events]:
        events = Events(self, origin_of(request.headers.get(ORIGIN_HEADER)), response)
        yield events
        # Reached only when the handler did not fail.
        if events.pending:
            types = ", ".join(event.type for event in events.pending)
            log.warning("%s: collected, but flush() was never called: %s", request.url.path, types)


__all__ = ["EVENT_ID_HEADER", "ORIGIN_HEADER", "Events", "SyncEvents", "origin_of"]
