# SPDX-License-Identifier: MPL-2.0
"""Events of a request: after the commit, in order, and never at the cost of the request."""

from __future__ import annotations

import time

import fake_broker
import pytest
from fake_broker import FakeBroker
from fastapi import Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient
from redis_server import RedisServer

import freshwire
from freshwire import AsyncPublisher, Invalidate, Publisher
from freshwire.cache import Cache, CacheHeaders, Status
from freshwire.fastapi import Events, SyncEvents, origin_of
from freshwire.testing import RecordingPublisher


def application(sync_events: SyncEvents) -> FastAPI:
    app = FastAPI()

    @app.post("/publish")
    async def publish(events: Events = Depends(sync_events)):
        events.user_id = "9"
        receipt = await events.publish(
            "project_updated",
            data={"id": "1"},
            audience="broadcast",
            invalidate=Invalidate(tags=["projects"]),
        )
        return {"id": receipt.id, "acknowledged": receipt.acknowledged}

    @app.post("/threaded")
    def threaded(events: Events = Depends(sync_events)):
        events.add("collected")
        events.flush_sync()
        return {"id": events.publish_sync("direct").id}

    @app.post("/collect")
    async def collect(flush: bool, fail: bool = False, events: Events = Depends(sync_events)):
        events.add("first")
        events.add("second", origin="mine")
        if fail:
            raise HTTPException(409, "rolled back")
        if flush:
            await events.flush()
        return {}

    return app


def test_events_that_were_never_flushed_are_not_sent_and_are_reported(caplog):
    publisher = RecordingPublisher()
    client = TestClient(application(SyncEvents(publisher)))
    assert client.post("/collect?flush=false").status_code == 200
    assert publisher.events == []
    assert "flush() was never called: first, second" in caplog.text


def test_failed_request_sends_nothing():
    publisher = RecordingPublisher()
    client = TestClient(application(SyncEvents(publisher)))
    assert client.post("/collect?flush=true&fail=true").status_code == 409
    assert publisher.events == []


def test_publisher_that_fails_does_not_fail_the_request(caplog):
    publisher = RecordingPublisher()
    publisher.failure = freshwire.OverloadError(5)
    client = TestClient(application(SyncEvents(publisher)))
    response = client.post("/publish")
    assert response.status_code == 200
    assert response.json()["acknowledged"] is False
    assert response.headers["X-Freshwire-Event-Id"] == response.json()["id"]
    assert "is not published: 5 events already wait" in caplog.text


def test_strict_mode_raises():
    publisher = RecordingPublisher()
    publisher.failure = freshwire.OverloadError(5)
    client = TestClient(application(SyncEvents(publisher, strict=True)))
    with pytest.raises(freshwire.OverloadError):
        client.post("/publish")


def test_broker_that_is_away_costs_a_bounded_wait_and_gets_the_event_later(caplog):
    with FakeBroker() as broker:
        endpoint = broker.endpoint
    publisher = Publisher(endpoint)
    client = TestClient(application(SyncEvents(publisher, wait=0.2)))
    started = time.monotonic()
    response = client.post("/publish")
    assert response.json()["acknowledged"] is False
    assert time.monotonic() - started < 3
    with FakeBroker(endpoint) as broker:
        fake_broker.eventually(lambda: broker.ids == [response.json()["id"]])
        publisher.close()


def test_until_the_broker_has_the_event_the_cache_is_purged_directly():
    server = RedisServer()
    try:
        cache = Cache(server.url)
        cache.read_sync("k", ["projects"], lambda: "old")
        publisher = RecordingPublisher()
        publisher.failure = freshwire.OverloadError(5)
        with TestClient(application(SyncEvents(publisher, cache=cache))) as client:
            assert client.post("/publish").status_code == 200
            outcome = cache.read_sync("k", ["projects"], lambda: "new")
            assert (outcome.value, outcome.status) == ("new", Status.MISS)
            server.stop()  # Neither broker nor Redis: still no failed request.
            assert client.post("/publish").status_code == 200
        cache.close_sync()
    finally:
        server.remove()


