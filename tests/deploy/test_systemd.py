# SPDX-License-Identifier: MPL-2.0
"""The systemd unit is valid, and as confined as it says. Debian 12's own tools judge it, without a running systemd."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

EXPOSURE_MAX = 2.0  # of 10, by systemd's own count


@pytest.fixture(scope="module")
def unit(root: Path) -> Path:
    return root / "deploy/systemd/freshwire.service"


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def test_systemd_finds_no_fault_in_the_unit(unit: Path, tmp_path: Path, freshwire: str) -> None:
    # The binary is not installed where the unit expects it; everything else is as shipped.
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/usr/bin/freshwire", freshwire))
    verified = analyze("verify", "--man=no", str(copy))
    assert verified.returncode == 0, verified.stderr
    assert "freshwire.service" not in verified.stderr, verified.stderr


def test_the_service_is_confined(unit: Path) -> None:
    judged = analyze("security", "--offline=true", "--no-pager", str(unit))
    exposure = re.search(r"Overall exposure level.*: ([0-9.]+)", judged.stdout)
    assert exposure, judged.stdout + judged.stderr
    assert float(exposure[1]) <= EXPOSURE_MAX


def test_the_service_gets_as_much_time_to_stop_as_a_pod(unit: Path, root: Path) -> None:
    gateway = (root / "deploy/kubernetes/base/gateway.yaml").read_text()
    grace = re.search(r"terminationGracePeriodSeconds: (\d+)", gateway)
    stop = re.search(r"^TimeoutStopSec=(\d+)s$", unit.read_text(), re.MULTILINE)
    assert grace and stop
    assert int(stop[1]) >= int(grace[1])
