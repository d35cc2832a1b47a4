# SPDX-License-Identifier: MPL-2.0
"""Events of decorated functions: after the commit, only after the commit, and never at the cost of
what was committed."""

from __future__ import annotations

import asyncio
import threading

import fake_broker
import pytest
import sqlalchemy as sa
from fake_broker import FakeBroker
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel
from redis_server import RedisServer
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, declarative_base, scoped_session, sessionmaker

import freshwire
from freshwire import AsyncPublisher, Delivery, Event, Publisher
from freshwire.cache import Cache, CacheHeaders, Status, request_cache
from freshwire.sqlalchemy import publish_after_commit
from freshwire.testing import RecordingPublisher

Base = declarative_base()


class Row(Base):
    __tablename__ = "rows"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String)


class Project(BaseModel):
    id: int
    name: str


@pytest.fixture(scope="module")
def server():
    server = RedisServer()
    yield server
    server.remove()


@pytest.fixture
def engine(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/db")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


class World:
    """A publisher that looks at the database at the moment of each event."""

    def __init__(self, server, engine) -> None:
        server.client().flushall()
        self.engine = engine
        self.seen: list[tuple[str, list[str]]] = []
        self.publisher = RecordingPublisher(self._on_event)
        self.cache = Cache(server.url, publisher=self.publisher)

    def _on_event(self, event) -> None:
        self.seen.append((event.type, self.names()))
        self.cache.purge_sync(event.invalidate)

    def names(self) -> list[str]:
        """What is committed: another connection sees nothing else."""
        with self.engine.connect() as connection:
            found = connection.execute(sa.text("SELECT name FROM rows ORDER BY id"))
            return [row[0] for row in found]

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.publisher.events]


@pytest.fixture
def world(server, engine):
    world = World(server, engine)
    yield world
    world.cache.close_sync()


# ---- what publishes nothing


def test_function_that_fails_publishes_nothing(world):
    @world.cache.invalidates("t", event="changed", audience="broadcast")
    def fail(how: str):
        if how == "raises":
            raise KeyError("no such row")
        return JSONResponse({}, status_code=409)

    with pytest.raises(KeyError):
        fail("raises")
    assert fail("refuses").status_code == 409
    assert world.types == []


def test_rolled_back_session_publishes_nothing(world):
    @world.cache.invalidates("t", event="changed", audience="broadcast")
    def write(session: Session):
        session.add(Row(name="x"))
        session.flush()

    with Session(world.engine) as session:
        write(session)
        session.rollback()
        session.commit()
    with Session(world.engine) as session:
        write(session)  # And closed without a commit.
    with Session(world.engine) as session:
        write(session)
        session.close()
        session.add(Row(name="y"))
        session.commit()
    assert world.types == []

    @world.cache.invalidates("t", event="changed", audience="broadcast")
    def take_back(session: Session):
        write(session)
        session.rollback()

    with Session(world.engine) as session:
        take_back(session)
    assert world.types == []
    assert world.names() == ["y"]


def test_mistakes_in_the_program_are_errors_at_decoration(world, server):
    def function(project_id: int): ...

    for wrong in (
        {"tags": ("{nobody}",)},
        {"keys": ["{nobody}"]},
        {"audience": "user:{nobody}"},
        {"user_id": "{nobody}"},
        {"session": "nobody"},
    ):
        with pytest.raises(ValueError, match="takes no nobody"):
            world.cache.invalidates(*wrong.pop("tags", ()), **wrong)(function)
    with pytest.raises(TypeError, match="no_such_field"):
        world.cache.invalidates("t", no_such_field="x")
    with pytest.raises(ValueError, match="needs a publisher"):
        Cache(server.url).invalidates("t", event="changed", audience="broadcast")
    with pytest.raises(TypeError, match="generator"):

        @world.cache.invalidates("t")
        def generate():
            yield 1


# ---- functions that commit by themselves


