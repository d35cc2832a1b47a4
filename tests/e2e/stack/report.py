# SPDX-License-Identifier: MPL-2.0
"""Figures of a run, printed and kept in build/reports/."""

from __future__ import annotations

import json
from typing import Any, Mapping

from stack.process import ROOT

REPORTS = ROOT / "build" / "reports"


def report(name: str, figures: Mapping[str, Any]) -> None:
    """Writes build/reports/e2e-NAME.json."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(figures, indent=2)
    (REPORTS / f"e2e-{name}.json").write_text(text + "\n")
    print(f"{name}: {text}")
