# SPDX-License-Identifier: MPL-2.0
"""Bad input at the broker's five doors: each is answered where an answer is possible, counted always, and nobody else
notices. Written with Google's protobuf and a plain ZeroMQ, not with our code."""

from __future__ import annotations

import random
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
import zmq

from conftest import ANY_PORTS, BROKER_PORTS, GATEWAY_ENVIRONMENT, GATEWAY_FLAGS
from stack import Session, wait_for
from stack.bystander import World
from stack.raw_socket import RawSocket
from stack.wire import INCARNATION, Peer, message

NOISE = random.Random(3).randbytes(65536)
FRAME_SIZE_MAX = 1024 * 1024
DOORS = ("fire", "publish", "jobs", "events", "control")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("bad-input-links")
    made = World(folder, ANY_PORTS + BROKER_PORTS, ANY_PORTS + GATEWAY_FLAGS, GATEWAY_ENVIRONMENT)
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def nobody_else_notices(world: World) -> Iterator[None]:
    yield
    for daemon in (world.broker, world.worker, world.gateway):
        assert daemon.running()
    world.bystander.check()
    # Those of the test have said goodbye; ours are all there.
    for peers, count in (("workers", 2), ("gateways", 1)):
        wait_for(lambda: world.broker.metrics()[f"freshwire_broker_{peers}"] == count, f"{peers} are {count}")


def bad_text(whole: bytes, placeholder: bytes = b"XXXX") -> bytes:
    """The message with bytes that are not UTF-8 in place of a text: protobuf does not write such."""
    assert placeholder in whole
    return whole.replace(placeholder, b"\xf0\x28\x8c\x28")


def up(link: str, **member: Any) -> bytes:
    """An encoded envelope of a link, for example up("Worker", hello={…})."""
    return message(f"{link}Up", **member).SerializeToString()


def hello(**replaced: Any) -> dict[str, Any]:
    return {"version": 1, "name": "test", "incarnation": INCARNATION, "capacity": 4, **replaced}


def publish(**replaced: Any) -> bytes:
    event = {"id": "", "type": "thing_changed", "audience": ["room:1"], "data": {"json": b"{}"}, **replaced}
    return up("Publisher", publish={"request_id": 7, "event": event})


# ---- Raw bytes

RAW = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a TLS greeting": bytes.fromhex("16030100a5010000a10303") + NOISE[:160],
    "line breaks": b"\r\n" * 100,
    "0xff": b"\xff" * 4096,
    "random bytes": NOISE,
    "a good greeting and then noise": b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48) + NOISE[:500],
    "another mechanism": b"\xff" + bytes(8) + b"\x7f\x03\x00NTLM" + bytes(48),
    "half a greeting": b"\xff" + bytes(8) + b"\x7f\x03",
}


@pytest.mark.parametrize("name", RAW)
def test_bytes_that_are_no_zeromq_are_counted(name: str, world: World) -> None:
    with ExitStack() as counted:
        for door in DOORS:
            counted.enter_context(world.counted(world.broker, "freshwire_refused_total", door=door))
        for door in DOORS:
            with RawSocket(world.broker.ports[door]) as raw:
                raw.send(RAW[name])


def test_greeting_that_never_ends_is_given_up(world: World) -> None:
    """Slow ones do not keep their connection for ever."""
    with ExitStack() as counted:
        for door in DOORS:
            counted.enter_context(
                world.counted(world.broker, "freshwire_refused_total", door=door, reason="handshake")
            )
        slow = [RawSocket(world.broker.ports[door]) for door in DOORS for _ in range(20)]
        for raw in slow:
            raw.send(b"\xff\0\0")
        for raw in slow:
            raw.read_until_end()
            raw.close()


# ---- Messages that are none

# The doors with envelopes: PublisherUp is answered by PublisherDown, and so on.
LINKS = {"publish": "Publisher", "jobs": "Worker", "control": "Gateway"}


def frames(link: str) -> dict[str, tuple[bytes, str]]:
    """Frames and the field that the refusal names."""
    good = up(link, hello=hello())
    return {
        "nothing": (b"", "message"),
        "random bytes": (NOISE[:500], ""),
        "zeros": (bytes(64), ""),
        "truncated": (good[:-7], ""),
        "a length beyond the end": (b"\x0a\x7f\x08\x01", ""),
        "a length of 2^63": (b"\x0a" + b"\xff" * 9 + b"\x01", ""),
        "an unknown kind": (b"\xfa\x01\x00", "message"),
        "a kind of another link": (message(f"{link}Down", welcome={"version": 1}).SerializeToString(), ""),
        "another version": (up(link, hello=hello(version=2)), "hello.version"),
        "no version": (up(link, hello=hello(version=0)), "hello.version"),
        "bad UTF-8": (bad_text(up(link, hello=hello(name="XXXX"))), "hello.name"),
        "a name that is too long": (up(link, hello=hello(name="x" * 129)), "hello.name"),
        "an incarnation that is too short": (up(link, hello=hello(incarnation=b"short")), "hello.incarnation"),
        "hello twice in one": (good + good, ""),
        "17 unknown fields": (good + b"\xf8\x07\x01" * 17, ""),
    }


