# SPDX-License-Identifier: MPL-2.0
"""Another configuration while a gateway runs: sessions stay, and what is wrong changes nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Iterator

import pytest

from conftest import ANY_PORTS, BROKER_PORTS, GATEWAY_FLAGS
from stack import Daemon, Session, make_token, run_command, wait_for
from stack.session import SessionClosed

OLD, NEW = "the old secret, which is long enough for it", "the new secret, which is long enough for it"
OK, USAGE, UNREACHABLE = 0, 2, 5


def config(secrets: dict[str, str], more: str = "") -> str:
    lines = "".join(f"    {name}: '{value}'\n" for name, value in secrets.items())
    return f"gateway:\n  jwt:\n{lines}{more}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "freshwire.yaml"


@pytest.fixture
def gateway(file: Path, tmp_path: Path) -> Iterator[Daemon]:
    """Without the variables of the other tests, which would hide what the file says."""
    file.write_text(config({"secret": OLD}))
    flags = [*ANY_PORTS, *BROKER_PORTS, *GATEWAY_FLAGS, "--config", str(file)]
    daemon = Daemon("all", tmp_path / "all", flags).wait_started()
    yield daemon
    daemon.stop()


def accepts(gateway: Daemon, secret: str) -> bool:
    session = Session(f"{gateway.websocket}/ws?token={make_token(secret, 'u1')}", wait_welcome=False)
    try:
        return session.receive("fw.welcome")["user_id"] == "u1"
    except SessionClosed:
        return False
    finally:
        session.close()


def test_secrets_are_replaced_while_sessions_live(gateway: Daemon, file: Path) -> None:
    before = Session(f"{gateway.websocket}/ws?token={make_token(OLD, 'u1')}")
    assert before.welcome["user_id"] == "u1"
    assert not accepts(gateway, NEW)
    file.write_text(config({"secret": NEW, "previous_secret": OLD}))
    gateway.signal(signal.SIGHUP)
    wait_for(lambda: accepts(gateway, NEW), "the new secret counts")
    assert accepts(gateway, OLD), "and the old one still does"
    file.write_text(config({"secret": NEW}))
    gateway.signal(signal.SIGHUP)
    wait_for(lambda: not accepts(gateway, OLD), "the old secret does not count any more")
    assert before.close_code is None, "who was there stays"
    assert not gateway.log("takes effect at the next start only")


def test_what_is_wrong_is_refused_whole_and_said(gateway: Daemon, file: Path) -> None:
    file.write_text(config({"secret": NEW, "keys": "/nowhere/keys.pem"}))
    gateway.signal(signal.SIGHUP)
    wait_for(lambda: gateway.log("the new configuration is wrong"), "the mistake is reported")
    assert accepts(gateway, OLD) and not accepts(gateway, NEW)
    assert NEW not in gateway.stderr()


def test_what_cannot_change_is_named(gateway: Daemon, file: Path) -> None:
    file.write_text(config({"secret": OLD}, "  shards: 2\n  ping_interval: 20s\n"))
    gateway.signal(signal.SIGHUP)
    wait_for(lambda: gateway.log("configuration reloaded"), "it is reloaded")
    assert [line["option"] for line in gateway.log("takes effect at the next start only")] == ["gateway.shards"]
    session = Session(f"{gateway.websocket}/ws?token={make_token(OLD, 'u1')}")
    assert session.welcome["ping_interval_ms"] == 20_000


def test_reload_command_sends_the_signal_and_only_to_one_of_ours(gateway: Daemon) -> None:
    assert run_command("reload", "--pid", str(gateway.process.pid)).returncode == OK
    wait_for(lambda: gateway.log("configuration reloaded"), "it is reloaded")
    stranger = run_command("reload", "--pid", str(os.getpid()))
    assert stranger.returncode == UNREACHABLE and "is no freshwire" in stranger.stderr
    assert run_command("reload", "--pid", "0").returncode == USAGE
