# SPDX-License-Identifier: MPL-2.0
"""ETags, and the answer 304 without running the application.

An ETag is made of the stamps under which an answer was read, of the answer itself, and of all that
it may depend on in the request (the signed-in user above all: else one user's copy would be
confirmed to another). It is weak: the same stamps may be written in another order.

What an answer was read from is remembered here, in this process. When a browser asks whether its
copy is still good, Redis is asked once: is each entry still the same fill, are its stamps
unchanged, and is it newer than the event that the browser heard of? Then, and only then, the
application would answer the same again. The existence of some key proves nothing, and neither does
another process, whose release may write the answer in another way: this one has to have said it.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from ._algorithm import Fresh
from .context import Read, RequestCache

REMEMBERED_MAX = 4096
READS_MAX = 16
"""Of one answer; more are not worth asking about."""
ETAG_SIZE = 16
VARY = (b"authorization", b"cookie", b"accept", b"accept-language")
"""Request headers that an answer may depend on without saying so."""

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Remembered:
    etag: bytes
    headers: list[tuple[bytes, bytes]]
    """Of the answer 304."""
    reads: tuple[Read, ...]


class Validators:
    """What this process last answered to each request. Bounded; the oldest is forgotten."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Remembered] = OrderedDict()

    async def unchanged(self, scope: Any, fresh: Fresh) -> Remembered | None:
        """The answer 304 to a conditional request, or None: ask the application."""
        asked = header(scope["headers"], b"if-none-match")
        if asked is None:
            return None
        known = self._known.get(request_digest(scope))
        if known is None or not matches(asked, known.etag, or_any=False):
            return None
        for cache, reads in groupby(known.reads, lambda read: read.cache):
            if not await cache.unchanged(list(reads), fresh):
                return None
        return known

    def remember(self, scope: Any, answer: Remembered) -> None:
        digest = request_digest(scope)
        self._known[digest] = answer
        self._known.move_to_end(digest)
        while len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)


def etag_of(scope: Any, request: RequestCache, body: bytes) -> bytes | None:
    """The ETag of an answer; None when it was not read from entries alone."""
    if not request.reads or len(request.reads) > READS_MAX:
        return None
    digest = hashlib.blake2b(digest_size=ETAG_SIZE)
    digest.update(request_digest(scope))
    for read in request.reads:
        if read.filled is None:
            return None
        digest.update(repr(read.filled.stamps).encode())
    digest.update(hashlib.blake2b(body).digest())
    return b'W/"' + urlsafe_b64encode(digest.digest()).rstrip(b"=") + b'"'


def request_digest(scope: Any) -> bytes:
    """Everything in a request that its answer may depend on."""
    digest = hashlib.blake2b(digest_size=16)
    parts: Iterable[bytes] = (
        header(scope["headers"], b"host") or b"",
        scope.get("root_path", "").encode(),
        scope["path"].encode("utf-8", "surrogatepass"),
        scope.get("query_string", b""),
        *(header(scope["headers"], name) or b"" for name in VARY),
    )
    for part in parts:
        digest.update(b"%d:" % len(part) + part)
    return digest.digest()


def matches(asked: bytes, etag: bytes, or_any: bool) -> bool:
    """Whether If-None-Match names this ETag, weakly."""
    if asked.strip() == b"*":
        return or_any
    return any(one.strip().removeprefix(b"W/") == etag[2:] for one in asked.split(b","))


def header(headers: Headers, wanted: bytes) -> bytes | None:
    """All values of a header, as one."""
    values = [value for name, value in headers if name.lower() == wanted]
    return b", ".join(values) if values else None
