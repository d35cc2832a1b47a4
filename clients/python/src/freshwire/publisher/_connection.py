# SPDX-License-Identifier: MPL-2.0
"""The ZeroMQ side of a publish link: one DEALER at a time, one TCP connection per DEALER.

A socket is thrown away when its connection breaks, instead of letting libzmq reconnect behind our
back: the broker would meet a stranger that has not said Hello, and a socket that once met a wrong
peer never connects again. A monitor tells at once; silence tells when nothing else does. Owned by
one thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import zmq

from ._dial import Dial
from ._fire_link import FireLink
from ._link import Link
from ._settings import Curve
from ._wire import REPLY_SIZE_MAX, encode_goodbye

RECEIVE_BUDGET = 256
"""Frames read in a row before timers and new events get their turn."""
GOODBYE_LINGER_MS = 100
FIRE_WAITING_MAX = 10_000
"""Messages that libzmq holds for the fire-and-forget link."""

_BROKEN = (
    zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


class Connection:
    def __init__(
        self,
        endpoint: str,
        *,
        curve: Curve | None = None,
        fires: bool = False,
        watch: Callable[[int], None] = lambda fd: None,
        unwatch: Callable[[int], None] = lambda fd: None,
    ) -> None:
        """`fires`: an XPUB for the fire-and-forget link instead of a DEALER. `watch` and `unwatch`
        hear of the descriptors that become readable (edge-triggered, as ZMQ_FD is)."""
        self._dial = Dial(endpoint)
        self._fires = fires
        self._curve = curve
        self._server_key = -1
        self._heard = False
        self._watch = watch
        self._unwatch = unwatch
        # One of its own: at exit it is terminated without waiting for anybody else's sockets.
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def open(self, now: float) -> bool:
        """False while the broker's name is being looked up; OSError when nobody knows it."""
        endpoint = self._dial.next(now)
        if endpoint is None:
            return False
        socket: zmq.Socket[bytes] = self._context.socket(zmq.XPUB if self._fires else zmq.DEALER)
        if self._fires:
            socket.setsockopt(zmq.SNDHWM, FIRE_WAITING_MAX)
            socket.setsockopt(zmq.IMMEDIATE, 1)
            socket.setsockopt(zmq.XPUB_VERBOSER, 1)
            # What the one peer does not take is an error, and not dropped.
            socket.setsockopt(zmq.XPUB_NODROP, 1)
        else:
            # No limit counted in messages: the broker's credit bounds what is sent.
            socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, REPLY_SIZE_MAX)
        socket.setsockopt(zmq.RECONNECT_IVL, 100)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        socket.setsockopt(zmq.CONNECT_TIMEOUT, 2000)
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 10)
        socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 3)
        socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)
        socket.setsockopt(zmq.TCP_MAXRT, 10000)
        if endpoint.startswith("tcp://["):
            socket.setsockopt(zmq.IPV6, 1)
        if self._curve is not None:
            self._secure(socket, self._curve)
        self._socket = socket
        self._monitor = socket.get_monitor_socket(_BROKEN)
        self._monitor.setsockopt(zmq.LINGER, 0)
        socket.connect(endpoint)
        self._watch(socket.fileno())
        self._watch(self._monitor.fileno())
        return True

    def answered(self) -> None:
        """The broker is at the address of the present socket."""
        self._dial.answered()

    def _secure(self, socket: zmq.Socket[bytes], curve: Curve) -> None:
        """A socket trusts one server key: after one that met nobody, the next one is tried."""
        if not self._heard:
            self._server_key += 1
        self._heard = False
        secret_key = curve.secret_key.encode()
        server_keys = curve.server_keys
        socket.setsockopt(zmq.CURVE_SECRETKEY, secret_key)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, zmq.curve_public(secret_key))
        server_key = server_keys[self._server_key % len(server_keys)]
        socket.setsockopt(zmq.CURVE_SERVERKEY, server_key.encode())

    def close(self, linger_ms: int = 0) -> None:
        if self._socket is None or self._monitor is None:
            return
        self._unwatch(self._monitor.fileno())
        self._unwatch(self._socket.fileno())
        # Before the sockets: a monitor that is not stopped first can stall libzmq's I/O thread.
        self._socket.disable_monitor()
        self._socket.close(linger_ms)
        self._socket = self._monitor = None

    def terminate(self) -> None:
        self.close()
        self._context.term()

    def leave(self) -> None:
        """Says goodbye, if anybody is there."""
        if self._socket is not None:
            self.send(encode_goodbye("publisher closed"))
            self.close(GOODBYE_LINGER_MS)

    def leave_fire(self, frames: list[bytes]) -> None:
        for frame in frames:
            self.send(frame)
        self.close(GOODBYE_LINGER_MS)

    def send(self, frame: bytes) -> bool:
        """False when the socket takes no more at present."""
        if self._socket is None:
            return False
        try:
            self._socket.send(frame, zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def receive(self) -> tuple[list[bytes], bool]:
        """What arrived, and whether the connection broke. A broken one's last frames are worth
        nothing."""
        if self._socket is None or self._monitor is None:
            return [], False
        if int(self._monitor.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            return [], True
        frames: list[bytes] = []
        while len(frames) < RECEIVE_BUDGET:
            try:
                parts = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            # A message of several frames is none of the broker's: let the decoder count it.
            frames.append(parts[0] if len(parts) == 1 else b"")
            self._heard = True
        return frames, False

    def readable(self) -> bool:
        """Something waits already. To be asked before waiting: a send may have taken the
        descriptor's edge."""
        return any(
            socket is not None and int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN
            for socket in (self._monitor, self._socket)
        )

    def wait(self, wake_fd: int, seconds: float) -> None:
        """Until something arrives, wake_fd is readable, or the time is over (for threads)."""
        poller = zmq.Poller()
        poller.register(wake_fd, zmq.POLLIN)
        for socket in (self._monitor, self._socket):
            if socket is not None:
                poller.register(socket, zmq.POLLIN)
        poller.poll(max(0, round(seconds * 1000 + 0.5)))


def turn(link: Link, connection: Connection, now: float) -> None:
    """One round: read, decide, send. Never waits."""
    frames, broken = connection.receive()
    if broken:
        link.lost(now)
    for frame in frames:
        link.received(frame, now)
    if frames and link.connected:
        connection.answered()
    outgoing = link.step(now)
    if not link.wants_socket(now):
        connection.close()
        return
    if not connection.is_open:
        if not _opened(link, connection, now):
            return
        outgoing += link.step(now)
    for frame in outgoing:
        connection.send(frame)


def fire_turn(link: FireLink, connection: Connection, queue: deque[bytes], now: float) -> bool:
    """The same for the fire-and-forget link, whose new events are in the queue. True when the
    socket took not all of it."""
    frames, broken = connection.receive()
    for frame in frames:
        link.received(frame, now)
    if broken:
        link.lost(now)
    if frames and link.connected:
        connection.answered()
    outgoing = link.step(now)
    if not link.connected:
        queue.clear()  # numbered and kept: the broker asks for them
    if not link.wants_socket(now):
        connection.close()
        return False
    if not connection.is_open:
        _opened(link, connection, now)
        return False
    while link.connected and queue and connection.send(queue[0]):
        queue.popleft()
    for frame in outgoing:
        if not connection.send(frame):
            link.say_again()
    return bool(queue)


def _opened(link: Link | FireLink, connection: Connection, now: float) -> bool:
    try:
        opened = connection.open(now)
    except OSError:
        link.lost(now)
        return False
    if opened:
        link.opened(now)
    else:
        link.opening(now)
    return opened
