# SPDX-License-Identifier: MPL-2.0
"""Read, fill, purge: every decision of the cache, without I/O.

Generators that yield what to do next and are sent the result. The sync and the async client
(`_redis`) drive the same generators against Redis; the tests drive them one Redis command at a time
in every order they can think of.

    Commands  several Redis commands in one round trip; not atomic, others come in between
    LOAD      the caller's loader
    Pause     seconds to wait

What makes a stale entry impossible:
  - Stamps are captured before the load. A purge that comes during the load changes a stamp, so the
    entry is born invalid.
  - The lease is in the value itself and unique for each attempt. Removing the key removes the
    lease, and the store, which compares, does nothing.
  - A stamp that is not in Redis is a miss, never "not invalidated". It is seeded with a value that
    no entry can hold.
  - Every entry also carries the cache epoch, the stamp of an empty tag: raising it ends them all.
  - A reader who knows of an invalidation brings its time. An entry whose fill began at or before
    it is not served, even if Redis lost the purge.
  - When Redis does not answer, the value is loaded and not stored.
"""

from __future__ import annotations

import enum
import os
import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from . import _codec, _entry
from ._codec import CacheCodecError


class Status(enum.Enum):
    """What a read did; the text of the X-Cache header."""

    HIT = "HIT"
    MISS = "MISS"
    BYPASS = "BYPASS"
    """The reader asked for it: its event was released before its purge was confirmed."""
    STALE_REJECTED = "STALE-REJECTED"
    """There was an entry, but older than the invalidation that the reader knows of."""


class Bypass(enum.Enum):
    BYPASS = "bypass"


BYPASS: Final = Bypass.BYPASS
Fresh = int | Bypass
"""What the reader knows: Redis time (microseconds) of the last purge, 0 for none, or BYPASS."""


@dataclass(frozen=True)
class Get:
    key: str


@dataclass(frozen=True)
class Head:
    """The beginning of an entry, up to its stamps: whose fill it is, without its value."""

    key: str


@dataclass(frozen=True)
class Script:
    name: str
    keys: tuple[str, ...]
    arguments: tuple[bytes | str | int, ...]


@dataclass(frozen=True)
class Unlink:
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Time:
    pass


Command = Get | Head | Script | Unlink | Time


@dataclass(frozen=True)
class Commands:
    """Answered with one reply for each, or with the Exception that ended them."""

    commands: tuple[Command, ...]


class Load(enum.Enum):
    LOAD = "load"


LOAD: Final = Load.LOAD


@dataclass(frozen=True)
class Pause:
    seconds: float


Operation = Commands | Load | Pause


@dataclass(frozen=True)
class Filled:
    """Which fill of an entry a value is from: enough to tell later whether it still is the one."""

    nonce: bytes
    start_us: int
    stamps: tuple[tuple[str, int], ...]

    @property
    def head(self) -> bytes:
        return _entry.head(self.nonce, self.start_us)


@dataclass(frozen=True)
class Outcome:
    value: Any
    status: Status
    stored: bool = False
    reason: str = ""
    """Why a loaded value was not stored; empty when it was, and for a hit."""
    filled: Filled | None = None
    """The entry in Redis that holds the value, if one does."""


@dataclass
class Nested:
    """What a load read from caches itself. The drivers fill it in while the load runs."""

    tags: set[str] = field(default_factory=set)
    oldest_us: int | None = None
    """The earliest fill among the values."""
    storable: bool = True
    """False when one of them was read with store=False: it may lack the last commits."""


@dataclass(frozen=True)
class Plan:
    """One read."""

    entry_key: str
    tags: tuple[str, ...]
    """The epoch's, then the reader's, ascending (`_entry.sort_tags`)."""
    stamp_keys: tuple[str, ...]
    ttl_ms: int
    stamp_ttl_ms: int
    fresh: Fresh = 0
    store: bool = True
    """False: serve from the cache, but store nothing (the load may not see the last commits)."""
    lease_ms: int = 10_000
    wait: float = 1.0
    """Seconds to wait for somebody else's load before loading as well."""
    hold_off_us: int = 0
    """A load may miss commits of so long ago (replica lag): nothing is stored for that long."""
    margin_us: int = 0
    """Clocks of two Redis nodes may differ by so much after a failover."""
    payload_size_max: int = _entry.PAYLOAD_SIZE_MAX
    negative_ttl_ms: int = 30_000
    """How long None is kept: there is no such thing. 0 = not at all."""
    pack: Callable[[Any], bytes] = _codec.pack
    unpack: Callable[[bytes], Any] = _codec.unpack
    nested: Nested = field(default_factory=Nested)

    @property
    def lag_us(self) -> int:
        """A load that began so long after a purge, by the clocks at hand, may still miss it."""
        return self.hold_off_us + self.margin_us