@pytest.mark.parametrize("name", frames("Publisher"))
@pytest.mark.parametrize("door", LINKS)
def test_message_that_is_none_is_refused_and_the_link_lives_on(door: str, name: str, world: World) -> None:
    link = LINKS[door]
    frame, field = frames(link)[name]
    with Peer(zmq.DEALER, world.broker.ports[door]) as peer:
        with world.counted(world.broker, "freshwire_refused_total", door=door):
            peer.send(frame)
            answer = peer.receive(f"{link}Down")
        assert answer.WhichOneof("message") == "refusal", answer
        assert answer.refusal.reason
        assert field in answer.refusal.field
        if name == "another version":
            assert (answer.refusal.limit, answer.refusal.value) == (1, 2)
        peer.send(up(link, hello=hello()))
        assert peer.receive(f"{link}Down").WhichOneof("message") == "welcome"
        peer.send(up(link, goodbye={"reason": "done"}))


@pytest.mark.parametrize("door", ["fire", *LINKS])
def test_frame_beyond_every_limit_ends_its_connection_only(door: str, world: World) -> None:
    huge = bytes(FRAME_SIZE_MAX + 1)
    if door == "fire":
        hello_message = {"token": world.token("u1"), "subscriptions": [{"channel": "room:fired"}]}
        with Session(world.gateway.websocket + "/ws", hello_message) as listener:
            with Peer(zmq.PUB, world.broker.ports[door]) as peer:
                hear_what_is_fired(peer, listener)
                peer.send(huge)
                hear_what_is_fired(peer, listener)  # ZeroMQ has connected again by itself
        return
    link = LINKS[door]
    with Peer(zmq.DEALER, world.broker.ports[door]) as peer:
        peer.send(huge)

        def welcome() -> bool:
            peer.send(up(link, hello=hello()))
            peer.socket.rcvtimeo = 200
            try:
                return peer.receive(f"{link}Down").WhichOneof("message") == "welcome"
            except zmq.Again:
                return False

        wait_for(welcome, "ZeroMQ has connected again by itself")
        peer.send(up(link, goodbye={"reason": "done"}))


@pytest.mark.parametrize("door", LINKS)
def test_message_of_several_frames_disturbs_nobody(door: str, world: World) -> None:
    link = LINKS[door]
    with Peer(zmq.DEALER, world.broker.ports[door]) as peer:
        with world.counted(world.broker, "freshwire_refused_total", door=door):
            peer.send(b"one", b"two", b"", up(link, hello=hello()))
        peer.send(up(link, hello=hello()))
        wait_for(lambda: peer.receive(f"{link}Down").WhichOneof("message") == "welcome", "the link works")
        peer.send(up(link, goodbye={"reason": "done"}))


# ---- Events that break a rule

EVENTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "no audience": (lambda: publish(audience=[]), "audience"),
    "no type": (lambda: publish(type=""), "type"),
    "a reserved type": (lambda: publish(type="fw.welcome"), "type"),
    "a bad channel": (lambda: publish(audience=["room:1", "everybody"]), "audience[1]"),
    "a channel given twice": (lambda: publish(audience=["room:1", "room:1"]), "audience[1]"),
    "too many channels": (lambda: publish(audience=[f"room:{n}" for n in range(65)]), "audience[64]"),
    "bad UTF-8 in a channel": (lambda: bad_text(publish(audience=["room:XXXX"])), "audience[0]"),
    "bad UTF-8 in the origin": (lambda: bad_text(publish(origin="XXXX")), "origin"),
    "data that is not JSON": (lambda: publish(data={"json": b"{"}), "data"),
    "data that is not UTF-8": (lambda: publish(data={"json": b'"\xff"'}), "data"),
    "data that is nested too deeply": (lambda: publish(data={"json": b"[" * 65 + b"]" * 65}), "data"),
    "too much data": (lambda: publish(data={"binary": bytes(65537)}), "data"),
    "data of another type": (lambda: publish(data={"project_created": {"id": "1"}}), "type"),
    "too many keys": (lambda: publish(invalidate={"keys": [f"k{n}" for n in range(1001)]}), "invalidate.keys"),
    "a pattern for everything": (lambda: publish(invalidate={"patterns": ["*"]}), "invalidate.patterns[0]"),
    "an id that is too long": (lambda: publish(id="x" * 129), "id"),
}


