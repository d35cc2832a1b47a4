# SPDX-License-Identifier: MPL-2.0
"""A gateway that fetches the keys of its tokens: rotation, and servers that fail in every way."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from stack import Daemon, Session, SessionClosed, wait_for
from stack.authority import KeySetServer, Signer, claims, key_set

COOLDOWN = "200ms"


@pytest.fixture
def keys() -> Iterator[KeySetServer]:
    server = KeySetServer()
    yield server
    server.stop()


@pytest.fixture
def gateway(start: Callable[..., Daemon], keys: KeySetServer) -> Callable[..., Daemon]:
    """A gateway that knows no keys but those of the server."""

    def make(*flags: str, ready: bool = True, cooldown: str = COOLDOWN) -> Daemon:
        broker = start("broker", "--no-broker-cache")
        daemon = start(
            "gateway", *broker.broker_flags(), "--log-level", "debug",
            "--gateway-jwt-jwks-url", keys.url, "--gateway-jwt-jwks-cooldown", cooldown, *flags,
            env={"FRESHWIRE_GATEWAY_JWT_SECRET": ""},
        )  # fmt: skip
        return daemon.wait_ready() if ready else daemon

    return make


def enters(daemon: Daemon, token: str) -> bool:
    """Whether the token opens the door; when not: 4101, or 4201 when its key may yet be known."""
    try:
        Session(daemon.websocket + "/ws", hello={"token": token}).close()
    except SessionClosed as closed:
        assert closed.code in (4101, 4201)
        return False
    return True


def fetches(daemon: Daemon, result: str) -> float:
    return daemon.metrics().value("freshwire_jwks_fetches_total", result=result)


def failed_again(daemon: Daemon, times: int = 2) -> None:
    """Until the server has failed so many more times."""
    before = fetches(daemon, "failed")
    wait_for(lambda: fetches(daemon, "failed") >= before + times, "the fetch fails")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_fetched_keys_open_the_door(gateway: Callable[..., Daemon], keys: KeySetServer, algorithm: str) -> None:
    signer, other = Signer(algorithm, "1"), Signer(algorithm, "1")
    keys.serve(signer)
    daemon = gateway()
    assert enters(daemon, signer.token(claims()))
    assert not enters(daemon, other.token(claims()))
    assert daemon.metrics().value("freshwire_jwks_keys") == 1


def test_keys_take_the_place_of_others_without_a_gap(gateway: Callable[..., Daemon], keys: KeySetServer) -> None:
    old, new, last = Signer("RS256", "old"), Signer("ES256", "new"), Signer("EdDSA", "last")
    keys.serve(old)
    daemon = gateway("--gateway-jwt-jwks-refresh", "1s")
    with Session(daemon.websocket + "/ws", hello={"token": old.token(claims())}) as session:
        keys.serve(old, new)
        # It is asked for because somebody came with it, not only when it is time.
        wait_for(lambda: enters(daemon, new.token(claims())), "the new key is known")
        assert enters(daemon, old.token(claims()))
        keys.serve(new, last)
        wait_for(lambda: not enters(daemon, old.token(claims())), "the old key is gone")
        assert enters(daemon, new.token(claims()))
        assert enters(daemon, last.token(claims()))
        # Who is inside stays, and can bring a token of a key of now.
        session.send({"type": "fw.refresh", "request_id": "1", "token": old.token(claims())})
        assert session.receive("fw.error")["code"] in (4101, 4201)
        session.send({"type": "fw.refresh", "request_id": "2", "token": last.token(claims())})
        assert session.receive("fw.refreshed")["request_id"] == "2"


def test_tokens_of_unknown_keys_do_not_hurry_the_server(gateway: Callable[..., Daemon], keys: KeySetServer) -> None:
    keys.serve(Signer("ES256", "1"))
    daemon = gateway(cooldown="5m")
    before = len(keys.requests)
    for number in range(50):
        with pytest.raises(SessionClosed) as closed:
            Session(daemon.websocket + "/ws", hello={"token": Signer("ES256", f"made-up-{number}").token(claims())})
        assert closed.value.code == 4201
    assert daemon.metrics().value("freshwire_tokens_total", door="hello", result="unknown_key") == 50
    assert len(keys.requests) == before


def test_a_set_that_did_not_change_is_not_sent_again(gateway: Callable[..., Daemon], keys: KeySetServer) -> None:
    signer = Signer("ES256", "1")
    keys.serve(signer)
    keys.headers = {"Cache-Control": "public, max-age=1"}
    daemon = gateway("--gateway-jwt-jwks-refresh", "1h")
    wait_for(lambda: keys.statuses.count(304) >= 2, "it is asked whether the set has changed")
    assert keys.statuses.count(200) == 1
    assert fetches(daemon, "new") == 1
    assert enters(daemon, signer.token(claims()))


BROKEN: dict[str, Callable[[KeySetServer], Any]] = {
    "500": lambda keys: setattr(keys, "status", 500),
    "404": lambda keys: setattr(keys, "status", 404),
    "redirect": lambda keys: (setattr(keys, "status", 302), keys.headers.update(Location=keys.url)),
    "hang": lambda keys: setattr(keys, "hangs", True),
    "garbage": lambda keys: setattr(keys, "body", b"\xff\x00 not JSON"),
    "html": lambda keys: setattr(keys, "body", b"<html>sign in</html>"),
    "no keys": lambda keys: setattr(keys, "body", b'{"keys":[]}'),
    "huge": lambda keys: setattr(keys, "body", b'{"keys":[],"x":"' + b"x" * 5_000_000 + b'"}'),
    "deep": lambda keys: setattr(keys, "body", b'{"keys":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
    "many": lambda keys: setattr(keys, "body", key_set(*[Signer("EdDSA", str(n)) for n in range(40)])),
    "a secret": lambda keys: setattr(
        keys, "body", json.dumps({"keys": [{"kty": "oct", "alg": "HS256", "k": "YWFh" * 20}]}).encode()
    ),
    "gone": lambda keys: keys.stop(),
}


@pytest.mark.parametrize("way", BROKEN)
def test_a_server_that_fails_leaves_the_keys_that_are_there(
    gateway: Callable[..., Daemon], keys: KeySetServer, way: str
) -> None:
    signer, stranger = Signer("ES256", "1"), Signer("ES256", "2")
    keys.serve(signer)
    daemon = gateway("--gateway-jwt-jwks-refresh", "1s", "--gateway-jwt-jwks-timeout", "300ms")
    BROKEN[way](keys)
    failed_again(daemon)
    assert enters(daemon, signer.token(claims()))
    assert not enters(daemon, stranger.token(claims()))
    assert daemon.admin("/readyz").status == 200
    said = daemon.log("could not be fetched")
    assert said and all("query-of-the-key-set" not in json.dumps(line) for line in said)
    if way not in ("gone", "redirect"):
        keys.serve(stranger)
        wait_for(lambda: enters(daemon, stranger.token(claims())), "it is well again")


def test_old_keys_are_not_believed_for_ever(gateway: Callable[..., Daemon], keys: KeySetServer) -> None:
    signer = Signer("ES256", "1")
    keys.serve(signer)
    daemon = gateway("--gateway-jwt-jwks-refresh", "1s", "--gateway-jwt-jwks-keep", "2s")
    assert enters(daemon, signer.token(claims()))
    keys.status = 503
    wait_for(lambda: not enters(daemon, signer.token(claims())), "the keys are too old")
    assert daemon.metrics().value("freshwire_jwks_keys") == 0
    assert daemon.log("too old to be believed")
    keys.serve(signer)
    wait_for(lambda: enters(daemon, signer.token(claims())), "they were fetched again")


def test_without_a_first_answer_nobody_comes_in(gateway: Callable[..., Daemon], keys: KeySetServer) -> None:
    signer = Signer("ES256", "1")
    keys.status = 500
    daemon = gateway("--gateway-jwt-jwks-refresh", "1s", ready=False)
    failed_again(daemon)
    assert not enters(daemon, signer.token(claims()))
    assert daemon.admin("/readyz").status == 503
    with Session(daemon.websocket + "/ws") as anonymous:
        assert "user_id" not in anonymous.welcome
    keys.serve(signer)
    daemon.wait_ready()
    assert enters(daemon, signer.token(claims()))


def test_keys_of_files_take_the_place_of_others_while_sessions_live(
    start: Callable[..., Daemon], tmp_path: Path
) -> None:
    old, new = Signer("ES256", "old"), Signer("RS256")
    file, pem, config = tmp_path / "keys.json", tmp_path / "new.pem", tmp_path / "freshwire.yaml"
    file.write_bytes(key_set(old))
    pem.write_text(new.pem)

    def configure(keys: list[Path], **more: Any) -> None:
        jwt = {"keys": [str(path) for path in keys], **more}
        config.write_text(json.dumps({"gateway": {"jwt": jwt}}))

    configure([file])
    broker = start("broker", "--no-broker-cache")
    gateway = start(
        "gateway", *broker.broker_flags(), "--config", str(config), env={"FRESHWIRE_GATEWAY_JWT_SECRET": ""}
    ).wait_ready()  # fmt: skip
    with Session(gateway.websocket + "/ws", hello={"token": old.token(claims())}) as session:
        assert not enters(gateway, new.token(claims()))
        configure([file, pem])
        gateway.signal(signal.SIGHUP)
        wait_for(lambda: enters(gateway, new.token(claims())), "the new key is known")
        assert enters(gateway, old.token(claims()))
        # A file with a mistake changes nothing, and the log names it.
        pem.write_text(new.private_pem)
        gateway.signal(signal.SIGHUP)
        wait_for(lambda: gateway.log("the keys of tokens cannot be used"), "the mistake is reported")
        assert str(pem) in gateway.log("the keys of tokens cannot be used")[0]["reason"]
        assert enters(gateway, new.token(claims())) and enters(gateway, old.token(claims()))
        pem.write_text(new.pem)
        configure([pem], audiences=["sync"])
        gateway.signal(signal.SIGHUP)
        wait_for(lambda: not enters(gateway, old.token(claims(aud="sync"))), "the old key is gone")
        assert not enters(gateway, new.token(claims()))
        assert enters(gateway, new.token(claims(aud="sync")))
        # Who is inside stays; his next token is judged by the rules of now.
        assert session.subscribe("room:1")["type"] == "fw.subscribed"
        session.send({"type": "fw.refresh", "request_id": "1", "token": old.token(claims(aud="sync"))})
        assert session.receive("fw.error")["code"] == 4101
        session.send({"type": "fw.refresh", "request_id": "2", "token": new.token(claims(aud="sync"))})
        assert session.receive("fw.refreshed")["request_id"] == "2"


def test_it_stops_while_the_server_hangs(gateway: Callable[..., Daemon], keys: KeySetServer) -> None:
    keys.hangs = True
    daemon = gateway("--gateway-jwt-jwks-timeout", "2s", ready=False)
    wait_for(lambda: keys.requests, "the server is asked")
    began = time.monotonic()
    daemon.stop()
    assert time.monotonic() - began < 20
