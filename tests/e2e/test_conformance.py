# SPDX-License-Identifier: MPL-2.0
"""RFC 6455 against a real gateway, case by case: conformance.py has the cases. A witness stays connected all the time
and is answered after each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Iterator

import pytest

import conformance
from conformance import Alive, Case, Closed, Message, Pong
from stack import Daemon
from stack.raw_socket import CLOSE, PING, PONG, TEXT, RawSocket

from conftest import ANY_PORTS, BROKER_PORTS, GATEWAY_FLAGS

WAIT_S = 20.0


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, binary: Path) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("conformance")
    flags = [*ANY_PORTS, *BROKER_PORTS, *GATEWAY_FLAGS, "--broker-cache=false"]
    daemon = Daemon("all", folder, flags, {}, binary).wait_started()
    yield daemon.ports["gateway"]
    daemon.stop()


def open_welcomed(address: str) -> RawSocket:
    client = RawSocket(address, WAIT_S)
    assert client.upgrade("/ws") == 101
    got = client.read_frame()
    assert got and got[0] == TEXT and json.loads(got[1])["type"] == "fw.welcome"
    return client


@pytest.fixture(scope="module")
def witness(gateway: str) -> Iterator[RawSocket]:
    with open_welcomed(gateway) as client:
        yield client


def next_frame(client: RawSocket) -> tuple[int, bytes] | None:
    """The next frame that is no ping of the gateway's own."""
    while (got := client.read_frame()) and got[0] == PING:
        pass
    if got and got[0] == TEXT and json.loads(got[1]).get("type") == "fw.ping":
        return next_frame(client)
    return got


def check(client: RawSocket, expectation: conformance.Expectation) -> None:
    if isinstance(expectation, Alive):
        client.send_frame(PING, b"still there?")
        expectation = Pong(b"still there?")
    got = next_frame(client)
    if isinstance(expectation, Closed):
        # What was answered before the rule was broken may come first.
        while got and got[0] != CLOSE:
            got = next_frame(client)
        assert got is not None, "the connection ended without a close frame"
        assert (int.from_bytes(got[1][:2], "big") if got[1] else None) == expectation.code
        got[1][2:].decode()
        client.send_frame(CLOSE, got[1][:2])
        assert client.read_frame() is None, "the connection goes on behind a close frame"
        return
    assert got is not None, f"the connection ended instead of {expectation}"
    if isinstance(expectation, Pong):
        assert got == (PONG, expectation.payload)
        return
    assert isinstance(expectation, Message) and got[0] == TEXT
    said = json.loads(got[1].decode())
    assert said["type"] == expectation.type
    assert not expectation.request_id or said["request_id"] == expectation.request_id


CASES = list(conformance.numbered())


@pytest.mark.parametrize("case", [case for _, case in CASES], ids=[number for number, _ in CASES])
def test_case(gateway: str, witness: RawSocket, case: Case) -> None:
    with open_welcomed(gateway) as client:
        for piece in case.pieces:
            client.send(piece)
        for expectation in case.expected:
            check(client, expectation)
    witness.send_frame(PING, b"witness")
    assert next_frame(witness) == (PONG, b"witness")


def test_the_table_in_the_docs_is_this_one() -> None:
    page = conformance.PAGE.read_text()
    assert conformance.written(page) == page, "tests/e2e/conformance.py --write writes it anew"
