# SPDX-License-Identifier: MPL-2.0
"""Bad input at the doors that browsers and HTTP clients reach: each is answered clearly and counted, and nobody else
notices. The doors between processes: test_bad_input_links.py."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Iterator

import pytest

from conftest import ANY_PORTS, BROKER_PORTS, GATEWAY_ENVIRONMENT, GATEWAY_FLAGS
from stack import Answer, Daemon, Session, make_token, publish_http, request
from stack.bystander import World
from stack.raw_socket import BINARY, PING, TEXT, RawSocket, frame

NOISE = random.Random(2).randbytes(65536)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("bad-input")
    made = World(folder, ANY_PORTS + BROKER_PORTS, ANY_PORTS + GATEWAY_FLAGS, GATEWAY_ENVIRONMENT)
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def nobody_else_notices(world: World) -> Iterator[None]:
    yield
    for daemon in (world.broker, world.worker, world.gateway):
        assert daemon.running()
    world.bystander.check()


# ---- Raw bytes, at both HTTP ports

RAW = {
    "random bytes": NOISE,
    "zeros": bytes(4096),
    "line breaks": b"\r\n" * 100,
    "a TLS greeting": bytes.fromhex("16030100a5010000a10303") + NOISE[:160],
    "a ZeroMQ greeting": b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "an unknown method": b"BREW /ws HTTP/1.1\r\nHost: x\r\n\r\n",
    "headers without an end": b"GET /ws HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 65536,
    "a first line that is none": b"GET\x00/ws\xff HTTP/1.1\r\nHost: x\r\n\r\n" + NOISE[:512],
}


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("door", ["gateway", "admin"])
def test_bytes_that_are_no_request_end_the_connection(door: str, name: str, world: World) -> None:
    counter = {
        "gateway": ("freshwire_refused_total", {"door": "http", "reason": "no_request"}),
        "admin": ("freshwire_admin_connections_unanswered_total", {}),
    }[door]
    with world.counted(world.gateway, counter[0], **counter[1]):
        with RawSocket(world.gateway.ports[door]) as raw:
            raw.send(RAW[name])
            answer = raw.read_until_end()
            assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))


def test_truncated_request_is_counted_when_its_sender_goes(world: World) -> None:
    for head in (b"GET /w", b"GET /ws HTTP/1.1\r\nHost:", b"POST /v1/events HTTP/1.1\r\nContent-Le"):
        with world.counted(world.gateway, "freshwire_refused_total", door="http", reason="no_request"):
            with RawSocket(world.gateway.gateway) as raw:
                raw.send(head)


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/nowhere", 404),
        ("GET", "/ws/../admin", 404),
        ("GET", "/ws/room/", 404),
        ("GET", "/ws", 426),
        ("POST", "/ws", 426),
        ("DELETE", "/v1/events", 405),
        ("GET", "/metrics", 404),
    ],
)
def test_request_for_what_is_not_there_is_told_so(method: str, path: str, status: int, world: World) -> None:
    metric = ("freshwire_publish_requests_total", {"status": "405"}) if status == 405 else None
    name, labels = metric or ("freshwire_refused_total", {"door": "http", "reason": "path"})
    with world.counted(world.gateway, name, **labels):
        answer = request(method, world.gateway.gateway + path)
    assert answer.status == status
    assert_problem(answer)


@pytest.mark.parametrize(
    "method, path, status", [("GET", "/nowhere", 404), ("POST", "/metrics", 405), ("GET", "/%00", 404)]
)
def test_admin_port_answers_what_it_does_not_know(method: str, path: str, status: int, world: World) -> None:
    with world.counted(world.gateway, "freshwire_admin_requests_total", status=str(status)):
        assert world.gateway.admin("/healthz").status == 200
        assert request(method, world.gateway.ports["admin"] + path).status == status


# ---- POST /v1/events


def assert_problem(answer: Answer) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["type"], problem["status"]) == ("about:blank", answer.status)
    assert problem["title"] and problem["detail"]
    return problem


EVENT = {"type": "thing_changed", "audience": ["room:1"], "data": {"id": 1}}
BODIES: dict[str, tuple[Any, int, str | None]] = {
    "nothing": (b"", 400, None),
    "garbage": (NOISE[:300], 400, None),
    "a truncated event": (json.dumps(EVENT).encode()[:-9], 400, None),
    "two events": (json.dumps(EVENT).encode() * 2, 400, None),
    "a list": ([EVENT], 400, None),
    "bad UTF-8": (b'{"type":"a","audience":["room:1"],"data":"\xff\xfe"}', 400, None),
    "bad UTF-8 in a name": (b'{"type":"a","audience":["room:\xc0\xaf"]}', 400, None),
    "a key given twice": (b'{"type":"a","type":"b","audience":["room:1"]}', 400, None),
    "10,000 brackets": (b'{"data":' + b"[" * 10000 + b"]" * 10000 + b"}", 400, None),
    "an unknown member": (EVENT | {"surprise": 1}, 422, "surprise"),
    "no type": ({"audience": ["room:1"]}, 422, "type"),
    "a reserved type": (EVENT | {"type": "fw.welcome"}, 422, "type"),
    "a type that is a number": (EVENT | {"type": 7}, 422, "type"),
    "a type that is too long": (EVENT | {"type": "a" * 65}, 422, "type"),
    "nobody to hear it": ({"type": "a", "audience": []}, 422, "audience"),
    "no channel": (EVENT | {"audience": ["everybody"]}, 422, "audience[0]"),
    "a control character": (EVENT | {"audience": ["room:1", "room:a\nb"]}, 422, "audience[1]"),
    "too many channels": (EVENT | {"audience": [f"room:{n}" for n in range(65)]}, 422, "audience"),
    "too much data": (EVENT | {"data": "a" * 65537}, 422, "data"),
    "a pattern for everything": (EVENT | {"invalidate": {"patterns": ["*"]}}, 422, "invalidate.patterns[0]"),
    "too many tags": (EVENT | {"invalidate": {"tags": [f"t{n}" for n in range(257)]}}, 422, "invalidate.tags"),
    "a time that is a text": (EVENT | {"ts": "now"}, 422, "ts"),
}


@pytest.mark.parametrize("name", BODIES)
def test_bad_event_is_refused_with_its_field(name: str, world: World) -> None:
    body, status, field = BODIES[name]
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    with world.counted(world.gateway, "freshwire_publish_requests_total", status=str(status)):
        answer = publish_http(world.gateway.gateway, world.publish_key, body)
    assert answer.status == status, answer.body
    problem = assert_problem(answer)
    assert problem.get("field") == field
    if "too" in name:
        assert problem["value"] > problem["limit"] > 0


@pytest.mark.parametrize(
    "status, key, headers, size",
    [
        (401, None, {}, 2),
        (401, "wrong", {}, 2),
        (401, "an-end-to-end-publish-ke", {}, 2),
        (401, "an-end-to-end-publish-key2", {}, 2),
        (413, "right", {}, 513 * 1024),
        (415, "right", {"Content-Type": "text/plain"}, 2),
        (415, "right", {"Content-Type": "application/jsonp"}, 2),
        (422, "right", {"Idempotency-Key": "x" * 129}, 2),
    ],
)
def test_bad_publish_request_is_refused(
    status: int, key: str | None, headers: dict[str, str], size: int, world: World
) -> None:
    body = json.dumps(EVENT).encode() + b" " * size
    key = world.publish_key if key == "right" else key
    with world.counted(world.gateway, "freshwire_publish_requests_total", status=str(status)):
        answer = publish_http(world.gateway.gateway, key, body, headers)
    assert answer.status == status
    assert_problem(answer)


def test_length_that_nobody_can_trust_is_refused(world: World) -> None:
    head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {world.publish_key}\r\n"
    head += "Content-Type: application/json\r\n"
    for length in ("Transfer-Encoding: chunked", "Content-Length: -1", "Content-Length: 1e3", "Content-Length: 99999999999"):
        with RawSocket(world.gateway.gateway) as raw:
            raw.send(f"{head}{length}\r\n\r\n5\r\nhello\r\n0\r\n\r\n".encode())
            status, _, _ = raw.read_answer()
            assert status in (0, 400, 411, 413), (length, status)
            raw.read_until_end()


# ---- WebSocket handshakes and tokens


def upgrade_status(world: World, path: str = "/ws", **headers: str) -> int:
    with RawSocket(world.gateway.gateway) as raw:
        return raw.upgrade(path, {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    "reason, status, path, headers",
    [
        ("path", 404, "/wss", {}),
        ("path", 404, "/ws/room/" + "x" * 181, {}),
        ("path", 404, "/v1/events/ws", {}),
        ("handshake", 426, "/ws", {"Sec_WebSocket_Version": "7"}),
        ("handshake", 426, "/ws", {"Upgrade": "h2c"}),
        ("handshake", 400, "/ws", {"Sec_WebSocket_Key": "short"}),
        ("handshake", 400, "/ws", {"Connection": "close"}),
        ("handshake", 400, "/ws", {"Sec_WebSocket_Protocol": "not a list of/tokens"}),
    ],
)
def test_bad_handshake_is_answered(reason: str, status: int, path: str, headers: dict[str, str], world: World) -> None:
    with world.counted(world.gateway, "freshwire_refused_total", door="upgrade", reason=reason):
        assert upgrade_status(world, path, **headers) == status


def test_subprotocol_of_another_version_is_closed_with_4406(world: World) -> None:
    with world.counted(world.gateway, "freshwire_disconnects_total", code="4406"):
        session = Session(world.gateway.websocket + "/ws", subprotocols=["freshwire.v9.json"], wait_welcome=False)
        assert session.wait_closed() == 4406


def bad_tokens(world: World) -> dict[str, tuple[str, int]]:
    good = world.token("u1")
    head, claims, signature = good.split(".")
    return {
        "garbage": ("garbage", 4101),
        "truncated": (good[:-5], 4101),
        "no signature": (f"{head}.{claims}.", 4101),
        "two parts": (f"{head}.{claims}", 4101),
        "other claims": (f"{head}.{claims[:-2]}AA.{signature}", 4101),
        "another key": (make_token("another secret of at least 32 bytes", "u1"), 4101),
        "algorithm none": (world.token("u1", header={"alg": "none"}), 4101),
        "algorithm HS512": (world.token("u1", header={"alg": "HS512"}), 4101),
        "expired": (world.token("u1", ttl_s=-3600), 4100),
        "not yet": (world.token("u1", claims={"nbf": 4102444800}), 4101),
        "nobody": (world.token(None), 4101),
        "an empty user": (world.token(""), 4101),
        "a user with a line break": (world.token("a\nb"), 4101),
        "a user that is a number": (world.token("x", claims={"sub": 7}), 4101),
        "rooms that are no list": (world.token("u1", claims={"rooms": "all"}), 4101),
        "huge": (world.token("u1", claims={"padding": "x" * 9000}), 4101),
    }


TOKENS = [
    "garbage", "truncated", "no signature", "two parts", "other claims", "another key", "algorithm none",
    "algorithm HS512", "expired", "not yet", "nobody", "an empty user", "a user with a line break",
    "a user that is a number", "rooms that are no list", "huge",
]  # fmt: skip


@pytest.mark.parametrize("name", TOKENS)
def test_bad_token_is_closed_with_its_code_wherever_it_is_given(name: str, world: World) -> None:
    token, code = bad_tokens(world)[name]
    url = world.gateway.websocket + "/ws"
    with world.counted(world.gateway, "freshwire_disconnects_total", code=str(code)):
        for session in (
            Session(url + "?token=" + token, wait_welcome=False),
            Session(url, headers={"Authorization": f"Bearer {token}"}, wait_welcome=False),
            Session(url, {"token": token}, wait_welcome=False),
        ):
            assert session.wait_closed() == code
            assert session.messages == []
    assert token not in world.gateway.stderr()


def test_doors_that_need_a_token_stay_shut_without_one(world: World) -> None:
    for path in ("/ws/notifications", "/ws/room/1"):
        session = Session(world.gateway.websocket + path, {}, wait_welcome=False)
        assert session.wait_closed() == 4101
    limited = world.token("u1", rooms=["team-*"])
    with world.counted(world.gateway, "freshwire_disconnects_total", code="4403"):
        assert Session(f"{world.gateway.websocket}/ws/room/1?token={limited}", wait_welcome=False).wait_closed() == 4403
    with Session(f"{world.gateway.websocket}/ws", {"token": limited}) as session:
        assert session.subscribe("room:1")["code"] == 4403
        assert session.subscribe("user:u2")["code"] == 4403
        assert session.subscribe("room:team-1")["type"] == "fw.subscribed"


# ---- WebSocket messages

MESSAGES = {
    "garbage": "garbage",
    "nothing": "",
    "truncated": '{"type":"fw.subscribe","chan',
    "a list": "[]",
    "no type": "{}",
    "an unknown type": '{"type":"fw.launch"}',
    "an event": '{"type":"project_updated","data":{}}',
    "a type that is a number": '{"type":1}',
    "no channel": '{"type":"fw.subscribe"}',
    "a bad channel": '{"type":"fw.subscribe","channel":"everybody"}',
    "a channel that is too long": json.dumps({"type": "fw.subscribe", "channel": "room:" + "x" * 181}),
    "a bad offset": '{"type":"fw.subscribe","channel":"room:1","epoch":"1","offset":"-1"}',
    "a key given twice": '{"type":"fw.ping","type":"fw.pong"}',
    "too deep": '{"type":"fw.ping","x":' + "[" * 1000 + "]" * 1000 + "}",
    "hello again": '{"type":"fw.hello"}',
    "a number that overflows": '{"type":"fw.ping","x":1e999}',
}


@pytest.mark.parametrize("name", MESSAGES)
def test_message_that_is_not_understood_is_an_error_and_the_session_goes_on(name: str, world: World) -> None:
    with Session(world.gateway.websocket + "/ws", {"token": world.token("u1")}) as session:
        with world.counted(world.gateway, "freshwire_refused_total", door="websocket", reason="message"):
            session.send_raw(MESSAGES[name])
            error = session.receive("fw.error")
        assert error["code"] == 4400 and error["reason"]
        session.send({"type": "fw.ping"})
        session.receive("fw.pong")


def session_socket(world: World) -> RawSocket:
    """A plain session that has been welcomed."""
    raw = RawSocket(world.gateway.gateway)
    assert raw.upgrade("/ws") == 101
    welcome = raw.read_frame()
    assert welcome and json.loads(welcome[1])["type"] == "fw.welcome"
    return raw


PONG_TEXT = b'{"type":"fw.ping"}'
FRAMES: dict[str, tuple[bytes, set[int | None]]] = {
    "binary": (frame(BINARY, NOISE[:100]), {1003}),
    "bad UTF-8": (frame(TEXT, b'{"type":"\xff\xfe"}'), {1007}),
    "bad UTF-8 across fragments": (frame(TEXT, b'"\xe2\x82', final=False) + frame(0, b'"'), {1007}),
    "a message that is too big": (frame(TEXT, b" " * (64 * 1024 + 1)), {1009}),
    "too big in fragments": (frame(TEXT, b" " * 40000, final=False) + frame(0, b" " * 40000), {1009}),
    "fragments of nothing": (frame(TEXT, final=False) + frame(0, final=False) * 40, {4400}),
    "too many messages": (frame(TEXT, PONG_TEXT) * 400, {4290}),
    # What the library refuses by itself: it may end the connection without a word.
    "a reserved bit": (frame(TEXT, PONG_TEXT, reserved=4), {1002, None}),
    "a reserved opcode": (frame(3, PONG_TEXT), {1002, None}),
    "a fragmented ping": (frame(PING, b"x", final=False), {1002, None}),
    "a ping that is too long": (frame(PING, b"x" * 126), {1002, None}),
    "a fragment of nothing begun": (frame(0, PONG_TEXT), {1002, None}),
    "a message inside another": (frame(TEXT, b"{", final=False) + frame(TEXT, PONG_TEXT), {1002, None}),
    "a length of 2^63": (b"\x81\xff" + b"\xff" * 8 + b"mask", {1002, 1009, None}),
    "random bytes": (NOISE, {1002, 1003, 1007, 1009, 4400, None}),
}


@pytest.mark.parametrize("name", FRAMES)
def test_bad_frame_ends_the_session_with_its_code(name: str, world: World) -> None:
    frames, codes = FRAMES[name]
    before = world.gateway.metrics()["freshwire_disconnects_total"]
    code = codes - {None}
    labels = {"code": str(*code)} if len(codes) == 1 else {}
    with world.counted(world.gateway, "freshwire_disconnects_total", **labels):
        with session_socket(world) as raw:
            raw.send(frames)
            assert raw.read_close() in codes
    assert world.gateway.metrics()["freshwire_disconnects_total"] >= before + 1


def test_sessions_that_never_say_hello_are_closed_in_time(start: Any, world: World) -> None:
    impatient: Daemon = start("gateway", "--gateway-hello-timeout", "300ms", *world.broker.broker_flags()).wait_ready()
    silent = [
        (Session(impatient.websocket + "/ws", subprotocols=["freshwire.v1.json"], wait_welcome=False), 4400),
        (Session(impatient.websocket + "/ws/notifications", wait_welcome=False), 4101),
    ]
    for session, code in silent:
        assert session.wait_closed() == code
    assert impatient.metrics().value("freshwire_disconnects_total", code="4400") == 1
    assert impatient.metrics().value("freshwire_disconnects_total", code="4101") == 1
