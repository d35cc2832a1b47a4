# SPDX-License-Identifier: MPL-2.0
"""Fixtures of the black-box checker."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

HERE = Path(__file__).resolve().parent
# Processes, Redis and tokens of the end-to-end tests; the cluster and the sessions of the fault tests.
for folder in (HERE, HERE.parent / "faults", HERE.parent / "e2e"):
    sys.path.insert(0, str(folder))

import stack.client  # noqa: E402, F401 - makes the checkout's freshwire importable

from harness.cluster import Cluster  # noqa: E402
from run import Run  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "nightly: takes long; ./dev test nightly runs it, ./dev test does not")


@pytest.fixture
def seed() -> int:
    """FRESHWIRE_SEED gives a run back, as far as the machine does."""
    value = int(os.environ.get("FRESHWIRE_SEED") or random.SystemRandom().randrange(2**32))
    print(f"FRESHWIRE_SEED={value}")
    return value


@pytest.fixture
def cluster(tmp_path: Path, seed: int) -> Iterator[Cluster]:
    made = Cluster(tmp_path, seed)
    yield made
    made.close()


@pytest.fixture
def make_run(seed: int) -> Iterator[Callable[..., Run]]:
    """make_run(cluster, …) starts the service and its readers; nothing is written before start."""
    made: list[Run] = []

    def make(cluster: Cluster, *flags: str, **options: Any) -> Run:
        made.append(Run(cluster, seed, *flags, **options))
        return made[-1]

    yield make
    for run in made:
        run.close()
