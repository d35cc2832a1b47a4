# SPDX-License-Identifier: MPL-2.0
"""The example application as a process: FastAPI, SQLite and a Redis cache of 300 s."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from stack.client import PYTHON_CLIENT
from stack.http import Answer, request
from stack.process import ROOT, environment, set_death_signal
from stack.waiting import wait_for

WEB_DIST = ROOT / "examples" / "projects" / "web" / "dist"


class ExampleApp:
    """Starts in the constructor and waits until it answers."""

    def __init__(self, folder: Path, redis_url: str, publish_endpoint: str, gateway: str, secret: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log_file = folder / "app.log"
        settings = {
            "REDIS_URL": redis_url + "/0",
            "DATABASE_PATH": str(folder / "projects.sqlite3"),
            "FRESHWIRE_PUBLISH_ENDPOINT": publish_endpoint,
            "FRESHWIRE_GATEWAY_URL": "ws" + gateway.removeprefix("http"),
            "FRESHWIRE_GATEWAY_JWT_SECRET": secret,
            "WEB_DIST": str(WEB_DIST),
            "PYTHONPATH": str(PYTHON_CLIENT / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        with open(self._log_file, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", "--port", "0"],
                cwd=ROOT / "examples" / "projects" / "api",
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment(settings),
                preexec_fn=set_death_signal,
            )  # fmt: skip
        self.url = wait_for(self._listening, "the application listens")
        wait_for(self._healthy, "the application answers")

    def log(self) -> str:
        return self._log_file.read_text(errors="replace")

    def _listening(self) -> str | None:
        assert self.process.poll() is None, self.log()
        match = re.search(r"listening on (http://\S+)", self.log())
        return match[1] if match else None

    def _healthy(self) -> bool:
        try:
            return request("GET", self.url + "/api/health").status == 200
        except OSError:
            return False

    def login(self, user: str) -> str:
        """The token of a user by name, for example Ada."""
        return str(self.call("POST", "/api/login", {"user": user}).json()["token"])

    def call(self, method: str, path: str, body: Any = None, token: str | None = None, **headers: str) -> Answer:
        """A request with JSON; headers as X_Freshwire_Fresh="bypass"."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            names["Authorization"] = f"Bearer {token}"
        if body is not None:
            names["Content-Type"] = "application/json"
        return request(method, self.url + path, None if body is None else json.dumps(body), names)

    def get(self, path: str, **headers: str) -> Answer:
        answer = self.call("GET", path, **headers)
        assert answer.status == 200, answer.body
        return answer

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"the application did not stop:\n{self.log()}") from None
        assert "Traceback" not in self.log(), self.log()
