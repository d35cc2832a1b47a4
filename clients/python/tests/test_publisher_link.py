# SPDX-License-Identifier: MPL-2.0
"""The link itself, with a clock of the test's own: no socket, no thread, no waiting."""

from __future__ import annotations

import random
from typing import Any

import pytest

import freshwire
from freshwire._proto import publish_pb2
from freshwire.events import Event
from freshwire.publisher import _wire
from freshwire.publisher._link import Link


class Bench:
    """A link, its clock, and what it said."""

    def __init__(self, seed: int = 1, **options: Any) -> None:
        self.now = 100.0
        self.outcomes: dict[str, Any] = {}
        settings = {"name": "test", "endpoint": "tcp://x:1", "incarnation": bytes(16)}
        settings |= {"queue_max": 100, "in_flight_max": 100, **options}
        self.link = Link(**settings, randomness=random.Random(seed))

    def submit(self, id: str, timeout: float = 5.0, data: Any = None) -> int:
        assert id not in self.outcomes

        def done(outcome: Any) -> None:
            assert id not in self.outcomes, "two outcomes for one event"
            self.outcomes[id] = outcome

        message = _wire.event_message(Event.make("x", id=id, data=data))
        return self.link.submit(id, message, 2, timeout, self.now, done)

    def step(self, seconds: float = 0.0) -> list[Any]:
        self.now += seconds
        return [publish_pb2.PublisherUp.FromString(frame) for frame in self.link.step(self.now)]

    def sent(self, seconds: float = 0.0) -> list[str]:
        return [frame.publish.event.id for frame in self.step(seconds) if frame.HasField("publish")]

    def receive(self, **message: Any) -> None:
        self.link.received(publish_pb2.PublisherDown(**message).SerializeToString(), self.now)

    def ack(self, number: int, status: int = 1, **fields: Any) -> None:
        self.receive(ack={"request_id": number, "status": status, **fields})

    def up(self, credit: int = 10, **welcome: Any) -> Bench:
        assert self.link.wants_socket(self.now)
        self.link.opened(self.now)
        assert [frame.WhichOneof("message") for frame in self.step()] == ["hello"]
        self.receive(welcome={"version": 1, "credit": credit, **welcome})
        return self


def test_nothing_is_sent_before_welcome_and_hello_is_repeated():
    bench = Bench()
    bench.submit("a")
    bench.link.opened(bench.now)
    assert [frame.WhichOneof("message") for frame in bench.step()] == ["hello"]
    assert bench.step(0.5) == []
    assert [frame.WhichOneof("message") for frame in bench.step(0.5)] == ["hello"]
    bench.receive(welcome={"version": 1, "credit": 1})
    assert bench.sent() == ["a"]


def test_three_seconds_of_silence_end_the_socket_and_the_wait_grows():
    bench = Bench()
    waits = []
    for _ in range(8):
        assert bench.link.wants_socket(bench.now)
        bench.link.opened(bench.now)
        bench.step(2.999)
        assert bench.link.wants_socket(bench.now)
        bench.step(0.001)
        assert not bench.link.wants_socket(bench.now)
        waits.append(bench.link.wake_at() - bench.now)
        bench.now = bench.link.wake_at()
    assert all(0.05 <= wait <= 2.0 for wait in waits)
    assert max(waits) > 0.4


def test_silence_is_noticed_exactly_when_wake_at_says():
    bench = Bench().up()
    for _ in range(20):
        bench.now = max(bench.now, bench.link.wake_at())
        bench.step()
        if not bench.link.wants_socket(bench.now):
            break
    assert bench.now == pytest.approx(103.0)


def test_any_frame_counts_as_life_but_garbage_does_not():
    bench = Bench().up()
    for _ in range(5):
        bench.step(2.0)
        bench.receive(pong={"number": 1})
    bench.step(2.0)
    bench.link.received(b"\xff\xff", bench.now)
    bench.step(1.0)
    assert not bench.link.wants_socket(bench.now)
    assert bench.link.stats().bad_frames == 1


def test_unanswered_event_is_sent_again_on_a_link_that_lives():
    bench = Bench().up()
    number = bench.submit("a", timeout=60)
    assert bench.sent() == ["a"]
    bench.receive(pong={})
    assert bench.sent(2.9) == []
    bench.receive(pong={})
    assert bench.sent(0.1) == ["a"]
    bench.ack(number, 2)
    bench.ack(number, 1)  # The answer to the first one, late.
    assert bench.outcomes["a"].duplicate
    assert bench.link.stats().in_flight == 0


