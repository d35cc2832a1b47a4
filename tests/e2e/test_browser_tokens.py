# SPDX-License-Identifier: MPL-2.0
"""A real Chromium whose tokens expire every few seconds: they are replaced on the live connection, and no event is lost.
The browser's side is browser/token.mjs."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any, Callable

import pytest

from conftest import PUBLISH_KEY, SECRET
from stack import Daemon
from stack.process import ROOT

TTL_S = 3
SECONDS = 10


@pytest.fixture(scope="module")
def tabs(tmp_path_factory: pytest.TempPathFactory, binary: Any) -> dict[str, Any]:
    """What each scenario of the browser saw."""
    from conftest import start as start_fixture

    generator = start_fixture.__wrapped__(tmp_path_factory.mktemp("tokens"), binary)  # type: ignore[attr-defined]
    start: Callable[..., Daemon] = next(generator)
    broker = start("broker", "--no-broker-cache")
    gateway = start(
        "gateway", *broker.broker_flags(), "--gateway-jwt-leeway", "0", "--gateway-jwt-grace", "2s"
    ).wait_ready()  # fmt: skip
    given = {
        "gateway": gateway.gateway, "websocket": gateway.websocket, "secret": SECRET, "publish_key": PUBLISH_KEY,
        "ttl_s": TTL_S, "seconds": SECONDS, "source": str(ROOT / "clients/typescript/client/src/index.ts"),
    }  # fmt: skip
    done = subprocess.run(
        ["node", str(ROOT / "tests/e2e/browser/token.mjs")], env={**os.environ, "TOKEN_TEST": json.dumps(given)},
        capture_output=True, text=True, timeout=300, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    with pytest.raises(StopIteration):
        next(generator)
    return {scenario["name"]: scenario for scenario in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", ["renewed before", "renewed when told", "renewed too late"])
def test_no_event_is_lost_and_none_comes_twice(tabs: dict[str, Any], name: str) -> None:
    tab = tabs[name]
    assert tab["expected"] > 20
    assert tab["numbers"] == list(range(1, tab["expected"] + 1))
    assert set(tab["gaps"]) <= {"joined"}
    assert tab["reasons"][0] == "initial"


@pytest.mark.parametrize("name", ["renewed before", "renewed when told"])
def test_the_connection_stays_when_its_token_is_replaced(tabs: dict[str, Any], name: str) -> None:
    tab = tabs[name]
    assert tab["sockets"] == 1
    assert tab["states"] == ["connecting", "live"]
    assert tab["errors"] == []
    assert len(tab["reasons"]) >= 3 and set(tab["reasons"][1:]) == {"refresh"}


def test_a_page_that_had_no_other_token_comes_back_with_one(tabs: dict[str, Any]) -> None:
    tab = tabs["renewed too late"]
    assert tab["sockets"] >= 2
    assert "expired" in tab["reasons"] and "refresh" in tab["reasons"]
    assert tab["states"].count("live") >= 2
