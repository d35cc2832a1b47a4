# SPDX-License-Identifier: MPL-2.0
"""The fire-and-forget link without I/O: numbers events, keeps the last ones, answers the broker.

Pure: no socket, no clock, no thread; not thread-safe. Times are seconds of a monotonic clock. The
broker subscribes when it is there; a socket on which nobody subscribes for SILENCE_MAX is of no
use, because libzmq gives a connection to a wrong peer up for good.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from dataclasses import asdict, dataclass, replace
from typing import Any

from . import _wire

KEPT_EVENTS_MAX = 1024
KEPT_BYTES_MAX = 1024 * 1024
"""Of encoded events that can be sent again; the newest always stays."""
KEPT_AGE_MAX = 30.0
"""Seconds: a broker that starts asks for all that is kept, and nobody wants events of an hour ago."""
SILENCE_MAX = 3.0
REOPEN_FLOOR = 0.05
REOPEN_BASE = 0.1
REOPEN_CAP = 2.0
MARK_EVERY = 1.0
RESENDS_PER_SECOND = 2000
RESENDS_AT_ONCE = 256
OPENING_EVERY = 0.02


@dataclass
class FireStats:
    """Counters since the start, and the present state."""

    sent: int = 0
    """Events handed to the network, each once."""
    resent: int = 0
    """Because the broker asked."""
    gone: int = 0
    """That it asked for and that were not kept any more."""
    refused: int = 0
    """Not taken: the link was down, or too much waited."""
    connections: int = 0
    bad_frames: int = 0
    connected: bool = False

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


class FireLink:
    def __init__(self, *, incarnation: bytes, randomness: random.Random) -> None:
        self._incarnation = incarnation
        self._random = randomness
        self._kept: OrderedDict[int, tuple[float, bytes]] = OrderedDict()  # with their times
        self._kept_bytes = 0
        self._wanted: dict[int, None] = {}
        self._last = 0
        self._marked = 0
        self._mark_due = False
        self._marked_at = 0.0
        self._open = False
        self._up = False
        self._down_at = 0.0
        self._reopen_at = 0.0
        self._failures = 0
        self._tokens = 0.0
        self._refilled_at = 0.0
        self.stats_now = FireStats()

    # ---- questions of the owner

    @property
    def connected(self) -> bool:
        return self._up

    def wants_socket(self, now: float) -> bool:
        return self._open or now >= self._reopen_at

    def wake_at(self) -> float:
        if not self._open:
            return self._reopen_at
        if not self._up:
            return self._down_at + SILENCE_MAX
        if self._mark_due:
            return 0.0
        if self._wanted:
            return self._refilled_at + OPENING_EVERY
        return self._marked_at + MARK_EVERY if self._marked != self._last else float("inf")

    def stats(self) -> FireStats:
        return replace(self.stats_now, connected=self._up)

    # ---- what happens

    def number(self, message: Any, now: float) -> bytes:
        """Takes an event; returns its frame, to be sent now. RejectedError when it is too large."""
        frame = _wire.encode_fire(self._last + 1, self._incarnation, message)
        self._last += 1
        self._kept[self._last] = now, frame
        self._kept_bytes += len(frame)
        while len(self._kept) > 1 and (
            len(self._kept) > KEPT_EVENTS_MAX or self._kept_bytes > KEPT_BYTES_MAX
        ):
            self._drop_oldest()
        self.stats_now.sent += 1
        return frame

    def opening(self, now: float) -> None:
        """Where to connect to is not known yet."""
        self._reopen_at = now + OPENING_EVERY

    def opened(self, now: float) -> None:
        self._open = True
        self._down_at = now

    def lost(self, now: float) -> None:
        """The connection broke, or there could be none."""
        self._open = self._up = False
        longest = min(REOPEN_CAP, REOPEN_BASE * 2**self._failures)
        self._failures = min(self._failures + 1, 16)
        self._reopen_at = now + self._random.uniform(REOPEN_FLOOR, longest)

    def received(self, frame: bytes, now: float) -> None:
        if frame[:1] in (b"\0", b"\1"):
            self._subscribed(frame, now)
            return
        try:
            kind, message = _wire.decode(frame)
        except ValueError:
            kind = ""
        if kind != "fire_missing":
            self.stats_now.bad_frames += 1
        elif message.incarnation == self._incarnation:  # else another publisher is meant
            self._missing(message.first, message.count, now)

    def step(self, now: float) -> list[bytes]:
        """The frames to send now, in order: what the broker asked for, and how far was counted."""
        if not self._open:
            return []
        if not self._up:
            if now - self._down_at >= SILENCE_MAX:
                self.lost(now)
            return []
        frames = self._resend(now)
        if self._mark_due or (
            self._marked != self._last and now - self._marked_at >= MARK_EVERY
        ):
            frames.append(self._mark(now))
        return frames

    def say_again(self) -> None:
        """Something that `step` gave was not taken: a mark lets the broker ask for it again."""
        self._mark_due = True

    def farewell(self, now: float) -> list[bytes]:
        """What to say before leaving."""
        return [self._mark(now)] if self._up and self._marked != self._last else []

    # ---- inside

    def _subscribed(self, frame: bytes, now: float) -> None:
        if len(frame) > 1:
            self.stats_now.bad_frames += 1  # no broker subscribes to a part
            return
        up = frame == b"\1"
        if up == self._up:
            return
        self._up = up
        self._down_at = now
        if up:
            self._failures = 0
            self._mark_due = True
            self.stats_now.connections += 1

    def _drop_oldest(self) -> None:
        number, (_, oldest) = self._kept.popitem(last=False)
        self._wanted.pop(number, None)
        self._kept_bytes -= len(oldest)

    def _expire(self, now: float) -> None:
        while self._kept and now - next(iter(self._kept.values()))[0] > KEPT_AGE_MAX:
            self._drop_oldest()

    def _missing(self, first: int, count: int, now: float) -> None:
        self._expire(now)
        oldest = next(iter(self._kept), self._last + 1)
        end = min(first + count, self._last + 1)
        first = max(first, 1)
        gone = max(0, min(end, oldest) - first)
        self.stats_now.gone += gone
        self._mark_due = self._mark_due or gone > 0  # the broker need not wait for those
        for number in range(max(first, oldest), end):
            self._wanted[number] = None

    def _resend(self, now: float) -> list[bytes]:
        refill = (now - self._refilled_at) * RESENDS_PER_SECOND
        self._tokens = min(RESENDS_AT_ONCE, self._tokens + refill)
        self._refilled_at = now
        frames = []
        for number in sorted(self._wanted)[: int(self._tokens)]:
            del self._wanted[number]
            frames.append(self._kept[number][1])
        self._tokens -= len(frames)
        self.stats_now.resent += len(frames)
        return frames

    def _mark(self, now: float) -> bytes:
        self._expire(now)
        self._mark_due = False
        self._marked = self._last
        self._marked_at = now
        oldest = next(iter(self._kept), self._last + 1)
        return _wire.encode_mark(self._incarnation, self._last, oldest)
