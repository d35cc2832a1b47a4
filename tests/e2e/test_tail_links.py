# SPDX-License-Identifier: MPL-2.0
"""freshwire tail beside a broker whose ports were somebody else's for a while."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import pytest
import zmq

from stack import Daemon, find_binary, run_command, wait_for
from stack.process import environment, free_port, sanitizer_report

RECOVERY_S_MAX = 10
TAKEN_S = 4


@pytest.mark.parametrize("port", ["events", "control"])
def test_tail_finds_its_broker_after_a_foreign_socket_on_its_port(tmp_path: Path, port: str) -> None:
    flags = ["--broker-host", "127.0.0.1", "--admin-listen", "127.0.0.1:0", "--broker-open-timeout", "0s"]
    for link in ("fire", "publish", "jobs", "events", "control"):
        flags += [f"--broker-ports-{link}", str(free_port())]
    broker = Daemon("broker", tmp_path / "first", flags).wait_started()
    at = broker.broker_flags()
    tail = subprocess.Popen(
        [find_binary(), "tail", *at, "--channel", "room:1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    said: list[str] = []
    assert tail.stderr
    reader = threading.Thread(target=lambda: said.extend(iter(tail.stderr.readline, "")), daemon=True)
    reader.start()
    try:
        wait_for(lambda: any("stands at offset 0" in line for line in said), "tail knows where the room stands")
        broker.process.kill()
        broker.process.wait()
        context = zmq.Context()
        foreign = context.socket(zmq.REP)

        def bound() -> bool:
            try:
                foreign.bind(broker.ports[port])
            except zmq.ZMQError:
                return False
            return True

        wait_for(bound, "the port is free")
        foreign.poll(TAKEN_S * 1000)
        foreign.close(0)
        context.term()
        before = len(said)
        broker = Daemon("broker", tmp_path / "second", flags).wait_started()
        began = time.monotonic()
        wait_for(lambda: any("stands at offset 0" in line for line in said[before:]), "tail knows the new broker")
        assert time.monotonic() - began <= RECOVERY_S_MAX
        done = run_command("publish", *at, "--type", "tick", "--channel", "room:1", "--level", "accepted")
        assert done.returncode == 0, done.stderr
        assert tail.stdout and "tick" in tail.stdout.readline()
    finally:
        tail.kill()
        tail.wait()
        if broker.running():
            broker.process.terminate()
            broker.process.wait(20)
    assert sanitizer_report("".join(said)) is None
