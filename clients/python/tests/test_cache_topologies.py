# SPDX-License-Identifier: MPL-2.0
"""Redis in every state and form: dead, slow, hanging, talking nonsense; a cluster; a Sentinel."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
import time

import pytest
import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis_cluster import RedisCluster, RedisSentinel, wait_until
from redis_server import RedisServer

from freshwire.cache import Cache, CacheError, Status, _calls
from freshwire.cache._algorithm import Get, Head, Script, Time, Unlink

# ---- Redis that is none: no request fails, and none takes long


class FakePeer:
    """Listens, and answers whatever is asked with the same bytes."""

    def __init__(self, answer: bytes, delay: float = 0.0) -> None:
        self.answer, self.delay = answer, delay
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        self._stopped = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while not self._stopped:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer:
            try:
                while peer.recv(65536):
                    time.sleep(self.delay)
                    peer.sendall(self.answer)
            except OSError:
                return

    def stop(self) -> None:
        self._stopped = True
        self._listener.close()


def bulk(data: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(data), data)


def array(*parts: bytes) -> bytes:
    return b"*%d\r\n" % len(parts) + b"".join(parts)


NONSENSE = {
    "HTTP": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    "random bytes": random.Random(1).randbytes(500),
    "OK to everything": b"+OK\r\n" * 8,
    "numbers": b":7\r\n" * 8,
    "nothing to everything": b"$-1\r\n" * 8,
    "arrays of nothing": b"*0\r\n" * 8,
    "arrays inside": array(array(b":1\r\n"), array(b":1\r\n")) * 4,
    "numbers where bytes should be": array(b":1\r\n", b":2\r\n", b":3\r\n") * 4,
    "too few values": array(bulk(b"x")) * 8,
    "text in a lease's place": array(b":1\r\n", bulk(b"soon")) * 8,
    "an entry that is none": array(bulk(b"CWE1" + b"\xff" * 60), bulk(b"1"), bulk(b"1")) * 4,
    "errors": b"-ERR unknown command\r\n" * 8,
    "wrong password": b"-NOAUTH Authentication required.\r\n" * 8,
    "being loaded": b"-LOADING Redis is loading the dataset in memory\r\n" * 8,
    "read only": b"-READONLY You can't write against a read only replica.\r\n" * 8,
    "out of memory": b"-OOM command not allowed when used memory > 'maxmemory'.\r\n" * 8,
    "half an answer": b"*3\r\n$5\r\nab",
    "a huge answer": b"$4000000000\r\n",
    "silence": b"",
}


@pytest.mark.parametrize("name", NONSENSE)
def test_peer_that_is_no_redis_fails_no_request(name):
    peer = FakePeer(NONSENSE[name])
    cache = Cache(peer.url, timeout=0.1, wait=0.05)

    async def loads():
        return "loaded"

    async def read_all():
        started = time.monotonic()
        for number in range(12):
            outcome = await cache.read(f"k{number}", ["t"], loads)
            assert (outcome.value, outcome.stored) == ("loaded", False)
        assert (await cache.invalidate(tags=["t"])).unconfirmed
        await cache.close()
        return time.monotonic() - started

    try:
        took = asyncio.run(read_all())
        started = time.monotonic()
        for number in range(12):
            outcome = cache.read_sync(f"k{number}", ["t"], lambda: "loaded")
            assert (outcome.value, outcome.stored) == ("loaded", False)
        with pytest.raises(CacheError):
            cache.purge_sync(tags=["t"])
        took += time.monotonic() - started
        assert took < 4, f"{took:.1f} s"
        cache.close_sync()
    finally:
        peer.stop()


def test_redis_that_is_slow_costs_a_few_timeouts_and_then_none():
    peer = FakePeer(b"+OK\r\n", delay=1.0)
    cache = Cache(peer.url, timeout=0.1)

    async def read_all():
        async def loads():
            return 1

        started = time.monotonic()
        for _ in range(50):
            assert await cache.get_or_load("k", ["t"], loads) == 1
        await cache.close()
        return time.monotonic() - started

    try:
        assert asyncio.run(read_all()) < 1.5
    finally:
        peer.stop()


def test_redis_that_hangs_does_not_stop_the_loop_and_is_used_again():
    server = RedisServer()
    cache = Cache(server.url, timeout=0.1)

    async def loads():
        return 1

    async def scenario():
        await cache.get_or_load("k", ["t"], loads)
        server.pause()
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.005)
                ticks += 1

        ticking = asyncio.create_task(tick())
        started = time.monotonic()
        reads = [cache.read(f"k{number}", ["t"], loads) for number in range(100)]
        outcomes = await asyncio.gather(*reads)
        took = time.monotonic() - started
        ticking.cancel()
        assert all(outcome.value == 1 for outcome in outcomes)
        assert took < 2
        assert ticks > 10 * took  # It turned all the time, on a busy machine too.
        server.resume()
        deadline = time.monotonic() + 10
        while (await cache.read("k", ["t"], loads)).status is not Status.HIT:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        await cache.close()

    try:
        asyncio.run(scenario())
    finally:
        server.remove()


def test_redis_that_dies_and_comes_back_is_used_again():
    server = RedisServer()
    cache = Cache(server.url)
    try:
        assert cache.read_sync("k", ["t"], lambda: 1).stored
        server.stop()
        assert cache.read_sync("k", ["t"], lambda: 2).value == 2
        server.start()
        wait_until(lambda: cache.read_sync("k", ["t"], lambda: 3).stored, "it stores again")
        assert cache.read_sync("k", ["t"], lambda: 4).value == 3
        cache.close_sync()
    finally:
        server.remove()


# ---- the application's own clients


@pytest.fixture
def server():
    server = RedisServer()
    yield server
    server.remove()


def test_client_that_cannot_work_is_an_error_at_once(server):
    text = redis.Redis.from_url(server.url, decode_responses=True)
    asynchronous = redis.asyncio.Redis.from_url(server.url)
    with pytest.raises(TypeError, match="decode_responses"):
        Cache(client=text)
    with pytest.raises(TypeError, match="not a client of redis:"):
        Cache(client=asynchronous)
    with pytest.raises(TypeError, match=r"not a client of redis\.asyncio"):
        Cache(async_client=redis.Redis.from_url(server.url))
    with pytest.raises(TypeError, match="not both"):
        Cache(server.url, client=redis.Redis.from_url(server.url))
    with pytest.raises(TypeError, match="for threads only"):
        asyncio.run(Cache(client=redis.Redis.from_url(server.url)).purge(tags=["t"]))
    with pytest.raises(TypeError, match="decode_responses"):
        Cache(client=lambda: text).read_sync("k", [], lambda: 1)


def test_client_of_the_application_is_used_and_left_open(server):
    client = redis.Redis.from_url(server.url)
    cache = Cache(client=client, async_client=lambda: redis.asyncio.Redis.from_url(server.url))
    assert cache.read_sync("k", ["t"], lambda: 1).stored

    async def later():
        async def load():
            return 2

        found = await cache.read("k", ["t"], load)
        await cache.close()
        return found

    for _ in range(2):  # In each event loop its own.
        assert asyncio.run(later()).status is Status.HIT
    assert client.ping()
    client.close()


# ---- a cluster


@pytest.fixture(scope="module")
def cluster():
    cluster = RedisCluster()
    yield cluster
    cluster.remove()


@pytest.fixture
def cluster_cache(cluster):
    for node in cluster.nodes:
        node.client.flushall()
    port = cluster.nodes[0].port
    options = {"host": "127.0.0.1", "port": port, "socket_timeout": 1}
    cache = Cache(
        client=lambda: redis.RedisCluster(**options),
        async_client=lambda: redis.asyncio.RedisCluster(**options),
        wait=0.1,
    )
    yield cache
    cache.close_sync()


def keys_of(cluster) -> list[int]:
    return [node.client.dbsize() for node in cluster.nodes]


TAGS = [f"tag:{number}" for number in range(8)]


def test_entries_and_stamps_are_spread_over_a_cluster(cluster, cluster_cache):
    cache = cluster_cache
    for number in range(40):
        assert cache.read_sync(f"k{number}", TAGS, lambda: "old").stored
    for number in range(40):
        assert cache.read_sync(f"k{number}", TAGS, lambda: "x").status is Status.HIT
    assert sum(keys_of(cluster)) == 40 + len(TAGS) + 1
    assert min(keys_of(cluster)) > 5
    purged = cache.purge_sync(tags=TAGS[3:5], keys=[f"k{number}" for number in range(10)])
    assert purged.keys_removed == 10
    assert set(purged.stamps) == set(TAGS[3:5])
    assert all(0 < stamp <= purged.fresh for stamp in purged.stamps.values())
    for number in range(40):
        assert cache.read_sync(f"k{number}", TAGS, lambda: "new").value == "new"
    cache.flush_sync()
    assert cache.read_sync("k1", TAGS, lambda: "newer").value == "newer"
    token = cache.purge_sync(keys=["other"]).fresh
    outcome = cache.read_sync("k1", TAGS, lambda: "newest", fresh=token)
    assert (outcome.value, outcome.status) == ("newest", Status.STALE_REJECTED)


def test_cluster_serves_event_loops_too(cluster, cluster_cache):
    async def scenario():
        value = "old"

        async def load():
            await asyncio.sleep(0.001)
            return value

        names = [f"k{number % 20}" for number in range(200)]
        found = await asyncio.gather(*(cluster_cache.read(name, TAGS, load) for name in names))
        assert {outcome.value for outcome in found} == {"old"}
        assert sum(outcome.stored for outcome in found) == 20
        value = "new"
        purged = await cluster_cache.purge(tags=[TAGS[0]])
        found = await asyncio.gather(
            *(cluster_cache.read(name, TAGS, load, fresh=purged.fresh) for name in names)
        )
        assert {outcome.value for outcome in found} == {"new"}
        for node in cluster.nodes:
            node.client.script_flush()
        assert (await cluster_cache.read("another", TAGS, load)).stored
        await cluster_cache.close()

    asyncio.run(scenario())
    assert cluster_cache.stats().redis_failures == 0


def test_slot_that_moved_is_followed(cluster, cluster_cache):
    cache = cluster_cache
    cache.read_sync("warm", ["t"], lambda: 1)
    slot = redis.RedisCluster(host="127.0.0.1", port=cluster.nodes[0].port).keyslot("fw:c:moved")
    cluster.move(slot)
    outcomes = [cache.read_sync("moved", ["t"], lambda: 1) for _ in range(3)]
    assert [outcome.value for outcome in outcomes] == [1, 1, 1]
    wait_until(
        lambda: cache.read_sync("moved", ["t"], lambda: 1).status is Status.HIT, "it is a hit"
    )


def test_nobody_reads_an_old_version_from_a_cluster(cluster, cluster_cache):
    """Readers in an event loop, a writer in a thread, for a second and a half."""
    cache = cluster_cache
    database = {"version": 0}
    notified = {"version": 0}
    stop = threading.Event()

    def write():
        randomness = random.Random(7)
        while not stop.is_set():
            database["version"] += 1
            how = randomness.choice([{"tags": ["a"]}, {"keys": ["k"]}, {"tags": ["a", "b"]}])
            cache.purge_sync(**how)
            notified["version"] = database["version"]
            time.sleep(randomness.choice([0, 0.002, 0.03]))

    async def read(randomness):
        statuses = []

        async def load():
            version = database["version"]
            await asyncio.sleep(randomness.choice([0, 0.001, 0.005]))
            return version

        while not stop.is_set():
            due = notified["version"]
            outcome = await cache.read("k", ["a", "b"], load)
            assert outcome.value >= due
            statuses.append(outcome.status)
        return statuses

    async def scenario():
        readers = [asyncio.create_task(read(random.Random(seed))) for seed in range(6)]
        await asyncio.sleep(1.5)
        stop.set()
        found = await asyncio.gather(*readers)
        await cache.close()
        return [status for one in found for status in one]

    writer = threading.Thread(target=write)
    writer.start()
    try:
        statuses = asyncio.run(scenario())
    finally:
        stop.set()
        writer.join(10)
    assert statuses.count(Status.HIT) > 0.1 * len(statuses)


def test_node_of_a_cluster_that_is_away_fails_no_request():
    cluster = RedisCluster()
    try:
        options = {"host": "127.0.0.1", "port": cluster.nodes[0].port, "socket_timeout": 0.2}
        cache = Cache(client=lambda: redis.RedisCluster(**options), wait=0.1)
        cache.read_sync("k", TAGS, lambda: 1)
        cluster.nodes[1].stop()
        for number in range(10):
            assert cache.read_sync(f"k{number}", TAGS, lambda: 2).value in (1, 2)
        cache.close_sync()
    finally:
        cluster.remove()


def test_commands_are_split_by_slot_and_put_together_again():
    slots = {"a": 1, "b": 2, "c": 1, "d": 3}
    commands = [
        Get("a"),
        Head("d"),
        Script("bump", ("a", "b", "c", "d"), (5,)),
        Unlink(("d", "a", "b")),
        Time(),
    ]
    split = _calls.Split(commands, slots.__getitem__)
    assert [call[:1] + call[3:] for call in split.calls if call[0] == "EVALSHA"] == [
        ("EVALSHA", "a", "c", 5),
        ("EVALSHA", "b", 5),
        ("EVALSHA", "d", 5),
    ]
    answers = [b"va", b"vd", [b"1", b"3"], [b"2"], [b"4"], 1, 1, 0]
    assert len(answers) == len(split.calls)
    now = (1, 2)
    assert split.replies(answers, now) == [b"va", b"vd", [b"1", b"2", b"3", b"4"], 2, now]
    failed = redis.ResponseError("no")
    answers[3] = failed
    assert split.replies(answers, now)[2] is failed


def test_time_of_a_cluster_is_the_latest_of_its_nodes():
    assert _calls.latest_time({"a": (5, 9), "b": (6, 1), "c": (5, 99)}) == (6, 1)
    assert _calls.latest_time((7, 1)) == (7, 1)
    error = redis.ResponseError("no")
    assert _calls.latest_time({"a": (5, 9), "b": error}) is error


# ---- a Sentinel


def test_cache_follows_a_sentinel_to_the_new_primary():
    world = RedisSentinel()
    try:
        nodes = [("127.0.0.1", world.sentinel.port)]
        sentinel = redis.sentinel.Sentinel(nodes, socket_timeout=0.5)
        asynchronous = redis.asyncio.sentinel.Sentinel(nodes, socket_timeout=0.5)
        cache = Cache(
            client=sentinel.master_for(RedisSentinel.NAME, socket_timeout=0.5),
            async_client=lambda: asynchronous.master_for(RedisSentinel.NAME, socket_timeout=0.5),
        )
        assert cache.read_sync("k", ["t"], lambda: "old").stored

        async def read_later():
            async def load():
                return "x"

            found = await cache.read("k", ["t"], load)
            await cache.close()
            return found

        assert asyncio.run(read_later()).status is Status.HIT
        world.primary.stop()
        assert cache.read_sync("k2", ["t"], lambda: "loaded").value == "loaded"
        wait_until(
            lambda: cache.read_sync("k3", ["t"], lambda: "new").status is Status.HIT,
            "the new primary is used",
            30,
        )
        assert cache.purge_sync(tags=["t"]).stamps["t"] > 0
        assert cache.read_sync("k", ["t"], lambda: "new").value == "new"
    finally:
        world.remove()
