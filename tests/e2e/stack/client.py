# SPDX-License-Identifier: MPL-2.0
"""The Python client of the checkout, for tests that publish over ZeroMQ: `from stack.client import freshwire`."""

from __future__ import annotations

import subprocess
import sys

from stack.process import ROOT

PYTHON_CLIENT = ROOT / "clients" / "python"

subprocess.run([sys.executable, str(PYTHON_CLIENT / "generate")], check=True)
sys.path.insert(0, str(PYTHON_CLIENT / "src"))

import freshwire  # noqa: E402

__all__ = ["PYTHON_CLIENT", "freshwire"]