def test_data_larger_than_this_broker_takes_is_rejected_not_sent():
    bench = Bench().up(event_bytes_max=20)
    for name, data in (("json", "x" * 18), ("binary", b"x" * 20), ("none", None)):
        bench.submit(name, data=data)
    assert bench.sent() == ["json", "binary", "none"]
    bench.submit("too large", data="x" * 19)
    assert bench.sent() == []
    refused = bench.outcomes["too large"]
    assert (refused.field, refused.limit, refused.value) == ("data", 20, 21)


def test_memory_follows_what_waits_and_not_what_was_sent():
    bench = Bench().up()
    for number in range(5000):
        bench.ack(bench.submit(f"e{number}", timeout=3600), credit=10)
        bench.step(0.001)
    assert bench.link.pending == 0
    assert len(bench.link._timers) < 200


def test_refusals_do_not_become_a_loop():
    bench = Bench().up()
    bench.submit("a", timeout=60)
    hellos = 0
    for _ in range(1000):  # Ten seconds of a broker that refuses whatever it gets.
        for frame in bench.step(0.01):
            hellos += frame.HasField("hello")
            if frame.HasField("hello"):
                bench.receive(welcome={"version": 1, "credit": 10})
            else:
                bench.receive(refusal={"reason": "no"})
    assert 8 <= hellos <= 11


def test_another_broker_behind_the_same_connection_gets_everything_again():
    bench = Bench().up()
    bench.submit("a")
    assert bench.sent() == ["a"]
    bench.receive(welcome={"version": 1, "credit": 10})
    assert bench.sent() == []  # The same broker: nothing to repeat.
    bench.receive(welcome={"version": 1, "credit": 10, "incarnation": b"another broker.."})
    assert bench.sent() == ["a"]


def test_welcome_of_another_version_is_no_welcome():
    bench = Bench()
    bench.submit("a")
    bench.link.opened(bench.now)
    bench.receive(welcome={"version": 2, "credit": 10})
    assert bench.sent() == []
    assert bench.link.stats().bad_frames == 1


def test_unknown_status_is_counted_and_the_event_keeps_waiting():
    bench = Bench().up()
    number = bench.submit("a")
    bench.sent()
    bench.ack(number, 0)
    assert bench.outcomes == {}
    assert bench.link.stats().bad_frames == 1
    bench.ack(number, 1)
    assert bench.outcomes["a"].id == ""


def test_closing_ends_everything_and_wants_no_socket_ever():
    bench = Bench().up()
    bench.submit("a")
    bench.link.close()
    assert isinstance(bench.outcomes["a"], freshwire.ClosedError)
    assert not bench.link.wants_socket(bench.now + 1e9)


@pytest.mark.parametrize("seed", range(300))
def test_whatever_happens_each_event_gets_one_outcome_and_the_window_holds(seed):
    """Random answers, losses, silences and time; the seed is in the test's name."""
    randomness = random.Random(seed)
    window = randomness.choice([1, 2, 5])
    bench = Bench(seed, queue_max=20, in_flight_max=window)
    outstanding: dict[int, str] = {}  # What a broker behind the present socket has not answered.
    handed_in: list[str] = []
    for round_number in range(200):
        action = randomness.random()
        if action < 0.3 and bench.link.pending < 20 and round_number < 150:
            handed_in.append(f"e{len(handed_in)}")
            bench.submit(handed_in[-1], timeout=randomness.choice([1, 10, 60]))
        elif action < 0.4:
            bench.link.lost(bench.now)
            outstanding.clear()
        elif action < 0.5:
            bench.receive(welcome={"version": 1, "credit": randomness.choice([0, 1, 3])})
        elif action < 0.55:
            bench.receive(refusal={"reason": "who are you"})
            outstanding.clear()
        elif outstanding and action < 0.9:
            number = randomness.choice(list(outstanding))
            status = randomness.choice([1, 1, 2, 3, 4, 5])
            del outstanding[number]
            credit = randomness.choice([0, 1, 3])
            bench.ack(number, status, credit=credit, retry_after_ms=randomness.choice([0, 50]))
        frames = bench.step(randomness.choice([0, 0.01, 0.3, 1.0]))
        if not bench.link.wants_socket(bench.now):
            outstanding.clear()
        elif bench.link._state == "down":
            bench.link.opened(bench.now)
        for frame in frames:
            if frame.HasField("publish"):
                outstanding[frame.publish.request_id] = frame.publish.event.id
        stats = bench.link.stats()
        assert 0 <= stats.in_flight <= window
        assert stats.in_flight + stats.waiting == bench.link.pending
        assert bench.link.wake_at() < bench.now + 120
    bench.step(100)  # Beyond every deadline.
    assert sorted(bench.outcomes) == sorted(handed_in)
    assert bench.link.pending == 0 and bench.link.stats().in_flight == 0
