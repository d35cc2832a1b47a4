# SPDX-License-Identifier: MPL-2.0
"""A ROUTER that speaks the publish link as the broker does, and misbehaves when a test says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import zmq

from freshwire._proto import publish_pb2

OK = publish_pb2.PUBLISH_STATUS_OK
DUPLICATE = publish_pb2.PUBLISH_STATUS_DUPLICATE
RETRY = publish_pb2.PUBLISH_STATUS_RETRY
OVERLOAD = publish_pb2.PUBLISH_STATUS_OVERLOAD
REJECTED = publish_pb2.PUBLISH_STATUS_REJECTED

Answer = Callable[[Any], "dict[str, Any] | None"]


def accept(publish: Any) -> dict[str, Any]:
    return {"status": OK}


class FakeBroker:
    """Runs in a thread. `answer(publish)` returns the fields of the acknowledgement, or None for
    silence."""

    def __init__(self, endpoint: str = "tcp://127.0.0.1:*", credit: int = 64) -> None:
        self.answer: Answer = accept
        self.credit = credit
        self.mute = False
        """Reads, but answers nothing at all: a half-dead broker."""
        self.events: list[Any] = []
        """Every publish message that arrived, also repeated ones."""
        self.hellos = 0
        self.pings = 0
        self.goodbyes = 0
        self.outstanding = 0
        self.outstanding_max = 0
        self.held: list[tuple[bytes, Any]] = []
        self._known: dict[str, int] = {}
        self._actions: list[Callable[[], None]] = []
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(endpoint)
        self.endpoint = self._socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
        self._peers: set[bytes] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends at once, as a crash does; the port is free again afterwards."""
        self._stopping.set()
        self._thread.join(5)
        self._socket.close()
        self._context.term()

    def __enter__(self) -> FakeBroker:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._stopping.is_set():
            self.stop()

    def do(self, action: Callable[[], None]) -> None:
        """Runs action in the broker's thread, which owns the socket, and waits for it."""
        done = threading.Event()

        def run() -> None:
            action()
            done.set()

        self._actions.append(run)
        assert done.wait(5)

    def send(self, peer: bytes, **message: Any) -> None:
        self._socket.send_multipart(
            [peer, publish_pb2.PublisherDown(**message).SerializeToString()]
        )

    def send_all(self, **message: Any) -> None:
        def action() -> None:
            for peer in list(self._peers):
                self.send(peer, **message)

        self.do(action)

    def send_raw(self, *frames: bytes) -> None:
        def action() -> None:
            for peer in list(self._peers):
                self._socket.send_multipart([peer, *frames])

        self.do(action)

    def release(self) -> None:
        """Accepts everything that was held back."""

        def action() -> None:
            held, self.held = self.held, []
            for peer, publish in held:
                self._acknowledge(peer, publish, {"status": OK})

        self.do(action)

    @property
    def ids(self) -> list[str]:
        return [publish.event.id for publish in self.events]

    # ---- in the thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            while self._actions:
                self._actions.pop(0)()
            if not self._socket.poll(5):
                continue
            peer, frame = self._socket.recv_multipart()
            message = publish_pb2.PublisherUp.FromString(frame)
            kind = message.WhichOneof("message")
            if kind == "publish":
                self.events.append(message.publish)
            self.hellos += kind == "hello"
            self.pings += kind == "ping"
            self.goodbyes += kind == "goodbye"
            if not self.mute:
                self._serve(peer, kind, message)

    def _serve(self, peer: bytes, kind: str, message: Any) -> None:
        if kind == "hello":
            self._peers.add(peer)
            welcome = {"version": 1, "incarnation": bytes(16), "credit": self.credit}
            self.send(peer, welcome=welcome)
        elif peer not in self._peers:
            self.send(peer, refusal={"field": "hello", "reason": "say hello first"})
        elif kind == "ping":
            self.send(peer, pong={"number": message.ping.number})
        elif kind == "goodbye":
            self._peers.discard(peer)
        elif kind == "publish":
            self.outstanding += 1
            self.outstanding_max = max(self.outstanding_max, self.outstanding)
            fields = self.answer(message.publish)
            if fields is not None:
                self._acknowledge(peer, message.publish, fields)
            else:
                self.held.append((peer, message.publish))

    def _acknowledge(self, peer: bytes, publish: Any, fields: dict[str, Any]) -> None:
        self.outstanding -= 1
        fields = dict(fields)
        if fields["status"] == OK:
            if publish.event.id in self._known:
                fields["status"] = DUPLICATE
            offset = self._known.setdefault(publish.event.id, len(self._known) + 1)
            fields["positions"] = [
                {"channel": channel, "position": {"epoch": 1234567, "offset": offset}}
                for channel in publish.event.audience
            ]
        self.send(
            peer,
            ack={
                "request_id": publish.request_id,
                "id": publish.event.id,
                "credit": self.credit,
                **fields,
            },
        )


def eventually(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """The first true value of condition. Fails after so many seconds; never sleeps longer than
    needed."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "did not become true in time"
        time.sleep(0.005)
