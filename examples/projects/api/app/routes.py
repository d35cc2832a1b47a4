# SPDX-License-Identifier: MPL-2.0
"""The API. Two rules make it live:

    reads      are `@cached` under the tags of everything that they show;
    mutations  commit, and then publish what they made stale: `@invalidates`.

Freshwire does the rest: it purges the cache, and only then tells every browser that shows the data.
"""

# No `from __future__ import annotations`: the routes are closures, whose annotations FastAPI could
# not resolve from their names.
import sqlite3
from dataclasses import dataclass, field
from typing import Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Path, Response
from pydantic import BaseModel, Field

from freshwire import BROADCAST
from freshwire.cache import Cache

from . import queries
from .auth import Principal, Tokens
from .database import Database

MEMBERS_MAX = 100
# Ids in paths are numbers: as texts, "1" and "01" would be one row, but two keys and two tags, and
# a change of project 1 would leave the entry of project 01 alone.
ROW_ID_MAX = 2**53


class Login(BaseModel):
    user: str = Field(min_length=1, max_length=100)


class NewProject(BaseModel):
    name: str = Field(min_length=1, max_length=120)
    description: str = Field(default="", max_length=2000)
    team_id: str = Field(default="1", max_length=20)


class ProjectChange(BaseModel):
    name: str | None = Field(default=None, min_length=1, max_length=120)
    description: str | None = Field(default=None, max_length=2000)
    status: Literal["active", "paused", "done"] | None = None
    version: int | None = None
    """The version that the change was made on; 409 when it is no longer the present one."""


class TeamChange(BaseModel):
    name: str | None = Field(default=None, min_length=1, max_length=120)
    member_ids: list[str] | None = None


class UserChange(BaseModel):
    name: str | None = Field(default=None, min_length=1, max_length=120)
    email: str | None = Field(default=None, max_length=200)
    avatar_url: str | None = Field(default=None, max_length=500)


class NewNotification(BaseModel):
    user_id: str = Field(min_length=1, max_length=100)
    title: str = Field(min_length=1, max_length=200)
    body: str = Field(default="", max_length=2000)


@dataclass(frozen=True)
class Services:
    database: Database
    cache: Cache
    tokens: Tokens
    gateway_url: str
    publisher: Any
    reads: dict[str, dict[str, int]] = field(default_factory=dict)
    """How often each route was answered from the cache, and how often not."""


def api_routes(services: Services) -> APIRouter:
    router = APIRouter(prefix="/api")
    for add in (_system, _projects, _teams, _users, _notifications, _dashboard):
        add(router, services)
    return router


def _system(router: APIRouter, services: Services) -> None:
    @router.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/config")
    async def config(response: Response) -> dict[str, str]:
        response.headers["Cache-Control"] = "no-store"
        return {"gateway": services.gateway_url}

    @router.get("/stats")
    async def stats(response: Response) -> dict[str, Any]:
        response.headers["Cache-Control"] = "no-store"
        publisher_stats = getattr(services.publisher, "stats", None)
        return {
            "reads": services.reads,
            "database_reads": services.database.reads,
            "publisher": publisher_stats().as_dict() if publisher_stats else {},
        }

    @router.post("/login")
    async def login(body: Login) -> dict[str, Any]:
        """Development only: whoever names a user is that user."""
        async with services.database.read() as connection:
            user = await queries.user_by_name(connection, body.user)
        if user is None:
            raise HTTPException(401, "there is no such user")
        return {"token": services.tokens.issue(user["id"], user["name"]), "user": user}


def _projects(router: APIRouter, services: Services) -> None:
    cache, database = services.cache, services.database
    anyone, signed_in = services.tokens.anyone, services.tokens.signed_in

    @router.get("/projects")
    @cache.cached(key="projects", tags=["projects"])
    async def list_projects(_: Principal = Depends(anyone)) -> Any:
        async with database.read() as connection:
            return await queries.projects(connection)

    @router.get("/projects/{project_id}")
    @cache.cached(key="project:{project_id}", tags=["project:{project_id}"])
    async def get_project(
        project_id: int = Path(ge=1, le=ROW_ID_MAX), _: Principal = Depends(anyone)
    ) -> Any:
        async with database.read() as connection:
            return _found(await queries.project(connection, project_id), "project")

    @router.post("/projects", status_code=201)
    @cache.invalidates(
        "projects",
        "project:{result.id}",
        event="project_created",
        audience=BROADCAST,
        user_id="{who.user_id}",
    )
    async def create_project(body: NewProject, who: Principal = Depends(signed_in)) -> Any:
        try:
            async with database.transaction() as transaction:
                return await queries.create_project(
                    transaction, body.name, body.description, body.team_id, who.user_id
                )
        except sqlite3.IntegrityError:
            raise HTTPException(422, "there is no such team") from None

    @router.put("/projects/{project_id}")
    @cache.invalidates(
        "projects",
        "project:{project_id}",
        event="project_updated",
        audience=BROADCAST,
        user_id="{who.user_id}",
    )
    async def update_project(
        body: ProjectChange,
        project_id: int = Path(ge=1, le=ROW_ID_MAX),
        who: Principal = Depends(signed_in),
    ) -> Any:
        changes = _changes(body)
        expected = changes.pop("version", None)
        async with database.transaction() as transaction:
            before = _found(await queries.project(transaction, project_id), "project")
            if expected not in (None, before["version"]):
                raise HTTPException(409, f"the project is at version {before['version']} now")
            return await queries.update_project(transaction, project_id, changes)

    @router.delete("/projects/{project_id}")
    @cache.invalidates(
        "projects",
        "project:{project_id}",
        event="project_deleted",
        audience=BROADCAST,
        user_id="{who.user_id}",
    )
    async def delete_project(
        project_id: int = Path(ge=1, le=ROW_ID_MAX), who: Principal = Depends(signed_in)
    ) -> Any:
        async with database.transaction() as transaction:
            gone = _found(await queries.delete_project(transaction, project_id), "project")
        return {"id": gone["id"], "team_id": gone["team_id"], "version": gone["version"] + 1}


