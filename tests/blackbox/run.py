# SPDX-License-Identifier: MPL-2.0
"""A run: the stack, the service, browsers and visitors, writers, a nemesis, and the verdict."""

from __future__ import annotations

import random
import re
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Sequence

import redis

from stack import make_token, wait_for
from stack.client import PYTHON_CLIENT
from stack.http import request
from stack.process import environment, set_death_signal

from freshwire.cache import _codec, _entry
from harness.cluster import SECRET, Cluster
from harness.subscriber import SubscriberLoop
from history import Commit, History, Verdict, check
from readers import Browser, Visitor

HERE = Path(__file__).resolve().parent
DATABASE = "registers.sqlite3"
CHANNEL = "room:registers"
REGISTERS = 6
SERVICES = 2
SHOWN_WITHIN_S = 30.0
TRUE_WITHIN_S = 30.0
CALM_STALENESS_S = 2.0
"""Without any fault: commit, event and purge, on a busy machine."""
HITS_MIN = 0.10
"""Else "never cache" would pass. Measured: about a half when it is calm."""


def make_database(folder: Path) -> None:
    """That of service.py, with every register at version 0."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / DATABASE)) as database, database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(
            "CREATE TABLE registers (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, nonce TEXT NOT NULL)"
        )
        database.executemany("INSERT INTO registers VALUES (?, 0, 'first')", [(id,) for id in range(REGISTERS)])


class Service:
    """A process of service.py. All of a run share one database, and one cache in Redis."""

    def __init__(self, folder: Path, name: str, redis_url: str, publish: str, *flags: str) -> None:
        self._log = folder / f"{name}.log"
        self.url = ""
        command = [
            sys.executable, str(HERE / "service.py"), "--redis", redis_url, "--publish", publish,
            "--database", str(folder / DATABASE), "--channel", CHANNEL, *flags,
        ]  # fmt: skip
        env = environment({"PYTHONPATH": str(PYTHON_CLIENT / "src"), "PYTHONDONTWRITEBYTECODE": "1"})
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env, preexec_fn=set_death_signal
            )

    def wait_ready(self) -> None:
        self.url = wait_for(self._listening, "the service listens")
        wait_for(self._healthy, "the service answers")

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def _listening(self) -> str | None:
        assert self._process.poll() is None, self.log()
        match = re.search(r"listening on (http://\S+)", self.log())
        return match[1] if match else None

    def _healthy(self) -> bool:
        try:
            return request("GET", self.url + "/healthy").status == 200
        except OSError:
            return False

    def get(self, path: str) -> Any:
        answer = request("GET", self.url + path, timeout_s=30)
        assert answer.status == 200, answer.body
        return answer.json()

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert "Traceback" not in self.log(), self.log()


class Run:
    """Between start and conclude everybody is at work; what goes wrong meanwhile is the test's business."""

    def __init__(
        self, cluster: Cluster, seed: int, *flags: str, service_redis: str | None = None, browsers: int = 4
    ) -> None:
        self.cluster = cluster
        self.history = History()
        self.redis: redis.Redis = cluster.redis.client
        """That the service reads from in the end."""
        self.random = random.Random(seed)
        self.began = time.monotonic()
        redis_url = service_redis or cluster.redis.url
        make_database(cluster.folder / "service")
        self.services = [
            Service(cluster.folder / "service", f"service{number}", redis_url, cluster.publish_endpoint, *flags)
            for number in range(SERVICES)
        ]
        for service in self.services:
            service.wait_ready()
        urls = [service.url for service in self.services]
        self._loop = SubscriberLoop()
        gateways = ["ws" + gateway.url.removeprefix("http") for gateway in cluster.gateways]
        self.browsers = [
            Browser(
                self._loop, f"browser{number}", gateways[number % len(gateways) :] + gateways, self._token(number),
                CHANNEL, seed, urls, self.history, REGISTERS,
            )
            for number in range(browsers)
        ]  # fmt: skip
        self.visitors = [
            Visitor(self._loop, f"visitor{number}", urls, self.history, seed, REGISTERS) for number in range(2)
        ]
        self._ways: Sequence[str] = ("by-tag", "by-key")
        self._writing = threading.Event()
        self.writes = 0
        self._writer = threading.Thread(target=self._write, name="writer", daemon=True)

    @staticmethod
    def _token(number: int) -> str:
        return make_token(SECRET, f"u{number}", 86400)

    def start(self, ways: Sequence[str] = ("by-tag", "by-key")) -> "Run":
        self._ways = ways
        wait_for(lambda: all(browser.connected for browser in self.browsers), "every browser is connected")
        self._writing.set()
        self._writer.start()
        self.write_more(10)
        return self

    def write_more(self, count: int, deadline_s: float = 30) -> None:
        """Until so many more writes have been answered."""
        target = self.writes + count
        wait_for(lambda: self.writes >= target, f"{count} more writes", deadline_s)

    def last_for(self, seconds: float) -> None:
        time.sleep(seconds)

    def stop_writing(self) -> None:
        self._writing.clear()
        self._writer.join(60)

    def _write(self) -> None:
        while self._writing.is_set():
            register = self.random.randrange(REGISTERS)
            abort = "true" if self.random.random() < 0.15 else "false"
            path = f"/registers/{register}/{self.random.choice(self._ways)}?abort={abort}"
            try:
                answer = request("POST", self.random.choice(self.services).url + path, timeout_s=30)
                if answer.status != 200:
                    self.history.failed.append(f"writer: {path}: {answer.status}")
            except OSError as error:
                self.history.failed.append(f"writer: {path}: {error!r}")
            self.writes += 1
            time.sleep(self.random.choice([0.0, 0.01, 0.05]))

    # ---- The end

    def verdict(self) -> Verdict:
        """Of what was seen so far; what is under way counts when it is done."""
        looks = list(self.history.looks)
        heard = list(self.history.heard)
        commits = [Commit(*commit) for service in self.services for commit in service.get("/commits")]
        return check(History(commits, heard, looks))

    def conclude(self, calm: bool = False, hits_min: float = HITS_MIN) -> Verdict:
        """Everything is in order again. Asserts S1 to S6."""
        self.stop_writing()
        truth = {one["id"]: one["version"] for one in self._truth()}
        self._wait_shown(truth)
        for visitor in self.visitors:
            visitor.stop()
        lost = self._wait_true(truth)
        verdict = self.verdict()
        print(f"{self.writes} writes; {verdict}")
        assert not verdict.violations, str(verdict)
        assert not lost, "S4 " + "\n".join(lost)
        assert not self.history.failed, f"{len(self.history.failed)} requests failed: {self.history.failed[:5]}"
        assert verdict.hits >= hits_min, str(verdict)
        if calm:
            assert verdict.percentile(100) < CALM_STALENESS_S, f"S3 {verdict}"
        return verdict

    def _truth(self) -> list[dict[str, Any]]:
        url, bypass = self.services[0].url + "/registers", {"X-Freshwire-Fresh": "bypass"}
        answer = request("GET", url, headers=bypass, timeout_s=30)
        assert answer.status == 200, answer.body
        found: list[dict[str, Any]] = answer.json()
        return found

    def _wait_shown(self, truth: dict[int, int]) -> None:
        """S5: nobody writes any more, so each browser comes to show the truth because it was told."""
        behind: list[str] = []

        def shown() -> bool:
            behind[:] = [
                f"{browser.name} shows {browser.shown} and not {truth}"
                for browser in self.browsers
                if browser.shown != truth
            ]
            return not behind

        try:
            wait_for(shown, "every browser shows the truth", SHOWN_WITHIN_S)
        except AssertionError:
            raise AssertionError("S5 " + "\n".join(behind)) from None

    def _wait_true(self, truth: dict[int, int]) -> list[str]:
        """S4: what would be served from the cache is the truth. Purges that are owed may take their time."""
        lost: list[str] = []

        def is_true() -> bool:
            lost[:] = [line for line in self._audit(truth) if line]
            return not lost

        with suppress(AssertionError):
            wait_for(is_true, "every entry is the truth", TRUE_WITHIN_S, every_s=0.2)
        return lost

    def _audit(self, truth: dict[int, int]) -> list[str]:
        client, found = self.redis, []
        for key in client.scan_iter("fw:c:*"):
            entry = _entry.decode(client.get(key) or b"")
            if entry is None:
                continue
            names = ["fw:epoch" if not tag else f"fw:t:{tag}" for tag, _ in entry.stamps]
            stamps = [str(stamp).encode() for _, stamp in entry.stamps]
            if client.mget(names) != stamps:
                continue  # It would not be served.
            value = _codec.unpack(entry.payload)
            for one in value if isinstance(value, list) else [value]:
                if one["version"] != truth[one["id"]]:
                    found.append(f"{key.decode()} says {one}, the truth is {truth[one['id']]}")
        return found

    def close(self) -> None:
        self._writing.clear()
        for actor in (*self.browsers, *self.visitors):
            actor.stop()
        self._loop.close()
        for service in self.services:
            service.stop()
