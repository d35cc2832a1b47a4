# SPDX-License-Identifier: MPL-2.0
"""What the environment says."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger("projects")

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Settings:
    redis_url: str = "redis://127.0.0.1:6379/0"
    database_path: str = "projects.sqlite3"
    gateway_url: str = "ws://127.0.0.1:8080"
    """Told to the page by GET /api/config."""
    publish_endpoint: str = "tcp://127.0.0.1:7002"
    web_dist: Path = HERE.parent.parent / "web" / "dist"
    jwt_secret: str = field(default="", repr=False)
    """The gateway's: it accepts the tokens that POST /api/login signs."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        def get(name: str, default: str) -> str:
            return environ.get(name) or default

        return cls(
            redis_url=get("REDIS_URL", cls.redis_url),
            database_path=get("DATABASE_PATH", cls.database_path),
            gateway_url=get("FRESHWIRE_GATEWAY_URL", cls.gateway_url).rstrip("/"),
            publish_endpoint=get("FRESHWIRE_PUBLISH_ENDPOINT", cls.publish_endpoint),
            web_dist=Path(get("WEB_DIST", str(cls.web_dist))),
            jwt_secret=_secret(environ),
        )


def _secret(environ: Mapping[str, str]) -> str:
    name = "FRESHWIRE_GATEWAY_JWT_SECRET"
    if environ.get(f"{name}_FILE"):
        return Path(environ[f"{name}_FILE"]).read_text(encoding="utf-8").strip()
    if environ.get(name):
        return environ[name]
    log.warning("%s is not set: this API accepts its own tokens, the gateway will not", name)
    return secrets.token_urlsafe(32)
