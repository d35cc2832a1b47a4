# SPDX-License-Identifier: MPL-2.0
"""The real `freshwire all`, on free ports."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[4]


def binary() -> Path | None:
    """FRESHWIRE_BINARY, or the one that was built last."""
    named = os.environ.get("FRESHWIRE_BINARY")
    if named:
        return Path(named)
    built = [*REPOSITORY.glob("build/*/freshwire"), *REPOSITORY.glob("build/*/cli/freshwire")]
    built = [path for path in built if path.is_file() and os.access(path, os.X_OK)]
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


class Freshwire:
    def __init__(self, folder: Path, redis_url: str, secret: str, publish_key: str) -> None:
        ports = folder / "ports.json"
        environment = {
            **os.environ,
            "FRESHWIRE_ADMIN_LISTEN": "127.0.0.1:0",
            "FRESHWIRE_GATEWAY_LISTEN": "127.0.0.1:0",
            "FRESHWIRE_GATEWAY_JWT_SECRET": secret,
            "FRESHWIRE_GATEWAY_PUBLISH_KEYS": publish_key,
            "FRESHWIRE_WORKER_REDIS_URL": redis_url,
        }
        for name in ("FIRE", "PUBLISH", "JOBS", "EVENTS", "CONTROL"):
            environment[f"FRESHWIRE_BROKER_PORTS_{name}"] = "0"
        self._log_path = folder / "freshwire.log"
        self._log = self._log_path.open("w")
        self.process = subprocess.Popen(
            [str(binary()), "all", "--ports-file", str(ports)],
            env=environment,
            stdout=self._log,
            stderr=self._log,
        )
        self._wait(ports.exists)
        addresses = json.loads(ports.read_text())
        self.publish_endpoint = _address(addresses["publish"], "tcp")
        self.gateway_url = _address(addresses["gateway"], "ws")
        self.http_url = _address(addresses["gateway"], "http")
        self.admin_url = _address(addresses["admin"], "http")
        self._wait(self._ready)

    def stop(self) -> None:
        """Fails when it does not end well, or when a sanitizer of its build has found anything."""
        self.process.terminate()
        try:
            self.process.wait(15)
        finally:
            self.process.kill()
            self._log.close()
        log = self._log_path.read_text()
        assert self.process.returncode == 0, log
        assert "Sanitizer" not in log and "runtime error:" not in log, log

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.admin_url}/readyz", timeout=2) as response:
                return response.status == 200
        except OSError:
            return False

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            log = self._log_path.read_text()
            assert self.process.poll() is None, f"freshwire ended: {log}"
            assert time.monotonic() < deadline, f"freshwire is not ready: {log}"
            time.sleep(0.02)


def _address(text: str, scheme: str) -> str:
    return f"{scheme}://{text.split('://')[-1]}"
