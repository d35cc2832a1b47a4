# SPDX-License-Identifier: MPL-2.0
"""The end-to-end tests' own tools: what they must notice, they notice."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Callable

import pytest

from conftest import SECRET, Stack
from stack import Daemon, Metrics, RedisServer, SessionClosed, make_token, wait_for
from stack.tokens import read_token


def fake_binary(folder: Path, body: str) -> Path:
    """A script in the binary's place: it announces itself, then runs body."""
    script = folder / "fake"
    script.write_text(f"""#!/bin/sh
while [ "$1" != --ports-file ]; do shift; done
echo '{{}}' > "$2"
{body}
""")
    script.chmod(0o755)
    return script


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("echo '==1==ERROR: AddressSanitizer: heap-use-after-free' >&2", "heap-use-after-free"),
        ("echo '==1==ERROR: LeakSanitizer: detected memory leaks' >&2", "memory leaks"),
        ("echo 'WARNING: ThreadSanitizer: data race' >&2", "data race"),
        ("echo 'x.c:1:2: runtime error: signed integer overflow' >&2", "signed integer overflow"),
        ("echo \"freshwire: x.c:1: f: Assertion \\`a' failed.\" >&2", "Assertion"),
        ("exit 7", "exited with 7"),
        ("kill -SEGV $$", "exited with -11"),
    ],
)
def test_a_daemon_that_ended_badly_fails_its_test(tmp_path: Path, body: str, found: str) -> None:
    daemon = Daemon("broker", tmp_path / "daemon", binary=fake_binary(tmp_path, body))
    daemon.process.wait(10)
    with pytest.raises(AssertionError, match=found):
        daemon.stop()


def test_a_daemon_that_does_not_stop_fails_its_test(tmp_path: Path) -> None:
    stubborn = fake_binary(tmp_path, "trap '' TERM; while :; do read line < /dev/zero || :; done")
    daemon = Daemon("broker", tmp_path / "daemon", binary=stubborn).wait_started()
    with pytest.raises(AssertionError, match="did not stop"):
        daemon.stop(timeout_s=0.5)
    assert not daemon.running()


def test_a_daemon_that_exits_while_starting_is_not_waited_for(tmp_path: Path) -> None:
    script = tmp_path / "fake"
    script.write_text("#!/bin/sh\necho the reason >&2\nexit 3\n")
    script.chmod(0o755)
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="the reason"):
        Daemon("broker", tmp_path / "daemon", binary=script).wait_started()
    assert time.monotonic() - began < 5


def test_a_killed_daemon_is_no_failure(start: Callable[..., Daemon]) -> None:
    daemon = start("broker")
    daemon.kill()
    assert daemon.process.returncode == -signal.SIGKILL
    daemon.stop()


def test_waiting_ends_at_the_deadline_and_says_for_what() -> None:
    with pytest.raises(AssertionError, match="after 0.05 s still not: rain"):
        wait_for(lambda: False, "rain", deadline_s=0.05)
    values = iter([0, 0, 3])
    assert wait_for(lambda: next(values)) == 3


def test_metrics_are_summed_over_their_labels() -> None:
    metrics = Metrics('# HELP a b\na_total{x="1",y="q\\"uote"} 2\na_total{x="2"} 3.5\nb 1e3\n')
    assert metrics["a_total"] == 5.5
    assert metrics.value("a_total", x="2") == 3.5
    assert metrics["b"] == 1000
    assert metrics["none"] == 0
    assert "none" not in metrics
    with pytest.raises(AssertionError, match="not Prometheus text"):
        Metrics("a_total")


def test_tokens_are_signed() -> None:
    token = make_token(SECRET, "u1", rooms=["a*"], header={"kid": "1"}, claims={"exp": None})
    assert read_token(SECRET, token) == {"sub": "u1", "rooms": ["a*"]}
    with pytest.raises(AssertionError):
        read_token("another secret", token)


def test_a_session_collects_events_and_tells_of_its_end(stack: Stack) -> None:
    session = stack.session("/ws", hello={"token": stack.token("u1"), "batch": True})
    answer = session.subscribe("room:1")
    assert answer["type"] == "fw.subscribed"
    for n in range(10):
        stack.publish("tick", "room:1", data={"n": n, "lines": "a\nb"})
    assert [event["data"]["n"] for event in session.wait_events(10)] == list(range(10))
    stack.daemon.stop()
    with pytest.raises(SessionClosed) as closed:
        session.receive("never")
    assert closed.value.code == session.wait_closed() == 4000


def test_redis_keeps_its_address_over_a_restart(redis_server: RedisServer) -> None:
    redis_server.client.set("a", "b")
    redis_server.kill()
    redis_server.start()
    assert redis_server.client.get("a") is None
