# SPDX-License-Identifier: MPL-2.0
"""A browser session: what a page sees of a gateway. The WebSocket library is not ours."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from contextlib import suppress
from typing import Any, Callable, Coroutine, Iterable, Mapping, TypeVar

import websockets
from websockets.exceptions import ConnectionClosed

from stack.waiting import DEADLINE_S, wait_for

Value = TypeVar("Value")
JSON_PROTOCOL = "freshwire.v1.json"


class SessionClosed(AssertionError):
    """The gateway closed the connection while the test expected something else."""

    def __init__(self, code: int | None, reason: str | None) -> None:
        super().__init__(f"closed with {code} {reason!r}")
        self.code = code
        self.reason = reason


class _Loop:
    """One event loop in a thread of its own, for every session of the run: so that tests need not be coroutines."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="sessions", daemon=True).start()

    def run(self, coroutine: Coroutine[Any, Any, Value], timeout_s: float = DEADLINE_S) -> Value:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout_s)


_shared: _Loop | None = None
_shared_lock = threading.Lock()  # tests open sessions from several threads


def _loop() -> _Loop:
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = _Loop()
        return _shared


class Session:
    """Connects in the constructor, then collects every message in the background.

    Plain (the default): no subprotocol, no hello, as new WebSocket(url). With hello=… (a dict, may be empty): offers
    freshwire.v1.json, sends fw.hello and waits for fw.welcome.
    """

    def __init__(
        self,
        url: str,
        hello: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        origin: str | None = None,
        subprotocols: Iterable[str] | None = None,
        wait_welcome: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if subprotocols is None and hello is not None:
            subprotocols = [JSON_PROTOCOL]
        self.messages: list[dict[str, Any]] = []  # all of them, in order
        self.times: list[float] = []  # monotonic arrival of each
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self._batch = bool(hello and hello.get("batch"))
        self._failure: str | None = None  # why the reader gave up
        self._changed = threading.Condition()
        self._socket: Any = _loop().run(self._open(url, dict(headers or {}), origin, list(subprotocols or []), tls))
        self._reader = asyncio.run_coroutine_threadsafe(self._read(), _loop().loop)
        if hello is not None:
            self.send({"type": "fw.hello", **hello})
        if wait_welcome:
            self.welcome = self.receive("fw.welcome")

    async def _open(
        self, url: str, headers: dict[str, str], origin: str | None, subprotocols: list[str], tls: ssl.SSLContext | None
    ) -> Any:
        return await websockets.connect(
            url,
            ssl=tls,
            extra_headers=headers,
            origin=origin,  # type: ignore[arg-type]
            subprotocols=subprotocols or None,  # type: ignore[arg-type]
            compression=None,
            ping_interval=None,
            max_size=16 * 1024 * 1024,
            open_timeout=DEADLINE_S,
        )

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                now = time.monotonic()
                # One object a message, or several on lines of their own after a hello with batch.
                objects = [json.loads(part) for part in (text.split("\n") if self._batch else [text])]
                with self._changed:
                    self.messages += objects
                    self.times += [now] * len(objects)
                    self._changed.notify_all()
        except ConnectionClosed:
            pass
        except ValueError as error:
            self._failure = f"not JSON: {error}: {text[:500]!r}"
            await self._socket.close(1000)
        with self._changed:
            self.close_code = self._socket.close_code
            self.close_reason = self._socket.close_reason
            self._changed.notify_all()

    @property
    def subprotocol(self) -> str | None:
        return self._socket.subprotocol

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events so far, without control messages."""
        with self._changed:
            return [message for message in self.messages if not str(message.get("type")).startswith("fw.")]

    def send(self, message: Mapping[str, Any]) -> None:
        self.send_raw(json.dumps(message))

    def send_raw(self, data: str | bytes) -> None:
        _loop().run(self._socket.send(data))

    def receive(
        self,
        wanted: str | Callable[[dict[str, Any]], bool] = lambda message: True,
        timeout_s: float = DEADLINE_S,
        after: int = 0,
    ) -> dict[str, Any]:
        """The first message (from index after on) of a type, or for which wanted is true; waits for it.

        SessionClosed when the connection ends first."""

        def matches(message: dict[str, Any]) -> bool:
            return message.get("type") == wanted if isinstance(wanted, str) else wanted(message)

        give_up = time.monotonic() + timeout_s
        seen = after
        with self._changed:
            while True:
                for index in range(seen, len(self.messages)):
                    if matches(self.messages[index]):
                        return self.messages[index]
                seen = max(seen, len(self.messages))
                assert self._failure is None, self._failure
                if self.close_code is not None:
                    raise SessionClosed(self.close_code, self.close_reason)
                left = give_up - time.monotonic()
                if left <= 0:
                    name = wanted if isinstance(wanted, str) else "wanted message"
                    raise AssertionError(f"no {name} in {timeout_s:g} s; got {self.messages[-5:]}")
                self._changed.wait(left)

    def wait_events(self, count: int, timeout_s: float = DEADLINE_S) -> list[dict[str, Any]]:
        """Until at least so many events have come; all that came."""
        wait_for(lambda: len(self.events) >= count, f"{count} events, not {len(self.events)}", timeout_s)
        return self.events

    def wait_closed(self, timeout_s: float = DEADLINE_S) -> int:
        """The close code."""
        with self._changed:
            self._changed.wait_for(lambda: self.close_code is not None, timeout_s)
        assert self.close_code is not None, f"still open after {timeout_s:g} s"
        return self.close_code

    def subscribe(self, channel: str, epoch: str | None = None, offset: str | None = None) -> dict[str, Any]:
        """Subscribes and returns the gateway's fw.subscribed."""
        message: dict[str, Any] = {"type": "fw.subscribe", "request_id": channel, "channel": channel}
        if epoch is not None:
            message |= {"epoch": epoch, "offset": offset}
        with self._changed:
            after = len(self.messages)
        self.send(message)
        return self.receive(
            lambda answer: answer.get("type") in ("fw.subscribed", "fw.error") and answer.get("request_id") == channel,
            after=after,
        )

    def close(self, code: int = 1000) -> None:
        # The library may find that the other side's answer was quicker than its own bookkeeping.
        with suppress(ConnectionClosed):
            _loop().run(self._socket.close(code))

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
