# SPDX-License-Identifier: MPL-2.0
"""Finds the programs that the deployment tests need. A missing one is an error, not a skip."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

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
