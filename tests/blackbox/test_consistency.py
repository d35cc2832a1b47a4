# SPDX-License-Identifier: MPL-2.0
"""S1 to S6 (history.py) on the real stack, while something goes wrong."""

from __future__ import annotations

import time
from typing import Iterator

import pytest

from stack import RedisServer, wait_for
from way import Way


def test_when_nothing_is_wrong(cluster, make_run) -> None:
    run = make_run(cluster.start()).start()
    run.last_for(3)
    verdict = run.conclude(calm=True, hits_min=0.25)
    assert verdict.looks > 300


def test_checker_catches_a_cache_as_it_is_usually_written(cluster, make_run) -> None:
    """The same stack, readers and checker, and a service whose cache knows nothing of leases, stamps and tokens."""
    run = make_run(cluster.start(), "--naive").start(ways=["by-key"])
    for _ in range(10):
        run.last_for(1)
        verdict = run.verdict()
        if any(violation.startswith("S1") for violation in verdict.violations):
            return
    pytest.fail(f"nothing was caught: {verdict}")


def audited(cluster) -> dict[str, float]:
    """What the first worker's auditor has counted."""
    metrics = cluster.workers[0].daemon.metrics()
    names = ("checked_total", "stale_total", "unjudged_total", "entries_total")
    return {name: metrics[f"freshwire_audit_{name}"] for name in names}


def test_the_auditor_finds_nothing_either(cluster, make_run) -> None:
    """Leases, purges and fills in every order: what is in flight must not be taken for stale."""
    cluster.start_redis()
    flags = ["--audit-enabled", "--audit-timescales=0s 200ms 2s", "--audit-rate=1000", "--audit-walk-rate=50000"]
    cluster.add_worker(*flags)
    cluster.add_worker()
    run = make_run(cluster.start()).start()
    run.last_for(4)
    wait_for(lambda: audited(cluster)["checked_total"] >= 100, "a hundred checks")
    found = audited(cluster)
    run.conclude(calm=True, hits_min=0.25)
    assert found["stale_total"] == 0, cluster.workers[0].daemon.log()
    assert found["entries_total"] > 0
    assert found["unjudged_total"] < found["checked_total"] / 10


def test_worker_is_killed_again_and_again(cluster, make_run) -> None:
    cluster.start_redis()
    for _ in range(2):
        cluster.add_worker("--worker-delay", "20ms")  # So that each has purges in its hands when it dies.
    run = make_run(cluster.start()).start()
    for _ in range(4):
        doomed = run.random.choice(cluster.workers)
        doomed.kill()
        run.last_for(run.random.uniform(0.1, 0.8))
        doomed.start().ready()
        run.last_for(0.5)
    run.conclude()


def test_redis_stands_still(cluster, make_run) -> None:
    cluster.start_redis("--enable-debug-command", "yes")
    run = make_run(cluster.start()).start()
    for how in ("SIGSTOP", "CLIENT PAUSE", "DEBUG SLEEP"):
        if how == "SIGSTOP":
            cluster.redis.pause()
            time.sleep(1)
            cluster.redis.resume()
        elif how == "DEBUG SLEEP":
            cluster.redis.client.execute_command("DEBUG", "SLEEP", 0.8)
        else:
            cluster.redis.client.execute_command("CLIENT", "PAUSE", 800, "ALL")
        run.last_for(1)
    run.conclude(hits_min=0.05)


def test_redis_evicts_and_forgets_its_scripts(cluster, make_run) -> None:
    run = make_run(cluster.start()).start()
    client = cluster.redis.client
    client.config_set("maxmemory-policy", "allkeys-random")
    for _ in range(6):
        client.script_flush()
        for number in range(200):
            client.set(f"filler:{number}", b"x" * 5000)
        used = int(client.info("memory")["used_memory"])
        client.config_set("maxmemory", max(1, used - 600_000))
        run.last_for(0.5)
        client.config_set("maxmemory", 0)
    assert int(client.info("stats")["evicted_keys"]) > 100
    run.conclude(hits_min=0.05)


def test_broker_is_restarted_in_good_order_and_killed(cluster, make_run) -> None:
    run = make_run(cluster.start()).start()
    cluster.broker.restart()
    run.last_for(2)
    cluster.broker.kill()
    run.last_for(0.5)
    cluster.broker.start().ready()
    run.last_for(2)
    run.conclude(hits_min=0.05)
    assert any(browser.resets for browser in run.browsers)


@pytest.mark.nightly
def test_every_worker_is_away_for_a_while(cluster, make_run) -> None:
    """Events are released unconfirmed, and their refetches go past the cache."""
    run = make_run(cluster.start()).start()
    for worker in cluster.workers:
        worker.pause()
    run.last_for(3)
    for worker in cluster.workers:
        worker.resume()
    run.last_for(2)
    assert any(heard.unconfirmed for heard in run.history.heard)
    run.conclude(hits_min=0.05)


