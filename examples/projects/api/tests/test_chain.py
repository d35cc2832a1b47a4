# SPDX-License-Identifier: MPL-2.0
"""The whole chain without a browser: the API, the real `freshwire all`, a real Redis, and the
client of the seed: `new WebSocket(url + "?token=" + token)`, `JSON.parse(event.data)`,
`data.type`."""

from __future__ import annotations

import asyncio
import json
import time

import freshwire_process
import httpx
import pytest
import websockets
from app.application import create_app
from app.settings import Settings
from freshwire_process import Freshwire
from redis_server import RedisServer

from freshwire import HttpPublisher, Invalidate, Publisher, RejectedError, UnauthorizedError
from freshwire.cache import Cache, Status

pytestmark = pytest.mark.skipif(
    freshwire_process.binary() is None, reason="freshwire is not built (./dev build)"
)
SECRET = "a secret that only this test and its gateway know"
KEY = "a key that only this test and its gateway know"


@pytest.fixture(scope="module")
def redis_server():
    server = RedisServer()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def chain(redis_server, tmp_path_factory):
    chain = Freshwire(tmp_path_factory.mktemp("chain"), redis_server.url, SECRET, KEY)
    yield chain
    chain.stop()


class SeedClient:
    """What the seed's useWebSocket does, and nothing more: no subprotocol, no hello."""

    def __init__(self, socket) -> None:
        self._socket = socket

    @classmethod
    async def connect(cls, url: str, endpoint: str, token: str | None = None) -> SeedClient:
        ws_url = f"{url}{endpoint}?token={token}" if token else f"{url}{endpoint}"
        client = cls(await websockets.connect(ws_url))
        # Only so that the test does not publish before it listens.
        while json.loads(await asyncio.wait_for(client._socket.recv(), 10))["type"] != "fw.welcome":
            pass
        return client

    async def next_event(self) -> dict:
        while True:
            data = json.loads(await asyncio.wait_for(self._socket.recv(), 10))
            if not data["type"].startswith("fw."):
                return data

    async def hears_nothing(self, seconds: float = 0.3) -> bool:
        try:
            data = await asyncio.wait_for(self._socket.recv(), seconds)
        except asyncio.TimeoutError:
            return True
        return json.loads(data)["type"].startswith("fw.")

    async def close(self) -> None:
        await self._socket.close()


def run_api(chain, redis_server, folder, scenario) -> None:
    """Runs scenario(client) with the API in the same loop, as uvicorn would run it."""
    settings = Settings(
        redis_url=redis_server.url,
        database_path=str(folder / "db"),
        gateway_url=chain.gateway_url,
        publish_endpoint=chain.publish_endpoint,
        web_dist=folder,
        jwt_secret=SECRET,
    )

    async def run():
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
                await scenario(client)

    redis_server.client().flushall()
    asyncio.run(run())


async def sign_in(client, user: str) -> tuple[str, dict[str, str]]:
    token = (await client.post("/api/login", json={"user": user})).json()["token"]
    return token, {"Authorization": f"Bearer {token}", "X-Freshwire-Origin": f"tab-of-{user}"}


