# SPDX-License-Identifier: MPL-2.0
"""Many sessions at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterable, Sequence, TypeVar

from stack.session import Session

Value = TypeVar("Value")
Item = TypeVar("Item")


def at_once(make: Callable[[Item], Value], items: Iterable[Item], threads: int = 32) -> list[Value]:
    """make(item) of every item, several side by side; results in the order of the items."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(make, items))


def close_all(sessions: Sequence[Session]) -> None:
    at_once(lambda session: session.close(), sessions)


def positions(*sessions: Session) -> list[dict[str, Any]]:
    """Where a client stands that went through these sessions, as fw.hello takes it."""
    places: dict[str, tuple[str, str]] = {}
    for session in sessions:
        for message in session.messages:
            if message["type"] == "fw.welcome":
                for one in message["subscriptions"]:
                    # A recovered place is the one that was given: the missed events follow.
                    places[one["channel"]] = (one["epoch"], one["offset"])
            elif message["type"] in ("fw.subscribed", "fw.reset", "fw.position") or not message["type"].startswith("fw."):
                places[message["channel"]] = (message["epoch"], message["offset"])
    return [{"channel": name, "epoch": epoch, "offset": offset} for name, (epoch, offset) in places.items()]


def channel_events(channel: str, *sessions: Session) -> list[dict[str, Any]]:
    return [event for session in sessions for event in session.events if event["channel"] == channel]


def check_complete(channel: str, *sessions: Session) -> int:
    """Fails unless a client that went through these sessions got every event of the channel exactly once and in
    order, from its first welcome on, without a reset. Returns the last offset."""
    first = next(one for one in sessions[0].welcome["subscriptions"] if one["channel"] == channel)
    offset = int(first["offset"])
    for session in sessions:
        resets = [message for message in session.messages if message["type"] == "fw.reset"]
        assert not resets, resets
    for event in channel_events(channel, *sessions):
        assert event["epoch"] == first["epoch"], (first, event)
        assert int(event["offset"]) == offset + 1, f"{channel}: {event['offset']} came after {offset}"
        offset += 1
    return offset
