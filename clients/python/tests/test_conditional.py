# SPDX-License-Identifier: MPL-2.0
"""ETags and 304: only for what is still true, for whom it is true, and never at the cost of it."""

from __future__ import annotations

import asyncio
import random
import time

import pytest
from fastapi import FastAPI, Header, Response
from fastapi.testclient import TestClient
from redis_server import RedisServer
from starlette.responses import StreamingResponse

from freshwire.cache import (
    Cache,
    CacheHeaders,
    bypass,
    covers_response,
    current,
    should_cache,
)
from freshwire.cache._conditional import REMEMBERED_MAX, Validators, matches
from freshwire.testing import RecordingPublisher


@pytest.fixture(scope="module")
def server():
    server = RedisServer()
    yield server
    server.remove()


class World:
    def __init__(self, server, **headers) -> None:
        server.client().flushall()
        self.redis = server.client()
        self.cache = Cache(server.url)
        self.worker = Cache(server.url)
        self.rows = {1: "one", 2: "two"}
        self.handled: list[str] = []
        self.app = FastAPI()
        self.app.add_middleware(CacheHeaders, **headers)
        self.routes()
        self.client = TestClient(self.app)

    def routes(self) -> None:
        app, cache, rows, handled = self.app, self.cache, self.rows, self.handled

        @app.get("/items/{id}")
        @cache.cached(key="item:{id}:{authorization}", tags=["items", "item:{id}"])
        async def item(id: int, authorization: str = Header("")) -> dict:
            handled.append("item")
            return {"name": rows[id]}

        @app.get("/projects/{id}")
        @cache.cached(key="project:{id}", tags=["items"])
        def project(id: int) -> dict:
            return {"name": rows[id]}

        @app.get("/two")
        async def two() -> dict:
            handled.append("two")
            covers_response()
            first = await cache.get_or_load("first", ["item:1"], self.load(1))
            return {"both": [first, await cache.get_or_load("second", ["item:2"], self.load(2))]}

        @app.get("/partly")
        async def partly() -> dict:
            return {
                "cached": await cache.get_or_load("first", ["item:1"], self.load(1)),
                "not": rows[2],
            }

        @app.get("/broken")
        @cache.cached(key="broken", tags=["items"])
        async def broken() -> dict:
            return {"large": 2**70}

        @app.get("/own")
        @cache.cached(key="own", tags=["items"], returns=object)
        async def own(response: Response) -> dict:
            return {}

        @app.get("/stream")
        async def stream() -> StreamingResponse:
            covers_response()
            value = await cache.get_or_load("first", ["item:1"], self.load(1))
            return StreamingResponse(iter([value, "more"]))

    def load(self, id: int):
        async def load() -> str:
            return self.rows[id]

        return load

    def get(self, path: str, etag: str | None = None, **headers: str):
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if etag is not None:
            sent["If-None-Match"] = etag
        return self.client.get(path, headers=sent)


@pytest.fixture
def world(server):
    world = World(server)
    with world.client:
        yield world
    world.worker.close_sync()


def test_copy_that_is_still_good_is_confirmed_without_running_the_handler(world):
    first = world.get("/items/1")
    etag = first.headers["ETag"]
    assert etag.startswith('W/"')
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = world.get("/items/1", etag)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == etag
    assert again.headers["Cache-Control"] == "private, no-cache"
    assert again.headers["Vary"] == "Authorization, Cookie"
    assert again.headers["X-Cache"] == "HIT"
    assert "content-length" not in again.headers or again.headers["content-length"] == "0"
    assert world.handled == ["item"]
    assert world.get("/items/1", f'"other", {etag}').status_code == 304
    assert world.get("/items/1", etag.removeprefix("W/")).status_code == 304  # Compared weakly.


REASONS = {
    "its tag was purged": lambda world, _: world.worker.purge_sync(tags=["item:1"]),
    "another of its tags was purged": lambda world, _: world.worker.purge_sync(tags=["items"]),
    "its key was purged": lambda world, _: world.worker.purge_sync(keys=["item:1:"]),
    "the cache was flushed": lambda world, _: world.worker.flush_sync(),
    "its stamp was evicted": lambda world, _: world.redis.delete("fw:t:item:1"),
    "the epoch was evicted": lambda world, _: world.redis.delete("fw:epoch"),
    "its entry ran out": lambda world, _: world.redis.delete("fw:c:item:1:"),
    "its stamp is not ours": lambda world, _: world.redis.set("fw:t:item:1", "x"),
    "an event that it is too old for": lambda world, headers: headers.update(
        X_Freshwire_Fresh=str(world.worker.purge_sync(keys=["nothing"]).fresh)
    ),
    "an unconfirmed event": lambda world, headers: headers.update(X_Freshwire_Fresh="bypass"),
    "a token that cannot be read": lambda world, headers: headers.update(X_Freshwire_Fresh="?"),
}


