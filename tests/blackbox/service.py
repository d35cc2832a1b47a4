# SPDX-License-Identifier: MPL-2.0
"""One process of the service under the black-box checker: versioned registers in SQLite, read through freshwire.cache,
written in transactions of which some are rolled back. Loads and commits take random times.

It remembers every commit with the moments before and after it; that is the truth that readers are judged by."""

from __future__ import annotations

import argparse
import random
import socket
import threading
import time
import uuid
from typing import Iterator

import sqlalchemy as sa
import uvicorn
from fastapi import Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy.orm import Session, declarative_base

from freshwire import AsyncPublisher, Delivery
from freshwire.cache import Cache, CacheHeaders

from naive import NaiveCache

Base = declarative_base()
MOMENTS_S = (0.0, 0.0, 0.001, 0.003, 0.010)
PUBLISH_WAIT_S = 1.0


class Row(Base):
    __tablename__ = "registers"
    id = sa.Column(sa.Integer, primary_key=True)
    version = sa.Column(sa.Integer, nullable=False)
    nonce = sa.Column(sa.String, nullable=False)


class Register(BaseModel):
    id: int
    version: int
    nonce: str
    """Unique for each attempt to write, so that what was rolled back is recognised wherever it turns up."""


class Commits:
    """[id, version, nonce, before, after]; after is None when it was rolled back. Monotonic seconds."""

    def __init__(self) -> None:
        self.all: list[list[object]] = []
        self._lock = threading.Lock()

    def add(self, register: Register, before: float, after: float | None) -> None:
        with self._lock:
            self.all.append([register.id, register.version, register.nonce, before, after])


def moment() -> None:
    time.sleep(random.choice(MOMENTS_S))


def create_app(options: argparse.Namespace) -> FastAPI:
    engine = sa.create_engine(f"sqlite:///{options.database}", connect_args={"timeout": 20, "check_same_thread": False})
    publisher = AsyncPublisher(options.publish, name="registers")
    # Not at_once: the purges that are tested are those of the workers.
    delivery = Delivery(publisher, level="accepted", wait=PUBLISH_WAIT_S, timeout=120, at_once=False)
    kind = NaiveCache if options.naive else Cache
    cache = kind(options.redis, publisher=delivery, ttl=600, wait=0.3)
    commits = Commits()
    app = FastAPI()
    app.add_middleware(CacheHeaders)

    def session() -> Iterator[Session]:
        with Session(engine) as found:
            yield found

    @app.get("/registers/{id}")
    @cache.cached(key="register:{id}", tags=["register:{id}"])
    def read(id: int, db: Session = Depends(session)) -> Register:
        moment()
        row = db.execute(sa.select(Row.id, Row.version, Row.nonce).where(Row.id == id)).one()
        moment()
        return Register(id=row[0], version=row[1], nonce=row[2])

    @app.get("/registers")
    @cache.cached(key="registers", tags=["registers"])
    def read_all(db: Session = Depends(session)) -> list[Register]:
        moment()
        rows = db.execute(sa.select(Row.id, Row.version, Row.nonce).order_by(Row.id)).all()
        moment()
        return [Register(id=row[0], version=row[1], nonce=row[2]) for row in rows]

    def write(id: int, abort: bool, db: Session) -> Register:
        change = {"version": Row.version + 1, "nonce": uuid.uuid4().hex}
        statement = sa.update(Row).where(Row.id == id).values(**change)
        db.execute(statement, execution_options={"synchronize_session": False})
        made: Register = read(id, db)  # Its own write, which nobody else may see yet, from a cache least of all.
        moment()
        assert made.nonce == change["nonce"]
        if abort:
            db.rollback()
            commits.add(made, time.monotonic(), None)
            return made
        before = time.monotonic()
        db.commit()
        commits.add(made, before, time.monotonic())
        moment()
        return made

    @app.post("/registers/{id}/by-tag")
    @cache.invalidates("register:{id}", "registers", event="register_changed", audience=options.channel, user_id="{id}")
    def write_by_tag(id: int, abort: bool = False, db: Session = Depends(session)) -> Register:
        return write(id, abort, db)

    @app.post("/registers/{id}/by-key")
    @cache.invalidates("registers", keys=["register:{id}"], event="register_changed", audience=options.channel)
    def write_by_key(id: int, abort: bool = False, db: Session = Depends(session)) -> Register:
        return write(id, abort, db)

    @app.get("/commits")
    def all_commits() -> list[list[object]]:
        return commits.all

    @app.get("/healthy")
    def healthy() -> dict[str, object]:
        return {"cache": cache.stats().as_dict(), "publisher": publisher.stats().as_dict()}

    return app


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--redis", required=True)
    parser.add_argument("--publish", required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--channel", required=True)
    parser.add_argument("--naive", action="store_true")
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(create_app(options), log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
