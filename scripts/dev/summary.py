#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Counts what the stages of ./dev test left in a folder of results.

    summary.py note FOLDER STAGE    "58 passed", for the line of one stage
    summary.py all FOLDER           names every failure; the last line is "N passed, N failed[, N skipped]"

A stage leaves STAGE.exit (its exit code) and any number of STAGE*.xml (JUnit, of ctest and pytest), STAGE*.json
(vitest) and STAGE*.counts ("passed|failed|skipped NAME" a line). STAGE*.again.xml is the second try of what failed in the
first: its word counts, and what it saved is named. A stage that failed without naming a failed test, and a stage that
ran no test, count as one failure.
"""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Iterator

Outcome = tuple[str, str]  # "passed" | "second try" | "failed" | "skipped", name of the test


def read_junit(path: Path) -> Iterator[Outcome]:
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = case.get("name", "?")
        folder = case.get("classname", "")
        if folder and folder != name:
            name = f"{folder}.{name}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            yield "failed", name
        elif skipped is None:
            yield "passed", name
        # ctest also says "skipped" of a program that is missing; only the test's own word counts as a skip.
        elif case.get("status") == "notrun" and not skipped.get("message", "").startswith("SKIP_"):
            yield "failed", f"{name} ({skipped.get('message') or 'not run'})"
        else:
            yield "skipped", name


def read_vitest(path: Path) -> Iterator[Outcome]:
    words = {"passed": "passed", "failed": "failed"}
    for file in json.loads(path.read_text())["testResults"]:
        if file["status"] == "failed" and not any(one["status"] == "failed" for one in file["assertionResults"]):
            yield "failed", file["name"]
        for one in file["assertionResults"]:
            yield words.get(one["status"], "skipped"), one["fullName"]


def read_counts(path: Path) -> Iterator[Outcome]:
    for line in path.read_text().splitlines():
        outcome, _, name = line.partition(" ")
        if outcome not in ("passed", "failed", "skipped"):
            raise ValueError(f"{path}: {line!r}")
        yield outcome, name


READERS = {".xml": read_junit, ".json": read_vitest, ".counts": read_counts}


def merge_second_try(first: list[Outcome], second: list[Outcome]) -> list[Outcome]:
    passed = {name for outcome, name in second if outcome == "passed"}
    return [("second try" if outcome == "failed" and name in passed else outcome, name) for outcome, name in first]


def read_stage(folder: Path, stage: str) -> list[Outcome]:
    """Everything that one stage ran. A report that cannot be read is itself a failure."""
    outcomes: list[Outcome] = []
    for path in sorted(folder.glob("*"), key=lambda path: path.name.replace(".again", "~")):
        if path.name.split(".")[0] != stage or path.suffix not in READERS:
            continue
        try:
            read = list(READERS[path.suffix](path))
        except (ValueError, KeyError, ElementTree.ParseError) as error:
            outcomes.append(("failed", f"unreadable report {path.name}: {error}"))
            continue
        if path.stem.endswith(".again"):
            outcomes = merge_second_try(outcomes, read)
        else:
            outcomes.extend(read)
    result = (folder / f"{stage}.exit").read_text().strip()
    if result != "0" and not any(outcome == "failed" for outcome, _ in outcomes):
        outcomes.append(("failed", f"the stage itself ({result})"))
    if not any(outcome in ("passed", "second try", "failed") for outcome, _ in outcomes):
        outcomes.append(("failed", "the stage ran no test"))
    return outcomes


def describe(outcomes: list[Outcome]) -> str:
    words = ("passed", "second try", "failed", "skipped")
    count = {word: sum(outcome == word for outcome, _ in outcomes) for word in words}
    count["passed"] += count["second try"]
    text = f"{count['passed']} passed, {count['failed']} failed"
    return text + (f", {count['skipped']} skipped" if count["skipped"] else "")


def main() -> int:
    folder = Path(sys.argv[2])
    if sys.argv[1] == "note":
        print(describe(read_stage(folder, sys.argv[3])))
        return 0
    everything: list[Outcome] = []
    for path in sorted(folder.glob("*.exit"), key=lambda path: path.stat().st_mtime):
        outcomes = read_stage(folder, path.stem)
        everything.extend(outcomes)
        for outcome, name in outcomes:
            if outcome != "passed":
                print(f"{outcome}: {path.stem}: {name}")
    print(describe(everything))
    return 1 if not everything or any(outcome == "failed" for outcome, _ in everything) else 0


if __name__ == "__main__":
    sys.exit(main())