PAUSE_MIN = 0.02
PAUSE_MAX = 0.05

Steps = Generator[Operation, Any, Outcome]


def read(plan: Plan, randomness: random.Random) -> Steps:
    """Serves from the cache, or loads and fills it."""
    waited = 0.0
    while True:
        status = Status.MISS
        replies = yield Commands((Get(plan.entry_key), *map(Get, plan.stamp_keys)))
        if _failure(replies):
            return (yield from _load_only(plan, status, "Redis did not answer"))
        value: bytes = replies[0] or b""
        if plan.fresh is BYPASS:
            status = Status.BYPASS
        elif _entry.is_entry(value):
            outcome, status = _serve(plan, value, replies[1:])
            if outcome is not None:
                return outcome
        if not plan.store:
            return (yield from _load_only(plan, status, "the reader asked not to store"))
        if not _entry.is_lease(value):
            outcome = yield from _fill(plan, status, value[: _entry.HEADER_SIZE])
            if outcome is not None:
                return outcome
        # Somebody else is loading, or was quicker to take the lease.
        if plan.fresh is BYPASS or waited >= plan.wait:
            return (yield from _load_only(plan, status, "somebody else is filling it"))
        pause = randomness.uniform(PAUSE_MIN, PAUSE_MAX)
        waited += pause
        yield Pause(pause)


def _serve(
    plan: Plan, value: bytes, replies: Sequence[bytes | None]
) -> tuple[Outcome | None, Status]:
    """The entry, if it may be served, and what to call the read if not."""
    entry = _entry.decode(value, plan.payload_size_max)
    if entry is None:
        return None, Status.MISS
    if entry.stamps != tuple(zip(plan.tags, map(_stamp, replies), strict=True)):
        return None, Status.MISS
    fresh = 0 if plan.fresh is BYPASS else plan.fresh
    if fresh and entry.start_us <= fresh + plan.lag_us:
        return None, Status.STALE_REJECTED
    try:
        filled = Filled(entry.nonce, entry.start_us, entry.stamps)
        return Outcome(plan.unpack(entry.payload), Status.HIT, filled=filled), Status.HIT
    except CacheCodecError:
        return None, Status.MISS


def _stamp(reply: bytes | None) -> int:
    """A stamp as a number; 0, which no entry holds, when it is missing or not ours."""
    return int(reply) if reply and reply.isdigit() and len(reply) <= 20 else 0


