# SPDX-License-Identifier: MPL-2.0
"""What each actor of a run was told and received: append-only, in its own order, with monotonic times of one clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Union

Outcome = Literal["ok", "duplicate", "unknown", "rejected"]


@dataclass(frozen=True)
class Place:
    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"({self.epoch}, {self.offset})"


# ---- Publishers


@dataclass(frozen=True)
class Sent:
    """Written before the event's first byte leaves the process."""

    at: float
    id: str
    channels: tuple[str, ...]
    # It names a key that was in Redis, or a tag; what hears of it may look whether that is still so.
    purges: bool = False
    # False: fire and forget, nobody will ever say what became of it.
    acknowledged: bool = True


@dataclass(frozen=True)
class Told:
    """The last word about an event. Unknown: the publisher gave up waiting."""

    at: float
    id: str
    outcome: Outcome
    places: tuple[tuple[str, Place], ...] = ()
    unconfirmed: bool = False


@dataclass
class PublisherHistory:
    name: str
    entries: list[Union[Sent, Told]] = field(default_factory=list)


# ---- Sessions. A virtual session is one browser over all its connections.


@dataclass(frozen=True)
class Joined:
    """fw.welcome or fw.subscribed: where the session stands, and what it had given."""

    at: float
    channel: str
    place: Place
    recovered: bool
    given: Place | None = None


@dataclass(frozen=True)
class Received:
    """purged: what Redis said at that moment; None when it was not asked or could not answer."""

    at: float
    channel: str
    place: Place
    id: str
    unconfirmed: bool = False
    purged: bool | None = None


@dataclass(frozen=True)
class Reset:
    at: float
    channel: str
    place: Place
    reason: str = ""


@dataclass(frozen=True)
class Moved:
    at: float
    channel: str
    place: Place


@dataclass(frozen=True)
class Parted:
    """A connection ended, for every channel."""

    at: float
    code: int | None = None


@dataclass
class SessionHistory:
    name: str
    # Those it asked for from its first connection to the end of the run.
    channels: tuple[str, ...] = ()
    entries: list[Union[Joined, Received, Reset, Moved, Parted]] = field(default_factory=list)
