# SPDX-License-Identifier: MPL-2.0
"""The publisher without ZeroMQ: POST /v1/events of a gateway, with nothing but the standard
library."""

from __future__ import annotations

import http.client
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any

from freshwire.errors import PublishError, RejectedError, TimeoutError, UnauthorizedError
from freshwire.events import Event, Invalidate, Level, Position, Receipt, json_bytes

from ._settings import Settings, settings_from_env

RESPONSE_SIZE_MAX = 1024 * 1024
RETRY_BASE = 0.05
RETRY_CAP = 2.0
AGAIN = frozenset({408, 425, 429})
"""Of the statuses 4xx, those after which the same request may succeed."""


class HttpPublisher:
    """Publishes events over HTTP and waits for the acknowledgement. Thread-safe, keeps no
    connection.

    The receipt always means "purged" (or released flagged): the gateway waits for the barrier.
    """

    def __init__(self, endpoint: str, key: str = "", **options: Any) -> None:
        """`endpoint` is the gateway's public address, for example "http://127.0.0.1:8080"; `key`
        its bearer key."""
        self._settings = Settings(endpoint=endpoint, key=key, **options)
        if not endpoint.startswith(("http://", "https://")):
            raise ValueError(f"not an HTTP address: {endpoint}")
        path = "" if endpoint.rstrip("/").endswith("/v1/events") else "/v1/events"
        self._url = endpoint.rstrip("/") + path
        self._lock = Lock()
        self._counts = dict.fromkeys(
            (
                "published",
                "acknowledged",
                "unconfirmed",
                "duplicates",
                "rejected",
                "timeouts",
                "retries",
            ),
            0,
        )

    @classmethod
    def from_env(cls, **options: Any) -> HttpPublisher:
        """What the options leave open comes from FRESHWIRE_PUBLISH_ENDPOINT, _KEY, _KEY_FILE and
        _TIMEOUT."""
        return cls(**settings_from_env(options))

    @property
    def endpoint(self) -> str:
        return self._settings.endpoint

    def publish(
        self,
        type: str,
        *,
        data: Any = None,
        audience: str | Iterable[str] = (),
        invalidate: Invalidate | None = None,
        exclude_user: str | None = None,
        exclude_origin: str | None = None,
        origin: str | None = None,
        user_id: object = None,
        id: str | None = None,
        level: Level = "purged",
        timeout: float | None = None,
    ) -> Receipt:
        """Publishes one event, after the commit, and waits for its receipt. As
        `Publisher.publish`."""
        event = Event.make(
            type,
            data=data,
            audience=audience,
            invalidate=invalidate,
            exclude_user=exclude_user,
            exclude_origin=exclude_origin,
            origin=origin,
            user_id=user_id,
            id=id,
        )
        return self.send(event, level=level, timeout=timeout)

    def send(
        self, event: Event, *, level: Level = "purged", timeout: float | None = None
    ) -> Receipt:
        """Publishes an event and waits. Sends it again, with the same id, until `timeout` is
        over."""
        if level == "replicated":
            raise ValueError('HTTP publishing has no level "replicated"')
        body = json_bytes(event_json(event))
        seconds = self._settings.timeout if timeout is None else timeout
        deadline = time.monotonic() + seconds
        self._count(published=1)
        attempt = 0
        while True:
            status, headers, answer, trouble = self._request(body, event.id, deadline)
            if status == 200:
                receipt = self._receipt(answer, event.id)
                self._count(
                    acknowledged=1, unconfirmed=receipt.unconfirmed, duplicates=receipt.duplicate
                )
                return receipt
            if status in (401, 403):
                raise UnauthorizedError(
                    f"{self._url}: {answer.get('detail') or 'the publish key was refused'}"
                )
            if 400 <= status < 500 and status not in AGAIN:
                self._count(rejected=1)
                raise rejection(answer, status)
            wait = max(
                retry_after(headers), random.uniform(0, min(RETRY_CAP, RETRY_BASE * 2**attempt))
            )
            if time.monotonic() + wait >= deadline:
                self._count(timeouts=1)
                raise TimeoutError(event.id, seconds, trouble)
            self._count(retries=1)
            attempt = min(attempt + 1, 16)
            time.sleep(wait)

    def stats(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counts)

    def close(self, timeout: float | None = None) -> None:
        """Nothing is kept open."""

    def __enter__(self) -> HttpPublisher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _count(self, **increments: int) -> None:
        with self._lock:
            for name, increment in increments.items():
                self._counts[name] += increment

    def _request(
        self, body: bytes, id: str, deadline: float
    ) -> tuple[int, Mapping[str, str], dict[str, Any], str]:
        """Status (0 without an answer), headers, JSON body, and what to say when it cannot be
        repeated."""
        request = urllib.request.Request(self._url, data=body, method="POST")
        request.add_header("Content-Type", "application/json")
        if id.isascii() and id.isprintable():  # The body carries it as well.
            request.add_header("Idempotency-Key", id)
        if self._settings.key:
            request.add_header("Authorization", f"Bearer {self._settings.key}")
        remaining = max(0.05, deadline - time.monotonic())
        try:
            with urllib.request.urlopen(request, timeout=remaining) as response:
                answer = _json_object(response.read(RESPONSE_SIZE_MAX))
                return response.status, dict(response.headers), answer, ""
        except urllib.error.HTTPError as error:
            with error:
                answer = _json_object(error.read(RESPONSE_SIZE_MAX))
            text = f"{self._url} answered {error.code} {answer.get('detail') or error.reason}"
            return error.code, dict(error.headers), answer, text
        except (OSError, http.client.HTTPException) as error:
            return 0, {}, {}, f"no answer from {self._url}: {error}"

    def _receipt(self, answer: dict[str, Any], id: str) -> Receipt:
        try:
            return Receipt(
                id=str(answer.get("id") or id),
                positions=tuple(
                    Position(str(place["channel"]), str(place["epoch"]), int(place["offset"]))
                    for place in answer.get("positions", ())
                ),
                fresh=int(answer.get("fresh") or 0),
                unconfirmed=bool(answer.get("unconfirmed")),
                duplicate=bool(answer.get("duplicate")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise PublishError(f"{self._url}: an answer that cannot be read: {error}") from error


def event_json(event: Event) -> dict[str, Any]:
    """The body of POST /v1/events. TypeError when the data cannot travel as JSON."""
    data = event.data
    if isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError("event data: bytes cannot be published over HTTP")
    body: dict[str, Any] = {
        "type": event.type,
        "audience": event.audience,
        "id": event.id,
        "ts": event.ts,
    }
    if data is not None:
        body["data"] = data
    exclude = {"user_id": event.exclude_user, "origin": event.exclude_origin}
    if any(exclude.values()):
        body["exclude"] = {name: value for name, value in exclude.items() if value}
    if event.invalidate:
        lists = {
            "keys": event.invalidate.keys,
            "tags": event.invalidate.tags,
            "patterns": event.invalidate.patterns,
        }
        body["invalidate"] = {name: values for name, values in lists.items() if values}
    if event.origin:
        body["origin"] = event.origin
    if event.user_id:
        body["user_id"] = event.user_id
    return body


def rejection(answer: Mapping[str, Any], status: int) -> RejectedError:
    """A problem+json body as the error that the ZeroMQ publishers raise."""
    reason = str(answer.get("detail") or answer.get("title") or f"refused with status {status}")
    return RejectedError(
        str(answer.get("field") or ""),
        reason,
        _number(answer.get("limit")),
        _number(answer.get("value")),
    )


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds of a Retry-After header; 0 without one (dates are not worth parsing for a local
    service)."""
    return float(_number(headers.get("Retry-After")))


def _number(value: Any) -> int:
    try:
        return max(0, int(value))
    except (TypeError, ValueError):
        return 0


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
