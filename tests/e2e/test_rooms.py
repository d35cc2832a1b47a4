# SPDX-License-Identifier: MPL-2.0
"""Who is in a room, and what browsers publish into it, across real gateways."""

from __future__ import annotations

import os
from typing import Any, Callable

import pytest

from conftest import SECRET
from stack import Daemon, Session, make_token, wait_for
from stack.binary import BinarySession, pb
from stack.crowd import at_once, close_all
from stack.report import report

ROOM = "room:1"
GRACE = ("--broker-presence-grace", "2s")
CROWD = int(os.environ.get("FRESHWIRE_ROOM_CROWD", "2000"))
LONG_S = 120.0


@pytest.fixture
def start_broker(start: Callable[..., Daemon]) -> Callable[..., Daemon]:
    return lambda *flags: start("broker", "--no-broker-cache", *flags)


@pytest.fixture
def broker(start_broker: Callable[..., Daemon]) -> Daemon:
    return start_broker(*GRACE)


@pytest.fixture
def gateway(start: Callable[..., Daemon], broker: Daemon) -> Callable[..., Daemon]:
    """One more gateway on the broker."""
    return lambda *flags: start("gateway", *flags, *broker.broker_flags()).wait_ready()


class Visitor(Session):
    """A user's tab that is in the room, and keeps its list as a page would."""

    def __init__(self, daemon: Daemon, user: str, watches: bool = True, **claims: Any) -> None:
        self.user = user
        allowed = {"presence": ["*"], "publish": ["*"], **claims}
        super().__init__(
            daemon.websocket + "/ws",
            hello={
                "token": make_token(SECRET, user, claims=allowed),
                "origin": f"tab-of-{user}",
                "subscriptions": [{"channel": ROOM, **({"presence": True} if watches else {})}],
            },
        )

    @property
    def presence(self) -> list[dict[str, Any]]:
        return [message for message in list(self.messages) if message["type"] == "fw.presence"]

    @property
    def members(self) -> dict[str, int] | None:
        """User and sessions; None before the first list."""
        members: dict[str, int] | None = None
        for message in self.presence:
            assert message["channel"] == ROOM
            if message.get("snapshot"):
                members = {}
            assert members is not None, f"a change before the list: {message}"
            for one in [*message.get("members", []), *message.get("join", []), *message.get("update", [])]:
                members[one["user_id"]] = one["sessions"]
            for one in message.get("leave", []):
                del members[one["user_id"]]
        return members

    def wait_members(self, expected: dict[str, int], timeout_s: float = 20) -> None:
        try:
            wait_for(lambda: self.members == expected, "the list", timeout_s)
        except AssertionError:
            raise AssertionError(f"{self.members} instead of {expected}") from None

    def moves(self) -> list[tuple[str, str]]:
        """Who else joined and left, as a page would show it."""
        seen = []
        for message in self.presence:
            seen += [("join", one["user_id"]) for one in message.get("join", [])]
            seen += [("leave", one["user_id"]) for one in message.get("leave", [])]
        return [move for move in seen if move[1] != self.user]

    def publish(self, event: str, data: Any = None, **members: Any) -> dict[str, Any]:
        """The answer."""
        request_id = f"p{len(self.messages)}-{event}"
        message = {"type": "fw.publish", "request_id": request_id, "channel": ROOM, "event": event, "data": data}
        self.send({**message, **members})
        return self.receive(lambda answer: answer.get("request_id") == request_id)


def test_users_of_two_gateways_see_each_other_come_and_go(gateway: Callable[..., Daemon]) -> None:
    first, second = gateway(), gateway()
    ada = Visitor(first, "ada")
    ada.wait_members({"ada": 1})
    bob = Visitor(second, "bob")
    bob.wait_members({"ada": 1, "bob": 1})
    ada.wait_members({"ada": 1, "bob": 1})
    also_bob = Visitor(first, "bob")
    for one in (ada, bob, also_bob):
        one.wait_members({"ada": 1, "bob": 2})
    assert ada.moves() == [("join", "bob")]
    # Who says that he leaves has left; the other tab stays.
    bob.send({"type": "fw.unsubscribe", "channel": ROOM})
    ada.wait_members({"ada": 1, "bob": 1})
    also_bob.send({"type": "fw.unsubscribe", "channel": ROOM})
    ada.wait_members({"ada": 1})
    assert ada.moves() == [("join", "bob"), ("leave", "bob")]