def test_seed_client_hears_of_each_mutation_and_its_refetch_is_new(chain, redis_server, tmp_path):
    async def scenario(client):
        ada, headers = await sign_in(client, "u1")
        grace, _ = await sign_in(client, "u2")
        anonymous = await SeedClient.connect(chain.gateway_url, "/ws")
        signed_in = await SeedClient.connect(chain.gateway_url, "/ws", grace)
        mine = await SeedClient.connect(chain.gateway_url, "/ws/notifications", ada)
        delays = []
        for number in range(20):
            assert (await client.get("/api/projects/1")).json()["version"] == number + 1
            assert (await client.get("/api/projects/1")).headers["X-Cache"] == "HIT"
            started = time.perf_counter()
            response = await client.put(
                "/api/projects/1", json={"name": f"name {number}"}, headers=headers
            )
            event = await anonymous.next_event()
            refetch = {"X-Freshwire-Fresh": event["fresh"]}
            answer = await client.get("/api/projects/1", headers=refetch)
            delays.append(time.perf_counter() - started)
            assert answer.json()["version"] == number + 2
            assert (event["type"], event["channel"]) == ("project_updated", "broadcast")
            assert event["data"]["name"] == f"name {number}"
            assert event["id"] == response.headers["X-Freshwire-Event-Id"]
            assert (event["origin"], event["user_id"]) == ("tab-of-u1", "u1")
            assert event["unconfirmed"] is False
            assert int(event["fresh"]) > 0
            assert (await signed_in.next_event())["offset"] == event["offset"]
        delays.sort()
        print(
            f"mutation to refetch: p50 {delays[10] * 1000:.1f} ms, max {delays[-1] * 1000:.1f} ms"
        )
        assert delays[10] < 0.2  # The user's limit; a single one may meet a busy machine.

        note = {"user_id": "u1", "title": "Hello"}
        await client.post("/api/notifications", json=note, headers=headers)
        event = await mine.next_event()
        assert (event["type"], event["channel"]) == ("notification_created", "user:u1")
        assert event["data"]["title"] == "Hello"
        assert await anonymous.hears_nothing()
        assert await signed_in.hears_nothing()
        for socket in (anonymous, signed_in, mine):
            await socket.close()

    run_api(chain, redis_server, tmp_path, scenario)


def test_publishing_over_http_is_the_same_as_over_zeromq(chain, redis_server):
    cache = Cache(redis_server.url)
    with Publisher(chain.publish_endpoint) as zmq, HttpPublisher(chain.http_url, KEY) as http:
        for publisher in (zmq, http):
            cache.read_sync("k", ["t"], lambda: "old")
            receipt = publisher.publish(
                "thing_changed",
                data={"id": "é"},
                audience=["broadcast", "room:42"],
                invalidate=Invalidate(tags=["t"]),
                origin="tab",
            )
            assert [place.channel for place in receipt.positions] == ["broadcast", "room:42"]
            assert receipt.fresh > 0 and not receipt.unconfirmed and not receipt.duplicate
            assert cache.read_sync("k", ["t"], lambda: "new").status is Status.MISS
            again = publisher.publish("thing_changed", audience="broadcast", id=receipt.id)
            assert again.duplicate
            assert again.positions == receipt.positions
            with pytest.raises(RejectedError) as caught:
                publisher.publish("thing_changed", audience=["broadcast", "nowhere"])
            assert "audience[1]" in caught.value.field
        assert zmq.publish("x", audience="broadcast", id=receipt.id).duplicate
    with pytest.raises(UnauthorizedError):
        HttpPublisher(chain.http_url, "a wrong key").publish("x", audience="broadcast")
    cache.close_sync()


def test_no_reader_is_stale_while_the_real_workers_purge(chain, redis_server, tmp_path):
    """Several tabs refetch on each event, with the event's token; the load takes its time."""

    async def scenario(client):
        _, headers = await sign_in(client, "u1")
        done = asyncio.Event()
        statuses: list[str] = []

        async def tab():
            socket = await SeedClient.connect(chain.gateway_url, "/ws")
            ready.release()
            while True:
                event = await socket.next_event()
                path = f"/api/projects/{event['data']['id']}"
                token = {"X-Freshwire-Fresh": event["fresh"]}
                answer = await client.get(path, headers=token)
                statuses.append(answer.headers["X-Cache"])
                assert answer.json()["version"] >= event["data"]["version"]
                if event["data"]["name"] == "the last":
                    break
            await socket.close()

        async def background():
            while not done.is_set():
                await client.get("/api/projects/1")
                await client.get("/api/projects")
                await asyncio.sleep(0)

        ready = asyncio.Semaphore(0)
        tabs = [asyncio.create_task(tab()) for _ in range(5)]
        for _ in tabs:
            await ready.acquire()
        reader = asyncio.create_task(background())
        for number in range(100):
            body = {"name": f"name {number}"}
            await client.put("/api/projects/1", json=body, headers=headers)
        await client.put("/api/projects/1", json={"name": "the last"}, headers=headers)
        await asyncio.gather(*tabs)
        done.set()
        await reader
        assert statuses.count("HIT") > len(statuses) / 4, statuses

    run_api(chain, redis_server, tmp_path, scenario)
