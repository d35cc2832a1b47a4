# SPDX-License-Identifier: MPL-2.0
"""A private redis-server for a test."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path
from typing import Sequence

import redis

from stack.process import free_port, set_death_signal
from stack.waiting import wait_for


class RedisServer:
    """Starts in the constructor; keeps its address over kill and start. Nothing is persisted."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        address: str = "127.0.0.1",
        port: int | None = None,
        launcher: Sequence[str] = (),  # a command that becomes the server's process, such as ip netns exec NAME
    ) -> None:
        program = shutil.which("redis-server")
        assert program, "redis-server is missing: ./dev test installs it"
        self.folder = folder
        self.port = port or free_port()
        self.url = f"redis://{address}:{self.port}"
        self.client = redis.Redis(host=address, port=self.port, socket_timeout=5)
        self._command = [
            *launcher, program, "--port", str(self.port), "--bind", address, "--protected-mode", "no",
            "--save", "", "--appendonly", "no", "--dir", str(folder), *arguments,
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Starts it (again, empty) and waits until it answers."""
        log = open(self.folder / "redis.log", "ab")
        with log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=set_death_signal
            )
        wait_for(self._answers, "redis-server answers")

    def _answers(self) -> bool:
        assert self._process and self._process.poll() is None, (self.folder / "redis.log").read_text()
        try:
            return bool(self.client.ping())
        except redis.exceptions.RedisError:
            return False

    def kill(self) -> None:
        """SIGKILL: all that it held is lost."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
        self.client.connection_pool.disconnect()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    stop = kill