def test_who_comes_back_within_the_grace_never_left(gateway: Callable[..., Daemon]) -> None:
    first, second = gateway(), gateway()
    ada = Visitor(first, "ada")
    bob = Visitor(second, "bob")
    ada.wait_members({"ada": 1, "bob": 1})
    for turn in range(3):
        bob.close()
        bob = Visitor((first, second)[turn % 2], "bob")
        bob.wait_members({"ada": 1, "bob": 1})
    bob.close()
    ada.wait_members({"ada": 1})
    assert ada.moves() == [("join", "bob"), ("leave", "bob")]


def test_users_of_a_killed_gateway_leave_after_the_grace(gateway: Callable[..., Daemon]) -> None:
    first, second = gateway(), gateway()
    ada = Visitor(first, "ada")
    bob, eve = Visitor(second, "bob"), Visitor(second, "eve")
    ada.wait_members({"ada": 1, "bob": 1, "eve": 1})
    second.exit_codes = (-9,)
    second.kill()
    bob.wait_closed()
    # One of the two finds the other gateway.
    bob = Visitor(first, "bob")
    ada.wait_members({"ada": 1, "bob": 1})
    bob.wait_members({"ada": 1, "bob": 1})
    assert sorted(ada.moves()) == [("join", "bob"), ("join", "eve"), ("leave", "eve")]
    assert eve.wait_closed() == 1006


def test_nobody_leaves_because_the_broker_is_another_one(
    start: Callable[..., Daemon], start_broker: Callable[..., Daemon]
) -> None:
    old = start_broker("--broker-presence-grace", "4s")
    flags = old.broker_flags()
    first, second = (start("gateway", *flags).wait_ready() for _ in range(2))
    ada, bob = Visitor(first, "ada"), Visitor(second, "bob")
    ada.wait_members({"ada": 1, "bob": 1})
    bob.wait_members({"ada": 1, "bob": 1})
    old.exit_codes = (-9,)
    old.kill()
    start_broker("--broker-presence-grace", "4s", *flags[2:])
    # A third one is told after the new broker has heard of everybody.
    eve = Visitor(first, "eve")
    for one in (ada, bob, eve):
        one.wait_members({"ada": 1, "bob": 1, "eve": 1}, 40)
    eve.send({"type": "fw.unsubscribe", "channel": ROOM})
    for one in (ada, bob):
        one.wait_members({"ada": 1, "bob": 1}, 40)
    assert [move for move in ada.moves() if move[1] != "eve"] == [("join", "bob")]
    assert [move for move in bob.moves() if move[1] != "eve"] in ([], [("join", "ada")])


def test_presence_needs_a_claim_both_to_see_and_to_be_seen(gateway: Callable[..., Daemon]) -> None:
    daemon = gateway()
    ada = Visitor(daemon, "ada")
    hidden = Visitor(daemon, "hidden", presence=None)
    error = hidden.receive("fw.error")
    assert error["code"] == 4403 and error["action"] == "presence" and error["channel"] == ROOM
    assert error["temporary"] is False and "request_id" not in error
    # The subscription itself stands.
    assert ROOM in [one["channel"] for one in hidden.welcome["subscriptions"]]
    bob = Visitor(daemon, "bob")
    ada.wait_members({"ada": 1, "bob": 1})
    bob.publish("typing")
    assert hidden.receive("typing")["user_id"] == "bob"
    assert not hidden.presence


def test_a_new_token_may_take_presence_away(gateway: Callable[..., Daemon]) -> None:
    daemon = gateway()
    ada, bob = Visitor(daemon, "ada"), Visitor(daemon, "bob")
    ada.wait_members({"ada": 1, "bob": 1})
    bob.send({"type": "fw.refresh", "request_id": "r", "token": make_token(SECRET, "bob")})
    assert bob.receive("fw.refreshed")
    assert bob.receive("fw.error")["action"] == "presence"
    ada.wait_members({"ada": 1})
    assert bob.publish("typing")["code"] == 4403


