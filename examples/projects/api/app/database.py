# SPDX-License-Identifier: MPL-2.0
"""SQLite for many concurrent requests: one connection writes, several read.

In WAL mode readers never wait for the writer and see what was committed when they began. A
transaction is committed when `async with transaction()` ends, and not before: that is the moment
after which an event may be published.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aiosqlite

READERS = 4
BUSY_MS = 5000

SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL,
    avatar_url TEXT NOT NULL DEFAULT '',
    version INTEGER NOT NULL DEFAULT 1, updated_at_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS teams (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1, updated_at_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS team_members (
    team_id INTEGER NOT NULL REFERENCES teams(id), user_id TEXT NOT NULL REFERENCES users(id),
    PRIMARY KEY (team_id, user_id)
);
CREATE TABLE IF NOT EXISTS projects (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, description TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL DEFAULT 'active', owner_id TEXT NOT NULL REFERENCES users(id),
    team_id INTEGER NOT NULL REFERENCES teams(id),
    version INTEGER NOT NULL DEFAULT 1, updated_at_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS notifications (
    id INTEGER PRIMARY KEY AUTOINCREMENT, user_id TEXT NOT NULL REFERENCES users(id),
    title TEXT NOT NULL, body TEXT NOT NULL, kind TEXT NOT NULL DEFAULT 'message',
    link TEXT NOT NULL DEFAULT '', is_read INTEGER NOT NULL DEFAULT 0,
    created_at_ms INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS notifications_of_user ON notifications(user_id, id);
"""

USERS = [("u1", "Ada"), ("u2", "Grace"), ("u3", "Linus")]
TEAMS = [(1, "Compilers", ["u1", "u2"]), (2, "Kernels", ["u3"])]
PROJECTS = [
    ("Analytical engine", "Cards in, tables out", "u1", 1),
    ("First compiler", "A program that writes programs", "u2", 1),
    ("Just a hobby", "Won't be big and professional", "u3", 2),
]

Row = dict[str, Any]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Connection:
    """Rows as dicts. Belongs to one task at a time."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def all(self, statement: str, values: Iterable[Any] = ()) -> list[Row]:
        rows = await self._connection.execute_fetchall(statement, tuple(values))
        return [dict(row) for row in rows]

    async def one(self, statement: str, values: Iterable[Any] = ()) -> Row | None:
        rows = await self.all(statement, values)
        return rows[0] if rows else None

    async def execute(self, statement: str, values: Iterable[Any] = ()) -> int:
        """The id of the row that an INSERT made, else the number of rows changed."""
        async with self._connection.execute(statement, tuple(values)) as cursor:
            inserted = statement.lstrip().upper().startswith("INSERT")
            return int((cursor.lastrowid if inserted else cursor.rowcount) or 0)


class Database:
    def __init__(self, path: str) -> None:
        self._path = path
        self._writer: Connection | None = None
        self._writing = asyncio.Lock()
        self._readers: asyncio.Queue[Connection] = asyncio.Queue()
        self._opened: list[aiosqlite.Connection] = []
        self.reads = 0
        """How often anything was read from here: what the cache saves."""

    async def open(self) -> None:
        self._writer = await self._connect()
        raw = self._opened[0]
        await raw.execute("PRAGMA journal_mode = WAL")
        await raw.execute("PRAGMA synchronous = NORMAL")
        await raw.executescript(SCHEMA)
        async with self.transaction() as transaction:
            if not await transaction.one("SELECT 1 FROM users"):
                await _fill(transaction)
        for _ in range(READERS):
            self._readers.put_nowait(await self._connect())

    async def close(self) -> None:
        opened, self._opened = self._opened, []
        for connection in opened:
            await connection.close()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        """One snapshot: every statement in it sees the same commits."""
        self.reads += 1
        connection = await self._readers.get()
        try:
            await connection.execute("BEGIN")
            yield connection
        finally:
            try:
                await connection.execute("ROLLBACK")
            finally:
                self._readers.put_nowait(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Committed at the end; rolled back when anything is raised inside."""
        assert self._writer is not None
        async with self._writing:
            await self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                await self._writer.execute("ROLLBACK")
                raise
            await self._writer.execute("COMMIT")

    async def _connect(self) -> Connection:
        # isolation_level None: transactions begin where this file says so.
        connection = await aiosqlite.connect(self._path, isolation_level=None)
        connection.row_factory = sqlite3.Row
        await connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        await connection.execute("PRAGMA foreign_keys = ON")
        self._opened.append(connection)
        return Connection(connection)


async def _fill(transaction: Connection) -> None:
    """What a new database begins with."""
    now = now_ms()
    for user_id, name in USERS:
        await transaction.execute(
            "INSERT INTO users (id, name, email, updated_at_ms) VALUES (?, ?, ?, ?)",
            (user_id, name, f"{name.lower()}@example.com", now),
        )
    for team_id, name, members in TEAMS:
        await transaction.execute(
            "INSERT INTO teams (id, name, updated_at_ms) VALUES (?, ?, ?)", (team_id, name, now)
        )
        for user_id in members:
            await transaction.execute(
                "INSERT INTO team_members (team_id, user_id) VALUES (?, ?)", (team_id, user_id)
            )
    for name, description, owner_id, team_id in PROJECTS:
        await transaction.execute(
            "INSERT INTO projects (name, description, owner_id, team_id, updated_at_ms)"
            " VALUES (?, ?, ?, ?, ?)",
            (name, description, owner_id, team_id, now),
        )
