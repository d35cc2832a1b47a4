# SPDX-License-Identifier: MPL-2.0
"""A virtual session: what a page's client does over all its connections. It keeps its places, gives them when it
connects again (to any gateway), takes recovered:false and fw.reset as they are meant, and writes down everything
before it is filtered: what a real client would silently drop is a violation here."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import random
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Awaitable, Callable, Sequence

import websockets
from websockets.exceptions import WebSocketException

from harness.history import Joined, Moved, Parted, Place, Received, Reset, SessionHistory

# Of the state machine of the browser client, scaled down as the gateways' ping interval is (see cluster.py).
OPEN_S = 3.0
GRACE_S = 3.0
BACKOFF_S = (0.05, 0.6)
MESSAGE_SIZE_MAX = 16 * 1024 * 1024

Inspect = Callable[[str], Awaitable[bool | None]]


class SubscriberLoop:
    """One event loop in a thread of its own for all sessions of a run."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="subscribers", daemon=True)
        self._thread.start()

    def submit(self, coroutine: Any) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def close(self) -> None:
        self.submit(self._end()).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    @staticmethod
    async def _end() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Subscriber:
    """Runs until stop. gateways: WebSocket addresses, tried in turn from the first on."""

    def __init__(
        self,
        loop: SubscriberLoop,
        name: str,
        gateways: Sequence[str],
        token: str,
        channels: Sequence[str],
        seed: int,
        inspect: Inspect | None = None,
        delay_s: float = 0.0,
    ) -> None:
        self.name = name
        self.history = SessionHistory(name, tuple(channels))
        self.places: dict[str, Place] = {}
        self.connected = False
        self.connections = 0
        self.errors: list[dict[str, Any]] = []
        self.opened: list[float] = []  # when each connection was welcomed
        self.drained: list[float] = []  # when it was told to come back later, by fw.drain
        self._away_s = 0.0
        self._held_until = 0.0
        self.delay_s = delay_s  # a page that is slow to read: seconds after each message
        self._gateways = list(gateways)
        self._next = 0
        self._token = token
        self._random = random.Random(f"{seed} {name}")
        self._inspect = inspect
        self._ended = False
        self._socket: Any = None
        self._loop = loop
        self._task = loop.submit(self._live())

    def stop(self) -> None:
        """Closes its connection; what comes afterwards is not its business."""
        self._ended = True
        self._task.cancel()
        with suppress(concurrent.futures.CancelledError, TimeoutError):
            self._task.result(5)

    def cut(self, away_s: float = 0.0) -> None:
        """The connection is lost, without a word; the next is not tried for so long."""

        def abort() -> None:
            self._held_until = time.monotonic() + away_s
            if self._socket and self._socket.transport:
                self._socket.transport.abort()

        self._loop.loop.call_soon_threadsafe(abort)

    # ---- in the loop

    async def _live(self) -> None:
        while not self._ended:
            address = self._gateways[self._next % len(self._gateways)]
            code: int | None = None
            opened = False
            try:
                async with websockets.connect(
                    address + "/ws", subprotocols=["freshwire.v1.json"], compression=None, ping_interval=None,
                    max_size=MESSAGE_SIZE_MAX, max_queue=None, open_timeout=OPEN_S, close_timeout=0.2,
                ) as self._socket:  # fmt: skip
                    opened = True
                    await self._converse(self._socket)
            except (OSError, WebSocketException, asyncio.TimeoutError, TimeoutError):
                pass
            finally:
                if opened:
                    code = self._socket.close_code
                    self.history.entries.append(Parted(time.monotonic(), code))
                self.connected = False
            self._next += 1
            wait_s = self._random.uniform(*BACKOFF_S)
            if self._away_s:
                wait_s, self._away_s = self._random.uniform(0, self._away_s), 0.0
            await asyncio.sleep(max(wait_s, self._held_until - time.monotonic()))

    async def _converse(self, socket: Any) -> None:
        given = dict(self.places)
        subscriptions = []
        for channel in dict.fromkeys([*self.history.channels, *given]):
            place = given.get(channel)
            position = {"epoch": place.epoch, "offset": str(place.offset)} if place else {}
            subscriptions.append({"channel": channel, **position})
        hello = {"type": "fw.hello", "token": self._token, "batch": True, "subscriptions": subscriptions}
        await socket.send(json.dumps(hello))
        silence_s = OPEN_S
        while True:
            text = await asyncio.wait_for(socket.recv(), silence_s)
            now = time.monotonic()
            for line in text.split("\n"):
                message = json.loads(line)
                kind = message["type"]
                if kind == "fw.welcome":
                    silence_s = message["ping_interval_ms"] / 1000 + GRACE_S
                    self.connected = True
                    self.connections += 1
                    self.opened.append(now)
                elif kind == "fw.drain":
                    self._away_s = message["reconnect_window_ms"] / 1000
                    self.drained.append(now)
                elif kind == "fw.ping":
                    await socket.send('{"type":"fw.pong"}')
                await self._take(message, given, now)
            if self.delay_s:
                await asyncio.sleep(self.delay_s)

    async def _take(self, message: dict[str, Any], given: dict[str, Place], now: float) -> None:
        kind, entries = message["type"], self.history.entries
        if kind == "fw.welcome":
            for one in message["subscriptions"]:
                self._join(one, given, now)
        elif kind == "fw.subscribed":
            self._join(message, given, now)
        elif kind == "fw.error":
            self.errors.append(message)
        elif kind in ("fw.reset", "fw.position"):
            channel, place = message["channel"], _place(message)
            self.places[channel] = place
            if kind == "fw.reset":
                entries.append(Reset(now, channel, place, message["reason"]))
            else:
                entries.append(Moved(now, channel, place))
        elif not kind.startswith("fw."):
            # First of all: what is looked up later may have been purged in between.
            purged = None
            if self._inspect and not message["unconfirmed"]:
                purged = await self._inspect(message["id"])
            channel, place = message["channel"], _place(message)
            entries.append(Received(now, channel, place, message["id"], message["unconfirmed"], purged))
            self.places[channel] = place

    def _join(self, subscription: dict[str, Any], given: dict[str, Place], now: float) -> None:
        channel, place = subscription["channel"], _place(subscription)
        known = given.get(channel)
        self.history.entries.append(Joined(now, channel, place, subscription["recovered"], known))
        if not (known and subscription["recovered"]):
            self.places[channel] = place


def _place(message: dict[str, Any]) -> Place:
    return Place(message["epoch"], int(message["offset"]))