@pytest.mark.parametrize("kind", [Publisher, AsyncPublisher])
def test_event_reaches_the_broker_with_origin_and_user(kind):
    with FakeBroker() as broker:
        publisher = kind(broker.endpoint)
        with TestClient(application(SyncEvents(publisher, level="accepted"))) as client:
            response = client.post("/publish", headers={"X-Freshwire-Origin": "tab-7"})
        assert response.json()["acknowledged"] is True
        event = broker.events[0].event
        assert broker.events[0].level == 1
        assert (event.origin, event.user_id, event.type) == ("tab-7", "9", "project_updated")
        assert response.headers["X-Freshwire-Event-Id"] == event.id
        if kind is Publisher:
            publisher.close()


def test_endpoints_in_threads_publish_too():
    with FakeBroker() as broker:
        with TestClient(application(SyncEvents(AsyncPublisher(broker.endpoint)))) as client:
            response = client.post("/threaded")
        assert [publish.event.type for publish in broker.events] == ["collected", "direct"]
        assert response.headers["X-Freshwire-Event-Id"].endswith(response.json()["id"])


def test_collected_events_are_sent_in_order_by_flush():
    publisher = RecordingPublisher()
    client = TestClient(application(SyncEvents(publisher)))
    response = client.post("/collect?flush=true", headers={"X-Freshwire-Origin": "tab-1"})
    assert [(event.type, event.origin) for event in publisher.events] == [
        ("first", "tab-1"),
        ("second", "mine"),
    ]
    ids = ",".join(event.id for event in publisher.events)
    assert response.headers["X-Freshwire-Event-Id"] == ids


def test_origin_that_no_broker_would_take_is_none():
    assert origin_of(None) == origin_of("") == ""
    assert origin_of(" tab-1 ") == "tab-1"
    assert origin_of("a\x00b") == origin_of("a\nb") == origin_of("x" * 129) == ""
    assert origin_of("\ud800") == ""


def test_token_of_the_request_reaches_caches_in_async_and_threaded_endpoints():
    server = RedisServer()
    try:
        cache = Cache(server.url)
        app = FastAPI()
        app.add_middleware(CacheHeaders)
        calls = []

        @app.get("/threaded/{id}")
        @cache.cached(key="threaded:{id}", tags=["t"])
        def threaded(id: int):
            calls.append("threaded")
            return {"id": id}

        @app.get("/async/{id}")
        @cache.cached(key="async:{id}", tags=["t"])
        async def in_loop(id: int):
            calls.append("async")
            return {"id": id}

        with TestClient(app) as client:
            for path in ("/threaded/1", "/async/1"):
                seen = [client.get(path).headers["X-Cache"] for _ in range(2)]
                token = str(cache.purge_sync(keys=["other"]).fresh)
                for value in (token, token, "bypass"):
                    response = client.get(path, headers={"X-Freshwire-Fresh": value})
                    assert response.json() == {"id": 1}
                    assert response.headers["Cache-Control"] == "private, no-cache"
                    seen.append(response.headers["X-Cache"])
                assert seen == ["MISS", "HIT", "STALE-REJECTED", "HIT", "BYPASS"]
        assert calls == ["threaded"] * 3 + ["async"] * 3
        cache.close_sync()
    finally:
        server.remove()


def test_recording_publisher_behaves_as_a_publisher():
    publisher = RecordingPublisher()
    first = publisher.publish("x", audience=["broadcast"], id="one")
    again = publisher.publish("x", audience=["broadcast"], id="one")
    other = publisher.publish("x", audience=["broadcast"])
    assert (first.duplicate, again.duplicate) == (False, True)
    assert (first.positions[0].offset, other.positions[0].offset) == (1, 2)
    assert len(publisher.events) == 2
