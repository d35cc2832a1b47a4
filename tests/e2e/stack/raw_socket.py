# SPDX-License-Identifier: MPL-2.0
"""A TCP connection without a library, for what no library would send."""

from __future__ import annotations

import base64
import os
import socket
import ssl
import struct
import time
from typing import Mapping

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class RawSocket:
    """address: "tcp://host:port", "http://…" or "ws://…"."""

    def __init__(
        self, address: str, timeout_s: float = 10, tls: ssl.SSLContext | None = None, prefix: bytes = b""
    ) -> None:
        """prefix: sent before anything else, TLS included."""
        host, port = address.split("://")[-1].split("/")[0].rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout_s)
        if prefix:
            self._socket.sendall(prefix)
        if tls:
            self._socket = tls.wrap_socket(self._socket, server_hostname=host)
        self._buffer = b""
        self.ended = False  # the other side has closed or reset the connection

    def send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError:
            self.ended = True

    def _more(self) -> bool:
        """Reads on; False at the end of the connection. TimeoutError when nothing comes."""
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            raise
        except OSError:
            data = b""
        self._buffer += data
        self.ended = self.ended or not data
        return bool(data)

    def read_until_end(self, timeout_s: float = 10) -> bytes:
        """Everything until the other side ends the connection."""
        give_up = time.monotonic() + timeout_s
        while self._more():
            assert time.monotonic() < give_up, "the connection stays open"
        return self._buffer

    def read_answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (names in lower case) and body of an HTTP answer; status 0: closed without one."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                return 0, {}, self._buffer
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = int(headers.get("content-length", 0))
        while len(self._buffer) < size and self._more():
            pass
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        return int(first.split()[1]), headers, body

    # WebSocket

    def upgrade(self, path: str, headers: Mapping[str, str] | None = None) -> int:
        """Asks for a WebSocket and returns the status; 101 when it was given."""
        lines = {
            "Host": "test",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Version": "13",
            **(headers or {}),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.send(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        return self.read_answer()[0]

    def send_frame(
        self, opcode: int, payload: bytes = b"", final: bool = True, reserved: int = 0, masked: bool = True
    ) -> None:
        self.send(frame(opcode, payload, final, reserved, masked))

    def read_frame(self) -> tuple[int, bytes] | None:
        """Opcode and payload of the next frame; None at the end of the connection."""
        while len(self._buffer) < 2 or len(self._buffer) < sum(self._frame_sizes()):
            if not self._more():
                return None
        head, size = self._frame_sizes()
        opcode = self._buffer[0] & 15
        payload, self._buffer = self._buffer[head : head + size], self._buffer[head + size :]
        return opcode, payload

    def _frame_sizes(self) -> tuple[int, int]:
        short = self._buffer[1] & 127
        if short < 126:
            return 2, short
        head, layout = (4, ">H") if short == 126 else (10, ">Q")
        if len(self._buffer) < head:
            return head, 0
        return head, int(struct.unpack(layout, self._buffer[2:head])[0])

    def read_close(self) -> int | None:
        """The code of the close frame, whatever comes before it; None when the connection ends without one."""
        while got := self.read_frame():
            if got[0] == CLOSE:
                return int.from_bytes(got[1][:2], "big")
        return None

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> "RawSocket":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def frame(opcode: int, payload: bytes = b"", final: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    """A client's frame, right or wrong."""
    first = (0x80 if final else 0) | reserved << 4 | opcode
    mask_bit = 0x80 if masked else 0
    if len(payload) < 126:
        head = bytes([first, mask_bit | len(payload)])
    elif len(payload) < 65536:
        head = bytes([first, mask_bit | 126]) + struct.pack(">H", len(payload))
    else:
        head = bytes([first, mask_bit | 127]) + struct.pack(">Q", len(payload))
    if not masked:
        return head + payload
    key = os.urandom(4)
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    xored = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + key + xored.to_bytes(len(payload), "big")
