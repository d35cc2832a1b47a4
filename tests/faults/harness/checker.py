# SPDX-License-Identifier: MPL-2.0
"""Decides from the histories of a run whether the promise was kept: P1 (nobody hears before the purge), P4 (in order,
once, without a gap) and P5 (loss is never silent). Pure: histories go in, a verdict comes out.

What is demanded:
- of each session and channel, between resets: the offsets of one epoch grow by one from where the session stood;
- of a position that was given: all that follows it, or recovered:false and a reset, never a part;
- of each event that a publisher was told to be accepted: every session that was there got it at that place, or a
  reset of that channel came after it;
- of each event: published by somebody, to that channel; at one place per channel and epoch, the same for all;
- of an event that is not flagged: what it made stale was gone when it was heard of.
Events without an answer may have happened or not: once, or not at all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Iterable, Iterator

from harness.history import Joined, Moved, Parted, Place, PublisherHistory, Received, Reset, Sent, SessionHistory, Told

SHOWN_MAX = 20


@dataclass(frozen=True)
class Violation:
    """kind: lost, duplicate, reordered, gap, partial, unanswered, silent-epoch, went-back, moved, invented, early,
    rejected, never-joined."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


@dataclass
class Verdict:
    violations: list[Violation] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def kinds(self) -> set[str]:
        return {violation.kind for violation in self.violations}

    def __str__(self) -> str:
        lines = [str(violation) for violation in self.violations[:SHOWN_MAX]]
        if len(self.violations) > SHOWN_MAX:
            lines.append(f"… and {len(self.violations) - SHOWN_MAX} more")
        return "\n".join([*lines, ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items()))])


@dataclass
class _Event:
    """What is known of an event's id from its publisher."""

    sent: Sent
    publisher: str
    places: dict[tuple[str, str], int] = field(default_factory=dict)  # (channel, epoch) -> offset, as told


def check(publishers: Iterable[PublisherHistory], sessions: Iterable[SessionHistory]) -> Verdict:
    verdict = Verdict()
    events = _read_publishers(publishers, verdict)
    placed: dict[tuple[str, Place], str] = {}
    for event in events.values():
        for (channel, epoch), offset in event.places.items():
            _agree(placed, channel, Place(epoch, offset), event.sent.id, event.publisher, verdict)
    for session in sessions:
        _check_session(session, events, placed, verdict)
    return verdict


def _fail(verdict: Verdict, kind: str, text: str) -> None:
    verdict.violations.append(Violation(kind, text))


# ---- What publishers were told


def _read_publishers(publishers: Iterable[PublisherHistory], verdict: Verdict) -> dict[str, _Event]:
    events: dict[str, _Event] = {}
    for publisher in publishers:
        for entry in publisher.entries:
            if isinstance(entry, Sent):
                # The same event, sent again by its publisher: the first time counts.
                events.setdefault(entry.id, _Event(entry, publisher.name))
                verdict.counts["sent"] += 1
            else:
                _read_answer(events[entry.id], entry, verdict)
    return events


def _read_answer(event: _Event, told: Told, verdict: Verdict) -> None:
    verdict.counts[f"told {told.outcome}"] += 1
    verdict.counts["told unconfirmed"] += told.unconfirmed
    if told.outcome == "rejected":
        _fail(verdict, "rejected", f"{event.publisher} was told that {told.id} is refused")
    if told.outcome not in ("ok", "duplicate"):
        return
    if {channel for channel, _ in told.places} != set(event.sent.channels):
        _fail(verdict, "moved", f"{told.id} went to {event.sent.channels}, but was told {told.places}")
    for channel, place in told.places:
        known = event.places.setdefault((channel, place.epoch), place.offset)
        if known != place.offset:
            _fail(verdict, "moved", f"{told.id} was told to be at {known} and then at {place} of {channel}")


def _agree(
    placed: dict[tuple[str, Place], str], channel: str, place: Place, id: str, who: str, verdict: Verdict
) -> None:
    """One place holds one event, whoever speaks of it."""
    known = placed.setdefault((channel, place), id)
    if known != id:
        _fail(verdict, "moved", f"{who}: {channel} {place} is {id}, for others it is {known}")


# ---- What sessions received


def _check_session(
    session: SessionHistory, events: dict[str, _Event], placed: dict[tuple[str, Place], str], verdict: Verdict
) -> None:
    by_channel: dict[str, list[Joined | Received | Reset | Moved | Parted]] = {}
    for channel in session.channels:
        by_channel[channel] = []
    for entry in session.entries:
        if isinstance(entry, Parted):
            for entries in by_channel.values():
                entries.append(entry)
        else:
            by_channel.setdefault(entry.channel, []).append(entry)
    for channel, entries in by_channel.items():
        _check_events(session.name, channel, entries, events, placed, verdict)
        _check_order(session.name, channel, entries, verdict)
        if channel in session.channels:
            _check_complete(session.name, channel, entries, events, verdict)


def _check_events(
    name: str,
    channel: str,
    entries: list[Joined | Received | Reset | Moved | Parted],
    events: dict[str, _Event],
    placed: dict[tuple[str, Place], str],
    verdict: Verdict,
) -> None:
    """Each event by itself: published, to this channel, at the place where everybody has it, after its purge."""
    offsets: dict[tuple[str, str], int] = {}
    for entry in entries:
        if not isinstance(entry, Received):
            continue
        verdict.counts["received"] += 1
        verdict.counts["received unconfirmed"] += entry.unconfirmed
        verdict.counts["received and looked up"] += entry.purged is not None and not entry.unconfirmed
        where = f"{name}: {channel} {entry.place}, {entry.id}"
        event = events.get(entry.id)
        if event is None or channel not in event.sent.channels:
            _fail(verdict, "invented", f"{where} was never published there")
            continue
        known = offsets.setdefault((entry.id, entry.place.epoch), entry.place.offset)
        told = event.places.get((channel, entry.place.epoch), entry.place.offset)
        if known != entry.place.offset or told != entry.place.offset:
            _fail(verdict, "moved", f"{where} is also at {known}, its publisher was told {told}")
        _agree(placed, channel, entry.place, entry.id, name, verdict)
        if event.sent.purges and not entry.unconfirmed and entry.purged is False:
            _fail(verdict, "early", f"{where} came before what it made stale was purged")