def test_event_says_what_the_function_did(world):
    @world.cache.invalidates(
        "projects",
        "project:{result.id}",
        keys=["list:{user.id}"],
        event="project_created",
        audience=["broadcast", "user:{user.id}"],
        user_id="{user.id}",
    )
    def create(name: str, user: Project) -> Project:
        return Project(id=7, name=name)

    with request_cache(origin="tab-1") as request:
        assert create("new", user=Project(id=9, name="Ada")) == Project(id=7, name="new")
    [event] = world.publisher.events
    assert (event.type, event.audience) == ("project_created", ("broadcast", "user:9"))
    assert event.data == Project(id=7, name="new")
    assert event.invalidate.tags == ("projects", "project:7")
    assert event.invalidate.keys == ("fw:c:list:9",)
    assert (event.origin, event.user_id) == ("tab-1", "9")
    assert request.event_ids == [event.id]


def test_data_may_be_a_part_of_the_result_or_nothing(world):
    made = {}
    for data in (lambda result: {"id": result["id"]}, None, {"fixed": 1}):

        @world.cache.invalidates("t", event="changed", audience="broadcast", data=data)
        async def change() -> dict:
            return {"id": 1, "secret": 2}

        asyncio.run(change())
        made[str(data)] = world.publisher.events[-1].data
    assert list(made.values()) == [{"id": 1}, None, {"fixed": 1}]


def test_second_read_after_the_function_is_new(world):
    database = {"name": "old"}

    @world.cache.cached(key="row", tags=["row"])
    def read() -> str:
        return database["name"]

    @world.cache.invalidates("row")
    def rename(name: str) -> None:
        database["name"] = name

    assert read() == read() == "old"
    rename("new")
    assert read() == "new"
    assert world.types == ["cache_invalidated"]
    assert world.publisher.events[0].audience == ()


def test_invalidate_returns_the_receipt(world):
    world.cache.read_sync("k", ["t"], lambda: "old")
    receipt = world.cache.invalidate_sync(tags="t", audience="broadcast", event="changed", data=[1])
    assert receipt.acknowledged
    assert receipt.positions[0].channel == "broadcast"
    assert world.cache.read_sync("k", ["t"], lambda: "new").value == "new"

    async def later():
        return await world.cache.invalidate(keys=["k"], origin="tab-2")

    assert asyncio.run(later()).id == world.publisher.events[1].id
    assert world.publisher.events[1].origin == "tab-2"
    assert world.cache.read_sync("k", ["t"], lambda: "newer").value == "newer"


def test_cache_without_a_publisher_purges_by_itself(server):
    alone = Cache(server.url)
    alone.read_sync("k", ["t"], lambda: "old")
    receipt = alone.invalidate_sync(tags=["t"])
    assert receipt.fresh > 0 and receipt.acknowledged
    assert alone.read_sync("k", ["t"], lambda: "new").value == "new"
    alone.close_sync()
    away = Cache("unix:///nonexistent/socket")
    receipt = away.invalidate_sync(tags=["t"])
    assert (receipt.unconfirmed, receipt.acknowledged) == (True, False)


def test_broker_that_refuses_does_not_fail_the_function_and_nobody_reads_the_old_copy(
    world, caplog
):
    world.cache.read_sync("k", ["t"], lambda: "old")
    world.publisher.failure = freshwire.OverloadError(1)

    @world.cache.invalidates("t", event="changed", audience="broadcast")
    def change() -> str:
        return "done"

    assert change() == "done"
    assert "is not published" in caplog.text
    assert world.cache.read_sync("k", ["t"], lambda: "new").value == "new"


# ---- SQLAlchemy


