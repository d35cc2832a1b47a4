# SPDX-License-Identifier: MPL-2.0
"""The auditor: as a command beside a running system, and inside a worker."""

from __future__ import annotations

import json
import struct
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

import pytest

from stack import Daemon, RedisServer, find_binary, run_command, wait_for
from stack.process import environment

OK, FAILURE, USAGE, CONFIG, _, UNREACHABLE = range(6)
PATIENCE_S = 30
KEY = "fw:c:projects"


def plant(redis: RedisServer, start_us: int = 1) -> None:
    """Writes an entry that is older than any purge, with the epoch's stamp of now: what a buggy writer might do."""
    epoch = int(redis.client.get("fw:epoch"))
    stamps = b"\x91\x92\xa0\xcf" + struct.pack(">Q", epoch)
    redis.client.set(KEY, b"CWE1" + b"n" * 16 + struct.pack(">Q", start_us) + stamps + b"\0\xc0")


class Auditor:
    """A running 'freshwire audit --json'."""

    def __init__(self, folder: Path, daemon: Daemon, redis: RedisServer, *flags: str) -> None:
        self.log = folder / "audit.log"
        command = [str(find_binary()), "audit", "--json", "--worker-redis-url", redis.url, *daemon.broker_flags(), *flags]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=log, text=True)
        wait_for(lambda: "the auditor hears the broker" in self.log.read_text(), "the auditor to hear the broker")

    def report(self) -> Mapping[str, Any]:
        assert self.process.stdout
        return json.loads(self.process.stdout.read().splitlines()[-1])

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE_S)


@pytest.fixture
def audit(tmp_path: Path, start: Callable[..., Daemon], redis_server: RedisServer) -> Iterator[Callable[..., Any]]:
    auditors: list[Auditor] = []

    def run(*flags: str) -> tuple[Daemon, Auditor]:
        daemon = start("all", "--worker-redis-url", redis_server.url).wait_ready()
        auditors.append(Auditor(tmp_path, daemon, redis_server, *flags))
        return daemon, auditors[-1]

    yield run
    for auditor in auditors:
        auditor.stop()


def publish(daemon: Daemon, *flags: str) -> None:
    done = run_command("publish", *daemon.broker_flags(), "--type", "t", "--channel", "broadcast", *flags)
    assert done.returncode == OK, done.stderr


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        (["--once", "0"], USAGE, "once"),
        (["--for", "soon"], USAGE, "for"),
        (["--audit-timescales", "1s 1s"], None, "must ascend"),
        (["--audit-timescales", ""], None, "audit.timescales"),
    ],
)
def test_a_wrong_command_line_is_refused(flags: list[str], code: int | None, says: str) -> None:
    done = run_command("audit", *flags)
    assert done.returncode in ([code] if code is not None else [USAGE, CONFIG])
    assert says in done.stderr


def test_a_broker_that_is_not_there_is_named(redis_server: RedisServer) -> None:
    done = run_command("audit", "--for", "1s", "--worker-redis-url", redis_server.url, "--broker-host", "127.0.0.2")
    assert done.returncode == UNREACHABLE
    assert "tcp://127.0.0.2" in done.stderr


def test_what_is_purged_well_is_consistent(audit: Callable[..., Any]) -> None:
    daemon, auditor = audit("--once", "3", "--audit-timescales", "0s 100ms")
    until = time.monotonic() + PATIENCE_S
    while auditor.process.poll() is None:
        assert time.monotonic() < until
        publish(daemon, "--tag", "projects", "--key", KEY)
    report = auditor.report()
    assert auditor.process.returncode == OK, report
    assert report["stale"] == 0
    assert [line["after_ms"] for line in report["timescales"]] == [0, 100]
    assert all(line["checked"] >= 3 and line["consistency"] == 1 for line in report["timescales"])


def test_what_is_written_back_is_found_logged_and_purged_again(
    audit: Callable[..., Any], redis_server: RedisServer
) -> None:
    daemon, auditor = audit("--audit-timescales", "0s 300ms")
    until = time.monotonic() + PATIENCE_S
    # Too late for the second look on a slow machine, it is written back after another purge.
    while "would be served" not in auditor.log.read_text():
        assert time.monotonic() < until
        publish(daemon, "--key", KEY)
        plant(redis_server)
        wait = time.monotonic() + 1
        while time.monotonic() < wait and redis_server.client.exists(KEY):
            time.sleep(0.02)
    wait_for(lambda: not redis_server.client.exists(KEY), "the entry to be purged again")
    auditor.stop()
    report = auditor.report()
    assert auditor.process.returncode == FAILURE
    assert report["stale"] >= 1
    assert report["healed"] >= 1
    assert KEY in auditor.log.read_text()


def test_a_worker_audits_when_it_is_told_to(start: Callable[..., Daemon], redis_server: RedisServer) -> None:
    broker = start("broker")
    flags = ["--worker-redis-url", redis_server.url, "--audit-enabled", "--audit-timescales=0s 100ms"]
    worker = start("worker", *flags, *broker.broker_flags()).wait_ready()
    label = {"timescale": "100ms"}

    def checked() -> bool:
        publish(broker, "--tag", "projects")
        return worker.metrics().value("freshwire_audit_checked_total", **label) >= 1

    wait_for(checked, "a check")
    metrics = worker.metrics()
    assert metrics.value("freshwire_audit_stale_total", **label) == 0
    assert metrics.value("freshwire_audit_consistency_ppb", **label) == 1e9
