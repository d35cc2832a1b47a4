# SPDX-License-Identifier: MPL-2.0
"""What a publisher can be told, and where the environment says it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEFAULT_ENDPOINT = "tcp://127.0.0.1:7002"
_CURVE_KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
_ZMQ_ENDPOINT = re.compile(r"tcp://\S+:\d+|(ipc|inproc)://\S+")


def _default_name() -> str:
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    return f"{program}:{os.getpid()}"[:128]


@dataclass(frozen=True)
class Curve:
    """Keys of the link to the broker, each 40 characters of `freshwire keys`."""

    secret_key: str = field(repr=False)
    """This publisher's own; the broker knows the public one (security.peers)."""
    server_keys: tuple[str, ...] | str
    """The broker's public key; several while it gets a new one."""

    def __post_init__(self) -> None:
        if isinstance(self.server_keys, str):
            object.__setattr__(self, "server_keys", (self.server_keys,))
        if not _CURVE_KEY.fullmatch(self.secret_key):
            raise ValueError("the secret key of the link is not 40 characters of Z85")
        if not self.server_keys:
            raise ValueError("a link with keys needs the broker's public key")
        for key in self.server_keys:
            if not _CURVE_KEY.fullmatch(key):
                raise ValueError(f"not a public key of 40 characters of Z85: {key!r}")


@dataclass(frozen=True)
class Settings:
    endpoint: str = DEFAULT_ENDPOINT
    """tcp://host:port of the broker's acknowledged publish socket; http(s)://host:port of a
    gateway."""
    name: str = field(default_factory=_default_name)
    """For the broker's log."""
    timeout: float = 5.0
    """Seconds after which an event without an acknowledgement is given up."""
    queue_max: int = 1024
    """Events without an outcome, at most; more are refused with OverloadError."""
    in_flight_max: int = 256
    """Events sent and not answered, at most; the broker's credit may be lower."""
    linger: float = 1.0
    """Seconds that close() waits for what is on its way."""
    key: str = field(default="", repr=False)
    """Bearer key of POST /v1/events (HTTP only)."""
    curve: Curve | None = None
    """Keys of the link (ZeroMQ only); without them the broker must accept links in the clear."""

    def __post_init__(self) -> None:
        if not self.endpoint:
            raise ValueError("the publish endpoint is empty")
        if self.timeout <= 0 or self.linger < 0 or self.queue_max < 1 or self.in_flight_max < 1:
            raise ValueError(
                "timeout, queue_max and in_flight_max must be positive, linger not negative"
            )

    def require_zmq(self) -> Settings:
        """Now rather than in the background, where nobody would see it."""
        if not _ZMQ_ENDPOINT.fullmatch(self.endpoint):
            raise ValueError(f"not a ZeroMQ endpoint (tcp://host:port): {self.endpoint}")
        return self


def _value_or_file(environ: Mapping[str, str], name: str) -> str:
    if environ.get(f"{name}_FILE"):
        return Path(environ[f"{name}_FILE"]).read_text(encoding="utf-8")
    return environ.get(name, "")


def settings_from_env(
    options: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """The options, completed from FRESHWIRE_PUBLISH_{ENDPOINT,TIMEOUT,KEY,KEY_FILE} and, for the
    keys of the link, FRESHWIRE_SECURITY_{SECRET_KEY,SERVER_KEYS}, each also with _FILE. Empty means
    unset."""
    found: dict[str, Any] = {}
    if environ.get("FRESHWIRE_PUBLISH_ENDPOINT"):
        found["endpoint"] = environ["FRESHWIRE_PUBLISH_ENDPOINT"]
    if environ.get("FRESHWIRE_PUBLISH_TIMEOUT"):
        found["timeout"] = float(environ["FRESHWIRE_PUBLISH_TIMEOUT"])
    if environ.get("FRESHWIRE_PUBLISH_KEY_FILE"):
        found["key"] = (
            Path(environ["FRESHWIRE_PUBLISH_KEY_FILE"]).read_text(encoding="utf-8").strip()
        )
    elif environ.get("FRESHWIRE_PUBLISH_KEY"):
        found["key"] = environ["FRESHWIRE_PUBLISH_KEY"]
    secret_key = _value_or_file(environ, "FRESHWIRE_SECURITY_SECRET_KEY").strip()
    if secret_key:
        server_keys = _value_or_file(environ, "FRESHWIRE_SECURITY_SERVER_KEYS")
        keys = tuple(key for key in re.split(r"[,\s]+", server_keys) if key)
        found["curve"] = Curve(secret_key, keys)
    return {**found, **{name: value for name, value in options.items() if value is not None}}
