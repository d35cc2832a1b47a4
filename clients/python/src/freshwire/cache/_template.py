# SPDX-License-Identifier: MPL-2.0
"""Readable keys and tags: "project:{project_id}", "user:{user.id}". Pure."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote

KEY_SIZE_MAX = 512
_PLAIN = "-_.~@+="


class Template:
    """A text with names of arguments in braces, and attributes of them after a dot."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts: list[tuple[str, list[str]]] = []
        for literal, name, spec, conversion in string.Formatter().parse(text):
            path = name.split(".") if name is not None else []
            if name is not None and (spec or conversion or not all(map(str.isidentifier, path))):
                raise ValueError(f"{text!r}: only {{name}} and {{name.attribute}} can be filled in")
            self._parts.append((literal, path))

    @property
    def names(self) -> set[str]:
        return {path[0] for _, path in self._parts if path}

    def check(self, known: Collection[str], function: str) -> None:
        """ValueError, when the function is decorated, for a name that it does not take."""
        unknown = self.names.difference(known)
        if unknown:
            raise ValueError(f"{self.text!r}: {function} takes no {', '.join(sorted(unknown))}")

    def key(self, arguments: Mapping[str, Any]) -> str:
        """The text, its values escaped: no value can reach into the part of another, and None is no
        text. TypeError for an object that has no text of its own.

        Without that, "a:{x}:{y}" would be the same key for x="1:2", y="3" and for x="1", y="2:3",
        and one user would be served the entry of another.
        """
        return limit_key(self._fill(arguments, _escaped))

    def tag(self, arguments: Mapping[str, Any]) -> str:
        """The text, its values as they are: it must be what publishers write. Two things that share
        a tag are only purged together."""
        return self._fill(arguments, lambda value: str(value))

    def _fill(self, arguments: Mapping[str, Any], convert: Callable[[Any], str]) -> str:
        filled: list[str] = []
        for literal, path in self._parts:
            filled.append(literal)
            if path:
                value = arguments[path[0]]
                for attribute in path[1:]:
                    value = _part(value, attribute)
                kind: Any = type(value)
                if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
                    raise TypeError(
                        f"{self.text!r}: {'.'.join(path)} is a {kind.__qualname__}, which has"
                        " no text of its own; name one of its attributes"
                    )
                filled.append(convert(value))
        return "".join(filled)


def _part(value: Any, name: str) -> Any:
    """An attribute, or the item of a dict: {row.id} is good for both."""
    if isinstance(value, Mapping):
        return value[name]
    return getattr(value, name)


def _escaped(value: Any) -> str:
    # A lone percent sign is what no escaped text is.
    return "%" if value is None else quote(str(value), safe=_PLAIN)


def limit_key(key: str) -> str:
    """A long key keeps its beginning, for those who look into Redis, and ends in a digest."""
    encoded = key.encode("utf-8", "surrogatepass")
    if len(encoded) <= KEY_SIZE_MAX:
        return key
    digest = hashlib.blake2b(encoded, digest_size=16).hexdigest()
    return f"{encoded[: KEY_SIZE_MAX - 40].decode('utf-8', 'ignore')}:{digest}"
