# SPDX-License-Identifier: MPL-2.0
"""What can be done to processes beyond killing and stopping them."""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Sequence

import pytest

from stack import wait_for

_libc = ctypes.CDLL(None, use_errno=True)
_SYS_TGKILL = 234  # x86_64; glibc of Debian 12 has no wrapper that ctypes could call by name for another process
_FREEZER = Path("/sys/fs/cgroup/freezer")
_UNIFIED = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


def tgkill(process: int, thread: int, number: int) -> None:
    """A signal to one thread. One that is gone meanwhile is none to worry about."""
    if _libc.syscall(_SYS_TGKILL, process, thread, number) != 0:
        error = ctypes.get_errno()
        if error != 3:  # ESRCH
            raise OSError(error, os.strerror(error))


@contextmanager
def frozen(processes: Sequence[int]) -> Iterator[None]:
    """The cgroup freezer: as SIGSTOP, but the process cannot see it, and its parent is not told."""
    name = f"fw{os.getpid()}-{processes[0]}"
    if os.geteuid() == 0 and (_FREEZER / "cgroup.procs").exists():
        group, switch, on, off = _FREEZER / name, "freezer.state", "FROZEN", "THAWED"
        home = _FREEZER / "cgroup.procs"
    else:
        root = next((root for root in _UNIFIED if (root / "cgroup.controllers").exists()), None)
        if root is None or not os.access(root, os.W_OK):
            pytest.skip("needs root and a cgroup that can be frozen")
        group, switch, on, off = root / name, "cgroup.freeze", "1", "0"
        home = root / "cgroup.procs"
    group.mkdir()
    try:
        for process in processes:
            (group / "cgroup.procs").write_text(str(process))
        (group / switch).write_text(on)
        wait_for(lambda: _is_frozen(group), "the processes are frozen")
        yield
    finally:
        (group / switch).write_text(off)
        for process in (group / "cgroup.procs").read_text().split():
            home.write_text(process)
        wait_for(lambda: not (group / "cgroup.procs").read_text().strip(), "the group is empty")
        group.rmdir()


def _is_frozen(group: Path) -> bool:
    if (group / "freezer.state").exists():
        return (group / "freezer.state").read_text().strip() == "FROZEN"
    return "frozen 1" in (group / "cgroup.events").read_text()