def _check_order(
    name: str, channel: str, entries: list[Joined | Received | Reset | Moved | Parted], verdict: Verdict
) -> None:
    """Contiguous between resets, and every position that was given is answered."""
    walk = _Walk(f"{name}: {channel}", verdict)
    for entry in entries:
        if isinstance(entry, Joined):
            walk.join(entry)
        elif isinstance(entry, Reset):
            walk.reset(entry)
        elif isinstance(entry, Moved):
            walk.move(entry)
        elif isinstance(entry, Received):
            walk.receive(entry)
        else:
            walk.part()
    walk.end()


class _Walk:
    """Where one session stands in one channel, from entry to entry."""

    def __init__(self, where: str, verdict: Verdict) -> None:
        self._where = where
        self._verdict = verdict
        self._stands: Place | None = None
        self._heard: set[Place] = set()
        self._highest: dict[str, int] = {}  # of each epoch
        self._recovering = False  # the next event is the first after a position that was given
        self._owed = False  # recovered:false was said, its reset was not

    def _fail(self, kind: str, text: str) -> None:
        _fail(self._verdict, kind, f"{self._where} {text}")

    def join(self, entry: Joined) -> None:
        self._verdict.counts["joined again" if self._stands else "joined"] += 1
        if entry.given is None:
            if self._stands is not None:
                self._fail("gap", f"was joined again without the place {self._stands}")
            self._stands = entry.place
        elif entry.recovered:
            if entry.place != entry.given:
                self._fail("gap", f"gave {entry.given}, and was recovered at {entry.place}")
            self._recovering = True
        else:
            # A client takes this alone for a reset already; the reset must follow all the same.
            self._stands, self._recovering, self._owed = entry.place, False, True

    def reset(self, entry: Reset) -> None:
        self._verdict.counts["resets"] += 1
        self._verdict.counts[f"resets ({entry.reason})"] += 1
        if self._highest.get(entry.place.epoch, -1) > entry.place.offset:
            self._fail("went-back", f"was reset to {entry.place} after {self._highest[entry.place.epoch]}")
        self._stands, self._owed, self._recovering = entry.place, False, False

    def move(self, entry: Moved) -> None:
        if self._stands and self._stands.epoch == entry.place.epoch:
            self._stands = max(self._stands, entry.place, key=lambda place: place.offset)

    def receive(self, entry: Received) -> None:
        here = entry.place
        if self._owed:
            self._fail("unanswered", f"{here} came after recovered:false without a reset")
        elif self._stands is None:
            self._fail("gap", f"{here} came before any place was told")
        elif here in self._heard:
            self._fail("duplicate", f"{here} came twice")
        elif here.epoch != self._stands.epoch:
            self._fail("silent-epoch", f"{here} came after {self._stands} without a reset")
        elif here.offset <= self._stands.offset:
            self._fail("reordered", f"{here} came after {self._stands}")
        elif here.offset != self._stands.offset + 1:
            kind = "partial" if self._recovering else "gap"
            self._fail(kind, f"{here} came after {self._stands}: {here.offset - self._stands.offset - 1} are missing")
        self._heard.add(here)
        self._highest[here.epoch] = max(here.offset, self._highest.get(here.epoch, 0))
        self._stands, self._recovering, self._owed = here, False, False

    def part(self) -> None:
        # What was owed on that connection is asked for again on the next one.
        self._owed = False

    def end(self) -> None:
        if self._owed:
            self._fail("unanswered", "was told recovered:false, and never its reset")


def _check_complete(
    name: str,
    channel: str,
    entries: list[Joined | Received | Reset | Moved | Parted],
    events: dict[str, _Event],
    verdict: Verdict,
) -> None:
    """Everything that was acknowledged came, or a reset after it."""
    first = next((entry for entry in entries if isinstance(entry, Joined)), None)
    if first is None:
        _fail(verdict, "never-joined", f"{name} never joined {channel}")
        return
    received = {entry.place for entry in entries if isinstance(entry, Received)}
    resets = [
        entry
        for entry in entries
        if isinstance(entry, Reset) or isinstance(entry, Joined) and entry.given and not entry.recovered
    ]
    epochs = {entry.place.epoch for entry in entries if isinstance(entry, (Joined, Received, Reset))}
    for event, place in _accepted(events, channel):
        if place in received:
            continue
        if place.epoch == first.place.epoch and place.offset <= first.place.offset:
            continue
        if place.epoch not in epochs and event.sent.at < first.at:
            continue  # of a broker before this session's time
        if any(_covers(reset, event.sent.at, place) for reset in resets):
            verdict.counts["covered by a reset"] += 1
            continue
        _fail(verdict, "lost", f"{name}: {channel} {place}, {event.sent.id} of {event.publisher}")


def _accepted(events: dict[str, _Event], channel: str) -> Iterator[tuple[_Event, Place]]:
    for event in events.values():
        for (one, epoch), offset in event.places.items():
            if one == channel:
                yield event, Place(epoch, offset)


def _covers(reset: Joined | Reset, sent_at: float, place: Place) -> bool:
    """The reset says to refetch after this event has happened."""
    if reset.place.epoch == place.epoch:
        return place.offset <= reset.place.offset
    return reset.at >= sent_at
