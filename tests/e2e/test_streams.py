# SPDX-License-Identifier: MPL-2.0
"""/sse: the same events, permissions and resume as over a WebSocket, for whoever can only read a response."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from conftest import PUBLISH_KEY, SECRET
from stack import Daemon, make_token, publish_http, wait_for
from stack.buffering import BufferingProxy
from stack.http import request
from stack.stream import EventStream, Refused

LONG_S = 30.0


def url(daemon: Daemon, path: str = "/sse", *channels: str, **arguments: str) -> str:
    query = urlencode([("channel", channel) for channel in channels] + list(arguments.items()))
    return daemon.gateway + path + ("?" + query if query else "")


@pytest.fixture
def gateway(start):
    """gateway(*flags): one on a broker of its own; there are no workers."""
    broker = start("broker", "--no-broker-cache")
    return lambda *flags: start("gateway", *flags, *broker.broker_flags()).wait_ready()


def refused(*arguments: Any, **options: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        EventStream(*arguments, **options)
    return caught.value


# ------ what is refused


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/sse/notifications", 401),
        ("/sse/room/1", 401),
        ("/sse?token=nonsense", 401),
        ("/sse?channel=room:1", 403),
        ("/sse?channel=nothing", 400),
        ("/sse?channel=room:", 400),
        ("/sse/nothing", 404),
        ("/ssee", 404),
        ("/sse/", 404),
    ],
)
def test_what_is_not_allowed_is_refused_before_the_stream_begins(stack, path: str, status: int) -> None:
    answer = refused(stack.daemon.gateway + path)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    problem = json.loads(answer.body)
    assert problem["status"] == status and problem["detail"]
    assert ("www-authenticate" in answer.headers) == (status == 401)


def test_tokens_open_what_they_allow(stack) -> None:
    expired = stack.token("9", ttl_s=-100)
    assert refused(url(stack.daemon, token=expired)).status == 401
    limited = stack.token("9", rooms=["a-*"])
    assert refused(url(stack.daemon, "/sse/room/b", token=limited)).status == 403
    assert refused(url(stack.daemon, "/sse", "room:a-1", "room:b", token=limited)).status == 403
    assert refused(url(stack.daemon, "/sse", "user:8", token=limited)).status == 403
    stream = EventStream(url(stack.daemon, "/sse", "room:a-1", token=limited))
    assert [each["channel"] for each in stream.welcome["subscriptions"]] == ["broadcast", "user:9", "room:a-1"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD"])
def test_only_get_is_allowed(stack, method: str) -> None:
    answer = request(method, stack.daemon.gateway + "/sse")
    assert answer.status in (405, 404)  # the library keeps some methods to itself
    if answer.status == 405:
        assert answer.headers["allow"] == "GET"


def test_a_request_with_a_body_is_refused(stack) -> None:
    assert request("GET", stack.daemon.gateway + "/sse", body=b"x").status == 400


def test_more_channels_than_an_id_can_hold_are_refused(stack) -> None:
    token = stack.token("9")
    rooms = [f"room:{number}" for number in range(31)]
    assert refused(url(stack.daemon, "/sse", *rooms, token=token)).status == 429
    stream = EventStream(url(stack.daemon, "/sse", *rooms[:30], token=token))
    assert len(stream.welcome["subscriptions"]) == 32
    assert len(stream.last_id) < 800


def test_a_full_gateway_says_when_to_come_back(gateway) -> None:
    daemon = gateway("--gateway-sessions-max", "1")
    first = EventStream(url(daemon))
    answers = [refused(url(daemon)) for _ in range(12)]
    assert {answer.status for answer in answers} == {503}
    waits = {int(answer.headers["retry-after"]) for answer in answers}
    assert waits <= set(range(1, 11)) and len(waits) > 1  # not all at the same moment
    assert daemon.metrics().value("freshwire_refused_total", reason="sessions") == 12
    first.close()

    def there_is_room() -> bool:
        try:
            EventStream(url(daemon))
        except Refused:
            return False
        return True

    wait_for(there_is_room, "the first one has left")


def test_pages_of_other_sites_may_read_what_the_list_allows(gateway) -> None:
    page = "https://app.example.com"
    daemon = gateway("--gateway-origins", page)
    assert refused(url(daemon), headers={"Origin": "https://evil.example"}).status == 403
    stream = EventStream(url(daemon), headers={"Origin": page})
    assert stream.headers["access-control-allow-origin"] == page
    assert stream.headers["access-control-allow-credentials"] == "true"
    assert stream.headers["vary"] == "Origin"


def test_without_a_list_any_page_may_read_but_without_cookies(stack) -> None:
    stream = EventStream(url(stack.daemon), headers={"Origin": "https://any.example"})
    assert stream.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in stream.headers


# ------ events


def test_the_answer_tells_caches_and_proxies_to_keep_out(stack) -> None:
    stream = EventStream(url(stack.daemon))
    assert stream.headers["content-type"] == "text/event-stream"
    assert "no-store" in stream.headers["cache-control"]
    assert stream.headers["x-accel-buffering"] == "no"
    assert "content-length" not in stream.headers and "transfer-encoding" not in stream.headers
    wait_for(lambda: stream.retry_ms is not None, "a time to come back after")


@pytest.mark.parametrize("door", ["header", "query"])
def test_every_endpoint_has_its_channels(stack, door: str) -> None:
    token = stack.token("9")
    headers = {"Authorization": f"Bearer {token}"} if door == "header" else {}
    query = {"token": token} if door == "query" else {}
    streams = {
        path: EventStream(url(stack.daemon, path, **query), headers=headers)
        for path in ("/sse", "/sse/notifications", "/sse/room/1")
    }
    for name, audience in (("a", "broadcast"), ("b", "user:9"), ("c", "room:1"), ("d", "room:2"), ("e", "user:8")):
        stack.publish(name, audience)
    stack.publish("end", "broadcast", "user:9", "room:1")
    for stream in streams.values():
        stream.receive("end")
    wait_for(lambda: [e["type"] for e in streams["/sse"].published].count("end") == 2, "both ends")
    got = {path: [event["type"] for event in stream.published if event["type"] != "end"] for path, stream in streams.items()}
    assert got == {"/sse": ["a", "b"], "/sse/notifications": ["b"], "/sse/room/1": ["c"]}
    assert streams["/sse"].welcome["user_id"] == "9"


def test_a_token_may_come_in_a_cookie_from_a_page_that_is_allowed(gateway) -> None:
    page = "https://app.example.com"
    flags = ["--gateway-origins", page, "--gateway-jwt-cookie", "session"]
    daemon = gateway(*flags)
    token = make_token(SECRET, "9")
    stream = EventStream(url(daemon, "/sse/notifications"), headers={"Origin": page, "Cookie": f"session={token}"})
    assert stream.welcome["user_id"] == "9"
    assert refused(url(daemon, "/sse/notifications"), headers={"Cookie": f"session={token}"}).status == 401


def test_an_event_is_the_object_of_json_under_its_type(stack) -> None:
    session = stack.session()
    named = EventStream(url(stack.daemon))
    unnamed = EventStream(url(stack.daemon, event="message"))
    stack.publish("project_updated", "broadcast", data={"text": "ü\n\"", "deep": [1, {"a": None}]})
    for stream in (named, unnamed):
        assert stream.receive("project_updated") == session.receive("project_updated")
    assert named.names[-1] == "project_updated" and named.names[0] == "fw.welcome"
    assert set(unnamed.names) == {"message"}


def test_an_excluded_tab_does_not_get_the_event(stack) -> None:
    mine = EventStream(url(stack.daemon, origin="tab-1"))
    other = EventStream(url(stack.daemon, origin="tab-2"))
    stack.publish("one", "broadcast", exclude={"origin": "tab-1"})
    stack.publish("two", "broadcast")
    for stream in (mine, other):
        stream.receive("two")
    assert [event["type"] for event in mine.published] == ["two"]
    assert [event["type"] for event in other.published] == ["one", "two"]


def test_a_large_event_comes_whole(stack) -> None:
    stream = EventStream(url(stack.daemon))
    text = "x" * 60_000
    stack.publish("large", "broadcast", data=text)
    stack.publish("small", "broadcast")
    stream.receive("small")
    assert stream.published[0]["data"] == text


# ------ coming back


def test_who_comes_back_gets_what_it_missed_and_nothing_twice(stack) -> None:
    token = stack.token("9")
    where = url(stack.daemon, "/sse", "room:1", token=token)
    stream = EventStream(where)
    for number in range(5):
        stack.publish("before", "room:1", data=number)
    wait_for(lambda: len(stream.published) == 5, "what came before")
    wait_for(lambda: stream.ids and stream.ids[-1] != stream.ids[0], "an id behind the last one")
    stream.close()
    for number in range(20):
        stack.publish("missed", ["room:1", "user:9", "broadcast"][number % 3], data=number)
    again = EventStream(where, last_id=stream.last_id)
    wait_for(lambda: len(again.published) >= 20, "what was missed")
    stack.publish("after", "broadcast")
    again.receive("after")
    assert sorted(event["data"] for event in again.published if event["type"] == "missed") == list(range(20))
    assert len(again.published) == 21
    assert all(each["recovered"] for each in again.welcome["subscriptions"])
    assert "fw.reset" not in again.names


def test_places_are_known_where_nothing_was_ever_sent(stack) -> None:
    where = url(stack.daemon, "/sse", "room:new", token=stack.token("9"))
    stream = EventStream(where)
    assert stream.last_id
    stream.close()
    stack.publish("first", "room:new")
    again = EventStream(where, last_id=stream.last_id)
    again.receive("first")
    assert len(again.published) == 1


def test_an_argument_does_for_programs_what_the_header_does_for_browsers(stack) -> None:
    stream = EventStream(url(stack.daemon))
    stream.close()
    stack.publish("missed", "broadcast")
    again = EventStream(url(stack.daemon, last_event_id=stream.last_id))
    again.receive("missed")


@pytest.mark.parametrize("last_id", ["x", "AQAAAAA", "1" * 3000, "a b", "ü"])
def test_an_id_that_says_nothing_is_a_reset_of_all_channels(stack, last_id: str) -> None:
    stream = EventStream(url(stack.daemon, "/sse", token=stack.token("9")), last_id=last_id)
    wait_for(lambda: stream.names.count("fw.reset") == 2, "both channels are reset")
    assert not any(each["recovered"] for each in stream.welcome["subscriptions"])


def test_an_id_of_other_channels_is_a_reset(stack) -> None:
    token = stack.token("9")
    stream = EventStream(url(stack.daemon, "/sse", "room:1", token=token))
    other = EventStream(url(stack.daemon, "/sse", "room:2", token=token), last_id=stream.last_id)
    wait_for(lambda: other.names.count("fw.reset") == 3, "all are reset")


def test_places_are_good_for_another_gateway_and_one_that_was_restarted(start) -> None:
    broker = start("broker", "--no-broker-cache")
    gateways = [start("gateway", *broker.broker_flags()).wait_ready() for _ in range(2)]
    token = make_token(SECRET, "9")

    def publish(gateway: Daemon, name: str) -> None:
        answer = publish_http(gateway.gateway, PUBLISH_KEY, {"type": name, "audience": ["room:1", "user:9"]})
        assert answer.status == 200

    stream = EventStream(url(gateways[0], "/sse", "room:1", token=token))
    publish(gateways[0], "one")
    wait_for(lambda: len(stream.published) == 2, "the first one")
    wait_for(lambda: stream.ids[-1] == stream.last_id, "its id")
    gateways[0].kill()
    stream.wait_ended()
    publish(gateways[1], "two")
    second = EventStream(url(gateways[1], "/sse", "room:1", token=token), last_id=stream.last_id)
    wait_for(lambda: len(second.published) == 2, "the second one")
    assert {event["type"] for event in second.published} == {"two"}
    second.close()
    publish(gateways[1], "three")
    fresh = start("gateway", *broker.broker_flags()).wait_ready()
    third = EventStream(url(fresh, "/sse", "room:1", token=token), last_id=second.last_id)
    wait_for(lambda: len(third.published) == 2, "the third one")
    assert {event["type"] for event in third.published} == {"three"}
    assert "fw.reset" not in second.names + third.names


# ------ time


def test_a_quiet_stream_shows_that_it_lives(gateway) -> None:
    daemon = gateway("--gateway-ping-interval", "1s")
    stream = EventStream(url(daemon))
    wait_for(lambda: stream.comments >= 3, "three comments", LONG_S)
    assert stream.names == ["fw.welcome"]


def test_a_drain_ends_streams_and_says_when_to_come_back(gateway) -> None:
    daemon = gateway("--gateway-reconnect-window", "4s")
    streams = [EventStream(url(daemon)) for _ in range(20)]
    daemon.signal(signal.SIGTERM)
    for stream in streams:
        stream.wait_ended()
        assert stream.names[-2:] == ["fw.drain", "fw.close"]
        assert stream.events[-1]["code"] == 4000
        assert stream.retry_ms is not None and stream.retry_ms <= 5000
    assert len({stream.retry_ms for stream in streams}) > 10  # spread


def test_an_expired_token_ends_the_stream_with_its_code(gateway) -> None:
    daemon = gateway("--gateway-jwt-grace", "0")
    stream = EventStream(url(daemon, token=make_token(SECRET, "9", ttl_s=-2)))
    assert stream.receive("fw.close", LONG_S)["code"] == 4100
    stream.wait_ended()


def test_who_reads_slowly_is_told_and_holds_nobody_up(gateway) -> None:
    daemon = gateway("--gateway-ring-events-max", "16")
    slow = EventStream(url(daemon), receive_buffer=4096, paused=True)
    quick = EventStream(url(daemon))
    body = "x" * 60_000
    count = 200
    for number in range(count):
        answer = publish_http(
            daemon.gateway, PUBLISH_KEY, {"type": "big", "audience": ["broadcast"], "data": [number, body]}
        )
        assert answer.status == 200
    wait_for(lambda: len(quick.published) == count, "the quick one has all", LONG_S)
    assert "fw.reset" not in quick.names
    slow.resume()
    reset = slow.receive("fw.reset", LONG_S)
    assert (reset["reason"], reset["offset"]) == ("lapped", str(count))
    numbers = [event["data"][0] for event in slow.published]
    assert 0 < len(numbers) < count and numbers == list(range(len(numbers)))
    event = {"type": "after", "audience": ["broadcast"]}
    assert publish_http(daemon.gateway, PUBLISH_KEY, event).status == 200
    slow.receive("after", LONG_S)
    metrics = daemon.metrics()
    assert metrics.value("freshwire_resets_total", reason="lapped") >= 1
    assert metrics["freshwire_ring_bytes"] < 2 * 1024 * 1024


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x81\x85abcdhello", b"\x00" * 5000, b"\xff" * 5000])
def test_who_talks_on_a_stream_disturbs_nobody(stack, junk: bytes) -> None:
    noisy = EventStream(url(stack.daemon))
    other = EventStream(url(stack.daemon))
    noisy.send_raw(junk)
    stack.publish("one", "broadcast")
    other.receive("one")
    stack.publish("two", "broadcast")
    other.receive("two")
    assert stack.daemon.metrics()["freshwire_sessions"] <= 2


# ------ on the way


def test_a_proxy_that_holds_back_what_is_short_is_pushed_along(stack) -> None:
    proxy = BufferingProxy(int(stack.daemon.gateway.rsplit(":", 1)[1]), 4096)
    try:
        base = f"http://127.0.0.1:{proxy.port}/sse"
        stream = EventStream(base + "?padding=4096")
        for number in range(3):
            stack.publish("one", "broadcast", data=number)
            stream.receive(lambda event, n=number: event["type"] == "one" and event["data"] == n)
    finally:
        proxy.stop()


def test_curl_reads_a_stream(stack) -> None:
    curl = subprocess.Popen(
        ["curl", "-sN", "--max-time", "60", url(stack.daemon)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert curl.stdout is not None
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(iter(curl.stdout.readline, "")), daemon=True)
        reader.start()
        wait_for(lambda: "event: fw.welcome\n" in lines, "the welcome")
        stack.publish("one", "broadcast")
        wait_for(lambda: "event: one\n" in lines, "the event")
    finally:
        curl.kill()
        curl.wait()


NODE = """
const response = await fetch(process.argv[1], { headers: { Accept: "text/event-stream" } });
const decoder = new TextDecoder();
for await (const chunk of response.body) process.stdout.write(decoder.decode(chunk, { stream: true }));
"""


def test_node_reads_a_stream(stack) -> None:
    node = subprocess.Popen(
        ["node", "--input-type=module", "-e", NODE, url(stack.daemon)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert node.stdout is not None
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(iter(node.stdout.readline, "")), daemon=True)
        reader.start()
        wait_for(lambda: "event: fw.welcome\n" in lines, "the welcome", LONG_S)
        stack.publish("one", "broadcast")
        wait_for(lambda: "event: one\n" in lines, "the event", LONG_S)
    finally:
        node.kill()
        node.wait()


def test_a_browser_comes_back_by_itself_and_misses_nothing(start, tmp_path: Path) -> None:
    """EventSource of a real Chromium; its gateway is killed and started again on the same port."""
    from stack.process import ROOT, free_port

    broker = start("broker", "--no-broker-cache")
    port = free_port()
    flags = [*broker.broker_flags(), "--gateway-listen", f"127.0.0.1:{port}", "--gateway-reconnect-window", "500ms"]
    gateway = start("gateway", *flags).wait_ready()
    page = subprocess.Popen(
        ["node", str(ROOT / "tests/e2e/browser/stream.mjs"), f"http://127.0.0.1:{port}", make_token(SECRET, "9")],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    try:
        assert page.stdout is not None
        lines: list[dict[str, Any]] = []
        reader = threading.Thread(
            target=lambda: lines.extend(map(json.loads, iter(page.stdout.readline, ""))), daemon=True
        )
        reader.start()

        def publish(gateway: Daemon, number: int) -> None:
            event = {"type": "ticked", "audience": ["room:1"], "data": number}
            assert publish_http(gateway.gateway, PUBLISH_KEY, event).status == 200

        wait_for(lambda: any(line["type"] == "fw.welcome" for line in lines), "the welcome", LONG_S)
        publish(gateway, 0)
        wait_for(lambda: any(line.get("data") == 0 for line in lines), "the first event", LONG_S)
        gateway.kill()
        other = start("gateway", *broker.broker_flags()).wait_ready()
        publish(other, 1)
        publish(other, 2)
        again = start("gateway", *flags).wait_ready()
        wait_for(lambda: any(line.get("data") == 2 for line in lines), "what was missed", LONG_S)
        publish(again, 3)
        wait_for(lambda: any(line.get("data") == 3 for line in lines), "what came then", LONG_S)
        assert [line["data"] for line in lines if line["type"] == "ticked"] == [0, 1, 2, 3]
        assert not any(line["type"] == "fw.reset" for line in lines)
    finally:
        page.terminate()
        page.wait()