def test_events_of_clients_reach_the_room_with_their_author(gateway: Callable[..., Daemon]) -> None:
    first, second = gateway(), gateway()
    ada = Visitor(first, "ada")
    bob = Visitor(second, "bob", watches=False)
    answer = ada.publish("typing", {"on": True}, user_id="bob", origin="not-mine", client=False)
    assert answer == {"type": "fw.published", "request_id": answer["request_id"]}
    for one in (ada, bob):
        event = one.receive("typing")
        assert event.pop("ts") > 1_600_000_000_000
        assert event == {
            "type": "typing", "data": {"on": True}, "channel": ROOM, "user_id": "ada", "origin": "tab-of-ada",
            "client": True, "ephemeral": True,
        }  # fmt: skip
    # Nobody keeps it: who comes later does not get it.
    eve = Visitor(second, "eve")
    ada.publish("typing", {"on": False})
    assert eve.receive("typing")["data"] == {"on": False}


def test_a_kept_event_of_a_client_is_an_ordinary_one(gateway: Callable[..., Daemon]) -> None:
    daemon = gateway("--gateway-client-publish-keep")
    ada = Visitor(daemon, "ada")
    assert ada.publish("said", "hello", keep=True)["type"] == "fw.published"
    event = ada.receive("said")
    assert event["client"] is True and event["user_id"] == "ada" and event["fresh"] == "0"
    assert event["offset"] == "1" and "ephemeral" not in event
    place = next(one for one in ada.welcome["subscriptions"] if one["channel"] == ROOM)
    late = Session(
        daemon.websocket + "/ws",
        hello={
            "token": make_token(SECRET, "late"),
            "subscriptions": [{"channel": ROOM, "epoch": place["epoch"], "offset": place["offset"]}],
        },
    )
    assert late.receive("said")["data"] == "hello"


def refused(answer: dict[str, Any], code: int, temporary: bool = False) -> None:
    assert answer["type"] == "fw.error" and answer["action"] == "publish", answer
    assert (answer["code"], answer["temporary"], answer["channel"]) == (code, temporary, ROOM), answer


def test_what_clients_may_not_publish_is_refused(gateway: Callable[..., Daemon]) -> None:
    daemon = gateway("--gateway-client-publish-types", "typing,cursor_*", "--gateway-client-publish-bytes-max", "64")
    ada = Visitor(daemon, "ada")
    refused(Visitor(daemon, "bob", publish=["2", "3"]).publish("typing"), 4403)
    refused(ada.publish("project_deleted", {"id": "42"}), 4403)
    refused(ada.publish("fw.reset"), 4403)
    refused(ada.publish("typing", "x" * 100), 4400)
    refused(ada.publish("typing", keep=True), 4403)
    assert ada.publish("cursor_moved", [1, 2])["type"] == "fw.published"
    ada.send({"type": "fw.unsubscribe", "channel": ROOM})
    ada.receive("fw.unsubscribed")
    refused(ada.publish("typing"), 4403)
    other = ada.publish("typing", channel="broadcast")
    assert other["code"] == 4400 and other["channel"] == "broadcast"
    assert ada.publish("typing", channel="room:")["code"] == 4400


def test_who_publishes_too_fast_is_told_so(gateway: Callable[..., Daemon]) -> None:
    daemon = gateway("--gateway-client-publish-rate", "1")
    ada = Visitor(daemon, "ada")
    answers = [ada.publish("typing", {"n": n}) for n in range(10)]
    assert sum(one["type"] == "fw.published" for one in answers) >= 2
    refused(answers[-1], 4290, temporary=True)


def test_without_a_broker_publishing_fails_for_now(gateway: Callable[..., Daemon], broker: Daemon) -> None:
    ada = Visitor(gateway(), "ada")
    broker.exit_codes = (-9,)
    broker.kill()

    def fails() -> dict[str, Any] | None:
        answer = ada.publish("typing")
        return answer if answer["type"] == "fw.error" else None

    refused(wait_for(fails, "publishing fails", every_s=0.5), 4290, temporary=True)


