# SPDX-License-Identifier: MPL-2.0
"""Services that publish while things go wrong, and write down what they were told."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import Any, Iterable, Sequence

import redis
import zmq

from stack import publish_http
from stack.client import freshwire
from stack.wire import message

from harness.history import Place, PublisherHistory, Sent, Told

TRY_S = 3.0
WINDOW = 64
WRITTEN_AHEAD = 300
OLD = b"old"


class Cache:
    """Copies in Redis that events make stale: a key and a tag of its own for each event. Copies are written ahead, so
    that there is something to purge while Redis is away."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._written: deque[str] = deque()  # ids whose copy is there
        self._retry_at = 0.0
        self._lock = threading.Lock()

    def write_ahead(self, count: int) -> None:
        with self._lock:
            while len(self._written) < count and self._write():
                pass

    def take(self) -> str | None:
        """The id for an event whose copy is in Redis; None when there is none left."""
        with self._lock:
            self._write()
            return self._written.popleft() if self._written else None

    def _write(self) -> bool:
        if time.monotonic() < self._retry_at:
            return False
        id = freshwire.new_event_id()
        try:
            self._client.set(self.key(id), OLD)
        except redis.RedisError:
            # Whether it was written is not known: the id is not used.
            self._retry_at = time.monotonic() + 0.5
            return False
        self._written.append(id)
        return True

    def left(self, ids: Iterable[str]) -> list[str]:
        """Those whose copy is still there."""
        return [id for id in ids if self._client.exists(self.key(id))]

    @staticmethod
    def key(id: str) -> str:
        return f"fault:{id}"

    @staticmethod
    def tag(id: str) -> str:
        return f"fault-{id}"


class Publisher:
    """A thread that publishes rate_hz events a second to one or two of the channels until it is stopped."""

    def __init__(self, name: str, channels: Sequence[str], rate_hz: float, seed: int, cache: Cache | None) -> None:
        self.history = PublisherHistory(name)
        self.name = name
        self.accepted = 0
        self.failure: BaseException | None = None
        self._channels = list(channels)
        self._period_s = 1 / rate_hz
        self._random = random.Random(f"{seed} {name}")
        self._cache = cache
        self._lock = threading.Lock()  # guards the history's order of answers
        self._ended = threading.Event()
        self._gives_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def begin(self) -> "Publisher":
        self._thread.start()
        return self

    def end(self, give_up_s: float) -> None:
        """No further events; waits so long for the answers to those under way."""
        self._ended.set()
        self._thread.join(give_up_s)
        self._gives_up.set()
        self._thread.join(20)
        assert not self._thread.is_alive(), f"{self.name} does not end"
        if self.failure:
            raise self.failure

    def _run(self) -> None:
        try:
            self._open()
            if self._cache:
                self._cache.write_ahead(WRITTEN_AHEAD)
            try:
                self._work()
            finally:
                self._close()
        except BaseException as error:
            self.failure = error

    def _work(self) -> None:
        due = time.monotonic()
        while not self._ended.is_set():
            self._turn()
            due = max(due + self._period_s, time.monotonic() - 1)
            self._ended.wait(max(0.0, due - time.monotonic()))
        while self._under_way() and not self._gives_up.is_set():
            self._turn(publish=False)
            time.sleep(0.01)
        self._give_up()

    def _new_event(self) -> tuple[str, tuple[str, ...], bool]:
        """Id, audience, and whether it makes something stale."""
        channels = tuple(self._random.sample(self._channels, self._random.choice((1, 1, 2))))
        stale = self._cache.take() if self._cache and self._random.random() < 0.5 else None
        return stale or freshwire.new_event_id(), channels, stale is not None

    def _sent(self, id: str, channels: tuple[str, ...], purges: bool, acknowledged: bool = True) -> None:
        with self._lock:
            self.history.entries.append(Sent(time.monotonic(), id, channels, purges, acknowledged))

    def _told(self, id: str, receipt: Any) -> None:
        places = tuple((place.channel, Place(place.epoch, int(place.offset))) for place in receipt.positions)
        outcome = "duplicate" if receipt.duplicate else "ok"
        with self._lock:
            self.history.entries.append(Told(time.monotonic(), id, outcome, places, receipt.unconfirmed))
        self.accepted += 1

    def _told_nothing(self, id: str) -> None:
        with self._lock:
            self.history.entries.append(Told(time.monotonic(), id, "unknown"))

    def _told_refused(self, id: str) -> None:
        with self._lock:
            self.history.entries.append(Told(time.monotonic(), id, "rejected"))

    # What kinds of publishers differ in

    def _open(self) -> None: ...

    def _close(self) -> None: ...

    def _turn(self, publish: bool = True) -> None:
        raise NotImplementedError

    def _under_way(self) -> bool:
        return False

    def _give_up(self) -> None: ...


def make_event(id: str, channels: tuple[str, ...], purges: bool) -> Any:
    stale = freshwire.Invalidate(keys=[Cache.key(id)], tags=[Cache.tag(id)]) if purges else None
    return freshwire.Event.make("ticked", data={"id": id}, audience=channels, invalidate=stale, id=id)


