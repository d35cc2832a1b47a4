# SPDX-License-Identifier: MPL-2.0
"""An event, what it makes stale, and the receipt for it. Plain values, no I/O, no dependency."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import os
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["accepted", "purged", "replicated"]

BROADCAST = "broadcast"
"""The channel that every browser is subscribed to."""


def user_channel(user_id: object) -> str:
    """The channel of one user: every browser in which that user is signed in."""
    return f"user:{user_id}"


def room_channel(room_id: object) -> str:
    """The channel of one room."""
    return f"room:{room_id}"


def new_event_id() -> str:
    """A UUID of version 7: unique, and ascending in time, so that logs and stores sort by it."""
    now_ms = time.time_ns() // 1_000_000
    number = (now_ms & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | 7 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    return str(uuid.UUID(int=number))


def _texts(value: str | Iterable[str]) -> tuple[str, ...]:
    """A single text is a list of one: a str is iterable too, and would become its letters."""
    return (value,) if isinstance(value, str) else tuple(value)


@dataclass(frozen=True)
class Invalidate:
    """The cached copies that a mutation made stale. They are purged before anybody hears of the
    event."""

    keys: tuple[str, ...] = ()
    """Literal Redis keys. `Cache.invalidation(keys=…)` maps the keys of freshwire.cache to
    these."""
    tags: tuple[str, ...] = ()
    """Every cached entry that carries one of these tags; costs the same for one entry and for a
    million."""
    patterns: tuple[str, ...] = ()
    """Glob patterns of keys that other programs wrote. Swept in the background: nothing waits for
    it."""

    def __init__(
        self,
        keys: str | Iterable[str] = (),
        tags: str | Iterable[str] = (),
        patterns: str | Iterable[str] = (),
    ) -> None:
        object.__setattr__(self, "keys", _texts(keys))
        object.__setattr__(self, "tags", _texts(tags))
        object.__setattr__(self, "patterns", _texts(patterns))

    def __bool__(self) -> bool:
        return bool(self.keys or self.tags or self.patterns)


NOTHING = Invalidate()


@dataclass(frozen=True)
class Event:
    """An immutable record of one mutation, as it is published after the commit."""

    type: str
    """Lower snake case, for example "project_updated"."""
    data: Any = None
    """JSON-serialisable; bytes travel as they are; or a message of freshwire.v1."""
    audience: tuple[str, ...] = ()
    """The channels that receive it. May be empty when the event only invalidates."""
    invalidate: Invalidate = NOTHING
    exclude_user: str = ""
    exclude_origin: str = ""
    origin: str = ""
    """Who caused it, for example a browser tab: that tab recognises its own event."""
    user_id: str = ""
    id: str = field(default_factory=new_event_id)
    """Idempotency key: the same id within five minutes is the same event."""
    ts: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    """Milliseconds."""
    traceparent: str = ""

    @classmethod
    def make(
        cls,
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
        ts: int | None = None,
        traceparent: str | None = None,
    ) -> Event:
        """An event from what `publish` takes: None and "" mean the same, and an id is made when
        none is given."""
        return cls(
            type=type,
            data=data,
            audience=_texts(audience),
            invalidate=invalidate or NOTHING,
            exclude_user=exclude_user or "",
            exclude_origin=exclude_origin or "",
            origin=origin or "",
            user_id="" if user_id is None else str(user_id),
            id=id or new_event_id(),
            ts=ts or time.time_ns() // 1_000_000,
            traceparent=traceparent or "",
        )


@dataclass(frozen=True)
class Position:
    """The place that an event got in one channel."""

    channel: str
    epoch: str
    """The same text that browsers see."""
    offset: int


@dataclass(frozen=True)
class Receipt:
    """The broker's answer to one event."""

    id: str
    positions: tuple[Position, ...] = ()
    """One for each channel of the audience, in its order."""
    fresh: int = 0
    """Freshness token: Redis time of the purge in microseconds; 0 when nothing was purged or not
    yet."""
    unconfirmed: bool = False
    """The purge was not confirmed in time. Browsers were told, and bypass caches; the purge is
    still retried."""
    duplicate: bool = False
    """The broker had this id already, for example because the first acknowledgement was lost."""
    acknowledged: bool = True
    """False: the caller stopped waiting (see freshwire.fastapi); the event is still being sent."""


_EPOCH_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


def epoch_text(epoch: int) -> str:
    """The text form of an epoch, as proto/position.c writes it."""
    epoch &= (1 << 60) - 1
    digits = ""
    while True:
        digits = _EPOCH_DIGITS[epoch & 31] + digits
        epoch >>= 5
        if not epoch:
            return digits


def _json_default(value: object) -> object:
    """What services commonly put into an event beside JSON's own types."""
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (uuid.UUID, decimal.Decimal)):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    for name in ("model_dump", "dict"):  # pydantic 2, pydantic 1
        convert = getattr(value, name, None)
        if callable(convert):
            return convert()
    raise TypeError(f"event data: {type(value).__name__} cannot be written as JSON")


def json_bytes(data: object) -> bytes:
    """data as compact UTF-8 JSON. TypeError or ValueError when it has no JSON form (also for
    NaN)."""
    return json.dumps(
        data, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_json_default
    ).encode("utf-8", "strict")
