# SPDX-License-Identifier: MPL-2.0
"""Fixtures of the fault tests. Whatever a test did, afterwards no process, namespace or rule of it is left."""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

# The tools of the end-to-end tests: processes, Redis, tokens, waiting.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness.cluster import Cluster  # noqa: E402
from harness.network import Network, why_not  # noqa: E402
from harness.run import Run  # noqa: E402

HOSTS = ("broker", "redis", "worker0", "worker1", "gateway0", "gateway1", "gateway2")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "nightly: takes long; ./dev test nightly runs it, ./dev test does not")
    config.addinivalue_line("markers", "fault(number): of the list of faults in README.md")


@pytest.fixture
def seed() -> int:
    """FRESHWIRE_SEED gives a run back."""
    value = int(os.environ.get("FRESHWIRE_SEED") or random.SystemRandom().randrange(2**32))
    print(f"FRESHWIRE_SEED={value}")
    return value


@pytest.fixture
def step(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says what is under way, also to somebody who watches."""
    began = time.monotonic()
    capture = request.config.pluginmanager.getplugin("capturemanager")
    name = request.node.name

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n  {name} +{time.monotonic() - began:.1f} s: {text}", end="", file=sys.stderr, flush=True)

    return say


@pytest.fixture
def cluster(tmp_path: Path, seed: int) -> Iterator[Cluster]:
    """Roles on this machine's loopback; nothing runs yet."""
    made = Cluster(tmp_path, seed)
    yield made
    made.close()


@pytest.fixture
def network() -> Iterator[Network]:
    """A namespace per role on one bridge. Skipped, never green, where that cannot be had."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    made = Network(HOSTS)
    yield made
    made.close()


@pytest.fixture
def apart(tmp_path: Path, seed: int, network: Network) -> Iterator[Cluster]:
    """Roles on hosts of their own."""
    made = Cluster(tmp_path, seed, network)
    yield made
    made.close()


@pytest.fixture
def make_run(seed: int) -> Iterator[Callable[[Cluster], Run]]:
    made: list[Run] = []

    def make(cluster: Cluster) -> Run:
        made.append(Run(cluster, seed))
        return made[-1]

    yield make
    for run in made:
        run.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Iterator[None]:
    """Which fault it was, in front of what went wrong."""
    outcome = yield
    report = outcome.get_result()
    marks = [str(mark.args[0]) for mark in item.iter_markers("fault")]
    if marks and report.failed:
        report.sections.insert(0, ("Fault", ", ".join(marks)))
