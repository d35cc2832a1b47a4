# SPDX-License-Identifier: MPL-2.0
"""What everybody saw, with monotonic times of one clock, and the checker that judges it in one pass.

    S1  no stale refetch: a read that began after its reader had heard of version v returned v or newer, also when the
        event was unconfirmed, whatever was wrong meanwhile
    S2  no reader goes back: a read returned no less than an earlier one of the same reader; excused while the reader
        has not heard of what it had seen (it had looked past the cache before the purge)
    S3  bounded staleness: how long after a commit readers without any token still got something older
    S4  no lost invalidation: in the end every entry that would be served is the truth
    S5  every commit is heard of: in the end every browser shows the truth
    S6  no phantom: nobody saw what was not committed, or not yet

S4 and S5 are asked of the running system (run.py); the others are functions of the histories here."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Commit:
    register: int
    version: int
    nonce: str
    before: float
    after: float | None  # None: it was rolled back


@dataclass(frozen=True)
class Heard:
    """A browser received the event of a version."""

    reader: str
    at: float
    register: int
    version: int
    unconfirmed: bool = False


@dataclass(frozen=True)
class Look:
    """One register in the answer to one read."""

    reader: str
    began: float
    ended: float
    register: int
    version: int
    nonce: str
    status: str  # of X-Cache, or "304"
    token: str  # what the reader sent: "", a number, or "bypass"


@dataclass
class History:
    commits: list[Commit] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Requests that did not answer 200 or 304."""


@dataclass
class Verdict:
    violations: list[str]
    looks: int
    hits: float
    """Share of reads that a cache answered."""
    excused: int
    """Reads that went back, of readers who had not heard of what they had seen."""
    staleness_s: list[float]
    """Of readers without a token, sorted; one for each of their reads."""

    def percentile(self, percent: float) -> float:
        values = self.staleness_s or [0.0]
        return values[min(len(values) - 1, int(len(values) * percent / 100))]

    def __str__(self) -> str:
        shown = "\n  ".join(self.violations[:10])
        stale = ", ".join(f"p{percent:g} {self.percentile(percent) * 1000:.0f} ms" for percent in (50, 99, 100))
        return (
            f"{len(self.violations)} violations in {self.looks} looks, {self.hits:.0%} hits, {self.excused} excused,"
            f" staleness without a token: {stale}" + (f"\n  {shown}" if shown else "")
        )


def check(history: History) -> Verdict:
    violations = _phantoms(history)
    stale, excused = _readers(history)
    violations += stale
    hits = sum(look.status in ("HIT", "304") for look in history.looks)
    return Verdict(violations, len(history.looks), hits / max(1, len(history.looks)), excused, _staleness(history))


def _phantoms(history: History) -> list[str]:
    """S6."""
    found = {(commit.register, commit.nonce): commit for commit in history.commits}
    violations = []
    for look in history.looks:
        if look.version == 0:
            continue
        commit = found.get((look.register, look.nonce))
        if commit is None or commit.version != look.version:
            violations.append(f"S6 nobody wrote what was seen: {look}")
        elif commit.after is None:
            violations.append(f"S6 seen, although it was rolled back: {look}")
        elif commit.before > look.ended:
            violations.append(f"S6 seen {commit.before - look.ended:.3f} s before its commit: {look}")
    return violations


def _readers(history: History) -> tuple[list[str], int]:
    """S1 and S2, for each reader and register by itself."""
    heard: dict[tuple[str, int], list[Heard]] = defaultdict(list)
    for one in history.heard:
        heard[one.reader, one.register].append(one)
    looks: dict[tuple[str, int], list[Look]] = defaultdict(list)
    for look in history.looks:
        looks[look.reader, look.register].append(look)
    violations: list[str] = []
    excused = 0
    for place, mine in looks.items():
        told = sorted(heard[place], key=lambda one: one.at)
        times = [one.at for one in told]
        known = _running_maximum([one.version for one in told])
        ended = sorted(mine, key=lambda look: look.ended)
        end_times = [look.ended for look in ended]
        seen = _running_maximum([look.version for look in ended])
        for look in mine:
            count = bisect_left(times, look.began)
            due = known[count - 1] if count else 0
            if look.version < due:
                cause = next(one for one in told if one.version == due)
                violations.append(f"S1 {look.version} although {due} was heard of at {cause.at:.4f}: {look} {cause}")
            earlier = bisect_left(end_times, look.began)
            before = seen[earlier - 1] if earlier else 0
            if look.version < before:
                if before <= due:
                    violations.append(f"S2 {look.version} after {before} had been seen: {look}")
                else:
                    excused += 1
    return violations, excused


def _running_maximum(values: list[int]) -> list[int]:
    found: list[int] = []
    for value in values:
        found.append(max(value, found[-1]) if found else value)
    return found


def _staleness(history: History) -> list[float]:
    """S3: for each read without a token, how long ago what it got was replaced."""
    by_register: dict[int, list[Commit]] = defaultdict(list)
    for commit in history.commits:
        if commit.after is not None:
            by_register[commit.register].append(commit)
    for commits in by_register.values():
        commits.sort(key=lambda commit: commit.version)
    found = []
    for look in history.looks:
        if look.token:
            continue
        commits = by_register[look.register]
        newer = bisect_right([commit.version for commit in commits], look.version)
        if newer < len(commits):
            found.append(max(0.0, look.began - (commits[newer].after or 0.0)))
        else:
            found.append(0.0)
    return sorted(found)
