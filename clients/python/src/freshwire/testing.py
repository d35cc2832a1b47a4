# SPDX-License-Identifier: MPL-2.0
"""For the tests of services: a publisher that keeps what is published."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from freshwire.errors import PublishError
from freshwire.events import Event, Level, Position, Receipt


class RecordingPublisher:
    """Takes the place of a Publisher, and of an AsyncPublisher wherever only `submit` is used.

    `events` holds what was published. `on_event` sees each event at the moment it is published: the
    place to check that the transaction is committed. `failure` is raised instead of accepting.
    """

    def __init__(self, on_event: Callable[[Event], None] | None = None) -> None:
        self.events: list[Event] = []
        self.on_event = on_event
        self.failure: PublishError | None = None

    def submit(
        self, event: Event, *, level: Level = "purged", timeout: float | None = None
    ) -> Future[Receipt]:
        future: Future[Receipt] = Future()
        if self.failure:
            future.set_exception(self.failure)
            return future
        if self.on_event:
            self.on_event(event)
        duplicate = any(event.id == earlier.id for earlier in self.events)
        if not duplicate:
            self.events.append(event)
        positions = tuple(
            Position(channel, "test", sum(channel in earlier.audience for earlier in self.events))
            for channel in event.audience
        )
        future.set_result(Receipt(id=event.id, positions=positions, duplicate=duplicate))
        return future

    def publish(
        self, type: str, *, level: Level = "purged", timeout: float | None = None, **fields: Any
    ) -> Receipt:
        """As `Publisher.publish`."""
        return self.submit(Event.make(type, **fields), level=level, timeout=timeout).result()

    def close(self, timeout: float | None = None) -> None:
        """As `Publisher.close`."""