@pytest.mark.parametrize("name", EVENTS)
def test_event_that_breaks_a_rule_is_rejected_with_its_field(name: str, world: World) -> None:
    frame, field = EVENTS[name][0](), EVENTS[name][1]
    with Peer(zmq.DEALER, world.broker.ports["publish"]) as peer:
        with world.counted(world.broker, "freshwire_refused_total", door="publish"):
            peer.send(frame)
            answer = peer.receive("PublisherDown")
        assert answer.WhichOneof("message") == "ack"
        assert (answer.ack.request_id, answer.ack.status) == (7, 5), "rejected"
        assert field in answer.ack.refusal.field and answer.ack.refusal.reason
        if "too many" in name or "too much" in name or "too long" in name:
            assert answer.ack.refusal.value > answer.ack.refusal.limit > 0
        peer.send(publish())
        assert peer.receive("PublisherDown").ack.status == 1, "a good one is accepted"


def hear_what_is_fired(peer: Peer, listener: Session) -> None:
    """Until an event of this peer has gone through: what is sent before the connection is up is lost on this link."""
    before = len(listener.events)

    def heard() -> bool:
        peer.send(publish(audience=["room:fired"]))
        return len(listener.events) > before

    wait_for(heard, "an event that was fired is heard")


@pytest.mark.parametrize("name", [*EVENTS, "random bytes", "nothing", "hello", "truncated"])
def test_bad_event_that_is_fired_is_counted_and_dropped(name: str, world: World) -> None:
    others = {
        "random bytes": NOISE[:300],
        "nothing": b"",
        "hello": up("Publisher", hello=hello()),
        "truncated": publish()[:-9],
    }
    frame = others[name] if name in others else EVENTS[name][0]()
    with Peer(zmq.PUB, world.broker.ports["fire"]) as peer:
        before = world.broker.metrics().value("freshwire_refused_total", door="fire")

        def counted() -> bool:
            # What is sent before the connection is up is lost on this link.
            peer.send(frame)
            return world.broker.metrics().value("freshwire_refused_total", door="fire") > before

        wait_for(counted, "it is counted")


# ---- Workers, gateways and subscribers that are none


@pytest.mark.parametrize("capacity", [0, 100001])
def test_worker_without_a_sensible_capacity_is_refused(capacity: int, world: World) -> None:
    with Peer(zmq.DEALER, world.broker.ports["jobs"]) as peer:
        peer.send(up("Worker", hello=hello(capacity=capacity)))
        answer = peer.receive("WorkerDown")
        assert answer.refusal.field == "hello.capacity"
        assert (answer.refusal.limit, answer.refusal.value) == (100000, capacity)


def test_answer_to_a_job_that_it_was_not_given_changes_nothing(world: World) -> None:
    with Peer(zmq.DEALER, world.broker.ports["jobs"]) as peer:
        # One that never said hello is not listened to.
        for job in range(1, 200):
            peer.send(up("Worker", done={"job_id": job, "redis_time": 1}))
        peer.send(bad_text(up("Worker", failed={"job_id": 1, "reason": "XXXX"})))
        assert peer.receive("WorkerDown").refusal.field == "failed.reason"


def test_question_that_is_none_is_refused(world: World) -> None:
    with Peer(zmq.DEALER, world.broker.ports["control"]) as peer:
        for fields, field in (
            ({"positions": {"request_id": 1, "channels": ["everybody"]}}, "positions.channels[0]"),
            ({"positions": {"request_id": 1, "channels": [f"room:{n}" for n in range(513)]}}, "positions.channels"),
            ({"replay": {"request_id": 1, "channel": "user:", "since": {"epoch": 1}}}, "replay.channel"),
            ({"replay": {"request_id": 1, "channel": "x" * 300, "since": {"epoch": 1}}}, "replay.channel"),
        ):
            with world.counted(world.broker, "freshwire_refused_total", door="control"):
                peer.send(up("Gateway", **fields))
                answer = peer.receive("GatewayDown")
            assert answer.WhichOneof("message") == "refusal"
            assert field in answer.refusal.field
        # A place in the future is no error: it is answered by a reset, and without limit asked for means the usual one.
        peer.send(up("Gateway", replay={"request_id": 2, "channel": "room:1", "since": {"epoch": 1, "offset": 2**63}}))
        assert peer.receive("GatewayDown").replay.status == 3
        peer.send(bad_text(up("Gateway", positions={"request_id": 1, "channels": ["room:XXXX"]})))
        assert "positions.channels[0]" in peer.receive("GatewayDown").refusal.field


def test_subscription_that_is_none_is_counted(world: World) -> None:
    with Peer(zmq.XSUB, world.broker.ports["events"]) as peer:
        peer.send(b"\x01!hb")
        assert peer.socket.recv().startswith(b"!hb")
        for noise, reason in (
            (b"\x02room", "malformed"),
            (NOISE[:400].lstrip(b"\0\1"), "malformed"),
            (b"\x01~" + b"x" * 64, "rule"),
        ):
            with world.counted(world.broker, "freshwire_refused_total", door="events", reason=reason):
                peer.send(noise)
        peer.send(b"\x01" + bytes(4096))  # a topic that nothing is ever sent to
        peer.send(b"\x00never subscribed")
        peer.send(b"\x01~fence")
        wait_for(lambda: peer.socket.recv() == b"~fence", "the fence comes back")
