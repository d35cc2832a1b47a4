# SPDX-License-Identifier: MPL-2.0
"""The API. Two rules make it live:

    reads      go through the cache, under the tags of everything that they show;
    mutations  commit, and then publish an event that names what they made stale.

Freshwire does the rest: it purges the cache, and only then tells every browser that shows the data.
"""

# No `from __future__ import annotations`: the routes are closures, whose annotations FastAPI could
# not resolve from their names.
import sqlite3
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Path, Response
from pydantic import BaseModel, Field

from freshwire import BROADCAST, Invalidate, user_channel
from freshwire.fastapi import Events, SyncEvents

from . import queries
from .auth import Principal, Tokens
from .database import Database
from .reads import Reads

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
    reads: Reads
    tokens: Tokens
    sync_events: SyncEvents
    gateway_url: str
    publisher: Any


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
            "reads": services.reads.counts,
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
    def stale(project_id: int) -> Invalidate:
        return Invalidate(tags=["projects", f"project:{project_id}"])

    @router.get("/projects")
    async def list_projects(_: Principal = Depends(services.tokens.anyone)) -> Any:
        return await services.reads.read(
            "/api/projects", "projects", ["projects"], queries.projects
        )

    @router.get("/projects/{project_id}")
    async def get_project(
        project_id: int = Path(ge=1, le=ROW_ID_MAX), _: Principal = Depends(services.tokens.anyone)
    ) -> Any:
        project = await services.reads.read(
            "/api/projects/{id}",
            f"project:{project_id}",
            [f"project:{project_id}"],
            lambda connection: queries.project(connection, project_id),
        )
        return _found(project, "project")

    @router.post("/projects", status_code=201)
    async def create_project(
        body: NewProject,
        who: Principal = Depends(services.tokens.signed_in),
        events: Events = Depends(services.sync_events),
    ) -> Any:
        try:
            async with services.database.transaction() as transaction:
                project = await queries.create_project(
                    transaction, body.name, body.description, body.team_id, who.user_id
                )
        except sqlite3.IntegrityError:
            raise HTTPException(422, "there is no such team") from None
        await events.publish(
            "project_created",
            data=project,
            audience=BROADCAST,
            invalidate=stale(int(project["id"])),
            user_id=who.user_id,
        )
        return project

    @router.put("/projects/{project_id}")
    async def update_project(
        body: ProjectChange,
        project_id: int = Path(ge=1, le=ROW_ID_MAX),
        who: Principal = Depends(services.tokens.signed_in),
        events: Events = Depends(services.sync_events),
    ) -> Any:
        changes = _changes(body)
        expected = changes.pop("version", None)
        async with services.database.transaction() as transaction:
            before = _found(await queries.project(transaction, project_id), "project")
            if expected not in (None, before["version"]):
                raise HTTPException(409, f"the project is at version {before['version']} now")
            project = await queries.update_project(transaction, project_id, changes)
        await events.publish(
            "project_updated",
            data=project,
            audience=BROADCAST,
            invalidate=stale(project_id),
            user_id=who.user_id,
        )
        return project

    @router.delete("/projects/{project_id}")
    async def delete_project(
        project_id: int = Path(ge=1, le=ROW_ID_MAX),
        who: Principal = Depends(services.tokens.signed_in),
        events: Events = Depends(services.sync_events),
    ) -> Any:
        async with services.database.transaction() as transaction:
            project = _found(await queries.delete_project(transaction, project_id), "project")
        gone = {
            "id": project["id"],
            "team_id": project["team_id"],
            "version": project["version"] + 1,
        }
        await events.publish(
            "project_deleted",
            data=gone,
            audience=BROADCAST,
            invalidate=stale(project_id),
            user_id=who.user_id,
        )
        return gone


