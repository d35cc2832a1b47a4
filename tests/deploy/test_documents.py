# SPDX-License-Identifier: MPL-2.0
"""What the documentation says about options, metrics, commands and links is what the binary and the tree say."""

from __future__ import annotations

import re
import subprocess
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Iterator

import pytest

PAGES = ("README.md", "HACKING.md", "ARCHITECTURE.md", "CHANGELOG.md")


def pages(root: Path) -> list[Path]:
    found = [root / name for name in PAGES]
    found += sorted((root / "docs").rglob("*.md")) + sorted((root / "deploy").rglob("*.md"))
    return found


def run(freshwire: str, *arguments: str) -> str:
    done = subprocess.run([freshwire, *arguments], capture_output=True, text=True, check=False, env={})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_list_of_options_is_the_one_the_binary_prints(root: Path, freshwire: str) -> None:
    written = (root / "docs/configuration.md").read_text()
    assert written == run(freshwire, "config", "doc"), "run: build/release/freshwire config doc > docs/configuration.md"


def test_every_option_in_the_documents_exists(root: Path, freshwire: str) -> None:
    documented = run(freshwire, "config", "doc")
    variables = set(re.findall(r"FRESHWIRE_[A-Z0-9_]+", documented))
    for source in sorted((root / "tests").rglob("*")):  # what only tests read
        if source.suffix in {".c", ".py"}:
            variables |= set(re.findall(r"""["'](FRESHWIRE_[A-Z0-9_]+)["']""", source.read_text()))
    for page in pages(root):
        for name in re.findall(r"FRESHWIRE_[A-Z0-9_]+", page.read_text()):
            plain = name.removesuffix("_FILE")
            assert plain in variables or plain.rstrip("_") == "FRESHWIRE", f"{page.name}: {name}"


def test_every_command_in_the_documents_exists(root: Path, freshwire: str) -> None:
    known = set(re.findall(r"^  ([a-z-]+) ", run(freshwire, "help"), re.MULTILINE)) | {"help"}
    assert {"broker", "worker", "gateway", "all"} <= known
    for page in pages(root):
        for name in re.findall(r"^(?:build/release/)?freshwire ([a-z-]+)", page.read_text(), re.MULTILINE):
            assert name in known, f"{page.name}: freshwire {name}"


def test_every_dev_command_in_the_documents_exists(root: Path) -> None:
    known = set(re.findall(r"^  ([a-z]+) ", subprocess.check_output([root / "dev", "help"], text=True), re.MULTILINE))
    assert {"run", "test", "build"} <= known
    for page in pages(root):
        for name in re.findall(r"\./dev ([a-z]+)", page.read_text()):
            assert name in known, f"{page.name}: ./dev {name}"


def links(page: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            yield target


def test_every_link_leads_somewhere(root: Path) -> None:
    for page in pages(root):
        for target in links(page):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.fixture(scope="module")
def metrics(running: dict[str, str]) -> str:
    return subprocess.check_output(["curl", "-fsS", f"{running['admin']}/metrics"], text=True)


def test_the_table_of_metrics_is_the_one_that_is_exposed(root: Path, metrics: str) -> None:
    loader = SourceFileLoader("metrics_table", str(root / "scripts/metrics-table"))
    module = module_from_spec(spec_from_loader("metrics_table", loader))
    loader.exec_module(module)
    written = (root / "docs/operations.md").read_text()
    assert written.endswith(module.table_of(metrics)), "scripts/metrics-table says how to write it anew"


def test_every_metric_in_the_documents_exists(root: Path, metrics: str) -> None:
    known = set(re.findall(r"^# TYPE (\w+) ", metrics, re.MULTILINE))
    for page in pages(root):
        for name in re.findall(r"\bfreshwire_(?:\w+)_(?:total|seconds|workers|connected)\b", page.read_text()):
            assert name in known, f"{page.name}: {name}"


def test_metrics_keep_the_rules_of_prometheus(metrics: str) -> None:
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", metrics, re.MULTILINE))
    helps = dict(re.findall(r"^# HELP (\w+) (.+)$", metrics, re.MULTILINE))
    assert kinds
    for name, kind in kinds.items():
        assert helps.get(name), f"{name} has no help"
        assert (kind == "counter") == name.endswith("_total"), f"{name} is a {kind}"
        assert kind != "histogram" or name.endswith("_seconds"), name
        assert not re.search(r"_(ms|us|kb|mb)(_|$)", name), f"{name} is not in a base unit"
    for line in metrics.splitlines():
        assert line.startswith("#") or re.fullmatch(r'\w+(\{(\w+="[^"]*",?)+\})? \S+', line), line
        assert not re.search(r'\b(user|channel|room|key|token)="', line), f"an unbounded label: {line}"
