# SPDX-License-Identifier: MPL-2.0
"""The publisher that waits for nothing: for events whose loss is cheap."""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from freshwire.errors import ClosedError, OverloadError, PublishError
from freshwire.events import Event, Invalidate

from . import _wire
from ._connection import Connection, fire_turn
from ._fire_link import FireLink, FireStats
from ._settings import Curve, Settings

log = logging.getLogger("freshwire.publisher")

DEFAULT_ENDPOINT = "tcp://127.0.0.1:7001"
QUEUE_MAX = 10_000
"""Events that wait for the network; more are refused."""


class NotConnectedError(PublishError):
    """There is no broker at present; the event was not taken."""


class FirePublisher:
    """Publishes without an acknowledgement. Thread-safe.

    `publish` returns the event's id as soon as it was handed to the network. Events are numbered,
    and the last 1,024 of them (at most 1 MiB, for 30 s) are kept: what the broker did not get it asks for,
    and what cannot be repaired it answers by resetting the channels. Connects at once; each process
    needs one of its own, made after a fork.
    """

    def __init__(self, endpoint: str = DEFAULT_ENDPOINT, *, curve: Curve | None = None) -> None:
        settings = Settings(endpoint, curve=curve).require_zmq()
        self._endpoint = settings.endpoint
        self._link = FireLink(incarnation=os.urandom(16), randomness=random.Random())
        self._lock = threading.Lock()  # guards the link and what is below
        self._up = threading.Condition(self._lock)
        self._queue: deque[bytes] = deque()
        self._closing: float | None = None
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._curve = settings.curve
        self._thread = threading.Thread(target=self._run, name="freshwire-fire", daemon=True)
        self._thread.start()

    def publish(
        self,
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
    ) -> str:
        """Hands one event to the network and returns its id.

        NotConnectedError without a broker, OverloadError when too much waits already: the event was
        not taken then. RejectedError when it breaks a limit; ClosedError after close."""
        event = Event.make(
            type,
            data=data,
            audience=audience,
            invalidate=invalidate,
            exclude_user=exclude_user,
            exclude_origin=exclude_origin,
            origin=origin,
            user_id=user_id,
            id=id,
        )
        message = _wire.event_message(event)
        with self._lock:
            if self._closing is not None or not self._thread.is_alive():
                raise ClosedError("the publisher is closed")
            if not self._link.connected:
                self._link.stats_now.refused += 1
                raise NotConnectedError(f"no connection to {self._endpoint}")
            if len(self._queue) >= QUEUE_MAX:
                self._link.stats_now.refused += 1
                raise OverloadError(QUEUE_MAX)
            self._queue.append(self._link.number(message, time.monotonic()))
        self._wake()
        return event.id

    def wait(self, timeout: float) -> bool:
        """Waits until there is a broker; False when there was none in time."""
        with self._up:
            return self._up.wait_for(lambda: self._link.connected, timeout)

    def stats(self) -> FireStats:
        with self._lock:
            return self._link.stats()

    def close(self, timeout: float = 1.0) -> None:
        """Sends what waits, at most for `timeout` seconds, tells the broker how far it has counted,
        and ends."""
        with self._lock:
            self._closing = time.monotonic() + timeout
        self._wake()
        self._thread.join(timeout + 1)

    def __enter__(self) -> FirePublisher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wake(self) -> None:
        with suppress(OSError):  # Full: it wakes up anyway. Closed: it has ended.
            self._wake_write.send(b"\0")

    # ---- in the thread

    def _run(self) -> None:
        try:
            connection = Connection(self._endpoint, curve=self._curve, fires=True)
            try:
                self._serve(connection)
            finally:
                connection.terminate()
        except Exception:
            log.exception("the publisher's thread failed")
        self._wake_read.close()
        self._wake_write.close()

    def _serve(self, connection: Connection) -> None:
        while True:
            with suppress(BlockingIOError):
                self._wake_read.recv(4096)
            with self._lock:
                now = time.monotonic()
                full = fire_turn(self._link, connection, self._queue, now)
                wake_at = self._link.wake_at()
                closing = self._closing
                if self._link.connected:
                    self._up.notify_all()
                if closing is not None:
                    if not self._queue or now >= closing or not self._link.connected:
                        connection.leave_fire(self._link.farewell(now))
                        return
                    wake_at = min(wake_at, closing)
            if full:
                wake_at = min(wake_at, now + 0.01)
            connection.wait(self._wake_read.fileno(), min(wake_at - time.monotonic(), 60.0))
