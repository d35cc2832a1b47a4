# SPDX-License-Identifier: MPL-2.0
"""A wall clock that jumps, and a name server that is silent."""

from __future__ import annotations

import mmap
import struct
import subprocess
import time
from pathlib import Path
from typing import Iterator

import pytest

from stack import wait_for

from harness.history import Reset

HERE = Path(__file__).parent


# A launcher for a time namespace. Not unshare --time, which forks: the process id must stay the one that is signalled.
IN_ANOTHER_TIME = [
    "/usr/bin/python3", "-c",
    """
import ctypes, os, sys
CLONE_NEWTIME = 0x80
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(CLONE_NEWTIME) == 0, os.strerror(ctypes.get_errno())
with open("/proc/self/timens_offsets", "w") as offsets:
    offsets.write("monotonic 100000 0\\nboottime 100000 0\\n")
namespace = os.open("/proc/self/ns/time_for_children", os.O_RDONLY)
assert libc.setns(namespace, CLONE_NEWTIME) == 0, os.strerror(ctypes.get_errno())
os.execvp(sys.argv[1], sys.argv[1:])
""",
]  # fmt: skip


class WallClock:
    """The wall clock of processes that are started with env."""

    def __init__(self, folder: Path) -> None:
        library, file = folder / "clock_shift.so", folder / "shift"
        flags = ["-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-ldl"]
        command = ["cc", str(HERE / "clock_shift.c"), "-o", str(library), *flags]
        subprocess.run(command, check=True)
        file.write_bytes(bytes(mmap.PAGESIZE))
        self._file = open(file, "r+b")
        self._page = mmap.mmap(self._file.fileno(), 8)
        self.env = {"LD_PRELOAD": str(library), "FAULT_CLOCK_SHIFT": str(file)}

    def shift(self, seconds: int) -> None:
        self._page[:8] = struct.pack("=q", seconds)

    def close(self) -> None:
        self._page.close()
        self._file.close()


@pytest.fixture
def wall_clock(tmp_path: Path) -> Iterator[WallClock]:
    clock = WallClock(tmp_path)
    yield clock
    clock.close()


@pytest.mark.nightly
@pytest.mark.fault(36)
def test_wall_clock_that_jumps_expires_nothing(cluster, make_run, step, wall_clock) -> None:
    """Time-outs, leases, history and dedupe go by the monotonic clock. Tokens do expire by the wall clock: the sessions
    here are open before."""
    cluster.start_redis()
    for add in (cluster.add_worker, cluster.add_worker, cluster.add_gateway, cluster.add_gateway):
        add()
    for role in cluster.roles:
        role.env.update(wall_clock.env)
    run = make_run(cluster.start())
    run.usual_load()
    for seconds in (3600, -3600, 0, 400 * 86400, 0):
        step(f"the wall clock of every role jumps to {seconds:+d} s")
        wall_clock.shift(seconds)
        shifted = subprocess.run(
            ["date", "+%s"], env={**wall_clock.env, "PATH": "/usr/bin:/bin"}, capture_output=True, check=True
        )
        assert abs(int(shifted.stdout) - time.time() - seconds) < 5, "the clock is shifted indeed"
        run.last_for(1.2)
    verdict = run.conclude()
    assert verdict.counts["resets"] == 0 and verdict.counts["received unconfirmed"] == 0
    assert verdict.counts["told duplicate"] == 0
    assert verdict.counts["joined again"] == 0, "nobody was disconnected"


@pytest.mark.fault(36)
def test_roles_that_booted_at_another_time_understand_each_other(cluster, make_run, step) -> None:
    """Monotonic clocks of two hosts have nothing in common: nothing of them may be on the wire."""
    if subprocess.run([*IN_ANOTHER_TIME, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs root and time namespaces")
    cluster.start_redis()
    cluster.add_worker()
    cluster.add_gateway()
    cluster.add_gateway()
    # The broker and one gateway booted a day earlier than everybody else.
    cluster.broker.launcher += IN_ANOTHER_TIME
    cluster.gateways[0].launcher += IN_ANOTHER_TIME
    run = make_run(cluster.start(workers=1))
    run.usual_load()
    step("the broker and a gateway have monotonic clocks of their own")
    run.wait_accepted(200)
    verdict = run.conclude()
    assert verdict.counts["resets"] == 0 and verdict.counts["received unconfirmed"] == 0


@pytest.mark.nightly
@pytest.mark.fault(37)
@pytest.mark.parametrize("seconds", [8, 30])
def test_silent_name_server_stops_no_other_link(seconds: int, apart, make_run, step, network, tmp_path) -> None:
    """A gateway that finds its broker by name, and whose name server no longer answers. Its link holds; and when the
    link breaks as well, its sessions stay and it comes back as soon as names can be resolved."""
    resolv = tmp_path / "resolv.conf"
    hosts = tmp_path / "hosts"
    resolv.write_text(f"nameserver {network['redis'].address}\noptions timeout:5 attempts:2\n")
    known, unknown = f"127.0.0.1 localhost\n{network['broker'].address} broker.test\n", "127.0.0.1 localhost\n"
    hosts.write_text(known)
    apart.start_redis()
    apart.add_gateway(link=apart.link_flags("broker.test"))
    apart.add_gateway()
    named, other = apart.gateways
    mounts = f"mount --bind {resolv} /etc/resolv.conf && mount --bind {hosts} /etc/hosts && exec \"$@\""
    named.launcher += ["unshare", "--mount", "sh", "-c", mounts, "sh"]
    # Questions to the name server are swallowed, not refused.
    with network["gateway0"].rule("OUTPUT", "-p", "udp", "--dport", "53", "-j", "DROP"):
        run = make_run(apart.start())
        run.subscribe(named, named, count=3)
        run.subscribe(other, other, looks=True)
        run.publish_acked(60)
        run.publish_http(5, named)
        run.warm_up()
        step(f"names can no longer be resolved for {seconds} s, and the link is killed")
        hosts.write_text(unknown)
        run.last_for(1)
        network["gateway0"].kill_connections("dst", network["broker"].address)
        began = time.monotonic()
        pulse_checked(run, named, began + seconds)
        hosts.write_text(known)
    healed = time.monotonic()
    wait_for(named.has_broker, "the gateway is back", 20)
    print(f"back {time.monotonic() - healed:.1f} s after names could be resolved again")
    run.conclude()
    resets = [entry for session in run.subscribers for entry in session.history.entries if isinstance(entry, Reset)]
    assert not resets
    assert all(session.connections == 1 for session in run.subscribers), "sessions stayed, whatever the uplink did"


def pulse_checked(run, gateway, ends: float) -> None:
    """The gateway answers all the while: nobody in it waits for a name."""
    slowest = 0.0
    while time.monotonic() < ends:
        asked = time.monotonic()
        assert gateway.now.admin("/healthz").status == 200, "the gateway says that it hangs"
        slowest = max(slowest, time.monotonic() - asked)
        run.last_for(0.2)
    assert slowest < 1.0, f"an answer took {slowest:.1f} s"
