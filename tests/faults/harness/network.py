# SPDX-License-Identifier: MPL-2.0
"""A network of one's own: a namespace per role on one bridge, and what can go wrong on it.

    hub namespace: bridge ── veth ── broker, worker0, gateway0 … (a namespace each)
                          └─ veth ── the test itself (the machine's own namespace)

Nothing of the machine is changed but one interface, which goes away with the hub. Every rule lives in a role's own
namespace and goes away with that."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager, suppress
from typing import Iterator, Sequence


def why_not() -> str | None:
    """Why this machine cannot have such networks, or None."""
    if os.geteuid() != 0:
        return "needs root: network namespaces and iptables"
    missing = [name for name in ("ip", "iptables", "tc", "ss") if not shutil.which(name)]
    if missing:
        return f"needs {', '.join(missing)}"
    name = f"fw{os.getpid()}probe"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"no network namespaces here: {made.stderr.strip()}"
    inside = ["ip", "netns", "exec", name]
    tried = subprocess.run([*inside, "iptables", "-L", "-n"], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", name], check=False)
    return f"no iptables here: {tried.stderr.strip()}" if tried.returncode else None


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


class Host:
    """One role's namespace."""

    def __init__(self, network: "Network", name: str, address: str) -> None:
        self.network = network
        self.name = name
        self.address = address
        self.namespace = f"{network.prefix}-{name}"
        self.interface = "eth0"

    @property
    def launcher(self) -> list[str]:
        return ["ip", "netns", "exec", self.namespace]

    def run(self, *command: str) -> str:
        return run(*self.launcher, *command)

    @contextmanager
    def rule(self, chain: str, *rule: str) -> Iterator[None]:
        """An iptables rule while the block lasts: rule("INPUT", "-s", other.address, "-j", "DROP")."""
        self.run("iptables", "-w", "-A", chain, *rule)
        try:
            yield
        finally:
            # The namespace may be gone already when a test ends in the middle.
            with suppress(RuntimeError):
                self.run("iptables", "-w", "-D", chain, *rule)

    @contextmanager
    def deaf_to(self, other: "Host | str") -> Iterator[None]:
        """Nothing of the other arrives here; what is sent there does."""
        with self.rule("INPUT", "-s", _address(other), "-j", "DROP"):
            yield

    @contextmanager
    def mute_to(self, other: "Host | str") -> Iterator[None]:
        """Nothing that is sent to the other leaves."""
        with self.rule("OUTPUT", "-d", _address(other), "-j", "DROP"):
            yield

    @contextmanager
    def cut_from(self, other: "Host | str") -> Iterator[None]:
        with self.deaf_to(other), self.mute_to(other):
            yield

    @contextmanager
    def refused_by(self, other: "Host | str") -> Iterator[None]:
        """Every packet there is answered with a TCP reset."""
        with self.rule("OUTPUT", "-d", _address(other), "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset"):
            yield

    @contextmanager
    def losing(self, share: float) -> Iterator[None]:
        """This share of all packets is lost, each way."""
        some = ("-m", "statistic", "--mode", "random", "--probability", f"{share:.4f}", "-j", "DROP")
        with self.rule("INPUT", *some), self.rule("OUTPUT", *some):
            yield

    @contextmanager
    def slow_receiving(self, rate: str) -> Iterator[None]:
        """What comes to this host comes at this rate, for example "200kbit"."""
        port = self.network.port_of(self)
        inside = self.network.inside
        run(*inside, "tc", "qdisc", "add", "dev", port, "root", "tbf", "rate", rate, "burst", "8kb", "latency", "2s")
        try:
            yield
        finally:
            with suppress(RuntimeError):
                run(*inside, "tc", "qdisc", "del", "dev", port, "root")

    def down(self) -> None:
        self.run("ip", "link", "set", self.interface, "down")

    def up(self) -> None:
        self.run("ip", "link", "set", self.interface, "up")

    def kill_connections(self, *filter: str) -> int:
        """Ends established TCP connections as ss -K does: kill_connections("dport", "=", ":7004"). How many."""
        out = self.run("ss", "-K", "-H", "-t", "state", "established", *filter)
        return len([line for line in out.splitlines() if line.strip()])


def _address(other: Host | str) -> str:
    return other if isinstance(other, str) else other.address


class Network:
    def __init__(self, names: Sequence[str]) -> None:
        self.prefix = f"fw{os.getpid()}"
        self.subnet = f"10.213.{os.getpid() % 250 + 1}"
        self.address = f"{self.subnet}.254"  # the test's own
        self._hub = f"{self.prefix}-hub"
        self.inside = ["ip", "netns", "exec", self._hub]
        self.hosts: dict[str, Host] = {}
        try:
            self._make_hub()
            for number, name in enumerate(names, 1):
                self._make_host(name, f"{self.subnet}.{number}")
        except BaseException:
            self.close()
            raise

    def _make_hub(self) -> None:
        run("ip", "netns", "add", self._hub)
        run(*self.inside, "ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0")
        run(*self.inside, "ip", "link", "set", "br0", "up")
        mine, other = f"{self.prefix}t", "test"
        run("ip", "link", "add", mine, "type", "veth", "peer", "name", other, "netns", self._hub)
        run("ip", "address", "add", f"{self.address}/24", "dev", mine)
        run("ip", "link", "set", mine, "up")
        run(*self.inside, "ip", "link", "set", other, "master", "br0", "up")

    def _make_host(self, name: str, address: str) -> None:
        host = Host(self, name, address)
        run("ip", "netns", "add", host.namespace)
        self.hosts[name] = host
        port = self.port_of(host)
        run(*self.inside, "ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
        run(*self.inside, "ip", "link", "set", port, "master", "br0", "up")
        host.run("ip", "link", "set", "lo", "up")
        host.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")

    @staticmethod
    def port_of(host: Host) -> str:
        """The bridge's end of a host's cable."""
        return f"p-{host.name}"

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def close(self) -> None:
        for namespace in [*(host.namespace for host in self.hosts.values()), self._hub]:
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)
        # It went with the hub, unless that was never finished.
        subprocess.run(["ip", "link", "del", f"{self.prefix}t"], capture_output=True, check=False)