@pytest.mark.parametrize("why", REASONS)
def test_copy_that_may_be_old_is_never_confirmed(world, why):
    etag = world.get("/items/1").headers["ETag"]
    assert world.get("/items/1", etag).status_code == 304
    headers: dict[str, str] = {}
    world.rows[1] = "changed"
    REASONS[why](world, headers)
    answer = world.get("/items/1", etag, **headers)
    assert (answer.status_code, answer.json()) == (200, {"name": "changed"})
    assert answer.headers["ETag"] != etag
    if not headers:
        assert world.get("/items/1", answer.headers["ETag"]).status_code == 304


def test_entry_that_was_filled_again_with_the_same_is_confirmed_after_the_handler(world):
    etag = world.get("/items/1").headers["ETag"]
    world.redis.delete("fw:c:item:1:")  # Its ttl is over; nothing was purged.
    assert world.get("/items/1", etag).status_code == 304
    assert len(world.handled) == 2


def test_token_that_the_entry_is_newer_than_is_no_reason_to_answer_at_length(world):
    token = str(world.worker.purge_sync(tags=["item:1"]).fresh)
    etag = world.get("/items/1", X_Freshwire_Fresh=token).headers["ETag"]
    assert world.get("/items/1", etag, X_Freshwire_Fresh=token).status_code == 304


def test_copy_of_one_user_is_never_confirmed_to_another(world):
    ada = world.get("/items/1", Authorization="Bearer ada").headers["ETag"]
    grace = world.get("/items/1", ada, Authorization="Bearer grace")
    assert grace.status_code == 200
    assert grace.headers["ETag"] != ada
    assert world.get("/items/1", ada, Cookie="session=1").status_code == 200
    assert world.get("/items/1", ada, Authorization="Bearer ada").status_code == 304
    assert world.get("/items/1?x=1", ada, Authorization="Bearer ada").status_code == 200
    assert world.get("/items/2", ada, Authorization="Bearer ada").status_code == 200


def test_answer_of_several_reads_is_as_good_as_all_of_them(world):
    etag = world.get("/two").headers["ETag"]
    assert world.get("/two", etag).status_code == 304
    assert len(world.handled) == 1
    world.rows[2] = "changed"
    world.worker.purge_sync(tags=["item:2"])
    assert world.get("/two", etag).json() == {"both": ["one", "changed"]}


def test_answer_that_is_not_all_from_caches_has_no_etag(world):
    for path in ("/partly", "/broken", "/projects/1", "/docs", "/nothing", "/stream"):
        assert "etag" not in world.get(path).headers, path
    assert world.get("/stream").text == "onemore"
    assert world.get("/projects/1").headers["Cache-Control"] == "private, no-store"


def test_new_process_confirms_only_what_it_would_say_itself(world, server):
    etag = world.get("/items/1").headers["ETag"]
    same = World.__new__(World)
    same.__dict__.update(world.__dict__, app=FastAPI(), cache=Cache(server.url))
    same.app.add_middleware(CacheHeaders)
    same.routes()
    with TestClient(same.app) as client:
        assert client.get("/items/1", headers={"If-None-Match": etag}).status_code == 304
    # A release that makes another answer of the same entry.
    other, cache = FastAPI(), Cache(server.url)
    other.add_middleware(CacheHeaders)

    @other.get("/items/1")
    async def item() -> dict:
        covers_response()
        found = await cache.get_or_load("item:1:", ["items", "item:1"], world.load(1))
        return {"title": found["name"]}

    with TestClient(other) as client:
        answer = client.get("/items/1", headers={"If-None-Match": etag})
        assert (answer.status_code, answer.json()) == (200, {"title": "one"})
        assert answer.headers["X-Cache"] == "HIT"


def test_redis_that_is_away_means_whole_answers_without_etag(world, server):
    etag = world.get("/items/1").headers["ETag"]
    away = Cache("unix:///nonexistent/socket")
    app = FastAPI()
    app.add_middleware(CacheHeaders)

    @app.get("/items/1")
    @away.cached(key="k", tags=["t"])
    async def item() -> dict:
        return {"name": "one"}

    with TestClient(app) as client:
        answer = client.get("/items/1", headers={"If-None-Match": etag})
        assert (answer.status_code, answer.json()) == (200, {"name": "one"})
        assert "etag" not in answer.headers
    # And one that goes away between two requests.
    server.pause()
    try:
        answer = world.get("/items/1", etag)
        assert (answer.status_code, answer.json()) == (200, {"name": "one"})
    finally:
        server.resume()


