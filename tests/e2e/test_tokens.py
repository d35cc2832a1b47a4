# SPDX-License-Identifier: MPL-2.0
"""Tokens of every kind at every door of a real gateway, and what of them can be read afterwards: nothing."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from websockets.exceptions import InvalidStatusCode

from conftest import SECRET
from stack import Daemon, Session, SessionClosed, make_token, wait_for
from stack.authority import Signer, claims, encode, key_set, unsigned
from stack.stream import EventStream, Refused

DOORS = ["hello", "header", "cookie", "query", "refresh"]
ORIGIN = "https://app.example"
PREVIOUS = "the secret before this one, 32 bytes or more"
OURS: dict[str, Any] = {"aud": ["shop", "sync"], "iss": "https://login.example"}


class World:
    """A gateway that accepts tokens of two secrets and four keys, and what is needed to make good and bad ones."""

    def __init__(self, start: Callable[..., Daemon], folder: Path) -> None:
        self.rsa, self.rsa_next = Signer("RS256", "rsa-1"), Signer("RS256", "rsa-2")
        self.ec, self.ed = Signer("ES256", "ec-1"), Signer("EdDSA")
        self.removed = Signer("RS256", "rsa-0")
        folder.joinpath("keys.json").write_bytes(key_set(self.rsa, self.rsa_next, self.ec))
        folder.joinpath("ed.pem").write_text(self.ed.pem)
        broker = start("broker", "--no-broker-cache")
        self.gateway = start(
            "gateway", *broker.broker_flags(), "--log-level", "debug",
            "--gateway-jwt-keys", f"{folder}/keys.json,{folder}/ed.pem",
            "--gateway-jwt-audiences", "sync", "--gateway-jwt-issuers", "https://login.example",
            "--gateway-jwt-cookie", "session", "--gateway-origins", ORIGIN,
            "--gateway-jwt-leeway", "2s", "--no-gateway-anonymous",
            env={"FRESHWIRE_GATEWAY_JWT_PREVIOUS_SECRET": PREVIOUS},
        ).wait_ready()  # fmt: skip

    def good(self, sub: str = "alice") -> str:
        return make_token(SECRET, sub, claims=OURS)

    def enter(self, door: str, token: str) -> Session:
        """A session with this token; SessionClosed with its code when it is refused."""
        url = self.gateway.websocket + "/ws"
        if door == "hello":
            return Session(url, hello={"token": token})
        if door == "header":
            return Session(url, headers={"Authorization": f"Bearer {token}"})
        if door == "query":
            return Session(f"{url}?token={token}")
        if door == "cookie":
            return Session(url, headers={"Cookie": f"theme=dark; session={token}; a=b"}, origin=ORIGIN)
        session = Session(url, hello={"token": self.good()})
        session.send({"type": "fw.refresh", "request_id": "r", "token": token})
        answer = session.receive(lambda message: message.get("request_id") == "r")
        if answer["type"] == "fw.refreshed":
            return session
        assert session.close_code is None
        session.close()
        raise SessionClosed(answer["code"], answer["reason"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, binary: Path) -> Iterator[World]:
    """One for all tests of this file: none of them changes it."""
    from conftest import start as start_fixture

    generator = start_fixture.__wrapped__(tmp_path_factory.mktemp("tokens"), binary)  # type: ignore[attr-defined]
    yield World(next(generator), tmp_path_factory.mktemp("keys"))
    with pytest.raises(StopIteration):
        next(generator)


def forged(header: dict[str, Any], secret: str) -> str:
    """An HMAC token over any header."""
    signed = ".".join(encode(json.dumps(part).encode()) for part in (header, claims(**OURS)))
    return f"{signed}.{encode(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())}"


def changed(token: str) -> str:
    """With another signature of the same length."""
    head, _, signature = token.rpartition(".")
    middle = len(signature) // 2
    return f"{head}.{signature[:middle]}{'A' if signature[middle] != 'A' else 'B'}{signature[middle + 1:]}"


BAD: dict[str, tuple[int, Callable[[World], str]]] = {
    "expired": (4100, lambda w: w.rsa.token(claims(ttl_s=-60, **OURS))),
    "expired, HS256": (4100, lambda w: make_token(SECRET, "alice", -60, claims=OURS)),
    "not yet": (4101, lambda w: w.ec.token(claims(nbf=int(time.time()) + 60, **OURS))),
    "none": (4101, lambda w: unsigned(claims(**OURS), {"alg": "none"})),
    "none, signed": (4101, lambda w: unsigned(claims(**OURS), {"alg": "none"}) + "AAAA"),
    "alg HS384": (4101, lambda w: forged({"alg": "HS384"}, SECRET)),
    "alg RS256 over HMAC": (4101, lambda w: forged({"alg": "RS256", "kid": "rsa-1"}, w.rsa.pem)),
    "HMAC with a public key": (4101, lambda w: forged({"alg": "HS256"}, w.rsa.pem)),
    "HMAC with a public key, named": (4101, lambda w: forged({"alg": "HS256", "kid": "rsa-1"}, w.rsa.pem.strip())),
    "HMAC with nothing": (4101, lambda w: forged({"alg": "HS256"}, "")),
    "embedded jwk": (4101, lambda w: w.removed.token(claims(**OURS), jwk=w.removed.jwk)),
    "embedded x5c": (4101, lambda w: w.rsa.token(claims(**OURS), x5c=["MIIB"])),
    "embedded jku": (4101, lambda w: w.removed.token(claims(**OURS), jku="http://127.0.0.1:9/keys")),
    "critical": (4101, lambda w: w.rsa.token(claims(**OURS), crit=["exp"])),
    "wrong key": (4101, lambda w: Signer("RS256", "rsa-1").token(claims(**OURS))),
    "wrong key, ES256": (4101, lambda w: Signer("ES256", "ec-1").token(claims(**OURS))),
    "wrong key, EdDSA": (4101, lambda w: Signer("EdDSA").token(claims(**OURS))),
    "wrong secret": (4101, lambda w: make_token("another secret of 32 bytes or more", "alice", claims=OURS)),
    "of a key that was removed": (4101, lambda w: w.removed.token(claims(**OURS))),
    "of another key's id": (4101, lambda w: w.rsa_next.token(claims(**OURS), kid="rsa-1")),
    "wrong audience": (4101, lambda w: w.rsa.token(claims(iss=OURS["iss"], aud="shop"))),
    "no audience": (4101, lambda w: w.rsa.token(claims(iss=OURS["iss"]))),
    "wrong issuer": (4101, lambda w: w.rsa.token(claims(aud="sync", iss="https://login.example.evil"))),
    "huge": (4101, lambda w: w.rsa.token(claims(padding="x" * 9000, **OURS))),
    "no sub": (4101, lambda w: w.rsa.token(claims(sub=None, **OURS))),
    "sub is a number": (4101, lambda w: make_token(SECRET, None, claims={"sub": 7, **OURS})),
    "rooms is no list": (4101, lambda w: w.rsa.token(claims(rooms="*", **OURS))),
    "changed": (4101, lambda w: changed(w.rsa.token(claims(**OURS)))),
    "changed, EdDSA": (4101, lambda w: changed(w.ed.token(claims(**OURS)))),
    "cut off": (4101, lambda w: w.rsa.token(claims(**OURS))[:-7]),
    "malformed": (4101, lambda w: "eyJhbGciOiJIUzI1NiJ9.e30"),
    "no token": (4101, lambda w: "let-me-in"),
}  # fmt: skip

GOOD: dict[str, Callable[[World], str]] = {
    "HS256": lambda w: w.good(),
    "HS256 of the secret before": lambda w: make_token(PREVIOUS, "alice", claims=OURS),
    "RS256": lambda w: w.rsa.token(claims(**OURS)),
    "RS256 of the second key": lambda w: w.rsa_next.token(claims(**OURS)),
    "RS256 without a key id": lambda w: w.rsa.token(claims(**OURS), kid=None),
    "ES256": lambda w: w.ec.token(claims(**OURS)),
    "EdDSA of a PEM file": lambda w: w.ed.token(claims(**OURS)),
    "an hour long": lambda w: w.rsa.token(claims(ttl_s=3600, **OURS)),
    "expired within the leeway": lambda w: w.rsa.token(claims(ttl_s=0, **OURS)),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_token_opens_no_door(world: World, kind: str, door: str) -> None:
    code, make = BAD[kind]
    token = make(world)
    with pytest.raises(SessionClosed) as refused:
        world.enter(door, token)
    assert refused.value.code == code
    assert refused.value.reason and token not in refused.value.reason


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", GOOD)
def test_a_good_token_opens_every_door(world: World, kind: str, door: str) -> None:
    with world.enter(door, GOOD[kind](world)) as session:
        assert session.welcome["user_id"] == "alice"
        assert {at["channel"] for at in session.welcome["subscriptions"]} == {"broadcast", "user:alice"}


def stream(world: World, door: str, token: str) -> EventStream:
    """A stream of events with this token."""
    url = world.gateway.gateway + "/sse"
    if door == "header":
        return EventStream(url, headers={"Authorization": f"Bearer {token}"})
    if door == "query":
        return EventStream(f"{url}?token={token}")
    return EventStream(url, headers={"Cookie": f"session={token}", "Sec-Fetch-Site": "same-origin"})


@pytest.mark.parametrize("door", ["header", "query", "cookie"])
def test_streams_have_the_same_doors(world: World, door: str) -> None:
    for kind, (_, make) in BAD.items():
        with pytest.raises(Refused) as refused:
            stream(world, door, make(world))
        assert refused.value.status == 401, kind
    for make in GOOD.values():
        opened = stream(world, door, make(world))
        assert opened.events[0]["user_id"] == "alice"
        opened.close()
    foreign = {"Cookie": f"session={world.good()}"}
    for headers in ({}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        with pytest.raises(Refused) as refused:
            EventStream(world.gateway.gateway + "/sse", headers={**foreign, **headers})
        assert refused.value.status == 401


def test_nobody_else_comes_in(world: World) -> None:
    with pytest.raises(SessionClosed) as refused:
        Session(world.gateway.websocket + "/ws", hello={})
    assert refused.value.code == 4101


def test_a_token_of_somebody_else_changes_nothing(world: World) -> None:
    with Session(world.gateway.websocket + "/ws", hello={"token": world.good()}) as session:
        session.send({"type": "fw.refresh", "request_id": "1", "token": world.good("mallory")})
        answer = session.receive(lambda message: message.get("request_id") == "1")
        assert (answer["type"], answer["code"]) == ("fw.error", 4403)
        assert session.subscribe("user:mallory")["code"] == 4403
        assert session.subscribe("room:1")["type"] == "fw.subscribed"


def test_a_cookie_counts_only_on_pages_that_are_known(world: World) -> None:
    url = world.gateway.websocket + "/ws"
    cookie = {"Cookie": f"session={world.good()}"}
    with pytest.raises(InvalidStatusCode) as refused:
        Session(url, headers=cookie, origin="https://evil.example")
    assert refused.value.status_code == 403
    with pytest.raises(SessionClosed) as closed:
        Session(url, headers=cookie)  # a browser would have said where the page is from
    assert closed.value.code == 4101
    with pytest.raises(SessionClosed) as closed:
        Session(url, headers={"Cookie": f"session={world.good()}; session={world.good('bob')}"}, origin=ORIGIN)
    assert closed.value.code == 4101
    with pytest.raises(SessionClosed) as closed:
        Session(url, headers={"Cookie": f"Session={world.good()}"}, origin=ORIGIN, hello={})
    assert closed.value.code == 4101


def test_nothing_of_a_token_is_written_anywhere(world: World) -> None:
    """Of any test of this file, which all ran with the log at debug level."""
    tokens = [make(world) for _, make in BAD.values()] + [make(world) for make in GOOD.values()]
    for door in DOORS:
        for token in tokens:
            try:
                world.enter(door, token).close()
            except SessionClosed:
                pass
    with Session(f"{world.gateway.websocket}/ws?token={world.good()}&origin=tab-of-the-query"):
        answers = [world.gateway.admin(path).body.decode() for path in ("/metrics", "/healthz", "/readyz")]
    written = world.gateway.stderr() + world.gateway.stdout() + "".join(answers)
    assert "gateway is listening" in written and "freshwire_tokens_total" in written
    for needle in ("eyJ", "token=", "session=", "tab-of-the-query", "Bearer", SECRET, PREVIOUS, "let-me-in"):
        assert needle not in written, needle
    for token in tokens:
        for part in token.split("."):
            assert len(part) < 12 or part not in written


def test_tokens_are_counted_by_door_and_result(world: World) -> None:
    def counted(door: str, result: str) -> float:
        return world.gateway.metrics().value("freshwire_tokens_total", door=door, result=result)

    for door in DOORS:
        before = counted(door, "accepted"), counted(door, "refused"), counted(door, "expired")
        world.enter(door, world.good()).close()
        for kind in ("none", "expired"):
            with pytest.raises(SessionClosed):
                world.enter(door, BAD[kind][1](world))
        wait_for(
            lambda: (counted(door, "accepted"), counted(door, "refused"), counted(door, "expired"))
            == (before[0] + 1, before[1] + 1, before[2] + 1),
            f"tokens of {door} are counted",
        )


def test_a_token_that_expires_is_announced_and_then_ends_the_session(start: Callable[..., Daemon]) -> None:
    broker = start("broker", "--no-broker-cache")
    gateway = start(
        "gateway", *broker.broker_flags(), "--gateway-jwt-leeway", "0", "--gateway-jwt-grace", "3s"
    ).wait_ready()  # fmt: skip
    with Session(gateway.websocket + "/ws", hello={"token": make_token(SECRET, "alice", 2)}) as session:
        assert session.receive("fw.expired")["grace_ms"] == 3000
        session.send({"type": "fw.refresh", "request_id": "1", "token": make_token(SECRET, "alice", 3)})
        assert 0 < session.receive("fw.refreshed")["expires_in_ms"] <= 3000
        after = len(session.messages)
        session.receive("fw.expired", after=after)
        assert session.close_code is None
        assert session.wait_closed() == 4100
    with Session(gateway.websocket + "/ws", hello={"token": make_token(SECRET, "bob", 2)}) as bob:
        bob.receive("fw.expired")
        bob.send({"type": "fw.refresh", "request_id": "1", "token": make_token(SECRET, "bob", -60)})
        assert bob.receive("fw.error")["code"] == 4100
        assert bob.wait_closed() == 4100
