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
_ZMQ_ENDPOINT = re.compile(r"tcp://\S+:\d+|(ipc|inproc)://\S+")


def _default_name() -> str:
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    return f"{program}:{os.getpid()}"[:128]


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


def settings_from_env(
    options: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """The options, completed from FRESHWIRE_PUBLISH_{ENDPOINT,TIMEOUT,KEY,KEY_FILE}. Empty means
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
    return {**found, **{name: value for name, value in options.items() if value is not None}}
