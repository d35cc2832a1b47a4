# SPDX-License-Identifier: MPL-2.0
"""A Redis that pauses, sleeps, dies, is full, cannot write, or forgets: events come in time, flagged where the purge is
not confirmed, and what was owed is purged in the end."""

from __future__ import annotations

import time

import pytest
import redis

from stack import wait_for

from harness.history import Received
from harness.run import percentile

BARRIER_S = 0.5
SLACK_S = 1.0


def check_in_time(run, began: float, ended: float) -> None:
    """Nothing is held for longer than the barrier, whatever Redis does."""
    late = run.latencies(run.subscribers[1], began, ended)
    assert percentile(late, 99) < BARRIER_S + SLACK_S, late[-5:]


def flagged_between(run, began: float, ended: float) -> int:
    return sum(
        isinstance(entry, Received) and entry.unconfirmed and began <= entry.at <= ended
        for entry in run.subscribers[1].history.entries
    )


def check_confirmed_again(run, since: float) -> None:
    """After the fault purges are confirmed again, at once and for good."""
    wait_for(lambda: flagged_between(run, time.monotonic() - 1, time.monotonic()) == 0, "nothing is flagged", 20)
    healed = time.monotonic()
    run.last_for(1)
    assert flagged_between(run, healed, time.monotonic()) == 0
    assert healed - since < 15, f"it took {healed - since:.1f} s"


@pytest.mark.nightly
@pytest.mark.fault(17)
@pytest.mark.parametrize("how", ["CLIENT PAUSE 3000", "DEBUG SLEEP 3", "SIGSTOP 3 s"])
def test_redis_that_pauses_flags_and_is_caught_up_with(how: str, cluster, make_run, step) -> None:
    cluster.start_redis("--enable-debug-command", "local")
    run = make_run(cluster.start())
    run.usual_load()
    step(how)
    began = time.monotonic()
    if how.startswith("CLIENT"):
        cluster.redis.client.execute_command("CLIENT", "PAUSE", "3000", "ALL")
    elif how.startswith("DEBUG"):
        sleeper = redis.Redis(port=cluster.redis.port, socket_timeout=10)
        sleeper.execute_command("DEBUG", "SLEEP", "3")
    else:
        cluster.redis.pause()
    run.last_for(max(0.0, began + 3 - time.monotonic()))
    cluster.redis.resume()
    ended = time.monotonic()
    check_confirmed_again(run, ended)
    verdict = run.conclude()
    assert verdict.counts["received unconfirmed"] > 0 and verdict.counts["resets"] == 0
    check_in_time(run, began, ended)
    run.check_purged()


@pytest.mark.fault(17)
@pytest.mark.parametrize("seconds", [0.0, pytest.param(3.0, marks=pytest.mark.nightly)])
def test_redis_that_dies_and_comes_back_empty(seconds: float, cluster, make_run, step) -> None:
    run = make_run(cluster.start())
    run.usual_load()
    step(f"Redis is killed and comes back after {seconds:g} s")
    began = time.monotonic()
    cluster.redis.kill()
    run.last_for(seconds)
    cluster.redis.start()
    ended = time.monotonic()
    check_confirmed_again(run, ended)
    verdict = run.conclude()
    assert verdict.counts["resets"] == 0
    check_in_time(run, began, ended)
    run.check_purged()


@pytest.mark.fault(17)
def test_redis_without_memory_is_purged_all_the_same(cluster, make_run, step) -> None:
    """A stamp that cannot be raised for want of memory is removed, which invalidates as well."""
    run = make_run(cluster.start())
    run.usual_load()
    client = cluster.redis.client
    step("Redis is out of memory: maxmemory, noeviction")
    began = time.monotonic()
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", 1)
    with pytest.raises(redis.RedisError, match="OOM"):
        client.set("one", "more")
    run.last_for(3)
    client.config_set("maxmemory", 0)
    ended = time.monotonic()
    verdict = run.conclude()
    looked_up = [
        entry
        for entry in run.subscribers[0].history.entries
        if isinstance(entry, Received) and entry.purged and began <= entry.at <= ended
    ]
    assert len(looked_up) > 20, "there were copies to purge while there was no memory"
    assert verdict.counts["received unconfirmed"] == 0 and verdict.counts["resets"] == 0
    run.check_purged()


@pytest.mark.nightly
@pytest.mark.fault(17)
def test_redis_that_cannot_write_to_its_disk_is_flagged(cluster, make_run, step) -> None:
    """MISCONF: after a snapshot that failed, Redis refuses every write."""
    cluster.start_redis("--enable-protected-configs", "yes")
    run = make_run(cluster.start())
    run.usual_load()
    client = cluster.redis.client
    step("Redis cannot write its snapshot: MISCONF")
    began = time.monotonic()
    nowhere = cluster.folder / "nowhere"
    nowhere.mkdir()
    client.config_set("dir", str(nowhere))
    nowhere.rmdir()
    client.config_set("save", "3600 100000")
    client.bgsave()

    def refuses() -> bool:
        try:
            client.set("one", "more")
        except redis.RedisError as error:
            return "MISCONF" in str(error)
        return False

    wait_for(refuses, "Redis refuses writes")
    run.last_for(2)
    client.config_set("save", "")
    client.config_set("stop-writes-on-bgsave-error", "no")
    ended = time.monotonic()
    check_confirmed_again(run, ended)
    verdict = run.conclude()
    assert verdict.counts["received unconfirmed"] > 0 and verdict.counts["resets"] == 0
    assert cluster.workers[0].now.running() and cluster.workers[1].now.running()
    check_in_time(run, began, ended)
    run.check_purged()


@pytest.mark.nightly
@pytest.mark.fault(20)
@pytest.mark.parametrize("command", ["FLUSHALL", "SCRIPT FLUSH"])
def test_redis_that_forgets_its_keys_or_scripts_disturbs_nothing(command: str, cluster, make_run, step) -> None:
    run = make_run(cluster.start())
    run.usual_load()
    for number in range(1, 11):
        step(f"{command}, {number} of 10")
        cluster.redis.client.execute_command(*command.split())
        run.last_for(run.random.uniform(0.1, 0.3))
    verdict = run.conclude()
    assert verdict.counts["resets"] == 0
    assert verdict.counts["received unconfirmed"] == 0, "a script that is not there is loaded again at once"
    run.check_purged()


@pytest.mark.nightly
@pytest.mark.fault(17)
def test_redis_connections_that_are_killed_at_random(cluster, make_run, step) -> None:
    run = make_run(cluster.start())
    run.usual_load()
    step("connections of workers are killed for 10 s")
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        victims = [one for one in cluster.redis.client.client_list() if one["cmd"] != "client|list"]
        cluster.redis.client.client_kill_filter(_id=run.random.choice(victims)["id"])
        run.last_for(run.random.uniform(0.05, 0.4))
    verdict = run.conclude()
    assert verdict.counts["resets"] == 0
    run.check_purged()
