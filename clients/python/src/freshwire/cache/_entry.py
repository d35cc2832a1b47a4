# SPDX-License-Identifier: MPL-2.0
"""The bytes of a cache entry in Redis: the layout of cache/entry.h, which the C library shares.

    0       4     "CWE1"
    4       16    nonce of the lease under which the entry was filled
    20      8     start_us, Redis time when that lease was taken; big-endian
    28      s     stamps: MessagePack [[tag, stamp] …], ascending by the tag's bytes; the first is
                  that of the cache epoch, whose tag is empty
    28+s    1     flags: bit 0 = the payload is compressed
    29+s    rest  payload: one MessagePack value, or one zlib stream that holds it

or a lease: "CWL1" and a nonce. Pure. What cannot be read is a miss, whatever it is; so is an entry
without the epoch.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgpack

from freshwire.cache._codec import CacheCodecError

ENTRY_MAGIC = b"CWE1"
LEASE_MAGIC = b"CWL1"
NONCE_SIZE = 16
HEADER_SIZE = 4 + NONCE_SIZE
EPOCH_TAG = ""
"""The implicit tag of every entry: raising its stamp empties the cache at once."""
TAGS_MAX = 64
STAMPS_MAX = TAGS_MAX + 1
TAG_SIZE_MAX = 256
COMPRESS_ABOVE = 1024
PAYLOAD_SIZE_MAX = 8 * 1024 * 1024
HEAD_SIZE = HEADER_SIZE + 8
_FLAG_ZLIB = 1

Stamps = Sequence[tuple[str, int]]


@dataclass(frozen=True)
class Entry:
    nonce: bytes
    start_us: int
    stamps: tuple[tuple[str, int], ...]
    """Ascending by the tag's bytes."""
    payload: bytes


def sort_tags(tags: Sequence[str]) -> list[str]:
    """The order of tags in an entry, each once. ValueError for one that no entry can carry."""
    encoded = sorted({tag.encode("utf-8") for tag in tags})
    if len(encoded) > TAGS_MAX:
        raise ValueError(f"an entry carries at most {TAGS_MAX} tags, not {len(encoded)}")
    for tag in encoded:
        if not 0 < len(tag) <= TAG_SIZE_MAX:
            raise ValueError(f"a tag has 1 to {TAG_SIZE_MAX} bytes: {tag[:40]!r}")
        if b"\0" in tag:
            raise ValueError(f"a tag with a zero byte: {tag[:40]!r}")
    return [tag.decode("utf-8") for tag in encoded]


def head(nonce: bytes, start_us: int) -> bytes:
    """What comes before the stamps."""
    return ENTRY_MAGIC + nonce + struct.pack(">Q", start_us)


def lease(nonce: bytes) -> bytes:
    return LEASE_MAGIC + nonce


def is_lease(value: bytes) -> bool:
    return len(value) == HEADER_SIZE and value.startswith(LEASE_MAGIC)


def is_entry(value: bytes) -> bool:
    return len(value) > HEADER_SIZE and value.startswith(ENTRY_MAGIC)


def encode(nonce: bytes, start_us: int, stamps: Stamps, payload: bytes) -> bytes:
    """An entry; `stamps` ascending. CacheCodecError when the payload is too large."""
    if not 0 < len(payload) <= PAYLOAD_SIZE_MAX:
        raise CacheCodecError(f"{len(payload)} bytes; at most {PAYLOAD_SIZE_MAX} are cached")
    flags = 0
    if len(payload) > COMPRESS_ABOVE:
        compressed = zlib.compress(payload, 1)
        if 10 * len(compressed) < 9 * len(payload):
            flags, payload = _FLAG_ZLIB, compressed
    packed = msgpack.packb([[tag, stamp] for tag, stamp in stamps])
    return b"".join((head(nonce, start_us), packed, bytes((flags,)), payload))


def decode(value: bytes, payload_limit: int = PAYLOAD_SIZE_MAX) -> Entry | None:
    """The entry, or None when these bytes are not one. Never costs more memory than the limit."""
    if len(value) < HEAD_SIZE or not value.startswith(ENTRY_MAGIC):
        return None
    unpacker = msgpack.Unpacker(
        raw=False,
        max_buffer_size=max(1, len(value)),
        max_array_len=STAMPS_MAX,
        max_str_len=TAG_SIZE_MAX,
        max_bin_len=0,
        max_map_len=0,
        max_ext_len=0,
    )
    unpacker.feed(value[HEAD_SIZE:])
    try:
        stamps = _check_stamps(unpacker.unpack())
        at = HEAD_SIZE + unpacker.tell()
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException):
        return None
    if stamps is None or len(value) < at + 2:
        return None
    flags = value[at]
    body: bytes | None = value[at + 1 :]
    if flags == _FLAG_ZLIB:
        body = _inflate(value[at + 1 :], payload_limit)
    elif flags != 0:
        return None
    if body is None or len(body) > payload_limit:
        return None
    start_us = int.from_bytes(value[HEADER_SIZE:HEAD_SIZE], "big")
    return Entry(value[4:HEADER_SIZE], start_us, stamps, body)


def _check_stamps(packed: object) -> tuple[tuple[str, int], ...] | None:
    if not isinstance(packed, list):
        return None
    stamps: list[tuple[str, int]] = []
    before: bytes | None = None
    for pair in packed:
        if not isinstance(pair, list) or len(pair) != 2:
            return None
        tag, stamp = pair
        # Not isinstance: True is an int too.
        if type(tag) is not str or type(stamp) is not int or stamp <= 0:
            return None
        encoded = tag.encode("utf-8")
        if before is None and encoded:  # The epoch is missing.
            return None
        if before is not None and encoded <= before:  # Out of order, or there twice.
            return None
        before = encoded
        stamps.append((tag, stamp))
    return tuple(stamps) or None


def _inflate(data: bytes, limit: int) -> bytes | None:
    decompressor = zlib.decompressobj()
    try:
        payload = decompressor.decompress(data, limit + 1)
    except zlib.error:
        return None
    if not decompressor.eof or decompressor.unused_data or not payload or len(payload) > limit:
        return None
    return payload
