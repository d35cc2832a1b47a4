# SPDX-License-Identifier: MPL-2.0
"""Where a publisher connects to, and who must not be able to stop it."""

from __future__ import annotations

import socket
import threading
import time

import pytest
import zmq
from fake_broker import FakeBroker, eventually

from freshwire import Publisher
from freshwire.publisher import _connection
from freshwire.publisher._dial import STALE_AFTER, Dial, look_up


def ask(dial: Dial, now: float = 0.0) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        endpoint = dial.next(now)
        if endpoint is not None:
            return endpoint
        threading.Event().wait(0.001)
    raise AssertionError("no answer")


def test_an_unknown_name_is_an_error_until_an_address_is_known():
    answers: list[list[str]] = [[], ["192.0.2.1"], []]
    dial = Dial("tcp://broker:7002", lambda host: answers.pop(0))
    with pytest.raises(OSError, match="nobody knows the name broker"):
        ask(dial)
    assert ask(dial) == "tcp://192.0.2.1:7002"
    dial.answered()
    assert ask(dial) == "tcp://192.0.2.1:7002"


@pytest.mark.parametrize(
    "endpoint", ["tcp://127.0.0.1:7002", "tcp://[::1]:7002", "ipc:///run/x", "inproc://x"]
)
def test_addresses_are_not_looked_up(endpoint):
    def never(host: str) -> list[str]:
        raise AssertionError(host)

    assert Dial(endpoint, never).next(0.0) == endpoint


def test_each_address_is_tried_and_the_good_one_comes_first():
    addresses = ["192.0.2.1", "2001:db8::2"]
    dial = Dial("tcp://broker:7002", lambda host: list(addresses))
    first, second = "tcp://192.0.2.1:7002", "tcp://[2001:db8::2]:7002"
    assert [ask(dial) for _ in range(3)] == [first, second, first]
    addresses.reverse()
    assert ask(dial) == second
    dial.answered()
    assert [ask(dial), ask(dial)] == [second, first]


def test_a_silent_name_server_costs_nothing_where_the_address_is_known():
    hole = threading.Event()
    slow = threading.Event()

    def answer(host: str) -> list[str]:
        if slow.is_set():
            hole.wait(20)
        return ["192.0.2.1"]

    dial = Dial("tcp://broker:7002", answer)
    ask(dial)
    dial.answered()
    slow.set()
    assert dial.next(10.0) is None
    assert dial.next(10.0 + STALE_AFTER) == "tcp://192.0.2.1:7002"
    hole.set()


def test_localhost_is_ipv4_first():
    assert look_up("localhost")[0] == "127.0.0.1"


def test_a_silent_name_server_does_not_hold_up_the_end(monkeypatch):
    hole = threading.Event()
    monkeypatch.setattr(
        _connection, "Dial", lambda endpoint: Dial(endpoint, lambda host: [hole.wait(20) and ""])
    )
    publisher = Publisher("tcp://hole.test:7002", timeout=10, linger=0.1)
    future = publisher.submit(_event())
    started = time.monotonic()
    publisher.close()
    assert time.monotonic() - started < 1.5
    assert future.exception(timeout=1) is not None
    hole.set()


def _event():
    from freshwire import Event

    return Event.make("x", audience="broadcast")


def test_a_name_with_a_dead_address_leads_to_the_broker(monkeypatch):
    with FakeBroker() as broker:
        port = broker.endpoint.rsplit(":", 1)[1]
        monkeypatch.setattr(
            _connection,
            "Dial",
            lambda endpoint: Dial(endpoint, lambda host: ["127.0.0.77", "127.0.0.1"]),
        )
        with Publisher(f"tcp://broker.test:{port}", timeout=15) as publisher:
            publisher.publish("x", audience="broadcast")
        assert len(broker.events) == 1


HTTP = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
GREETING = b"\xff" + bytes(7) + b"\x01\x7f\x03\x00NULL" + bytes(48)


class WrongPeer:
    """Something else on the broker's port."""

    def __init__(self, kind: str, port: int) -> None:
        self._kind = kind
        self._context = zmq.Context()
        self._rep = self._context.socket(zmq.REP) if kind == "rep" else None
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._open: list[socket.socket] = []
        deadline = time.monotonic() + 10
        while True:
            try:
                if self._rep is not None:
                    self._rep.bind(f"tcp://127.0.0.1:{port}")
                else:
                    self._listener.bind(("127.0.0.1", port))
                    self._listener.listen()
                break
            except (OSError, zmq.ZMQError):
                assert time.monotonic() < deadline
                threading.Event().wait(0.01)
        if self._rep is None:
            threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            if self._kind == "http":
                connection.recv(512)
                connection.sendall(HTTP)
                connection.close()
            elif self._kind == "garbage":
                connection.sendall(GREETING + b"\4\5\xffREAD")

    def close(self) -> None:
        if self._rep is not None:
            self._rep.close(0)
        self._context.term()
        self._listener.close()
        for connection in self._open:
            connection.close()


@pytest.mark.parametrize("kind", ["rep", "http", "garbage", "mute"])
def test_finds_its_broker_after_somebody_else_on_its_port(kind):
    broker = FakeBroker()
    port = int(broker.endpoint.rsplit(":", 1)[1])
    with Publisher(broker.endpoint, timeout=20) as publisher:
        publisher.publish("x", audience="broadcast")
        broker.stop()
        wrong = WrongPeer(kind, port)
        future = publisher.submit(_event())
        assert not eventually_done(future, 3.5)
        wrong.close()
        started = time.monotonic()
        with restarted(port):
            assert future.result(timeout=15).id
            assert time.monotonic() - started <= 10


def eventually_done(future, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not future.done():
        threading.Event().wait(0.02)
    return future.done()


def restarted(port: int) -> FakeBroker:
    made: list[FakeBroker] = []

    def bound() -> bool:
        try:
            made.append(FakeBroker(f"tcp://127.0.0.1:{port}"))
        except zmq.ZMQError:
            return False
        return True

    eventually(bound)
    return made[0]
