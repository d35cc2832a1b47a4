# SPDX-License-Identifier: MPL-2.0
"""A real gateway under random handshakes, headers and frames: it must not crash, and a session beside it must get every
event, in order, and every answer. The seed is printed; FRESHWIRE_FUZZ_SEED and FRESHWIRE_FUZZ_SECONDS choose others."""

from __future__ import annotations

import json
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

import pytest

import conformance
from conftest import PUBLISH_KEY, SECRET
from stack import Daemon, Session, make_token, publish_http, wait_for
from stack.certificate import make_certificate, trusting
from stack.raw_socket import RawSocket, frame
from test_door import SIGNATURE, v2

SECONDS = float(os.environ.get("FRESHWIRE_FUZZ_SECONDS", "6"))
HEAD = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
POST = (
    b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer junk\r\n"
    b'Content-Length: 40\r\n\r\n{"type":"x","audience":["room:1"]}      '
)
PIECES = [
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n", b"Upgrade: unknown\r\n", b"Connection: close\r\n",
    b"Sec-WebSocket-Protocol: freshwire.v1.json\r\n", b"Sec-WebSocket-Protocol: freshwire.v1.protobuf\r\n",
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: -1\r\n",
    b"Content-Length: 99999999999999999999\r\n", b"Expect: 100-continue\r\n", b"X-Forwarded-For: 1.2.3.4, ,,\r\n",
    b"Cookie: " + b"a=b; " * 200 + b"\r\n", b"Origin: \xff\xfe\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\r\n\r\n", b"\0",
    b"GET /ws?token=%00%ff&&&&=&token HTTP/1.1\r\n", b"GET /ws/room/%2e%2e%2f HTTP/1.1\r\n", b"\n\n", b"\t", b" " * 300,
]  # fmt: skip
MESSAGES = [
    b'{"type":"fw.hello","subscriptions":[{"channel":"room:1","epoch":"x","offset":"1"}]}', b'{"type":"fw.ping"}',
    b'{"type":"fw.subscribe","request_id":"1","channel":"broadcast"}', b'{"type":"fw.refresh","token":"a.b.c"}',
    b'{"type":"fw.publish","channel":"room:1","event":"e","data":{}}', b"[" * 2000, b'{"type":' * 300, b'{"a":1e999}',
    b"\xff\xfe", '{"type":"\\ud800"}'.encode(), b"{}", b"",
]  # fmt: skip


def mutate(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.randrange(6)):
        place = dice.randrange(len(changed) + 1)
        what = dice.randrange(5)
        if what == 0 and changed:
            changed[min(place, len(changed) - 1)] = dice.randrange(256)
        elif what == 1:
            del changed[place : place + dice.randrange(1, 9)]
        elif what == 2:
            changed[place:place] = dice.randbytes(dice.randrange(1, 9))
        elif what == 3:
            changed[place:place] = dice.choice(PIECES)
        else:
            changed[place:place] = changed[: dice.randrange(64)]
    return bytes(changed)


def some_frames(dice: random.Random) -> bytes:
    out = b""
    for _ in range(dice.randrange(1, 12)):
        what = dice.randrange(4)
        if what == 0:
            out += b"".join(dice.choice(CASES).pieces)
        elif what == 1:
            out += frame(1, dice.choice(MESSAGES), final=dice.random() < 0.8)
        elif what == 2:
            out += frame(
                dice.randrange(16), dice.randbytes(dice.randrange(300)), dice.random() < 0.7,
                dice.randrange(8) if dice.random() < 0.2 else 0, dice.random() < 0.9,
            )  # fmt: skip
        else:
            out += dice.randbytes(dice.randrange(64))
    return mutate(out, dice) if dice.random() < 0.4 else out


CASES = [case for _, case in conformance.numbered()]


