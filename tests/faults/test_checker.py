# SPDX-License-Identifier: MPL-2.0
"""The checker finds what is planted, and only that."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checker import Verdict, check
from harness.history import Joined, Moved, Parted, Place, PublisherHistory, Received, Reset, Sent, SessionHistory, Told

ROOM = "room:1"


def place(offset: int, epoch: str = "e1") -> Place:
    return Place(epoch, offset)


def published(*offsets: int, epoch: str = "e1", sent_at: float = 1.0, purges: bool = False) -> PublisherHistory:
    """Acknowledged events whose ids are their epoch and offset."""
    history = PublisherHistory("service")
    for offset in offsets:
        id = f"{epoch}-{offset}"
        history.entries.append(Sent(sent_at, id, (ROOM,), purges=purges))
        history.entries.append(Told(sent_at + 0.5, id, "ok", ((ROOM, place(offset, epoch)),)))
    return history


def got(offset: int, epoch: str = "e1", at: float = 2.0, id: str | None = None, **members: Any) -> Received:
    return Received(at, ROOM, place(offset, epoch), id or f"{epoch}-{offset}", **members)


def joined(offset: int = 0, epoch: str = "e1", at: float = 0.0) -> Joined:
    return Joined(at, ROOM, place(offset, epoch), recovered=False)


def rejoined(given: Place, recovered: bool = True, at: float = 3.0, answer: Place | None = None) -> Joined:
    return Joined(at, ROOM, answer or given, recovered, given)


def reset(offset: int, epoch: str = "e1", at: float = 3.0, reason: str = "history") -> Reset:
    return Reset(at, ROOM, place(offset, epoch), reason)


def session(*entries: Any) -> SessionHistory:
    return SessionHistory("browser", (ROOM,), list(entries))


def verdict(publisher: PublisherHistory, *entries: Any) -> Verdict:
    return check([publisher], [session(*entries)])


# ---- Planted violations


def test_lost_event_in_the_middle_is_found() -> None:
    found = verdict(published(1, 2, 3), joined(), got(1), got(3))
    assert found.kinds == {"lost", "gap"}


def test_lost_tail_is_found_although_no_offset_is_missing() -> None:
    assert verdict(published(1, 2, 3), joined(), got(1), got(2)).kinds == {"lost"}


def test_lost_event_of_a_session_that_joined_and_heard_nothing_is_found() -> None:
    assert verdict(published(1), joined()).kinds == {"lost"}


def test_session_that_never_got_in_is_found() -> None:
    assert verdict(published(1), Parted(1.0)).kinds == {"never-joined"}


def test_event_that_comes_twice_is_found() -> None:
    assert verdict(published(1, 2), joined(), got(1), got(2), got(2)).kinds == {"duplicate"}


def test_event_that_comes_again_after_a_reconnection_is_found() -> None:
    found = verdict(published(1, 2), joined(), got(1), got(2), Parted(2.5), rejoined(place(2)), got(2))
    assert found.kinds == {"duplicate"}


def test_reordering_is_found() -> None:
    assert "reordered" in verdict(published(1, 2, 3), joined(), got(1), got(3), got(2)).kinds


def test_silent_gap_is_found_although_nobody_was_told_of_the_missing_event() -> None:
    assert verdict(published(1, 3), joined(), got(1), got(3)).kinds == {"gap"}


def test_partial_replay_is_found() -> None:
    entries = joined(), got(1), Parted(2.5), rejoined(place(1)), got(3)
    assert verdict(published(1, 2, 3), *entries).kinds == {"lost", "partial"}


def test_recovery_at_another_place_than_the_given_one_is_found() -> None:
    entries = joined(), got(1), Parted(2.5), rejoined(place(1), answer=place(3))
    assert verdict(published(1), *entries).kinds == {"gap"}


def test_refused_recovery_without_a_reset_is_found() -> None:
    entries = joined(), got(1), Parted(2.5), rejoined(place(1), recovered=False, answer=place(3))
    assert verdict(published(1), *entries).kinds == {"unanswered"}
    assert verdict(published(1, 4), *entries, got(4)).kinds == {"unanswered"}


def test_new_epoch_without_a_reset_is_found() -> None:
    assert verdict(published(1), joined(), got(1), got(1, "e2", id="e1-1")).kinds == {"silent-epoch"}


def test_reset_to_a_place_already_passed_is_found() -> None:
    assert verdict(published(1, 2), joined(), got(1), got(2), reset(1)).kinds == {"went-back"}


def test_event_before_its_purge_is_found() -> None:
    assert verdict(published(1, purges=True), joined(), got(1, purged=False)).kinds == {"early"}


def test_invented_event_is_found() -> None:
    assert verdict(published(), joined(), got(1, id="nobody's")).kinds == {"invented"}
    elsewhere = PublisherHistory("service", [Sent(1.0, "x", ("room:2",))])
    assert verdict(elsewhere, joined(), got(1, id="x")).kinds == {"invented"}


def test_two_events_at_one_place_are_found() -> None:
    sessions = [session(joined(), got(1)), session(joined(), got(1, id="other"))]
    other = PublisherHistory("other", [Sent(1.0, "other", (ROOM,), acknowledged=False)])
    assert "moved" in check([published(1), other], sessions).kinds


def test_one_event_at_two_places_is_found() -> None:
    found = verdict(published(1), joined(), got(1), got(2, id="e1-1"))
    assert found.kinds == {"moved"}


def test_answer_with_another_place_than_the_first_is_found() -> None:
    publisher = published(1, 2)
    publisher.entries.append(Told(2.0, "e1-1", "duplicate", ((ROOM, place(7)),)))
    assert verdict(publisher, joined(), got(1), got(2)).kinds == {"moved"}


def test_answer_without_the_channel_is_found() -> None:
    publisher = PublisherHistory("service", [Sent(1.0, "x", (ROOM,)), Told(2.0, "x", "ok", ())])
    assert verdict(publisher, joined()).kinds == {"moved"}


def test_refusal_of_a_good_event_is_found() -> None:
    publisher = PublisherHistory("service", [Sent(1.0, "x", (ROOM,)), Told(2.0, "x", "rejected")])
    assert verdict(publisher, joined()).kinds == {"rejected"}


def test_reset_before_an_event_does_not_excuse_its_loss() -> None:
    early = verdict(published(1, 2, sent_at=5.0), joined(), reset(0, at=3.0), got(1, at=6.0))
    assert early.kinds == {"lost"}
    other_epoch = verdict(published(1, epoch="e2", sent_at=5.0), joined(), reset(0, "e2", at=3.0, reason="epoch"))
    assert other_epoch.kinds == {"lost"}


# ---- What is allowed


@pytest.mark.parametrize(
    ("name", "publisher", "entries"),
    [
        ("everything in order", published(1, 2, 3), [joined(), got(1), got(2), got(3)]),
        ("from the middle", published(1, 2, 3), [joined(2), got(3)]),
        ("resumed", published(1, 2), [joined(), got(1), Parted(2.5), rejoined(place(1)), got(2)]),
        ("reset after it", published(1, 2, 3), [joined(), got(1), reset(2), got(3)]),
        ("a new broker", published(1, 2), [joined(), got(1), reset(0, "e2", reason="epoch")]),
        (
            "a resume that is refused",
            published(1, 2, 3),
            [joined(), got(1), Parted(2.5), rejoined(place(1), False, answer=place(2)), reset(2), got(3)],
        ),
        (
            "refused, cut off before the reset, and asked again",
            published(1, 2),
            [joined(), got(1), Parted(2.5), rejoined(place(1), False), Parted(2.6), rejoined(place(1)), got(2)],
        ),
        ("of a broker before", published(7, epoch="e0", sent_at=-5.0), [joined(at=0.0)]),
        ("not for this session", published(2), [joined(), Moved(2.0, ROOM, place(1)), got(2)]),
        ("purged", published(1, purges=True), [joined(), got(1, purged=True)]),
        ("flagged", published(1, purges=True), [joined(), got(1, purged=False, unconfirmed=True)]),
        ("nobody could look", published(1, purges=True), [joined(), got(1, purged=None)]),
    ],
)
def test_what_is_promised_is_allowed(name: str, publisher: PublisherHistory, entries: list[Any]) -> None:
    found = verdict(publisher, *entries)
    assert not found.violations, f"{name}: {found}"


def test_event_without_an_answer_may_come_or_not() -> None:
    fired = PublisherHistory("fire", [Sent(1.0, "x", (ROOM,), acknowledged=False)])
    unknown = PublisherHistory("service", [Sent(1.0, "x", (ROOM,)), Told(9.0, "x", "unknown")])
    for publisher in (fired, unknown):
        assert not verdict(publisher, joined()).violations
        assert not verdict(publisher, joined(), got(1, id="x")).violations
        assert verdict(publisher, joined(), got(1, id="x"), got(2, id="x")).kinds == {"moved"}


def test_event_sent_again_to_a_new_broker_is_in_both_epochs() -> None:
    publisher = PublisherHistory("service", [Sent(1.0, "x", (ROOM,))])
    publisher.entries.append(Told(5.0, "x", "ok", ((ROOM, place(1, "e2")),)))
    entries = joined(), got(1, id="x"), reset(0, "e2"), got(1, "e2", id="x", at=4.0)
    assert not verdict(publisher, *entries).violations


def test_duplicate_answer_names_the_first_place() -> None:
    publisher = published(1)
    publisher.entries.append(Sent(2.0, "e1-1", (ROOM,)))
    publisher.entries.append(Told(2.5, "e1-1", "duplicate", ((ROOM, place(1)),)))
    assert not verdict(publisher, joined(), got(1)).violations


def test_counts_say_what_the_verdict_stands_on() -> None:
    found = verdict(published(1, 2, purges=True), joined(), got(1, purged=True), reset(2, reason="lapped"))
    expected = {"sent": 2, "told ok": 2, "joined": 1, "received": 1, "received and looked up": 1, "resets": 1}
    assert {name: found.counts[name] for name in expected} == expected
    assert found.counts["resets (lapped)"] == 1 and found.counts["covered by a reset"] == 1
