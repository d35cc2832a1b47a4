# SPDX-License-Identifier: MPL-2.0
"""AsyncPublisher against a ROUTER on a real socket."""

from __future__ import annotations

import asyncio
import os
import time

import fake_broker
import pytest
from fake_broker import FakeBroker

import freshwire
from freshwire import AsyncPublisher, Event


@pytest.fixture
def broker():
    with FakeBroker() as broker:
        yield broker


async def eventually(condition, seconds: float = 10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not become true in time"
        await asyncio.sleep(0.005)


@pytest.mark.asyncio
async def test_rejected_event_raises_and_the_link_goes_on(broker):
    async with AsyncPublisher(broker.endpoint) as publisher:
        broker.answer = lambda publish: {
            "status": fake_broker.REJECTED,
            "refusal": {"field": "event.type", "reason": "not snake case"},
        }
        with pytest.raises(freshwire.RejectedError, match=r"event\.type: not snake case"):
            await publisher.publish("Bad Type")
        broker.answer = fake_broker.accept
        assert (await publisher.publish("good")).acknowledged


@pytest.mark.asyncio
async def test_without_a_broker_it_times_out():
    async with AsyncPublisher("tcp://127.0.0.1:1", linger=0) as publisher:
        with pytest.raises(freshwire.TimeoutError, match="no connection"):
            await publisher.publish("x", timeout=0.2)


@pytest.mark.asyncio
async def test_full_queue_is_refused(broker):
    broker.answer = lambda publish: None
    async with AsyncPublisher(broker.endpoint, queue_max=2, linger=0) as publisher:
        waiting = [publisher.submit(Event.make("x")) for _ in range(2)]
        with pytest.raises(freshwire.OverloadError):
            await publisher.publish("x")
    for future in waiting:
        with pytest.raises(freshwire.ClosedError):
            await future
    with pytest.raises(freshwire.ClosedError):
        await publisher.publish("x")


@pytest.mark.asyncio
async def test_hundred_at_once_each_get_their_receipt_within_the_credit(broker):
    broker.credit = 8
    async with AsyncPublisher(broker.endpoint) as publisher:
        receipts = await asyncio.gather(
            *(
                publisher.publish("x", id=f"e{number}", audience="broadcast")
                for number in range(100)
            )
        )
    assert [receipt.id for receipt in receipts] == [f"e{number}" for number in range(100)]
    assert broker.outstanding_max <= 8
    assert broker.ids == [
        f"e{number}" for number in range(100)
    ]  # In the order in which they were handed in.
    await eventually(lambda: broker.goodbyes == 1)


@pytest.mark.asyncio
async def test_broker_that_restarts_gets_the_event_again(broker):
    async with AsyncPublisher(broker.endpoint, timeout=10) as publisher:
        await publisher.publish("before")
        broker.answer = lambda publish: None
        future = publisher.submit(Event.make("x", id="kept"))
        await eventually(lambda: broker.held)
        await asyncio.to_thread(broker.stop)
        with FakeBroker(broker.endpoint) as again:
            assert (await future).id == "kept"
            assert again.ids == ["kept"]
        assert publisher.stats().connections == 2


@pytest.mark.asyncio
async def test_mute_broker_is_left_after_silence(broker):
    async with AsyncPublisher(broker.endpoint, timeout=10) as publisher:
        await publisher.publish("x")
        broker.mute = True
        future = publisher.submit(Event.make("x", id="kept"))
        await eventually(lambda: not publisher.stats().connected)
        broker.mute = False
        assert (await future).id == "kept"


@pytest.mark.asyncio
async def test_cancelled_task_takes_its_waiting_event_back(broker):
    broker.credit = 1
    broker.answer = lambda publish: None
    async with AsyncPublisher(broker.endpoint) as publisher:
        first = asyncio.create_task(publisher.publish("first"))
        await eventually(lambda: broker.held)
        second = asyncio.create_task(publisher.publish("second"))
        await asyncio.sleep(0.02)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        broker.answer = fake_broker.accept
        broker.release()
        await first
        await publisher.publish("third")
    assert [publish.event.type for publish in broker.events] == ["first", "third"]


@pytest.mark.asyncio
async def test_blocked_event_loop_finds_its_way_back(broker):
    async with AsyncPublisher(broker.endpoint, timeout=10) as publisher:
        await publisher.publish("x")
        time.sleep(3.5)  # noqa: ASYNC251  What a careless handler does to everybody else in its loop.
        assert (await publisher.publish("y")).acknowledged


def test_each_event_loop_opens_its_own_link(broker):
    publisher = AsyncPublisher(broker.endpoint)

    async def once() -> str:
        return (await publisher.publish("x", timeout=5)).id

    first = asyncio.run(once())  # Ends without close: the task is cancelled with its loop.
    second = asyncio.run(once())
    assert broker.ids == [first, second]
    assert broker.hellos == 2


def test_forked_child_opens_its_own_link(broker):
    publisher = AsyncPublisher(broker.endpoint)

    async def once() -> str:
        return (await publisher.publish("x", timeout=5)).id

    asyncio.run(once())
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(once())
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(broker.ids) == 2
