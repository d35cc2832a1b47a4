# SPDX-License-Identifier: MPL-2.0
"""The example's API, with a publisher that purges as a worker does and keeps the events."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from contextlib import asynccontextmanager

import httpx
import jwt
import pytest
from app.application import create_app
from app.database import Connection
from app.settings import Settings
from fastapi.testclient import TestClient
from redis_server import RedisServer

import freshwire
from freshwire.cache import Cache
from freshwire.testing import RecordingPublisher

SECRET = "a secret that only this test and its gateway know"


@pytest.fixture(scope="module")
def redis_server():
    server = RedisServer()
    yield server
    server.remove()


class World:
    """The application, its database as another process sees it, and what was published."""

    def __init__(self, redis_url: str, folder, **settings) -> None:
        self.database_path = str(folder / "projects.sqlite3")
        self.settings = Settings(
            redis_url=redis_url,
            database_path=self.database_path,
            web_dist=folder / "dist",
            jwt_secret=SECRET,
            **settings,
        )
        self.worker = Cache(redis_url)
        self.publisher = RecordingPublisher(self._on_event)
        self.committed: list[tuple[str, object]] = []
        self.app = create_app(self.settings, self.publisher)
        self.client = TestClient(self.app)

    def _on_event(self, event) -> None:
        self.committed.append((event.type, self.row(event.data["id"])))
        self.worker.purge_sync(event.invalidate)

    def row(self, project_id: object):
        """What is committed: another connection sees nothing else."""
        with sqlite3.connect(self.database_path) as connection:
            statement = "SELECT name, version FROM projects WHERE id = ?"
            return connection.execute(statement, (project_id,)).fetchone()

    def sign_in(self, user: str = "Ada", **headers: str) -> dict[str, str]:
        token = self.client.post("/api/login", json={"user": user}).json()["token"]
        return {"Authorization": f"Bearer {token}", **headers}

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.publisher.events]


@pytest.fixture
def world(redis_server, tmp_path):
    redis_server.client().flushall()
    world = World(redis_server.url, tmp_path)
    with world.client:
        yield world
    world.worker.close_sync()


# ---- what is refused


def test_mutations_without_a_token_are_refused_and_publish_nothing(world):
    client = world.client
    for method, path, body in [
        ("POST", "/api/projects", {"name": "x"}),
        ("PUT", "/api/projects/1", {"name": "x"}),
        ("DELETE", "/api/projects/1", None),
        ("PUT", "/api/teams/1", {"name": "x"}),
        ("PUT", "/api/users/me", {"name": "x"}),
        ("POST", "/api/notifications", {"user_id": "u1", "title": "x"}),
        ("POST", "/api/notifications/1/read", None),
        ("GET", "/api/users/me", None),
        ("GET", "/api/notifications", None),
    ]:
        response = client.request(method, path, json=body)
        assert response.status_code == 401, path
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert world.types == []
    assert world.row(1)[1] == 1


def test_tokens_that_are_not_ours_are_refused(world):
    now = int(time.time())
    claims = {"sub": "u1", "exp": now + 60}
    bad = [
        "garbage",
        jwt.encode(claims, "another secret of the same length as ours", algorithm="HS256"),
        jwt.encode({**claims, "exp": now - 60}, SECRET, algorithm="HS256"),
        jwt.encode({"exp": now + 60}, SECRET, algorithm="HS256"),
        jwt.encode({"sub": "u1"}, SECRET, algorithm="HS256"),
        jwt.encode(claims, None, algorithm="none"),
    ]
    for token in bad:
        headers = {"Authorization": f"Bearer {token}"}
        assert world.client.get("/api/users/me", headers=headers).status_code == 401
        # Also where nobody may read: a token that is not good is never taken for no token.
        assert world.client.get("/api/projects", headers=headers).status_code == 401
    basic = {"Authorization": "Basic dTE6cHc="}
    assert world.client.get("/api/users/me", headers=basic).status_code == 401
    assert world.client.post("/api/login", json={"user": "Mallory"}).status_code == 401


def test_bodies_and_paths_that_make_no_sense_are_refused_and_publish_nothing(world):
    headers = world.sign_in()
    client = world.client
    for method, path, body, status in [
        ("POST", "/api/projects", {}, 422),
        ("POST", "/api/projects", {"name": ""}, 422),
        ("POST", "/api/projects", {"name": "x" * 121}, 422),
        ("POST", "/api/projects", {"name": "x", "team_id": "99"}, 422),
        ("PUT", "/api/projects/1", {"status": "exploded"}, 422),
        ("PUT", "/api/projects/99", {"name": "x"}, 404),
        ("PUT", "/api/projects/1", {"name": "x", "version": 7}, 409),
        ("DELETE", "/api/projects/99", None, 404),
        ("PUT", "/api/teams/99", {"name": "x"}, 404),
        ("PUT", "/api/teams/1", {"member_ids": ["nobody"]}, 422),
        ("POST", "/api/notifications", {"user_id": "nobody", "title": "x"}, 422),
        ("POST", "/api/notifications/99/read", None, 404),
        ("GET", "/api/projects/99", None, 404),
        ("GET", "/api/projects/999999999999999999999", None, 422),
        ("GET", "/api/nothing", None, 404),
    ]:
        response = client.request(method, path, json=body, headers=headers)
        assert response.status_code == status, (method, path, response.text)
        assert response.headers["Cache-Control"] == "no-store"
    assert world.types == []
    assert world.row(1)[1] == 1


def test_one_user_never_sees_or_touches_what_is_another_s(world):
    ada, grace = world.sign_in("Ada"), world.sign_in("Grace")
    client = world.client
    note = {"user_id": "u2", "title": "for Grace"}
    created = client.post("/api/notifications", json=note, headers=ada).json()
    assert client.get("/api/notifications", headers=ada).json() == []
    assert [row["title"] for row in client.get("/api/notifications", headers=grace).json()] == [
        "for Grace"
    ]
    path = f"/api/notifications/{created['id']}/read"
    assert client.post(path, headers=ada).status_code == 404
    assert client.get("/api/users/me", headers=ada).json()["name"] == "Ada"
    assert client.get("/api/users/me", headers=grace).json()["name"] == "Grace"
    assert client.get("/api/dashboard", headers=ada).json()["unread"] == 0
    assert client.get("/api/dashboard", headers=grace).json()["unread"] == 1
    assert client.get("/api/dashboard").json()["unread"] == 0


# ---- events


def test_event_is_published_only_after_its_commit(world):
    headers = world.sign_in()
    created = world.client.post("/api/projects", json={"name": "New"}, headers=headers).json()
    path = f"/api/projects/{created['id']}"
    world.client.put(path, json={"name": "Newer"}, headers=headers)
    world.client.delete(path, headers=headers)
    # What another connection saw at the very moment of each publish.
    assert world.committed == [
        ("project_created", ("New", 1)),
        ("project_updated", ("Newer", 2)),
        ("project_deleted", None),
    ]


def test_rolled_back_mutation_publishes_nothing(world, monkeypatch):
    headers = world.sign_in()
    execute = Connection.execute

    async def fail_at_commit(self, statement, values=()):
        if statement == "COMMIT":
            await execute(self, "ROLLBACK")
            raise sqlite3.OperationalError("disk full")
        return await execute(self, statement, values)

    monkeypatch.setattr(Connection, "execute", fail_at_commit)
    with pytest.raises(sqlite3.OperationalError):
        world.client.put("/api/projects/1", json={"name": "Lost"}, headers=headers)
    assert world.types == []
    assert world.row(1) == ("Analytical engine", 1)


def test_every_mutation_names_its_audience_and_what_it_made_stale(world):
    headers = world.sign_in(**{"X-Freshwire-Origin": "tab-7"})
    client = world.client
    client.post("/api/projects", json={"name": "New"}, headers=headers)
    client.put("/api/projects/1", json={"name": "Renamed"}, headers=headers)
    client.delete("/api/projects/2", headers=headers)
    client.put("/api/users/me", json={"name": "Countess"}, headers=headers)
    client.put("/api/teams/1", json={"member_ids": ["u3"]}, headers=headers)
    client.post("/api/notifications", json={"user_id": "u1", "title": "Hi"}, headers=headers)
    client.post("/api/notifications/1/read", headers=headers)
    told = [(event.type, event.audience, event.invalidate.tags) for event in world.publisher.events]
    assert told == [
        ("project_created", ("broadcast",), ("projects", "project:4")),
        ("project_updated", ("broadcast",), ("projects", "project:1")),
        ("project_deleted", ("broadcast",), ("projects", "project:2")),
        ("user_updated", ("user:u1",), ("user:u1",)),
        ("team_updated", ("broadcast",), ("teams",)),
        ("notification_created", ("user:u1",), ("notifications:u1",)),
        ("notification_read", ("user:u1",), ("notifications:u1",)),
    ]
    for event in world.publisher.events:
        assert (event.origin, event.user_id) == ("tab-7", "u1")
        assert (event.exclude_user, event.exclude_origin) == ("", "")
    assert world.publisher.events[0].data["version"] == 1
    assert world.publisher.events[1].data["version"] == 2
    assert world.publisher.events[4].data["member_ids"] == ["u3"]


def test_answer_carries_the_id_of_its_event_and_is_never_stored(world):
    response = world.client.post("/api/projects", json={"name": "x"}, headers=world.sign_in())
    assert response.status_code == 201
    assert response.headers["X-Freshwire-Event-Id"] == world.publisher.events[0].id
    assert response.headers["Cache-Control"] == "no-store"


def test_broker_that_fails_does_not_fail_the_mutation_and_nobody_reads_the_old_copy(world):
    headers = world.sign_in()
    assert world.client.get("/api/projects/1").json()["version"] == 1
    world.publisher.failure = freshwire.OverloadError(1)
    response = world.client.put("/api/projects/1", json={"name": "Renamed"}, headers=headers)
    assert response.status_code == 200
    assert world.client.get("/api/projects/1").json()["version"] == 2


# ---- reads


def test_second_read_comes_from_the_cache_and_is_counted(world):
    headers = world.sign_in()
    client = world.client
    before = client.get("/api/stats").json()["database_reads"]
    paths = [
        "/api/projects",
        "/api/projects/1",
        "/api/teams",
        "/api/users/me",
        "/api/notifications",
    ]
    for path in [*paths, "/api/dashboard"]:
        first, second = (client.get(path, headers=headers) for _ in range(2))
        assert (first.headers["X-Cache"], second.headers["X-Cache"]) == ("MISS", "HIT"), path
        assert first.json() == second.json()
        assert second.headers["Cache-Control"] == "private, no-store"
    stats = client.get("/api/stats").json()
    assert stats["database_reads"] - before == 6
    assert stats["reads"]["/api/projects/{project_id}"] == {
        "hit": 1,
        "miss": 1,
        "bypass": 0,
        "stale_rejected": 0,
    }


def test_mutation_makes_stale_what_shows_it_and_nothing_else(world):
    headers = world.sign_in()
    client = world.client
    paths = ["/api/projects", "/api/projects/1", "/api/projects/3", "/api/teams", "/api/dashboard"]
    for path in paths:
        client.get(path, headers=headers)
    client.put("/api/projects/1", json={"name": "Renamed"}, headers=headers)
    after = {path: client.get(path, headers=headers).headers["X-Cache"] for path in paths}
    assert after == {
        "/api/projects": "MISS",
        "/api/projects/1": "MISS",
        "/api/projects/3": "HIT",
        "/api/teams": "HIT",
        "/api/dashboard": "MISS",
    }
    names = [project["name"] for project in client.get("/api/projects").json()]
    assert names == ["Just a hobby", "First compiler", "Renamed"]


def test_other_ways_to_write_an_id_are_no_other_entries(world):
    headers = world.sign_in()
    for path in ("/api/projects/1", "/api/projects/01", "/api/projects/%31"):
        assert world.client.get(path).json()["version"] == 1
    world.client.put("/api/projects/001", json={"name": "Renamed"}, headers=headers)
    for path in ("/api/projects/1", "/api/projects/01", "/api/projects/%31"):
        assert world.client.get(path).json()["version"] == 2


def test_refetch_of_an_event_brings_its_token(world):
    client = world.client
    assert client.get("/api/projects").headers["X-Cache"] == "MISS"
    token = str(world.worker.purge_sync(keys=["something else"]).fresh)
    statuses = [
        client.get("/api/projects", headers={"X-Freshwire-Fresh": value}).headers["X-Cache"]
        for value in (token, token, "bypass", "")
    ]
    assert statuses == ["STALE-REJECTED", "HIT", "BYPASS", "HIT"]
    assert client.get("/api/stats").json()["reads"]["/api/projects"] == {
        "hit": 2,
        "miss": 1,
        "bypass": 1,
        "stale_rejected": 1,
    }


def test_load_that_began_before_a_mutation_is_never_served_after_it(world, monkeypatch):
    """The race that leaves ordinary caches stale for five minutes, made to happen every time."""
    headers = world.sign_in()
    from app import queries

    has_read, may_go_on = threading.Event(), threading.Event()
    project = queries.project

    async def slow_project(connection, project_id):
        row = await project(connection, project_id)
        if not has_read.is_set():
            has_read.set()
            await asyncio.to_thread(may_go_on.wait, 10)
        return row

    monkeypatch.setattr(queries, "project", slow_project)
    answers = []
    reader = threading.Thread(target=lambda: answers.append(world.client.get("/api/projects/1")))
    reader.start()
    assert has_read.wait(10)  # It holds version 1 in its hands, …
    world.client.put("/api/projects/1", json={"name": "Renamed"}, headers=headers)
    may_go_on.set()
    reader.join(10)
    assert answers[0].json()["version"] == 1  # … may still answer with it, …
    for _ in range(3):
        assert (
            world.client.get("/api/projects/1").json()["version"] == 2
        )  # … but it is in no cache.


def test_many_concurrent_requests_are_consistent(world):
    """Readers and writers at once: every version that a reader sees is committed, and none goes
    back."""

    async def scenario():
        transport = httpx.ASGITransport(app=world.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            login = await client.post("/api/login", json={"user": "u1"})
            headers = {"Authorization": f"Bearer {login.json()['token']}"}
            done = asyncio.Event()

            async def write():
                for number in range(40):
                    body = {"name": f"name {number}"}
                    response = await client.put("/api/projects/1", json=body, headers=headers)
                    assert response.status_code == 200
                done.set()

            async def read():
                seen = 0
                count = 0
                while not done.is_set():
                    due = world.row(1)[1] if not count % 10 else seen
                    published = len(world.publisher.events)
                    version = (await client.get("/api/projects/1")).json()["version"]
                    assert version >= published + 1 or version >= due
                    assert version >= seen
                    seen, count = version, count + 1
                return count

            results = await asyncio.gather(write(), *(read() for _ in range(8)))
            assert sum(results[1:]) > 40
            assert (await client.get("/api/projects/1")).json()["version"] == 41

    @asynccontextmanager
    async def own_loop():
        async with world.app.router.lifespan_context(world.app):
            yield

    async def run():
        async with own_loop():
            await scenario()

    asyncio.run(run())


# ---- the rest


def test_seed_data_login_config_and_health(world):
    client = world.client
    assert client.get("/api/health").json() == {"status": "ok"}
    assert client.get("/api/health").headers["Cache-Control"] == "public, max-age=60"
    assert client.get("/api/config").json() == {"gateway": "ws://127.0.0.1:8080"}
    login = client.post("/api/login", json={"user": "grace"}).json()
    assert login["user"]["name"] == "Grace"
    claims = jwt.decode(login["token"], SECRET, algorithms=["HS256"])
    assert claims["sub"] == "u2"
    assert [project["id"] for project in client.get("/api/projects").json()] == ["3", "2", "1"]
    assert client.get("/api/teams").json()[0]["member_ids"] == ["u1", "u2"]


def test_data_survives_a_restart_of_the_application(world, redis_server, tmp_path):
    world.client.post("/api/projects", json={"name": "Kept"}, headers=world.sign_in())
    again = World(redis_server.url, tmp_path)
    with again.client:
        assert again.client.get("/api/projects").json()[0]["name"] == "Kept"
        assert len(again.client.get("/api/projects").json()) == 4
    again.worker.close_sync()


def test_page_that_is_not_built_says_what_to_do(world):
    response = world.client.get("/")
    assert response.status_code == 503
    assert "npm run build" in response.text
    assert response.headers["Cache-Control"] == "no-store"


def test_page_is_served_for_every_place_in_it_and_files_as_they_are(world):
    dist = world.settings.web_dist
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<title>Projects</title>")
    (dist / "assets" / "app-1a2b.js").write_text("export {}")
    (dist.parent / "secret.txt").write_text("not for browsers")
    client = world.client
    for path in ("/", "/projects/4", "/deep/er/place"):
        response = client.get(path)
        assert response.text == "<title>Projects</title>"
        assert response.headers["Cache-Control"] == "no-cache"
        assert response.headers["Content-Type"].startswith("text/html")
    script = client.get("/assets/app-1a2b.js")
    assert script.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert client.get("/assets/app-gone.js").status_code == 404
    assert client.get("/api/nothing").status_code == 404
    for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt"):
        assert "not for browsers" not in client.get(path).text
