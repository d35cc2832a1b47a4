# SPDX-License-Identifier: MPL-2.0
"""What the C cache stores, the Python one serves, and the other way round; a purge by either ends both.

FW_CACHE_PEER names the program of tests/support/cache_peer.c. Everything goes through one real Redis.
"""
import datetime
import decimal
import os
import pathlib
import subprocess
import sys
import uuid
import zlib

import msgpack
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "clients/python/src"), str(ROOT / "clients/python/tests")]
subprocess.run([sys.executable, str(ROOT / "clients/python/generate")], check=True, stdout=subprocess.DEVNULL)

from redis_server import RedisServer  # noqa: E402

from freshwire.cache import Cache, Status, _codec, _entry  # noqa: E402

PEER = os.environ["FW_CACHE_PEER"]
KEY = "users:42"
TAGS = ["zebra", "org:7", "ä"]

VALUES = [
    None,
    True,
    42,
    -(2**63),
    2**64 - 1,
    1.5,
    "",
    "Grüße",
    b"\x00\xff",
    [],
    {},
    {"id": 42, "names": ["a", "b"], "nested": {"deep": [1, [2, [3]]]}},
    ["abc"] * 1000,
    os.urandom(5000),
    "x" * 300_000,
    (1, 2),
    {1, 2},
    decimal.Decimal("1.10"),
    uuid.UUID(int=7),
    datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.timezone.utc),
]


@pytest.fixture(scope="module")
def server():
    server = RedisServer()
    yield server
    server.remove()


@pytest.fixture
def cache(server):
    server.client().flushall()
    cache = Cache(server.url, prefixes=["users:"], timeout=10)
    yield cache
    cache.close_sync()


def peer(server, *arguments: str) -> list[str]:
    done = subprocess.run([PEER, server.socket_path, *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done
    return done.stdout.split()


def read_in_c(server, value, key=KEY, tags=TAGS, fresh="", ttl_ms="0"):
    """Status, whether it was stored, and the value; `value` is what a load would return."""
    packed = bytes(_codec.pack(value))
    status, stored, data = peer(server, "read", key, ",".join(tags), ttl_ms, fresh, packed.hex())
    return status, stored == "stored", _codec.unpack(bytes.fromhex(data))


def read_in_python(cache, value, key=KEY, tags=TAGS, fresh=None):
    outcome = cache.read_sync(key, tags, lambda: value, fresh=fresh)
    return outcome.status.value, outcome.stored, outcome.value


def never():
    raise AssertionError("it was not served from the cache")


@pytest.mark.parametrize("value", [value for value in VALUES if len(str(value)) < 50_000], ids=repr)
def test_what_c_stores_python_serves(server, cache, value):
    assert read_in_c(server, value) == ("MISS", True, value)
    outcome = cache.read_sync(KEY, TAGS, never)
    assert (outcome.status, outcome.value, type(outcome.value)) == (Status.HIT, value, type(value))


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:40])
def test_what_python_stores_c_serves(server, cache, value):
    assert read_in_python(cache, value) == ("MISS", True, value)
    assert read_in_c(server, "loaded again") == ("HIT", False, value)


@pytest.mark.parametrize("value", [1, ["abc"] * 1000], ids=["plain", "compressed"])
def test_both_write_the_same_bytes(server, cache, value):
    """But for the lease's nonce, and the time at which it was taken."""
    written = []
    for read in (lambda: read_in_c(server, value), lambda: read_in_python(cache, value)):
        assert read()[:2] == ("MISS", True)
        written.append(server.client().get(f"fw:c:{KEY}"))
        server.client().delete(f"fw:c:{KEY}")
    assert written[0][28:] == written[1][28:]
    assert written[0][:4] == written[1][:4] == b"CWE1"
    assert [tag for tag, _ in _entry.decode(written[0]).stamps] == ["", "org:7", "users:*", "zebra", "ä"]


