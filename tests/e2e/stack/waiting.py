# SPDX-License-Identifier: MPL-2.0
"""Waiting for a condition instead of for a while."""

from __future__ import annotations

import time
from typing import Callable, TypeVar

Value = TypeVar("Value")

DEADLINE_S = 20.0


def wait_for(
    condition: Callable[[], Value], what: str = "", deadline_s: float = DEADLINE_S, every_s: float = 0.02
) -> Value:
    """Calls condition until its value is true, and returns it. An AssertionError inside counts as not yet."""
    give_up = time.monotonic() + deadline_s
    while True:
        failure: AssertionError | None = None
        try:
            value = condition()
        except AssertionError as error:
            failure = error
        else:
            if value:
                return value
        if time.monotonic() >= give_up:
            named = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"after {deadline_s:g} s still not: {named}") from failure
        time.sleep(every_s)
