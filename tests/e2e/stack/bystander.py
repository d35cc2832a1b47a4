# SPDX-License-Identifier: MPL-2.0
"""Somebody who works on quietly while somebody else misbehaves."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Mapping

from stack.client import freshwire
from stack.crowd import check_complete
from stack.process import Daemon
from stack.redis_server import RedisServer
from stack.session import Session
from stack.tokens import make_token
from stack.waiting import wait_for

PUBLISHED_WITHIN_S = 2.0


class Bystander:
    """Publishes fifty events a second and listens to them. check() fails when it noticed anything."""

    CHANNEL = "room:bystander"

    def __init__(self, broker: Daemon, gateway: Daemon, token: str) -> None:
        subscriptions = [{"channel": self.CHANNEL}]
        self.session = Session(gateway.websocket + "/ws", {"token": token, "subscriptions": subscriptions})
        self.offset = 0
        self.slowest_s = 0.0
        self.failure: Exception | None = None
        self._publisher = freshwire.Publisher(broker.publish_endpoint, timeout=10)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bystander", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        purged = freshwire.Invalidate(tags=["bystander"])
        try:
            while not self._ended.wait(0.02):
                began = time.monotonic()
                receipt = self._publisher.publish("ticked", audience=self.CHANNEL, invalidate=purged)
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                assert not receipt.unconfirmed and not receipt.duplicate
                self.offset = receipt.positions[0].offset
        except Exception as error:
            self.failure = error

    def check(self) -> None:
        """Everything so far came, and more is coming."""
        before = self.offset
        wait_for(lambda: self.failure or self.offset > before + 1, "the bystander publishes on")
        assert self.failure is None, f"the bystander was disturbed: {self.failure!r}"
        reached = self.offset
        self.session.receive(lambda message: int(message.get("offset", 0)) >= reached, after=len(self.session.events))
        assert check_complete(self.CHANNEL, self.session) >= reached
        assert self.session.close_code is None
        assert self.slowest_s < PUBLISHED_WITHIN_S
        errors = [message for message in self.session.messages if message["type"] == "fw.error"]
        assert not errors, errors

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(20)
        self._publisher.close()
        self.session.close()


class World:
    """Separate roles, a bystander, and what is needed to misbehave before them."""

    def __init__(self, folder: Path, broker_flags: list[str], gateway_flags: list[str], env: Mapping[str, str]) -> None:
        self.broker = Daemon("broker", folder / "broker", broker_flags).wait_started()
        self.redis = RedisServer(folder)
        link = self.broker.broker_flags()
        worker_flags = ["--admin-listen", "127.0.0.1:0", "--worker-redis-url", self.redis.url]
        self.worker = Daemon("worker", folder / "worker", [*worker_flags, *link]).wait_started()
        self.gateway = Daemon("gateway", folder / "gateway", [*gateway_flags, *link], env).wait_started()
        for daemon in (self.worker, self.gateway):
            daemon.wait_ready()
        self.secret = env["FRESHWIRE_GATEWAY_JWT_SECRET"]
        self.publish_key = env["FRESHWIRE_GATEWAY_PUBLISH_KEYS"]
        self.bystander = Bystander(self.broker, self.gateway, self.token("bystander"))

    def token(self, sub: str | None, **options: Any) -> str:
        return make_token(self.secret, sub, **options)

    @contextmanager
    def counted(self, daemon: Daemon, name: str, **labels: str) -> Iterator[None]:
        """What is done inside makes this metric rise."""
        before = daemon.metrics().value(name, **labels)
        yield
        wait_for(lambda: daemon.metrics().value(name, **labels) > before, f"{name} {labels} is above {before:g}", 10)

    def stop(self) -> None:
        """Every process ends as it should, in the end too."""
        failures = []
        try:
            self.bystander.stop()
        finally:
            for daemon in (self.gateway, self.worker, self.broker):
                try:
                    daemon.stop()
                except AssertionError as error:
                    failures.append(str(error))
            self.redis.stop()
        assert not failures, "\n".join(failures)
