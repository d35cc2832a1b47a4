# SPDX-License-Identifier: MPL-2.0
"""What can go wrong when an event is published.

Every error is a PublishError, so one `except` is enough for a caller that only wants to log. None
of them means that the mutation failed: an event is published after its commit. They can be pickled,
as task queues do.
"""

from __future__ import annotations

import builtins
from typing import Any


class PublishError(Exception):
    """The event was not published, or it is not known whether it was."""


class RejectedError(PublishError):
    """The event breaks a rule: sending the same event again cannot help."""

    def __init__(self, field: str, reason: str, limit: int = 0, value: int = 0) -> None:
        self.field = field
        """Path of the offending field, for example "event.audience[3]"."""
        self.reason = reason
        self.limit = limit
        """The limit that was passed, or 0."""
        self.value = value
        """The value that passed it, or 0."""
        text = f"{field}: {reason}" if field else reason
        super().__init__(f"{text} (limit {limit}, got {value})" if limit else text)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.field, self.reason, self.limit, self.value)


class TimeoutError(PublishError, builtins.TimeoutError):
    """No acknowledgement in time. The event may still have been accepted.

    Publish it again with the same `id`: the broker then answers with the first acceptance instead
    of a second event.
    """

    def __init__(self, id: str, timeout: float, state: str) -> None:
        self.id = id
        self.timeout = timeout
        self.state = state
        """What the event was waiting for, for example "no connection to tcp://127.0.0.1:7002"."""
        super().__init__(f"event {id}: not acknowledged within {timeout:g} s ({state})")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.id, self.timeout, self.state)


class OverloadError(PublishError):
    """Too many events already wait in this process; the queue is bounded and this one was not added
    to it."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"{limit} events already wait for the broker")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.limit,)


class ClosedError(PublishError):
    """The publisher was closed before the event was acknowledged."""


class UnauthorizedError(PublishError):
    """The gateway refused the publish key (HTTP only)."""
