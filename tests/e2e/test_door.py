# SPDX-License-Identifier: MPL-2.0
"""Who comes in: addresses behind proxies, limits per user and address, connections that bring no request, and floods.
Whatever happens to one, another one is served."""

from __future__ import annotations

import json
import resource
import socket
import struct
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest

from conftest import PUBLISH_KEY, SECRET
from stack import Daemon, Session, make_token, wait_for
from stack.raw_socket import PING, TEXT, RawSocket

Start = Callable[..., Daemon]
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(address: str, extra: bytes = b"") -> bytes:
    """The header that a load balancer puts before the connection of a client."""
    if ":" in address:
        family, body = 0x21, socket.inet_pton(socket.AF_INET6, address) + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    else:
        family, body = 0x11, socket.inet_aton(address) + socket.inet_aton("192.0.2.1")
    body += struct.pack(">HH", 40000, 443) + extra
    return SIGNATURE + bytes([0x21, family]) + struct.pack(">H", len(body)) + body


def start_all(start: Start, *flags: str) -> Daemon:
    return start("all", "--broker-cache=false", *flags)


def refused(daemon: Daemon, door: str, reason: str) -> float:
    return daemon.metrics().value("freshwire_refused_total", door=door, reason=reason)


def welcomed(client: RawSocket, path: str = "/ws", headers: dict[str, str] | None = None) -> None:
    assert client.upgrade(path, headers) == 101
    got = client.read_frame()
    assert got and got[0] == TEXT and json.loads(got[1])["type"] == "fw.welcome", got


def close_code(client: RawSocket, path: str = "/ws", headers: dict[str, str] | None = None) -> int | None:
    assert client.upgrade(path, headers) == 101
    return client.read_close()


@pytest.fixture
def kept() -> Iterator[list[RawSocket]]:
    clients: list[RawSocket] = []
    yield clients
    for client in clients:
        client.close()


# The PROXY protocol


@pytest.mark.parametrize("pieces", ["at once", "byte by byte"])
def test_the_proxy_header_gives_the_address(start: Start, kept: list[RawSocket], pieces: str) -> None:
    daemon = start_all(start, "--gateway-proxy-protocol", "v2", "--gateway-sessions-per-address-max", "2")

    def connect(header: bytes) -> RawSocket:
        client = RawSocket(daemon.gateway)
        kept.append(client)
        for piece in [header] if pieces == "at once" else [header[i : i + 1] for i in range(len(header))]:
            client.send(piece)
        return client

    for address in ("203.0.113.7", "203.0.113.8", "2001:db8:1:2::1"):
        welcomed(connect(v2(address)))
        welcomed(connect(v2(address, extra=b"\x04\0\x02ab")))
        assert close_code(connect(v2(address))) == 4290
    # Another address of the same network counts as the same; the balancer itself and private ones are not counted.
    assert close_code(connect(v2("2001:db8:1:2:ffff::9"))) == 4290
    for _ in range(3):
        welcomed(connect(SIGNATURE + b"\x20\0\0\0"))
        welcomed(connect(v2("10.1.2.3")))
    assert refused(daemon, "websocket", "address") == 4
    # A place that becomes free can be taken.
    kept[0].close()
    wait_for(lambda: connect(v2("203.0.113.7")).upgrade("/ws") == 101, "a place is free")


def test_without_the_header_nobody_comes_in(start: Start) -> None:
    daemon = start_all(start, "--gateway-proxy-protocol", "v2", "--gateway-request-timeout", "700ms")
    for number, sent in enumerate(
        (
            b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n",
            b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 443\r\nGET /ws HTTP/1.1\r\n\r\n",
            v2("203.0.113.7")[:12] + b"\x31" + v2("203.0.113.7")[13:],
            SIGNATURE + b"\x21\x11\xff\xff" + bytes(100),
        ),
        1,
    ):
        with RawSocket(daemon.gateway) as client:
            client.send(sent)
            assert client.read_until_end() == b""
        wait_for(lambda: refused(daemon, "accept", "proxy_header") == number, "it is counted")
    with RawSocket(daemon.gateway) as silent:
        silent.send(v2("203.0.113.7")[:5])
        assert silent.read_until_end() == b""
    assert refused(daemon, "http", "late") >= 1


