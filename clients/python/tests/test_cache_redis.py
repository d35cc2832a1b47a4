# SPDX-License-Identifier: MPL-2.0
"""The cache on a real redis-server, from asyncio and from threads."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from datetime import timedelta

import pytest
from redis_model import RedisModel
from redis_server import RedisServer

from freshwire.cache import BYPASS, Cache, CacheError, Status, _entry, bypass, request_cache
from freshwire.cache._algorithm import Get, Head, Script, Time, Unlink
from freshwire.cache._redis import SyncRedis


@pytest.fixture(scope="module")
def server():
    server = RedisServer()
    yield server
    server.remove()


@pytest.fixture
def cache(server):
    server.client().flushall()
    cache = Cache(server.url, wait=0.3)
    yield cache
    cache.close_sync()


class Loader:
    """Counts its calls; returns what it is told to."""

    def __init__(self, value=1):
        self.value = value
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return self.value

    async def later(self):
        return self()


# ---- Redis fails: requests do not


def test_without_redis_every_read_loads_and_none_fails():
    cache = Cache("unix:///nonexistent/socket")
    loader = Loader()
    for _ in range(10):
        assert cache.read_sync("k", ["t"], loader).value == 1
    assert loader.calls == 10
    assert cache.stats().redis_failures == 10
    with pytest.raises(CacheError):
        cache.purge_sync(tags=["t"])


def test_redis_that_hangs_costs_a_few_timeouts_and_then_none(server, cache):
    slow = Cache(server.url, timeout=0.1)
    server.pause()
    try:
        started = time.monotonic()
        for _ in range(50):
            assert slow.get_or_load_sync("k", ["t"], Loader(7)) == 7
        assert time.monotonic() - started < 2.5
    finally:
        server.resume()
    deadline = time.monotonic() + 10
    while not slow.read_sync("k", ["t"], Loader(7)).stored:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    slow.close_sync()


def test_value_that_is_no_entry_is_replaced(server, cache):
    for foreign in (b"", b"CWE1", b"x" * 100, b"CWE1" + b"\xff" * 60):
        server.client().set("fw:c:k", foreign)
        assert cache.read_sync("k", ["t"], Loader(1)).stored
        assert cache.read_sync("k", ["t"], Loader(2)).status is Status.HIT
    server.client().delete("fw:c:k")
    server.client().lpush("fw:c:k", "of another type")
    outcome = cache.read_sync("k", ["t"], Loader(5))
    assert (outcome.value, outcome.stored) == (5, False)


def test_loader_that_raises_gives_the_lease_back_at_once(server, cache):
    def fail():
        assert server.client().get("fw:c:k").startswith(b"CWL1")
        raise KeyError("no such row")

    with pytest.raises(KeyError, match="no such row"):
        cache.get_or_load_sync("k", ["t"], fail)
    assert server.client().get("fw:c:k") is None


def test_cancelled_load_gives_the_lease_back(server, cache):
    async def scenario():
        loading = asyncio.Event()

        async def hang():
            loading.set()
            await asyncio.sleep(60)

        task = asyncio.create_task(cache.get_or_load("k", ["t"], hang))
        await loading.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await cache.close()

    asyncio.run(scenario())
    assert server.client().get("fw:c:k") is None


async def slow_way_to(server, path):
    """A socket in front of Redis whose replies come 20 ms late."""

    async def serve(reader, writer):
        redis_reader, redis_writer = await asyncio.open_unix_connection(server.socket_path)

        async def forward(source, target, delay):
            while data := await source.read(65536):
                await asyncio.sleep(delay)
                target.write(data)
            target.close()

        await asyncio.gather(forward(reader, redis_writer, 0), forward(redis_reader, writer, 0.02))

    return await asyncio.start_unix_server(serve, path)


def test_cancelled_reader_never_hands_its_reply_to_another(server, tmp_path):
    """A request that ends between a command and its reply: the next one must not get that reply."""
    server.client().flushall()
    path = str(tmp_path / "slow")

    async def scenario():
        proxy = await slow_way_to(server, path)
        cache = Cache(f"unix://{path}", timeout=2)
        for user in ("ada", "grace"):
            await cache.get_or_load(user, [], Loader(f"secret of {user}").later)
        for _ in range(10):
            task = asyncio.create_task(cache.get_or_load("ada", [], Loader().later))
            await asyncio.sleep(0.005)  # The command is on its way, its reply is not here yet.
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            got = await cache.get_or_load("grace", [], Loader("loaded").later)
            assert got == "secret of grace"
        await cache.close()
        proxy.close()

    asyncio.run(scenario())


def test_server_that_lost_its_scripts_is_given_them_again(server, cache):
    assert cache.read_sync("k", ["t"], Loader()).stored
    server.client().script_flush()
    cache.purge_sync(tags=["t"])
    server.client().script_flush()
    assert cache.read_sync("k", ["t"], Loader()).stored

    async def again():
        server.client().script_flush()
        outcome = await cache.read("other", ["t"], Loader().later)
        await cache.close()
        return outcome

    assert asyncio.run(again()).stored
    assert cache.stats().redis_failures == 0


def test_scripts_given_again_keep_the_order_of_commands(server, cache):
    """A token read before the purge would be too old."""
    for _ in range(20):
        server.client().script_flush()
        purged = cache.purge_sync(tags=["t"])
        assert purged.stamps["t"] <= purged.fresh


def test_value_that_would_come_back_changed_is_an_error_and_leaves_no_lease(server, cache):
    class Row(dict):
        pass

    with pytest.raises(TypeError, match="Row cannot be cached"):
        cache.read_sync("k", ["t"], Loader(Row(a=1)))
    assert server.client().get("fw:c:k") is None
    assert cache.read_sync("k", ["t"], Loader()).stored


def test_value_that_is_too_large_is_served_but_not_stored(server, caplog):
    small = Cache(server.url, payload_size_max=100)
    outcome = small.read_sync("large", ["t"], Loader(2**64))
    assert (outcome.value, outcome.stored) == (2**64, False)
    assert "more than 64 bits" in caplog.text
    assert server.client().get("fw:c:large") is None  # And no lease is left behind.
    small.close_sync()


def test_arguments_that_cannot_work_are_refused(cache):
    with pytest.raises(TypeError, match="list of texts"):
        cache.read_sync("k", "projects", Loader())
    with pytest.raises(ValueError, match="1 to 256 bytes"):
        cache.read_sync("k", [""], Loader())
    with pytest.raises(ValueError, match="zero byte"):
        cache.read_sync("k", ["a\0b"], Loader())
    with pytest.raises(ValueError, match="at most 64 tags"):
        cache.read_sync("k", [str(number) for number in range(65)], Loader())
    with pytest.raises(ValueError, match="stamp_ttl"):
        cache.read_sync("k", [], Loader(), ttl=24 * 60 * 60)
    with pytest.raises(ValueError, match="stamp_ttl"):
        Cache(ttl=0)
    with pytest.raises(ValueError, match="Redis URL"):
        Cache("http://127.0.0.1")


# ---- reading and invalidating


def test_second_read_is_a_hit_until_its_tag_is_purged(cache):
    loader = Loader({"id": 1, "names": ["a", "é"]})
    assert cache.read_sync("k", ["a", "b"], loader).status is Status.MISS
    assert (
        cache.read_sync("k", ["b", "a"], loader).status is Status.HIT
    )  # The order does not matter.
    assert cache.get_or_load_sync("k", ["a", "b"], loader) == {"id": 1, "names": ["a", "é"]}
    assert loader.calls == 1
    purged = cache.purge_sync(tags=["b"])
    assert abs(purged.fresh / 1e6 - time.time()) < 60
    assert purged.stamps["b"] <= purged.fresh
    assert cache.read_sync("k", ["a", "b"], loader).status is Status.MISS
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.stored, stats.not_stored) == (2, 2, 2, 0)


def test_entry_with_other_tags_than_the_reader_names_is_a_miss(cache):
    cache.read_sync("k", ["a"], Loader())
    assert cache.read_sync("k", ["a", "b"], Loader()).status is Status.MISS
    assert cache.read_sync("k", [], Loader()).status is Status.MISS


def test_exact_key_is_purged_by_the_name_it_has_in_the_cache(cache):
    cache.read_sync("project:1", ["t"], Loader())
    assert cache.purge_sync(keys=["project:1", "absent"]).keys_removed == 1
    assert cache.read_sync("project:1", ["t"], Loader()).status is Status.MISS
    invalidate = cache.invalidation(keys="project:1", tags=["t"], patterns="old:*")
    assert invalidate.keys == ("fw:c:project:1",)
    assert (invalidate.tags, invalidate.patterns) == (("t",), ("old:*",))


def test_nothing_is_kept_as_long_as_one_says(server, cache):
    loader = Loader(None)
    assert cache.read_sync("short", ["t"], loader, negative_ttl=5).stored
    assert cache.read_sync("short", ["t"], loader, negative_ttl=5).status is Status.HIT
    assert 0 < server.client().ttl("fw:c:short") <= 5
    outcome = cache.read_sync("never", ["t"], loader, negative_ttl=0)
    assert (outcome.value, outcome.stored) == (None, False)
    assert server.client().get("fw:c:never") is None
    cache.read_sync("full", ["t"], Loader("something"), negative_ttl=0)
    assert server.client().ttl("fw:c:full") > 200
    careful = Cache(server.url, negative_ttl=timedelta(seconds=7))

    @careful.cached(key="row:{id}", tags=["row:{id}"])
    def row(id: int) -> dict | None:
        return None

    row(1)
    assert 0 < server.client().ttl("fw:c:row:1") <= 7
    cache.read_sync("bounded", ["t"], loader, ttl=10, negative_ttl=24 * 60 * 60)
    assert 0 < server.client().ttl("fw:c:bounded") <= 10
    cache.read_sync("default", ["t"], loader)
    assert 0 < server.client().ttl("fw:c:default") <= 30
    careful.close_sync()


def test_keys_of_a_registered_prefix_are_purged_at_once(server, cache):
    named = Cache(server.url, prefixes=["users:", "users:1"])
    for key in ("users:1", "users:2", "teams:1"):
        named.read_sync(key, ["t"], Loader("old"))
    tags = [tag for tag, _ in _entry.decode(server.client().get("fw:c:users:1")).stamps]
    assert tags == ["", "t", "users:*", "users:1*"]
    cache.purge_sync(tags=["users:*"])  # As a worker does, who knows of no prefixes.
    statuses = [named.read_sync(key, ["t"], Loader()).status for key in ("users:1", "teams:1")]
    assert statuses == [Status.MISS, Status.HIT]
    for wrong in ([""], ["x" * 256], "users:", [str(number) for number in range(17)]):
        with pytest.raises(ValueError):
            Cache(server.url, prefixes=wrong)
    named.close_sync()


# ---- caches inside caches


def test_value_made_of_cached_values_must_carry_their_tags(cache, caplog):
    def inner():
        return cache.get_or_load_sync("inner", ["row:1"], Loader("old"))

    outcome = cache.read_sync("outer", ["rows"], inner)
    assert (outcome.value, outcome.stored) == ("old", False)
    assert "row:1" in outcome.reason
    assert "outer: cannot be cached: it was made of cached values with the tags ['row:1']" in (
        caplog.text
    )
    assert cache.read_sync("outer", ["rows", "row:1"], inner).stored


def test_value_made_of_older_values_is_as_old_as_they_are(server, cache):
    cache.read_sync("inner", ["t"], Loader("old"))
    seconds, microseconds = server.client().time()
    token = seconds * 1_000_000 + microseconds  # Of a purge that a failover lost.

    def made_of(fresh):
        return lambda: cache.get_or_load_sync("inner", ["t"], Loader("new"), fresh=fresh)

    assert cache.read_sync("outer", ["t"], made_of(0)).value == "old"
    outcome = cache.read_sync("outer", ["t"], made_of(token), fresh=token)
    assert (outcome.value, outcome.status) == ("new", Status.STALE_REJECTED)


def test_value_made_of_what_may_lack_commits_is_not_stored(cache):
    def inner():
        return cache.read_sync("inner", ["t"], Loader(), store=False).value

    assert not cache.read_sync("outer", ["t"], inner).stored


def test_bypass_is_for_its_block_and_those_below(cache):
    cache.read_sync("k", ["t"], Loader("old"))

    async def scenario():
        with bypass():
            found = await asyncio.gather(cache.get_or_load("k", ["t"], Loader("new").later))
        await cache.close()
        return found

    assert asyncio.run(scenario()) == ["new"]
    with bypass():
        assert cache.get_or_load_sync("k", ["t"], Loader("newer")) == "newer"
    assert cache.get_or_load_sync("k", ["t"], Loader("newest")) == "newer"


def test_none_and_empty_results_are_cached_too(cache):
    for key, value in (("none", None), ("list", []), ("zero", 0)):
        assert cache.read_sync(key, ["t"], Loader(value)).stored
        outcome = cache.read_sync(key, ["t"], Loader("other"))
        assert (outcome.value, outcome.status) == (value, Status.HIT)


def test_purge_during_the_load_keeps_the_old_value_out(server, cache):
    def load_while_purged():
        cache.purge_sync(tags=["t"])
        return "old"

    assert cache.get_or_load_sync("k", ["t"], load_while_purged) == "old"
    assert cache.read_sync("k", ["t"], Loader("new")).value == "new"

    def load_while_unlinked():
        cache.purge_sync(keys=["k2"])
        return "old"

    outcome = cache.read_sync("k2", ["t"], load_while_unlinked)
    assert (outcome.stored, outcome.reason) == (False, "purged while it was loaded")
    assert cache.read_sync("k2", ["t"], Loader("new")).value == "new"


def test_token_rejects_what_was_filled_before_it(server, cache):
    cache.read_sync("k", ["t"], Loader("old"))
    seconds, microseconds = server.client().time()
    token = seconds * 1_000_000 + microseconds  # The purge itself was lost: nothing else tells.
    outcome = cache.read_sync("k", ["t"], Loader("new"), fresh=token)
    assert (outcome.value, outcome.status, outcome.stored) == ("new", Status.STALE_REJECTED, True)
    assert cache.read_sync("k", ["t"], Loader(), fresh=token).status is Status.HIT
    assert cache.read_sync("k", ["t"], Loader(), fresh=str(token)).value == "new"


def test_margin_widens_the_token(server, cache):
    careful = Cache(server.url, margin=5)
    seconds, _ = server.client().time()
    careful.read_sync("k", ["t"], Loader("old"))
    outcome = careful.read_sync("k", ["t"], Loader("new"), fresh=(seconds - 3) * 1_000_000)
    assert outcome.status is Status.STALE_REJECTED
    careful.close_sync()


def test_bypass_loads_although_there_is_an_entry_and_replaces_it(cache):
    cache.read_sync("k", ["t"], Loader("old"))
    outcome = cache.read_sync("k", ["t"], Loader("new"), fresh=BYPASS)
    assert (outcome.value, outcome.status, outcome.stored) == ("new", Status.BYPASS, True)
    outcome = cache.read_sync("k", ["t"], Loader("x"))
    assert (outcome.value, outcome.status) == ("new", Status.HIT)


def test_request_context_brings_the_token_and_records_reads(cache):
    cache.read_sync("k", ["t"], Loader("old"))
    with request_cache(BYPASS) as request:
        assert cache.get_or_load_sync("k", ["t"], Loader("new")) == "new"
        assert request.status is Status.BYPASS
    with request_cache() as request:
        cache.get_or_load_sync("k", ["t"], Loader())
        assert request.status is Status.HIT
        cache.get_or_load_sync("k2", ["t"], Loader())
        assert request.status is Status.MISS


def test_read_that_may_not_store_uses_the_cache_but_leaves_it_alone(server, cache):
    outcome = cache.read_sync("k", ["t"], Loader(), store=False)
    assert not outcome.stored
    assert server.client().get("fw:c:k") is None
    cache.read_sync("k", ["t"], Loader())
    assert cache.read_sync("k", ["t"], Loader(), store=False).status is Status.HIT


def test_hold_off_serves_without_storing_while_loads_may_lag(server, cache):
    careful = Cache(server.url, hold_off=0.2)
    careful.purge_sync(tags=["t"])
    outcome = careful.read_sync("k", ["t"], Loader("maybe old"))
    assert (outcome.stored, outcome.reason) == (False, "invalidated too recently")
    assert server.client().get("fw:c:k") is None
    time.sleep(0.25)
    assert careful.read_sync("k", ["t"], Loader("new")).stored
    careful.close_sync()


def test_evicted_stamp_is_a_miss_and_never_fits_an_old_entry(server, cache):
    cache.read_sync("k", ["t"], Loader("old"))
    server.client().delete("fw:t:t")
    assert cache.read_sync("k", ["t"], Loader("new")).value == "new"


def test_epoch_ends_every_entry_of_its_namespace_at_once(server, cache):
    other = Cache(server.url, namespace="other")
    for key in ("one", "two"):
        cache.read_sync(key, [], Loader("old"))
    cache.read_sync("tagged", ["t"], Loader("old"))
    other.read_sync("one", [], Loader("theirs"))
    before = int(server.client().get("fw:epoch"))
    purged = cache.flush_sync()
    assert before < purged.stamps[""] <= purged.fresh
    for key, tags in (("one", []), ("two", []), ("tagged", ["t"])):
        assert cache.read_sync(key, tags, Loader("new")).value == "new"
        assert cache.read_sync(key, tags, Loader()).status is Status.HIT
    assert other.read_sync("one", [], Loader()).value == "theirs"

    def load_while_flushed():
        cache.flush_sync()
        return "old"

    assert cache.get_or_load_sync("k", [], load_while_flushed) == "old"
    assert cache.get_or_load_sync("k", [], Loader("new")) == "new"
    server.client().delete("fw:epoch")  # Evicted: nothing is known to be valid.
    assert cache.get_or_load_sync("k", [], Loader("newer")) == "newer"
    assert server.client().exists("fw:t:") == 0
    for purge in (cache.purge_sync, cache.invalidation):
        with pytest.raises((CacheError, ValueError), match="not empty"):
            purge(tags=[""])
    other.close_sync()


def test_entry_of_a_version_without_the_epoch_is_a_miss(server, cache):
    cache.read_sync("k", ["t"], Loader("old"))
    raw = server.client().get("fw:c:k")
    entry = _entry.decode(raw)
    without = _entry.encode(entry.nonce, entry.start_us, entry.stamps[1:], entry.payload)
    server.client().set("fw:c:k", without)
    outcome = cache.read_sync("k", ["t"], Loader("new"))
    assert (outcome.value, outcome.status, outcome.stored) == ("new", Status.MISS, True)


def test_many_readers_of_one_key_load_once(cache):
    loader = Loader()

    async def scenario():
        async def slow():
            loader()
            await asyncio.sleep(0.1)
            return 1

        outcomes = await asyncio.gather(*(cache.read("k", ["t"], slow) for _ in range(50)))
        await cache.close()
        return outcomes

    outcomes = asyncio.run(scenario())
    assert loader.calls == 1
    assert sum(outcome.status is Status.HIT for outcome in outcomes) == 49


def test_reader_does_not_wait_for_a_dead_loader_for_ever(server, cache):
    server.client().set("fw:c:k", _entry.lease(os.urandom(16)))
    started = time.monotonic()
    outcome = cache.read_sync("k", ["t"], Loader(3))
    assert (outcome.value, outcome.stored) == (3, False)
    assert 0.25 < time.monotonic() - started < 1.5


def test_entry_and_stamp_live_as_long_as_they_should(server, cache):
    cache.read_sync("k", ["t"], Loader(), ttl=60)
    assert 50 < server.client().ttl("fw:c:k") <= 60
    assert server.client().ttl("fw:t:t") > 86000
    cache.read_sync("default", ["t"], Loader())
    assert 290 < server.client().ttl("fw:c:default") <= 300


def test_namespaces_do_not_meet(server, cache):
    other = Cache(server.url, namespace="other")
    cache.read_sync("k", ["t"], Loader("mine"))
    assert other.read_sync("k", ["t"], Loader("theirs")).value == "theirs"
    other.purge_sync(tags=["t"])
    assert cache.read_sync("k", ["t"], Loader()).status is Status.HIT
    other.close_sync()


def test_entry_in_redis_has_the_shared_layout(server, cache):
    cache.read_sync("k", ["b", "a"], Loader("x" * 5000))
    raw = server.client().get("fw:c:k")
    entry = _entry.decode(raw)
    assert raw[:4] == b"CWE1"
    assert len(raw) < 500  # Compressed.
    assert [tag for tag, _ in entry.stamps] == ["", "a", "b"]
    assert str(dict(entry.stamps)[""]).encode() == server.client().get("fw:epoch")
    assert str(dict(entry.stamps)["a"]).encode() == server.client().get("fw:t:a")


def test_cached_functions_are_read_through_and_keep_their_signature(cache):
    calls = []

    @cache.cached(key="list:{team_id}:{page}", tags=["projects", "team:{team_id}"], ttl=60)
    def listed(team_id: int, page: int = 1) -> list[int]:
        calls.append(team_id)
        return [team_id, page]

    assert listed(4) == listed(team_id=4, page=1) == [4, 1]
    assert listed(5) == [5, 1]
    assert calls == [4, 5]
    cache.purge_sync(tags=["team:4"])
    listed(4), listed(5)
    assert calls == [4, 5, 4]
    assert listed.cache_key(4) == "list:4:1"
    cache.purge_sync(keys=[listed.cache_key(5)])
    listed(5)
    assert calls == [4, 5, 4, 5]

    with pytest.raises(ValueError, match="takes no user_id"):

        @cache.cached(key="x:{user_id}")
        def wrong(team_id: int) -> int:
            return team_id

    @cache.cached(key="async")
    async def answer() -> int:
        calls.append("async")
        return 42

    async def twice():
        result = [await answer(), await answer()]
        await cache.close()
        return result

    assert asyncio.run(twice()) == [42, 42]
    assert calls.count("async") == 1


def test_forked_child_opens_its_own_connections(cache):
    cache.read_sync("k", ["t"], Loader("parent"))
    child = os.fork()
    if child == 0:
        try:
            good = cache.read_sync("k", ["t"], Loader()).value == "parent"
            os._exit(0 if good else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert cache.read_sync("k", ["t"], Loader()).value == "parent"


# ---- the promise, under load


def test_no_thread_reads_an_old_version_after_its_purge(server, cache):
    """Eight readers and a writer for two seconds; a purge by tag, by key, or both."""
    database = {"version": 0}
    notified = {"version": 0}
    stale: list[str] = []
    statuses: list[Status] = []
    stop = threading.Event()

    def reader(seed: int) -> None:
        randomness = random.Random(seed)
        mine = Cache(server.url, wait=0.1)

        def load() -> int:
            version = database["version"]
            time.sleep(randomness.choice([0, 0.001, 0.005]))
            return version

        while not stop.is_set():
            due = notified["version"]
            outcome = mine.read_sync("k", ["a", "b"], load)
            statuses.append(outcome.status)
            if outcome.value < due:
                stale.append(f"seed {seed}: {outcome.value} after {due} ({outcome.status.value})")
        mine.close_sync()

    threads = [threading.Thread(target=reader, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    randomness = random.Random(99)
    ends = time.monotonic() + 2
    while time.monotonic() < ends:
        database["version"] += 1
        how = randomness.choice([{"tags": ["a"]}, {"keys": ["k"]}, {"tags": ["b"], "keys": ["k"]}])
        cache.purge_sync(**how)
        notified["version"] = database["version"]
        time.sleep(randomness.choice([0, 0.002, 0.02]))
    stop.set()
    for thread in threads:
        thread.join(10)
    assert stale == []
    hits = statuses.count(Status.HIT)
    assert database["version"] > 50
    assert hits > 0.2 * len(statuses), f"{hits} hits of {len(statuses)}"


# ---- the model that the interleaving tests use


@pytest.mark.parametrize("seed", range(20))
def test_model_of_redis_does_what_redis_does(server, seed):
    server.client().flushall()
    real = SyncRedis(server.url, 1.0)
    model = RedisModel()
    randomness = random.Random(seed)
    entries, stamps = ("e1", "e2"), ("s1", "s2", "s3")
    leases = [_entry.lease(bytes([number]) * 16) for number in range(3)]
    headers = [b"", *leases, b"CWE1" + b"n" * 16]
    for _ in range(200):
        entry = randomness.choice(entries)
        some = tuple(randomness.sample(stamps, randomness.randrange(1, 4)))
        command = randomness.choice(
            [
                Get(entry),
                Head(entry),
                Unlink((entry, randomness.choice(stamps))),
                Script(
                    "acquire",
                    (entry,),
                    (randomness.choice(headers), randomness.choice(leases), 9999),
                ),
                Script("store", (entry,), (randomness.choice(leases), headers[4] + b"data", 9999)),
                Script("release", (entry,), (randomness.choice(leases),)),
                Script("capture", some, (9999,)),
                Script("bump", some, (9999,)),
                Time(),
            ]
        )
        before = {key: real.run([Get(key)])[0] for key in stamps}
        [got] = real.run([command])
        expected = model.run(command)
        name = getattr(command, "name", type(command).__name__)
        if name == "acquire":
            assert got[0] == expected[0]
        elif name in ("capture", "bump"):
            after = {key: real.run([Get(key)])[0] for key in some}
            assert got == [after[key] for key in some]
            for key in some:
                if name == "bump" and before[key]:
                    assert int(after[key]) > int(before[key])
                elif before[key]:
                    assert after[key] == before[key]
        elif name != "Time":
            assert got == expected, command
        for key in entries:
            assert real.run([Get(key)])[0] == model.get(key)
        for key in stamps:
            assert (real.run([Get(key)])[0] is None) == (model.get(key) is None)
    real.close()
