# SPDX-License-Identifier: MPL-2.0
"""The cache in every order: readers, a writer and faults take turns, one Redis command at a time.

What is checked after each read is the promise itself: a read that starts after the notification of
version n returns n or newer. The seed decides everything, so a failure repeats; it is printed with
what happened. Algorithms that are known to be wrong go through the same mill and must be caught:
otherwise the mill is broken, not the cache right.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from redis_model import RedisModel

from freshwire.cache import _algorithm, _entry
from freshwire.cache._algorithm import (
    BYPASS,
    LOAD,
    Command,
    Commands,
    Get,
    Head,
    Outcome,
    Plan,
    Status,
)

ENTRY = "fw:c:x"
TAGS = ("", "a", "b")
EPOCH = "fw:epoch"
STAMPS = (EPOCH, "fw:t:a", "fw:t:b")
PURGES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "tags": (("a",), ("fw:t:a",), ()),
    "key": ((), (), (ENTRY,)),
    "both": (("a",), ("fw:t:a",), (ENTRY,)),
    "epoch": (("",), (EPOCH,), ()),
}
"""What an event makes stale: tags, their stamps, literal keys."""
LAG = 45
"""Steps that a database replica may be behind, or two Redis clocks apart."""

Read = Callable[[Plan, random.Random], Generator[Any, Any, Outcome]]


# ---- algorithms that are known to be wrong


def naive(plan: Plan, randomness: random.Random) -> Generator[Any, Any, Outcome]:
    """GET; on a miss load, SET. What most services do."""
    [value] = yield Commands((Get(plan.entry_key),))
    if value is not None:
        return Outcome(int(value), Status.HIT)
    loaded = yield LOAD
    yield ("set", plan.entry_key, str(loaded))
    return Outcome(loaded, Status.MISS, stored=True)


def without_compare(plan: Plan, randomness: random.Random) -> Generator[Any, Any, Outcome]:
    """Ours, but the store does not compare the lease."""
    return (yield from _changed(plan, randomness, "store"))


def stamps_after_load(plan: Plan, randomness: random.Random) -> Generator[Any, Any, Outcome]:
    """Ours, but the stamps stored are those found after the load."""
    return (yield from _changed(plan, randomness, "capture"))


def missing_stamp_is_zero(plan: Plan, randomness: random.Random) -> Generator[Any, Any, Outcome]:
    """Ours, but a stamp that is missing starts again at 1, as a counter does."""
    return (yield from _changed(plan, randomness, "seed"))


def without_epoch(plan: Plan, randomness: random.Random) -> Generator[Any, Any, Outcome]:
    """Ours, but the first stamp is one that nobody raises."""
    stamps = ("fw:t:nobody", *plan.stamp_keys[1:])
    return (yield from _algorithm.read(replace(plan, stamp_keys=stamps), randomness))


def confirmed_by_existence(plan: Plan, randomness: random.Random) -> Generator[Any, Any, Outcome]:
    """A 304 for as long as a key exists, as common middlewares do: ours, without looking into the
    entry."""
    [value] = yield Commands((Get(plan.entry_key),))
    entry = _entry.decode(value) if value else None
    if entry:
        return Outcome(plan.unpack(entry.payload), Status.HIT)
    return (yield from _algorithm.read(plan, randomness))


def _changed(plan: Plan, randomness: random.Random, what: str) -> Generator[Any, Any, Outcome]:
    steps = _algorithm.read(plan, randomness)
    reply = None
    while True:
        try:
            operation = steps.send(reply)
        except StopIteration as end:
            return end.value
        script = operation.commands[0] if isinstance(operation, Commands) else None
        name = getattr(script, "name", "")
        if what == "store" and name == "store":
            reply = [(yield ("set", plan.entry_key, script.arguments[1]))]
            reply = [1]
        elif what == "capture" and name == "store":
            found = yield Commands(tuple(map(Get, plan.stamp_keys)))
            entry = _entry.decode(script.arguments[1])
            stamps = [(tag, int(stamp or 1)) for tag, stamp in zip(plan.tags, found, strict=True)]
            data = _entry.encode(entry.nonce, entry.start_us, stamps, entry.payload)
            changed = replace(script, arguments=(script.arguments[0], data, plan.ttl_ms))
            reply = yield Commands((changed,))
        elif what == "seed" and name == "acquire":
            granted = yield Commands(operation.commands[:1])
            found = yield Commands(tuple(map(Get, plan.stamp_keys)))
            for key, stamp in zip(plan.stamp_keys, found, strict=True):
                if stamp is None:
                    yield ("set", key, "1")
            reply = [granted[0], [stamp or b"1" for stamp in found]]
        else:
            reply = yield operation


# ---- the world


@dataclass
class Scenario:
    """What may happen, and what readers bring along."""

    purges: tuple[str, ...] = ("tags", "key", "both", "epoch")
    slow_loads: bool = False
    evictions: bool = False
    failovers: bool = False
    late_purges: bool = False
    """Some events are released before their purge; reads for them bypass."""
    failing_loads: bool = False
    replica: bool = False
    """Half of the loads read a database replica that is behind."""
    counter_stamps: bool = False
    conditional: bool = False
    """Readers keep what they read, and ask whether it is still good, as a browser with an ETag."""
    token: bool = False
    hold_off: int = 0
    margin: int = 0


@dataclass
class Event:
    version: int
    token: int = 0
    unconfirmed: bool = False


@dataclass
class World:
    seed: int
    scenario: Scenario
    algorithm: Read
    readers: int = 3
    reads_each: int = 8
    writes: int = 6
    redis: RedisModel = field(default_factory=RedisModel)
    versions: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    """What the database held, from which step on."""
    notified: Event = field(default_factory=lambda: Event(0))
    step: int = 0
    trace: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    hits: int = 0
    reads: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def log(self, text: str) -> None:
        self.trace.append(f"{self.step:4} {text}")

    def run(self) -> World:
        actors = [self.reader(f"reader {number}") for number in range(self.readers)]
        actors.append(self.writer())
        if self.scenario.evictions or self.scenario.failovers:
            actors.append(self.chaos())
        while actors:
            actor = self.random.choice(actors)
            self.step += 1
            try:
                next(actor)
            except StopIteration:
                actors.remove(actor)
        return self

    def command(self, command: Any) -> Any:
        if isinstance(command, tuple):
            _, key, value = command
            self.redis.now_us += 1
            self.redis.set(key, value, 300_000)
            return None
        if self.scenario.counter_stamps and getattr(command, "name", "") == "bump":
            for key in command.keys:
                self.redis.set(key, str(int(self.redis.get(key) or 0) + 1), 1_000_000)
            return [self.redis.get(key) for key in command.keys]
        return self.redis.run(command)

    def drive(self, steps: Generator[Any, Any, Any], name: str, load: Any) -> Any:
        """Runs an algorithm. Each command, and the load, is a step of its own."""
        reply: Any = None
        raised: Exception | None = None
        while True:
            try:
                operation = steps.throw(raised) if raised else steps.send(reply)
            except StopIteration as end:
                return end.value
            raised = None
            if isinstance(operation, Commands):
                reply = []
                for command in operation.commands:
                    yield
                    reply.append(self.command(command))
                    self.log(f"{name}: {_text(command)} -> {_text(reply[-1])}")
            elif isinstance(operation, tuple):
                yield
                reply = self.command(operation)
                self.log(f"{name}: {operation[0]} {operation[1]}")
            elif operation is LOAD:
                try:
                    reply = yield from load()
                except RuntimeError as error:
                    raised = error
            else:
                yield  # A pause: others come first.

    def reader(self, name: str) -> Generator[None, None, None]:
        kept: tuple[Plan, Outcome] | None = None
        for _ in range(self.reads_each):
            yield
            due = self.notified
            fresh: Any = due.token if self.scenario.token else 0
            if due.unconfirmed:
                fresh = BYPASS
            plan = Plan(
                ENTRY,
                TAGS,
                STAMPS,
                ttl_ms=100_000,
                stamp_ttl_ms=1_000_000,
                fresh=fresh,
                wait=self.random.choice([0, 0.1]),
                hold_off_us=self.scenario.hold_off,
                margin_us=self.scenario.margin,
            )
            self.log(f"{name}: starts, knows {due.version}, token {fresh}")
            try:
                steps = self.algorithm(plan, self.random)
                if kept and self.random.random() < 0.5:
                    steps = confirm_or(kept, fresh, steps)
                outcome = yield from self.drive(steps, name, lambda: self.load(name))
            except RuntimeError:
                self.log(f"{name}: its load failed")
                continue
            if self.scenario.conditional and outcome.filled:
                kept = plan, outcome
            self.reads += 1
            self.hits += outcome.status is Status.HIT
            self.log(f"{name}: {outcome.status.value} {outcome.value}")
            # From a lagging database every load may be stale; there it is the cache that must not
            # be.
            if outcome.value < due.version and not (
                self.scenario.replica and outcome.status is not Status.HIT
            ):
                self.stale.append(f"{name} got {outcome.value} after {due.version} was notified")

    def load(self, name: str) -> Generator[None, None, int]:
        yield
        lag = 0
        if self.scenario.replica and self.random.random() < 0.5:
            lag = self.random.randrange(LAG - 5)
        seen = max(version for version, since in self.versions if since <= max(0, self.step - lag))
        self.log(f"{name}: the database says {seen}")
        for _ in range(self.random.choice([0, 1, 30]) if self.scenario.slow_loads else 1):
            yield
        if self.scenario.failing_loads and self.random.random() < 0.3:
            raise RuntimeError("the database failed")
        return seen

    def writer(self) -> Generator[None, None, None]:
        for version in range(1, self.writes + 1):
            for _ in range(self.random.randrange(20)):
                yield
            self.versions.append((version, self.step))
            self.log(f"writer: commits {version}")
            yield
            event = Event(version)
            kind = self.random.choice(self.scenario.purges)
            if self.scenario.late_purges and self.random.random() < 0.3:
                self.notified = replace(event, unconfirmed=True)
                self.log(f"writer: {version} released unconfirmed")
                for _ in range(self.random.randrange(20)):
                    yield
            tags, stamps, keys = PURGES[kind]
            steps = _algorithm.purge(tags, stamps, keys, 1_000_000)
            purged = yield from self.drive(steps, "purge", None)
            event.token = purged.fresh
            yield
            self.notified = event
            self.log(f"writer: {version} notified, token {event.token}")

    def chaos(self) -> Generator[None, None, None]:
        snapshots = [self.redis.snapshot()]
        for _ in range(60):
            yield
            if self.random.random() < 0.2:
                snapshots.append(self.redis.snapshot())
            if self.scenario.evictions and self.random.random() < 0.3:
                victim = self.random.choice((ENTRY, *STAMPS))
                self.redis.evict(victim)
                self.log(f"chaos: {victim} evicted")
            if self.scenario.failovers and self.random.random() < 0.1:
                self.redis.fail_over(self.random.choice(snapshots))
                self.log("chaos: failover")


def confirm_or(
    kept: tuple[Plan, Outcome], fresh: Any, steps: Generator[Any, Any, Outcome]
) -> Generator[Any, Any, Outcome]:
    """What the middleware does with If-None-Match."""
    plan, outcome = kept
    replies = yield Commands((Head(plan.entry_key), *map(Get, plan.stamp_keys)))
    if _algorithm.still_valid([(plan, outcome.filled)], replies, fresh):
        return replace(outcome, status=Status.HIT)
    return (yield from steps)


def _text(thing: Any) -> str:
    if isinstance(thing, Command):
        return f"{getattr(thing, 'name', type(thing).__name__)} {getattr(thing, 'key', '')}"
    return repr(thing)[:60]


def stale_schedules(scenario: Scenario, algorithm: Read, seeds: range) -> tuple[list[World], float]:
    """The worlds in which somebody was served something stale, and the share of hits."""
    worlds = [World(seed, scenario, algorithm).run() for seed in seeds]
    reads = sum(world.reads for world in worlds)
    return [world for world in worlds if world.stale], sum(world.hits for world in worlds) / reads


SAFE = {
    "no fault": Scenario(),
    "slow loads": Scenario(slow_loads=True),
    "failing loads": Scenario(slow_loads=True, failing_loads=True),
    "eviction": Scenario(slow_loads=True, evictions=True),
    "unconfirmed events": Scenario(slow_loads=True, late_purges=True),
    "failover, with the token": Scenario(slow_loads=True, failovers=True, token=True),
    "everything, with the token": Scenario(
        slow_loads=True,
        failing_loads=True,
        evictions=True,
        failovers=True,
        late_purges=True,
        token=True,
    ),
    "readers that ask whether their copy is good": Scenario(
        slow_loads=True,
        evictions=True,
        failovers=True,
        late_purges=True,
        token=True,
        conditional=True,
    ),
    "the epoch alone": Scenario(slow_loads=True, evictions=True, purges=("epoch",)),
    "the epoch, failover with the token": Scenario(
        slow_loads=True, failovers=True, late_purges=True, token=True, purges=("epoch", "tags")
    ),
    "lagging replica, with hold-off": Scenario(
        slow_loads=True, replica=True, purges=("tags",), hold_off=LAG, token=True
    ),
    "lagging replica and failover, with the margin": Scenario(
        slow_loads=True, replica=True, failovers=True, token=True, margin=LAG, hold_off=LAG
    ),
}
SEEDS = int(os.environ.get("FRESHWIRE_SEEDS", "2000"))


@pytest.mark.parametrize("name", SAFE)
def test_no_schedule_serves_a_stale_value(name):
    stale, hits = stale_schedules(SAFE[name], _algorithm.read, range(SEEDS))
    if stale:
        world = min(stale, key=lambda world: len(world.trace))
        text = "\n".join(world.trace)
        pytest.fail(
            f"{len(stale)} of {SEEDS} schedules; seed {world.seed}: {world.stale[0]}\n{text}"
        )
    # "Never cache" is never stale either.
    assert hits > 0.05, f"only {hits:.0%} hits"


KNOWN_BAD = {
    "naive": (naive, Scenario(purges=("key",))),
    "no compare at the store": (without_compare, Scenario(purges=("key",), slow_loads=True)),
    "stamps read after the load": (stamps_after_load, Scenario(purges=("tags",), slow_loads=True)),
    "readers that do not know the epoch": (
        without_epoch,
        Scenario(purges=("epoch",), slow_loads=True),
    ),
    "copies that are good as long as some entry is there": (
        confirmed_by_existence,
        Scenario(slow_loads=True),
    ),
    "a missing stamp counts from 1": (
        missing_stamp_is_zero,
        Scenario(purges=("tags",), evictions=True, counter_stamps=True, slow_loads=True),
    ),
    "failover without the token": (_algorithm.read, Scenario(failovers=True)),
    "lagging replica without hold-off": (
        _algorithm.read,
        Scenario(replica=True, purges=("tags",), slow_loads=True),
    ),
}


@pytest.mark.parametrize("name", KNOWN_BAD)
def test_the_mill_catches_what_is_known_to_be_wrong(name):
    algorithm, scenario = KNOWN_BAD[name]
    stale, _ = stale_schedules(scenario, algorithm, range(300))
    assert len(stale) >= 3, f"{len(stale)} of 300 schedules"
