# SPDX-License-Identifier: MPL-2.0
"""The bytes of entries and values: what is written, and that nothing read from Redis does harm."""

from __future__ import annotations

import datetime
import decimal
import enum
import random
import resource
import struct
import uuid
import zlib
from pathlib import Path

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshwire.cache import CacheCodecError, _codec, _entry

NONCE = bytes(range(16))


EPOCH = ("", 3)
"""What every entry begins with: the stamp of the cache epoch."""


def packed(*stamps):
    return msgpack.packb([list(EPOCH), *stamps])


def entry_bytes(
    stamps=b"\x91\x92\xa0\x03", flags=b"\0", payload=b"\xc0", start_us=5, magic=b"CWE1"
):
    return magic + NONCE + struct.pack(">Q", start_us) + stamps + flags + payload


# ---- entries that must be a miss


HOSTILE = {
    "empty": b"",
    "only the magic": b"CWE1",
    "a lease": _entry.lease(NONCE),
    "another version": entry_bytes(magic=b"CWE2"),
    "truncated before the stamps": entry_bytes()[:28],
    "truncated in the stamps": entry_bytes()[:30],
    "truncated after the stamps": entry_bytes()[:32],
    "no stamps at all": entry_bytes(stamps=b"\x90"),
    "without the epoch": entry_bytes(stamps=msgpack.packb([["a", 1]])),
    "the epoch is not first": entry_bytes(stamps=msgpack.packb([["a", 1], ["", 1]])),
    "the epoch twice": entry_bytes(stamps=packed(["", 3])),
    "the epoch is zero": entry_bytes(stamps=msgpack.packb([["", 0]])),
    "no payload": entry_bytes(payload=b""),
    "unknown flag": entry_bytes(flags=b"\x02"),
    "every flag": entry_bytes(flags=b"\xff"),
    "stamps are no array": entry_bytes(stamps=b"\x01"),
    "stamps are a map": entry_bytes(stamps=b"\x80"),
    "stamp without a tag": entry_bytes(stamps=packed([1])),
    "three fields": entry_bytes(stamps=packed(["a", 1, 2])),
    "tag is bytes": entry_bytes(stamps=packed([b"a", 1])),
    "tag too long": entry_bytes(stamps=packed(["a" * 257, 1])),
    "stamp is zero": entry_bytes(stamps=packed(["a", 0])),
    "stamp is negative": entry_bytes(stamps=packed(["a", -1])),
    "stamp is a float": entry_bytes(stamps=packed(["a", 1.0])),
    "stamp is true": entry_bytes(stamps=packed(["a", True])),
    "tags out of order": entry_bytes(stamps=packed(["b", 1], ["a", 1])),
    "tag twice": entry_bytes(stamps=packed(["a", 1], ["a", 1])),
    "65 tags": entry_bytes(stamps=packed(*([f"{n:03}", 1] for n in range(65)))),
    "array of four billion": entry_bytes(stamps=b"\xdd\xff\xff\xff\xff"),
    "text of four billion": entry_bytes(stamps=b"\x91\x92\xdb\xff\xff\xff\xff"),
    "tag is no UTF-8": entry_bytes(stamps=b"\x92\x92\xa0\x03\x92\xa1\xff\x01"),
    "arrays without end": entry_bytes(stamps=b"\x91" * 100_000),
    "compressed garbage": entry_bytes(flags=b"\1", payload=b"garbage"),
    "compressed and truncated": entry_bytes(flags=b"\1", payload=zlib.compress(b"x" * 99)[:-3]),
    "bytes after the stream": entry_bytes(flags=b"\1", payload=zlib.compress(b"\xc0") + b"x"),
    "compressed nothing": entry_bytes(flags=b"\1", payload=zlib.compress(b"")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_entry_that_is_not_one_is_a_miss(name):
    assert _entry.decode(HOSTILE[name]) is None


def test_bomb_costs_no_more_than_the_limit():
    bomb = zlib.compress(bytes(256 * 1024 * 1024), 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert _entry.decode(entry_bytes(flags=b"\1", payload=bomb)) is None
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 64 * 1024


def test_payload_limit_is_exact():
    payload = msgpack.packb("x" * 100)
    for flags, body in ((b"\0", payload), (b"\1", zlib.compress(payload))):
        value = entry_bytes(flags=flags, payload=body)
        assert _entry.decode(value, len(payload)).payload == payload
        assert _entry.decode(value, len(payload) - 1) is None
    with pytest.raises(CacheCodecError, match="at most"):
        _entry.encode(NONCE, 1, [EPOCH], bytes(_entry.PAYLOAD_SIZE_MAX + 1))


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_never_raise(data):
    _entry.decode(data)
    _entry.decode(b"CWE1" + NONCE + data)
    try:
        _codec.unpack(data)
    except CacheCodecError:
        pass


def test_every_truncation_and_flipped_bit_of_an_entry_is_read_or_a_miss():
    value = _entry.encode(
        NONCE, 7, [EPOCH, ("a", 1), ("b", 2**40)], msgpack.packb(list(range(600)))
    )
    assert value[-1:] and _entry.decode(value)
    for size in range(len(value)):
        assert _entry.decode(value[:size]) is None
    randomness = random.Random(5)
    for _ in range(3000):
        changed = bytearray(value)
        changed[randomness.randrange(len(value))] ^= 1 << randomness.randrange(8)
        entry = _entry.decode(bytes(changed))
        if entry:
            try:
                _codec.unpack(entry.payload)
            except CacheCodecError:
                pass


# ---- entries as the C library writes them


def test_entry_bytes_are_those_of_the_layout():
    value = _entry.encode(NONCE, 0x0102030405060708, [EPOCH, ("a", 1), ("tag", 300)], b"\xc0")
    expected = (
        b"CWE1" + NONCE + bytes((1, 2, 3, 4, 5, 6, 7, 8))
        + b"\x93\x92\xa0\x03\x92\xa1a\x01\x92\xa3tag\xcd\x01\x2c"
        + b"\x00\xc0"
    )  # fmt: skip
    assert value == expected
    entry = _entry.decode(value)
    assert entry.nonce == NONCE
    assert entry.start_us == 0x0102030405060708
    assert entry.stamps == (EPOCH, ("a", 1), ("tag", 300))
    assert entry.payload == b"\xc0"


CORPUS = Path(__file__).resolve().parents[3] / "tests" / "fuzz" / "corpus" / "cache_entry"


@pytest.mark.skipif(not CORPUS.is_dir(), reason="outside the repository")
def test_entries_that_the_c_library_is_tested_with_are_read_alike():
    found = {path.name: _entry.decode(path.read_bytes()) for path in CORPUS.iterdir()}
    assert found["no_epoch"] is None
    for name in ("plain", "compressed", "epoch_only", "many_stamps"):
        entry = found[name]
        assert entry is not None, name
        assert entry.stamps[0][0] == ""
        _codec.unpack(entry.payload)
        written = _entry.encode(entry.nonce, entry.start_us, entry.stamps, entry.payload)
        assert _entry.decode(written) == entry
    assert len(found["epoch_only"].stamps) == 1


def test_any_form_of_the_stamps_is_read():
    long_forms = b"\xdd\0\0\0\x02" + b"\x92\xdb\0\0\0\0\xcc\x03"
    long_forms += b"\xdc\0\x02" + b"\xda\0\x01a" + b"\xd3" + struct.pack(">q", 9)
    assert _entry.decode(entry_bytes(stamps=long_forms)).stamps == (EPOCH, ("a", 9))
    largest = packed(["a", 2**64 - 1])
    assert _entry.decode(entry_bytes(stamps=largest)).stamps == (EPOCH, ("a", 2**64 - 1))
    most = packed(*([f"{number:02}", 1] for number in range(64)))
    assert len(_entry.decode(entry_bytes(stamps=most)).stamps) == 65


def test_only_what_becomes_smaller_is_compressed():
    randomness = random.Random(1)
    at_limit = _entry.encode(NONCE, 1, [EPOCH], b"x" * 1024)
    above = _entry.encode(NONCE, 1, [EPOCH], b"x" * 1025)
    noise = _entry.encode(NONCE, 1, [EPOCH], randomness.randbytes(5000))
    assert (at_limit[32], above[32], noise[32]) == (0, 1, 0)
    assert zlib.decompress(above[33:]) == b"x" * 1025
    assert above[33:35] == b"\x78\x01"  # Level 1.


def test_tags_are_sorted_by_their_bytes_and_each_once():
    assert _entry.sort_tags(["b", "é", "a", "ab", "a"]) == ["a", "ab", "b", "é"]


# ---- values


class Color(enum.IntEnum):
    RED = 1


class Text(str):
    pass


VALUES = [
    None, True, 0, -1, 2**63, 1.5, "", "é", b"\0\xff", [], {}, [1, [2, {"a": None}]],
    {1: "int key", "b": 2}, (1, (2, "x")), {1, 2}, frozenset({"a"}), {(1, 2): "tuple key"},
    decimal.Decimal("1.10"), uuid.UUID(int=5), datetime.date(2026, 1, 2), datetime.time(3, 4, 5, 6),
    datetime.datetime(2026, 1, 2, 3, 4, 5, 123457),
    datetime.datetime(2026, 1, 2, 3, 4, 5, 999999, tzinfo=datetime.timezone.utc),
    datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=-5))),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_value_comes_back_as_itself(value):
    back = _codec.unpack(_codec.pack(value))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "value",
    [object(), Color.RED, Text("x"), 1j, [Text("deep")], range(3), datetime.timedelta(1)],
    ids=lambda value: type(value).__name__,
)
def test_value_that_would_change_is_a_type_error_that_says_what_to_do(value):
    with pytest.raises(TypeError, match="return annotation"):
        _codec.pack(value)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, "\ud800", [2**70]], ids=repr)