@pytest.mark.parametrize(
    "purge",
    [
        lambda server, cache: peer(server, "purge", "tag", "org:7"),
        lambda server, cache: peer(server, "purge", "key", KEY),
        lambda server, cache: peer(server, "purge", "prefix", "users:"),
        lambda server, cache: peer(server, "purge", "all", ""),
        lambda server, cache: cache.purge_sync(tags=["org:7"]),
        lambda server, cache: cache.purge_sync(keys=[KEY]),
        lambda server, cache: cache.purge_sync(tags=["users:*"]),
        lambda server, cache: cache.flush_sync(),
    ],
    ids=["C tag", "C key", "C prefix", "C all", "Python tag", "Python key", "Python prefix", "Python all"],
)
def test_a_purge_by_either_ends_what_both_stored(server, cache, purge):
    for fill in (lambda: read_in_c(server, 1), lambda: read_in_python(cache, 1)):
        fill()
        assert read_in_c(server, 2)[0] == "HIT"
        assert read_in_python(cache, 2)[0] == "HIT"
        purge(server, cache)
        assert read_in_c(server, 2) == ("MISS", True, 2)
        assert read_in_python(cache, 3) == ("HIT", False, 2)
        purge(server, cache)
        assert read_in_python(cache, 4) == ("MISS", True, 4)
        assert read_in_c(server, 5) == ("HIT", False, 4)
        purge(server, cache)


def test_a_token_of_one_is_kept_by_the_other(server, cache):
    read_in_python(cache, 1)
    [token] = peer(server, "purge", "tag", "elsewhere")
    assert read_in_python(cache, 2, fresh=int(token)) == ("STALE-REJECTED", True, 2)
    token = str(cache.purge_sync(tags=["elsewhere"]).fresh)
    assert read_in_c(server, 3, fresh=token) == ("STALE-REJECTED", True, 3)
    assert read_in_c(server, 4, fresh="bypass") == ("BYPASS", True, 4)


def good_entry(server, cache, value) -> bytes:
    read_in_python(cache, value)
    return server.client().get(f"fw:c:{KEY}")


def with_payload(entry: bytes, flags: int, payload: bytes) -> bytes:
    """The same header and stamps, another payload."""
    unpacker = msgpack.Unpacker(raw=False)
    unpacker.feed(entry[28:])
    unpacker.unpack()
    return entry[: 28 + unpacker.tell()] + bytes([flags]) + payload


BOMB = zlib.compress(b"\xc6\x04\x00\x00\x00" + bytes(64 * 1024 * 1024), 9)

HOSTILE = {
    "bomb": lambda entry: with_payload(entry, 1, BOMB),
    "truncated": lambda entry: entry[:-1],
    "cut in its stamps": lambda entry: entry[:40],
    "cut in its header": lambda entry: entry[:10],
    "other version": lambda entry: b"CWE2" + entry[4:],
    "unknown flag": lambda entry: with_payload(entry, 2, b"\xc0"),
    "not compressed at all": lambda entry: with_payload(entry, 1, b"\x93abc"),
    "two values": lambda entry: with_payload(entry, 0, b"\xc0\xc0"),
    "no value": lambda entry: with_payload(entry, 0, b"\xc1"),
    "half a value": lambda entry: with_payload(entry, 0, b"\x93\x01"),
    "without epoch": lambda entry: entry[:28] + msgpack.packb([["org:7", 1]]) + b"\0\xc0",
    "without stamps": lambda entry: entry[:28] + b"\x90\0\xc0",
    "pickle": lambda entry: b"\x80\x04K\x01.",
    "empty": lambda entry: b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_entries_are_misses_to_both(server, cache, name):
    entry = HOSTILE[name](good_entry(server, cache, [1, 2, 3]))
    for read in (lambda: read_in_c(server, 5), lambda: read_in_python(cache, 5)):
        server.client().set(f"fw:c:{KEY}", entry)
        assert read() == ("MISS", True, 5)


@pytest.mark.parametrize("kind", ["list", "hash"])
def test_a_value_of_another_type_breaks_neither(server, cache, kind):
    if kind == "list":
        server.client().rpush(f"fw:c:{KEY}", "x")
    else:
        server.client().hset(f"fw:c:{KEY}", "x", "y")
    assert read_in_c(server, 5) == ("MISS", False, 5)
    assert read_in_python(cache, 5) == ("MISS", False, 5)


def test_a_lease_of_one_is_respected_by_the_other(server, cache):
    # Both would wait for it; with the shortest wait both load, and neither stores.
    server.client().set(f"fw:c:{KEY}", _entry.lease(bytes(16)), px=10_000)
    assert read_in_c(server, 5) == ("MISS", False, 5)
    impatient = Cache(server.url, prefixes=["users:"], wait=0, timeout=10)
    assert read_in_python(impatient, 5) == ("MISS", False, 5)
    impatient.close_sync()
    assert server.client().get(f"fw:c:{KEY}") == _entry.lease(bytes(16))
