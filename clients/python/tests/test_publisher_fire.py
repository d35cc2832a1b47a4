# SPDX-License-Identifier: MPL-2.0
"""FirePublisher: its link without I/O, and against an XSUB on a real socket."""

from __future__ import annotations

import random
import time

import pytest
import zmq

import freshwire
from freshwire._proto import publish_pb2
from freshwire.events import Event
from freshwire.publisher import FirePublisher, NotConnectedError, _fire_link, _wire
from freshwire.publisher._fire_link import FireLink

MINE = bytes(range(16))
SUBSCRIBED, LEFT = b"\1", b"\0"


def message(size: int = 0):
    return _wire.event_message(Event.make("x", audience="broadcast", data="a" * size))


def up(frame: bytes):
    decoded = publish_pb2.PublisherUp.FromString(frame)
    return getattr(decoded, decoded.WhichOneof("message"))


def missing(first: int, count: int, incarnation: bytes = MINE) -> bytes:
    asked = {"incarnation": incarnation, "first": first, "count": count}
    return publish_pb2.PublisherDown(fire_missing=asked).SerializeToString()


@pytest.fixture
def link():
    link = FireLink(incarnation=MINE, randomness=random.Random(1))
    link.opened(0.0)
    link.received(SUBSCRIBED, 0.0)
    return link


def test_nonsense_is_counted_and_changes_nothing(link):
    link.step(0.0)
    for frame in (b"", b"\xff", b"\1room", publish_pb2.PublisherDown(pong={}).SerializeToString()):
        link.received(frame, 1.0)
    link.received(missing(1, 5, bytes(16)), 1.0)
    link.received(missing(0, 0), 1.0)
    link.received(missing(7, 2**32 - 1), 1.0)
    assert link.stats().bad_frames == 4
    assert link.connected and link.step(1.0) == []


def test_a_socket_without_a_subscription_is_given_up_after_three_seconds():
    link = FireLink(incarnation=MINE, randomness=random.Random(1))
    assert link.wants_socket(0.0)
    link.opened(0.0)
    link.step(2.9)
    assert link.wants_socket(2.9)
    link.step(3.0)
    assert not link.wants_socket(3.0) and link.wants_socket(3.0 + _fire_link.REOPEN_CAP)
    waits = []
    for round in range(20):
        now = 100.0 * round + 10
        link.opened(now)
        link.step(now + 3)
        waits.append(link.wake_at() - now - 3)
    assert min(waits) >= _fire_link.REOPEN_FLOOR and max(waits) <= _fire_link.REOPEN_CAP
    assert len(set(waits)) == 20  # Jittered.


def test_marks_come_with_the_connection_and_each_second_while_there_is_something_new(link):
    [mark] = link.step(0.0)
    assert (up(mark).incarnation, up(mark).last, up(mark).kept) == (MINE, 0, 1)
    assert link.step(5.0) == []
    assert up(link.number(message(), 0.0)).sequence == 1
    [mark] = link.step(5.1)
    assert (up(mark).last, up(mark).kept) == (1, 1)
    link.number(message(), 0.0)
    assert link.step(5.2) == [] and link.wake_at() == pytest.approx(6.1)
    assert [up(frame).last for frame in link.step(6.1)] == [2]
    link.number(message(), 0.0)
    assert [up(frame).last for frame in link.farewell(6.2)] == [3]
    assert link.farewell(6.2) == []


def test_missing_events_are_sent_again_as_they_were_oldest_first(link):
    sent = [link.number(message(), 0.0) for _ in range(10)]
    link.step(0.0)
    link.received(missing(7, 2), 1.0)
    link.received(missing(2, 1), 1.0)
    link.received(missing(2, 1), 1.0)
    assert link.step(1.0) == [sent[1], sent[6], sent[7]]
    assert link.step(1.5) == []
    assert link.stats().resent == 3


