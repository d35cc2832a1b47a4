# SPDX-License-Identifier: MPL-2.0
"""Processes that are killed, stopped and started again under load."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from typing import Any, Callable

import pytest

from stack import wait_for

from harness.checker import check
from harness.history import Place, Received, Reset, SessionHistory, Told
from harness.outbox import Outbox
from harness.process import frozen, tgkill
from harness.run import ROOMS, percentile
from harness.tcp_proxy import TcpProxy

# How late a session may hear beside a fault that does not concern it, on a machine that is busy with other things.
BYSTANDER_S = 0.7
BARRIER_S = 0.5
SLACK_S = 1.0


def is_unknown(entry: object) -> bool:
    return isinstance(entry, Told) and entry.outcome == "unknown"


@pytest.mark.fault(0)
def test_without_a_fault_nothing_is_lost_reset_or_flagged(cluster, make_run, step) -> None:
    run = make_run(cluster.start())
    step("load")
    run.usual_load().wait_accepted(200)
    verdict = run.conclude()
    assert verdict.counts["resets"] == 0 and verdict.counts["received unconfirmed"] == 0
    assert verdict.counts["received and looked up"] > 20
    assert verdict.counts["joined again"] == 0
    # The same histories with one event taken away, one given twice, and one place that was told otherwise.
    assert {"lost", "gap"} <= spoilt(run, lambda entries, at: entries[:at] + entries[at + 1 :])
    assert "duplicate" in spoilt(run, lambda entries, at: [*entries[: at + 1], *entries[at:]])
    assert {"partial", "gap", "moved"} & spoilt(run, moved_by_one)


def moved_by_one(entries: list[Any], at: int) -> list[Any]:
    further = Place(entries[at].place.epoch, entries[at].place.offset + 1)
    return [*entries[:at], dataclasses.replace(entries[at], place=further), *entries[at + 1 :]]


def spoilt(run, change: Callable[[list[Any], int], list[Any]]) -> set[str]:
    """What the checker finds when an acknowledged event in one session's history is changed."""
    told = {entry.id for entry in run.publishers[0].history.entries if isinstance(entry, Told)}
    session = run.random.choice(run.subscribers).history
    places = [
        index for index, entry in enumerate(session.entries) if isinstance(entry, Received) and entry.id in told
    ]
    changed = SessionHistory(session.name, session.channels, change(session.entries, run.random.choice(places[1:-1])))
    return check([publisher.history for publisher in run.publishers], [changed]).kinds


# ---- A gateway that is stopped


@pytest.mark.fault(3)
@pytest.mark.parametrize("seconds", [2, pytest.param(10, marks=pytest.mark.nightly)])
def test_stopped_gateway_catches_up_and_nobody_else_notices(seconds: int, cluster, make_run, step) -> None:
    run = make_run(cluster.start(gateways=2))
    stopped, other = cluster.gateways
    run.subscribe(stopped, count=3)
    bystanders = run.subscribe(other, count=2)
    run.subscribe(other, looks=True)
    run.publish_acked(80)
    run.publish_fire(20)
    run.publish_http(5, other)
    run.warm_up().last_for(1)
    began = time.monotonic()
    step(f"a gateway is stopped for {seconds} s")
    stopped.pause()
    run.last_for(seconds)
    stopped.resume()
    healed = time.monotonic()
    run.last_for(1)
    verdict = run.conclude()
    assert verdict.counts["resets"] == 0, "history reaches back: replay repairs everything"
    for session in bystanders:
        assert session.connections == 1
        late = run.latencies(session, began, healed)
        assert percentile(late, 99) < BYSTANDER_S, f"{session.name}: {late[-5:]}"


@pytest.mark.fault(3)
def test_gateway_stopped_for_longer_than_history_reaches_tells_its_sessions(
    cluster, make_run, step, seed, request
) -> None:
    proxies = {link: TcpProxy((cluster.broker.address, port), seed) for link, port in cluster.ports.items()}
    request.addfinalizer(lambda: [proxy.stop() for proxy in proxies.values()])
    cluster.start_redis()
    cluster.add_gateway(link=cluster.link_flags(ports={link: proxy.port for link, proxy in proxies.items()}))
    run = make_run(cluster.start(gateways=2, broker_flags=["--broker-history-events-max", "32"]))
    stopped, other = cluster.gateways
    patient = run.subscribe(stopped, stopped, count=2)  # they come back to the same one
    run.subscribe(other, looks=True)
    run.publish_acked(100)
    run.warm_up()
    step("a gateway is stopped until history is overrun")
    stopped.pause()
    # What is sent to it meanwhile is lost: buffers in between would still hold it for a process so small and slow.
    for proxy in proxies.values():
        proxy.swallows = True
    run.wait_accepted(64 * len(ROOMS))
    for proxy in proxies.values():
        proxy.cut()
        proxy.swallows = False
    stopped.resume()
    run.last_for(0.5)
    verdict = run.conclude()
    resets = [entry for session in patient for entry in session.history.entries if isinstance(entry, Reset)]
    assert {entry.reason for entry in resets} == {"history"}
    assert verdict.counts["covered by a reset"] > 0