def test_version_1_is_a_line(start: Start) -> None:
    daemon = start_all(start, "--gateway-proxy-protocol", "v1", "--gateway-sessions-per-address-max", "1")
    with RawSocket(daemon.gateway, prefix=b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 443\r\n") as first:
        welcomed(first)
        with RawSocket(daemon.gateway, prefix=b"PROXY TCP4 203.0.113.7 192.0.2.1 1 443\r\n") as second:
            assert close_code(second) == 4290
        with RawSocket(daemon.gateway, prefix=b"PROXY TCP6 2001:db8::7 2001:db8::8 1 2\r\n") as other:
            welcomed(other)


# X-Forwarded-For


def test_only_trusted_proxies_may_name_an_address(start: Start, kept: list[RawSocket]) -> None:
    daemon = start_all(
        start, "--gateway-trusted-proxies", "127.0.0.0/8", "--gateway-sessions-per-address-max", "1",
    )  # fmt: skip

    def connect() -> RawSocket:
        kept.append(RawSocket(daemon.gateway))
        return kept[-1]

    welcomed(connect(), headers={"X-Forwarded-For": "1.1.1.1, 203.0.113.7"})
    # What stands left of the proxy's own word may be made up.
    assert close_code(connect(), headers={"X-Forwarded-For": "2.2.2.2, 203.0.113.7, 127.0.0.9"}) == 4290
    welcomed(connect(), headers={"X-Forwarded-For": "203.0.113.8:1234"})
    for _ in range(3):  # no address: the proxy's own, which is not counted
        welcomed(connect(), headers={"X-Forwarded-For": "unknown"})


def test_without_trusted_proxies_the_header_means_nothing(start: Start, kept: list[RawSocket]) -> None:
    daemon = start_all(start, "--gateway-sessions-per-address-max", "1")
    for _ in range(3):
        kept.append(RawSocket(daemon.gateway))
        welcomed(kept[-1], headers={"X-Forwarded-For": "203.0.113.7"})


# Sessions of a user


def test_a_user_has_so_many_sessions_however_the_token_comes(start: Start) -> None:
    daemon = start_all(start, "--gateway-sessions-per-user-max", "2")
    mine, other = make_token(SECRET, "u1"), make_token(SECRET, "u2")
    first = Session(daemon.websocket + f"/ws?token={mine}")
    second = Session(daemon.websocket + "/ws", hello={"token": mine})
    for options in ({"hello": {"token": mine}}, {"headers": {"Authorization": f"Bearer {mine}"}}):
        third = Session(daemon.websocket + "/ws", wait_welcome=False, **options)  # type: ignore[arg-type]
        assert third.wait_closed() == 4290
    assert refused(daemon, "websocket", "user") == 2
    assert Session(daemon.websocket + f"/ws?token={other}").welcome["user_id"] == "u2"
    first.close()
    wait_for(
        lambda: Session(daemon.websocket + f"/ws?token={mine}", wait_welcome=False).receive("fw.welcome", 2),
        "a place is free",
    )
    second.close()


# Connections that bring no request


def test_slow_requests_are_cut_and_others_are_served(start: Start) -> None:
    daemon = start_all(start, "--gateway-request-timeout", "1s", "--gateway-body-timeout", "1s")
    half_head = b"GET /ws HTTP/1.1\r\nHost: x\r\nX-Slow: "
    post = (
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n"
        b"Content-Length: 400000\r\n\r\n{" % PUBLISH_KEY.encode()
    )
    silent, slow_head, slow_body = (RawSocket(daemon.gateway, 30) for _ in range(3))
    slow_head.send(half_head)
    slow_body.send(post)
    give_up = time.monotonic() + 30
    while not (slow_head.ended and slow_body.ended):
        assert time.monotonic() < give_up, "slow requests are never cut"
        # A byte now and then does not win more time.
        for client in (slow_head, slow_body):
            client.send(b"x")
        with RawSocket(daemon.gateway) as served:
            welcomed(served)
    assert b"HTTP/1.1 101" not in silent.read_until_end(30)
    assert refused(daemon, "http", "late") == 3
    for client in (silent, slow_head, slow_body):
        client.close()


def test_of_too_many_half_open_connections_the_oldest_goes(start: Start) -> None:
    daemon = start_all(start, "--gateway-half-open-max", "20")
    with RawSocket(daemon.gateway) as session:
        welcomed(session)
        half_open = [RawSocket(daemon.gateway) for _ in range(60)]
        wait_for(lambda: refused(daemon, "accept", "half_open") >= 40, "the oldest are cut")
        assert half_open[0].read_until_end() == b""
        with RawSocket(daemon.gateway) as newcomer:
            welcomed(newcomer)
        # One of the youngest is still there, and so is the session.
        welcomed(half_open[-1])
        session.send_frame(PING, b"here")
        assert session.read_frame() == (10, b"here")
        for client in half_open:
            client.close()


def test_connections_that_come_too_fast_wait(start: Start, kept: list[RawSocket]) -> None:
    daemon = start_all(start, "--gateway-accepts-per-second", "20")
    for _ in range(50):
        kept.append(RawSocket(daemon.gateway, 30))
    for client in kept:
        welcomed(client)  # each in its time
    assert daemon.metrics()["freshwire_accepts_paced_total"] > 0


def test_headers_without_end_are_dropped(start: Start) -> None:
    daemon = start_all(start)
    for sent in (
        b"GET /ws HTTP/1.1\r\nHost: x\r\n" + b"X-Large: " + b"y" * 40000 + b"\r\n\r\n",
        b"GET /ws HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + b"\r\n",
        b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\n\r\n",
    ):
        with RawSocket(daemon.gateway) as client:
            client.send(sent)
            answer = client.read_until_end()
            assert answer == b"" or answer.split()[1] in (b"403", b"404", b"431", b"400"), answer[:200]
        with RawSocket(daemon.gateway) as client:
            welcomed(client)


def test_addresses_and_tokens_are_in_no_log(start: Start) -> None:
    daemon = start_all(start, "--gateway-proxy-protocol", "v2", "--log-level", "debug")
    token = make_token(SECRET, "somebody")
    with RawSocket(daemon.gateway, prefix=v2("203.0.113.77")) as client:
        welcomed(client, f"/ws?token={token}")
        client.send_frame(TEXT, b"x", masked=False)
        assert client.read_close() == 1002
    with RawSocket(daemon.gateway, prefix=v2("203.0.113.77")) as client:
        assert close_code(client, "/ws?token=junk.junk.junk") == 4101
    log = daemon.stderr()
    assert token not in log and "junk.junk" not in log and "203.0.113.77" not in log


# What libwebsockets needs (docs/decisions/0023)


def soft_limit(daemon: Daemon) -> int:
    limits = Path(f"/proc/{daemon.process.pid}/limits").read_text()
    return int(next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[3])


def test_the_limit_of_descriptors_fits_the_sessions(start: Start) -> None:
    """libwebsockets goes through the whole table, sized by this limit, at every close."""
    small = start_all(start, "--gateway-sessions-max", "100")
    large = start_all(start, "--gateway-sessions-max", "2000", "--gateway-shards", "2")
    assert soft_limit(large) - soft_limit(small) > 2 * 2000 - 100
    assert soft_limit(large) < 20000
    many = start_all(start, "--gateway-sessions-max", "1000000")
    assert soft_limit(many) == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert many.log("too few file descriptors, sessions are limited")
    with RawSocket(many.gateway) as client:
        welcomed(client)


def test_nothing_is_compressed(start: Start) -> None:
    """permessage-deflate costs 96 KiB a session with this library."""
    daemon = start_all(start)
    with RawSocket(daemon.gateway) as client:
        client.send(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        )
        status, headers, _ = client.read_answer()
        assert status == 101 and "sec-websocket-extensions" not in headers
        got = client.read_frame()
        assert got and json.loads(got[1])["type"] == "fw.welcome"
