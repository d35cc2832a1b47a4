# SPDX-License-Identifier: MPL-2.0
"""Many sessions, several gateways, and gateways and brokers that end: nobody misses an event, or is told so."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any, Callable, Iterator

import pytest
from websockets.exceptions import InvalidStatusCode

from conftest import PUBLISH_KEY, SECRET
from stack import Daemon, Session, make_token, publish_http, request, wait_for
from stack.client import freshwire
from stack.crowd import at_once, channel_events, check_complete, close_all, positions
from stack.report import report

SESSIONS = 1000
LONG_S = 60.0


@pytest.fixture
def broker(start) -> Daemon:
    return start("broker", "--no-broker-cache")  # there are no workers either


@pytest.fixture
def gateway(start, broker: Daemon) -> Callable[..., Daemon]:
    """One more gateway on the broker."""
    return lambda *flags: start("gateway", *flags, *broker.broker_flags()).wait_ready()


class Source:
    """Publishes to some channels in turn, a hundred events a second, until it is stopped."""

    def __init__(self, broker: Daemon, channels: list[str]) -> None:
        self.published = 0
        self.failures: list[Exception] = []
        self._channels = channels
        self._publisher = freshwire.Publisher(broker.publish_endpoint, timeout=LONG_S)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="source", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(0.01):
            try:
                self.publish(self._channels[self.published % len(self._channels)])
            except freshwire.PublishError as error:
                self.failures.append(error)

    def publish(self, *audience: str) -> Any:
        receipt = self._publisher.publish("ticked", data={"number": self.published}, audience=audience)
        self.published += 1
        return receipt

    def wait_published(self, count: int) -> None:
        """Until it has published so many more."""
        target = self.published + count
        wait_for(lambda: self.published >= target, f"{count} more events are published", LONG_S)

    def stop(self) -> None:
        """Waits for the event on its way; afterwards publish is for the caller."""
        self._ended.set()
        self._thread.join(LONG_S)
        assert not self.failures, self.failures[0]

    def close(self) -> None:
        self._ended.set()
        self._thread.join(LONG_S)
        self._publisher.close()


@pytest.fixture
def source(broker: Daemon) -> Iterator[Callable[[list[str]], Source]]:
    made: list[Source] = []

    def make(channels: list[str]) -> Source:
        made.append(Source(broker, channels))
        return made[-1]

    yield make
    for one in made:
        one.close()


def publish(gateway: Daemon, type: str, *audience: str, **members: Any) -> dict[str, Any]:
    answer = publish_http(gateway.gateway, PUBLISH_KEY, {"type": type, "audience": list(audience), **members})
    assert answer.status == 200, answer.body
    return answer.json()


def offsets(published: dict[str, Any]) -> dict[str, str]:
    return {one["channel"]: one["offset"] for one in published["positions"]}


def test_thousand_sessions_on_one_gateway_all_hear_each_event(gateway) -> None:
    one = gateway()
    began = time.monotonic()

    def connect(number: int) -> Session:
        return Session(one.websocket + "/ws", {"token": make_token(SECRET, f"u{number}")})

    crowd = at_once(connect, range(SESSIONS))
    connected_s = time.monotonic() - began
    wait_for(lambda: one.metrics()["freshwire_sessions"] == SESSIONS, "the gateway has counted them")
    sent = time.monotonic()
    publish(one, "first", "broadcast", data={"to": "all"})
    for session in crowd:
        assert session.receive("first", LONG_S)["data"] == {"to": "all"}
    arrivals = sorted(session.times[-1] - sent for session in crowd)
    for number in range(9):
        publish(one, "later", "broadcast", data={"number": number})
    # And each user alone: what is for one is heard by that one only.
    publish(one, "private", *[f"user:u{number}" for number in range(0, SESSIONS, SESSIONS // 50)])
    for session in crowd:
        session.wait_events(10, LONG_S)
    for number in range(0, SESSIONS, SESSIONS // 50):
        crowd[number].receive("private", LONG_S)
    for number, session in enumerate(crowd):
        assert check_complete("broadcast", session) == 10
        assert len(channel_events(f"user:u{number}", session)) == (number % (SESSIONS // 50) == 0)
        assert len(session.events) == 10 + (number % (SESSIONS // 50) == 0)
    # As one thread of Python reads them; bench/ measures what the gateway takes.
    figures = {"first_ms": arrivals[0], "half_ms": arrivals[SESSIONS // 2], "last_ms": arrivals[-1]}
    report(
        "thousand-sessions",
        {"connected_in_s": round(connected_s, 2)} | {name: round(s * 1000, 1) for name, s in figures.items()},
    )
    close_all(crowd)
    wait_for(lambda: one.metrics()["freshwire_sessions"] == 0, "the gateway has forgotten them")


def test_two_gateways_on_one_broker_tell_the_same(gateway) -> None:
    gateways = [gateway(), gateway("--gateway-shards", "2")]
    sessions = [
        Session(one.websocket + "/ws", {"token": make_token(SECRET, user), "origin": f"tab-{index}-{user}"})
        for index, one in enumerate(gateways)
        for user in ("ada", "grace", "linus")
    ]
    seen: dict[str, str] = {}
    for number in range(40):
        # Published here and there: the order is the broker's, and is the same for all.
        seen |= offsets(publish(gateways[number % 2], "ticked", "broadcast", data={"number": number}))
        publish(gateways[number % 2], "private", "user:grace", data={"number": number})
    publish(gateways[0], "ticked", "broadcast", exclude={"user_id": "ada"}, data={"number": "not for ada"})
    publish(gateways[1], "ticked", "broadcast", exclude={"origin": "tab-0-linus"}, data={"number": "not for a tab"})
    publish(gateways[0], "last", "broadcast")
    assert int(seen["broadcast"]) == 40
    for index, session in enumerate(sessions):
        session.receive("last")
        user = session.welcome["user_id"]
        numbers = [event["data"]["number"] for event in session.events if event["type"] == "ticked"]
        assert numbers[:40] == list(range(40))
        assert ("not for ada" in numbers) == (user != "ada")
        assert ("not for a tab" in numbers) == (index != 2)
        private = [event for event in session.events if event["type"] == "private"]
        assert [event["data"]["number"] for event in private] == (list(range(40)) if user == "grace" else [])
    close_all(sessions)


def test_sessions_of_a_killed_gateway_go_on_at_another_without_a_gap(gateway, source) -> None:
    rooms = [f"room:{number}" for number in range(5)]
    first, second = gateway(), gateway()
    events = source(["broadcast", *rooms])

    def hello(number: int, places: list[dict[str, Any]]) -> dict[str, Any]:
        return {"token": make_token(SECRET, f"u{number}"), "subscriptions": places}

    def connect(number: int) -> Session:
        return Session(first.websocket + "/ws", hello(number, [{"channel": rooms[number % 5]}]))

    before = at_once(connect, range(100))
    events.wait_published(100)
    first.kill()
    events.wait_published(60)
    began = time.monotonic()

    def resume(number: int) -> Session:
        before[number].wait_closed()
        places = positions(before[number])
        assert {one["channel"] for one in places} == {"broadcast", rooms[number % 5], f"user:u{number}"}
        return Session(second.websocket + "/ws", hello(number, places))

    after = at_once(resume, range(100))
    resumed_s = time.monotonic() - began
    replays = second.metrics().value("freshwire_replays_total", outcome="complete")
    assert replays >= 1  # what was missed came from the broker, once per channel
    events.wait_published(100)
    events.stop()
    # One last event for everybody, also in the channels that never had one.
    last = {}
    for first_user in (0, 50):
        users = [f"user:u{number}" for number in range(first_user, first_user + 50)]
        last |= {one.channel: one.offset for one in events.publish("broadcast", *rooms, *users).positions}
    for number, session in enumerate(after):
        assert all(one["recovered"] for one in session.welcome["subscriptions"]), session.welcome
        for channel in ("broadcast", rooms[number % 5], f"user:u{number}"):
            session.receive(
                lambda message: message.get("channel") == channel and message.get("offset") == str(last[channel])
            )
            assert check_complete(channel, before[number], session) == last[channel]
    report("resume", {"sessions": 100, "resumed_in_s": round(resumed_s, 3), "replays": replays})
    close_all(after)


def subscribe_all(gateway: Daemon, number: int) -> Session:
    return Session(
        gateway.websocket + "/ws", {"token": make_token(SECRET, f"u{number}"), "subscriptions": [{"channel": "room:1"}]}
    )


@pytest.mark.parametrize("how", ["terminated", "killed"])
def test_new_broker_is_told_as_a_reset_and_everything_goes_on(how: str, start, broker, gateway, source) -> None:
    one = gateway()
    events = source(["broadcast", "room:1"])
    sessions = at_once(lambda number: subscribe_all(one, number), range(20))
    events.wait_published(40)
    old_epochs = {place["channel"]: place["epoch"] for place in sessions[0].welcome["subscriptions"]}
    broker.stop() if how == "terminated" else broker.kill()
    wait_for(lambda: one.metrics()["freshwire_gateway_degraded"] == 1, "the gateway says that it has no broker")
    assert all(session.close_code is None for session in sessions), "sessions stay while the broker is away"
    stood = positions(sessions[0])
    again = start("broker", "--no-broker-cache", *broker.broker_flags()[2:])
    for session in sessions:
        for channel in ("broadcast", "room:1", session.welcome["subscriptions"][1]["channel"]):
            reset = session.receive(lambda message: message["type"] == "fw.reset" and message["channel"] == channel)
            assert reset["reason"] == "epoch"
            assert reset["epoch"] != old_epochs.get(channel)
    wait_for(lambda: one.metrics()["freshwire_uplink_connected"] == 1, "the gateway has a broker again")
    # The publisher, which nobody told anything, goes on by itself, and nothing it published is lost after this.
    events.wait_published(40)
    events.stop()
    last = {place.channel: place.offset for place in events.publish("broadcast", "room:1").positions}
    for session in sessions:
        for channel in ("broadcast", "room:1"):
            session.receive(
                lambda message: (message.get("channel"), message.get("offset")) == (channel, str(last[channel]))
                and not message["type"].startswith("fw.")
                and message["epoch"] != old_epochs[channel]
            )
            check_complete_since_reset(session, channel, last[channel])
    # Who comes with a place of the old broker is told that it is worth nothing.
    late = Session(one.websocket + "/ws", {"token": make_token(SECRET, "u0"), "subscriptions": stood})
    assert not any(place["recovered"] for place in late.welcome["subscriptions"])
    for place in stood:
        late.receive(lambda message: message["type"] == "fw.reset" and message["channel"] == place["channel"])
    assert again.metrics()["freshwire_broker_gateways"] == 1
    close_all([*sessions, late])


def check_complete_since_reset(session: Session, channel: str, last: int) -> None:
    """One reset, then every event after the place that it named."""
    mine = [message for message in session.messages if message.get("channel") == channel]
    resets = [index for index, message in enumerate(mine) if message["type"] == "fw.reset"]
    assert len(resets) == 1, f"{channel}: {len(resets)} resets"
    offset, epoch = int(mine[resets[0]]["offset"]), mine[resets[0]]["epoch"]
    for event in mine[resets[0] + 1 :]:
        assert (event["epoch"], int(event["offset"])) == (epoch, offset + 1)
        offset += 1
    assert offset == last


def test_terminated_gateway_leaves_in_good_order(gateway, source) -> None:
    first, second = gateway("--gateway-drain-delay", "700ms", "--gateway-drain-window", "500ms"), gateway()
    events = source(["broadcast"])
    sessions = [Session(first.websocket + "/ws", {}) for _ in range(30)]
    seed_client = Session(first.websocket + "/ws")
    events.wait_published(10)
    assert first.admin("/readyz").status == 200

    first.signal(signal.SIGTERM)
    began = time.monotonic()
    wait_for(lambda: first.admin("/readyz").status == 503, "readiness is taken back", 0.7)
    # Until the load balancer has noticed, everything is as before.
    assert first.admin("/healthz").status == 200
    with Session(first.websocket + "/ws", {}) as late:
        late.receive("ticked")
        drain = late.receive("fw.drain")
        assert late.wait_closed() == 4000
    assert drain["reconnect_window_ms"] > 0
    for session in [*sessions, seed_client]:
        session.receive("fw.drain")
        assert session.wait_closed() == 4000
    assert first.wait() == 0
    assert time.monotonic() - began >= 0.7
    with pytest.raises(OSError):
        request("GET", first.gateway + "/ws")

    # Not all at once, and nobody missed anything.
    resumed = [Session(second.websocket + "/ws", {"subscriptions": positions(session)}) for session in sessions]
    events.stop()
    last = events.publish("broadcast").positions[0].offset
    for before, after in zip(sessions, resumed):
        after.receive(lambda message: message.get("offset") == str(last) and not message["type"].startswith("fw."))
        assert check_complete("broadcast", before, after) == last
    close_all(resumed)


def test_draining_gateway_closes_evenly_and_refuses_who_comes_too_late(gateway) -> None:
    window_s = 1.5
    one = gateway("--gateway-drain-delay", "0", "--gateway-drain-window", f"{window_s * 1000:.0f}ms")
    sessions = [Session(one.websocket + "/ws", {}) for _ in range(20)]
    one.signal(signal.SIGTERM)
    wait_for(lambda: any(session.close_code for session in sessions), "the first is closed")
    with pytest.raises(InvalidStatusCode) as refusal:
        Session(one.websocket + "/ws", {})
    assert refusal.value.status_code == 503
    assert "Retry-After" in refusal.value.headers
    assert publish_http(one.gateway, PUBLISH_KEY, {"type": "x", "audience": ["broadcast"]}).status == 503
    for session in sessions:
        session.receive("fw.drain")
        assert session.wait_closed() == 4000
    told = sorted(session.times[-1] for session in sessions)
    gaps = [later - earlier for earlier, later in zip(told, told[1:])]
    assert told[-1] - told[0] >= window_s / 2 and max(gaps) <= window_s / 2, gaps
    assert one.wait() == 0
