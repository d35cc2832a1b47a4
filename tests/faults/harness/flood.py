# SPDX-License-Identifier: MPL-2.0
"""Services without manners, as processes of their own: flood.py KIND ENDPOINT SECONDS BYTES CHANNEL.

fire: events on the fire-and-forget link as fast as the machine gives them away; one that is ready, again and again.
greedy: acknowledged events on the publish link, without regard to credit and without ever reading an answer.
The last line of the output is the number of events sent."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path


class Flood:
    def __init__(self, kind: str, endpoint: str, seconds: float, size: int, channel: str = "room:flood") -> None:
        from stack.process import set_death_signal

        command = [sys.executable, __file__, kind, endpoint, str(seconds), str(size), channel]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=set_death_signal)

    def wait(self) -> int:
        """How many events it has sent."""
        out, _ = self.process.communicate(timeout=120)
        assert self.process.returncode == 0
        return int(out.split()[-1])

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def main() -> None:
    kind, endpoint, seconds, size, channel = sys.argv[1:]
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "e2e"))
    import zmq
    from stack.wire import message

    incarnation = os.urandom(16)
    data = b'"' + b"x" * int(size) + b'"'

    # Without a number: nobody is asked to send any of it again.
    event = {"type": "flooded", "audience": [channel], "data": {"json": data}}
    frame = message("PublisherUp", publish={"event": event, "incarnation": incarnation}).SerializeToString()
    socket = zmq.Context.instance().socket(zmq.PUB if kind == "fire" else zmq.DEALER)
    socket.linger = 0
    socket.sndhwm = 10_000
    socket.connect(endpoint)
    if kind == "greedy":
        hello = message("PublisherUp", hello={"version": 1, "name": "greedy", "incarnation": incarnation})
        socket.send(hello.SerializeToString())
    time.sleep(0.3)  # what is fired before the connection is up does not count
    ends, number = time.monotonic() + float(seconds), 0
    while time.monotonic() < ends:
        for _ in range(100):
            try:
                socket.send(frame, zmq.NOBLOCK, copy=len(frame) < 4096)
                number += 1
            except zmq.Again:
                time.sleep(0.0005)
    print(number)


if __name__ == "__main__":
    main()