class AckedPublisher(Publisher):
    """By the library, acknowledged; what gets no answer in time is published again with the same id, as an outbox
    does, until there is one."""

    def __init__(self, endpoint: str, *arguments: Any, window: int = WINDOW, **members: Any) -> None:
        super().__init__(*arguments, **members)
        self._endpoint = endpoint
        self._window = window
        self._pending: dict[str, tuple[Any, Future[Any]]] = {}

    def _open(self) -> None:
        self._library = freshwire.Publisher(self._endpoint, name=self.name, timeout=TRY_S, queue_max=4 * self._window)

    def _close(self) -> None:
        self._library.close(0.1)

    def _turn(self, publish: bool = True) -> None:
        for id, (event, future) in list(self._pending.items()):
            if future.done():
                self._answered(id, event, future)
        if publish and len(self._pending) < self._window:
            id, channels, purges = self._new_event()
            event = make_event(id, channels, purges)
            self._sent(id, channels, purges)
            self._pending[id] = (event, self._library.submit(event))

    def _answered(self, id: str, event: Any, future: Future[Any]) -> None:
        try:
            receipt = future.result()
        except freshwire.RejectedError:
            self._told_refused(id)
        except freshwire.PublishError:
            if self._gives_up.is_set():
                self._told_nothing(id)
            else:
                self._pending[id] = (event, self._library.submit(event))
                return
        else:
            self._told(id, receipt)
        del self._pending[id]

    def _under_way(self) -> bool:
        return bool(self._pending)

    def _give_up(self) -> None:
        for id in self._pending:
            self._told_nothing(id)


class HttpPublisher(Publisher):
    """POST /v1/events at one gateway after the other, one event at a time."""

    def __init__(self, gateways: Sequence[str], key: str, *arguments: Any, **members: Any) -> None:
        super().__init__(*arguments, **members)
        self._gateways = list(gateways)
        self._key = key
        self._turns = 0

    def _turn(self, publish: bool = True) -> None:
        if not publish:
            return
        id, channels, purges = self._new_event()
        event: dict[str, Any] = {"type": "ticked", "data": {"id": id}, "audience": channels, "id": id}
        if purges:
            event["invalidate"] = {"keys": [Cache.key(id)], "tags": [Cache.tag(id)]}
        self._sent(id, channels, purges)
        while not self._gives_up.is_set():
            if self._try(event):
                return
            self._gives_up.wait(0.05)
        self._told_nothing(id)

    def _try(self, event: dict[str, Any]) -> bool:
        gateway = self._gateways[self._turns % len(self._gateways)]
        self._turns += 1
        try:
            answer = publish_http(gateway, self._key, event)
            body = json.loads(answer.body or b"{}")
        except (OSError, ValueError):
            return False
        except Exception as error:  # http.client's own, for a connection that ended in the middle
            if type(error).__module__ != "http.client":
                raise
            return False
        if answer.status == 422:
            self._told_refused(event["id"])
            return True
        if answer.status != 200:
            return False
        places = tuple((one["channel"], Place(one["epoch"], int(one["offset"]))) for one in body["positions"])
        outcome = "duplicate" if body["duplicate"] else "ok"
        with self._lock:
            told = Told(time.monotonic(), event["id"], outcome, places, body["unconfirmed"])
            self.history.entries.append(told)
        self.accepted += 1
        return True


class FirePublisher(Publisher):
    """Fire and forget, as docs/protocol.md has it and with nothing of our libraries: numbered events, the newest kept
    to be sent again when the broker misses them, and a mark a second."""

    KEPT_MAX = 1024
    MARK_S = 1.0

    def __init__(self, endpoint: str, *arguments: Any, **members: Any) -> None:
        super().__init__(*arguments, **members)
        self.repairs = True  # False: as a plain PUB, which never hears that something is missing
        self.sent_again = 0
        self._endpoint = endpoint
        self._incarnation = os.urandom(16)
        self._sequence = 0
        self._kept: dict[int, bytes] = {}
        self._mark_at = 0.0

    def _open(self) -> None:
        self._socket = zmq.Context.instance().socket(zmq.XPUB)
        self._socket.linger = 0
        self._socket.connect(self._endpoint)

    def _close(self) -> None:
        self._mark()
        self._socket.close(500)

    def _turn(self, publish: bool = True) -> None:
        while self._socket.poll(0):
            self._hear(self._socket.recv())
        if time.monotonic() >= self._mark_at:
            self._mark()
        id, channels, purges = self._new_event()
        self._sequence += 1
        event: dict[str, Any] = {
            "id": id, "type": "ticked", "audience": channels, "data": {"json": json.dumps({"id": id}).encode()},
        }  # fmt: skip
        if purges:
            event["invalidate"] = {"keys": [Cache.key(id)], "tags": [Cache.tag(id)]}
        fields = {"sequence": self._sequence, "incarnation": self._incarnation, "event": event}
        frame = message("PublisherUp", publish=fields).SerializeToString()
        self._kept[self._sequence] = frame
        self._kept.pop(self._sequence - self.KEPT_MAX, None)
        self._sent(id, channels, purges, acknowledged=False)
        self._socket.send(frame)

    def _hear(self, frame: bytes) -> None:
        if not frame or frame[0] in (0, 1):
            # A subscription is a link that is up again: what was lost with the old one shows at once.
            self._mark_at = 0.0
            return
        answer = message("PublisherDown")
        answer.ParseFromString(frame)
        missing = answer.fire_missing
        if not self.repairs:
            return
        if answer.WhichOneof("message") != "fire_missing" or missing.incarnation != self._incarnation:
            return
        for sequence in range(missing.first, min(missing.first + missing.count, self._sequence + 1)):
            if sequence in self._kept:
                self.sent_again += 1
                self._socket.send(self._kept[sequence])

    def _mark(self) -> None:
        self._mark_at = time.monotonic() + self.MARK_S
        if self._sequence:
            mark = {"incarnation": self._incarnation, "last": self._sequence, "kept": min(self._kept)}
            self._socket.send(message("PublisherUp", fire_mark=mark).SerializeToString())
