# SPDX-License-Identifier: MPL-2.0
"""The publish link without I/O: what to send and when, when to wake up, when to give an event up.

Pure: no socket, no clock, no thread; not thread-safe. The two publishers (`_sync`, `_async`) own a
socket and call this with the time; tests drive it with a time of their own. Times are seconds of a
monotonic clock.

One link lives through many sockets. Its state is
    down   no socket, until the backoff is over
    hello  a socket is open; Hello is sent every second until the broker answers Welcome
    up     events are sent, while fewer than the broker's credit wait for an acknowledgement
Three seconds without any frame, a broken connection or a Goodbye end the socket. What was not
acknowledged goes out again on the next one, with the same id: the broker knows it and does not
publish it twice.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from freshwire.errors import ClosedError, OverloadError, PublishError, RejectedError, TimeoutError
from freshwire.events import Receipt

from . import _wire

HELLO_EVERY = 1.0
PING_EVERY = 1.0
SILENCE_MAX = 3.0
OPENING_EVERY = 0.02
REOPEN_FLOOR = 0.05
REOPEN_BASE = 0.1
REOPEN_CAP = 2.0
RETRY_BASE = 0.05
RETRY_CAP = 2.0
RESEND_AFTER = 3.0
"""An event without an answer goes out again after so long although the link lives."""

Outcome = Receipt | PublishError
Done = Callable[[Outcome], None]


@dataclass
class Stats:
    """Counters since the start, and the present state."""

    published: int = 0
    """Events handed in."""
    acknowledged: int = 0
    unconfirmed: int = 0
    """Acknowledged, but the purge was not confirmed in time."""
    duplicates: int = 0
    rejected: int = 0
    timeouts: int = 0
    refused_full: int = 0
    """Not taken because the queue was full."""
    resent: int = 0
    """Sent again after a lost connection or a lost answer."""
    retries: int = 0
    """Answers "not now" (RETRY or OVERLOAD)."""
    connections: int = 0
    """Welcomes; above 1 the link was lost in between."""
    bad_frames: int = 0
    waiting: int = 0
    in_flight: int = 0
    credit: int = 0
    connected: bool = False

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


class Request:
    """One event on its way."""

    __slots__ = (
        "again_at",
        "attempts",
        "deadline",
        "done",
        "id",
        "level",
        "message",
        "number",
        "place",
        "timeout",
    )

    def __init__(
        self, number: int, id: str, message: Any, level: int, timeout: float, now: float, done: Done
    ) -> None:
        self.number = number
        self.id = id
        self.message = message
        self.level = level
        self.timeout = timeout
        self.deadline = now + timeout
        self.done = done
        self.place: Literal["waiting", "in flight", "delayed"] = "waiting"
        self.again_at = 0.0  # in flight or delayed: when it becomes waiting
        self.attempts = 0


class Link:
    def __init__(
        self,
        *,
        name: str,
        endpoint: str,
        incarnation: bytes,
        queue_max: int,
        in_flight_max: int,
        randomness: random.Random,
    ) -> None:
        self._hello = _wire.encode_hello(name, incarnation)
        self._endpoint = endpoint
        self._queue_max = queue_max
        self._in_flight_max = in_flight_max
        self._random = randomness
        self._requests: dict[int, Request] = {}
        self._waiting: deque[Request] = deque()  # may hold finished ones, which are skipped
        # A heap of times and request numbers. What is finished or outdated in it is skipped.
        self._timers: list[tuple[float, int]] = []
        self._next_number = 1
        self._in_flight = 0
        self._state: Literal["down", "hello", "up"] = "down"
        self._reopen_at = 0.0
        self._failures = 0
        self._heard_at = 0.0
        self._hello_at = 0.0
        self._hello_sent_at = float("-inf")
        self._ping_at = 0.0
        self._ping_number = 0
        self._credit = 0
        self._broker = b""  # incarnation of the last Welcome
        self._data_size_max = 0  # that the broker takes in one event; 0 = unknown
        self._hold_until = 0.0  # after OVERLOAD: nothing is sent before
        self._stats = Stats()

    # ---- questions of the owner

    @property
    def pending(self) -> int:
        """Events that have no outcome yet."""
        return len(self._requests)

    @property
    def connected(self) -> bool:
        return self._state == "up"

    def wants_socket(self, now: float) -> bool:
        """False: close the socket. True: there must be one; tell `opened` when it was created."""
        return self._state != "down" or now >= self._reopen_at

    def wake_at(self) -> float:
        """When to call `step` next, unless a frame or an event comes first."""
        if self._state == "down":
            times = [self._reopen_at]
        elif self._state == "hello":
            times = [self._heard_at + SILENCE_MAX, self._hello_at]
        else:
            times = [self._heard_at + SILENCE_MAX, self._ping_at]
            if self._waiting and self._in_flight < self._window():
                times.append(self._hold_until)
        if self._timers:
            times.append(self._timers[0][0])
        return min(times)

    def stats(self) -> Stats:
        return replace(
            self._stats,
            in_flight=self._in_flight,
            waiting=len(self._requests) - self._in_flight,
            credit=self._credit,
            connected=self._state == "up",
        )

    # ---- what happens

    def submit(
        self, id: str, message: Any, level: int, timeout: float, now: float, done: Done
    ) -> int:
        """Takes an event and returns its number. `done` is called once, from a later call of this
        object."""
        if len(self._requests) >= self._queue_max:
            self._stats.refused_full += 1
            raise OverloadError(self._queue_max)
        request = Request(self._next_number, id, message, level, timeout, now, done)
        self._next_number += 1
        self._requests[request.number] = request
        self._waiting.append(request)
        self._push_timer(request.deadline, request.number)
        self._stats.published += 1
        return request.number

    def forget(self, number: int) -> None:
        """Nobody waits for this event any more. What was sent is published; it is not sent
        again."""
        request = self._requests.get(number)
        if request:
            self._remove(request)

    def opening(self, now: float) -> None:
        """Where to connect to is not known yet: a name is being looked up."""
        self._reopen_at = now + OPENING_EVERY

    def opened(self, now: float) -> None:
        """The owner created a socket."""
        self._state = "hello"
        self._heard_at = now
        self._hello_at = now

    def lost(self, now: float) -> None:
        """The connection broke, the broker left, or nobody knows where it is."""
        if self._state == "down" and now < self._reopen_at:
            return
        self._state = "down"
        self._credit = 0
        longest = min(REOPEN_CAP, REOPEN_BASE * 2**self._failures)
        self._failures = min(self._failures + 1, 16)
        self._reopen_at = now + self._random.uniform(REOPEN_FLOOR, longest)
        self._put_back()

    def received(self, frame: bytes, now: float) -> None:
        try:
            kind, message = _wire.decode(frame)
        except ValueError:
            # No sign of life either: something else may listen on that port.
            self._stats.bad_frames += 1
            return
        if self._state == "down":
            return
        self._heard_at = now
        if kind == "welcome":
            self._welcomed(message, now)
        elif kind == "ack":
            self._answered(message, now)
        elif kind == "goodbye":
            self.lost(now)
        elif kind == "refusal":
            self._introduce_again(now)

    def step(self, now: float) -> list[bytes]:
        """Ends what is late; returns the frames to send now, in order."""
        self._run_timers(now)
        if self._state != "down" and now - self._heard_at >= SILENCE_MAX:
            self.lost(now)
        frames: list[bytes] = []
        if self._state == "hello" and now >= self._hello_at:
            self._hello_at = now + HELLO_EVERY
            self._hello_sent_at = now
            frames.append(self._hello)
        elif self._state == "up":
            if now >= self._ping_at:
                self._ping_at = now + PING_EVERY
                self._ping_number += 1
                frames.append(_wire.encode_ping(self._ping_number))
            self._take_sendable(now, frames)
        return frames

    def close(self) -> None:
        """Ends every event that still waits with ClosedError."""
        self._state = "down"
        self._reopen_at = float("inf")
        for request in list(self._requests.values()):
            self._finish(
                request,
                ClosedError(f"event {request.id}: publisher closed before its acknowledgement"),
            )

    # ---- inside

    def _window(self) -> int:
        return min(self._credit, self._in_flight_max)

    def _welcomed(self, welcome: Any, now: float) -> None:
        if welcome.version != _wire.PROTOCOL_VERSION:
            self._stats.bad_frames += 1
            return
        if self._state == "up" and welcome.incarnation != self._broker:
            self._put_back()  # Another broker behind the same connection: it knows nothing.
        if self._state != "up":
            self._ping_at = now + PING_EVERY
            self._stats.connections += 1
        self._state = "up"
        self._failures = 0
        self._broker = welcome.incarnation
        self._credit = welcome.credit
        self._hold_until = now
        self._data_size_max = welcome.event_bytes_max

    def _introduce_again(self, now: float) -> None:
        """The broker does not know this link: it restarted behind a connection that looks the same.

        At most once a second: should it refuse what is sent again, that must not become a loop.
        """
        if self._state == "up":
            self._state = "hello"
            self._hello_at = max(now, self._hello_sent_at + HELLO_EVERY)
            self._put_back()

    def _answered(self, ack: Any, now: float) -> None:
        request = self._requests.get(ack.request_id)
        if request is None:
            return  # A second answer to what was sent twice, or the caller gave up.
        self._credit = ack.credit
        if ack.status in (_wire.OK, _wire.DUPLICATE):
            receipt = _wire.receipt(ack)
            self._stats.acknowledged += 1
            self._stats.duplicates += receipt.duplicate
            self._stats.unconfirmed += receipt.unconfirmed
            self._finish(request, receipt)
        elif ack.status == _wire.REJECTED:
            self._stats.rejected += 1
            self._finish(request, _wire.rejection(ack))
        elif ack.status in (_wire.RETRY, _wire.OVERLOAD):
            self._stats.retries += 1
            jitter = self._random.uniform(
                0, min(RETRY_CAP, RETRY_BASE * 2 ** min(request.attempts, 16))
            )
            wait = ack.retry_after_ms / 1000 + jitter
            if ack.status == _wire.OVERLOAD:
                self._hold_until = max(self._hold_until, now + wait)
            self._set_place(request, "delayed", now + wait)
        else:
            self._stats.bad_frames += 1

    def _take_sendable(self, now: float, frames: list[bytes]) -> None:
        if now < self._hold_until:
            return
        while self._waiting and self._in_flight < self._window():
            request = self._waiting.popleft()
            if request.number not in self._requests or request.place != "waiting":
                continue
            frame = _wire.encode_publish(request.number, request.level, request.message)
            too_large = self._too_large(request, frame)
            if too_large:
                self._stats.rejected += 1
                self._finish(request, too_large)
                continue
            self._stats.resent += request.attempts > 0
            request.attempts += 1
            self._set_place(request, "in flight", now + RESEND_AFTER * request.attempts)
            frames.append(frame)
        if self._waiting and self._credit == 0 and self._in_flight == 0:
            # No answer can bring credit back: ask for it.
            self._state = "hello"
            self._hello_at = now + HELLO_EVERY

    def _too_large(self, request: Request, frame: bytes) -> RejectedError | None:
        """Not left to the broker: a frame beyond its limit would end the connection of all."""
        if len(frame) > _wire.FRAME_SIZE_MAX:
            reason = "the encoded event is too large"
            return RejectedError("event", reason, _wire.FRAME_SIZE_MAX, len(frame))
        size = _wire.data_size(request.message)
        if self._data_size_max and size > self._data_size_max:
            reason = "is larger than the broker takes"
            return RejectedError("data", reason, self._data_size_max, size)
        return None

    def _run_timers(self, now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            _, number = heapq.heappop(self._timers)
            request = self._requests.get(number)
            if request is None:
                continue
            if now >= request.deadline:
                self._stats.timeouts += 1
                self._finish(request, TimeoutError(request.id, request.timeout, self._why(request)))
            elif request.place != "waiting" and now >= request.again_at:
                self._set_place(request, "waiting", 0.0)
                self._waiting.append(request)

    def _why(self, request: Request) -> str:
        if self._state != "up":
            return f"no connection to {self._endpoint}"
        if request.place == "in flight":
            return "sent, but not answered"
        return (
            "the broker takes no more at present"
            if request.attempts
            else "waiting for the broker's credit"
        )

    def _set_place(
        self, request: Request, place: Literal["waiting", "in flight", "delayed"], again_at: float
    ) -> None:
        self._in_flight += (place == "in flight") - (request.place == "in flight")
        request.place = place
        request.again_at = again_at
        if place != "waiting":
            self._push_timer(again_at, request.number)

    def _push_timer(self, when: float, number: int) -> None:
        heapq.heappush(self._timers, (when, number))
        if len(self._timers) > 64 + 4 * len(self._requests):
            # Mostly of finished requests, whose deadlines may be far away.
            self._timers = [
                (request.deadline, request.number) for request in self._requests.values()
            ]
            self._timers += [
                (request.again_at, request.number)
                for request in self._requests.values()
                if request.place != "waiting"
            ]
            heapq.heapify(self._timers)

    def _put_back(self) -> None:
        """Everything without an outcome is to be sent (again), in the order in which it was handed
        in."""
        for request in self._requests.values():
            self._set_place(request, "waiting", 0.0)
        self._waiting = deque(self._requests.values())

    def _finish(self, request: Request, outcome: Outcome) -> None:
        self._remove(request)
        request.done(outcome)

    def _remove(self, request: Request) -> None:
        self._in_flight -= request.place == "in flight"
        del self._requests[request.number]
