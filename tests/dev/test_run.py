# SPDX-License-Identifier: MPL-2.0
"""./dev run as a person uses it: it starts everything, says where, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Callable, Iterator

import pytest

ROOT = Path(__file__).resolve().parents[2]
START_S = 120.0
STOP_S = 30.0


def eventually(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def children(process: int) -> set[int]:
    """Every process that has this one as an ancestor."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found: set[int] = set()
    grown = True
    while grown:
        more = {child for child, parent in parents.items() if parent in found | {process}} - found
        found |= more
        grown = bool(more)
    return found


def gone(processes: set[int]) -> bool:
    for one in processes:
        try:
            if (Path("/proc") / str(one) / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                return False
        except (FileNotFoundError, ProcessLookupError):
            continue
    return True


class Run:
    def __init__(self, log: Path) -> None:
        self.log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [ROOT / "dev", "run"],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        eventually(lambda: "Ctrl-C stops everything" in self.text() or self.ended(), START_S, "no address")
        assert not self.ended(), self.text()
        self.parts = children(self.process.pid)

    def text(self) -> str:
        return self.log.read_text()

    def ended(self) -> bool:
        return self.process.poll() is not None

    def address(self) -> str:
        found = re.search(r"Open +(http://127\.0\.0\.1:\d+)", self.text())
        assert found, self.text()
        return found[1]

    def part(self, name: str) -> int:
        for one in self.parts:
            words = Path(f"/proc/{one}/cmdline").read_bytes().split(b"\0")
            if any(word.endswith(name.encode()) for word in words[:3]):
                return one
        raise AssertionError(f"no {name} among the processes of ./dev run")

    def all_gone(self) -> None:
        eventually(lambda: gone(self.parts), STOP_S, f"left behind: {self.parts}")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    one = Run(tmp_path / "log")
    yield one
    if not one.ended():
        one.process.send_signal(signal.SIGINT)
        one.process.wait(STOP_S)


def test_it_shows_the_page_and_stops_without_leaving_anything_behind(run: Run) -> None:
    with urllib.request.urlopen(run.address(), timeout=10) as answer:
        assert answer.status == 200
        assert b"<script" in answer.read()
    assert len(run.parts) >= 3
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(STOP_S) == 130
    assert "did not stop" not in run.text()
    run.all_gone()


def test_the_tour_of_the_readme_works(run: Run) -> None:
    readme = (ROOT / "README.md").read_text()
    tour = readme.partition("## Sixty seconds")[2].partition("```\n")[2].partition("```")[0]
    commands = [part for part in re.split(r"\n(?=#)", tour.replace("\\\n", " ")) if part.strip()]
    watch, over_http, by_command = (part.partition("\n")[2].strip() for part in commands)
    gateway = re.search(r"POST (http://\S+)/v1/events", run.text())
    assert gateway
    over_http = over_http.replace("http://127.0.0.1:8080", gateway[1])
    tail = subprocess.Popen(f"exec {watch} --json --count 2", shell=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        # What was published before tail had subscribed is not shown: so publish until it has seen two.
        deadline = time.monotonic() + STOP_S
        while tail.poll() is None and time.monotonic() < deadline:
            for command in (over_http, by_command):
                done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
                assert done.returncode == 0, command + done.stderr
                assert '"positions"' in done.stdout, command + done.stdout
        assert tail.wait(1) == 0
        assert tail.stdout
        assert tail.stdout.read().count('"project_updated"') == 2
    finally:
        tail.kill()


def test_it_takes_other_ports_when_the_usual_ones_are_taken(tmp_path: Path) -> None:
    taken = []
    for port in (8000, 8080, 9090, 7001):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
            one.listen()
        except OSError:
            pass  # Somebody else has it: just as well.
        taken.append(one)
    run = Run(tmp_path / "log")
    try:
        assert not run.address().endswith(":8000")
        with urllib.request.urlopen(f"{run.address()}/api/health", timeout=10) as answer:
            assert answer.status == 200
    finally:
        run.process.send_signal(signal.SIGINT)
        run.process.wait(STOP_S)
        for one in taken:
            one.close()
    run.all_gone()


def test_it_says_which_part_died_and_stops_the_others(run: Run) -> None:
    os.kill(run.part("freshwire"), signal.SIGKILL)
    assert run.process.wait(STOP_S) == 1
    assert "freshwire ended by itself" in run.text()
    run.all_gone()


def test_its_parts_end_even_when_it_is_killed(run: Run) -> None:
    run.process.kill()
    run.process.wait(STOP_S)
    run.all_gone()


def test_it_runs_once_per_checkout(run: Run) -> None:
    second = subprocess.run([ROOT / "dev", "run"], cwd=ROOT, capture_output=True, text=True, timeout=START_S, check=False)
    assert second.returncode == 1
    assert "already running" in second.stderr
    assert not run.ended()
