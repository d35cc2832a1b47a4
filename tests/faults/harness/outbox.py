# SPDX-License-Identifier: MPL-2.0
"""A service with an outbox: a process of its own that publishes a list of events and writes down each answer. As a
program: outbox.py ENDPOINT EVENTS ANSWERS."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.run import Run


class Outbox:
    """start may be called again: everything is sent again with the same ids."""

    def __init__(self, run: "Run", count: int, folder: Path) -> None:
        from stack.client import freshwire

        from harness.publishers import Publisher
        from harness.run import ROOMS

        self._events_file = folder / "outbox.jsonl"
        self._answers_file = folder / "answers.jsonl"
        self._answers_file.touch()
        self._run = run
        self._publisher = Publisher("outbox", ROOMS, 1, run.seed, None)
        run.publishers.append(self._publisher)
        self._publisher.end = lambda give_up_s: None  # type: ignore[method-assign]  # it has no thread
        with open(self._events_file, "w") as file:
            for number in range(count):
                id, channel = freshwire.new_event_id(), ROOMS[number % len(ROOMS)]
                file.write(json.dumps({"id": id, "channel": channel}) + "\n")
                self._publisher._sent(id, (channel,), purges=False)

    def start(self, endpoint: str) -> "subprocess.Popen[bytes]":
        from stack.process import set_death_signal

        command = [sys.executable, __file__, endpoint, str(self._events_file), str(self._answers_file)]
        return subprocess.Popen(command, preexec_fn=set_death_signal)

    def answers(self) -> int:
        return self._answers_file.read_bytes().count(b"\n")

    def read(self) -> None:
        """Takes all answers over into the history."""
        from harness.history import Place, Told

        for line in self._answers_file.read_text().splitlines():
            answer = json.loads(line)
            places = tuple((channel, Place(epoch, offset)) for channel, epoch, offset in answer["places"])
            told = Told(answer["at"], answer["id"], answer["outcome"], places)
            self._publisher.history.entries.append(told)


def main() -> None:
    endpoint, events, answers = sys.argv[1:]
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "e2e"))
    from stack.client import freshwire

    pending: deque[tuple[str, Any]] = deque()
    with open(answers, "a", buffering=1) as out, freshwire.Publisher(endpoint, timeout=30) as publisher:

        def answered() -> None:
            id, future = pending.popleft()
            receipt = future.result()
            places = [[place.channel, place.epoch, place.offset] for place in receipt.positions]
            outcome = "duplicate" if receipt.duplicate else "ok"
            line = {"at": time.monotonic(), "id": id, "outcome": outcome, "places": places}
            out.write(json.dumps(line) + "\n")

        for line in Path(events).read_text().splitlines():
            event = json.loads(line)
            made = freshwire.Event.make("ticked", audience=event["channel"], id=event["id"])
            pending.append((event["id"], publisher.submit(made)))
            while len(pending) >= 200:
                answered()
        while pending:
            answered()


if __name__ == "__main__":
    main()
