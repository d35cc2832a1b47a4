# SPDX-License-Identifier: MPL-2.0
"""The publisher for threads: one background thread owns the socket, any thread may publish."""

from __future__ import annotations

import atexit
import logging
import os
import random
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from freshwire.errors import ClosedError, PublishError
from freshwire.events import Event, Invalidate, Level, Receipt

from . import _wire
from ._connection import Connection, turn
from ._link import Link, Outcome, Stats
from ._settings import DEFAULT_ENDPOINT, Settings, settings_from_env

log = logging.getLogger("freshwire.publisher")


class Publisher:
    """Publishes events and waits for the broker's acknowledgement. Thread-safe; safe across fork.

    Nothing is opened before the first event, and each process opens its own link: create it at
    import time and let gunicorn or uvicorn fork afterwards. At interpreter exit it is closed, with
    at most `linger` seconds for what is still on its way.
    """

    def __init__(self, endpoint: str = DEFAULT_ENDPOINT, **options: Any) -> None:
        """The options are the fields of `Settings`: name, timeout, queue_max, in_flight_max,
        linger."""
        self._settings = Settings(endpoint, **options).require_zmq()
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._closed = False
        _alive.add(self)

    @classmethod
    def from_env(cls, **options: Any) -> Publisher:
        """What the options leave open comes from FRESHWIRE_PUBLISH_ENDPOINT and
        FRESHWIRE_PUBLISH_TIMEOUT."""
        return cls(**settings_from_env(options))

    @property
    def endpoint(self) -> str:
        return self._settings.endpoint

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
        level: Level = "purged",
        timeout: float | None = None,
    ) -> Receipt:
        """Publishes one event, after the commit, and waits for its receipt.

        `level` says what the receipt means: "accepted" (it has its place in every channel),
        "purged" (every cached copy it names is gone, or it was released flagged), "replicated".
        `timeout` is in seconds. Raises RejectedError, TimeoutError, OverloadError or ClosedError.
        """
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
        return self.submit(event, level=level, timeout=timeout).result()

    def submit(
        self, event: Event, *, level: Level = "purged", timeout: float | None = None
    ) -> Future[Receipt]:
        """Hands an event in without waiting. The future gets its outcome at the latest after
        `timeout`."""
        message = _wire.event_message(event)
        seconds = self._settings.timeout if timeout is None else timeout
        return self._running().submit(event.id, message, _wire.level_number(level), seconds)

    def stats(self) -> Stats:
        """Counters of this process."""
        with self._lock:
            worker = self._worker
        return worker.stats() if worker else Stats()

    def close(self, timeout: float | None = None) -> None:
        """Waits at most `timeout` seconds (default: `linger`) for what is on its way, then ends the
        link.

        Events without an acknowledgement by then end with ClosedError; so do later calls of
        publish.
        """
        with self._lock:
            self._closed = True
            worker = self._worker
        if worker:
            worker.stop(self._settings.linger if timeout is None else timeout)

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _running(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise ClosedError("the publisher is closed")
            if self._worker is None:
                self._worker = _Worker(self._settings)
            return self._worker

    def _forked(self) -> None:
        """In a child: the thread and its socket stayed with the parent, and so did a lock that was
        held."""
        self._lock = threading.Lock()
        if self._worker:
            self._worker.abandon()
            self._worker = None


class _Worker:
    """The thread of one process, its socket and its link."""

    def __init__(self, settings: Settings) -> None:
        self._link = Link(
            name=settings.name,
            endpoint=settings.endpoint,
            incarnation=os.urandom(16),
            queue_max=settings.queue_max,
            in_flight_max=settings.in_flight_max,
            randomness=random.Random(),
        )
        self._endpoint = settings.endpoint
        self._curve = settings.curve
        self._lock = threading.Lock()  # guards the link, what settles, and the two below
        self._settled: list[tuple[Future[Receipt], Outcome]] = []
        self._stop_at: float | None = None
        self._failure: BaseException | None = None
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="freshwire-publisher", daemon=True)
        self._thread.start()

    def submit(self, id: str, message: Any, level: int, timeout: float) -> Future[Receipt]:
        future: Future[Receipt] = Future()
        with self._lock:
            if self._failure:
                raise PublishError("the publisher's thread failed") from self._failure
            if self._stop_at is not None:
                raise ClosedError("the publisher is closed")
            number = self._link.submit(
                id,
                message,
                level,
                timeout,
                time.monotonic(),
                lambda outcome: self._settled.append((future, outcome)),
            )
        future.add_done_callback(lambda ended: self._forget(number) if ended.cancelled() else None)
        self._wake()
        return future

    def stats(self) -> Stats:
        with self._lock:
            return self._link.stats()

    def stop(self, timeout: float) -> None:
        with self._lock:
            self._stop_at = time.monotonic() + timeout
        self._wake()
        # The thread keeps to the deadline by itself; the second is for closing the socket.
        self._thread.join(timeout + 1)

    def abandon(self) -> None:
        self._wake_read.close()
        self._wake_write.close()

    def _forget(self, number: int) -> None:
        with self._lock:
            self._link.forget(number)

    def _wake(self) -> None:
        with suppress(OSError):  # Full: it wakes up anyway. Closed: it has ended.
            self._wake_write.send(b"\0")

    # ---- in the thread

    def _run(self) -> None:
        try:
            connection = Connection(self._endpoint, curve=self._curve)
            try:
                self._serve(connection)
            finally:
                connection.terminate()
        except BaseException as error:
            log.exception("the publisher's thread failed")
            with self._lock:
                self._failure = error
        # Whatever happened, nobody waits for ever.
        with self._lock:
            self._link.close()
        self._settle()
        self._wake_read.close()
        self._wake_write.close()

    def _serve(self, connection: Connection) -> None:
        while True:
            with suppress(BlockingIOError):
                self._wake_read.recv(4096)
            with self._lock:
                now = time.monotonic()
                turn(self._link, connection, now)
                wake_at = self._link.wake_at()
                stop_at = self._stop_at
                pending = self._link.pending
            self._settle()
            if stop_at is not None:
                if not pending or now >= stop_at:
                    connection.leave()
                    return
                wake_at = min(wake_at, stop_at)
            connection.wait(self._wake_read.fileno(), wake_at - time.monotonic())

    def _settle(self) -> None:
        """Outside the lock: a future's callbacks may publish again."""
        with self._lock:
            settled, self._settled = self._settled, []
        for future, outcome in settled:
            if not future.set_running_or_notify_cancel():
                continue
            if isinstance(outcome, Receipt):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)


_alive: weakref.WeakSet[Publisher] = weakref.WeakSet()


def _each_alive(action: Callable[[Publisher], None]) -> None:
    for publisher in list(_alive):
        action(publisher)


os.register_at_fork(after_in_child=lambda: _each_alive(Publisher._forked))
atexit.register(lambda: _each_alive(Publisher.close))
