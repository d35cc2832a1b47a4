# SPDX-License-Identifier: MPL-2.0
"""python -m app, as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import fake_broker
from app.__main__ import listen
from fake_broker import FakeBroker
from redis_server import RedisServer

API = Path(__file__).resolve().parent.parent
CLIENT = API.parent.parent.parent / "clients" / "python" / "src"


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app", *arguments],
        cwd=API,
        env={**os.environ, "PYTHONPATH": str(CLIENT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def call(
    method: str, url: str, body: object = None, **headers: str
) -> tuple[object, dict[str, str]]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url, data, {"Content-Type": "application/json", **headers}, method=method
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response), dict(response.headers)


def test_port_that_is_taken_is_an_error_not_a_traceback():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start("--port", str(taken.getsockname()[1]), DATABASE_PATH=":memory:")
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "cannot listen on 127.0.0.1" in stderr
    assert "Traceback" not in stderr


def test_answers_do_not_wait_for_nagle():
    """asyncio sets TCP_NODELAY only on sockets that say that they are TCP."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_process_prints_its_address_publishes_and_stops_on_sigterm(tmp_path):
    server = RedisServer()
    with FakeBroker() as broker:
        process = start(
            "--port",
            "0",
            REDIS_URL=server.url,
            DATABASE_PATH=str(tmp_path / "db"),
            FRESHWIRE_PUBLISH_ENDPOINT=broker.endpoint,
            FRESHWIRE_GATEWAY_URL="ws://gateway.test:1/",
            FRESHWIRE_GATEWAY_JWT_SECRET="x" * 32,
        )
        try:
            line = process.stdout.readline()
            assert line.startswith("listening on http://127.0.0.1:")
            url = line.split()[-1]
            assert call("GET", f"{url}/api/config")[0] == {"gateway": "ws://gateway.test:1"}
            login, _ = call("POST", f"{url}/api/login", {"user": "u1"})
            bearer = {"Authorization": f"Bearer {login['token']}"}
            project, headers = call("POST", f"{url}/api/projects", {"name": "New"}, **bearer)
            assert headers["x-freshwire-event-id"] == broker.ids[0]
            publish = broker.events[0]
            assert publish.level == 1
            assert json.loads(publish.event.data.json) == project
            stats, _ = call("GET", f"{url}/api/stats")
            assert stats["publisher"]["acknowledged"] == 1
            process.send_signal(signal.SIGTERM)
            _, stderr = process.communicate(timeout=15)
            # Later versions of uvicorn raise the signal again when they are done.
            assert process.returncode in (0, -signal.SIGTERM)
            assert stderr == ""
            fake_broker.eventually(lambda: broker.goodbyes == 1)
        finally:
            process.kill()
            server.remove()
