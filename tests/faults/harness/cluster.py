# SPDX-License-Identifier: MPL-2.0
"""A broker, workers, gateways and a Redis as processes that keep their addresses when they are started again."""

from __future__ import annotations

import random
import socket
from pathlib import Path
from typing import Mapping, Sequence

from stack import Daemon, RedisServer
from stack.process import find_binary

from harness.network import Network

SECRET = "a secret of the fault tests, 32 bytes or more"
PUBLISH_KEY = "a-publish-key-of-the-fault-tests"
LINKS = ("fire", "publish", "jobs", "events", "control")


def quiet_port(taken: set[int], randomness: random.Random) -> int:
    """A port that nobody is given by chance: below the range of ephemeral ones, so that it is free again after a
    restart."""
    for _ in range(1000):
        port = randomness.randrange(18000, 32000)
        if port in taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
        taken.add(port)
        return port
    raise AssertionError("no free port between 18000 and 32000")


class Role:
    """One process at an address that stays; start gives the next one in its place."""

    def __init__(
        self, cluster: "Cluster", name: str, role: str, flags: Sequence[str], env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.address = cluster.address(name)
        self.flags = list(flags)
        self.env = dict(env or {})
        self.launcher = cluster.launcher(name)
        self.admin_port = cluster.port()
        self.public_port = 0  # gateways
        self.past: list[Daemon] = []  # those that ended, to be checked in the end
        self._cluster = cluster
        self._role = role
        self.daemon: Daemon | None = None

    def start(self, *more: str, env: Mapping[str, str] | None = None, launcher: Sequence[str] = ()) -> "Role":
        assert self.daemon is None or not self.daemon.running(), f"{self.name} is running"
        if self.daemon:
            self.past.append(self.daemon)
        folder = self._cluster.folder / f"{self.name}-{len(self.past)}"
        flags = ["--admin-listen", f"{self.address}:{self.admin_port}", *self.flags, *more]
        self.daemon = Daemon(
            self._role, folder, flags, {**self.env, **(env or {})}, self._cluster.binary,
            launcher=[*self.launcher, *launcher],
        )  # fmt: skip
        self.daemon.wait_started()
        return self

    @property
    def now(self) -> Daemon:
        assert self.daemon is not None, f"{self.name} was never started"
        return self.daemon

    @property
    def url(self) -> str:
        """Of a gateway, also while it is away."""
        return f"http://{self.address}:{self.public_port}"

    def ready(self, deadline_s: float = 20) -> "Role":
        self.now.wait_ready(deadline_s)
        return self

    def has_broker(self) -> bool:
        """A gateway without one stays ready: it keeps its sessions and tells them."""
        return self.metric("freshwire_uplink_connected") > 0

    def metric(self, name: str, **labels: str) -> float:
        return self.now.metrics().value(name, **labels)

    def kill(self) -> None:
        self.now.kill()

    def restart(self) -> None:
        """In good order: SIGTERM, then the next one."""
        self.now.stop()
        self.start()

    def pause(self) -> None:
        self.now.pause()

    def resume(self) -> None:
        self.now.resume()

    def rss_kib(self) -> int:
        return _status(self.now.process.pid, "VmRSS")

    def fds(self) -> int:
        return len(list(Path(f"/proc/{self.now.process.pid}/fd").iterdir()))

    def threads(self) -> list[int]:
        return [int(path.name) for path in Path(f"/proc/{self.now.process.pid}/task").iterdir()]

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.now.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def close(self) -> list[str]:
        failures = []
        for daemon in [*self.past, *([self.daemon] if self.daemon else [])]:
            try:
                daemon.stop()
            except AssertionError as error:
                failures.append(f"{self.name}: {error}")
        return failures


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise AssertionError(f"/proc/{pid}/status has no {name}")


class Cluster:
    """Nothing runs before start. With a network every role has its own host, named as the role is."""

    def __init__(self, folder: Path, seed: int, network: Network | None = None) -> None:
        self.folder = folder
        self.binary = find_binary()
        self.network = network
        self.seed = seed
        self._random = random.Random(seed)
        self._taken: set[int] = set()
        self.ports = {link: self.port() for link in LINKS}
        bind = [flag for link in LINKS for flag in (f"--broker-ports-{link}", str(self.ports[link]))]
        # With a network the links are not on the loopback; keys are the business of tests/e2e/test_link_keys.py.
        flags = ["--broker-bind", self.address("broker"), "--security-allow-plaintext", *bind]
        self.broker = Role(self, "broker", "broker", flags)
        self.workers: list[Role] = []
        self.gateways: list[Role] = []
        self._redis: RedisServer | None = None

    def address(self, name: str) -> str:
        return self.network[name].address if self.network else "127.0.0.1"

    def launcher(self, name: str) -> list[str]:
        return self.network[name].launcher if self.network else []

    def port(self) -> int:
        return quiet_port(self._taken, self._random)

    def link_flags(self, host: str | None = None, ports: Mapping[str, int] | None = None) -> list[str]:
        """What connects a role to the broker, or to something in between."""
        flags = ["--broker-host", host or self.broker.address]
        for link, port in {**self.ports, **(ports or {})}.items():
            flags += [f"--broker-ports-{link}", str(port)]
        return flags

    @property
    def publish_endpoint(self) -> str:
        return f"tcp://{self.broker.address}:{self.ports['publish']}"

    @property
    def fire_endpoint(self) -> str:
        return f"tcp://{self.broker.address}:{self.ports['fire']}"

    @property
    def redis(self) -> RedisServer:
        assert self._redis is not None
        return self._redis

    def start_redis(self, *arguments: str) -> RedisServer:
        folder = self.folder / "redis"
        folder.mkdir(parents=True, exist_ok=True)
        self._redis = RedisServer(
            folder, *arguments, address=self.address("redis"), port=self.port(), launcher=self.launcher("redis")
        )
        return self._redis

    def add_worker(self, *flags: str, link: Sequence[str] | None = None) -> Role:
        name = f"worker{len(self.workers)}"
        redis = ["--worker-redis-url", self.redis.url]
        self.workers.append(Role(self, name, "worker", [*redis, *(link or self.link_flags()), *flags]))
        return self.workers[-1]

    def add_gateway(
        self,
        *flags: str,
        link: Sequence[str] | None = None,
        drain: tuple[str, str] = ("200ms", "300ms"),
        pings: tuple[str, str] = ("2s", "2s"),
    ) -> Role:
        """drain: over how long sessions are closed, and in what time they come back at least."""
        name = f"gateway{len(self.gateways)}"
        port = self.port()
        listen = ["--gateway-listen", f"{self.address(name)}:{port}"]
        quick = ["--gateway-drain-delay", "0", "--gateway-drain-window", drain[0]]
        quick += ["--gateway-reconnect-window", drain[1]]
        patience = ["--gateway-ping-interval", pings[0], "--gateway-pong-timeout", pings[1]]
        env = {"FRESHWIRE_GATEWAY_JWT_SECRET": SECRET, "FRESHWIRE_GATEWAY_PUBLISH_KEYS": PUBLISH_KEY}
        all_flags = [*listen, *quick, *patience, *(link or self.link_flags()), *flags]
        self.gateways.append(Role(self, name, "gateway", all_flags, env))
        self.gateways[-1].public_port = port
        return self.gateways[-1]

    @property
    def roles(self) -> list[Role]:
        return [self.broker, *self.workers, *self.gateways]

    def start(self, workers: int = 2, gateways: int = 2, broker_flags: Sequence[str] = ()) -> "Cluster":
        """The usual: Redis, broker, workers, gateways, all ready."""
        if self._redis is None:
            self.start_redis()
        self.broker.flags += broker_flags
        self.broker.start()
        while len(self.workers) < workers:
            self.add_worker()
        while len(self.gateways) < gateways:
            self.add_gateway()
        for role in [*self.workers, *self.gateways]:
            if role.daemon is None:
                role.start()
        for role in self.roles:
            role.ready()
        return self

    def close(self) -> None:
        """Every process ends as it should; gateways before the broker that they hang on."""
        failures = [failure for role in reversed(self.roles) for failure in role.close()]
        if self._redis:
            self._redis.stop()
        assert not failures, "\n".join(failures)
