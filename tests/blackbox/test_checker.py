# SPDX-License-Identifier: MPL-2.0
"""The checker itself: a good history passes, and each kind of bad one is caught."""

from __future__ import annotations

from dataclasses import replace

import pytest

from history import Commit, Heard, History, Look, check

COMMITS = [
    Commit(1, 1, "a", 1.0, 1.1),
    Commit(1, 2, "lost", 2.0, None),
    Commit(1, 2, "b", 3.0, 3.1),
    Commit(2, 1, "c", 3.0, 3.1),
]
HEARD = [Heard("ada", 1.5, 1, 1), Heard("ada", 3.5, 1, 2), Heard("ada", 3.6, 2, 1), Heard("eve", 9.0, 1, 2)]
LOOKS = [
    Look("ada", 0.5, 0.6, 1, 0, "first", "MISS", ""),
    Look("ada", 1.6, 1.7, 1, 1, "a", "HIT", "15"),
    Look("ada", 3.4, 3.7, 1, 1, "a", "HIT", ""),  # It began before it had heard.
    Look("ada", 3.8, 3.9, 1, 2, "b", "304", "35"),
    Look("ada", 3.8, 3.9, 2, 1, "c", "MISS", "35"),
    Look("visitor", 3.3, 3.4, 1, 1, "a", "HIT", ""),
]


def judge(*more: Look, commits: list[Commit] = COMMITS, without: int = 0) -> list[str]:
    return check(History(list(commits), list(HEARD), [*LOOKS[without:], *more])).violations


def test_good_history_passes() -> None:
    verdict = check(History(list(COMMITS), list(HEARD), list(LOOKS)))
    assert verdict.violations == []
    assert (verdict.looks, verdict.hits, verdict.excused) == (6, 4 / 6, 0)
    assert verdict.staleness_s[-1] == pytest.approx(0.3)
    assert check(History()).violations == []


BAD = {
    "S1 1 although 2": Look("ada", 3.8, 3.9, 1, 1, "a", "HIT", "35"),
    "S1 0 although 1": Look("ada", 3.8, 3.9, 2, 0, "first", "BYPASS", "bypass"),
    "S6 seen, although it was rolled back": Look("ada", 3.8, 3.9, 1, 2, "lost", "HIT", ""),
    "S6 nobody wrote": Look("eve", 3.8, 3.9, 1, 7, "x", "HIT", ""),
    "S6 seen 0.100 s before": Look("eve", 2.8, 2.9, 1, 2, "b", "HIT", ""),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_history_is_caught(what: str) -> None:
    violations = judge(BAD[what])
    assert any(one.startswith(what) for one in violations), violations


def test_reader_that_goes_back_is_caught_unless_it_had_not_heard_yet() -> None:
    early = Look("eve", 3.2, 3.3, 1, 2, "b", "MISS", "")
    back = Look("eve", 3.4, 3.5, 1, 1, "a", "HIT", "")
    verdict = check(History(list(COMMITS), list(HEARD), [early, back]))
    assert (verdict.violations, verdict.excused) == ([], 1)
    told = [Heard("eve", 3.35, 1, 2)]
    verdict = check(History(list(COMMITS), told, [early, back]))
    assert [violation[:2] for violation in verdict.violations] == ["S1", "S2"]


def test_overlapping_reads_are_in_no_order() -> None:
    slow = Look("eve", 3.2, 5.0, 1, 1, "a", "HIT", "")
    quick = replace(slow, ended=3.3, version=2, nonce="b")
    assert judge(slow, quick) == []


def test_staleness_is_measured_from_the_commit_that_replaced_it() -> None:
    look = Look("visitor", 8.1, 8.2, 1, 0, "first", "HIT", "")
    assert check(History(list(COMMITS), [], [look])).staleness_s == [pytest.approx(7.0)]
    assert check(History(list(COMMITS), [], [replace(look, token="5")])).staleness_s == []