def test_event_of_a_session_waits_for_its_commit(world):
    @world.cache.invalidates("t", event="changed", audience="broadcast")
    def write(session: Session, name: str) -> str:
        session.add(Row(name=name))
        return name

    with Session(world.engine) as session:
        write(session, "a")
        assert world.types == []
        session.flush()
        write(session, "b")
        assert world.types == []
        session.commit()
        assert world.seen == [("changed", ["a", "b"])] * 2
        session.add(Row(name="c"))
        session.commit()
    assert len(world.types) == 2  # Each once.


def test_event_of_a_function_that_commits_is_published_when_it_returns(world):
    @world.cache.invalidates("t", event="changed", audience="broadcast")
    def write(session: Session):
        row = Row(name="a")
        session.add(row)
        session.commit()
        session.refresh(row)  # Begins another transaction, which nobody will commit.
        return row.name

    with Session(world.engine) as session:
        assert write(session) == "a"
        assert world.seen == [("changed", ["a"])]
        assert session.in_transaction()
    assert len(world.types) == 1


def test_session_that_only_reads_holds_nothing_back(world):
    @world.cache.invalidates("t", event="changed", audience="broadcast")
    def elsewhere(session: Session):
        session.execute(sa.select(Row)).all()
        session.execute(sa.text("SELECT 1")).all()

    with Session(world.engine) as session:
        elsewhere(session)
        assert world.types == ["changed"]


def test_released_savepoint_is_no_commit(world):
    @world.cache.invalidates("t", event="changed", audience="broadcast")
    def write(session: Session, name: str):
        session.add(Row(name=name))

    with Session(world.engine) as session:
        with session.begin_nested():
            write(session, "inside")
        assert world.types == []
        session.commit()
    assert world.seen == [("changed", ["inside"])]


def test_rolled_back_savepoint_takes_its_own_events_and_no_others(world):
    @world.cache.invalidates("t", event="changed", audience="broadcast", user_id="{name}")
    def write(session: Session, name: str):
        session.add(Row(name=name))
        session.flush()

    with Session(world.engine) as session:
        write(session, "before")
        with pytest.raises(KeyError), session.begin_nested():
            write(session, "inside")
            with session.begin_nested():
                write(session, "deeper")
            raise KeyError
        write(session, "after")
        session.commit()
    assert [event.user_id for event in world.publisher.events] == ["before", "after"]
    assert world.names() == ["before", "after"]


@pytest.mark.parametrize(
    "statement",
    [
        sa.update(Row).values(name="b"),
        sa.delete(Row),
        sa.insert(Row).values(name="c"),
        sa.text("UPDATE rows SET name = 'd'"),
    ],
    ids=["update", "delete", "insert", "text"],
)
def test_bulk_statements_wait_for_the_commit_too(world, statement):
    @world.cache.invalidates("t", event="changed", audience="broadcast")
    def bulk(session: Session):
        session.execute(statement)

    with Session(world.engine) as session:
        session.add(Row(name="a"))
        session.commit()
        bulk(session)
        assert world.types == []
        session.rollback()
        assert world.types == []
        bulk(session)
        session.commit()
    assert world.types == ["changed"]


def test_named_session_is_waited_for_whatever_it_did(world):
    class Service:
        def __init__(self, session: Session) -> None:
            self.session = session

        @world.cache.invalidates("t", event="changed", audience="broadcast", session="self.session")
        def write(self) -> None:
            # Beside the ORM, which therefore knows nothing of it.
            self.session.connection().execute(sa.text("INSERT INTO rows (name) VALUES ('raw')"))

    with Session(world.engine) as session:
        Service(session).write()
        assert world.types == []
        session.commit()
    assert world.seen == [("changed", ["raw"])]


def test_scoped_sessions_are_sessions(world):
    scoped = scoped_session(sessionmaker(world.engine))

    @world.cache.invalidates("t", event="changed", audience="broadcast")
    def write(session):
        session.add(Row(name="x"))

    write(scoped)
    assert world.types == []
    scoped.commit()
    assert world.types == ["changed"]
    scoped.remove()


