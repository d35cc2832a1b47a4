# SPDX-License-Identifier: MPL-2.0
"""Which paths are cached, and what browsers are told about them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NO_CACHE_PATTERNS: tuple[str, ...] = ("/users/me", "/notifications", "/projects", "/teams")
"""Paths of live user data. Not to be cached in Redis unless every mutation publishes its tags."""

LIVE_PATTERNS: tuple[str, ...] = (*NO_CACHE_PATTERNS, "/dashboard", "/analytics")
"""Paths whose answers a browser never keeps."""

STATIC_PATTERNS: tuple[str, ...] = ("/health", "/docs")

LIVE = "private, no-store"
"""Live paths. A max-age here would answer the refetch that follows an event from the browser's own
disk."""

READ = "private, no-cache"
"""What was read from a cache: kept by the browser, but never used without asking whether it is
still good."""


def should_cache(endpoint: str, patterns: Iterable[str] = NO_CACHE_PATTERNS) -> bool:
    """False when any pattern is a part of the path (plain substring; as fw_cache_should_cache)."""
    return not any(pattern in endpoint for pattern in patterns)


def cache_control(
    path: str,
    live: Sequence[str] = LIVE_PATTERNS,
    live_control: str = LIVE,
    static: Sequence[str] = STATIC_PATTERNS,
    static_seconds: int = 60,
    default_seconds: int = 10,
) -> str:
    """Cache-Control of a successful GET."""
    if any(pattern in path for pattern in live):
        return live_control
    if any(pattern in path for pattern in static):
        return f"public, max-age={static_seconds}"
    return f"private, max-age={default_seconds}"
