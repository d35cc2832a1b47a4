# SPDX-License-Identifier: MPL-2.0
"""What one request knows and did, carried to the cache by a context variable.

The middleware puts a mutable object there, and handlers, dependencies and `def` endpoints in the
thread pool all see the same one: a value set below would not travel back up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from ._algorithm import BYPASS, Filled, Fresh, Nested, Plan, Status

_TOKEN_DIGITS_MAX = 20
ORIGIN_SIZE_MAX = 128


@dataclass(frozen=True)
class Read:
    """One read of a cache."""

    status: Status
    plan: Plan
    filled: Filled | None = None
    """The entry that holds the value, if one does."""
    cache: Any = None

    @property
    def tags(self) -> tuple[str, ...]:
        return self.plan.tags[1:]  # The first is the epoch, which nobody names.


@dataclass
class RequestCache:
    fresh: Fresh = 0
    """From X-Freshwire-Fresh."""
    origin: str = ""
    """From X-Freshwire-Origin: the browser tab that sent the request recognises its own events."""
    reads: list[Read] = field(default_factory=list)
    event_ids: list[str] = field(default_factory=list)
    """Of what was published, or will be when its transaction commits."""
    pending: list[Any] = field(default_factory=list)
    """Futures of events that were handed in; the answer waits for them a little."""
    covered: list[bool] = field(default_factory=list)
    """Not empty: everything that the answer shows came from these reads."""

    @property
    def status(self) -> Status | None:
        """One word for all reads of the request: a HIT only if each was one."""
        found = {read.status for read in self.reads}
        for status in (Status.STALE_REJECTED, Status.BYPASS, Status.MISS, Status.HIT):
            if status in found:
                return status
        return None

    @property
    def tags(self) -> tuple[str, ...]:
        """Everything whose change makes what the request read stale, each once."""
        return tuple(dict.fromkeys(tag for read in self.reads for tag in read.tags))


_current: ContextVar[RequestCache | None] = ContextVar("freshwire_request_cache", default=None)
_loading: ContextVar[Nested | None] = ContextVar("freshwire_loading", default=None)


def current() -> RequestCache | None:
    return _current.get()


@contextmanager
def request_cache(fresh: Fresh = 0, origin: str = "") -> Iterator[RequestCache]:
    """Within it, reads use this freshness token and are recorded. For what is not an ASGI app."""
    mine = RequestCache(fresh, origin)
    token = _current.set(mine)
    try:
        yield mine
    finally:
        _current.reset(token)


@contextmanager
def bypass() -> Iterator[None]:
    """Within it, reads load instead of serving from the cache, and replace what is there."""
    outer = _current.get() or RequestCache()
    token = _current.set(replace(outer, fresh=BYPASS))  # Its lists are shared.
    try:
        yield
    finally:
        _current.reset(token)


def covers_response() -> None:
    """Says that everything this answer shows came from reads of a cache, so that it may carry an
    ETag. An endpoint that is `@cached` itself need not say so."""
    request = _current.get()
    if request:
        request.covered.append(True)


def record(read: Read) -> None:
    """Tells the request, and the load that this read is a part of."""
    request = _current.get()
    if request:
        request.reads.append(read)
    nested = _loading.get()
    if nested is None:
        return
    nested.tags.update(read.tags)
    nested.storable = nested.storable and read.plan.store
    if read.filled:
        nested.oldest_us = min(nested.oldest_us or read.filled.start_us, read.filled.start_us)


@contextmanager
def loading(nested: Nested) -> Iterator[None]:
    """Around a load: what it reads from caches is collected."""
    token = _loading.set(nested)
    try:
        yield
    finally:
        _loading.reset(token)


def parse_fresh(text: str | None) -> Fresh:
    """The value of X-Freshwire-Fresh. What cannot be read bypasses: never stale, at worst
    slower."""
    text = (text or "").strip()
    if not text:
        return 0
    if text.isascii() and text.isdigit() and len(text) <= _TOKEN_DIGITS_MAX:
        return int(text)
    return BYPASS


def origin_of(header: str | None) -> str:
    """The tab's name from its header. One that no broker would take is none: it must not be able to
    keep the event from everybody else."""
    origin = (header or "").strip()
    if not origin.isprintable() or len(origin.encode("utf-8", "replace")) > ORIGIN_SIZE_MAX:
        return ""
    return origin
