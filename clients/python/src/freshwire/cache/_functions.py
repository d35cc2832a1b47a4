# SPDX-License-Identifier: MPL-2.0
"""What decorators need to know of a function: its parameters, its templates, its annotation."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ._template import Template


class Decorated:
    """A function, and the names that its templates may use."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = getattr(function, "__qualname__", repr(function))
        self.signature = inspect.signature(function)
        self.is_async = inspect.iscoroutinefunction(function)
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{self.name} is a generator: it has no one result")

    def check(self, templates: Sequence[Template], also: Sequence[str] = ()) -> None:
        """ValueError for a name that the function does not take."""
        for template in templates:
            template.check({*self.signature.parameters, *also}, self.name)

    def arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments

    @property
    def returns(self) -> Any:
        """The return annotation. What cannot be resolved is as none: values are then plain data."""
        try:
            hints = typing.get_type_hints(self.function, include_extras=True)
        except Exception:
            return Any
        return hints.get("return", Any)

    def wrap(self, wrapper: Callable[..., Any]) -> Any:
        """The wrapper in the place of the function, for FastAPI too.

        FastAPI resolves annotations that are texts by the globals of what it is given, and those of
        a wrapper are this package's: so they are resolved here, where the function's are known.
        """
        functools.update_wrapper(wrapper, self.function)
        signature = self.signature
        if any(isinstance(one.annotation, str) for one in signature.parameters.values()):
            try:
                signature = inspect.signature(self.function, eval_str=True)
            except Exception:
                pass  # A name that only type checkers know: FastAPI will say so.
        wrapper.__signature__ = signature  # type: ignore[attr-defined]
        return typing.cast(types.FunctionType, wrapper)
