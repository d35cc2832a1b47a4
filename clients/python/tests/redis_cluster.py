# SPDX-License-Identifier: MPL-2.0
"""A private Redis Cluster of three primaries, and a private Sentinel with a primary and a replica,
on loopback and free ports."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import redis

SLOTS = 16384


def free_port() -> int:
    """Below 55536: a cluster's bus is 10000 above, and both must be free."""
    while True:
        with socket.socket() as probe, socket.socket() as bus:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1]) % 20000 + 30000
            try:
                bus.bind(("127.0.0.1", port + 10000))
                with socket.socket() as again:
                    again.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except redis.RedisError:
            pass
        assert time.monotonic() < deadline, f"still not: {what}"
        time.sleep(0.02)


class Node:
    def __init__(self, folder: Path, port: int, *arguments: str, sentinel: str = "") -> None:
        folder.mkdir()
        self.port = port
        command = ["redis-server"]
        if sentinel:
            (folder / "sentinel.conf").write_text(sentinel)
            command += [str(folder / "sentinel.conf"), "--sentinel"]
        command += ["--port", str(port), "--bind", "127.0.0.1", *arguments]
        if not sentinel:
            command += ["--save", ""]
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        self.client = redis.Redis(port=port, socket_timeout=2)
        wait_until(self.client.ping, f"redis-server answers on {port}")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)


class Nodes:
    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fw-redis-"))
        self.nodes: list[Node] = []

    def start(self, *arguments: str, sentinel: str = "") -> Node:
        folder = self.folder / str(len(self.nodes))
        self.nodes.append(Node(folder, free_port(), *arguments, sentinel=sentinel))
        return self.nodes[-1]

    def remove(self) -> None:
        for node in self.nodes:
            node.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class RedisCluster(Nodes):
    def __init__(self) -> None:
        super().__init__()
        for _ in range(3):
            self.start("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
        first = self.nodes[0]
        for number, node in enumerate(self.nodes):
            begin, end = SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1
            node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", begin, end)
            if node is not first:
                node.client.execute_command("CLUSTER", "MEET", "127.0.0.1", first.port)
        for node in self.nodes:
            wait_until(lambda node=node: self._knows_all(node), "every node knows the cluster")

    def move(self, slot: int) -> None:
        """Hands an empty slot to the next node: clients that know the old place are sent on."""
        source = next(number for number in range(3) if slot < SLOTS * (number + 1) // 3)
        target = self.nodes[(source + 1) % 3]
        name = target.client.execute_command("CLUSTER", "MYID")
        for node in (target, *(node for node in self.nodes if node is not target)):
            node.client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", name)

    @staticmethod
    def _knows_all(node: Node) -> bool:
        info = node.client.execute_command("CLUSTER", "INFO")
        text = (
            info
            if isinstance(info, dict)
            else dict(line.split(":") for line in info.decode().split())
        )
        return text["cluster_state"] == "ok" and text["cluster_known_nodes"] == "3"


class RedisSentinel(Nodes):
    """One Sentinel that is enough to fail over."""

    NAME = "main"

    def __init__(self) -> None:
        super().__init__()
        self.primary = self.start()
        self.replica = self.start("--replicaof", "127.0.0.1", str(self.primary.port))
        wait_until(
            lambda: self.replica.client.info("replication")["master_link_status"] == "up",
            "the replica follows",
        )
        self.sentinel = self.start(
            sentinel=f"sentinel monitor {self.NAME} 127.0.0.1 {self.primary.port} 1\n"
            f"sentinel down-after-milliseconds {self.NAME} 500\n"
            f"sentinel failover-timeout {self.NAME} 3000\n"
        )
        wait_until(lambda: len(self._replicas()) == 1, "the Sentinel knows the replica")

    def _replicas(self) -> list[object]:
        found: list[object] = self.sentinel.client.execute_command(
            "SENTINEL", "REPLICAS", self.NAME
        )
        return found
