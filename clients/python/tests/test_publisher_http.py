# SPDX-License-Identifier: MPL-2.0
"""HttpPublisher against a small HTTP server."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

import freshwire
from freshwire import HttpPublisher, Invalidate


class FakeGateway:
    """Answers POST /v1/events with what `answers` holds, one after the other; the last one again
    and again."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], object]] = [(200, {}, {})]
        self.requests: list[tuple[str, dict[str, str], object]] = []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                gateway.requests.append((self.path, dict(self.headers), json.loads(body)))
                several = len(gateway.answers) > 1
                status, headers, answer = gateway.answers.pop(0) if several else gateway.answers[0]
                encoded = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def gateway():
    gateway = FakeGateway()
    yield gateway
    gateway.stop()


def test_refused_event_names_the_field(gateway):
    problem = {
        "title": "Unprocessable",
        "status": 422,
        "detail": "no channel",
        "field": "audience[0]",
    }
    gateway.answers = [(422, {}, {**problem, "limit": 64, "value": 70})]
    with pytest.raises(freshwire.RejectedError) as caught:
        HttpPublisher(gateway.address).publish("x")
    assert (caught.value.field, caught.value.reason, caught.value.limit) == (
        "audience[0]",
        "no channel",
        64,
    )
    assert len(gateway.requests) == 1


def test_wrong_key_is_an_error_of_its_own(gateway):
    gateway.answers = [(401, {}, {"detail": "unknown key"})]
    with pytest.raises(freshwire.UnauthorizedError, match="unknown key"):
        HttpPublisher(gateway.address, key="wrong").publish("x")


def test_gateway_that_is_not_there_times_out():
    publisher = HttpPublisher("http://127.0.0.1:1")
    with pytest.raises(freshwire.TimeoutError, match="no answer from"):
        publisher.publish("x", timeout=0.3)
    assert publisher.stats()["timeouts"] == 1


def test_answer_that_is_no_receipt_is_an_error_not_a_crash(gateway):
    gateway.answers = [(200, {}, {"positions": [{"channel": "x"}]})]
    with pytest.raises(freshwire.PublishError, match="cannot be read"):
        HttpPublisher(gateway.address).publish("x")
    gateway.answers = [(413, {}, b"<html>not json")]
    with pytest.raises(freshwire.RejectedError, match="refused with status 413"):
        HttpPublisher(gateway.address).publish("x")


def test_id_that_no_header_can_carry_travels_in_the_body(gateway):
    HttpPublisher(gateway.address).publish("x", id="é\n")
    _, headers, body = gateway.requests[0]
    assert "Idempotency-Key" not in headers
    assert body["id"] == "é\n"


def test_bytes_and_unknown_levels_and_addresses_are_refused():
    publisher = HttpPublisher("http://127.0.0.1:1")
    with pytest.raises(TypeError, match="bytes cannot be published over HTTP"):
        publisher.publish("x", data=b"\0")
    with pytest.raises(ValueError, match="replicated"):
        publisher.publish("x", level="replicated")
    with pytest.raises(ValueError, match="not an HTTP address"):
        HttpPublisher("tcp://127.0.0.1:7002")


def test_busy_gateway_is_asked_again_with_the_same_id(gateway):
    gateway.answers = [
        (503, {"Retry-After": "0"}, {}),
        (429, {}, {}),
        (504, {}, {}),
        (200, {}, {"id": "one", "positions": [], "duplicate": True}),
    ]
    publisher = HttpPublisher(gateway.address)
    assert publisher.publish("x", id="one").duplicate
    assert [headers["Idempotency-Key"] for _, headers, _ in gateway.requests] == ["one"] * 4
    assert publisher.stats()["retries"] == 3


def test_event_and_receipt_have_the_documented_form(gateway):
    gateway.answers = [
        (
            200,
            {},
            {
                "id": "mine",
                "positions": [{"channel": "broadcast", "epoch": "k3f9", "offset": "17"}],
                "duplicate": False,
                "unconfirmed": True,
                "fresh": "1732270000122456",
            },
        )
    ]
    receipt = HttpPublisher(gateway.address, key="secret").publish(
        "project_updated",
        data={"id": "42"},
        audience="broadcast",
        invalidate=Invalidate(tags=["projects"]),
        exclude_origin="tab-1",
        user_id=9,
        id="mine",
    )
    path, headers, body = gateway.requests[0]
    assert path == "/v1/events"
    assert headers["Authorization"] == "Bearer secret"
    assert isinstance(body.pop("ts"), int)
    assert body == {
        "type": "project_updated",
        "data": {"id": "42"},
        "audience": ["broadcast"],
        "invalidate": {"tags": ["projects"]},
        "exclude": {"origin": "tab-1"},
        "user_id": "9",
        "id": "mine",
    }
    assert receipt.positions == (freshwire.Position("broadcast", "k3f9", 17),)
    assert receipt.fresh == 1732270000122456
    assert receipt.unconfirmed


def test_environment_chooses_http_and_reads_the_key_from_a_file(gateway, tmp_path, monkeypatch):
    key = tmp_path / "key"
    key.write_text("from-file\n")
    monkeypatch.setenv("FRESHWIRE_PUBLISH_ENDPOINT", gateway.address)
    monkeypatch.setenv("FRESHWIRE_PUBLISH_KEY_FILE", str(key))
    with freshwire.from_env() as publisher:
        assert isinstance(publisher, HttpPublisher)
        publisher.publish("x")
    assert gateway.requests[0][1]["Authorization"] == "Bearer from-file"
    assert "from-file" not in repr(publisher._settings)
