# SPDX-License-Identifier: MPL-2.0
"""freshwire.v1.protobuf: the same messages as freshwire.v1.json, for clients that have the schema."""

from __future__ import annotations

import importlib
import json
import random
import time
from typing import Any

import pytest

from stack import Session, wait_for
from stack.binary import BinarySession, epoch_number, pb
from stack.binary import told as decode
from stack.client import freshwire
from stack.process import ROOT

events_pb2 = importlib.import_module("freshwire._proto.events_pb2")

# What proto3 does not tell from unset, and so leaves out.
DEFAULTS = {
    "data": None, "offset": "0", "fresh": "0", "unconfirmed": False, "spread_ms": 0, "origin": "", "user_id": "",
    "recovered": False, "temporary": False, "request_id": "", "id": "", "ts": 0, "epoch": "0",
}  # fmt: skip


def plain(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if not (name in DEFAULTS and value == DEFAULTS[name])}


def told(session: Session) -> list[dict[str, Any]]:
    return [plain(message) for message in list(session.messages) if message["type"] not in ("fw.ping", "fw.pong")]


def position(standing: dict[str, Any]) -> dict[str, Any]:
    return {"epoch": epoch_number(standing["epoch"]), "offset": int(standing.get("offset", "0"))}


def test_a_text_message_closes_a_protobuf_session(stack) -> None:
    session = BinarySession(stack.daemon.websocket + "/ws")
    session.send_raw('{"type":"fw.ping"}')
    assert session.wait_closed() == 1003


def test_a_binary_message_closes_a_json_session(stack) -> None:
    session = stack.session(hello={})
    session.send_raw(pb.ClientMessage(ping=pb.ClientPing()).SerializeToString())
    assert session.wait_closed() == 1003


@pytest.mark.parametrize("data", [b"", b"\x0a", b"\xff" * 40, b"{}", b"\x22\x00\x2a\x00"])
def test_what_is_no_message_is_answered_by_an_error(stack, data: bytes) -> None:
    session = BinarySession(stack.daemon.websocket + "/ws")
    session.send_raw(data)
    assert session.receive("fw.error")["code"] == 4400
    session.say(ping=pb.ClientPing())
    session.receive("fw.pong")


def test_the_first_of_our_subprotocols_that_is_offered_is_taken(stack) -> None:
    both = ["freshwire.v1.protobuf", "freshwire.v1.json"]
    first = Session(stack.daemon.websocket + "/ws", subprotocols=["x.y", *both], wait_welcome=False)
    second = Session(stack.daemon.websocket + "/ws", subprotocols=both[::-1], wait_welcome=False)
    assert [first.subprotocol, second.subprotocol] == ["freshwire.v1.protobuf", "freshwire.v1.json"]


def test_the_vectors_say_in_protobuf_what_they_say_in_json() -> None:
    lines = (ROOT / "tests/support/browser_vectors.txt").read_text(encoding="utf-8").splitlines()
    for _, text, data in (line.split("\t") for line in lines if not line.startswith("#")):
        message = pb.ServerMessage()
        message.ParseFromString(bytes.fromhex(data))
        (got,) = decode(message)
        wanted = json.loads(text)
        for part in (got, wanted):
            part["subscriptions"] = [plain(each) for each in part.get("subscriptions", [])]
        assert plain(got) == plain(wanted)


def test_requests_are_answered_as_those_of_json(stack) -> None:
    token = stack.token("9")
    session = BinarySession(stack.daemon.websocket + "/ws", hello={"token": token})
    session.say(subscribe=pb.ClientSubscribe(request_id="1", channel="room:1"))
    assert session.receive("fw.subscribed")["request_id"] == "1"
    session.say(subscribe=pb.ClientSubscribe(request_id="2", channel="nothing"))
    error = session.receive("fw.error")
    assert (error["request_id"], error["code"], error["channel"]) == ("2", 4400, "nothing")
    session.say(unsubscribe=pb.ClientUnsubscribe(request_id="3", channel="room:1"))
    assert session.receive("fw.unsubscribed")["request_id"] == "3"


def test_data_keeps_the_kind_with_which_it_was_published(stack) -> None:
    session = BinarySession(stack.daemon.websocket + "/ws")
    with freshwire.Publisher(stack.daemon.publish_endpoint) as publisher:
        typed = events_pb2.ProjectUpdated(id="42", version=7)
        publisher.publish("project_updated", data=typed, audience=["broadcast"])
        publisher.publish("blob", data=b"\x00\xff", audience=["broadcast"])
        publisher.publish("chat", data={"n": [1, 2.5, None, "ü"]}, audience=["broadcast"])
        publisher.publish("bare", audience=["broadcast"])
    session.wait_events(4)
    kinds = [message.event.data.WhichOneof("kind") for message in session.decoded if message.HasField("event")]
    assert kinds == ["project_updated", "binary", "json", None]
    assert [event["data"] for event in session.events] == [
        {"id": "42", "version": "7"}, "AP8=", {"n": [1, 2.5, None, "ü"]}, None,
    ]  # fmt: skip


def test_a_protobuf_session_is_told_what_a_json_session_is_told(stack) -> None:
    seed = int(time.time() * 1000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    url = stack.daemon.websocket + "/ws"
    hello = {"token": stack.token("9"), "origin": "me", "subscriptions": [{"channel": "room:1"}]}
    sessions: list[Session] = [
        stack.session(hello=hello),
        stack.session(hello={**hello, "batch": True}),
        BinarySession(url, hello=hello),
        BinarySession(url, hello={**hello, "batch": True}),
    ]
    count = 300
    with freshwire.Publisher(stack.daemon.publish_endpoint) as publisher:
        for number in range(count):
            audience = chance.choice([["room:1"], ["user:9", "broadcast"], ["room:1", "user:9"]])
            publisher.publish(
                chance.choice(["changed", "a.b:c/d-e"]),
                data=chance.choice([None, 1.5, "ü\n\"\\", [], {"deep": [{"a": {"b": [number]}}]}]),
                audience=audience,
                exclude_origin=chance.choice([None, None, "me"]),
                origin=chance.choice([None, "tab"]),
            )
        publisher.publish("last", audience=["broadcast", "room:1", "user:9"])
    for session in sessions:
        wait_for(lambda: [message["type"] for message in told(session)].count("last") == 3, "the last ones come", 30)
    reference = by_channel(sessions[0])
    for session in sessions[1:]:
        assert by_channel(session) == reference


def by_channel(session: Session) -> dict[str, list[dict[str, Any]]]:
    result: dict[str, list[dict[str, Any]]] = {}
    for message in told(session):
        if message["type"] != "fw.welcome":
            result.setdefault(message.get("channel", ""), []).append(message)
    return result


def test_resume_works_across_encodings(stack) -> None:
    """The places that one encoding tells are good for the other."""
    url = stack.daemon.websocket + "/ws"
    first = BinarySession(url)
    stack.publish("one", "broadcast")
    place = position(first.receive("one"))
    first.close()
    stack.publish("two", "broadcast")
    stack.publish("three", "broadcast")
    second = BinarySession(url, hello={"subscriptions": [{"channel": "broadcast", "position": place}]})
    wait_for(lambda: len(second.events) == 2, "both missed events come")
    assert [event["type"] for event in second.events] == ["two", "three"]
    assert second.welcome["subscriptions"][0]["recovered"] is True
