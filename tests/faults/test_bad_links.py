# SPDX-License-Identifier: MPL-2.0
"""Bad input at the broker's doors beyond tests/e2e/test_bad_input_links.py: masses of it, mutations of good messages,
answers to jobs of others, replays that cannot be, numbers that run backwards. A bystander works on beside it."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Iterator

import pytest
import zmq

from stack import Session, wait_for
from stack.bystander import World
from stack.raw_socket import RawSocket
from stack.wire import Peer, message

from harness.cluster import LINKS, PUBLISH_KEY, SECRET

UP = {"publish": "Publisher", "jobs": "Worker", "control": "Gateway"}
FRAME_SIZE_MAX = 1024 * 1024
MIB = 1024


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("bad-links")
    admin = ["--admin-listen", "127.0.0.1:0"]
    ports = [flag for link in LINKS for flag in (f"--broker-ports-{link}", "0")]
    gateway = ["--gateway-listen", "127.0.0.1:0", "--gateway-drain-delay", "0", "--gateway-drain-window", "0"]
    env = {"FRESHWIRE_GATEWAY_JWT_SECRET": SECRET, "FRESHWIRE_GATEWAY_PUBLISH_KEYS": PUBLISH_KEY}
    made = World(folder, admin + ports, admin + gateway, env)
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def nobody_else_notices(world: World) -> Iterator[None]:
    yield
    for daemon in (world.broker, world.worker, world.gateway):
        assert daemon.running()
    world.bystander.check()
    for peers, count in (("workers", 2), ("gateways", 1)):
        wait_for(lambda: world.broker.metrics()[f"freshwire_broker_{peers}"] == count, f"{peers} are {count}")


def up(link: str, **member: Any) -> bytes:
    return bytes(message(f"{link}Up", **member).SerializeToString())


def hello(**replaced: Any) -> dict[str, Any]:
    return {"version": 1, "name": "test", "incarnation": bytes(range(16)), "capacity": 4, **replaced}


def event(**replaced: Any) -> dict[str, Any]:
    return {"type": "thing_changed", "audience": ["room:1"], "data": {"json": b"{}"}, **replaced}


def greet(peer: Peer, link: str) -> None:
    peer.send(up(link, hello=hello()))
    wait_for(lambda: peer.receive(f"{link}Down").WhichOneof("message") == "welcome", "welcome")


def rss_kib(world: World) -> int:
    status = Path(f"/proc/{world.broker.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1])


def fds(world: World) -> int:
    return len(list(Path(f"/proc/{world.broker.process.pid}/fd").iterdir()))


# ---- 41: greetings

GREETINGS = {
    "nothing at all": b"",
    "half a greeting": b"\xff" + bytes(8) + b"\x7f\x03",
    "ZMTP 1": b"\x01\x00",
    "ZMTP 2": b"\xff" + bytes(7) + b"\x01\x7f\x01\x05\x00\x00",
    "a TLS greeting": bytes.fromhex("16030100a5010000a10303"),
    "line breaks": b"\r\n" * 200,
}


@pytest.mark.fault(41)
@pytest.mark.parametrize(
    "name", [name if "half" in name else pytest.param(name, marks=pytest.mark.nightly) for name in GREETINGS]
)
def test_five_hundred_slow_greetings_are_all_given_up(name: str, world: World) -> None:
    before = fds(world)
    crowd = [RawSocket(world.broker.ports[door]) for door in LINKS for _ in range(100)]
    try:
        for one in crowd:
            one.send(GREETINGS[name])
        wait_for(lambda: fds(world) > before or name != "nothing at all", "they are taken")
        # Nobody else has to wait for them.
        with Peer(zmq.DEALER, world.broker.ports["publish"]) as peer:
            began = time.monotonic()
            greet(peer, "Publisher")
            assert time.monotonic() - began < 2
            peer.send(up("Publisher", goodbye={"reason": "done"}))
        wait_for(lambda: fds(world) <= before + 2, f"all but {before} descriptors are free again", 45)
    finally:
        for one in crowd:
            one.close()


# ---- 42: mutations of what is right


def good_frames(link: str) -> list[bytes]:
    publish = {"request_id": 7, "level": 1, "event": event(invalidate={"keys": ["a"], "tags": ["b"]})}
    return {
        "Publisher": [up("Publisher", hello=hello()), up("Publisher", publish=publish), up("Publisher", ping={})],
        "Worker": [
            up("Worker", done={"job_id": 1, "redis_time": 5, "stamps": [{"tag": "a", "stamp": 9}]}),
            up("Worker", failed={"job_id": 1, "retryable": True, "reason": "because"}),
            up("Worker", ping={"number": 3}),
        ],
        "Gateway": [
            up("Gateway", positions={"request_id": 1, "channels": ["room:1", "user:7"]}),
            up("Gateway", replay={"request_id": 2, "channel": "room:1", "since": {"epoch": 1, "offset": 2}}),
            up("Gateway", ping={"number": 3}),
        ],
    }[link]


# 2^63, 2^31, 0, and as long as 32 bits can say.
LENGTHS = (b"\xff" * 9 + b"\x01", b"\x80\x80\x80\x80\x08", b"\x00", b"\xff\xff\xff\xff\x7f")


def mutated(frame: bytes, randomness: random.Random) -> bytes:
    data = bytearray(frame)
    for _ in range(randomness.randint(1, 4)):
        what = randomness.randrange(5)
        at = randomness.randrange(len(data) + 1)
        if what == 0 and at < len(data):
            data[at] = randomness.randrange(256)
        elif what == 1:
            data[at:at] = randomness.randbytes(randomness.randint(1, 8))
        elif what == 2:
            del data[at : at + randomness.randint(1, 8)]
        elif what == 3:
            data[at:at] = randomness.choice(LENGTHS)
        else:
            data += data[: randomness.randint(0, len(data))]
    return bytes(data)


@pytest.mark.fault(42)
@pytest.mark.fault(43)
@pytest.mark.parametrize("door", UP)
def test_twenty_thousand_mutations_of_good_messages_change_nothing(door: str, world: World, seed: int) -> None:
    randomness, link = random.Random(seed), UP[door]
    before = world.broker.metrics().value("freshwire_refused_total", door=door)
    with Peer(zmq.DEALER, world.broker.ports[door]) as peer:
        frames = good_frames(link)
        for number in range(20_000):
            peer.send(mutated(randomness.choice(frames), randomness))
            if number % 500 == 0:
                while peer.socket.poll(0):
                    peer.socket.recv()
        # Mutations may be right: the answer that counts is the one to this very number, after all of them.
        peer.send(up(link, hello=hello(capacity=1)))
        peer.send(up(link, ping={"number": 20_000_001}))
        answered = time.monotonic() + 20
        while True:
            answer = peer.receive(f"{link}Down")
            if answer.WhichOneof("message") == "pong" and answer.pong.number == 20_000_001:
                break
            assert time.monotonic() < answered, "no answer after the noise"
        peer.send(up(link, goodbye={"reason": "done"}))
    refused = world.broker.metrics().value("freshwire_refused_total", door=door) - before
    print(f"{refused:g} of 20000 were refused")
    assert refused > 5_000, "noise that nobody refuses is no noise"


# ---- 43, 50: sizes


@pytest.mark.fault(43)
@pytest.mark.fault(50)
@pytest.mark.parametrize("size", [0, 1, 4096, "as much as is taken", "one byte more"])
def test_data_of_every_size_is_taken_whole_or_refused(size: Any, world: World) -> None:
    with Peer(zmq.DEALER, world.broker.ports["publish"]) as peer:
        peer.send(up("Publisher", hello=hello()))
        limit = peer.receive("PublisherDown").welcome.event_bytes_max
        assert limit >= 65536
        wanted = {"as much as is taken": limit, "one byte more": limit + 1}.get(size, size)
        data = bytes(index % 251 for index in range(wanted))
        channels = [f"room:sized-{index}" for index in range(64)]
        # Bytes that are no JSON travel as they are, into as many channels as an event may have.
        publish = {"request_id": 5, "level": 1, "event": event(data={"binary": data}, audience=channels)}
        frame = up("Publisher", publish=publish)
        if len(frame) > FRAME_SIZE_MAX:
            pytest.fail(f"an event with {wanted} bytes does not fit into a frame, but the broker offers so many")
        peer.send(frame)
        ack = peer.receive("PublisherDown").ack
        if wanted <= limit:
            assert (ack.status, len(ack.positions)) == (1, 64), ack
        else:
            assert ack.status == 5 and ack.refusal.limit == limit and ack.refusal.value == wanted, ack
        peer.send(up("Publisher", goodbye={"reason": "done"}))


# ---- 44: topics and names


@pytest.mark.nightly
@pytest.mark.fault(44)
def test_topics_of_every_length_subscribe_nobody_to_somebody_elses(world: World) -> None:
    with Peer(zmq.XSUB, world.broker.ports["events"]) as peer:
        for size in (1, 200, *range(246, 256), 4096):
            peer.send(b"\x01" + b"\x00*? " [: min(size, 4)] + b"x" * max(0, size - 4))
        peer.send(b"\x01" + "rä\u0000\ud7ff".encode() + b"\xff\xfe")
        peer.send(b"\x01~fence")
        wait_for(lambda: peer.socket.recv() == b"~fence", "the broker goes on")
        reached = world.bystander.offset + 20
        wait_for(lambda: world.bystander.offset > reached, "events go by")
        assert not peer.socket.poll(0), "none of them is for this peer"


@pytest.mark.fault(44)
def test_channel_whose_name_begins_as_another_is_another(world: World) -> None:
    names = ["user:1", "user:10", "user:100", "room:a", "room:ab", "room:a:b", "room:*", "room:a b", "room:Ä"]
    sessions = {
        user: Session(world.gateway.websocket + "/ws", {"token": world.token(user), "subscriptions": []})
        for user in ("1", "10", "100")
    }
    rooms = [{"channel": name} for name in names if name.startswith("room")]
    everyone = Session(world.gateway.websocket + "/ws", {"token": world.token("9"), "subscriptions": rooms})
    with Peer(zmq.DEALER, world.broker.ports["publish"]) as peer:
        greet(peer, "Publisher")
        for number, name in enumerate(names):
            one = event(audience=[name], type="for_one", data={"json": b'"%s"' % name.encode()})
            peer.send(up("Publisher", publish={"request_id": number + 1, "event": one}))
        last = event(audience=[*names, "broadcast"], type="last")
        peer.send(up("Publisher", publish={"request_id": 99, "event": last}))
        peer.send(up("Publisher", goodbye={"reason": "done"}))
        for session in (*sessions.values(), everyone):
            session.receive(lambda one: one["type"] == "last" and one["channel"] == "broadcast")
    for user, session in sessions.items():
        session.receive(lambda one: one["type"] == "last" and one["channel"] == f"user:{user}")
        heard = [one for one in session.events if one["type"] == "for_one"]
        assert [one["data"] for one in heard] == [f"user:{user}"]
        session.close()
    heard = [one for one in everyone.events if one["type"] == "for_one"]
    assert [one["data"] for one in heard] == [name for name in names if name.startswith("room")]
    assert all(one["channel"] == one["data"] for one in heard)
    everyone.close()


NO_NAMES = {
    "empty": "", "no id": "room:", "NUL": "room:a\0b", "line break": "room:a\nb", "capital": "Room:1",
    "too long": "room:" + "x" * 300, "star": "*", "broadcast with an id": "broadcast:1", "user alone": "user",
}  # fmt: skip


@pytest.mark.fault(44)
@pytest.mark.parametrize("name", NO_NAMES.values(), ids=NO_NAMES.keys())
def test_channel_name_that_is_none_is_refused_at_both_doors(name: str, world: World) -> None:
    with Peer(zmq.DEALER, world.broker.ports["publish"]) as peer:
        greet(peer, "Publisher")
        peer.send(up("Publisher", publish={"request_id": 3, "event": event(audience=[name])}))
        ack = peer.receive("PublisherDown").ack
        assert (ack.request_id, ack.status) == (3, 5)
        assert "audience[0]" in ack.refusal.field
        peer.send(up("Publisher", goodbye={"reason": "done"}))
    with Session(world.gateway.websocket + "/ws", {"token": world.token("u1"), "subscriptions": []}) as session:
        session.send({"type": "fw.subscribe", "request_id": "7", "channel": name})
        answer = session.receive("fw.error")
        assert answer["code"] in (4400, 4403) and not answer["temporary"], answer


# ---- 46: sockets of another kind

KINDS = {name: getattr(zmq, name) for name in ("REQ", "REP", "PUSH", "PULL", "PAIR", "PUB", "SUB")}


@pytest.mark.nightly
@pytest.mark.fault(46)
@pytest.mark.parametrize("kind", KINDS)
def test_socket_of_another_kind_is_taken_by_no_door(kind: str, world: World) -> None:
    """The side that connects may notice first and leave: so it comes again, until a door has counted it."""
    sockets = []
    before = world.broker.metrics()["freshwire_refused_total"]

    def knock() -> bool:
        for door in LINKS:
            one = zmq.Context.instance().socket(KINDS[kind])
            one.linger = 0
            one.sndtimeo = 0
            one.connect(world.broker.ports[door])
            sockets.append(one)
            if kind == "REQ":
                with suppress(zmq.Again):  # it can only be sent once the other side is there
                    one.send(up("Publisher", hello=hello()))  # with REQ's empty frame before it
        return world.broker.metrics()["freshwire_refused_total"] > before

    wait_for(knock, "a door has counted it", every_s=0.5)
    for one in sockets:
        assert not one.poll(0), "nobody answers"
        one.close()


# ---- 47: replays


@pytest.mark.nightly
@pytest.mark.fault(47)
def test_replay_that_cannot_be_is_a_reset_and_a_hundred_thousand_are_bounded(world: World) -> None:
    def ask(peer: Peer, **fields: Any) -> Any:
        peer.send(up("Gateway", replay={"request_id": 1, "channel": "room:replayed", **fields}))
        while (answer := peer.receive("GatewayDown")).WhichOneof("message") != "replay":
            pass
        return answer.replay

    with Peer(zmq.DEALER, world.broker.ports["publish"]) as publisher:
        greet(publisher, "Publisher")
        for number in range(300):
            one = event(audience=["room:replayed"], data={"binary": bytes(500)})
            publisher.send(up("Publisher", publish={"request_id": number + 1, "level": 1, "event": one}))
            ack = publisher.receive("PublisherDown").ack
        publisher.send(up("Publisher", goodbye={"reason": "done"}))
    epoch, top = ack.positions[0].position.epoch, ack.positions[0].position.offset
    assert top == 300
    with Peer(zmq.DEALER, world.broker.ports["control"]) as peer:
        greet(peer, "Gateway")
        complete, more, reset = 1, 2, 3
        assert ask(peer, since={"epoch": epoch, "offset": top}, limit=256).status == complete
        assert ask(peer, since={"epoch": epoch, "offset": top + 1}).status == reset
        assert ask(peer, since={"epoch": epoch, "offset": 2**64 - 1}).status == reset
        assert ask(peer, since={"epoch": epoch + 1, "offset": 1}).status == reset
        for limit in (0, 1, 256, 257, 2**32 - 1):
            answer = ask(peer, since={"epoch": epoch, "offset": 0}, limit=limit)
            assert answer.status == more and 1 <= len(answer.deliveries) <= 256
            assert [one.position.offset for one in answer.deliveries] == list(range(1, len(answer.deliveries) + 1))
        unknown = ask(peer, channel="room:never-heard-of", since={"epoch": epoch, "offset": 3})
        assert unknown.status == reset and not unknown.deliveries
        # As many as a gateway with 100,000 channels might ask for, all at once, without reading an answer.
        before = rss_kib(world)
        peer.socket.rcvhwm = 1
        request = {"request_id": 9, "channel": "room:replayed", "since": {"epoch": epoch}, "limit": 256}
        frame = up("Gateway", replay=request)
        highest = before
        for number in range(100_000):
            peer.send(frame)
            if number % 2000 == 0:
                highest = max(highest, rss_kib(world))
        grown = max(highest, rss_kib(world)) - before
        assert grown < 400 * MIB, f"{grown // 1024} MiB of answers wait for one who does not read"


# ---- 48: answers to jobs


@pytest.mark.fault(48)
def test_answers_to_jobs_that_are_late_repeated_or_of_others_are_counted_and_ignored(world: World) -> None:
    with Peer(zmq.DEALER, world.broker.ports["jobs"]) as peer, ExitStack() as stack:
        peer.send(up("Worker", hello=hello(capacity=64)))
        jobs: list[int] = []
        peer.socket.rcvtimeo = 500
        # More at once than the other workers have in their hands: it gets its share.
        publisher = stack.enter_context(Peer(zmq.DEALER, world.broker.ports["publish"]))
        greet(publisher, "Publisher")
        for number in range(300):
            one = event(audience=["room:jobs"], invalidate={"tags": [f"job-{number}"]})
            publisher.send(up("Publisher", publish={"request_id": number + 1, "level": 1, "event": one}))
        held_until = time.monotonic() + 2
        while time.monotonic() < held_until or not jobs:
            assert time.monotonic() < held_until + 10, "the broker gives it some"
            try:
                answer = peer.receive("WorkerDown")
            except zmq.Again:
                peer.send(up("Worker", ping={"number": 1}))
                continue
            if answer.WhichOneof("message") == "job":
                # Held back beyond the 200 ms after which another worker gets it too.
                jobs.append(answer.job.job_id)
        with world.counted(world.broker, "freshwire_broker_job_answers_ignored_total"):
            for job in jobs:
                peer.send(up("Worker", done={"job_id": job, "redis_time": 1}))
                peer.send(up("Worker", done={"job_id": job, "redis_time": 2**63}))
                peer.send(up("Worker", failed={"job_id": job, "retryable": False, "reason": "too late"}))
            for job in (0, 1, 2**64 - 1, max(jobs) + 100_000):
                peer.send(up("Worker", done={"job_id": job, "redis_time": 1}))
        peer.send(up("Worker", goodbye={"reason": "done"}))


# ---- 49: numbers and ids of publishers


@pytest.mark.fault(49)
def test_numbers_of_a_fire_and_forget_publisher_may_run_as_they_like(world: World) -> None:
    listens = {"token": world.token("u1"), "subscriptions": [{"channel": "room:fired"}]}
    with Session(world.gateway.websocket + "/ws", listens) as session:
        with Peer(zmq.PUB, world.broker.ports["fire"]) as peer:
            sent = 0

            def fire(sequence: int) -> None:
                nonlocal sent
                sent += 1
                one = event(audience=["room:fired"], data={"json": b"%d" % sent})
                fields = {"sequence": sequence, "incarnation": bytes(range(16)), "event": one}
                peer.send(up("Publisher", publish=fields))

            def connected() -> bool:
                fire(0)
                return bool([one for one in session.events if one["channel"] == "room:fired"])

            wait_for(connected, "the link is up", every_s=0.05)
            first = sent + 1
            numbers = (1, 2, 3, 10, 4, 4, 1000, 999, 0, 0, 3, 1001)
            for sequence in numbers:
                fire(sequence)
            last = sent
            session.receive(lambda one: one.get("data") == last, 10)
        heard = [one["data"] for one in session.events if one["channel"] == "room:fired" and one["data"] >= first]
        assert heard == sorted(heard)
        # A number that was there before may be taken for a repetition; whatever is new, or has no number, is not.
        again = {first + index for index, sequence in enumerate(numbers) if sequence in numbers[:index] and sequence}
        assert set(range(first, last + 1)) - again <= set(heard)


@pytest.mark.fault(49)
def test_id_that_is_used_again_for_something_else_is_the_first_event(world: World) -> None:
    with Peer(zmq.DEALER, world.broker.ports["publish"]) as peer:
        greet(peer, "Publisher")

        def publish(request_id: int, **members: Any) -> Any:
            peer.send(up("Publisher", publish={"request_id": request_id, "level": 1, "event": event(**members)}))
            return peer.receive("PublisherDown").ack

        first = publish(1, id="used-twice", audience=["room:first"], data={"json": b"1"})
        again = publish(2, id="used-twice", audience=["room:other", "broadcast"], data={"json": b"2"})
        assert (first.status, again.status) == (1, 2)
        assert again.positions == first.positions
        peer.send(up("Publisher", goodbye={"reason": "done"}))
