# SPDX-License-Identifier: MPL-2.0
"""Lets the tests run from the checkout, without an installation."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

subprocess.run([sys.executable, str(HERE / "generate")], check=True)
sys.path.insert(0, str(HERE / "src"))
