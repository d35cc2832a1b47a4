# SPDX-License-Identifier: MPL-2.0
"""A Redis in memory, as far as the cache uses one: one command is one step, and time is a number.

The scripts are written again here, as what cache/lua says they do; test_cache_redis compares the
two.
"""

from __future__ import annotations

import copy
from typing import Any

from freshwire.cache._algorithm import Command, Get, Head, Script, Time, Unlink


class RedisModel:
    def __init__(self, now_us: int = 1_000_000) -> None:
        self.now_us = now_us
        self.values: dict[str, tuple[bytes, int]] = {}
        """Value and the time at which it expires."""

    def get(self, key: str) -> bytes | None:
        value, expires_us = self.values.get(key, (None, 0))
        if value is None or self.now_us >= expires_us:
            return None
        return value

    def set(self, key: str, value: bytes | str, ttl_ms: int) -> None:
        encoded = value.encode() if isinstance(value, str) else value
        self.values[key] = (encoded, self.now_us + ttl_ms * 1000)

    def header(self, key: str) -> bytes:
        return (self.get(key) or b"")[:20]

    def run(self, command: Command) -> Any:
        """One command. Time passes: no two have the same microsecond."""
        self.now_us += 1
        if isinstance(command, Get):
            return self.get(command.key)
        if isinstance(command, Head):
            return (self.get(command.key) or b"")[:28]
        if isinstance(command, Unlink):
            removed = [key for key in dict.fromkeys(command.keys) if self.get(key) is not None]
            for key in removed:
                del self.values[key]
            return len(removed)
        if isinstance(command, Time):
            return [b"%d" % (self.now_us // 1_000_000), b"%d" % (self.now_us % 1_000_000)]
        assert isinstance(command, Script)
        return getattr(self, f"_{command.name}")(command.keys, command.arguments)

    def _acquire(self, keys: Any, arguments: Any) -> list[Any]:
        seen, lease, ttl_ms = arguments
        if self.header(keys[0]) in (b"", seen):
            self.set(keys[0], lease, ttl_ms)
            return [1, b"%d" % self.now_us]
        return [0, b"%d" % self.now_us]

    def _capture(self, keys: Any, arguments: Any) -> list[bytes]:
        for key in keys:
            if self.get(key) is None:
                self.set(key, str(self.now_us), arguments[0])
        return [self.get(key) or b"" for key in keys]

    def _bump(self, keys: Any, arguments: Any) -> list[bytes]:
        stamps = []
        for key in keys:
            old = self.get(key)
            stamp = self.now_us
            if old and old.isdigit() and stamp <= int(old) < 2**53:
                stamp = int(old) + 1
            self.set(key, str(stamp), arguments[0])
            stamps.append(b"%d" % stamp)
        return stamps

    def _store(self, keys: Any, arguments: Any) -> int:
        lease, data, ttl_ms = arguments
        if self.header(keys[0]) != lease:
            return 0
        self.set(keys[0], data, ttl_ms)
        return 1

    def _release(self, keys: Any, arguments: Any) -> int:
        if self.header(keys[0]) != arguments[0]:
            return 0
        del self.values[keys[0]]
        return 1

    # ---- faults

    def evict(self, key: str) -> None:
        self.values.pop(key, None)

    def snapshot(self) -> dict[str, tuple[bytes, int]]:
        return copy.copy(self.values)

    def fail_over(self, snapshot: dict[str, tuple[bytes, int]]) -> None:
        """A replica that is behind takes over: what happened since the snapshot is forgotten."""
        self.values = copy.copy(snapshot)
