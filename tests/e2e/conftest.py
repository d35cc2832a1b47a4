# SPDX-License-Identifier: MPL-2.0
"""Fixtures of the end-to-end tests. Everything that a test starts is stopped after it, and a process that ended badly,
or in whose stderr a sanitizer reported, fails the test."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

import pytest

from stack import Daemon, RedisServer, Session, find_binary, make_token, publish_http

SECRET = "an end-to-end secret of 32 bytes or more"
PUBLISH_KEY = "an-end-to-end-publish-key"

# Free ports everywhere. Drains are quick: the tests of draining set their own.
ANY_PORTS = ["--admin-listen", "127.0.0.1:0"]
BROKER_PORTS = [
    flag for link in ("fire", "publish", "jobs", "events", "control") for flag in (f"--broker-ports-{link}", "0")
]
GATEWAY_FLAGS = [
    "--gateway-listen", "127.0.0.1:0", "--gateway-drain-delay", "0", "--gateway-drain-window", "0",
]  # fmt: skip
GATEWAY_ENVIRONMENT = {"FRESHWIRE_GATEWAY_JWT_SECRET": SECRET, "FRESHWIRE_GATEWAY_PUBLISH_KEYS": PUBLISH_KEY}


@pytest.fixture(scope="session")
def binary() -> Path:
    return find_binary()


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """start_redis(*redis_arguments) starts one more private Redis."""
    servers: list[RedisServer] = []

    def start(*arguments: str) -> RedisServer:
        folder = tmp_path / f"redis-{len(servers)}"
        folder.mkdir()
        servers.append(RedisServer(folder, *arguments))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def redis_server(start_redis: Callable[..., RedisServer]) -> RedisServer:
    return start_redis()


@pytest.fixture
def start(tmp_path: Path, binary: Path) -> Iterator[Callable[..., Daemon]]:
    """start(role, *flags, env={…}) runs a role on free ports and waits until it listens.

    Roles that connect need the broker's flags: start("worker", *broker.broker_flags(), …)."""
    daemons: list[Daemon] = []
    numbers = itertools.count()

    def start_role(role: str, *flags: str, env: Mapping[str, str] | None = None) -> Daemon:
        arguments = list(ANY_PORTS)
        environment: dict[str, str] = {}
        if role in ("broker", "all"):
            arguments += BROKER_PORTS
        if role in ("gateway", "all"):
            arguments += GATEWAY_FLAGS
            environment |= GATEWAY_ENVIRONMENT
        # What the test says replaces what stands here.
        given = {flag.split("=")[0] for flag in flags}
        for flag in [flag for flag in arguments[::2] if flag in given]:
            index = arguments.index(flag)
            del arguments[index : index + 2]
        environment.update(env or {})
        folder = tmp_path / f"{role}-{next(numbers)}"
        daemon = Daemon(role, folder, [*arguments, *flags], environment, binary)
        daemons.append(daemon)
        return daemon.wait_started()

    yield start_role
    failures: list[str] = []
    # The last one first: gateways before the broker that they hang on.
    for daemon in reversed(daemons):
        try:
            daemon.stop()
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(failures)


@dataclass
class Stack:
    """One Redis and one process with all roles, ready for work."""

    redis: RedisServer
    daemon: Daemon
    secret: str = SECRET
    publish_key: str = PUBLISH_KEY

    def token(self, sub: str, **options: Any) -> str:
        return make_token(self.secret, sub, **options)

    def session(self, path: str = "/ws", **options: Any) -> Session:
        """A browser on a path such as /ws/room/42. Options as of Session."""
        return Session(self.daemon.websocket + path, **options)

    def publish(self, type: str, *audience: str, **members: Any) -> dict[str, Any]:
        """Publishes over HTTP and returns the answer, which must be 200."""
        answer = publish_http(
            self.daemon.gateway, self.publish_key, {"type": type, "audience": list(audience), **members}
        )
        assert answer.status == 200, answer.body.decode(errors="replace")
        return answer.json()


@pytest.fixture
def stack(start: Callable[..., Daemon], redis_server: RedisServer) -> Stack:
    daemon = start("all", "--worker-redis-url", redis_server.url)
    return Stack(redis_server, daemon.wait_ready())
