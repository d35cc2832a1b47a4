# SPDX-License-Identifier: MPL-2.0
"""Publish events after a commit.

    publisher = freshwire.Publisher()                # tcp://127.0.0.1:7002
    publisher.publish(
        "project_updated",
        data={"id": "42"},
        audience="broadcast",
        invalidate=freshwire.Invalidate(tags=["projects", "project:42"]),
    )

`Publisher` for threads, `AsyncPublisher` for asyncio (both: `pip install freshwire[zmq]`),
`HttpPublisher` for services that cannot reach the broker's port; `FirePublisher` for events whose
loss is cheap. The first three keep an event until it
is acknowledged or its time-out is over, send it again with the same id when a connection breaks,
and bound what waits.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from freshwire.errors import (
    ClosedError,
    OverloadError,
    PublishError,
    RejectedError,
    TimeoutError,
    UnauthorizedError,
)
from freshwire.events import (
    BROADCAST,
    Event,
    Invalidate,
    Level,
    Position,
    Receipt,
    new_event_id,
    room_channel,
    user_channel,
)

from ._http import HttpPublisher
from ._settings import Curve, Settings, settings_from_env

if TYPE_CHECKING:
    from ._async import AsyncPublisher
    from ._fire import FirePublisher, NotConnectedError
    from ._fire_link import FireStats
    from ._link import Stats
    from ._sync import Publisher

_NEEDS_ZMQ = {
    "AsyncPublisher": "_async",
    "FirePublisher": "_fire",
    "FireStats": "_fire_link",
    "NotConnectedError": "_fire",
    "Publisher": "_sync",
    "Stats": "_link",
}


def __getattr__(name: str) -> Any:
    """ZeroMQ and protobuf are imported only by those who use them."""
    if name not in _NEEDS_ZMQ:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_NEEDS_ZMQ[name]}"), name)


def from_env(environ: Mapping[str, str] = os.environ, **options: Any) -> Publisher | HttpPublisher:
    """The publisher that FRESHWIRE_PUBLISH_ENDPOINT asks for: over HTTP for http(s)://, else over
    ZeroMQ."""
    settings = settings_from_env(options, environ)
    if str(settings.get("endpoint", "")).startswith(("http://", "https://")):
        return HttpPublisher(**settings)
    from ._sync import Publisher

    return Publisher(**settings)


__all__ = [
    "BROADCAST",
    "AsyncPublisher",
    "ClosedError",
    "Curve",
    "Event",
    "FirePublisher",
    "FireStats",
    "HttpPublisher",
    "Invalidate",
    "Level",
    "NotConnectedError",
    "OverloadError",
    "Position",
    "PublishError",
    "Publisher",
    "Receipt",
    "RejectedError",
    "Settings",
    "Stats",
    "TimeoutError",
    "UnauthorizedError",
    "from_env",
    "new_event_id",
    "room_channel",
    "user_channel",
]