# ---- A broker that is killed, restarted, stopped


@pytest.mark.fault(12)
@pytest.mark.parametrize("rounds", [3, pytest.param(25, marks=pytest.mark.nightly)])
def test_broker_killed_at_random_moments_loses_nothing_without_a_word(rounds: int, cluster, make_run, step) -> None:
    run = make_run(cluster.start())
    run.usual_load()
    for number in range(1, rounds + 1):
        run.last_for(run.random.uniform(0.05, 1.0))
        step(f"the broker is killed, {number} of {rounds}")
        cluster.broker.kill()
        run.last_for(run.random.uniform(0.0, 0.8))
        cluster.broker.start()
        run.wait_accepted(20)
    verdict = run.conclude()
    assert verdict.counts["resets (epoch)"] + verdict.counts["resets (unconfirmed)"] > 0
    run.check_purged(broker_died=True)


def check_cache_epoch(how: str, before: bytes | None, after: bytes | None, run) -> None:
    """After a crash every cached entry is worth nothing, and that before anybody is told to refetch; a broker that
    stopped in good order owes the cache nothing."""
    if how == "terminated":
        assert before == after
        return
    assert after and int(after) > int(before or 0), "the cache's epoch was raised"
    raised_at = int(after) / 1e6 - time.time() + time.monotonic()  # Redis' clock is this machine's
    first = min(
        entry.at
        for session in run.subscribers
        for entry in session.history.entries
        if isinstance(entry, Reset) and entry.reason != "unconfirmed"
    )
    assert raised_at <= first, f"somebody was reset {raised_at - first:.3f} s before the caches were flushed"


@pytest.mark.fault(14)
@pytest.mark.parametrize("how", ["terminated", "killed"])
def test_restarted_broker_is_one_reset_per_channel(how: str, cluster, make_run, step) -> None:
    run = make_run(cluster.start())
    run.usual_load(sessions=4).wait_accepted(50)
    epochs = {channel: place.epoch for channel, place in run.subscribers[0].places.items()}
    bumped = cluster.redis.client.get("fw:epoch")
    step(f"the broker is {how} and started again")
    cluster.broker.now.stop() if how == "terminated" else cluster.broker.kill()
    cluster.broker.start()
    run.wait_accepted(50)
    verdict = run.conclude()
    check_cache_epoch(how, bumped, cluster.redis.client.get("fw:epoch"), run)
    for session in run.subscribers:
        for channel in ROOMS:
            resets = [
                entry
                for entry in session.history.entries
                if isinstance(entry, Reset) and entry.channel == channel
            ]
            assert len(resets) == 1, f"{session.name} {channel}: {resets}"
            assert resets[0].place.epoch != epochs[channel]
    assert verdict.counts["joined again"] == 0, "sessions stay connected while the broker is away"


@pytest.mark.nightly
@pytest.mark.fault(29)
@pytest.mark.fault(4)
@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_broker_that_stands_still_for_five_seconds_forgets_nobody(how: str, cluster, make_run, step) -> None:
    run = make_run(cluster.start())
    run.usual_load()
    broker = cluster.broker.now.process.pid
    step(f"the broker is {how} for 5 s")
    if how == "stopped":
        cluster.broker.pause()
        run.last_for(5)
        cluster.broker.resume()
    else:
        with frozen([broker]):
            run.last_for(5)
    healed = time.monotonic()
    run.wait_accepted(100)
    verdict = run.conclude()
    assert verdict.counts["resets"] == 0, "it is the same broker with the same history"
    assert time.monotonic() - healed < 20
    wait_for(lambda: cluster.broker.metric("freshwire_broker_gateways") == 2, "both gateways are back")
    wait_for(lambda: cluster.broker.metric("freshwire_broker_workers") == 4, "all purge threads are back")


# ---- Workers


@pytest.mark.fault(15)
@pytest.mark.parametrize("rounds", [4, pytest.param(30, marks=pytest.mark.nightly)])
def test_worker_killed_between_purge_and_answer_is_replaced_by_another(rounds: int, cluster, make_run, step) -> None:
    cluster.start_redis()
    # The answer comes 30 ms after the purge: most kills fall in between.
    for _ in range(2):
        cluster.add_worker("--worker-delay", "30ms")
    run = make_run(cluster.start(broker_flags=["--broker-barrier-timeout", "20s"]))
    run.usual_load()
    for number in range(1, rounds + 1):
        victim = cluster.workers[number % 2]
        run.last_for(run.random.uniform(0.05, 0.4))
        step(f"{victim.name} is killed, {number} of {rounds}")
        victim.kill()
        run.wait_accepted(20)
        victim.start().ready()
    verdict = run.conclude()
    assert verdict.counts["received unconfirmed"] == 0, "the other worker did it in time"
    assert verdict.counts["resets"] == 0


