# SPDX-License-Identifier: MPL-2.0
"""Commands of the algorithm as calls of Redis, and their answers as replies. Pure.

One server takes them in one round trip as they are; in a cluster each call touches one slot.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from freshwire import _lua

from ._algorithm import Command, Get, Head, Script, Time, Unlink
from ._entry import HEAD_SIZE

_SOURCES = {name: _lua.script(name) for name in ("acquire", "bump", "capture", "release", "store")}
_SHAS = {name: hashlib.sha1(source).hexdigest() for name, source in _SOURCES.items()}

Call = tuple[Any, ...]


class UnexpectedReplyError(ConnectionError):
    """Whatever answered is no Redis, or one that somebody else confused."""


def calls_of(commands: Sequence[Command]) -> list[Call]:
    """The commands as Redis takes them. Neighbouring Gets become one MGET."""
    calls: list[Call] = []
    keys: list[str] = []
    for command in (*commands, None):
        if isinstance(command, Get):
            keys.append(command.key)
            continue
        if keys:
            calls.append(("MGET", *keys))
            keys = []
        if command is not None:
            calls.append(call_of(command))
    return calls


def call_of(command: Command) -> Call:
    if isinstance(command, Get):
        return ("GET", command.key)
    if isinstance(command, Head):
        return ("GETRANGE", command.key, 0, HEAD_SIZE - 1)
    if isinstance(command, Unlink):
        return ("UNLINK", *command.keys)
    if isinstance(command, Time):
        return ("TIME",)
    return ("EVALSHA", _SHAS[command.name], len(command.keys), *command.keys, *command.arguments)


def calls_again(calls: Sequence[Call], answers: Sequence[Any]) -> tuple[int, list[Call]]:
    """For a server that lost its scripts: where to begin again, and the calls with their sources.

    Everything from the first lost script on is repeated, so that the order stays: a time read after
    a purge must not be one read before it. What was done before must not be done twice: a lease
    that is taken again would not be granted. (0, []) when nothing was lost.
    """
    for index, answer in enumerate(answers):
        if isinstance(answer, NoScriptError):
            return index, [with_source(call) for call in calls[index:]]
    return 0, []


def merged(calls: Sequence[Call], first: Sequence[Any], second: Sequence[Any]) -> list[Any]:
    """The answers to calls that were made twice. Keys that were removed at first count."""
    return [
        again + once if call[0] == "UNLINK" and isinstance(once, int) else again
        for call, once, again in zip(calls, first, second, strict=True)
    ]


def with_source(call: Call) -> Call:
    if call[0] != "EVALSHA":
        return call
    name = next(name for name, sha in _SHAS.items() if sha == call[1])
    return ("EVAL", _SOURCES[name], *call[2:])


def check_answers(answers: list[Any]) -> list[Any]:
    """Raises what was no answer of Redis: in a cluster, one node alone may be away."""
    for answer in answers:
        if isinstance(answer, Exception) and not isinstance(answer, ResponseError):
            raise answer
    return answers


def replies_of(commands: Sequence[Command], answers: Sequence[Any]) -> list[Any]:
    """One reply for each command, from one answer for each call."""
    replies: list[Any] = []
    left = iter(answers)
    gets = 0
    for command in (*commands, None):
        if isinstance(command, Get):
            gets += 1
            continue
        if gets:
            values = next(left)
            if isinstance(values, list) and len(values) == gets:
                replies.extend(values)
            else:
                replies.extend([values] * gets)
            gets = 0
        if command is not None:
            replies.append(next(left))
    return replies


def check_replies(commands: Sequence[Command], replies: Sequence[Any]) -> None:
    """UnexpectedReplyError for what Redis never answers. Redis' own errors pass."""
    for command, reply in zip(commands, replies, strict=True):
        if not isinstance(reply, Exception) and not _fits(command, reply):
            raise UnexpectedReplyError(f"no reply of Redis to {command}: {str(reply)[:100]!r}")


def _fits(command: Command, reply: Any) -> bool:
    if isinstance(command, Get):
        return reply is None or isinstance(reply, bytes)
    if isinstance(command, Head):
        return isinstance(reply, bytes)
    if isinstance(command, Unlink):
        return isinstance(reply, int)
    if isinstance(command, Time):
        return _is_pair(reply) and all(_is_number(part) for part in reply)
    if command.name == "acquire":
        return _is_pair(reply) and reply[0] in (0, 1) and _is_number(reply[1])
    if command.name in ("capture", "bump"):
        return (
            isinstance(reply, list)
            and len(reply) == len(command.keys)
            and all(stamp is None or _is_number(stamp) for stamp in reply)
        )
    return isinstance(reply, int)


def _is_pair(reply: Any) -> bool:
    return isinstance(reply, (list, tuple)) and len(reply) == 2


def _is_number(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, bytes) and value.isdigit())


# ---- in a cluster


class Split:
    """Commands as calls of one slot each, and their answers put together again."""

    def __init__(self, commands: Sequence[Command], slot_of: Callable[[str], int]) -> None:
        self.calls: list[Call] = []
        self._commands = commands
        self._parts: list[list[tuple[int, list[int]]]] = []
        """For each command: its calls, and which of its keys each has."""
        for command in commands:
            parts: list[tuple[int, list[int]]] = []
            for places in self._slots(command, slot_of):
                parts.append((len(self.calls), places))
                self.calls.append(call_of(_only(command, places)))
            self._parts.append(parts)

    @property
    def asks_time(self) -> bool:
        return any(isinstance(command, Time) for command in self._commands)

    def replies(self, answers: Sequence[Any], now: Any) -> list[Any]:
        """`answers` to the calls, in their order; `now` is the reply to every Time."""
        return [
            now if isinstance(command, Time) else self._joined(command, parts, answers)
            for command, parts in zip(self._commands, self._parts, strict=True)
        ]

    @staticmethod
    def _slots(command: Command, slot_of: Callable[[str], int]) -> list[list[int]]:
        if isinstance(command, Time):
            return []
        if isinstance(command, (Get, Head)):
            return [[0]]
        slots: dict[int, list[int]] = {}
        for place, key in enumerate(command.keys):
            slots.setdefault(slot_of(key), []).append(place)
        return list(slots.values())

    @staticmethod
    def _joined(
        command: Command, parts: Sequence[tuple[int, list[int]]], answers: Sequence[Any]
    ) -> Any:
        found = [answers[number] for number, _ in parts]
        failure = next((answer for answer in found if isinstance(answer, Exception)), None)
        if failure or len(found) == 1:
            return failure or found[0]
        if isinstance(command, Unlink):
            return sum(answer for answer in found if isinstance(answer, int))
        joined: list[Any] = [None] * sum(len(places) for _, places in parts)
        for answer, (_, places) in zip(found, parts, strict=True):
            if not isinstance(answer, list) or len(answer) != len(places):
                return answer
            for place, value in zip(places, answer, strict=True):
                joined[place] = value
        return joined


def _only(command: Command, places: Sequence[int]) -> Command:
    """The command for some of its keys."""
    if isinstance(command, (Get, Head, Time)):
        return command
    keys = tuple(command.keys[place] for place in places)
    if isinstance(command, Unlink):
        return Unlink(keys)
    return Script(command.name, keys, command.arguments)


def latest_time(answer: Any) -> Any:
    """Of the times of all primaries: no entry that any of them began before is younger."""
    times = list(answer.values()) if isinstance(answer, dict) else [answer]
    for found in times:
        if isinstance(found, Exception) or not _fits(Time(), found):
            return found
    return max(times, key=lambda pair: (int(pair[0]), int(pair[1])))