def test_a_crowd_joins_one_room_without_a_storm(
    start: Callable[..., Daemon], start_broker: Callable[..., Daemon]
) -> None:
    """Every one of them sees all: messages are counted, since they could be as many as the square."""
    broker = start_broker()
    gateways = [start("gateway", *broker.broker_flags()).wait_ready() for _ in range(2)]

    def visit(number: int) -> Visitor:
        return Visitor(gateways[number % 2], f"user-{number}")

    visitors = at_once(visit, range(CROWD))
    everybody = {f"user-{number}": 1 for number in range(CROWD)}
    for one in visitors[:20] + visitors[-20:]:
        one.wait_members(everybody, LONG_S)
    wait_for(lambda: all(one.members == everybody for one in visitors), "everybody sees everybody", LONG_S)
    # The broker's numbers are shown once a second.
    wait_for(lambda: broker.metrics()["freshwire_broker_presence_members"] == CROWD, "the broker shows everybody")
    figures = {
        "users": CROWD,
        "reports of gateways": broker.metrics()["freshwire_broker_presence_reports_total"],
        "steps of the broker": broker.metrics()["freshwire_broker_presence_steps_total"],
        "notes made by gateways": sum(
            daemon.metrics().value("freshwire_gateway_notes_total", kind="presence") for daemon in gateways
        ),
        "lists made by gateways": sum(
            daemon.metrics().value("freshwire_gateway_notes_total", kind="list") for daemon in gateways
        ),
        "messages to browsers": sum(len(one.presence) for one in visitors),
        "messages to one browser at most": max(len(one.presence) for one in visitors),
        "square": CROWD * CROWD,
    }
    report("rooms", figures)
    close_all(visitors)
    assert figures["messages to browsers"] < CROWD * CROWD / 4


def test_clients_of_protobuf_are_told_the_same(gateway: Callable[..., Daemon]) -> None:
    daemon = gateway("--gateway-client-publish-keep")
    ada = Visitor(daemon, "ada")
    token = make_token(SECRET, "bob", claims={"presence": ["*"], "publish": ["*"]})
    wishes = [pb.ClientSubscription(channel=ROOM, presence=True)]
    bob = BinarySession(daemon.websocket + "/ws", hello={"token": token, "subscriptions": wishes})
    ada.wait_members({"ada": 1, "bob": 1})
    assert bob.receive(lambda message: message["type"] == "fw.presence" and message.get("snapshot"))["channel"] == ROOM
    ada.publish("typing", {"on": True})
    event = bob.receive("typing")
    assert event["data"] == {"on": True} and event["user_id"] == "ada" and event["client"] and event["ephemeral"]
    assert "offset" not in event
    bob.say(publish=pb.ClientPublish(request_id="1", channel=ROOM, event="said", data=b'["x"]', keep=True))
    assert bob.receive("fw.published")["request_id"] == "1"
    assert ada.receive("said")["data"] == ["x"]
    bob.say(subscribe=pb.ClientSubscribe(request_id="2", channel="broadcast", presence=True))
    error = bob.receive("fw.error")
    assert (error["code"], error["action"]) == (4400, "presence")
    carol = Visitor(daemon, "carol")
    bob.receive(lambda message: any(one["user_id"] == "carol" for one in message.get("join", [])))
    carol.send({"type": "fw.unsubscribe", "channel": ROOM})
    bob.receive(lambda message: any(one["user_id"] == "carol" for one in message.get("leave", [])))


def test_a_room_with_too_many_is_told_by_its_number(start: Callable[..., Daemon], start_broker: Callable[..., Daemon]) -> None:
    broker = start_broker("--broker-presence-members-max", "16", *GRACE)
    daemon = start("gateway", *broker.broker_flags()).wait_ready()
    visitors = [Visitor(daemon, f"user-{number}") for number in range(20)]
    first = visitors[0]
    said = first.receive(lambda message: message.get("too_many") is True)
    assert said["type"] == "fw.presence" and not said.get("members")
    wait_for(lambda: first.presence[-1].get("count") == 20, "the number is told")
    close_all(visitors[10:])
    first.wait_members({f"user-{number}": 1 for number in range(10)}, 30)
    assert "too_many" not in first.presence[-1]