def _teams(router: APIRouter, services: Services) -> None:
    cache, database = services.cache, services.database

    @router.get("/teams")
    @cache.cached(key="teams", tags=["teams"])
    async def list_teams(_: Principal = Depends(services.tokens.anyone)) -> Any:
        async with database.read() as connection:
            return await queries.teams(connection)

    @router.put("/teams/{team_id}")
    @cache.invalidates("teams", event="team_updated", audience=BROADCAST, user_id="{who.user_id}")
    async def update_team(
        body: TeamChange,
        team_id: int = Path(ge=1, le=ROW_ID_MAX),
        who: Principal = Depends(services.tokens.signed_in),
    ) -> Any:
        changes = _changes(body)
        members = changes.pop("member_ids", None)
        if len(members or ()) > MEMBERS_MAX:
            raise HTTPException(422, f"a team has at most {MEMBERS_MAX} members")
        try:
            async with database.transaction() as transaction:
                team = await queries.update_team(transaction, team_id, changes, members)
                return _found(team, "team")
        except sqlite3.IntegrityError:
            raise HTTPException(422, "member_ids names somebody who is no user") from None


def _users(router: APIRouter, services: Services) -> None:
    cache, database = services.cache, services.database
    signed_in = services.tokens.signed_in

    @router.get("/users/me")
    @cache.cached(key="user:{who.user_id}", tags=["user:{who.user_id}"])
    async def get_me(who: Principal = Depends(signed_in)) -> Any:
        async with database.read() as connection:
            return _found(await queries.user(connection, who.user_id), "user")

    @router.put("/users/me")
    @cache.invalidates(
        "user:{who.user_id}",
        event="user_updated",
        audience="user:{who.user_id}",
        user_id="{who.user_id}",
    )
    async def update_me(body: UserChange, who: Principal = Depends(signed_in)) -> Any:
        async with database.transaction() as transaction:
            user = await queries.update_user(transaction, who.user_id, _changes(body))
            return _found(user, "user")


def _notifications(router: APIRouter, services: Services) -> None:
    cache, database = services.cache, services.database
    signed_in = services.tokens.signed_in

    @router.get("/notifications")
    @cache.cached(key="notifications:{who.user_id}", tags=["notifications:{who.user_id}"])
    async def list_notifications(who: Principal = Depends(signed_in)) -> Any:
        async with database.read() as connection:
            return await queries.notifications(connection, who.user_id)

    @router.post("/notifications", status_code=201)
    @cache.invalidates(
        "notifications:{body.user_id}",
        event="notification_created",
        audience="user:{body.user_id}",
        user_id="{who.user_id}",
    )
    async def create_notification(
        body: NewNotification, who: Principal = Depends(signed_in)
    ) -> Any:
        try:
            async with database.transaction() as transaction:
                return await queries.create_notification(
                    transaction, body.user_id, body.title, body.body
                )
        except sqlite3.IntegrityError:
            raise HTTPException(422, "there is no such user") from None

    # Not one of the six types that have a schema: any other type is as good.
    @router.post("/notifications/{notification_id}/read")
    @cache.invalidates(
        "notifications:{who.user_id}",
        event="notification_read",
        audience="user:{who.user_id}",
        user_id="{who.user_id}",
        data=lambda row: {"id": row["id"], "user_id": row["user_id"]},
    )
    async def read_notification(
        notification_id: int = Path(ge=1, le=ROW_ID_MAX), who: Principal = Depends(signed_in)
    ) -> Any:
        async with database.transaction() as transaction:
            row = await queries.mark_read(transaction, notification_id, who.user_id)
            return _found(row, "notification")


def _dashboard(router: APIRouter, services: Services) -> None:
    @router.get("/dashboard")
    @services.cache.cached(
        key="dashboard:{who.user_id}",
        tags=["projects", "teams", "notifications:{who.user_id}"],
    )
    async def dashboard(who: Principal = Depends(services.tokens.anyone)) -> Any:
        async with services.database.read() as connection:
            return await queries.dashboard(connection, who.user_id)


def _changes(body: BaseModel) -> dict[str, Any]:
    """What the request really contains. `null` leaves a value as it is."""
    dump = getattr(body, "model_dump", None) or body.dict  # pydantic 2, pydantic 1
    return {name: value for name, value in dump(exclude_unset=True).items() if value is not None}


def _found(row: Any, what: str) -> Any:
    if row is None:
        raise HTTPException(404, f"there is no such {what}")
    return row
