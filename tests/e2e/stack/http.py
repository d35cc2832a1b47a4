# SPDX-License-Identifier: MPL-2.0
"""HTTP requests with the standard library only, so that nothing is corrected on the way."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any, Mapping
from urllib.parse import urlsplit


@dataclass
class Answer:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def request(
    method: str,
    url: str,
    body: bytes | str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 10,
) -> Answer:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout_s)
    try:
        path = parts.path or "/"
        if parts.query:
            path += "?" + parts.query
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        answer = Answer(
            response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        )
    finally:
        connection.close()
    return answer


def publish_http(
    gateway: str, key: str | None, event: Mapping[str, Any] | bytes, headers: Mapping[str, str] | None = None
) -> Answer:
    """POST /v1/events of a gateway ("http://127.0.0.1:8080"). event as bytes is sent as it is."""
    all_headers = {"Content-Type": "application/json"}
    if key is not None:
        all_headers["Authorization"] = f"Bearer {key}"
    all_headers.update(headers or {})
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return request("POST", gateway + "/v1/events", body, all_headers)
