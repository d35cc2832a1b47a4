# SPDX-License-Identifier: MPL-2.0
"""Freshwire for Python backends: publish after a commit, read through a cache that is never stale.

`freshwire.publisher` publishes events, `freshwire.cache` reads through Redis, `freshwire.fastapi`
and `freshwire.sqlalchemy` tie both to a request and to its commit. Importing this module imports
none of their dependencies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from freshwire._version import __version__
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
    Position,
    Receipt,
    new_event_id,
    room_channel,
    user_channel,
)

if TYPE_CHECKING:
    from freshwire.cache import Cache
    from freshwire.delivery import Delivery
    from freshwire.publisher import (
        AsyncPublisher,
        FirePublisher,
        HttpPublisher,
        Publisher,
        from_env,
    )

_LAZY = {
    "AsyncPublisher": "freshwire.publisher",
    "FirePublisher": "freshwire.publisher",
    "HttpPublisher": "freshwire.publisher",
    "Publisher": "freshwire.publisher",
    "from_env": "freshwire.publisher",
    "Cache": "freshwire.cache",
    "Delivery": "freshwire.delivery",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


__all__ = [
    "BROADCAST",
    "AsyncPublisher",
    "Cache",
    "ClosedError",
    "Delivery",
    "Event",
    "FirePublisher",
    "HttpPublisher",
    "Invalidate",
    "OverloadError",
    "Position",
    "PublishError",
    "Publisher",
    "Receipt",
    "RejectedError",
    "TimeoutError",
    "UnauthorizedError",
    "__version__",
    "from_env",
    "new_event_id",
    "room_channel",
    "user_channel",
]
