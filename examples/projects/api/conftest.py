# SPDX-License-Identifier: MPL-2.0
"""Lets the tests run from the checkout, without an installation."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLIENT = HERE.parent.parent.parent / "clients" / "python"

subprocess.run([sys.executable, str(CLIENT / "generate")], check=True)
for folder in (CLIENT / "src", CLIENT / "tests", HERE):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
