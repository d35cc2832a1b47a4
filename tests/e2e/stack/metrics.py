# SPDX-License-Identifier: MPL-2.0
"""Prometheus text as numbers."""

from __future__ import annotations

import re

_LINE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


class Metrics:
    """metrics["freshwire_x_total"] is the sum over its series; metrics.value(name, label="…") one or some of them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.series: dict[str, list[tuple[dict[str, str], float]]] = {}
        for line in text.splitlines():
            if not line or line.startswith("#"):
                continue
            match = _LINE.match(line)
            assert match, f"not Prometheus text: {line!r}"
            labels = dict(_LABEL.findall(match[2] or ""))
            self.series.setdefault(match[1], []).append((labels, float(match[3])))

    def __contains__(self, name: str) -> bool:
        return name in self.series

    def __getitem__(self, name: str) -> float:
        return self.value(name)

    def value(self, name: str, **labels: str) -> float:
        """Sum of the series that have these labels; a series that does not exist counts as 0."""
        return sum(
            value for known, value in self.series.get(name, []) if all(known.get(k) == v for k, v in labels.items())
        )