def run_async(world, tmp_path, scenario):
    async def run():
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/db")
        try:
            async with AsyncSession(engine) as session:
                await scenario(session)
        finally:
            await engine.dispose()
            await world.cache.close()

    asyncio.run(run())


def test_async_sessions_are_waited_for_too(world, tmp_path):
    @world.cache.invalidates("t", event="changed", audience="broadcast", user_id="{name}")
    async def write(session: AsyncSession, name: str):
        session.add(Row(name=name))
        await session.flush()

    async def scenario(session):
        await write(session, "lost")
        await session.rollback()
        await write(session, "kept")
        async with session.begin_nested():
            await write(session, "nested")
        assert world.types == []
        await session.commit()
        assert [event.user_id for event in world.publisher.events] == ["kept", "nested"]
        assert world.seen[0][1] == ["kept", "nested"]

    run_async(world, tmp_path, scenario)


def test_async_session_inside_a_real_request_reaches_the_broker(server, tmp_path, engine):
    with FakeBroker() as broker:
        cache = Cache(
            server.url, publisher=Delivery(AsyncPublisher(broker.endpoint), level="accepted")
        )
        app = FastAPI()
        app.add_middleware(CacheHeaders)
        async_engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/db")

        async def session():
            async with AsyncSession(async_engine) as found:
                yield found
                await found.commit()

        @app.post("/in-handler")
        @cache.invalidates("rows", event="changed", audience="broadcast")
        async def in_handler(db: AsyncSession = Depends(session)) -> dict:
            db.add(Row(name="x"))
            await db.commit()
            return {"by": "handler"}

        @app.post("/in-dependency")
        @cache.invalidates("rows", event="changed", audience="broadcast")
        async def in_dependency(fail: bool = False, db: AsyncSession = Depends(session)) -> dict:
            db.add(Row(name="y"))
            if fail:
                raise HTTPException(409)
            return {"by": "dependency"}

        with TestClient(app) as client:
            headers = {"X-Freshwire-Origin": "tab-7"}
            first = client.post("/in-handler", headers=headers)
            second = client.post("/in-dependency", headers=headers)
            assert client.post("/in-dependency?fail=true").status_code == 409
            ids = [answer.headers["X-Freshwire-Event-Id"] for answer in (first, second)]
            fake_broker.eventually(lambda: broker.ids == ids)
        assert {publish.event.origin for publish in broker.events} == {"tab-7"}


def test_session_in_a_thread_beside_the_loop_publishes_through_the_loop(server, engine):
    """A `def` endpoint with a plain Session, and a publisher that lives in the event loop."""
    with FakeBroker() as broker:
        cache = Cache(
            server.url, publisher=Delivery(AsyncPublisher(broker.endpoint), level="accepted")
        )
        app = FastAPI()
        app.add_middleware(CacheHeaders)

        @app.post("/write")
        @cache.invalidates("rows", event="changed", audience="broadcast")
        def write() -> dict:
            with Session(engine) as session:
                session.add(Row(name="x"))
                publish_after_commit(
                    session, cache.delivery, Event.make("added", audience="broadcast")
                )
                session.commit()
            return {}

        with TestClient(app) as client:
            ids = client.post("/write").headers["X-Freshwire-Event-Id"].split(",")
        assert broker.ids == ids
        assert [publish.event.type for publish in broker.events] == ["added", "changed"]
        cache.close_sync()


def test_publisher_with_a_thread_serves_commits_in_any_thread(server, engine):
    with FakeBroker() as broker, Publisher(broker.endpoint) as publisher:
        cache = Cache(server.url, publisher=Delivery(publisher, level="accepted"))

        @cache.invalidates("rows", event="changed", audience="broadcast")
        def write(session: Session, name: str):
            session.add(Row(name=name))

        def work(number: int):
            with Session(engine) as session:
                write(session, str(number))
                session.commit()

        cache.read_sync("k", ["rows"], lambda: "old")
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        # Whoever committed reads what was written, before the broker has answered.
        assert cache.read_sync("k", ["rows"], lambda: "new").value == "new"
        fake_broker.eventually(lambda: len(broker.ids) == 4)
        cache.close_sync()


