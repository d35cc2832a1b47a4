# SPDX-License-Identifier: MPL-2.0
"""Finds the programs that the deployment tests need. A missing one is an error, not a skip."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Iterator

import pytest

ROOT = Path(__file__).resolve().parents[2]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "image: builds and runs the container image (podman, minutes)")


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def kubectl() -> str:
    """A kubectl that has kustomize 5: the machine's, or the one that ./dev puts into build/tools."""
    for candidate in (str(ROOT / "build/tools/kubectl/kubectl"), shutil.which("kubectl")):
        if candidate is None or not Path(candidate).exists():
            continue
        version = subprocess.run([candidate, "version", "--client"], capture_output=True, text=True, check=False)
        if "Kustomize Version: v5" in version.stdout:
            return candidate
    pytest.fail("no kubectl with kustomize 5; ./dev test installs one")


@pytest.fixture(scope="session")
def freshwire() -> str:
    binary = Path(os.environ.get("FRESHWIRE_BINARY", ROOT / "build/release/freshwire"))
    if not binary.exists():
        pytest.fail(f"{binary} is missing; run ./dev build")
    return str(binary)


@pytest.fixture(scope="session")
def running(freshwire: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """`freshwire all` on free ports, without a Redis: its addresses by name."""
    folder = tmp_path_factory.mktemp("freshwire")
    ports = folder / "ports.json"
    free = [f"--broker-ports-{name}=0" for name in ("fire", "publish", "jobs", "events", "control")]
    arguments = ["--gateway-listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", f"--ports-file={ports}"]
    arguments += [*free, "--worker-redis-url=unix:///nowhere", "--audit-enabled"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([freshwire, "all", *arguments], stdout=log, stderr=log, env={})
        try:
            deadline = time.monotonic() + 10
            while not ports.exists():
                assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.02)
            yield json.loads(ports.read_text())
        finally:
            process.terminate()
            assert process.wait(20) == 0, (folder / "log").read_text()
