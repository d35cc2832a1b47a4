# SPDX-License-Identifier: MPL-2.0
"""Who signs tokens: keys of every kind, made and used by another library than ours, and a server of key sets."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Mapping

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int, size: int | None = None) -> str:
    return encode(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


class Signer:
    """A key pair of one algorithm: RS256, ES256 or EdDSA."""

    def __init__(self, algorithm: str, key_id: str | None = None) -> None:
        makers: dict[str, Callable[[], Any]] = {
            "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate,
        }
        self.algorithm = algorithm
        self.key_id = key_id
        self.private = makers[algorithm]()

    @property
    def pem(self) -> str:
        """The public key."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()  # fmt: skip

    @property
    def private_pem(self) -> str:
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()  # fmt: skip

    @property
    def jwk(self) -> dict[str, Any]:
        public = self.private.public_key()
        if self.algorithm == "RS256":
            numbers = public.public_numbers()
            key = {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
        elif self.algorithm == "ES256":
            numbers = public.public_numbers()
            key = {"kty": "EC", "crv": "P-256", "x": _number(numbers.x, 32), "y": _number(numbers.y, 32)}
        else:
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            key = {"kty": "OKP", "crv": "Ed25519", "x": encode(raw)}
        return {**key, "use": "sig", "alg": self.algorithm, **({"kid": self.key_id} if self.key_id else {})}

    def token(self, claims: Mapping[str, Any], **header: Any) -> str:
        if self.key_id is not None:
            header.setdefault("kid", self.key_id)
        given = {name: value for name, value in header.items() if value is not None}
        return jwt.encode(dict(claims), self.private, self.algorithm, headers=given)


def key_set(*signers: Signer) -> bytes:
    return json.dumps({"keys": [signer.jwk for signer in signers]}).encode()


class KeySetServer:
    """Serves a key set over HTTP, or fails to in every way that a test asks for."""

    def __init__(self, body: bytes = b"") -> None:
        self.body = body
        self.status = 200
        self.headers: dict[str, str] = {}
        self.hangs = False
        self.requests: list[dict[str, str]] = []  # the headers of each
        self.statuses: list[int] = []  # of each answer
        self._ended = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append({name.lower(): value for name, value in self.headers.items()})
                if server.hangs:
                    server._ended.wait(60)
                    return
                self._answer()

            def _answer(self) -> None:
                tag = '"' + hashlib.sha256(server.body).hexdigest()[:16] + '"'
                same = server.status == 200 and self.headers.get("If-None-Match") == tag
                status = 304 if same else server.status
                body = b"" if same else server.body
                server.statuses.append(status)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("ETag", tag)
                for name, value in server.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass  # it did not want so much

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="key-set", daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/keys?tenant=query-of-the-key-set"

    def serve(self, *signers: Signer) -> None:
        self.status, self.hangs, self.body = 200, False, key_set(*signers)

    def stop(self) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()


def claims(sub: str | None = "alice", ttl_s: float = 600, **more: Any) -> dict[str, Any]:
    all_claims: dict[str, Any] = {"sub": sub, "exp": int(time.time() + ttl_s), **more}
    return {name: value for name, value in all_claims.items() if value is not None}


def unsigned(body: Mapping[str, Any], header: Mapping[str, Any]) -> str:
    """<header>.<claims>. without a signature."""
    return ".".join([encode(json.dumps(header).encode()), encode(json.dumps(body).encode()), ""])
