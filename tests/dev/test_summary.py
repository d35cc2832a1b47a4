# SPDX-License-Identifier: MPL-2.0
"""What ./dev test says of its stages: scripts/dev/summary.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SUMMARY = Path(__file__).parents[2] / "scripts/dev/summary.py"


def junit(path: Path, **outcomes: bool) -> None:
    cases = "".join(
        f'<testcase name="{name}" classname="t">{"" if passed else "<failure/>"}</testcase>'
        for name, passed in outcomes.items()
    )
    path.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")


def summary(folder: Path) -> tuple[int, list[str]]:
    run = subprocess.run([sys.executable, SUMMARY, "all", folder], capture_output=True, text=True, check=False)
    return run.returncode, run.stdout.splitlines()


def test_a_failure_that_fails_again_stands(tmp_path: Path) -> None:
    junit(tmp_path / "e2e.tests.xml", good=True, bad=False)
    junit(tmp_path / "e2e.tests.again.xml", bad=False)
    (tmp_path / "e2e.exit").write_text("exit code 1")
    assert summary(tmp_path) == (1, ["failed: e2e: t.bad", "1 passed, 1 failed"])


def test_what_passed_at_the_second_try_is_named(tmp_path: Path) -> None:
    junit(tmp_path / "e2e.tests.xml", good=True, moody=False)
    junit(tmp_path / "e2e.tests.again.xml", moody=True)
    (tmp_path / "e2e.exit").write_text("0")
    assert summary(tmp_path) == (0, ["second try: e2e: t.moody", "2 passed, 0 failed"])


def test_a_stage_that_ran_nothing_has_failed(tmp_path: Path) -> None:
    (tmp_path / "e2e.exit").write_text("0")
    assert summary(tmp_path) == (1, ["failed: e2e: the stage ran no test", "0 passed, 1 failed"])
