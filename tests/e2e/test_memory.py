# SPDX-License-Identifier: MPL-2.0
"""What a gateway does when its memory is used up, and events that wait for a tick to share a write."""

from __future__ import annotations

import pytest
from websockets.exceptions import InvalidStatusCode

from conftest import PUBLISH_KEY, SECRET
from stack import Daemon, Session, make_token, publish_http, run_command, wait_for
from stack.binary import BinarySession, epoch_number
from stack.client import freshwire
from stack.stream import EventStream, Refused

LONG_S = 30.0


@pytest.fixture
def broker(start) -> Daemon:
    return start("broker", "--no-broker-cache")


@pytest.fixture
def gateway(start, broker: Daemon):
    return lambda *flags: start("gateway", *flags, *broker.broker_flags()).wait_ready()


def publish(gateway: Daemon, channel: str, data: object) -> None:
    event = {"type": "changed", "audience": [channel], "data": data}
    assert publish_http(gateway.gateway, PUBLISH_KEY, event).status == 200


def refused(gateway: Daemon) -> bool:
    """Both ways to listen are refused, and told when to come back."""
    try:
        Session(gateway.websocket + "/ws").close()
        return False
    except InvalidStatusCode as error:
        assert error.status_code == 503
        assert 1 <= int(error.headers["Retry-After"]) <= 10
    with pytest.raises(Refused) as caught:
        EventStream(gateway.gateway + "/sse")
    return caught.value.status == 503


def test_a_gateway_without_memory_for_rings_lets_nobody_in_until_there_is(gateway) -> None:
    flags = ["--gateway-rings-bytes-max", "1MiB", "--gateway-ring-bytes-max", "128KiB", "--gateway-linger", "0"]
    daemon = gateway(*flags)
    rooms = [f"room:{number}" for number in range(24)]
    token = make_token(SECRET, "9")
    session = Session(
        daemon.websocket + "/ws", hello={"token": token, "subscriptions": [{"channel": room} for room in rooms]}
    )
    for number, room in enumerate(rooms):
        publish(daemon, room, [number, "x" * 60_000])
    session.wait_events(len(rooms), LONG_S)
    wait_for(lambda: refused(daemon), "newcomers are refused")
    assert daemon.metrics().value("freshwire_refused_total", reason="memory") >= 2
    # Who is there goes on.
    publish(daemon, rooms[0], "small")
    session.wait_events(len(rooms) + 1)
    session.close()
    wait_for(lambda: not refused(daemon), "there is room again", LONG_S)


def test_the_binary_form_of_events_is_memory_of_the_rings(gateway) -> None:
    daemon = gateway()
    sessions = [Session(daemon.websocket + "/ws")]
    for number in range(20):
        publish(daemon, "broadcast", [number, "x" * 10_000])
    sessions[0].wait_events(20)
    wait_for(lambda: daemon.metrics()["freshwire_ring_bytes"] > 200_000, "the rings are counted")
    before = daemon.metrics()["freshwire_ring_bytes"]
    standing = sessions[0].welcome["subscriptions"][0]
    place = {"epoch": epoch_number(standing["epoch"]), "offset": int(standing["offset"])}
    late = BinarySession(
        daemon.websocket + "/ws", hello={"subscriptions": [{"channel": "broadcast", "position": place}]}
    )
    late.wait_events(20)
    assert [event["data"][0] for event in late.events] == list(range(20))
    wait_for(lambda: daemon.metrics()["freshwire_ring_bytes"] > before + 190_000, "the second form is counted")


def test_events_of_a_channel_with_a_delay_share_writes(broker: Daemon, gateway) -> None:
    daemon = gateway("--gateway-channels", "room:* max_delay_ms=1000")
    token = make_token(SECRET, "9")
    session = Session(daemon.websocket + "/ws", hello={"token": token, "subscriptions": [{"channel": "room:1"}]})
    before = daemon.metrics()["freshwire_gateway_writes_total"]
    count = 300
    with freshwire.Publisher(broker.publish_endpoint) as publisher:
        for receipt in [
            publisher.submit(freshwire.Event.make("ticked", data=number, audience=["room:1"])) for number in range(count)
        ]:
            receipt.result()
    session.wait_events(count, LONG_S)
    assert [event["data"] for event in session.events] == list(range(count))
    # One a tick; pings and a slow machine may add some.
    wait_for(lambda: daemon.metrics()["freshwire_events_delivered_total"] >= count, "all are counted")
    assert daemon.metrics()["freshwire_gateway_writes_total"] - before < count / 3
    publish(daemon, "broadcast", "at once")
    session.wait_events(count + 1)


@pytest.mark.parametrize("rule", ["room:* max_delay_ms=1001", "max_delay_ms=5", "room:* delay=5"])
def test_a_rule_that_is_none_stops_the_start(start, broker: Daemon, rule: str) -> None:
    result = run_command("gateway", "--gateway-channels", rule, *broker.broker_flags())
    assert result.returncode == 3
    assert "gateway.channels" in result.stderr
