# SPDX-License-Identifier: MPL-2.0
"""A run: load on a cluster, histories of everybody, and in the end the verdict."""

from __future__ import annotations

import random
import time
from typing import Any, Sequence

import redis.asyncio

from stack import make_token, wait_for
from stack.client import freshwire

from harness.checker import Verdict, check
from harness.cluster import PUBLISH_KEY, SECRET, Cluster, Role
from harness.history import Place, Received, Sent, SessionHistory, Told
from harness.publishers import AckedPublisher, Cache, FirePublisher, HttpPublisher, Publisher
from harness.subscriber import Subscriber, SubscriberLoop

ROOMS = tuple(f"room:{number}" for number in range(5))
CONVERGED_S = 30.0
AUDIENCE_MAX = 64
TOKEN_TTL_S = 10 * 365 * 86400  # no test is about tokens; wall clocks jump


class Run:
    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.cluster = cluster
        self.random = random.Random(seed)
        self.seed = seed
        self.publishers: list[Publisher] = []
        self.subscribers: list[Subscriber] = []
        self.cache = Cache(redis.Redis(host=cluster.address("redis"), port=cluster.redis.port, socket_timeout=0.2))
        self._loop = SubscriberLoop()
        self._redis: Any = None
        self._ended = False
        self._closed = False

    # ---- Who takes part

    def subscribe(
        self, *gateways: Role, channels: Sequence[str] = ROOMS, count: int = 1, looks: bool = False, **members: Any
    ) -> list[Subscriber]:
        """Sessions that begin at the first of these gateways (default: in turn at all) and go on at the next.

        looks: it looks into Redis at the moment that it hears of an event."""
        made = []
        for _ in range(count):
            number = len(self.subscribers)
            chosen = list(gateways) or self._turned(self.cluster.gateways, number)
            addresses = ["ws" + gateway.url.removeprefix("http") for gateway in chosen]
            token = make_token(SECRET, f"u{number}", TOKEN_TTL_S)
            inspect = self._look if looks else None
            session = Subscriber(
                self._loop, f"session{number}", addresses, token, channels, self.seed, inspect, **members
            )
            self.subscribers.append(session)
            made.append(session)
        return made

    @staticmethod
    def _turned(roles: list[Role], by: int) -> list[Role]:
        return [roles[(by + index) % len(roles)] for index in range(len(roles))]

    async def _look(self, id: str) -> bool | None:
        """Is what the event made stale gone from Redis? None when it cannot be told."""
        if self._redis is None:
            self._redis = redis.asyncio.Redis(
                host=self.cluster.address("redis"), port=self.cluster.redis.port, socket_timeout=0.3
            )
        try:
            return not await self._redis.exists(Cache.key(id))
        except (redis.RedisError, OSError):
            return None

    def publish_acked(self, rate_hz: float = 60, channels: Sequence[str] = ROOMS, **members: Any) -> AckedPublisher:
        endpoint = members.pop("endpoint", self.cluster.publish_endpoint)
        made = AckedPublisher(
            endpoint, f"service{len(self.publishers)}", channels, rate_hz, self.seed, self.cache, **members
        )
        self.publishers.append(made)
        made.begin()
        return made

    def publish_http(self, rate_hz: float = 10, *gateways: Role, channels: Sequence[str] = ROOMS) -> HttpPublisher:
        addresses = [gateway.url for gateway in gateways or self.cluster.gateways]
        name = f"http{len(self.publishers)}"
        made = HttpPublisher(addresses, PUBLISH_KEY, name, channels, rate_hz, self.seed, self.cache)
        self.publishers.append(made)
        made.begin()
        return made

    def publish_fire(
        self, rate_hz: float = 20, channels: Sequence[str] = ROOMS, endpoint: str | None = None
    ) -> FirePublisher:
        name = f"fire{len(self.publishers)}"
        made = FirePublisher(endpoint or self.cluster.fire_endpoint, name, channels, rate_hz, self.seed, self.cache)
        self.publishers.append(made)
        made.begin()
        return made

    def usual_load(self, sessions: int = 6) -> "Run":
        """Everything at once: acknowledged twice, HTTP, fire and forget, and sessions of which one looks into Redis."""
        self.subscribe(looks=True)
        self.subscribe(count=sessions - 1)
        self.publish_acked(40)
        self.publish_acked(40)
        self.publish_http(8)
        self.publish_fire(20)
        return self.warm_up()

    # ---- Waiting

    @property
    def accepted(self) -> int:
        return sum(publisher.accepted for publisher in self.publishers)

    def wait_accepted(self, more: int, deadline_s: float = 30) -> None:
        target = self.accepted + more
        wait_for(lambda: self.accepted >= target, f"{more} more events are accepted", deadline_s)

    def warm_up(self) -> "Run":
        """Everybody is connected, hears, and is heard."""
        wait_for(lambda: all(session.connected for session in self.subscribers), "every session is connected")
        wait_for(lambda: all(publisher.accepted for publisher in self.publishers if _asks(publisher)), "all publish")
        wait_for(lambda: all(_heard(session.history) for session in self.subscribers), "every session hears")
        return self

    def last_for(self, seconds: float) -> None:
        """The fault lasts, and the load goes on."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            failed = next((publisher.failure for publisher in self.publishers if publisher.failure), None)
            if failed:
                raise failed
            time.sleep(min(left, 0.1))

    # ---- The end

    def conclude(self, answered_s: float = 20.0, converged_s: float = CONVERGED_S) -> Verdict:
        """Stops the publishers, waits until every session has everything, and asserts the checker's verdict."""
        self._ended = True
        for publisher in self.publishers:
            publisher.end(answered_s)
        marks = self._mark()
        behind: list[str] = []

        def converged() -> bool:
            behind[:] = [
                f"{session.name} stands at {session.places.get(channel)} of {channel}, not at {mark}"
                for session in self.subscribers
                for channel, mark in marks.items()
                if channel in session.history.channels and session.places.get(channel) != mark
            ]
            return not behind

        try:
            wait_for(converged, "every session has everything", converged_s)
        except AssertionError:
            pass  # the verdict says what is missing, and this who was behind
        verdict = self.verdict()
        print(f"verdict: {verdict}")
        assert not verdict.violations, str(verdict)
        assert not behind, "\n".join(behind)
        return verdict

    def _mark(self) -> dict[str, Place]:
        """One last event in each channel, and its place."""
        channels = sorted({channel for session in self.subscribers for channel in session.history.channels})
        marker = AckedPublisher(self.cluster.publish_endpoint, "marker", channels, 1, self.seed, None)
        self.publishers.append(marker)
        marks = {}
        with freshwire.Publisher(self.cluster.publish_endpoint, timeout=20) as library:
            for first in range(0, len(channels), AUDIENCE_MAX):
                id, audience = freshwire.new_event_id(), tuple(channels[first : first + AUDIENCE_MAX])
                marker._sent(id, audience, purges=False)
                receipt = library.publish("ticked", data={"id": id}, audience=audience, id=id)
                marker._told(id, receipt)
                marks |= {place.channel: Place(place.epoch, int(place.offset)) for place in receipt.positions}
        return marks

    def check_purged(self, broker_died: bool = False) -> None:
        """What was owed is done: no copy is left that an event has named.

        A broker that dies takes with it what it owes. The epoch of the cache covers every entry of ours; a foreign key,
        as here, stays for those events that were released flagged, and whose publishers were told so."""
        wait_for(lambda: self.cluster.broker.metric("freshwire_broker_jobs_open") == 0, "no purge is left undone", 30)
        entries = [entry for publisher in self.publishers for entry in publisher.history.entries]
        named = {entry.id for entry in entries if isinstance(entry, Sent) and entry.purges and entry.acknowledged}
        if broker_died:
            named &= {entry.id for entry in entries if isinstance(entry, Told) and not entry.unconfirmed}
        left = self.cache.left(named)
        assert not left, f"{len(left)} of {len(named)} stale copies are left, such as {left[:3]}"

    def verdict(self) -> Verdict:
        return check(
            [publisher.history for publisher in self.publishers], [session.history for session in self.subscribers]
        )

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for publisher in self.publishers:
            if not self._ended:
                publisher._gives_up.set()
                try:
                    publisher.end(0)
                except BaseException as error:
                    print(f"{publisher.name}: {error!r}")
        for session in self.subscribers:
            session.stop()
        if self._redis is not None:
            self._loop.submit(self._redis.close()).result(5)
        self._loop.close()

    # ---- Figures

    def latencies(
        self, session: Subscriber, since: float = 0.0, until: float = float("inf"), of: Publisher | None = None
    ) -> list[float]:
        """Seconds from an event's sending to its arrival at this session, of events sent in this time; sorted."""
        sent = {
            entry.id: entry.at
            for publisher in ([of] if of else self.publishers)
            for entry in publisher.history.entries
            if isinstance(entry, Sent) and since <= entry.at <= until
        }
        return sorted(
            entry.at - sent[entry.id]
            for entry in session.history.entries
            if isinstance(entry, Received) and entry.id in sent
        )


def percentile(values: list[float], percent: float) -> float:
    assert values, "there is nothing to judge"
    return values[min(len(values) - 1, int(len(values) * percent / 100))]


def _asks(publisher: Publisher) -> bool:
    return not isinstance(publisher, FirePublisher)


def _heard(history: SessionHistory) -> bool:
    return any(isinstance(entry, Received) for entry in history.entries)
