# SPDX-License-Identifier: MPL-2.0
"""Several users subscribe, publish and get other tokens at random: nobody ever hears what their token of the moment does
not allow, and everybody hears what it does."""

from __future__ import annotations

import os
import random
import time
from fnmatch import fnmatchcase
from typing import Any, Callable

from conftest import PUBLISH_KEY, SECRET
from stack import Daemon, Session, make_token, publish_http, wait_for

USERS = ["alice", "bob", "carol", "bob2"]
ROOMS = [f"{team}-{number}" for team in ("red", "blue") for number in range(4)]
PATTERNS = ["red-*", "blue-*", "*-0", "*-?", *ROOMS]
STEPS = 600
PACE_S = 0.01
SESSIONS = 8


class Claims:
    """What a token allows, judged here and not by the code under test."""

    def __init__(self, chance: random.Random, user: str) -> None:
        def some() -> list[str]:
            return chance.sample(PATTERNS, chance.randrange(4))

        self.user = user
        self.rooms: list[str] | None = some() if chance.random() < 0.8 else None
        self.publish, self.presence = some(), some()

    def token(self) -> str:
        return make_token(
            SECRET, self.user, rooms=self.rooms, claims={"publish": self.publish, "presence": self.presence}
        )  # fmt: skip

    def listens(self, channel: str) -> bool:
        kind, _, name = channel.partition(":")
        if kind == "room":
            return self.rooms is None or any(fnmatchcase(name, glob) for glob in self.rooms)
        return channel == "broadcast" or channel == f"user:{self.user}"

    def may(self, globs: list[str], channel: str) -> bool:
        return channel.startswith("room:") and any(fnmatchcase(channel[5:], glob) for glob in globs)


class Tab:
    """One session, and an observer that follows its claims in the order of its messages."""

    def __init__(self, gateway: Daemon, chance: random.Random, user: str, number: int) -> None:
        self.chance = chance
        self.user = user
        self.claims = Claims(chance, user)
        self.offered: dict[str, Claims] = {}  # by the request of fw.refresh
        self.requests = 0
        self.seen = 0  # messages that were judged
        self.heard: list[dict[str, Any]] = []
        self.joined: set[str] = set()
        self.asked: dict[str, str] = {}  # channel by the request of fw.subscribe, fw.unsubscribe
        hello = {"token": self.claims.token(), "origin": f"tab-{number}", "batch": chance.random() < 0.5}
        self.session = Session(gateway.websocket + "/ws", hello=hello)

    def request(self, message: dict[str, Any]) -> str:
        self.requests += 1
        self.session.send({**message, "request_id": str(self.requests)})
        return str(self.requests)

    def act(self) -> None:
        channel = self.any_channel()
        action = self.chance.choice(["subscribe"] * 4 + ["unsubscribe"] * 2 + ["publish"] * 2 + ["refresh", "steal"])
        if action in ("subscribe", "unsubscribe"):
            presence = {"presence": True} if self.chance.random() < 0.4 and action == "subscribe" else {}
            request = self.request({"type": f"fw.{action}", "channel": channel, **presence})
            self.asked[request] = channel
        elif action == "publish":
            data = {"by": self.user, "to": channel}
            self.request({"type": "fw.publish", "channel": channel, "event": "said", "data": data})
        else:
            other = self.chance.choice([user for user in USERS if user != self.user])
            claims = Claims(self.chance, self.user if action == "refresh" else other)
            request = self.request({"type": "fw.refresh", "token": claims.token()})
            self.offered[request] = claims

    def any_channel(self) -> str:
        if self.chance.random() < 0.2:
            return f"user:{self.chance.choice(USERS)}"
        return f"room:{self.chance.choice(ROOMS)}"

    def judge(self) -> None:
        """Every message since the last time, under the claims that hold at that place."""
        messages = list(self.session.messages)
        for message in messages[self.seen :]:
            self.judge_one(message)
        self.seen = len(messages)

    def judge_one(self, message: dict[str, Any]) -> None:
        kind, channel = message["type"], message.get("channel", "")
        if kind == "fw.refreshed":
            self.claims = self.offered.pop(message["request_id"])
            assert self.claims.user == self.user, "a session became somebody else's"
        elif kind == "fw.welcome":
            assert message["user_id"] == self.user
            for at in message["subscriptions"]:
                assert self.claims.listens(at["channel"]), at
                self.joined.add(at["channel"])
        elif kind == "fw.subscribed":
            assert self.claims.listens(channel), message
            self.joined.add(channel)
        elif kind == "fw.unsubscribed":
            self.joined.discard(channel)
            if message.get("reason") == "forbidden":
                assert not self.claims.listens(channel), message
        elif kind == "fw.presence":
            assert self.claims.listens(channel) and self.claims.may(self.claims.presence, channel), (message, vars(self.claims))
        elif not kind.startswith("fw."):
            assert channel in self.joined, f"{self.user} heard {message} and is in {self.joined}"
            assert self.claims.listens(channel), f"{self.user} heard {message} with {vars(self.claims)}"
            assert message["data"]["to"] == channel
            if message.get("client"):
                assert message["user_id"] == message["data"]["by"], "an author was made up"
            self.heard.append(message)


def test_nobody_hears_what_is_not_for_them(start: Callable[..., Daemon]) -> None:
    seed = int(os.environ.get("FW_TEST_SEED", random.randrange(2**32)))
    print(f"FW_TEST_SEED={seed}")
    chance = random.Random(seed)
    broker = start("broker", "--no-broker-cache")
    gateways = [start("gateway", *broker.broker_flags()).wait_ready() for _ in range(2)]
    tabs = [Tab(gateways[number % 2], chance, USERS[number % len(USERS)], number) for number in range(SESSIONS)]

    def publish(channel: str, type: str = "told") -> None:
        event = {"type": type, "data": {"to": channel}, "audience": [channel]}
        assert publish_http(chance.choice(gateways).gateway, PUBLISH_KEY, event).status == 200

    for step in range(STEPS):
        tabs[step % SESSIONS].act()
        time.sleep(PACE_S)  # below the rate at which a gateway closes a session
        if chance.random() < 0.4:
            publish(chance.choice([*(f"room:{room}" for room in ROOMS), *(f"user:{user}" for user in USERS), "broadcast"]))
        if chance.random() < 0.1:
            for tab in tabs:
                tab.judge()
    # Everything that was asked has been answered once a ping has: then where each one is, is known.
    for tab in tabs:
        after = len(tab.session.messages)
        tab.session.send({"type": "fw.ping"})
        tab.session.receive("fw.pong", after=after)

    def all_settled() -> bool:
        """A subscription may be answered after the ping that followed it."""
        for tab in tabs:
            tab.judge()
        answered = [
            {message.get("request_id") for message in tab.session.messages} | {None} for tab in tabs
        ]
        return all(str(n) in got for tab, got in zip(tabs, answered) for n in range(1, tab.requests + 1))

    wait_for(all_settled, "every request is answered")
    before = [len(tab.heard) for tab in tabs]
    for room in ROOMS:
        publish(f"room:{room}", "last")
    for user in USERS:
        publish(f"user:{user}", "last")
    publish("broadcast", "last")

    def all_heard() -> bool:
        for tab in tabs:
            tab.judge()
            got = {event["channel"] for event in tab.heard if event["type"] == "last"}
            if got != tab.joined:
                return False
        return True

    wait_for(all_heard, "each one has heard the last event of exactly the channels that it is in")
    assert sum(before) > 0, "nobody heard anything: this test tests nothing"
    for tab in tabs:
        assert tab.session.close_code is None
        assert tab.claims.user == tab.user
        tab.session.close()