def test_etags_can_be_switched_off_and_live_paths_on(server):
    off = World(server, etag=False)
    with off.client:
        assert "etag" not in off.get("/items/1").headers
    on = World(server, live_control="private, no-cache")
    with on.client:
        etag = on.get("/projects/1").headers["ETag"]
        assert on.get("/projects/1", etag).status_code == 304
        on.worker.purge_sync(tags=["items"])
        assert on.get("/projects/1", etag).status_code == 200


def test_what_is_remembered_is_bounded():
    validators = Validators()
    for number in range(REMEMBERED_MAX + 10):
        validators.remember({"headers": [], "path": f"/{number}"}, None)
    assert len(validators._known) == REMEMBERED_MAX


def test_if_none_match_is_read_as_it_should_be():
    etag = b'W/"abc"'
    assert matches(b'W/"abc"', etag, False)
    assert matches(b'"abc"', etag, False)
    assert matches(b' "x" ,  W/"abc" ', etag, False)
    assert matches(b"*", etag, True)
    for asked in (b"", b"*", b"abc", b'"ab"', b'W/"ABC"', b'"abc', b"\xff"):
        assert not matches(asked, etag, False), asked


def test_bypass_reads_past_the_cache_and_is_recorded_with_the_request(world):
    app = FastAPI()
    app.add_middleware(CacheHeaders)

    @app.get("/past")
    async def past() -> dict:
        with bypass():
            value = await world.cache.get_or_load("k", ["t"], world.load(1))
        return {"value": value, "tags": current().tags}

    with TestClient(app) as client:
        client.get("/past")
        world.rows[1] = "changed"
        answer = client.get("/past")
    assert answer.json() == {"value": "changed", "tags": ["t"]}
    assert answer.headers["X-Cache"] == "BYPASS"


# ---- the promise, through HTTP


@pytest.mark.parametrize("seed", range(4))
def test_refetch_after_an_event_is_new_whatever_is_slow(server, seed):
    """Browsers with copies of their own, an API whose loads and purges take their time."""
    randomness = random.Random(seed)
    server.client().flushall()
    database = {"version": 0}
    events: list[tuple[int, str]] = []
    publisher = RecordingPublisher()
    worker = Cache(server.url)
    cache = Cache(server.url, publisher=publisher, wait=0.05)

    def on_event(event):
        time.sleep(randomness.choice([0, 0.001, 0.004]))
        if randomness.random() < 0.2:
            events.append((event.data["version"], "bypass"))  # Released before its purge.
            worker.purge_sync(event.invalidate)
        else:
            purged = worker.purge_sync(event.invalidate)
            events.append((event.data["version"], str(purged.fresh)))

    publisher.on_event = on_event
    app = FastAPI()
    app.add_middleware(CacheHeaders)
    assert should_cache("/thing")

    @app.get("/thing")
    @cache.cached(key="thing", tags=["thing"])
    async def read() -> dict:
        version = database["version"]
        await asyncio.sleep(randomness.choice([0, 0.001, 0.01]))
        return {"version": version}

    @app.post("/thing")
    @cache.invalidates("thing", event="changed", audience="broadcast")
    async def write() -> dict:
        database["version"] += 1
        return {"version": database["version"]}

    async def scenario():
        import httpx

        transport = httpx.ASGITransport(app=app)
        statuses: list[tuple[int, str]] = []
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            done = False

            async def browser():
                version, etag = -1, ""
                while not done:
                    known = events[-1] if events else (0, "")
                    headers = {"X-Freshwire-Fresh": known[1]} if known[1] else {}
                    if etag:
                        headers["If-None-Match"] = etag
                    answer = await client.get("/thing", headers=headers)
                    statuses.append((answer.status_code, answer.headers["X-Cache"]))
                    if answer.status_code == 200:
                        version, etag = answer.json()["version"], answer.headers.get("ETag", "")
                    assert version >= known[0], (seed, version, known)
                    await asyncio.sleep(randomness.choice([0, 0.002]))

            browsers = [asyncio.create_task(browser()) for _ in range(6)]
            while database["version"] < 40 or len(statuses) < 300:
                assert database["version"] < 1000, "nobody reads"
                assert (await client.post("/thing")).status_code == 200
                await asyncio.sleep(randomness.choice([0, 0.005, 0.02]))
            done = True
            await asyncio.gather(*browsers)
        await cache.close()
        return statuses

    statuses = asyncio.run(scenario())
    worker.close_sync()
    assert statuses.count((304, "HIT")) > 0.1 * len(statuses), statuses
