# SPDX-License-Identifier: MPL-2.0
"""Publisher against a ROUTER on a real socket."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import fake_broker
import pytest
from fake_broker import FakeBroker, eventually

import freshwire
from freshwire import Event, Invalidate, Publisher
from freshwire._proto import events_pb2

SOURCE = str(Path(__file__).resolve().parent.parent / "src")


@pytest.fixture
def broker():
    with FakeBroker() as broker:
        yield broker


@pytest.fixture
def publisher(broker):
    with Publisher(broker.endpoint, timeout=10, linger=0.5) as publisher:
        yield publisher


def test_rejected_event_names_the_field_and_the_limit(broker, publisher):
    refusal = {"field": "event.audience[3]", "reason": "no channel name", "limit": 64, "value": 70}
    broker.answer = lambda publish: {"status": fake_broker.REJECTED, "refusal": refusal}
    with pytest.raises(freshwire.RejectedError) as caught:
        publisher.publish("x")
    assert (caught.value.field, caught.value.limit, caught.value.value) == (
        "event.audience[3]",
        64,
        70,
    )
    assert "no channel name" in str(caught.value)
    assert len(broker.events) == 1  # Never sent again.


def test_silent_broker_ends_in_a_timeout_that_says_why():
    with Publisher("tcp://127.0.0.1:1", timeout=0.3) as publisher:
        started = time.monotonic()
        with pytest.raises(
            freshwire.TimeoutError, match=r"no connection to tcp://127\.0\.0\.1:1"
        ) as caught:
            publisher.publish("x", id="the-id")
        assert 0.25 < time.monotonic() - started < 2
        assert isinstance(caught.value, TimeoutError)  # The built-in one catches it too.
        assert caught.value.id == "the-id"


def test_unanswered_event_times_out_and_a_late_answer_is_ignored(broker, publisher):
    broker.answer = lambda publish: None
    with pytest.raises(freshwire.TimeoutError, match="sent, but not answered"):
        publisher.publish("late", timeout=0.2)
    broker.release()
    broker.answer = fake_broker.accept
    assert publisher.publish("next").acknowledged
    assert publisher.stats().timeouts == 1


def test_data_that_is_no_json_is_refused_before_anything_is_sent(broker, publisher):
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        publisher.publish("x", data=object())
    with pytest.raises(ValueError):
        publisher.publish("x", data=float("nan"))
    with pytest.raises(ValueError, match="level must be one of"):
        publisher.publish("x", level="most")
    assert broker.events == []


def test_event_larger_than_a_frame_is_refused_and_disturbs_nothing(broker, publisher):
    with pytest.raises(freshwire.RejectedError, match="too large"):
        publisher.publish("x", data="y" * (1024 * 1024))
    assert publisher.publish("x").acknowledged


def test_full_queue_is_refused_with_its_limit(broker):
    broker.answer = lambda publish: None
    with Publisher(broker.endpoint, queue_max=3, linger=0) as publisher:
        futures = [publisher.submit(Event.make("x")) for _ in range(3)]
        with pytest.raises(freshwire.OverloadError) as caught:
            publisher.publish("x")
        assert caught.value.limit == 3
        assert publisher.stats().refused_full == 1
    for future in futures:  # Nobody waits for ever.
        with pytest.raises(freshwire.ClosedError):
            future.result(0)


def test_publish_after_close_raises(broker, publisher):
    publisher.publish("x")
    publisher.close()
    with pytest.raises(freshwire.ClosedError):
        publisher.publish("x")
    eventually(lambda: broker.goodbyes == 1)


def test_settings_that_cannot_work_are_refused():
    for bad in ({"timeout": 0}, {"queue_max": 0}, {"in_flight_max": 0}, {"linger": -1}):
        with pytest.raises(ValueError):
            Publisher("tcp://127.0.0.1:1", **bad)
    with pytest.raises(TypeError):
        Publisher("tcp://127.0.0.1:1", unknown=1)
    for endpoint in ("", "127.0.0.1:7002", "tcp://127.0.0.1", "tcp:/x:1", "http://127.0.0.1:8080"):
        with pytest.raises(ValueError):
            Publisher(endpoint)


def test_errors_survive_a_task_queue():
    for error in (
        freshwire.RejectedError("data", "is too large", 5, 6),
        freshwire.TimeoutError("id", 2.0, "sent, but not answered"),
        freshwire.OverloadError(7),
        freshwire.ClosedError("closed"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_receipt_carries_positions_token_and_flags(broker, publisher):
    broker.answer = lambda publish: {
        "status": fake_broker.OK,
        "fresh": 1732270000122456,
        "unconfirmed": True,
    }
    receipt = publisher.publish("project_created", audience=["broadcast", "user:9"])
    assert [(place.channel, place.offset) for place in receipt.positions] == [
        ("broadcast", 1),
        ("user:9", 1),
    ]
    assert receipt.positions[0].epoch == "15nm7"  # 1234567 in base32, as browsers see it
    assert receipt.fresh == 1732270000122456
    assert receipt.unconfirmed
    assert not receipt.duplicate
    assert publisher.stats().unconfirmed == 1


def test_every_field_of_an_event_reaches_the_broker(broker, publisher):
    publisher.publish(
        "project_updated",
        data={"id": "42", "name": "é"},
        audience="broadcast",
        invalidate=Invalidate(keys=["k"], tags="projects", patterns=["old:*"]),
        exclude_user="9",
        exclude_origin="tab-1",
        origin="tab-7",
        user_id=9,
        id="mine",
        level="accepted",
    )
    publish = broker.events[0]
    event = publish.event
    assert publish.level == 1
    assert (event.type, event.id, event.origin, event.user_id) == (
        "project_updated",
        "mine",
        "tab-7",
        "9",
    )
    assert event.data.json == '{"id":"42","name":"é"}'.encode()
    assert list(event.audience) == [
        "broadcast"
    ]  # A single channel is not taken apart into letters.
    assert (event.exclude.user_id, event.exclude.origin) == ("9", "tab-1")
    assert list(event.invalidate.keys) == ["k"]
    assert list(event.invalidate.tags) == ["projects"]
    assert list(event.invalidate.patterns) == ["old:*"]
    assert abs(event.ts - time.time() * 1000) < 10_000


def test_bytes_and_event_messages_travel_as_what_they_are(broker, publisher):
    publisher.publish("blob", data=b"\0\xff")
    publisher.publish("project_deleted", data=events_pb2.ProjectDeleted(id="4", version=7))
    assert broker.events[0].event.data.binary == b"\0\xff"
    assert broker.events[1].event.data.project_deleted.version == 7
    with pytest.raises(TypeError, match=r"freshwire\.v1\.Position"):
        publisher.publish("x", data=events_pb2.Position())


def test_same_id_again_is_a_duplicate_with_the_first_position(broker, publisher):
    first = publisher.publish("x", id="one", audience="broadcast")
    again = publisher.publish("x", id="one", audience="broadcast")
    assert again.duplicate
    assert again.positions == first.positions


def test_retry_is_sent_again_with_the_same_id_after_the_asked_wait(broker, publisher):
    times = []

    def answer(publish):
        times.append(time.monotonic())
        if len(times) < 3:
            return {"status": fake_broker.RETRY, "retry_after_ms": 100}
        return {"status": fake_broker.OK}

    broker.answer = answer
    assert publisher.publish("x", id="same").id == "same"
    assert broker.ids == ["same"] * 3
    assert times[1] - times[0] >= 0.1 and times[2] - times[1] >= 0.1
    assert publisher.stats().retries == 2


def test_overload_slows_every_event_down(broker, publisher):
    publisher.publish("warm up")
    answered = []

    def answer(publish):
        answered.append(publish.event.id)
        return (
            {"status": fake_broker.OVERLOAD, "retry_after_ms": 300}
            if len(answered) == 1
            else {"status": 1}
        )

    broker.answer = answer
    started = time.monotonic()
    first = publisher.submit(Event.make("a"))
    eventually(lambda: publisher.stats().retries == 1)
    second = publisher.submit(Event.make("b"))
    first.result(5), second.result(5)
    assert time.monotonic() - started >= 0.3
    assert len(answered) == 3


def test_never_more_than_the_credit_is_outstanding(publisher, broker):
    broker.credit = 4
    broker.answer = lambda publish: None
    futures = [publisher.submit(Event.make("x")) for _ in range(20)]
    eventually(lambda: len(broker.held) == 4)
    assert publisher.stats().waiting == 16
    eventually(lambda: broker.release() or all(future.done() for future in futures))
    for future in futures:
        assert future.result(5).acknowledged
    assert broker.outstanding_max == 4


def test_credit_that_was_withdrawn_is_asked_for_again(broker, publisher):
    broker.credit = 0
    future = publisher.submit(Event.make("x"))
    eventually(lambda: broker.hellos >= 2)
    assert broker.events == []
    broker.credit = 8
    assert future.result(5).acknowledged


def test_broker_that_restarts_gets_the_unacknowledged_events_again(broker, publisher):
    assert publisher.publish("before").acknowledged
    broker.answer = lambda publish: None
    future = publisher.submit(Event.make("x", id="kept"))
    eventually(lambda: broker.held)
    broker.stop()
    started = time.monotonic()
    with FakeBroker(broker.endpoint) as again:
        assert future.result(10).id == "kept"
        # The broken connection told; no need to wait for three seconds of silence.
        assert time.monotonic() - started < 2.5
        assert again.ids == ["kept"]
        assert again.hellos >= 1
    assert publisher.stats().connections == 2


def test_broker_that_starts_late_is_found():
    with FakeBroker() as broker:
        endpoint = broker.endpoint
    with Publisher(endpoint, timeout=10) as publisher:
        future = publisher.submit(Event.make("x"))
        time.sleep(0.2)
        with FakeBroker(endpoint):
            assert future.result(10).acknowledged


def test_mute_broker_is_left_after_three_seconds_and_met_again(broker, publisher):
    publisher.publish("x")
    broker.mute = True
    started = time.monotonic()
    future = publisher.submit(Event.make("x", id="kept"))
    eventually(lambda: not publisher.stats().connected)
    assert 2.0 < time.monotonic() - started < 5
    broker.mute = False
    assert future.result(10).id == "kept"
    assert set(broker.ids[1:]) == {"kept"}


def test_idle_link_is_kept_alive_by_pings(broker, publisher):
    publisher.publish("x")
    eventually(lambda: broker.pings >= 2)
    assert publisher.stats().connections == 1


def test_refusal_makes_the_link_introduce_itself_again(broker, publisher):
    publisher.publish("x")
    broker.do(broker._peers.clear)
    started = time.monotonic()
    assert publisher.publish("y", timeout=5).acknowledged
    assert time.monotonic() - started < 2.5
    assert broker.hellos == 2
    assert len(broker.ids) == 3  # The refused one came again.


def test_goodbye_moves_to_the_next_connection(broker, publisher):
    publisher.publish("x")
    broker.send_all(goodbye={"reason": "drain"})
    eventually(lambda: publisher.stats().connections == 2)
    assert publisher.publish("y").acknowledged


def test_garbage_is_counted_and_disturbs_nothing(broker, publisher):
    publisher.publish("x")
    broker.send_raw(b"\xff\xff\xff")
    broker.send_raw(b"")
    broker.send_raw(b"several", b"frames")
    eventually(lambda: publisher.stats().bad_frames == 3)
    broker.send_all(ack={"request_id": 99, "status": fake_broker.OK})  # Of nobody.
    assert publisher.publish("y").acknowledged
    assert publisher.stats().connections == 1


def test_cancelled_future_is_not_sent_later(broker, publisher):
    broker.credit = 1
    broker.answer = lambda publish: None
    first = publisher.submit(Event.make("first"))
    eventually(lambda: broker.held)
    second = publisher.submit(Event.make("second"))
    assert second.cancel()
    with pytest.raises(CancelledError):
        second.result(0)
    broker.answer = fake_broker.accept
    broker.release()
    assert first.result(5) and publisher.publish("third")
    assert [publish.event.type for publish in broker.events] == ["first", "third"]


def test_callback_of_a_future_may_publish(broker, publisher):
    done = threading.Event()
    future = publisher.submit(Event.make("first"))
    future.add_done_callback(
        lambda _: publisher.submit(Event.make("second")).add_done_callback(lambda _: done.set())
    )
    assert done.wait(5)


def test_many_threads_each_get_their_own_receipt(broker, publisher):
    receipts: dict[str, str] = {}

    def work(name: str) -> None:
        for number in range(25):
            id = f"{name}-{number}"
            receipts[id] = publisher.publish("x", id=id, audience="broadcast").id

    threads = [threading.Thread(target=work, args=(f"t{index}",)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(receipts) == 200
    assert all(id == receipt for id, receipt in receipts.items())
    assert sorted(broker.ids) == sorted(receipts)


def test_forked_child_opens_its_own_link(broker, publisher):
    publisher.publish("parent")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            receipt = publisher.publish("child", timeout=5)
            os.write(write, receipt.id.encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    assert publisher.publish("parent again").acknowledged  # The parent's link is untouched.
    assert broker.hellos == 2
    assert [publish.event.type for publish in broker.events] == ["parent", "child", "parent again"]


EXIT_PROGRAM = """
import sys, time
sys.path.insert(0, sys.argv[1])
import freshwire
publisher = freshwire.Publisher(sys.argv[2], linger=0.5)
publisher.submit(freshwire.Event.make("last words"))
print("leaving", flush=True)
"""


def run_exit_program(endpoint: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    started = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", EXIT_PROGRAM, SOURCE, endpoint],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return time.monotonic() - started, ended


def test_program_that_ends_sends_what_it_handed_in(broker):
    _, ended = run_exit_program(broker.endpoint)
    assert ended.stderr == ""
    eventually(lambda: [publish.event.type for publish in broker.events] == ["last words"])


def test_program_that_ends_without_a_broker_does_not_hang():
    seconds, ended = run_exit_program("tcp://127.0.0.1:1")
    assert ended.stderr == ""
    assert seconds < 10


def test_environment_names_the_endpoint(monkeypatch, broker):
    monkeypatch.setenv("FRESHWIRE_PUBLISH_ENDPOINT", broker.endpoint)
    with freshwire.from_env(timeout=5) as publisher:
        assert isinstance(publisher, Publisher)
        assert publisher.publish("x").acknowledged
    monkeypatch.setenv("FRESHWIRE_PUBLISH_ENDPOINT", "")
    assert Publisher.from_env().endpoint == "tcp://127.0.0.1:7002"
