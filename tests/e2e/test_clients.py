# SPDX-License-Identifier: MPL-2.0
"""Three WebSocket clients that have nothing in common (ws for Node.js, websockets for Python, and a bare socket) against
every endpoint and every close code that the gateway has; and curl where HTTP is spoken."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatusCode

from conftest import ANY_PORTS, BROKER_PORTS, GATEWAY_ENVIRONMENT, GATEWAY_FLAGS, PUBLISH_KEY, SECRET
from stack import Daemon, make_token, publish_http, run_command, wait_for
from stack.raw_socket import BINARY, CLOSE, PING, PONG, TEXT, RawSocket

HERE = Path(__file__).parent
OURS = "freshwire.v1.json"


@dataclass
class Scenario:
    path: str
    code: int | None  # that ends it; None with another status than 101
    messages: list[str] = field(default_factory=list)  # types that come first
    subprotocol: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    sends: list[dict[str, Any]] = field(default_factory=list)
    status: int = 101
    pongs: bool = True  # the gateway's pings are answered


@dataclass
class Result:
    messages: list[str]
    code: int | None
    status: int
    protocol: str


def hello(**members: Any) -> dict[str, Any]:
    return {"text": json.dumps({"type": "fw.hello", **members})}


USER, EXPIRED = make_token(SECRET, "u1", rooms=["4*"]), make_token(SECRET, "u1", ttl_s=-7200)
BEARER = {"Authorization": f"Bearer {USER}"}
PING_TEXT = {"text": '{"type":"fw.ping"}'}

SCENARIOS = {
    "anybody": Scenario("/ws", 1000, ["fw.welcome"]),
    "anybody who says hello": Scenario("/ws", 1000, ["fw.welcome"], OURS, sends=[hello()]),
    "a user by the URL": Scenario(f"/ws?token={USER}", 1000, ["fw.welcome"]),
    "a user by a header": Scenario("/ws", 1000, ["fw.welcome", "fw.pong"], headers=BEARER, sends=[PING_TEXT]),
    "a user by hello": Scenario("/ws/notifications", 1000, ["fw.welcome"], OURS, sends=[hello(token=USER)]),
    "notifications": Scenario("/ws/notifications", 1000, ["fw.welcome"], headers=BEARER),
    "a room": Scenario("/ws/room/42", 1000, ["fw.welcome"], headers=BEARER),
    "another room in the same session": Scenario(
        "/ws/room/42", 1000, ["fw.welcome", "fw.subscribed"], OURS, BEARER,
        [hello(), {"text": '{"type":"fw.subscribe","request_id":"1","channel":"room:43"}'}],
    ),  # fmt: skip
    "1002: a frame without a mask": Scenario("/ws", 1002, sends=[{"raw": "810178"}]),
    "1003: bytes where JSON is spoken": Scenario("/ws", 1003, sends=[{"binary": "0001"}]),
    "1007: no UTF-8": Scenario("/ws", 1007, sends=[{"raw": "818200000000c328"}]),
    "1009: too big": Scenario("/ws", 1009, sends=[{"text": "x" * 70000}]),
    "4003: no pong": Scenario("/ws", 4003, ["fw.welcome"], pongs=False),
    "4100: an expired token": Scenario(f"/ws?token={EXPIRED}", 4100),
    "4100: an expired token in hello": Scenario("/ws", 4100, [], OURS, sends=[hello(token=EXPIRED)]),
    "4101: a token that is none": Scenario("/ws?token=a.b.c", 4101),
    "4101: no token": Scenario("/ws/notifications", 4101),
    "4101: no token for a room": Scenario("/ws/room/42", 4101),
    "4290: a flood of messages": Scenario("/ws", 4290, sends=[{"text": '{"type":"fw.pong"}', "times": 400}]),
    "4290: a flood of pings": Scenario("/ws", 4290, sends=[{"raw": "898000000000" * 600}]),
    "4400: no hello": Scenario("/ws", 4400, [], OURS),
    "4403: a room that is not allowed": Scenario("/ws/room/7", 4403, headers=BEARER),
    "4406: no common protocol": Scenario("/ws", 4406, [], "chat.v9"),
    "no such path": Scenario("/nowhere", None, status=404),
    "not for WebSockets": Scenario("/v1/events", None, status=404),
    "a foreign Origin": Scenario("/ws", None, headers={"Origin": "https://evil.example"}, status=403),
}
# A message may come before the code that the scenario is about.
LOOSE = {"1002", "1003", "1007", "1009", "4290"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, binary: Path) -> Iterator[Daemon]:
    flags = [
        *ANY_PORTS, *BROKER_PORTS, *GATEWAY_FLAGS, "--broker-cache=false", "--gateway-hello-timeout", "1s",
        "--gateway-origins", "https://app.example", "--gateway-ping-interval", "1s", "--gateway-pong-timeout", "5s",
    ]  # fmt: skip
    daemon = Daemon("all", tmp_path_factory.mktemp("clients"), flags, GATEWAY_ENVIRONMENT, binary).wait_started()
    yield linked(daemon)
    daemon.stop()


def linked(daemon: Daemon) -> Daemon:
    """Not ready, since there is no Redis; but events flow."""
    wait_for(lambda: daemon.metrics()["freshwire_uplink_connected"] >= 1, "the gateway has its broker")
    return daemon


# The clients


def run_node(url: str, scenarios: list[Scenario]) -> list[Result]:
    jobs = [
        {
            **asdict(one), "url": url + one.path, "subprotocols": [one.subprotocol] if one.subprotocol else [],
            "messages": len(one.messages), "closes": one.code == 1000,
        }
        for one in scenarios
    ]  # fmt: skip
    done = subprocess.run(
        ["node", str(HERE / "clients" / "ws_client.mjs")], input=json.dumps(jobs), capture_output=True, text=True,
        timeout=240, check=True,
    )  # fmt: skip
    results = json.loads(done.stdout)
    assert all(not result.get("extensions") for result in results), "an extension was agreed on"
    return [Result(one["messages"], one["code"], one["status"], one["protocol"]) for one in results]


async def run_python_one(url: str, one: Scenario) -> Result:
    result = Result([], None, 101, "")
    try:
        client = await websockets.connect(
            url + one.path, subprotocols=[one.subprotocol] if one.subprotocol else None,  # type: ignore[list-item]
            extra_headers=one.headers, ping_interval=None, open_timeout=20, max_size=None,
        )  # fmt: skip
    except InvalidStatusCode as error:
        result.status = error.status_code
        return result
    result.protocol = client.subprotocol or ""
    if not one.pongs:

        async def ignore(_: bytes) -> None:
            pass

        client.pong = ignore  # type: ignore[assignment]
    try:
        for action in one.sends:
            if "raw" in action:
                client.transport.write(bytes.fromhex(action["raw"]))
            elif "binary" in action:
                await client.send(bytes.fromhex(action["binary"]))
            else:
                for _ in range(action.get("times", 1)):
                    await client.send(action["text"])
        while True:
            type = json.loads(await asyncio.wait_for(client.recv(), 30))["type"]
            if type != "fw.ping":
                result.messages.append(type)
            if one.code == 1000 and len(result.messages) == len(one.messages):
                await client.close(1000, "done")
    except ConnectionClosed:
        pass
    result.code = client.close_code
    return result


def run_python(url: str, scenarios: list[Scenario]) -> list[Result]:
    async def run() -> list[Result]:
        return [await run_python_one(url, one) for one in scenarios]

    return asyncio.run(run())


def run_bare_one(url: str, one: Scenario) -> Result:
    result = Result([], None, 101, "")
    headers = dict(one.headers)
    if one.subprotocol:
        headers["Sec-WebSocket-Protocol"] = one.subprotocol
    with RawSocket(url, 30) as client:
        result.status = client.upgrade(one.path, headers)
        if result.status != 101:
            return result
        result.protocol = one.subprotocol
        for action in one.sends:
            if "raw" in action:
                client.send(bytes.fromhex(action["raw"]))
            elif "binary" in action:
                client.send_frame(BINARY, bytes.fromhex(action["binary"]))
            else:
                for _ in range(action.get("times", 1)):
                    client.send_frame(TEXT, action["text"].encode())
        while got := client.read_frame():
            opcode, payload = got
            if opcode == PING and one.pongs:
                client.send_frame(PONG, payload)
            elif opcode == CLOSE:
                result.code = int.from_bytes(payload[:2], "big")
                client.send_frame(CLOSE, payload[:2])
            elif opcode == TEXT and (type := json.loads(payload)["type"]) != "fw.ping":
                result.messages.append(type)
                if one.code == 1000 and len(result.messages) == len(one.messages):
                    client.send_frame(CLOSE, b"\x03\xe8done")
    return result


def run_bare(url: str, scenarios: list[Scenario]) -> list[Result]:
    return [run_bare_one(url, one) for one in scenarios]


CLIENTS: dict[str, Callable[[str, list[Scenario]], list[Result]]] = {
    "ws": run_node,
    "websockets": run_python,
    "bare": run_bare,
}


@pytest.mark.parametrize("client", CLIENTS)
def test_every_endpoint_and_code(daemon: Daemon, client: str) -> None:
    results = CLIENTS[client](daemon.websocket, list(SCENARIOS.values()))
    wrong = []
    for (name, one), result in zip(SCENARIOS.items(), results, strict=True):
        loose = name[:4] in LOOSE and result.messages in ([], ["fw.welcome"])
        good = result.code == one.code and result.status == one.status and (loose or result.messages == one.messages)
        good = good and (one.status != 101 or result.protocol == one.subprotocol)
        if not good:
            wrong.append(f"{name}: {result} instead of {one.status}, {one.code}, {one.messages}")
    assert not wrong, "\n".join(wrong)


def test_every_client_gets_the_same_events_and_the_drain(start: Callable[..., Daemon]) -> None:
    own = linked(start("all", "--broker-cache=false"))
    one = Scenario("/ws/room/42", 4000, ["fw.welcome", "moved", "fw.drain"], headers=BEARER)
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(run, own.websocket, [one]) for run in CLIENTS.values()]
        wait_for(lambda: own.metrics()["freshwire_sessions"] == 3, "three sessions")
        answer = publish_http(own.gateway, PUBLISH_KEY, {"type": "moved", "data": {}, "audience": ["room:42"]})
        assert answer.status == 200
        wait_for(lambda: own.metrics()["freshwire_events_delivered_total"] == 3, "three deliveries")
        own.signal(signal.SIGTERM)
        for name, future in zip(CLIENTS, waiting, strict=True):
            assert future.result(60) == [Result(one.messages, 4000, 101, "")], name


def test_4001_is_for_who_does_not_read(start: Callable[..., Daemon]) -> None:
    own = linked(
        start("all", "--broker-cache=false", "--gateway-ping-interval", "1s", "--gateway-pong-timeout", "1s")
    )
    with RawSocket(own.gateway, 30) as slow:
        slow._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        assert slow.upgrade("/ws") == 101
        line = json.dumps({"type": "large", "audience": ["broadcast"], "data": {"pad": "x" * 60000}}) + "\n"
        done = run_command("publish", "--stdin", "--endpoint", own.publish_endpoint, stdin=line * 150, timeout_s=60)
        assert done.returncode == 0, done.stderr
        wait_for(lambda: own.metrics().value("freshwire_disconnects_total", code="4001") == 1, "it is given up")
        # Whoever reads soon after still learns why.
        assert slow.read_close() in (4001, None)


def curl(*arguments: str, data: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", "5", *arguments], capture_output=True, text=True, input=data,
        errors="replace", timeout=60, check=False,
    )  # fmt: skip


def test_curl_where_http_is_spoken(daemon: Daemon) -> None:
    status = ["--output", "/dev/null", "--write-out", "%{http_code}"]
    upgrade = [
        "--http1.1", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13",
        "-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]  # fmt: skip
    with_101 = curl("--include", "--no-buffer", "--max-time", "1", *upgrade, daemon.gateway + "/ws").stdout
    assert with_101.startswith("HTTP/1.1 101") and "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in with_101
    assert '{"type":"fw.welcome"' in with_101
    assert curl(*status, daemon.gateway + "/ws").stdout == "426"
    assert curl(*status, daemon.gateway + "/nowhere").stdout == "404"
    assert curl(*status, *upgrade, "-H", "Sec-WebSocket-Version: 8", daemon.gateway + "/ws").stdout in ("400", "426")
    event = '{"type":"by_curl","audience":["broadcast"],"data":{}}'
    post = [*status, "-H", "Content-Type: application/json", "--data-binary", "@-", daemon.gateway + "/v1/events"]
    assert curl("-H", f"Authorization: Bearer {PUBLISH_KEY}", *post, data=event).stdout == "200"
    assert curl(*post, data=event).stdout == "401"
    # HTTP/2 is not spoken, neither asked for at once nor by an upgrade.
    assert curl("--http2-prior-knowledge", *status, daemon.gateway + "/ws").stdout in ("", "000")
    assert curl("--http2", *status, daemon.gateway + "/ws").stdout in ("426", "000")
