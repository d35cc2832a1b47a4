# SPDX-License-Identifier: MPL-2.0
"""What a decorated function makes stale, who is told, and when: `Cache.invalidates`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from freshwire import sqlalchemy
from freshwire.events import Event, Invalidate

from ._functions import Decorated
from ._template import Template

INVALIDATED = "cache_invalidated"
"""Type of an event that only invalidates."""


class _Result:
    def __repr__(self) -> str:
        return "RESULT"


RESULT: Any = _Result()
"""The data of an event is what the function returned."""


@dataclass(frozen=True)
class Announcement:
    """The arguments of `Cache.invalidates`."""

    event: str
    tags: Sequence[Template]
    keys: Sequence[Template]
    patterns: Sequence[Template]
    audience: Sequence[Template]
    fields: Mapping[str, Template]
    """Of the event, beside these."""
    data: Any
    session: Sequence[str]
    """The path to one that is no argument itself; empty for none."""

    def __post_init__(self) -> None:
        nothing: dict[str, Any] = dict.fromkeys(self.fields, "")
        Event.make(self.event, **nothing)  # TypeError for a field there is not.

    def check(self, decorated: Decorated) -> None:
        """ValueError for a name that the function does not take."""
        templates = [*self.tags, *self.keys, *self.patterns, *self.audience, *self.fields.values()]
        decorated.check(templates, also=["result"])
        if self.session and self.session[0] not in decorated.signature.parameters:
            raise ValueError(f"{decorated.name} takes no {self.session[0]}")


class Call:
    """One call of a decorated function. Made before it runs, and asked after it has returned."""

    def __init__(self, announcement: Announcement, arguments: dict[str, Any]) -> None:
        self.announcement = announcement
        self._arguments = arguments
        self._named: Any = None
        if announcement.session:
            self._named = arguments[announcement.session[0]]
            for name in announcement.session[1:]:
                self._named = getattr(self._named, name)
        sessions = sqlalchemy.sessions_in([*arguments.values(), self._named])
        self._watch = sqlalchemy.Watch(sessions) if sessions else None

    def waits_for(self) -> Any:
        """The session whose commit is still to come, or None."""
        if self._named is not None:
            return self._named
        return self._watch.waits_for() if self._watch else None

    def rolled_back(self) -> bool:
        return self._watch is not None and self._watch.rolled_back()

    def filled(self, result: Any) -> tuple[Invalidate, dict[str, Any]]:
        """What is stale (keys as the cache names them), and the fields of the event."""
        announcement = self.announcement
        names = {**self._arguments, "result": result}
        stale = Invalidate(
            [template.key(names) for template in announcement.keys],
            [template.tag(names) for template in announcement.tags],
            [template.tag(names) for template in announcement.patterns],
        )
        fields: dict[str, Any] = {
            name: template.tag(names) for name, template in announcement.fields.items()
        }
        fields["audience"] = [template.tag(names) for template in announcement.audience]
        fields["data"] = self._data(result)
        return stale, fields

    def _data(self, result: Any) -> Any:
        data = self.announcement.data
        if data is RESULT:
            silent = self.announcement.event == INVALIDATED or _is_response(result)
            return None if silent else result
        return data(result) if callable(data) else data


def _is_response(result: Any) -> bool:
    """Whether a function returned a response of Starlette, not what it is made of."""
    return hasattr(result, "background") and isinstance(getattr(result, "status_code", None), int)


def is_error(result: Any) -> bool:
    """Whether a function returned a response that says that it failed."""
    return _is_response(result) and result.status_code >= 400
