# SPDX-License-Identifier: MPL-2.0
"""Browser tokens, signed here and not by the code under test."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any, Sequence


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def make_token(
    secret: str,
    sub: str | None,
    ttl_s: float = 600,
    rooms: Sequence[str] | None = None,
    *,
    header: dict[str, Any] | None = None,
    claims: dict[str, Any] | None = None,
) -> str:
    """An HS256 token. header and claims replace single members; a member of None is left out."""
    all_claims: dict[str, Any] = {"sub": sub, "exp": int(time.time() + ttl_s), "rooms": rooms}
    all_claims.update(claims or {})
    all_header: dict[str, Any] = {"alg": "HS256", "typ": "JWT"}
    all_header.update(header or {})
    parts = [
        _encode(json.dumps({name: value for name, value in part.items() if value is not None}).encode())
        for part in (all_header, all_claims)
    ]
    signed = ".".join(parts).encode()
    return ".".join([*parts, _encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest())])


def read_token(secret: str, token: str) -> dict[str, Any]:
    """The claims of a token, after a check of its signature."""
    header, claims, signature = token.split(".")
    expected = _encode(hmac.new(secret.encode(), f"{header}.{claims}".encode(), hashlib.sha256).digest())
    assert hmac.compare_digest(signature, expected), "the signature is wrong"
    return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
