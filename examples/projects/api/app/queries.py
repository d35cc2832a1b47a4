# SPDX-License-Identifier: MPL-2.0
"""Every statement of the application. Rows leave here in the form that browsers see: ids are texts,
versions are numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .database import Connection, Row, now_ms

NOTIFICATIONS_SHOWN = 100
RECENT_SHOWN = 5

_PROJECT = (
    "SELECT CAST(id AS TEXT) AS id, name, description, status, owner_id,"
    " CAST(team_id AS TEXT) AS team_id, version, updated_at_ms FROM projects"
)
_USER = "SELECT id, name, email, avatar_url, version, updated_at_ms FROM users"
_NOTIFICATION = (
    "SELECT CAST(id AS TEXT) AS id, user_id, title, body, kind, link, is_read, created_at_ms"
    " FROM notifications"
)


async def projects(database: Connection) -> list[Row]:
    return await database.all(f"{_PROJECT} ORDER BY projects.id DESC")


async def project(database: Connection, project_id: int) -> Row | None:
    return await database.one(f"{_PROJECT} WHERE id = ?", (project_id,))


async def create_project(
    transaction: Connection, name: str, description: str, team_id: str, owner_id: str
) -> Row:
    inserted = await transaction.execute(
        "INSERT INTO projects (name, description, owner_id, team_id, updated_at_ms)"
        " VALUES (?, ?, ?, ?, ?)",
        (name, description, owner_id, team_id, now_ms()),
    )
    return _there(await project(transaction, inserted))


async def update_project(
    transaction: Connection, project_id: int, changes: Mapping[str, Any]
) -> Row | None:
    await _update(transaction, "projects", project_id, changes)
    return await project(transaction, project_id)


async def delete_project(transaction: Connection, project_id: int) -> Row | None:
    before = await project(transaction, project_id)
    await transaction.execute("DELETE FROM projects WHERE id = ?", (project_id,))
    return before


async def teams(database: Connection) -> list[Row]:
    found = await database.all(
        "SELECT CAST(id AS TEXT) AS id, name, version, updated_at_ms FROM teams ORDER BY teams.id"
    )
    members = await database.all(
        "SELECT CAST(team_id AS TEXT) AS team_id, user_id FROM team_members ORDER BY user_id"
    )
    for team in found:
        team["member_ids"] = [row["user_id"] for row in members if row["team_id"] == team["id"]]
    return found


async def team(database: Connection, team_id: int) -> Row | None:
    return next((team for team in await teams(database) if team["id"] == str(team_id)), None)


async def update_team(
    transaction: Connection, team_id: int, changes: Mapping[str, Any], member_ids: list[str] | None
) -> Row | None:
    """None when there is no such team. sqlite3.IntegrityError when a member is no user."""
    if not await _update(transaction, "teams", team_id, changes):
        return None
    if member_ids is not None:
        await transaction.execute("DELETE FROM team_members WHERE team_id = ?", (team_id,))
        for user_id in sorted(set(member_ids)):
            await transaction.execute(
                "INSERT INTO team_members (team_id, user_id) VALUES (?, ?)", (team_id, user_id)
            )
    return await team(transaction, team_id)


async def user(database: Connection, user_id: str) -> Row | None:
    return await database.one(f"{_USER} WHERE id = ?", (user_id,))


async def user_by_name(database: Connection, name: str) -> Row | None:
    return await database.one(f"{_USER} WHERE id = ? OR name = ? COLLATE NOCASE", (name, name))


async def update_user(
    transaction: Connection, user_id: str, changes: Mapping[str, Any]
) -> Row | None:
    await _update(transaction, "users", user_id, changes)
    return await user(transaction, user_id)


async def notifications(database: Connection, user_id: str) -> list[Row]:
    rows = await database.all(
        f"{_NOTIFICATION} WHERE user_id = ? ORDER BY notifications.id DESC LIMIT ?",
        (user_id, NOTIFICATIONS_SHOWN),
    )
    return [_notification(row) for row in rows]


async def notification(database: Connection, notification_id: int, user_id: str) -> Row | None:
    row = await database.one(
        f"{_NOTIFICATION} WHERE id = ? AND user_id = ?", (notification_id, user_id)
    )
    return _notification(row) if row else None


async def create_notification(transaction: Connection, user_id: str, title: str, body: str) -> Row:
    inserted = await transaction.execute(
        "INSERT INTO notifications (user_id, title, body, created_at_ms) VALUES (?, ?, ?, ?)",
        (user_id, title, body, now_ms()),
    )
    return _there(await notification(transaction, inserted, user_id))


async def mark_read(transaction: Connection, notification_id: int, user_id: str) -> Row | None:
    await transaction.execute(
        "UPDATE notifications SET is_read = 1 WHERE id = ? AND user_id = ?",
        (notification_id, user_id),
    )
    return await notification(transaction, notification_id, user_id)


async def dashboard(database: Connection, user_id: str) -> Row:
    counts = _there(
        await database.one(
            "SELECT (SELECT COUNT(*) FROM projects) AS projects,"
            " (SELECT COUNT(*) FROM projects WHERE status = 'active') AS active_projects,"
            " (SELECT COUNT(*) FROM teams) AS teams,"
            " (SELECT COUNT(*) FROM notifications WHERE user_id = ? AND is_read = 0) AS unread",
            (user_id,),
        )
    )
    recent = await database.all(
        f"{_PROJECT} ORDER BY updated_at_ms DESC, projects.id DESC LIMIT ?", (RECENT_SHOWN,)
    )
    return {**counts, "recent_projects": recent}


async def _update(
    transaction: Connection, table: str, row_id: int | str, changes: Mapping[str, Any]
) -> int:
    """Sets the columns that `changes` names (by the application, never by a request), and counts
    the version up."""
    columns = "".join(f"{column} = ?, " for column in changes)
    return await transaction.execute(
        f"UPDATE {table} SET {columns}version = version + 1, updated_at_ms = ? WHERE id = ?",
        (*changes.values(), now_ms(), row_id),
    )


def _notification(row: Row) -> Row:
    return {**row, "is_read": bool(row["is_read"])}


def _there(row: Row | None) -> Row:
    assert row is not None
    return row
