# SPDX-License-Identifier: MPL-2.0
"""Real processes of the freshwire binary."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any, Mapping, Sequence

from stack.http import Answer, request
from stack.metrics import Metrics
from stack.waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]
STOP_S = 30.0

# What a sanitizer writes when it found something; such a process must fail its test whatever else it did.
_SANITIZER = re.compile(
    r"ERROR: (Address|Leak|Memory)Sanitizer|WARNING: ThreadSanitizer|runtime error: |Assertion `.*' failed"
)
_SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": f"halt_on_error=1:second_deadlock_stack=1:suppressions={ROOT}/cmake/tsan.supp",
    "LSAN_OPTIONS": f"suppressions={ROOT}/cmake/lsan.supp",
}


def find_binary() -> Path:
    """FRESHWIRE_BINARY, or what ./dev build left."""
    given = os.environ.get("FRESHWIRE_BINARY")
    candidates = [Path(given)] if given else [ROOT / "build" / preset / "freshwire" for preset in ("release", "dev")]
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate.resolve()
    raise AssertionError(f"no binary at {' or '.join(map(str, candidates))}: ./dev build makes one")


def free_port() -> int:
    """A port that was free a moment ago; prefer port 0 where the program supports it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def set_death_signal() -> None:
    """For preexec_fn: no process of ours outlives the test run, however that ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The machine's, without options of Freshwire that a developer may have set."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FRESHWIRE_")}
    for name, value in _SANITIZER_OPTIONS.items():
        clean.setdefault(name, value)
    clean.pop("NO_COLOR", None)
    clean.update(extra or {})
    return clean


def sanitizer_report(text: str) -> str | None:
    """The report in a process's stderr, or None."""
    match = _SANITIZER.search(text)
    return text[match.start() : match.start() + 4000] if match else None


def run_command(
    *arguments: str,
    binary: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | bytes = b"",
    timeout_s: float = 30,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs freshwire to its end; its exit code is the caller's to judge."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [str(binary or find_binary()), *arguments],
        input=data, capture_output=True, env=environment(env), timeout=timeout_s, cwd=cwd, check=False,
    )  # fmt: skip
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    report = sanitizer_report(err)
    assert report is None, report
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


class Daemon:
    """A role that runs. Its addresses are in ports ("gateway": "http://…", "publish": "tcp://…", …)."""

    def __init__(
        self,
        role: str,
        folder: Path,
        arguments: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        binary: Path | None = None,
        launcher: Sequence[str] = (),  # a command that becomes the binary's process, such as ip netns exec NAME
    ) -> None:
        self.role = role
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.ports: dict[str, str] = {}
        self.exit_codes: tuple[int, ...] = (0,)  # what check accepts; a test may widen it
        self._ports_file = folder / "ports.json"
        self._ports_file.unlink(missing_ok=True)
        self._stdout_file = folder / "stdout.log"
        self._stderr_file = folder / "stderr.log"
        command = [*launcher, str(binary or find_binary()), role, "--ports-file", str(self._ports_file), *arguments]
        with open(self._stdout_file, "wb") as out, open(self._stderr_file, "wb") as err:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=environment(env),
                preexec_fn=set_death_signal,
            )  # fmt: skip

    def wait_started(self) -> "Daemon":
        """Until everything listens: the ports file is there."""

        def started() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.role} exited with {self.process.returncode}:\n{self.stderr()}")
            return self._ports_file.exists()

        wait_for(started, f"{self.role} listens")
        self.ports = json.loads(self._ports_file.read_text())
        return self

    def wait_ready(self, deadline_s: float = 20) -> "Daemon":
        """Until it says itself that it can be given work."""
        wait_for(lambda: self.admin("/readyz").status == 200, f"{self.role} is ready", deadline_s)
        return self

    # Where it is

    @property
    def gateway(self) -> str:
        return self.ports["gateway"]

    @property
    def websocket(self) -> str:
        """ws://host:port of the gateway; append /ws and so on."""
        return "ws" + self.gateway.removeprefix("http")

    @property
    def publish_endpoint(self) -> str:
        return self.ports["publish"]

    def broker_flags(self) -> list[str]:
        """Flags that connect another role to this broker."""
        flags = ["--broker-host", "127.0.0.1"]
        for link in ("fire", "publish", "jobs", "events", "control"):
            flags += [f"--broker-ports-{link}", self.ports[link].rsplit(":", 1)[1]]
        return flags

    # What it says

    def admin(self, path: str) -> Answer:
        return request("GET", self.ports["admin"] + path)

    def metrics(self) -> Metrics:
        answer = self.admin("/metrics")
        assert answer.status == 200
        return Metrics(answer.body.decode())

    def stdout(self) -> str:
        return self._stdout_file.read_text(errors="replace")

    def stderr(self) -> str:
        return self._stderr_file.read_text(errors="replace")

    def log(self, message: str | None = None) -> list[dict[str, Any]]:
        """Its log lines, or those whose message contains a text."""
        lines = []
        for line in self.stderr().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and (message is None or message in entry.get("msg", "")):
                lines.append(entry)
        return lines

    # How it ends

    def running(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, as a machine that fails; no exit code is expected then."""
        if self.running():
            self.process.kill()
        self.process.wait()
        self.exit_codes = (*self.exit_codes, -signal.SIGKILL)

    def wait(self, timeout_s: float = STOP_S) -> int:
        return self.process.wait(timeout_s)

    def stop(self, timeout_s: float = STOP_S) -> None:
        """SIGTERM, and a check that it ended well and in time."""
        if self.running():
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                self.wait(timeout_s)
            except subprocess.TimeoutExpired:
                # Its stacks tell why, if gdb is there.
                stacks = subprocess.run(
                    ["gdb", "-p", str(self.process.pid), "-batch", "-ex", "thread apply all backtrace"],
                    capture_output=True, text=True, check=False,
                ).stdout  # fmt: skip
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"{self.role} did not stop in {timeout_s} s:\n{stacks}\n{self.stderr()[-4000:]}")
        self.check()

    def check(self) -> None:
        """Fails for a sanitizer's report or an unexpected exit code."""
        report = sanitizer_report(self.stderr())
        assert report is None, f"{self.role}: {report}"
        code = self.process.poll()
        assert code is None or code in self.exit_codes, f"{self.role} exited with {code}:\n{self.stderr()[-4000:]}"
