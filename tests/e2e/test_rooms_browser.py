# SPDX-License-Identifier: MPL-2.0
"""Two users of one room in a real Chromium, on two gateways. The browser's side is browser/rooms.mjs; each of its
scenarios is a test here."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Iterator

import pytest

from conftest import GATEWAY_ENVIRONMENT, SECRET
from stack import Daemon, make_token
from stack.process import ROOT

SCENARIOS = [
    "two_users_see_each_other_join",
    "typing_shows_on_the_other_screen",
    "a_reload_is_not_seen",
    "another_tab_is_the_same_user",
    "a_closed_tab_has_left_after_the_grace",
    "users_of_a_killed_gateway_leave_after_the_grace",
    "no_page_error",
]
GRACE = "4s"


def run_browser(gateways: list[Daemon]) -> dict[str, dict[str, Any]]:
    claims = {"presence": ["*"], "publish": ["*"]}
    settings = {
        "gateways": [gateway.websocket for gateway in gateways],
        "tokens": {user: make_token(SECRET, user, claims=claims) for user in ("ada", "bob")},
    }
    environment = {**os.environ, "ROOMS_TEST": json.dumps(settings)}
    results: dict[str, dict[str, Any]] = {}
    process = subprocess.Popen(
        ["node", str(ROOT / "tests" / "e2e" / "browser" / "rooms.mjs")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
    )  # fmt: skip
    assert process.stdin and process.stdout
    try:
        for text in process.stdout:
            line = json.loads(text)
            if "ask" in line:
                assert line["ask"] == "kill gateway"
                gateways[1].kill()
                process.stdin.write("done\n")
                process.stdin.flush()
            else:
                results[line["name"]] = line
        process.wait(timeout=30)
    finally:
        process.kill()
    return results


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, binary: Path) -> Iterator[dict[str, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("rooms")

    def start(role: str, name: str, *flags: str) -> Daemon:
        environment = GATEWAY_ENVIRONMENT if role == "gateway" else {}
        return Daemon(role, folder / name, ["--admin-listen", "127.0.0.1:0", *flags], environment, binary).wait_started()

    ports = [flag for link in ("fire", "publish", "jobs", "events", "control") for flag in (f"--broker-ports-{link}", "0")]
    broker = start("broker", "broker", "--no-broker-cache", "--broker-presence-grace", GRACE, *ports)
    public = ["--gateway-listen", "127.0.0.1:0", "--gateway-drain-delay", "0", "--gateway-drain-window", "0"]
    gateways = [start("gateway", f"gateway-{n}", *broker.broker_flags(), *public).wait_ready() for n in range(2)]
    try:
        yield run_browser(gateways)
    finally:
        gateways[1].kill()
        gateways[0].stop()
        broker.stop()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_users_see_each_other(results: dict[str, dict[str, Any]], scenario: str) -> None:
    assert scenario in results, "the browser did not get so far"
    assert results[scenario]["ok"], results[scenario]["detail"]