def test_what_is_kept_is_bounded_and_what_is_gone_is_said(link):
    for _ in range(_fire_link.KEPT_EVENTS_MAX + 5):
        link.number(message(), 0.0)
    link.step(0.0)
    link.received(missing(1, 6), 1.0)
    *again, mark = link.step(1.0)
    assert [up(frame).sequence for frame in again] == [6] and up(mark).kept == 6
    assert link.stats().gone == 5
    for _ in range(5):
        link.number(message(_fire_link.KEPT_BYTES_MAX // 3), 0.0)
    link.received(missing(1, 5000), 2.0)
    assert [up(frame).sequence for frame in link.step(2.0)[:-1]] == [1032, 1033, 1034][-2:]


def test_what_is_old_is_not_kept(link):
    link.number(message(), 0.0)
    link.number(message(), 5.0)
    link.received(missing(1, 2), 31.0)
    again, mark = link.step(31.0)
    assert up(again).sequence == 2 and (up(mark).last, up(mark).kept) == (2, 2)
    link.received(missing(2, 1), 36.0)
    [mark] = link.step(36.0)
    assert (up(mark).last, up(mark).kept) == (2, 3)


def test_sending_again_is_paced(link):
    for _ in range(1000):
        link.number(message(), 0.0)
    link.step(0.0)
    link.received(missing(1, 1000), 10.0)
    now, rounds, resent = 10.0, 0, 0
    while resent < 1000:
        burst = len([1 for frame in link.step(now) if hasattr(up(frame), "event")])
        assert burst <= _fire_link.RESENDS_AT_ONCE
        resent += burst
        rounds += 1
        now += 0.01
    assert now - 10.0 >= (1000 - _fire_link.RESENDS_AT_ONCE) / _fire_link.RESENDS_PER_SECOND - 0.02


# ---- on real sockets


class Intake:
    """The broker's XSUB."""

    def __init__(self, endpoint: str = "tcp://127.0.0.1:*") -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.XSUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        deadline = time.monotonic() + 10
        while True:
            try:
                self.socket.bind(endpoint)
                break
            except zmq.ZMQError:
                assert time.monotonic() < deadline
                self.socket.poll(5)
        self.endpoint = self.socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
        self.socket.send(SUBSCRIBED)

    def wait_for(self, publisher: FirePublisher, seconds: float = 10) -> None:
        """The subscription leaves when this side's own thread touches the socket."""
        deadline = time.monotonic() + seconds
        while not publisher.wait(0.01):
            assert time.monotonic() < deadline
            self.socket.getsockopt(zmq.EVENTS)

    def receive(self, kind: str):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if self.socket.poll(50):
                decoded = publish_pb2.PublisherUp.FromString(self.socket.recv())
                if decoded.WhichOneof("message") == kind:
                    return getattr(decoded, kind)
        raise AssertionError(f"no {kind} came")

    def close(self) -> None:
        self.socket.close()
        self._context.term()


def test_without_a_broker_nothing_is_taken_and_the_end_is_quick():
    publisher = FirePublisher("tcp://127.0.0.1:1")
    with pytest.raises(NotConnectedError):
        publisher.publish("x", audience="broadcast")
    started = time.monotonic()
    publisher.close()
    assert time.monotonic() - started < 1
    with pytest.raises(freshwire.ClosedError):
        publisher.publish("x", audience="broadcast")


def test_a_hole_is_filled_with_the_same_event_and_number():
    intake = Intake()
    with FirePublisher(intake.endpoint) as publisher:
        intake.wait_for(publisher)
        ids = [publisher.publish("x", audience="broadcast") for _ in range(5)]
        came = [intake.receive("publish") for _ in range(5)]
        assert [event.sequence for event in came] == [1, 2, 3, 4, 5]
        assert [event.event.id for event in came] == ids
        intake.socket.send(missing(2, 2, came[0].incarnation))
        again = [intake.receive("publish") for _ in range(2)]
        assert [(event.sequence, event.event.id) for event in again] == [(2, ids[1]), (3, ids[2])]
        assert intake.receive("fire_mark").last == 5
        publisher.publish("x", audience="broadcast")
    assert intake.receive("fire_mark").last == 6  # Before leaving.
    intake.close()


def test_finds_its_broker_after_a_foreign_socket_on_its_port():
    intake = Intake()
    publisher = FirePublisher(intake.endpoint)
    intake.wait_for(publisher)
    intake.close()
    context = zmq.Context()
    foreign = context.socket(zmq.REP)
    deadline = time.monotonic() + 10
    while True:
        try:
            foreign.bind(intake.endpoint)
            break
        except zmq.ZMQError:
            assert time.monotonic() < deadline
            foreign.poll(5)
    foreign.poll(3500)
    assert not publisher.wait(0)
    foreign.close(0)
    context.term()
    intake = Intake(intake.endpoint)
    intake.wait_for(publisher)
    publisher.publish("x", audience="broadcast")
    assert intake.receive("publish").sequence == 1
    publisher.close()
    intake.close()


def test_the_incarnation_is_one_of_its_own():
    first, second = Intake(), Intake()
    with FirePublisher(first.endpoint) as one, FirePublisher(second.endpoint) as two:
        first.wait_for(one)
        second.wait_for(two)
        incarnations = {first.receive("fire_mark").incarnation for _ in range(1)}
        incarnations.add(second.receive("fire_mark").incarnation)
        assert len(incarnations) == 2 and all(len(value) == 16 for value in incarnations)
    first.close()
    second.close()
