# SPDX-License-Identifier: MPL-2.0
"""A stream of server-sent events, read as the HTML standard says, on a plain socket."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any, Callable, Mapping
from urllib.parse import urlsplit

from stack.waiting import DEADLINE_S, wait_for


class Refused(AssertionError):
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(f"HTTP {status} {body[:300]!r}")
        self.status = status
        self.headers = headers
        self.body = body


class EventStream:
    """Connects in the constructor, then collects every event in the background.

    events: the data of each dispatched event, in order; names: their types; last_id, retry_ms: as a browser keeps them;
    comments: how many lines began with a colon. receive_buffer makes the socket small; paused: does not read until
    resume() is called.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        last_id: str | None = None,
        receive_buffer: int | None = None,
        paused: bool = False,
        wait_welcome: bool = True,
        method: str = "GET",
    ) -> None:
        parts = urlsplit(url)
        self.events: list[dict[str, Any]] = []
        self.names: list[str] = []
        self.ids: list[str] = []  # last_id when each event was dispatched
        self.last_id = last_id or ""
        self.retry_ms: int | None = None
        self.comments = 0
        self.ended = False
        self._changed = threading.Condition()
        self._socket = socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(DEADLINE_S)
        self._socket.connect((parts.hostname, parts.port))
        lines = [f"{method} {parts.path}{'?' + parts.query if parts.query else ''} HTTP/1.1", f"Host: {parts.netloc}"]
        lines += ["Accept: text/event-stream"]
        if last_id is not None:
            lines.append(f"Last-Event-ID: {last_id}")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self._file = self._socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        self.headers: dict[str, str] = {}
        while (line := self._file.readline().rstrip(b"\r\n")) != b"":
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()
        if self.status != 200:
            raise Refused(self.status, self.headers, self._file.read())
        self._socket.settimeout(None)
        self._reader = threading.Thread(target=self._read, name="stream", daemon=True)
        if not paused:
            self._reader.start()
        if wait_welcome and not paused:
            self.welcome = self.receive("fw.welcome")

    def resume(self) -> None:
        self._reader.start()

    def _read(self) -> None:
        name = ""
        data: list[str] = []
        next_id = self.last_id
        try:
            for raw in self._file:
                line = raw.decode().rstrip("\r\n")
                if line.startswith(":"):
                    with self._changed:
                        self.comments += 1
                        self._changed.notify_all()
                elif line == "":
                    with self._changed:
                        self.last_id = next_id
                        if data:
                            self.events.append(json.loads("\n".join(data)))
                            self.names.append(name or "message")
                            self.ids.append(self.last_id)
                        self._changed.notify_all()
                    name, data = "", []
                else:
                    field, _, value = line.partition(":")
                    value = value[1:] if value.startswith(" ") else value
                    if field == "event":
                        name = value
                    elif field == "data":
                        data.append(value)
                    elif field == "id":
                        next_id = value
                    elif field == "retry":
                        with self._changed:
                            self.retry_ms = int(value)
        except (OSError, ValueError):
            pass
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def receive(
        self, wanted: str | Callable[[dict[str, Any]], bool], timeout_s: float = DEADLINE_S, after: int = 0
    ) -> dict[str, Any]:
        check = (lambda event: event.get("type") == wanted) if isinstance(wanted, str) else wanted
        deadline = time.monotonic() + timeout_s
        seen = after
        with self._changed:
            while True:
                for event in self.events[seen:]:
                    if check(event):
                        return event
                seen = max(seen, len(self.events))
                left = deadline - time.monotonic()
                assert left > 0 and not self.ended, f"{wanted} did not come; {self.events[-5:]}"
                self._changed.wait(left)

    @property
    def published(self) -> list[dict[str, Any]]:
        """The events without those of the gateway itself."""
        with self._changed:
            return [event for event in self.events if not event["type"].startswith("fw.")]

    def send_raw(self, data: bytes) -> None:
        self._socket.sendall(data)

    def wait_ended(self) -> None:
        wait_for(lambda: self.ended, "the stream ends", DEADLINE_S)

    def close(self) -> None:
        """As if the network went away: what was not read is lost."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()
