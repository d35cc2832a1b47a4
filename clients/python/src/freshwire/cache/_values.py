# SPDX-License-Identifier: MPL-2.0
"""Models, dataclasses and enums as plain data and back, as a return annotation names them.

What is in Redis is plain MessagePack: a model is a map of its fields, so that a service in another
language reads it. Which class it becomes here is decided by the annotation of the function that
reads, never by the bytes. What an annotation cannot tell apart, or would bring back changed, is a
TypeError: where the function is decorated if that can be known there, else where it returns.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import decimal
import enum
import functools
import inspect
import sys
import types
import typing
import uuid
from collections.abc import Callable
from typing import Any

from . import _codec
from ._codec import CacheCodecError

PLAIN_TYPES = (
    type(None), bool, int, float, str, bytes, decimal.Decimal, uuid.UUID,
    datetime.date, datetime.datetime, datetime.time,
)  # fmt: skip
"""What the codec knows itself."""

UNSET_FIELDS = ""
"""In the map of a model: the names of fields that were left to their defaults. No field is so
named."""

_CONTAINERS = (list, set, frozenset)
_ABSTRACT = {
    collections.abc.Sequence: list,
    collections.abc.Iterable: list,
    collections.abc.Collection: list,
    collections.abc.Set: set,
    collections.abc.Mapping: dict,
    collections.abc.MutableMapping: dict,
    collections.abc.MutableSequence: list,
}


class Shape:
    """How values of one annotation are written. This one: as they are."""

    structured = False
    """Whether plain data has to be turned back into something."""

    def plain(self, value: Any) -> Any:
        return value

    def value(self, plain: Any) -> Any:
        return plain

    def fits(self, value: Any) -> bool:
        """Whether a value is of this shape; asked only where a union has to be told apart."""
        return True


AS_IT_IS = Shape()


class PlainShape(Shape):
    def __init__(self, kind: type) -> None:
        self._kind = kind

    def fits(self, value: Any) -> bool:
        return type(value) is self._kind


class EnumShape(Shape):
    structured = True

    def __init__(self, kind: type[enum.Enum]) -> None:
        self._kind = kind

    def plain(self, value: Any) -> Any:
        if type(value) is not self._kind:
            raise _other(value, self._kind)
        return value.value

    def value(self, plain: Any) -> Any:
        return self._kind(plain)

    def fits(self, value: Any) -> bool:
        return type(value) is self._kind


class ListShape(Shape):
    """list[T], set[T], frozenset[T] and tuple[T, ...]."""

    def __init__(self, kind: Any, item: Shape) -> None:
        self._kind, self._item = kind, item
        self.structured = item.structured

    def plain(self, value: Any) -> Any:
        if not self.structured:
            return value
        if type(value) is not self._kind:
            raise _other(value, self._kind)
        items = [self._item.plain(item) for item in value]
        return items if self._kind in (set, frozenset) else self._kind(items)

    def value(self, plain: Any) -> Any:
        if not self.structured:
            return plain
        return self._kind(self._item.value(item) for item in _check(plain, (list, tuple)))

    def fits(self, value: Any) -> bool:
        return type(value) is self._kind


class TupleShape(Shape):
    """tuple[A, B], and named tuples."""

    def __init__(self, kind: Any, items: list[Shape]) -> None:
        self._kind, self._items = kind, items
        self.structured = kind is not tuple or any(item.structured for item in items)

    def plain(self, value: Any) -> Any:
        if not self.structured:
            return value
        if type(value) is not self._kind or len(value) != len(self._items):
            raise _other(value, self._kind)
        return tuple(item.plain(part) for item, part in zip(self._items, value, strict=True))

    def value(self, plain: Any) -> Any:
        if not self.structured:
            return plain
        parts = _check(plain, (tuple, list))
        made = [item.value(part) for item, part in zip(self._items, parts, strict=True)]
        return tuple(made) if self._kind is tuple else self._kind(*made)

    def fits(self, value: Any) -> bool:
        return type(value) is self._kind


class DictShape(Shape):
    def __init__(self, key: Shape, item: Shape) -> None:
        self._key, self._item = key, item
        self.structured = key.structured or item.structured

    def plain(self, value: Any) -> Any:
        if not self.structured:
            return value
        if type(value) is not dict:
            raise _other(value, dict)
        return {self._key.plain(key): self._item.plain(item) for key, item in value.items()}

    def value(self, plain: Any) -> Any:
        if not self.structured:
            return plain
        items = _check(plain, (dict,)).items()
        return {self._key.value(key): self._item.value(item) for key, item in items}

    def fits(self, value: Any) -> bool:
        return type(value) is dict


class UnionShape(Shape):
    """A | B: plain members and at most one that is not, so that plain data tells which it was."""

    def __init__(self, members: list[Shape], text: str) -> None:
        structured = [member for member in members if member.structured]
        if len(structured) > 1 or (structured and AS_IT_IS in members):
            raise TypeError(f"{text}: which of these a cached value was cannot be told")
        self._plain = [member for member in members if not member.structured]
        self._other = structured[0] if structured else None
        self.structured = bool(structured)

    def plain(self, value: Any) -> Any:
        if self._other is None or (
            not self._other.fits(value) and any(member.fits(value) for member in self._plain)
        ):
            return value
        written = self._other.plain(value)
        if any(member.fits(written) for member in self._plain):
            raise TypeError(f"{value!r:.80}: in this union it cannot be told from plain data")
        return written

    def value(self, plain: Any) -> Any:
        if self._other is None or any(member.fits(plain) for member in self._plain):
            return plain
        return self._other.value(plain)

    def fits(self, value: Any) -> bool:
        return any(member.fits(value) for member in (*self._plain, self._other) if member)


class FieldsShape(Shape):
    """A class with named fields: a map of them."""

    structured = True

    def __init__(self, kind: type, fields: Callable[[], dict[str, Shape]]) -> None:
        self._kind = kind
        self._find_fields = fields
        self._fields: dict[str, Shape] | None = None

    @property
    def fields(self) -> dict[str, Shape]:
        """Found when needed: a class may name itself."""
        if self._fields is None:
            self._fields = self._find_fields()
        return self._fields

    def plain(self, value: Any) -> Any:
        if type(value) is not self._kind:
            raise _other(value, self._kind)
        self._check_complete(value)
        return {name: shape.plain(getattr(value, name)) for name, shape in self.fields.items()}

    def value(self, plain: Any) -> Any:
        found = _check(plain, (dict,))
        return self._make({name: shape.value(found[name]) for name, shape in self.fields.items()})

    def fits(self, value: Any) -> bool:
        return type(value) is self._kind

    def _check_complete(self, value: Any) -> None:
        """TypeError for what would be lost."""
        extra = {
            name
            for name in set(getattr(value, "__dict__", ())).difference(self.fields)
            if not isinstance(getattr(self._kind, name, None), functools.cached_property)
        }
        if extra:
            raise TypeError(
                f"{self._kind.__qualname__}: {sorted(extra)} would be lost in the cache"
            )

    def _make(self, values: dict[str, Any]) -> Any:
        made: Any = object.__new__(self._kind)
        for name, value in values.items():
            object.__setattr__(made, name, value)
        return made


class TypedDictShape(FieldsShape):
    def plain(self, value: Any) -> Any:
        if type(value) is not dict or not set(value) <= set(self.fields):
            raise _other(value, self._kind)
        return {name: self.fields[name].plain(item) for name, item in value.items()}

    def value(self, plain: Any) -> Any:
        found = _check(plain, (dict,))
        return {name: self.fields[name].value(item) for name, item in found.items()}

    def fits(self, value: Any) -> bool:
        return type(value) is dict


class ModelShape(FieldsShape):
    """pydantic 1 and 2. Made again without validation: it is what it was."""

    def plain(self, value: Any) -> Any:
        written = super().plain(value)
        known = getattr(value, "model_fields_set", None)
        if known is None:
            known = value.__fields_set__
        unset = sorted(set(self.fields).difference(known))
        if unset:
            written[UNSET_FIELDS] = unset
        return written

    def value(self, plain: Any) -> Any:
        found = dict(_check(plain, (dict,)))
        unset = _check(found.pop(UNSET_FIELDS, []), (list,))
        values = {name: shape.value(found[name]) for name, shape in self.fields.items()}
        kind: Any = self._kind
        construct = getattr(kind, "model_construct", None) or kind.construct
        return construct(set(values).difference(unset), **values)

    def _check_complete(self, value: Any) -> None:
        super()._check_complete(value)
        hidden = (
            getattr(value, "__pydantic_extra__", None),
            getattr(value, "__pydantic_private__", None),
        )
        if any(hidden) or getattr(value, "__private_attributes__", None):
            raise TypeError(
                f"{self._kind.__qualname__}: extra and private attributes would be lost in the"
                " cache"
            )


def _check(plain: Any, kinds: tuple[type, ...]) -> Any:
    if type(plain) not in kinds:
        raise CacheCodecError(f"the entry holds a {type(plain).__name__}, which does not fit")
    return plain


def _other(value: Any, kind: type) -> TypeError:
    found = type(value)
    return TypeError(
        f"annotated as {kind.__qualname__}, but it returned a {found.__module__}."
        f"{found.__qualname__}, which would come back from the cache as something else"
    )


# ---- shapes of annotations


def shape_of(annotation: Any) -> Shape:
    """TypeError for a type whose values would not come back as they were."""
    return _Finder().shape(annotation)


class _Finder:
    def __init__(self) -> None:
        self._known: dict[Any, Shape] = {}
        """Classes with fields; one may name another that names it."""

    def shape(self, annotation: Any) -> Shape:
        if annotation in (Any, object, inspect.Parameter.empty):
            return AS_IT_IS
        if annotation is None or annotation in PLAIN_TYPES:
            return PlainShape(annotation or type(None))
        origin = typing.get_origin(annotation)
        if origin is not None:
            return self._generic(annotation, origin, typing.get_args(annotation))
        if isinstance(annotation, typing.TypeVar):
            return AS_IT_IS
        if hasattr(annotation, "__supertype__"):  # NewType
            return self.shape(annotation.__supertype__)
        if annotation in (dict, list, tuple, set, frozenset):
            return PlainShape(annotation)
        if isinstance(annotation, type):
            return self._class(annotation)
        raise TypeError(f"{annotation!r}: freshwire.cache does not know this annotation")

    def _generic(self, annotation: Any, origin: Any, arguments: tuple[Any, ...]) -> Shape:
        if origin is typing.Annotated:
            return self.shape(arguments[0])
        if origin is typing.Literal:
            return (
                AS_IT_IS
                if any(isinstance(a, enum.Enum) for a in arguments)
                else _Literal(arguments)
            )
        if origin in (typing.Union, types.UnionType):
            return UnionShape([self.shape(member) for member in arguments], str(annotation))
        origin = _ABSTRACT.get(origin, origin)
        if origin in _CONTAINERS:
            return ListShape(origin, self.shape(arguments[0]))
        if origin is tuple:
            if len(arguments) == 2 and arguments[1] is Ellipsis:
                return ListShape(tuple, self.shape(arguments[0]))
            return TupleShape(tuple, [self.shape(argument) for argument in arguments])
        if origin is dict:
            return DictShape(self.shape(arguments[0]), self.shape(arguments[1]))
        if isinstance(origin, type) and _is_model(origin):
            return self._class(origin)
        raise TypeError(f"{annotation!r}: freshwire.cache does not know this annotation")

    def _class(self, kind: type) -> Shape:
        if kind in self._known:
            return self._known[kind]
        shape = self._new_class(kind)
        self._known[kind] = shape
        return shape

    def _new_class(self, kind: type) -> Shape:
        if issubclass(kind, enum.Enum):
            return EnumShape(kind)
        if hasattr(kind, "__table__") or hasattr(kind, "__mapper__"):
            raise TypeError(f"{kind.__qualname__} is a row of an ORM, which lives in its session")
        if typing.is_typeddict(kind):
            return TypedDictShape(kind, lambda: self._hints(kind))
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            hints = typing.get_type_hints(kind, include_extras=True)
            return TupleShape(kind, [self.shape(hints.get(name, Any)) for name in kind._fields])
        if dataclasses.is_dataclass(kind):
            names = {field.name for field in dataclasses.fields(kind)}
            return FieldsShape(kind, lambda: self._hints(kind, names))
        if _is_model(kind):
            return ModelShape(kind, lambda: self._model_fields(kind))
        raise TypeError(
            f"{kind.__module__}.{kind.__qualname__} cannot be cached: supported are plain data, "
            "pydantic models, dataclasses, named tuples, typed dicts and enums"
        )

    def _hints(self, kind: type, names: set[str] | None = None) -> dict[str, Shape]:
        hints = typing.get_type_hints(kind, include_extras=True)
        return {
            name: self.shape(_required(hint))
            for name, hint in hints.items()
            if names is None or name in names
        }

    def _model_fields(self, kind: Any) -> dict[str, Shape]:
        fields = getattr(kind, "model_fields", None)
        if fields is not None:
            return {name: self._field(field.annotation) for name, field in fields.items()}
        # pydantic 1 keeps Optional apart from the type, and has resolved what refers forward.
        return {
            name: self._field(
                typing.Optional[field.outer_type_]  # noqa: UP045 - not every type knows "|".
                if field.allow_none
                else field.outer_type_
            )
            for name, field in kind.__fields__.items()
        }

    def _field(self, annotation: Any) -> Shape:
        """pydantic has types of its own (EmailStr, conint) whose values are plain. Those whose
        values are not, the codec refuses."""
        try:
            return self.shape(annotation)
        except TypeError:
            return AS_IT_IS


class _Literal(Shape):
    def __init__(self, values: tuple[Any, ...]) -> None:
        self._values = values

    def fits(self, value: Any) -> bool:
        return any(type(value) is type(known) and value == known for known in self._values)


def _required(hint: Any) -> Any:
    """Without Required and NotRequired of a typed dict."""
    if getattr(typing.get_origin(hint), "_name", "") in ("Required", "NotRequired"):
        return typing.get_args(hint)[0]
    return hint


def _is_model(kind: type) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(kind, pydantic.BaseModel)


# ---- payloads


class Values:
    """Payloads of one annotation."""

    def __init__(self, annotation: Any) -> None:
        self._shape = shape_of(annotation)

    def pack(self, value: Any) -> bytes:
        """TypeError for a value that is not what the annotation says; CacheCodecError."""
        try:
            return _codec.pack(self._shape.plain(value))
        except RecursionError as error:
            raise CacheCodecError("nested too deeply") from error

    def unpack(self, payload: bytes) -> Any:
        """CacheCodecError for bytes that do not fit: a miss, as after a change of the class."""
        plain = _codec.unpack(payload)
        try:
            return self._shape.value(plain)
        except CacheCodecError:
            raise
        except Exception as error:
            raise CacheCodecError(f"the entry does not fit its annotation: {error!r}") from error