def test_commit_survives_a_publisher_that_breaks(world, caplog):
    class Broken:
        def submit(self, event, *, level="purged", timeout=None):
            raise RuntimeError("broken")

    broken = Cache("unix:///nonexistent/socket", publisher=Broken())

    @broken.invalidates("t", event="changed", audience="broadcast")
    def write(session: Session):
        session.add(Row(name="x"))

    with Session(world.engine) as session:
        write(session)
        session.commit()
    assert world.names() == ["x"]
    assert "is not published" in caplog.text


# ---- cached functions inside transactions


def test_what_is_not_committed_is_neither_cached_nor_hidden(world):
    calls = []

    @world.cache.cached(key="names", tags=["rows"])
    def names(session: Session) -> list[str]:
        calls.append(1)
        return [row[0] for row in session.execute(sa.select(Row.name))]

    with Session(world.engine) as session:
        assert names(session) == []
        session.rollback()
        assert names(session) == []
        assert len(calls) == 1
        session.add(Row(name="not committed"))
        assert names(session) == ["not committed"]  # Its own writes, past the cache, …
        session.rollback()
    with Session(world.engine) as other:
        assert names(other) == []  # … and nobody else ever sees them.


def test_old_snapshot_may_be_served_from_the_cache_but_fills_nothing(server, engine):
    cache = Cache(server.url)
    server.client().flushall()
    outcomes = []

    @cache.cached(key="names", tags=["rows"])
    def names(session: Session) -> list[str]:
        return [row[0] for row in session.execute(sa.select(Row.name))]

    with Session(engine) as session, request_cache() as request:
        session.execute(sa.select(Row.id)).all()  # SQLite's transactions are serializable.
        names(session)
        names(session)
        session.commit()
        names(session)
        session.commit()
        names(session)
        outcomes = [read.status for read in request.reads]
    assert outcomes == [Status.MISS, Status.MISS, Status.MISS, Status.HIT]
    cache.close_sync()


def test_delivery_level_and_strictness_are_the_callers(world):
    strict = Delivery(world.publisher, strict=True)
    world.publisher.failure = freshwire.OverloadError(1)
    with pytest.raises(freshwire.OverloadError):
        strict.send_sync(Event.make("x", audience="broadcast"))
    with pytest.raises(freshwire.OverloadError):
        asyncio.run(strict.send(Event.make("x", audience="broadcast")))


def test_publisher_over_http_serves_handlers_threads_and_commits(server, engine):
    """It can only wait: it is given threads of its own."""
    sent: list[str] = []

    class Http:
        """As HttpPublisher: `send`, and no `submit`."""

        def send(self, event, *, level="purged", timeout=None):
            if event.type == "refused":
                raise freshwire.UnauthorizedError("no")
            sent.append(event.type)
            return freshwire.Receipt(id=event.id, fresh=5)

    cache = Cache(server.url, publisher=Http())
    assert cache.invalidate_sync(tags=["t"], event="first", audience="broadcast").fresh == 5
    assert asyncio.run(cache.invalidate(event="second", audience="broadcast")).fresh == 5
    assert not cache.invalidate_sync(event="refused", audience="broadcast").acknowledged

    @cache.invalidates("t", event="third", audience="broadcast")
    def write(session: Session):
        session.add(Row(name="x"))

    with Session(engine) as session:
        write(session)
        assert sent == ["first", "second"]
        session.commit()
    fake_broker.eventually(lambda: sent == ["first", "second", "third"])
    cache.close_sync()


def test_publish_after_commit_wants_a_session(world):
    with pytest.raises(TypeError, match="not a session"):
        publish_after_commit(object(), Delivery(world.publisher), Event.make("x"))
