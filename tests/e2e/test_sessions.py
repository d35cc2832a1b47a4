# SPDX-License-Identifier: MPL-2.0
"""The admin API about sessions: who may use it, what it does, on every gateway, and what it says when one is missing."""

from __future__ import annotations

import json
import os
import random
from typing import Any, Callable

import pytest

from conftest import SECRET
from stack import Answer, Daemon, Session, make_token, request, run_command, wait_for
from stack.client import freshwire

KEY = "the-admin-key-of-the-tests"
LONG_S = 30.0


@pytest.fixture
def broker(start) -> Daemon:
    return start("broker", "--no-broker-cache")  # there are no workers either


@pytest.fixture
def gateway(start, broker: Daemon) -> Callable[..., Daemon]:
    """One more gateway on the broker."""
    return lambda *flags: start("gateway", "--admin-keys", KEY, *flags, *broker.broker_flags()).wait_ready()


def admin_url(daemon: Daemon, path: str) -> str:
    return daemon.ports["admin"] + path


def ask(daemon: Daemon, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    all_headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    all_headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    return request(method, admin_url(daemon, path), data, all_headers)


def command(daemon: Daemon, what: str, **members: Any) -> dict[str, Any]:
    answer = ask(daemon, "POST", f"/v1/sessions/{what}", members)
    assert answer.status == 200, answer.body
    return answer.json()


def listed(daemon: Daemon, arguments: str = "") -> dict[str, Any]:
    answer = ask(daemon, "GET", f"/v1/sessions{arguments}")
    assert answer.status == 200, answer.body
    return answer.json()


def session(daemon: Daemon, user: str, path: str = "/ws", rooms: list[str] | None = None) -> Session:
    return Session(f"{daemon.websocket}{path}?token={make_token(SECRET, user, rooms=rooms)}")


def assert_problem(answer: Answer, status: int) -> dict[str, Any]:
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    return problem


def test_nobody_may_use_it_without_keys(start, broker: Daemon) -> None:
    locked = start("gateway", *broker.broker_flags()).wait_ready()
    for method, path in (("GET", "/v1/sessions"), ("POST", "/v1/sessions/disconnect")):
        assert "admin.keys" in assert_problem(ask(locked, method, path, {"user_id": "9"}), 403)["detail"]


def test_only_a_gateway_has_these_paths(broker: Daemon) -> None:
    assert request("GET", admin_url(broker, "/v1/sessions")).status == 404


@pytest.mark.parametrize(
    "given", ["", KEY, f"Basic {KEY}", "Bearer ", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", "Bearer " + "k" * 900]
)
def test_who_has_no_key_is_sent_away(given: str, gateway) -> None:
    door = gateway()
    mine = session(door, "9")
    answer = ask(door, "POST", "/v1/sessions/disconnect", {"user_id": "9"}, Authorization=given)
    assert_problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert [one["user_id"] for one in listed(door)["sessions"]] == ["9"]
    mine.close()


def test_what_is_not_understood_is_refused_with_its_field(gateway) -> None:
    door = gateway()
    post = "/v1/sessions/disconnect"
    assert assert_problem(ask(door, "POST", post, {}), 422)["field"] == "user_id"
    assert assert_problem(ask(door, "POST", post, {"user_id": "9", "code": 1000}), 422)["field"] == "code"
    assert assert_problem(ask(door, "POST", post, {"user_id": "9", "channel": "room:1"}), 422)["field"] == "channel"
    assert_problem(ask(door, "POST", post, b"{"), 400)
    assert_problem(ask(door, "POST", post, b"{}", Content_Type="text/plain"), 415)
    assert_problem(ask(door, "POST", post, b"x" * 65537), 413)
    assert_problem(ask(door, "POST", post, None, Transfer_Encoding="chunked"), 411)
    assert_problem(ask(door, "POST", "/v1/sessions/explode", {"user_id": "9"}), 404)
    assert_problem(ask(door, "GET", post), 404)
    assert_problem(ask(door, "DELETE", "/v1/sessions"), 405)
    assert assert_problem(ask(door, "GET", "/v1/sessions?limit=0"), 400)["field"] == "limit"
    assert assert_problem(ask(door, "GET", "/v1/sessions?limit=1&limit=2"), 400)["field"] == "limit"
    assert request("GET", admin_url(door, "/healthz")).status == 200
    assert request("GET", admin_url(door, "/metrics")).status == 200


def test_disconnects_a_user_at_every_gateway_and_nobody_else(gateway) -> None:
    doors = [gateway("--gateway-shards", "2"), gateway()]
    mine = [session(door, "9") for door in doors for _ in range(4)]
    others = [session(door, user) for door in doors for user in ("8", "99")]
    anonymous = Session(doors[0].websocket + "/ws")
    answer = command(doors[1], "disconnect", user_id="9", code=4100, reason="sign in again: Grüße")
    assert answer == {"gateways": 3, "answered": 3, "sessions": 8}
    for one in mine:
        assert one.wait_closed(LONG_S) == 4100
        assert one.close_reason == "sign in again: Grüße"
    assert command(doors[0], "disconnect", user_id="9")["sessions"] == 0
    for one in [*others, anonymous]:
        assert one.close_code is None
        one.close()


def test_disconnects_one_session_only(gateway) -> None:
    door = gateway()
    first, second = session(door, "9"), session(door, "9")
    answer = command(door, "disconnect", user_id="9", session_id=first.welcome["session_id"])
    assert answer["sessions"] == 1
    assert first.wait_closed(LONG_S) == 4403
    # Somebody else's session is not found under this user.
    other = session(door, "8")
    assert command(door, "disconnect", user_id="9", session_id=other.welcome["session_id"])["sessions"] == 0
    assert second.close_code is None
    second.close()
    other.close()


def test_other_claims_take_channels_away_until_there_are_others(gateway, broker: Daemon) -> None:
    doors = [gateway(), gateway()]
    mine = [session(door, "9", rooms=["*"]) for door in doors]
    for one in mine:
        assert one.subscribe("room:1")["type"] == "fw.subscribed"
        assert one.subscribe("room:2")["type"] == "fw.subscribed"
    assert command(doors[0], "refresh", user_id="9", rooms=["2"]) == {"gateways": 2, "answered": 2, "sessions": 2}
    for one in mine:
        assert one.receive("fw.unsubscribed", LONG_S) == {
            "type": "fw.unsubscribed",
            "channel": "room:1",
            "reason": "forbidden",
        }
        assert one.subscribe("room:1")["code"] == 4403
        assert one.subscribe("room:2")["type"] == "fw.subscribed"
    assert command(doors[0], "refresh", user_id="9", rooms=["*"])["sessions"] == 2
    for one in mine:
        assert one.subscribe("room:1")["type"] == "fw.subscribed"
        one.close()


def test_lists_the_sessions_of_this_replica_page_by_page(gateway) -> None:
    door, elsewhere = gateway("--gateway-shards", "3"), gateway()
    mine = [session(door, "9", "/ws/room/7") for _ in range(5)] + [session(door, "8") for _ in range(4)]
    far = session(elsewhere, "9")
    ids = sorted(one.welcome["session_id"] for one in mine)
    found: list[dict[str, Any]] = []
    page = listed(door, "?limit=2")
    while True:
        found += page["sessions"]
        if "next" not in page:
            break
        page = listed(door, f"?limit=2&after={page['next']}")
    assert [one["session_id"] for one in found] == ids
    of_nine = listed(door, "?user_id=9")["sessions"]
    assert len(of_nine) == 5
    assert all(one["channels"] == ["room:7"] and one["state"] == "open" for one in of_nine)
    assert listed(door, "?user_id=nobody") == {"sessions": []}
    for one in [*mine, far]:
        one.close()


def test_gateway_that_stands_still_is_missed_and_does_it_when_it_goes_on(gateway) -> None:
    door, still = gateway(), gateway()
    mine, far = session(door, "9"), session(still, "9")
    still.pause()
    try:
        problem = assert_problem(ask(door, "POST", "/v1/sessions/disconnect", {"user_id": "9"}), 504)
        assert (problem["gateways"], problem["answered"], problem["sessions"]) == (2, 1, 1)
    finally:
        still.resume()
    assert mine.wait_closed(LONG_S) == 4403
    assert far.wait_closed(LONG_S) == 4403


def test_without_a_broker_it_is_said_so(start) -> None:
    broker = start("broker", "--no-broker-cache")
    door = start("gateway", "--admin-keys", KEY, *broker.broker_flags()).wait_ready()
    broker.kill()
    wait_for(
        lambda: ask(door, "POST", "/v1/sessions/disconnect", {"user_id": "9"}).status == 503,
        "the gateway notices that the broker is gone",
        LONG_S,
    )
    answer = ask(door, "POST", "/v1/sessions/disconnect", {"user_id": "9"})
    assert answer.headers["retry-after"] == "1"
    assert listed(door) == {"sessions": []}


def test_who_was_unsubscribed_gets_nothing_more(gateway, broker: Daemon) -> None:
    """Users leave and are taken out of rooms at random, while events go on; what was published after the answer never
    reaches them, and who was not taken out gets everything."""
    seed = int(os.environ.get("FRESHWIRE_SEED", random.randrange(1 << 32)))
    print(f"FRESHWIRE_SEED={seed}")
    dice = random.Random(seed)
    doors = [gateway(), gateway("--gateway-shards", "2")]
    users = [f"u{number}" for number in range(6)]
    rooms = [f"room:{number}" for number in range(4)]
    sessions = {(user, door): session(door, user) for user in users for door in doors}
    member = {(key, room): False for key in sessions for room in rooms}
    expected: dict[Any, list[int]] = {key: [] for key in sessions}
    publisher = freshwire.Publisher(broker.publish_endpoint, timeout=LONG_S)
    try:
        for number in range(200):
            room = dice.choice(rooms)
            move = dice.random()
            if move < 0.3:
                key = dice.choice(list(sessions))
                if not member[key, room]:
                    assert sessions[key].subscribe(room)["type"] == "fw.subscribed"
                    member[key, room] = True
            elif move < 0.5:
                user = dice.choice(users)
                there = [key for key in sessions if key[0] == user and member[key, room]]
                answer = command(dice.choice(doors), "unsubscribe", user_id=user, channel=room)
                assert (answer["answered"], answer["sessions"]) == (3, len(there))
                for key in there:
                    member[key, room] = False
            publisher.publish("ticked", data={"number": number}, audience=[room])
            for key in sessions:
                if member[key, room]:
                    expected[key].append(number)
        publisher.publish("ended", audience=["broadcast"])
        for key, one in sessions.items():
            one.receive("ended", LONG_S)
            # Rooms are streams of their own: what comes late is waited for.
            wait_for(lambda: len(one.events) > len(expected[key]), "every event", LONG_S)
            numbers = [event["data"]["number"] for event in one.events if event["type"] == "ticked"]
            assert sorted(numbers) == expected[key], key[0]
            assert all(m["reason"] == "server" for m in one.messages if m["type"] == "fw.unsubscribed")
    finally:
        publisher.close()
        for one in sessions.values():
            one.close()


def test_the_command_line_says_the_same(gateway, binary) -> None:
    door = gateway()
    mine = session(door, "9")

    def sessions(*arguments: str, key: str = KEY) -> Any:
        return run_command(
            "sessions", *arguments, "--admin", door.ports["admin"], env={"FRESHWIRE_ADMIN_KEYS": key}, binary=binary
        )

    assert mine.subscribe("room:1")["type"] == "fw.subscribed"
    shown = sessions("list", "--user", "9")
    assert shown.returncode == 0
    assert [one["session_id"] for one in json.loads(shown.stdout)["sessions"]] == [mine.welcome["session_id"]]
    assert json.loads(sessions("unsubscribe", "--user", "9", "--channel", "room:1").stdout)["sessions"] == 1
    assert mine.receive("fw.unsubscribed", LONG_S)["channel"] == "room:1"
    assert json.loads(sessions("refresh", "--user", "9", "--room", "2*").stdout)["sessions"] == 1
    assert mine.subscribe("room:1")["code"] == 4403
    refused = sessions("disconnect", "--user", "9", key="wrong")
    assert (refused.returncode, refused.stdout) == (4, "")
    assert "admin.keys" in refused.stderr
    refused = sessions("disconnect", "--user", "")
    assert refused.returncode == 2 and "user_id" in refused.stderr
    assert json.loads(sessions("disconnect", "--user", "9", "--code", "4100").stdout)["sessions"] == 1
    assert mine.wait_closed(LONG_S) == 4100
