# SPDX-License-Identifier: MPL-2.0
"""Values as MessagePack, and back as exactly what they were.

A cached function must not return one type when it loads and another when it hits. So what would
come back changed (a model, a subclass, an enum) is a TypeError here; `_values` turns what a
function's annotation names into plain values first. No pickle: whoever can write to Redis must not
be able to run code here.

Extensions beside MessagePack's own types (a time zone comes back as its fixed offset):
    1 Decimal, 4 date, 5 datetime, 6 time   decimal or ISO text
    2 UUID                                  16 bytes
    3 set, 7 tuple, 8 frozenset             one MessagePack array
MessagePack's timestamp (-1) is read, not written: library versions differ in its last digits.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import msgpack


class CacheCodecError(ValueError):
    """This one value cannot be cached (it is too large, a number too great), or the bytes are no
    value."""


DEPTH_MAX = 100
"""Of nested extensions, each of which is decoded by a call of its own."""

_ISO_TYPES: dict[int, Any] = {4: datetime.date, 5: datetime.datetime, 6: datetime.time}
_ARRAY_TYPES: dict[int, Any] = {3: set, 7: tuple, 8: frozenset}


def pack(value: Any) -> bytes:
    """TypeError when the value, or a part of it, would come back as something else."""
    try:
        packed = msgpack.packb(value, default=_default, strict_types=True, use_bin_type=True)
    except (ValueError, OverflowError, RecursionError) as error:
        raise CacheCodecError(str(error)) from error
    return bytes(packed)


def _default(value: Any) -> msgpack.ExtType:
    kind = type(value)
    if kind is tuple:
        return msgpack.ExtType(7, pack(list(value)))
    if kind is set or kind is frozenset:
        return msgpack.ExtType(3 if kind is set else 8, pack(list(value)))
    if kind is decimal.Decimal:
        return msgpack.ExtType(1, str(value).encode())
    if kind is uuid.UUID:
        return msgpack.ExtType(2, value.bytes)
    for code, iso_type in _ISO_TYPES.items():
        if kind is iso_type:
            return msgpack.ExtType(code, value.isoformat().encode())
    if kind is int:
        raise CacheCodecError("an integer of more than 64 bits")
    raise TypeError(
        f"{kind.__module__}.{kind.__qualname__} cannot be cached: it would not come back as itself."
        " Name the type in the function's return annotation (models, dataclasses, enums), or return"
        " plain data (dict, list, str, numbers, datetime, Decimal, UUID)"
    )


def unpack(payload: bytes) -> Any:
    """CacheCodecError when these bytes are not exactly one value."""
    return _unpack(payload, 0)


def _unpack(payload: bytes, depth: int) -> Any:
    if depth > DEPTH_MAX:
        raise CacheCodecError("nested too deeply")

    def extension(code: int, data: bytes) -> Any:
        if code == 1:
            return decimal.Decimal(data.decode())
        if code == 2:
            return uuid.UUID(bytes=data)
        if code in _ISO_TYPES:
            return _ISO_TYPES[code].fromisoformat(data.decode())
        if code in _ARRAY_TYPES:
            items = _unpack(data, depth + 1)
            if isinstance(items, list):
                return _ARRAY_TYPES[code](items)
        raise CacheCodecError(f"unknown extension {code}")

    try:
        return msgpack.unpackb(
            payload, raw=False, strict_map_key=False, timestamp=3, ext_hook=extension
        )
    except CacheCodecError:
        raise
    except (
        ValueError,
        TypeError,
        OverflowError,
        RecursionError,
        MemoryError,
        ArithmeticError,
        msgpack.UnpackException,
    ) as error:
        raise CacheCodecError(f"not a cached value: {error!r}") from error
