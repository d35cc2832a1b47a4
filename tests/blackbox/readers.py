# SPDX-License-Identifier: MPL-2.0
"""Browsers, which hear of events and read again what they show, and visitors, who only read."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Any, Sequence

import httpx

from harness.subscriber import Subscriber, SubscriberLoop
from history import Heard, History, Look

TIMEOUT_S = 30.0
PATIENT_REASONS = ("joined", "epoch")
"""Resets after which the browser client reads through caches as ever."""


@dataclass
class Known:
    """What a browser knows of one register; as the fence of the browser client."""

    fresh: int = 0
    bypass: bool = False
    version: int = 0

    def token(self) -> str:
        return "bypass" if self.bypass else str(self.fresh) if self.fresh else ""


class Reader:
    """Reads over HTTP, from any process of the service, and writes down what it got."""

    def __init__(self, name: str, urls: Sequence[str], history: History, seed: int) -> None:
        self.name = name
        self.history = history
        self.random = random.Random(f"{seed} {name}")
        self.etags: dict[str, tuple[str, Any]] = {}
        self._urls = urls
        self._http = httpx.AsyncClient(timeout=TIMEOUT_S)

    async def read(self, path: str, token: str) -> list[dict[str, Any]] | None:
        """The registers in the answer, or None when there was no good one."""
        headers = {"X-Freshwire-Fresh": token} if token else {}
        kept = self.etags.get(path)
        if kept and token != "bypass":
            headers["If-None-Match"] = kept[0]
        began = time.monotonic()
        try:
            answer = await self._http.get(self.random.choice(self._urls) + path, headers=headers)
        except httpx.HTTPError as error:
            self.history.failed.append(f"{self.name}: {path}: {error!r}")
            return None
        ended = time.monotonic()
        status = answer.headers.get("X-Cache", "")
        if answer.status_code == 304 and kept:
            found, status = kept[1], "304"
        elif answer.status_code == 200:
            found = answer.json()
            if "ETag" in answer.headers:
                self.etags[path] = answer.headers["ETag"], found
        else:
            self.history.failed.append(f"{self.name}: {path}: {answer.status_code}")
            return None
        registers = found if isinstance(found, list) else [found]
        for register in registers:
            seen = register["id"], register["version"], register["nonce"]
            self.history.looks.append(Look(self.name, began, ended, *seen, status, token))
        return registers

    async def close(self) -> None:
        await self._http.aclose()


class Browser(Subscriber):
    """Shows every register. Reads one again when it hears of it, and all after a reset."""

    def __init__(
        self, loop: SubscriberLoop, name: str, gateways: Sequence[str], token: str, channel: str, seed: int,
        urls: Sequence[str], history: History, registers: int,
    ) -> None:  # fmt: skip
        self.known = {register: Known() for register in range(registers)}
        self.shown: dict[int, int] = {}
        self.resets: list[str] = []
        self._reader = Reader(name, urls, history, seed)
        self._wanted: dict[int, asyncio.Event] = {}
        self._readers: list[asyncio.Task[None]] = []
        super().__init__(loop, name, gateways, token, [channel], seed)

    async def _live(self) -> None:
        for register in self.known:
            self._wanted[register] = asyncio.Event()
            self._wanted[register].set()
            self._readers.append(asyncio.ensure_future(self._keep_shown(register)))
        try:
            await super()._live()
        finally:
            for task in self._readers:
                task.cancel()
            await self._reader.close()

    async def _take(self, message: dict[str, Any], given: Any, now: float) -> None:
        await super()._take(message, given, now)
        kind = message["type"]
        if kind == "register_changed":
            data = message["data"]
            register, known = data["id"], self.known[data["id"]]
            self._reader.history.heard.append(
                Heard(self.name, time.monotonic(), register, data["version"], message["unconfirmed"])
            )
            known.version = max(known.version, data["version"])
            if message["unconfirmed"]:
                known.bypass = True
            else:
                known.fresh = max(known.fresh, int(message["fresh"]))
                known.bypass = False
            self._wanted[register].set()
        elif kind == "fw.reset":
            self.resets.append(message["reason"])
            for register, known in self.known.items():
                known.bypass = known.bypass or message["reason"] not in PATIENT_REASONS
                self._wanted[register].set()

    async def _keep_shown(self, register: int) -> None:
        """Reads again whenever something was heard; what is heard during a read makes another one."""
        wanted = self._wanted[register]
        while True:
            await wanted.wait()
            wanted.clear()
            known = self.known[register]
            whole = self._reader.random.random() < 0.2
            path = "/registers" if whole else f"/registers/{register}"
            token = self._token_of_all() if whole else known.token()
            found = await self._reader.read(path, token)
            if found is None:
                wanted.set()
                await asyncio.sleep(0.2)
                continue
            for one in found:
                if one["id"] == register:
                    self.shown[register] = max(self.shown.get(register, 0), one["version"])

    def _token_of_all(self) -> str:
        known = self.known.values()
        if any(one.bypass for one in known):
            return "bypass"
        newest = max(one.fresh for one in known)
        return str(newest) if newest else ""


class Visitor:
    """Reads something all the time, and hears of nothing."""

    def __init__(
        self, loop: SubscriberLoop, name: str, urls: Sequence[str], history: History, seed: int, registers: int
    ) -> None:
        self._reader = Reader(name, urls, history, seed)
        self._registers = registers
        self._pause_s = (0.0, 0.03)
        self._task = loop.submit(self._live())

    async def _live(self) -> None:
        choose = self._reader.random
        try:
            while True:
                path = "/registers" if choose.random() < 0.2 else f"/registers/{choose.randrange(self._registers)}"
                await self._reader.read(path, "")
                await asyncio.sleep(choose.uniform(*self._pause_s))
        finally:
            await self._reader.close()

    def stop(self) -> None:
        self._task.cancel()