def _fill(plan: Plan, status: Status, header: bytes) -> Generator[Operation, Any, Outcome | None]:
    """Takes the lease, loads, stores. None when somebody else has the lease."""
    lease = _entry.lease(os.urandom(_entry.NONCE_SIZE))
    acquire = Script("acquire", (plan.entry_key,), (header, lease, plan.lease_ms))
    capture = Script("capture", plan.stamp_keys, (plan.stamp_ttl_ms,))
    release = Commands((Script("release", (plan.entry_key,), (lease,)),))
    replies = yield Commands((acquire, capture))
    if isinstance(replies, Exception) or isinstance(replies[0], Exception):
        return (yield from _load_only(plan, status, "Redis did not answer"))
    granted, start = replies[0]
    if not granted:
        return None
    start_us = int(start)
    stamps = [] if _failure(replies) else [_stamp(reply) for reply in replies[1]]
    if not stamps or 0 in stamps:
        yield release  # Others must not wait for a fill that will not come.
        return (yield from _load_only(plan, status, "a stamp is missing"))
    try:
        value = yield LOAD
    except GeneratorExit:
        raise  # Nobody drives this any more; the lease runs out by itself.
    except BaseException:
        yield release
        raise
    ttl_ms = plan.ttl_ms if value is not None else plan.negative_ttl_ms
    reason = _unstorable(plan, stamps, start_us, ttl_ms)
    if reason:
        yield release
        return Outcome(value, status, reason=reason)
    # A value made of older ones is no younger than they are.
    start_us = min(start_us, plan.nested.oldest_us or start_us)
    filled = Filled(lease[4:], start_us, tuple(zip(plan.tags, stamps, strict=True)))
    try:
        data = _entry.encode(filled.nonce, start_us, filled.stamps, plan.pack(value))
    except CacheCodecError as error:
        yield release
        return Outcome(value, status, reason=f"cannot be cached: {error}")
    except BaseException:
        yield release
        raise
    replies = yield Commands((Script("store", (plan.entry_key,), (lease, data, ttl_ms)),))
    if _failure(replies):
        return Outcome(value, status, reason="Redis did not answer")
    if not replies[0]:
        return Outcome(value, status, reason="purged while it was loaded")
    return Outcome(value, status, stored=True, filled=filled)


def _unstorable(plan: Plan, stamps: Sequence[int], start_us: int, ttl_ms: int) -> str:
    """Why a value that was loaded must not be stored, or nothing."""
    known = 0 if plan.fresh is BYPASS else plan.fresh
    if plan.hold_off_us and start_us - max(known, *stamps) <= plan.lag_us:
        return "invalidated too recently"
    if ttl_ms == 0:
        return "there is nothing, and that is not cached"
    unnamed = plan.nested.tags.difference(plan.tags)
    if unnamed:
        return f"cannot be cached: it was made of cached values with the tags {sorted(unnamed)}"
    if not plan.nested.storable:
        return "it was made of values that may lack the last commits"
    return ""


def _load_only(plan: Plan, status: Status, reason: str) -> Steps:
    if plan.fresh is BYPASS:
        status = Status.BYPASS
    value = yield LOAD
    return Outcome(value, status, reason=reason)


def still_valid(reads: Sequence[tuple[Plan, Filled | None]], replies: Any, fresh: Fresh) -> bool:
    """Whether each read would be a hit now, from the same fill as before. `replies`: for each, the
    Head of its entry and then its stamps."""
    if _failure(replies) or fresh is BYPASS:
        return False
    left = iter(replies)
    for plan, filled in reads:
        head = next(left)
        stamps = tuple((tag, _stamp(next(left))) for tag in plan.tags)
        if filled is None or head != filled.head or stamps != filled.stamps:
            return False
        if fresh and filled.start_us <= fresh + plan.lag_us:
            return False
    return True


def _failure(replies: Any) -> Exception | None:
    """The error of a round trip, or of one command in it."""
    if isinstance(replies, Exception):
        return replies
    return next((reply for reply in replies if isinstance(reply, Exception)), None)


@dataclass(frozen=True)
class Purged:
    """What a purge left behind."""

    fresh: int
    """Freshness token: Redis time after it, microseconds."""
    stamps: dict[str, int]
    keys_removed: int = 0


def purge(
    tags: Sequence[str], stamp_keys: Sequence[str], entry_keys: Sequence[str], stamp_ttl_ms: int
) -> Generator[Operation, Any, Purged]:
    """Raises the stamps and removes the entries. Raises what Redis answered when it did not."""
    commands: list[Command] = []
    if stamp_keys:
        commands.append(Script("bump", tuple(stamp_keys), (stamp_ttl_ms,)))
    if entry_keys:
        commands.append(Unlink(tuple(entry_keys)))
    replies = yield Commands((*commands, Time()))
    failure = _failure(replies)
    if failure:
        raise failure
    stamps: dict[str, int] = {}
    if stamp_keys:
        stamps = {tag: _stamp(stamp) for tag, stamp in zip(tags, replies[0], strict=True)}
    seconds, microseconds = replies[-1]
    fresh = int(seconds) * 1_000_000 + int(microseconds)
    return Purged(fresh, stamps, int(replies[-2]) if entry_keys else 0)
