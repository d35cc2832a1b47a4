# SPDX-License-Identifier: MPL-2.0
"""One read, step by step, with replies as Redis would send them."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from freshwire.cache import _algorithm, _codec, _entry
from freshwire.cache._algorithm import LOAD, Commands, Outcome, Plan, Script, Status

PLAN = Plan("fw:c:x", ("", "a"), ("fw:epoch", "fw:t:a"), ttl_ms=1000, stamp_ttl_ms=9000)
START_US = 1_700_000_000_000_000
MISS = [None, b"5", b"6"]


def drive(plan: Plan, *replies: Any) -> tuple[Outcome, list[str]]:
    """Sends the replies in turn; what was asked for, and how it ended."""
    steps, asked, reply = _algorithm.read(plan, random.Random(1)), [], None
    left = list(replies)
    try:
        while True:
            operation = steps.send(reply)
            if isinstance(operation, Commands):
                first = operation.commands[0]
                asked.append(first.name if isinstance(first, Script) else "look")
                reply = left.pop(0)
            else:
                assert operation is LOAD
                asked.append("load")
                reply = "value"
    except StopIteration as end:
        assert not left
        return end.value, asked


@pytest.mark.parametrize("captured", [RuntimeError("OOM"), [b"5", None]], ids=["error", "missing"])
def test_lease_is_given_back_before_the_load_when_stamps_are_missing(captured):
    outcome, asked = drive(PLAN, MISS, [(1, b"%d" % START_US), captured], [1])
    assert asked == ["look", "acquire", "release", "load"]
    assert (outcome.value, outcome.stored, outcome.reason) == ("value", False, "a stamp is missing")


def test_lost_connection_while_taking_the_lease_loads_and_leaves_it_to_its_time():
    outcome, asked = drive(PLAN, MISS, ConnectionError("gone"))
    assert asked == ["look", "acquire", "load"]
    assert outcome.reason == "Redis did not answer"


@pytest.mark.parametrize("knows_us", [START_US - 200, START_US + 50])
def test_load_that_may_lag_behind_what_the_reader_knows_is_not_stored(knows_us):
    plan = replace(PLAN, fresh=knows_us, hold_off_us=150, margin_us=50)
    outcome, asked = drive(plan, MISS, [(1, b"%d" % START_US), [b"5", b"6"]], [1])
    assert asked == ["look", "acquire", "load", "release"]
    assert outcome.reason == "invalidated too recently"


@pytest.mark.parametrize(("younger_us", "status"), [(200, Status.STALE_REJECTED), (201, Status.HIT)])
def test_entry_is_served_only_when_its_load_cannot_have_missed_the_purge(younger_us, status):
    plan = replace(PLAN, fresh=START_US - younger_us, hold_off_us=150, margin_us=50, store=False)
    stamps = (("", 5), ("a", 6))
    entry = _entry.encode(b"n" * _entry.NONCE_SIZE, START_US, stamps, _codec.pack("kept"))
    outcome, _ = drive(plan, [entry, b"5", b"6"])
    assert outcome.status is status