@pytest.mark.nightly
@pytest.mark.fault(16)
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_without_any_worker_events_come_flagged_and_are_purged_later(how: str, cluster, make_run, step) -> None:
    run = make_run(cluster.start())
    run.usual_load()
    seconds = 10 if how == "killed" else 4
    step(f"all workers are {how} for {seconds} s")
    for worker in cluster.workers:
        worker.kill() if how == "killed" else worker.pause()
    away = time.monotonic()
    run.last_for(seconds)
    back = time.monotonic()
    for worker in cluster.workers:
        worker.start() if how == "killed" else worker.resume()
    for worker in cluster.workers:
        worker.ready()
    wait_for(lambda: cluster.broker.metric("freshwire_broker_jobs_open") < 50, "the backlog is purged")
    run.last_for(1)
    verdict = run.conclude()
    assert verdict.counts["received unconfirmed"] > 0
    assert verdict.counts["resets"] == 0
    # Whatever waits for a purge is held for half a second, and with it what comes after it in its channels.
    late = run.latencies(run.subscribers[1], away, back - 1)
    assert percentile(late, 99) < BARRIER_S + SLACK_S, late[-5:]
    run.check_purged()


# ---- Rolling restarts


@pytest.mark.parametrize("rounds", [1, pytest.param(5, marks=pytest.mark.nightly)])
def test_workers_and_gateways_are_restarted_one_by_one_and_nobody_misses_an_event(
    rounds: int, cluster, make_run, step
) -> None:
    run = make_run(cluster.start(workers=2, gateways=2))
    run.usual_load(sessions=8)
    for number in range(rounds):
        for role in [*cluster.workers, *cluster.gateways]:
            step(f"{role.name} is restarted, round {number + 1} of {rounds}")
            role.restart()
            role.ready()
            run.wait_accepted(30)
    verdict = run.conclude()
    assert verdict.counts["resets"] == 0
    assert verdict.counts["received unconfirmed"] == 0
    assert verdict.counts["joined again"] >= len(run.subscribers) * len(ROOMS)
    failed = [told for publisher in run.publishers for told in publisher.history.entries if is_unknown(told)]
    assert not failed


# ---- Publishers


@pytest.mark.fault(24)
def test_publisher_killed_in_the_middle_sends_everything_again(cluster, make_run, step, tmp_path) -> None:
    """An outbox that is worked off twice: what had come is a duplicate, and nothing is there twice."""
    count = int(os.environ.get("FRESHWIRE_FAULT_EVENTS", "3000"))
    run = make_run(cluster.start())
    run.subscribe(count=2)
    run.subscribe(looks=True)
    publisher = Outbox(run, count, tmp_path)
    step(f"a service with {count} events is killed in the middle")
    first = publisher.start(cluster.publish_endpoint)
    wait_for(lambda: publisher.answers() >= count // 3, "a third is acknowledged")
    first.kill()
    first.wait()
    known = publisher.answers()
    assert known < count
    step("and sends everything again")
    second = publisher.start(cluster.publish_endpoint)
    assert second.wait(60) == 0
    publisher.read()
    verdict = run.conclude()
    assert verdict.counts["told duplicate"] >= known - 1
    for session in run.subscribers:
        received = [entry for entry in session.history.entries if isinstance(entry, Received)]
        assert len(received) == count + len(ROOMS), "each once, and the last marks"


@pytest.mark.fault(34)
def test_storm_of_signals_on_every_thread_stops_no_actor(cluster, make_run, step) -> None:
    run = make_run(cluster.start())
    run.usual_load()
    numbers = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD, signal.SIGPROF, signal.SIGURG, signal.SIGPIPE]
    step("a storm of signals on every thread for 3 s")
    ends = time.monotonic() + 3
    sent = 0
    while time.monotonic() < ends:
        for role in cluster.roles:
            for thread in role.threads():
                tgkill(role.now.process.pid, thread, run.random.choice(numbers))
                sent += 1
        assert all(role.now.running() for role in cluster.roles), "a signal has ended a role"
        time.sleep(0.001)
    verdict = run.conclude()
    assert sent > 1000
    assert verdict.counts["resets"] == 0 and verdict.counts["joined again"] == 0


@pytest.mark.nightly
@pytest.mark.fault(38)
def test_two_gateways_of_one_name_do_not_disturb_each_other(cluster, make_run, step) -> None:
    """Names are for logs; identity is the incarnation. On two hosts both would even have the same process id."""
    cluster.start_redis()
    same = {"HOSTNAME": "gateway-0"}
    for _ in range(2):
        cluster.add_gateway().env.update(same)
    run = make_run(cluster.start())
    run.usual_load().wait_accepted(100)
    assert cluster.broker.metric("freshwire_broker_gateways") == 2
    assert run.conclude().counts["resets"] == 0