def test_value_that_has_no_form_in_messagepack_is_refused(value):
    with pytest.raises(CacheCodecError):
        _codec.pack(value)


def test_value_that_contains_itself_is_refused():
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(CacheCodecError):
        _codec.pack(endless)


tag_texts = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=20
)
json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@settings(max_examples=100, deadline=None)
@given(
    json_like,
    st.dictionaries(tag_texts, st.integers(1, 2**64 - 1), max_size=8),
)
def test_what_is_written_is_read(value, tags):
    stamps = [EPOCH, *((tag, tags[tag]) for tag in _entry.sort_tags(list(tags)))]
    entry = _entry.decode(_entry.encode(NONCE, 99, stamps, _codec.pack(value)))
    assert entry.stamps == tuple(stamps)
    assert _codec.unpack(entry.payload) == value


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\xc0\xc0",
        msgpack.packb(msgpack.ExtType(42, b"")),
        msgpack.packb(msgpack.ExtType(1, b"not a number")),
        msgpack.packb(msgpack.ExtType(2, b"short")),
        msgpack.packb(msgpack.ExtType(5, b"2026-99-99")),
        msgpack.packb(msgpack.ExtType(3, msgpack.packb([[1]]))),
        msgpack.packb(msgpack.ExtType(3, msgpack.packb(5))),
        msgpack.packb({"a": 1}).replace(b"\xa1a", b"\x90"),
        b"\xc7\x0c\xff" + bytes(4) + b"\x3f" + b"\xff" * 7,
        b"\x91" * 5000,
        b"\xdd\x00\x7f\xff\xff" * 1000,
    ],
    ids=lambda payload: payload[:12].hex(),
)
def test_payload_that_is_no_value_is_an_error_and_not_a_crash(payload):
    with pytest.raises(CacheCodecError):
        _codec.unpack(payload)


def test_extensions_inside_each_other_end():
    payload = msgpack.packb(1)
    for _ in range(5000):
        payload = msgpack.packb([msgpack.ExtType(7, payload)])[1:]
        if len(payload) > 200_000:
            break
    with pytest.raises(CacheCodecError):
        _codec.unpack(payload)