@pytest.mark.nightly
def test_gateways_come_and_go(cluster, make_run) -> None:
    run = make_run(cluster.start()).start()
    for _ in range(3):
        doomed = run.random.choice(cluster.gateways)
        doomed.kill()
        run.last_for(0.7)
        doomed.start().ready()
        run.last_for(1)
    run.conclude()


@pytest.mark.nightly
def test_redis_is_lost_with_all_it_held(cluster, make_run) -> None:
    run = make_run(cluster.start()).start()
    for _ in range(2):
        cluster.redis.kill()
        run.last_for(0.7)
        cluster.redis.start()
        run.last_for(2)
    run.conclude(hits_min=0.05)


@pytest.mark.nightly
def test_stamps_come_from_a_clock_that_is_off(cluster, make_run) -> None:
    """As left behind by another Redis, before a failover: hours ahead, hours behind, and nonsense."""
    run = make_run(cluster.start()).start()
    client = cluster.redis.client
    for shift_s in (3600, -3600, 0, 86400):
        seconds, micros = client.time()
        for name in ("fw:epoch", "fw:t:registers", *(f"fw:t:register:{number}" for number in range(3))):
            client.set(name, (seconds + shift_s) * 1_000_000 + micros if shift_s else "nonsense", ex=1000)
        run.last_for(1)
    run.conclude(hits_min=0.05)


@pytest.fixture
def ways(cluster, seed) -> Iterator[tuple[Way, Way]]:
    """The workers' and the service's way to Redis. Everything but the service runs."""
    cluster.start_redis()
    made = (Way(cluster.redis.port, seed), Way(cluster.redis.port, seed))
    for _ in range(2):
        worker = cluster.add_worker()
        worker.flags[worker.flags.index("--worker-redis-url") + 1] = made[0].url
    cluster.start()
    yield made
    for way in made:
        way.stop()


@pytest.mark.nightly
def test_redis_is_slow_for_the_workers_and_then_for_the_service(cluster, ways, make_run) -> None:
    run = make_run(cluster, service_redis=ways[1].url).start()
    ways[0].delay_s = (0.005, 0.040)
    run.last_for(4)
    ways[0].delay_s, ways[1].delay_s = (0.0, 0.0), (0.0, 0.020)
    run.last_for(4)
    ways[1].delay_s = (0.0, 0.0)
    run.conclude(hits_min=0.05)


@pytest.mark.nightly
def test_way_to_redis_is_cut_and_swallows_everything(cluster, ways, make_run) -> None:
    run = make_run(cluster, service_redis=ways[1].url).start()
    for way in (*ways, *ways):
        way.swallow()
        run.last_for(1)
        way.let_through()
        run.last_for(0.3)
        for _ in range(3):
            way.cut()
            run.last_for(0.2)
    run.conclude(hits_min=0.05)


@pytest.mark.nightly
@pytest.mark.parametrize("then", ["more is written", "nobody writes any more"])
def test_failover_forgets_the_last_purges(cluster, ways, make_run, tmp_path, then: str) -> None:
    """A replica that has heard nothing for a while becomes the primary: entries that were purged are back, until the
    workers have purged them again."""
    (tmp_path / "replica").mkdir()
    replica = RedisServer(tmp_path / "replica", "--replicaof", "127.0.0.1", str(cluster.redis.port))
    try:
        wait_for(lambda: replica.client.info("replication")["master_link_status"] == "up", "the replica follows")
        run = make_run(cluster, service_redis=ways[1].url).start()
        run.last_for(1)
        replica.client.execute_command("REPLICAOF", "NO", "ONE")
        run.write_more(15)
        if then == "nobody writes any more":
            run.stop_writing()
        for way in ways:
            way.lead_to(replica.port)
        run.redis = replica.client
        run.last_for(2)
        run.conclude(hits_min=0.05)
    finally:
        replica.stop()


@pytest.mark.nightly
@pytest.mark.parametrize("turn", range(3))
def test_everything_at_random_for_half_a_minute(cluster, make_run, turn: int) -> None:
    run = make_run(cluster.start()).start()
    ends = time.monotonic() + 25
    while time.monotonic() < ends:
        what = run.random.choice(["worker", "gateway", "pause", "scripts", "evict", "broker"])
        print(f"+{time.monotonic() - run.began:.1f} s: {what}")
        if what in ("worker", "gateway", "broker"):
            roles = {"worker": cluster.workers, "gateway": cluster.gateways, "broker": [cluster.broker]}[what]
            role = run.random.choice(roles)
            role.kill()
            run.last_for(run.random.uniform(0, 0.5))
            role.start().ready()
        elif what == "pause":
            cluster.redis.pause()
            run.last_for(run.random.uniform(0.1, 1.0))
            cluster.redis.resume()
        elif what == "scripts":
            cluster.redis.client.script_flush()
        else:
            keys = list(cluster.redis.client.scan_iter("fw:*"))
            for key in run.random.sample(keys, len(keys) // 2):
                cluster.redis.client.delete(key)
        run.last_for(run.random.uniform(0.2, 1.5))
    wait_for(lambda: all(browser.connected for browser in run.browsers), "every browser is back", 30)
    run.conclude(hits_min=0.03)