def _teams(router: APIRouter, services: Services) -> None:
    @router.get("/teams")
    async def list_teams(_: Principal = Depends(services.tokens.anyone)) -> Any:
        return await services.reads.read("/api/teams", "teams", ["teams"], queries.teams)

    @router.put("/teams/{team_id}")
    async def update_team(
        body: TeamChange,
        team_id: int = Path(ge=1, le=ROW_ID_MAX),
        who: Principal = Depends(services.tokens.signed_in),
        events: Events = Depends(services.sync_events),
    ) -> Any:
        changes = _changes(body)
        member_ids = changes.pop("member_ids", None)
        if len(member_ids or ()) > MEMBERS_MAX:
            raise HTTPException(422, f"a team has at most {MEMBERS_MAX} members")
        try:
            async with services.database.transaction() as transaction:
                team = _found(
                    await queries.update_team(transaction, team_id, changes, member_ids), "team"
                )
        except sqlite3.IntegrityError:
            raise HTTPException(422, "member_ids names somebody who is no user") from None
        await events.publish(
            "team_updated",
            data=team,
            audience=BROADCAST,
            invalidate=Invalidate(tags=["teams"]),
            user_id=who.user_id,
        )
        return team


def _users(router: APIRouter, services: Services) -> None:
    @router.get("/users/me")
    async def get_me(who: Principal = Depends(services.tokens.signed_in)) -> Any:
        user = await services.reads.read(
            "/api/users/me",
            f"user:{who.user_id}",
            [f"user:{who.user_id}"],
            lambda connection: queries.user(connection, who.user_id),
        )
        return _found(user, "user")

    @router.put("/users/me")
    async def update_me(
        body: UserChange,
        who: Principal = Depends(services.tokens.signed_in),
        events: Events = Depends(services.sync_events),
    ) -> Any:
        async with services.database.transaction() as transaction:
            user = _found(
                await queries.update_user(transaction, who.user_id, _changes(body)), "user"
            )
        await events.publish(
            "user_updated",
            data=user,
            audience=user_channel(who.user_id),
            invalidate=Invalidate(tags=[f"user:{who.user_id}"]),
            user_id=who.user_id,
        )
        return user


def _notifications(router: APIRouter, services: Services) -> None:
    def stale(user_id: str) -> Invalidate:
        return Invalidate(tags=[f"notifications:{user_id}"])

    @router.get("/notifications")
    async def list_notifications(who: Principal = Depends(services.tokens.signed_in)) -> Any:
        return await services.reads.read(
            "/api/notifications",
            f"notifications:{who.user_id}",
            [f"notifications:{who.user_id}"],
            lambda connection: queries.notifications(connection, who.user_id),
        )

    @router.post("/notifications", status_code=201)
    async def create_notification(
        body: NewNotification,
        who: Principal = Depends(services.tokens.signed_in),
        events: Events = Depends(services.sync_events),
    ) -> Any:
        try:
            async with services.database.transaction() as transaction:
                notification = await queries.create_notification(
                    transaction, body.user_id, body.title, body.body
                )
        except sqlite3.IntegrityError:
            raise HTTPException(422, "there is no such user") from None
        await events.publish(
            "notification_created",
            data=notification,
            audience=user_channel(body.user_id),
            invalidate=stale(body.user_id),
            user_id=who.user_id,
        )
        return notification

    @router.post("/notifications/{notification_id}/read")
    async def read_notification(
        notification_id: int = Path(ge=1, le=ROW_ID_MAX),
        who: Principal = Depends(services.tokens.signed_in),
        events: Events = Depends(services.sync_events),
    ) -> Any:
        async with services.database.transaction() as transaction:
            notification = _found(
                await queries.mark_read(transaction, notification_id, who.user_id), "notification"
            )
        # Not one of the six types that have a schema: any other type is as good.
        await events.publish(
            "notification_read",
            data={"id": notification["id"], "user_id": who.user_id},
            audience=user_channel(who.user_id),
            invalidate=stale(who.user_id),
            user_id=who.user_id,
        )
        return notification


def _dashboard(router: APIRouter, services: Services) -> None:
    @router.get("/dashboard")
    async def dashboard(who: Principal = Depends(services.tokens.anyone)) -> Any:
        return await services.reads.read(
            "/api/dashboard",
            f"dashboard:{who.user_id}",
            ["projects", "teams", f"notifications:{who.user_id}"],
            lambda connection: queries.dashboard(connection, who.user_id),
        )


def _changes(body: BaseModel) -> dict[str, Any]:
    """What the request really contains. `null` leaves a value as it is."""
    dump = getattr(body, "model_dump", None) or body.dict  # pydantic 2, pydantic 1
    return {name: value for name, value in dump(exclude_unset=True).items() if value is not None}


def _found(row: Any, what: str) -> Any:
    if row is None:
        raise HTTPException(404, f"there is no such {what}")
    return row
