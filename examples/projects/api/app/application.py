# SPDX-License-Identifier: MPL-2.0
"""Puts the application together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from freshwire import AsyncPublisher, Delivery
from freshwire.cache import Cache, CacheHeaders

from .auth import Tokens
from .database import Database
from .pages import Pages
from .reads import CountReads
from .routes import Services, api_routes
from .settings import Settings


def create_app(settings: Settings, publisher: Any = None) -> FastAPI:
    """`publisher` takes the place of the real one in tests."""
    mine = publisher is None
    publisher = publisher or AsyncPublisher(settings.publish_endpoint, name="projects-api")
    database = Database(settings.database_path)
    # "accepted": the answer does not wait for the purge, only for the event's place. The browser
    # that sent the request hears of it like every other, when the purge is done.
    cache = Cache(settings.redis_url, ttl=300, publisher=Delivery(publisher, level="accepted"))
    services = Services(
        database=database,
        cache=cache,
        tokens=Tokens(settings.jwt_secret),
        gateway_url=settings.gateway_url,
        publisher=publisher,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await database.open()
        yield
        if mine:
            await publisher.close()
        await cache.close()
        await database.close()

    app = FastAPI(title="Projects", docs_url="/api/docs", openapi_url="/api/openapi.json")
    app.router.lifespan_context = lifespan  # FastAPI before 0.93 has no parameter for it.
    app.add_middleware(CountReads, counts=services.reads)
    app.add_middleware(CacheHeaders)
    app.include_router(api_routes(services))
    app.mount("/", Pages(settings.web_dist))
    app.state.services = services
    app.state.cache = cache
    return app
