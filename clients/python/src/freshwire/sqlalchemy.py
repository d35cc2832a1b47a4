# SPDX-License-Identifier: MPL-2.0
"""Events that wait for the commit of a SQLAlchemy session, 1.4 or 2, sync or async.

    publish_after_commit(session, cache.delivery, Event.make("project_created", …))

`Cache.invalidates` and `Cache.cached` use this by themselves when a session is among the arguments
of the function. What is easy to get wrong, and was tried:

  - `after_commit` also fires when a SAVEPOINT is released: nothing is committed yet.
  - A SAVEPOINT that is rolled back takes along the events of its part, and only those.
  - A session that is closed without a commit rolls back without saying so.
  - In `after_commit` no statement can be made any more, and nothing may block: events are made
    before, and only handed in there.
  - Bulk UPDATE and DELETE leave `session.dirty` and `session.deleted` empty.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from freshwire.delivery import Delivery
from freshwire.events import Event

log = logging.getLogger("freshwire.sqlalchemy")

_STATE = "freshwire"
_READING_WORDS = ("SELECT", "WITH", "SHOW", "EXPLAIN", "PRAGMA", "VALUES", "DESCRIBE")
_ONE_STATEMENT_LEVELS = ("READ COMMITTED", "READ UNCOMMITTED", "AUTOCOMMIT")
"""Isolation levels under which each statement sees the last commits."""


@dataclass
class _Waiting:
    event: Event
    delivery: Delivery
    transactions: tuple[Any, ...]
    """The innermost at the time, its parent, and so on."""


@dataclass
class _State:
    """Of one session, in its `info`."""

    wrote: bool = False
    """Something was written and is not committed."""
    commits: int = 0
    rollbacks: int = 0
    waiting: list[_Waiting] = field(default_factory=list)


def publish_after_commit(session: Any, delivery: Delivery, event: Event) -> None:
    """The event is published when the present transaction of the session is committed, and
    forgotten when it, or the SAVEPOINT that it is in, is rolled back."""
    _install()
    plain = _plain_session(session)
    if plain is None:
        raise TypeError(f"not a session of SQLAlchemy: {session!r}")
    transaction = plain.get_nested_transaction() or plain.get_transaction()
    if transaction is None:
        transaction = plain.begin()
    _note_event(event)
    _state(plain).waiting.append(_Waiting(event, delivery, tuple(_line(transaction))))


class Watch:
    """Over one call of a function: what its sessions did meanwhile."""

    def __init__(self, sessions: Iterable[Any]) -> None:
        self._before = [(plain, _state(plain)) for plain in sessions]
        self._counts = [(state.commits, state.rollbacks) for _, state in self._before]

    def waits_for(self) -> Any:
        """The session whose commit what the function did still waits for, or None."""
        return next((plain for plain, _ in self._before if is_dirty(plain)), None)

    def rolled_back(self) -> bool:
        """Whether everything was taken back: there was a rollback, and no commit."""
        counts = zip(self._before, self._counts, strict=True)
        after = [(s.commits - before[0], s.rollbacks - before[1]) for (_, s), before in counts]
        return not any(commits for commits, _ in after) and any(back for _, back in after)


def sessions_in(values: Iterable[Any]) -> list[Any]:
    """The sessions among some arguments, the async ones as what is inside."""
    if "sqlalchemy.orm" not in sys.modules:
        return []
    _install()
    return [plain for plain in map(_plain_session, values) if plain is not None]


def is_dirty(plain: Any) -> bool:
    """Whether what it reads may be something that is not committed."""
    return bool(_state(plain).wrote or plain.new or plain.dirty or plain.deleted)


def may_see_the_past(plain: Any) -> bool:
    """Whether a transaction is open that sees the database as it was when it began."""
    if not plain.in_transaction():
        return False
    try:
        bind = plain.get_bind()
        level = bind.get_execution_options().get("isolation_level")
        level = level or bind.dialect.default_isolation_level or ""
    except Exception:  # Several binds, or none yet: not known, so perhaps.
        return True
    return str(level).replace("_", " ").upper() not in _ONE_STATEMENT_LEVELS


def _plain_session(value: Any) -> Any:
    orm = sys.modules["sqlalchemy.orm"]
    if isinstance(value, orm.scoped_session):
        value = value()
    asynchronous = sys.modules.get("sqlalchemy.ext.asyncio")
    if asynchronous:
        scoped = getattr(asynchronous, "async_scoped_session", None)
        if scoped and isinstance(value, scoped):
            value = value()
        if isinstance(value, asynchronous.AsyncSession):
            value = value.sync_session
    return value if isinstance(value, orm.Session) else None


def _state(plain: Any) -> _State:
    state: _State | None = plain.info.get(_STATE)
    if state is None:
        state = plain.info[_STATE] = _State()
    return state


def _line(transaction: Any) -> Iterator[Any]:
    while transaction is not None:
        yield transaction
        transaction = transaction.parent


def _note_event(event: Event) -> None:
    from freshwire.cache import current

    request = current()
    if request:
        request.event_ids.append(event.id)


# ---- hooks, of every session of the process

_installed = False


def _install() -> None:
    global _installed
    if _installed:
        return
    _installed = True
    from sqlalchemy import event
    from sqlalchemy.orm import Session

    event.listen(Session, "after_flush", _after_flush)
    event.listen(Session, "do_orm_execute", _do_orm_execute)
    event.listen(Session, "after_commit", _after_commit)
    event.listen(Session, "after_soft_rollback", _after_soft_rollback)
    event.listen(Session, "after_transaction_end", _after_transaction_end)


def _after_flush(session: Any, _: Any) -> None:
    _state(session).wrote = True


def _do_orm_execute(execution: Any) -> None:
    if not execution.is_select and not _only_reads(execution.statement):
        _state(execution.session).wrote = True


def _only_reads(statement: Any) -> bool:
    words = str(getattr(statement, "text", "")).split(None, 1)
    return bool(words) and words[0].upper() in _READING_WORDS


def _after_commit(session: Any) -> None:
    if session.in_nested_transaction():
        return  # A SAVEPOINT was released.
    state = _state(session)
    state.commits += 1
    state.wrote = False
    waiting, state.waiting = state.waiting, []
    for one in waiting:
        try:
            future = one.delivery.post(one.event)
        except Exception:
            # The rows are committed: whoever committed them must not be told otherwise.
            log.exception("event %s (%s) is not published", one.event.id, one.event.type)
            continue
        from freshwire.cache import current

        request = current()
        if request and future is not None:
            request.pending.append(future)


def _after_soft_rollback(session: Any, previous: Any) -> None:
    state = _state(session)
    kept = [one for one in state.waiting if previous not in one.transactions]
    if len(kept) < len(state.waiting):
        log.debug("%d events were rolled back", len(state.waiting) - len(kept))
    state.waiting = kept
    if previous.parent is None:
        state.rollbacks += 1
        state.wrote = False


def _after_transaction_end(session: Any, transaction: Any) -> None:
    if transaction.parent is not None:
        return
    state = session.info.get(_STATE)
    if state is not None:
        state.waiting = []  # Closed without a commit.
        state.wrote = False
