# SPDX-License-Identifier: MPL-2.0
"""Rooms that the backend decides about: asked once, remembered, waited for, asked again; and what happens when it does
not answer."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Iterator

import pytest
from websockets.exceptions import ConnectionClosed

from conftest import PUBLISH_KEY, SECRET
from stack import Daemon, Session, SessionClosed, make_token, publish_http, request, wait_for

KEY = "the-key-of-the-authoriser"
LONG_S = 30.0


class Backend:
    """Decides by a function of (user, channel, action) which returns (status, body), and remembers who asked."""

    def __init__(self) -> None:
        self.decide: Callable[[str, str, str], tuple[int, bytes]] = lambda user, channel, action: self.yes()
        self.asked: list[tuple[str, str, str]] = []
        self.keys: set[str | None] = set()
        self.open = threading.Event()
        self.open.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                asked = (question["user_id"], question["channel"], question["action"])
                assert list(question) == ["user_id", "channel", "action"]
                outer.asked.append(asked)
                outer.keys.add(self.headers.get("Authorization"))
                outer.open.wait(LONG_S)
                status, body = outer.decide(*asked)
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # who asked did not wait

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/rooms"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @staticmethod
    def yes(ttl_s: int | None = None) -> tuple[int, bytes]:
        return 200, json.dumps({"allow": True} | ({} if ttl_s is None else {"ttl_seconds": ttl_s})).encode()

    @staticmethod
    def no(ttl_s: int = 10) -> tuple[int, bytes]:
        return 200, json.dumps({"allow": False, "ttl_seconds": ttl_s}).encode()

    def close(self) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(LONG_S)


@pytest.fixture
def backend() -> Iterator[Backend]:
    made = Backend()
    yield made
    made.close()


@pytest.fixture
def broker(start) -> Daemon:
    return start("broker", "--no-broker-cache")


@pytest.fixture
def gateway(start, broker: Daemon, backend: Backend) -> Callable[..., Daemon]:
    return lambda timeout="10s": start(
        "gateway", "--gateway-authorise-url", backend.url, "--gateway-authorise-timeout", timeout,
        *broker.broker_flags(), env={"FRESHWIRE_GATEWAY_AUTHORISE_KEY": KEY},
    ).wait_ready()  # fmt: skip


def session(daemon: Daemon, user: str, path: str = "/ws", **options: Any) -> Session:
    rooms = options.pop("rooms", None)
    claims = options.pop("claims", None)
    token = make_token(SECRET, user, rooms=rooms, claims=claims)
    return Session(f"{daemon.websocket}{path}?token={token}", **options)


def publish(daemon: Daemon, *audience: str, **data: Any) -> None:
    answer = publish_http(daemon.gateway, PUBLISH_KEY, {"type": "ticked", "data": data, "audience": list(audience)})
    assert answer.status == 200, answer.body


def test_backend_is_asked_once_and_its_word_counts(gateway, backend: Backend) -> None:
    backend.decide = lambda user, channel, action: backend.yes() if channel == "room:1" else backend.no()
    door = gateway()
    first, second = session(door, "9"), session(door, "9")
    for one in (first, second):
        assert one.subscribe("room:1")["type"] == "fw.subscribed"
        error = one.subscribe("room:2")
        assert (error["code"], error["temporary"]) == (4403, False)
    assert sorted(backend.asked) == [("9", "room:1", "subscribe"), ("9", "room:2", "subscribe")]
    assert backend.keys == {f"Bearer {KEY}"}
    other = session(door, "8")
    assert other.subscribe("room:1")["type"] == "fw.subscribed"
    assert ("8", "room:1", "subscribe") in backend.asked
    publish(door, "room:2", number=1)
    publish(door, "room:1", number=2)
    for one in (first, second, other):
        assert [event["data"]["number"] for event in one.wait_events(1)] == [2]
        one.close()


def test_the_token_decides_first(gateway, backend: Backend) -> None:
    door = gateway()
    mine = session(door, "9", rooms=["1"])
    assert mine.subscribe("room:2")["code"] == 4403
    assert mine.subscribe("room:1")["type"] == "fw.subscribed"
    assert backend.asked == [("9", "room:1", "subscribe")]
    mine.close()


@pytest.mark.parametrize(
    "status, body",
    [
        (500, b""), (404, b'{"allow":true}'), (302, b""), (200, b""), (200, b"true"), (200, b'{"allow":"yes"}'),
        (200, b'{"allow":true,"allow":true}'), (200, b'{"allow":1}'), (200, b"[" * 1000), (200, b"x" * 100000),
        (201, b'{"allow":true}'),
    ],
)  # fmt: skip
def test_what_is_no_clear_answer_is_no(status: int, body: bytes, gateway, backend: Backend) -> None:
    backend.decide = lambda user, channel, action: (status, body)
    door = gateway()
    mine = session(door, "9")
    error = mine.subscribe("room:1")
    assert (error["code"], error["temporary"]) == (4403, True)
    assert mine.subscribe("broadcast")["type"] == "fw.subscribed"
    # It asks again, soon.
    backend.decide = lambda user, channel, action: backend.yes()
    wait_for(lambda: mine.subscribe("room:1")["type"] == "fw.subscribed", "it is allowed", LONG_S)
    mine.close()


def test_forbidden_is_a_clear_answer(gateway, backend: Backend) -> None:
    backend.decide = lambda user, channel, action: (403, b"")
    door = gateway()
    mine = session(door, "9")
    error = mine.subscribe("room:1")
    assert (error["code"], error["temporary"]) == (4403, False)
    mine.close()


def test_backend_that_hangs_or_is_not_there_refuses_for_now_and_harms_nobody_else(gateway, backend: Backend) -> None:
    backend.open.clear()
    door = gateway("500ms")
    stuck = [session(door, f"u{number}") for number in range(20)]
    for number, one in enumerate(stuck):
        one.send({"type": "fw.subscribe", "request_id": "1", "channel": f"room:{number}"})
    free = session(door, "free")
    publish(door, "broadcast", number=1)
    assert free.wait_events(1)[0]["data"] == {"number": 1}
    for one in stuck:
        error = one.receive("fw.error", LONG_S)
        assert (error["code"], error["temporary"], error["request_id"]) == (4403, True, "1")
        assert len(one.events) == 1  # events go on while it waits
        one.close()
    assert request("GET", door.ports["admin"] + "/healthz").status == 200
    free.close()


def test_answers_keep_their_order_while_one_waits(gateway, backend: Backend) -> None:
    door = gateway()
    mine = session(door, "9")
    backend.open.clear()
    after = len(mine.messages)
    mine.send({"type": "fw.subscribe", "request_id": "1", "channel": "room:1"})
    mine.send({"type": "fw.unsubscribe", "request_id": "2", "channel": "room:1"})
    mine.send({"type": "fw.subscribe", "request_id": "3", "channel": "room:2"})
    mine.send({"type": "fw.subscribe", "request_id": "4", "channel": "nonsense"})
    wait_for(lambda: len(backend.asked) > 0, "it is asked", LONG_S)
    backend.open.set()
    wait_for(lambda: len(mine.messages) >= after + 3, "three answers", LONG_S)
    answers = {message["request_id"]: message["type"] for message in mine.messages[after:]}
    # Of the first its place was not known yet when it was taken back.
    answers.pop("1", None)
    assert answers == {"2": "fw.unsubscribed", "3": "fw.subscribed", "4": "fw.error"}
    assert list(answers).index("2") < list(answers).index("3")
    publish(door, "room:1", number=1)
    publish(door, "room:2", number=2)
    assert [event["data"]["number"] for event in mine.wait_events(1)] == [2]
    mine.close()


def test_who_says_too_much_while_it_waits_is_closed(gateway, backend: Backend) -> None:
    door = gateway()
    mine = session(door, "9")
    backend.open.clear()
    mine.send({"type": "fw.subscribe", "channel": "room:1"})
    with suppress(ConnectionClosed):
        for _ in range(70):
            mine.send({"type": "fw.ping"})
    assert mine.wait_closed(LONG_S) == 4290


def test_rooms_of_the_path_and_of_hello_wait_for_the_backend(gateway, backend: Backend) -> None:
    backend.decide = lambda user, channel, action: backend.no() if channel == "room:9" else backend.yes()
    door = gateway()
    backend.open.clear()
    plain = session(door, "9", "/ws/room/1", wait_welcome=False)
    token = make_token(SECRET, "8")
    hello = Session(
        f"{door.websocket}/ws/room/2",
        hello={"token": token, "subscriptions": [{"channel": "room:3"}, {"channel": "room:9"}]},
        wait_welcome=False,
    )
    wait_for(lambda: len(backend.asked) == 4, "four questions", LONG_S)
    assert plain.messages == [] and hello.messages == []
    backend.open.set()
    assert [one["channel"] for one in plain.receive("fw.welcome", LONG_S)["subscriptions"]] == ["room:1"]
    welcome = hello.receive("fw.welcome", LONG_S)
    assert [one["channel"] for one in welcome["subscriptions"]] == ["room:2", "room:3"]
    assert hello.receive("fw.error", LONG_S)["channel"] == "room:9"
    publish(door, "room:1", number=1)
    publish(door, "room:3", number=3)
    assert plain.wait_events(1)[0]["data"] == {"number": 1}
    assert hello.wait_events(1)[0]["data"] == {"number": 3}
    with pytest.raises(SessionClosed) as closed:
        session(door, "9", "/ws/room/9")
    assert closed.value.code == 4403
    plain.close()
    hello.close()


def test_resume_asks_too(gateway, backend: Backend) -> None:
    doors = [gateway(), gateway()]
    mine = session(doors[0], "9")
    place = mine.subscribe("room:1")
    publish(doors[0], "room:1", number=1)
    mine.wait_events(1)
    mine.close()
    wish = {"channel": "room:1", "epoch": place["epoch"], "offset": place["offset"]}
    again = session(doors[1], "9", hello={"subscriptions": [wish]})
    assert again.wait_events(1)[0]["data"] == {"number": 1}
    again.close()
    backend.decide = lambda user, channel, action: backend.no()
    refused = session(doors[1], "7", hello={"subscriptions": [wish]})
    assert refused.receive("fw.error", LONG_S)["channel"] == "room:1"
    publish(doors[0], "room:1", number=2)
    publish(doors[0], "broadcast", number=3)
    assert [event["data"]["number"] for event in refused.wait_events(1)] == [3]
    refused.close()


def test_what_was_allowed_is_asked_again_and_may_end(gateway, backend: Backend) -> None:
    answers = {"9": backend.yes(1), "8": backend.yes(1)}
    backend.decide = lambda user, channel, action: answers[user]
    door = gateway()
    mine, other = session(door, "9"), session(door, "8")
    assert mine.subscribe("room:1")["type"] == "fw.subscribed"
    assert other.subscribe("room:1")["type"] == "fw.subscribed"
    wait_for(lambda: backend.asked.count(("9", "room:1", "subscribe")) >= 3, "it is asked again", LONG_S)
    # A backend that is not there takes nothing away.
    answers["9"] = (500, b"")
    asked = len(backend.asked)
    wait_for(lambda: len(backend.asked) > asked + 1, "it is asked again", LONG_S)
    publish(door, "room:1", number=1)
    assert mine.wait_events(1)[0]["data"] == {"number": 1}
    answers["9"] = backend.no()
    assert mine.receive("fw.unsubscribed", LONG_S) == {
        "type": "fw.unsubscribed",
        "channel": "room:1",
        "reason": "forbidden",
    }
    publish(door, "room:1", number=2)
    assert [event["data"]["number"] for event in other.wait_events(2)] == [1, 2]
    assert len(mine.events) == 1
    mine.close()
    other.close()


def test_nobody_is_asked_about_what_is_not_used_any_more(gateway, backend: Backend) -> None:
    backend.decide = lambda user, channel, action: backend.yes(1)
    door = gateway()
    mine = session(door, "9")
    assert mine.subscribe("room:1")["type"] == "fw.subscribed"
    mine.close()
    wait_for(lambda: door.metrics().value("freshwire_gateway_authorise_entries") == 0, "it is forgotten", LONG_S)
    asked = len(backend.asked)
    other = session(door, "8")
    assert other.subscribe("room:2")["type"] == "fw.subscribed"
    assert [one for one in backend.asked[asked:] if one[0] == "9"] == []
    other.close()


def test_publishing_and_presence_are_asked_for_by_themselves(gateway, backend: Backend) -> None:
    backend.decide = lambda user, channel, action: backend.no() if action != "subscribe" and user == "9" else backend.yes()
    door = gateway()
    claims = {"publish": ["*"], "presence": ["*"]}
    mine, other = session(door, "9", claims=claims), session(door, "8", claims=claims)
    for one in (mine, other):
        one.send({"type": "fw.subscribe", "request_id": "1", "channel": "room:1", "presence": True})
        assert one.receive("fw.subscribed", LONG_S)["channel"] == "room:1"
    error = mine.receive("fw.error", LONG_S)
    assert (error["code"], error["action"]) == (4403, "presence")
    assert other.receive("fw.presence", LONG_S)["channel"] == "room:1"
    for one in (mine, other):
        one.send({"type": "fw.publish", "request_id": "2", "channel": "room:1", "event": "typing", "data": {}})
    refused = mine.receive(lambda message: message.get("request_id") == "2", LONG_S)
    assert (refused["type"], refused["action"]) == ("fw.error", "publish")
    assert other.receive("fw.published", LONG_S)["request_id"] == "2"
    assert mine.receive("typing", LONG_S)["user_id"] == "8"
    mine.close()
    other.close()


def test_streams_wait_for_the_backend(gateway, backend: Backend) -> None:
    import http.client
    from urllib.parse import urlsplit

    backend.decide = lambda user, channel, action: backend.no() if channel == "room:9" else backend.yes()
    door = gateway()
    parts = urlsplit(door.gateway)
    token = make_token(SECRET, "9")
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=LONG_S)
    connection.request("GET", "/sse/room/1", headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    assert response.status == 200
    lines: list[bytes] = []
    while not any(b"fw.welcome" in line for line in lines):
        lines.append(response.readline())
        assert lines[-1], lines
    assert ("9", "room:1", "subscribe") in backend.asked
    connection.close()


def test_stopping_does_not_wait_for_the_backend_for_ever(gateway, backend: Backend) -> None:
    door = gateway("1s")
    mine = session(door, "9")
    backend.open.clear()
    mine.send({"type": "fw.subscribe", "channel": "room:1"})
    wait_for(lambda: len(backend.asked) == 1, "it is asked", LONG_S)
    began = time.monotonic()
    door.stop()
    assert time.monotonic() - began < LONG_S
    assert mine.wait_closed(LONG_S) in (4000, 1006)
