# SPDX-License-Identifier: MPL-2.0
"""Read through Redis, and never serve what was invalidated.

    cache = Cache("redis://127.0.0.1:6379/0")

    @cache.cached(ttl=300, key="projects:{team_id}", tags=["projects"])
    async def list_projects(team_id: int) -> list[dict]: ...

Publishing an event with `Invalidate(tags=["projects"])` purges it, whatever is being loaded at that
moment. Entries are shared with the C library (cache/entry.h).
"""

from __future__ import annotations

try:
    import msgpack  # noqa: F401
    import redis  # noqa: F401
except ImportError as error:
    raise ImportError("freshwire.cache needs: pip install freshwire[redis]") from error

from ._algorithm import BYPASS, Fresh, Outcome, Purged, Status
from ._cache import RESULT, Cache, CachedFunction, CacheError, CacheStats
from ._codec import CacheCodecError
from .context import RequestCache, bypass, covers_response, current, parse_fresh, request_cache
from .middleware import CacheHeaders
from .policy import LIVE_PATTERNS, NO_CACHE_PATTERNS, cache_control, should_cache

__all__ = [
    "BYPASS",
    "LIVE_PATTERNS",
    "NO_CACHE_PATTERNS",
    "RESULT",
    "Cache",
    "CacheCodecError",
    "CacheError",
    "CacheHeaders",
    "CacheStats",
    "CachedFunction",
    "Fresh",
    "Outcome",
    "Purged",
    "RequestCache",
    "Status",
    "bypass",
    "cache_control",
    "covers_response",
    "current",
    "parse_fresh",
    "request_cache",
    "should_cache",
]
