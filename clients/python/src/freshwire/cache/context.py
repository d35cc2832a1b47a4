# SPDX-License-Identifier: MPL-2.0
"""What one request knows and did, carried to the cache by a context variable.

The middleware puts a mutable object there, and handlers, dependencies and `def` endpoints in the
thread pool all see the same one: a value set below would not travel back up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from ._algorithm import BYPASS, Fresh, Status

_TOKEN_DIGITS_MAX = 20


@dataclass
class RequestCache:
    fresh: Fresh = 0
    """From X-Freshwire-Fresh."""
    reads: list[Status] = field(default_factory=list)

    @property
    def status(self) -> Status | None:
        """One word for all reads of the request: a HIT only if each was one."""
        for status in (Status.STALE_REJECTED, Status.BYPASS, Status.MISS, Status.HIT):
            if status in self.reads:
                return status
        return None


_current: ContextVar[RequestCache | None] = ContextVar("freshwire_request_cache", default=None)


def current() -> RequestCache | None:
    return _current.get()


@contextmanager
def request_cache(fresh: Fresh = 0) -> Iterator[RequestCache]:
    """Within it, reads use this freshness token and are recorded. For what is not an ASGI app."""
    mine = RequestCache(fresh)
    token = _current.set(mine)
    try:
        yield mine
    finally:
        _current.reset(token)


def parse_fresh(text: str | None) -> Fresh:
    """The value of X-Freshwire-Fresh. What cannot be read bypasses: never stale, at worst
    slower."""
    text = (text or "").strip()
    if not text:
        return 0
    if text.isascii() and text.isdigit() and len(text) <= _TOKEN_DIGITS_MAX:
        return int(text)
    return BYPASS
