# SPDX-License-Identifier: MPL-2.0
"""Everything is in pyproject.toml but this: a build first generates what is not committed."""

import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist


def generate() -> None:
    subprocess.run([sys.executable, str(Path(__file__).resolve().parent / "generate")], check=True)


class GenerateAndBuild(build_py):
    def run(self) -> None:
        generate()
        super().run()


class GenerateAndPack(sdist):
    def run(self) -> None:
        generate()
        super().run()


setup(cmdclass={"build_py": GenerateAndBuild, "sdist": GenerateAndPack})
