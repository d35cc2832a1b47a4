# SPDX-License-Identifier: MPL-2.0
"""Whether to ask Redis at all: a Redis that hangs must not add its time-out to every request.
Pure."""

from __future__ import annotations

FAILURES_MAX = 3
REST = 1.0


class Breaker:
    """After three failures in a row nobody asks for a second; then one does, and decides for
    all."""

    def __init__(self) -> None:
        self._failures = 0
        self._rest_until = 0.0

    def allows(self, now: float) -> bool:
        if self._failures < FAILURES_MAX:
            return True
        if now < self._rest_until:
            return False
        self._rest_until = now + REST  # This one tries; the others go on resting until it is back.
        return True

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, now: float) -> None:
        self._failures = min(self._failures + 1, FAILURES_MAX)
        self._rest_until = now + REST