def one_connection(daemon: Daemon, dice: random.Random, options: dict[str, object]) -> None:
    """Bytes in pieces of any size, then the end from either side."""
    kind = dice.randrange(5)
    data = {
        0: lambda: mutate(HEAD, dice),
        1: lambda: mutate(POST, dice),
        2: lambda: HEAD + some_frames(dice),
        3: lambda: HEAD.replace(b"/ws", dice.choice([b"/sse", b"/ws/room/1", b"/ws/notifications"])) + some_frames(dice),
        4: lambda: mutate(dice.choice([SIGNATURE, v2("203.0.113.7"), b"\x16\x03\x01\x02\0\1", HEAD * 3]), dice),
    }[kind]()
    try:
        client = RawSocket(daemon.gateway, 5, **options)  # type: ignore[arg-type]
    except OSError:
        return
    with client:
        while data:
            size = dice.choice([1, 7, 100, 5000, len(data)])
            client.send(data[:size])
            data = data[size:] if size > 1 else data[1:] if dice.random() < 0.9 else b""
        client._socket.settimeout(0.02 if dice.random() < 0.8 else 0.2)
        try:
            while client.read_frame():
                pass
        except (TimeoutError, OSError, ValueError):
            pass


@pytest.mark.parametrize("way", ["plain", "TLS", "behind a proxy"])
def test_nothing_crashes_it_and_nobody_else_notices(start: Callable[..., Daemon], tmp_path: Path, way: str) -> None:
    seed = int(os.environ.get("FRESHWIRE_FUZZ_SEED") or time.time_ns() % 1_000_000)
    print(f"seed {seed}")
    flags = ["--broker-cache=false", "--gateway-request-timeout", "1s", "--gateway-accepts-per-second", "0"]
    options: dict[str, object] = {}
    session_options: dict[str, object] = {}
    if way == "TLS":
        certificate, key = make_certificate(tmp_path, "one")
        flags += ["--gateway-tls-certificate", str(certificate), "--gateway-tls-key", str(key)]
        options["tls"] = session_options["tls"] = trusting(certificate)
    elif way == "behind a proxy":
        flags += ["--gateway-proxy-protocol", "v2"]
        options["prefix"] = v2("203.0.113.7")
    daemon = start("all", *flags)
    if way == "behind a proxy":
        witness = RawSocket(daemon.gateway, 30, prefix=v2("10.0.0.1"))
        assert witness.upgrade("/ws") == 101
    else:
        witness = None
        session = Session(daemon.websocket + f"/ws?token={make_token(SECRET, 'u1')}", **session_options)  # type: ignore[arg-type]
    end = time.monotonic() + SECONDS

    def attack(number: int) -> int:
        dice = random.Random(seed * 100 + number)
        count = 0
        while time.monotonic() < end:
            one_connection(daemon, dice, options if dice.random() < 0.95 else {})
            count += 1
        return count

    sent = 0
    with ThreadPoolExecutor(4) as pool:
        attacks = [pool.submit(attack, number) for number in range(4)]
        while time.monotonic() < end:
            if way == "plain":
                event = {"type": "count", "data": {"n": sent}, "audience": ["broadcast"]}
                assert publish_http(daemon.gateway, PUBLISH_KEY, event).status == 200
                sent += 1
            elif witness:
                witness.send_frame(9, b"%d" % sent)
                while (got := witness.read_frame()) and got[0] != 10:
                    pass
                assert got == (10, b"%d" % sent)
                sent += 1
            else:
                session.send({"type": "fw.ping"})
                sent += 1
            time.sleep(0.02)
        connections = sum(attack.result() for attack in attacks)
    print(f"{connections} connections, {sent} questions of the witness")
    assert daemon.running(), daemon.stderr()[-4000:]
    assert connections > 20
    if not witness:
        wanted = "count" if way == "plain" else "fw.pong"
        wait_for(lambda: sum(message["type"] == wanted for message in session.messages) == sent, "the witness got all")
        got = [message["data"]["n"] for message in session.messages if message["type"] == "count"]
        assert got == sorted(got) and session.close_code is None
        session.close()
    else:
        witness.close()
    # Whoever attacked leaves nothing behind.
    wait_for(lambda: daemon.metrics()["freshwire_sessions"] == 0, "every session has ended", 40)
    wait_for(lambda: daemon.metrics()["freshwire_gateway_connections"] == 0, "every connection has ended", 40)
    assert json.dumps(daemon.log("crash")) == "[]"
