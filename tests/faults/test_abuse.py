# SPDX-License-Identifier: MPL-2.0
"""Peers without manners, ports that are somebody else's, and a process that has no descriptors left."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from typing import Any, Iterator

import pytest
import zmq

from stack import wait_for
from stack.raw_socket import RawSocket
from stack.wire import Peer, message

from harness.flood import Flood
from harness.run import ROOMS, percentile

MIB = 1024
# What the flooded broker may grow by: history of the flooded channel (4 MiB), ids remembered, socket buffers.
GROWTH_KIB_MAX = 256 * MIB
UNDISTURBED_S = 1.5


@pytest.fixture
def flood() -> Iterator[Any]:
    made: list[Flood] = []

    def start(*arguments: Any, **members: Any) -> Flood:
        made.append(Flood(*arguments, **members))
        return made[-1]

    yield start
    for one in made:
        one.stop()


def watch_memory(run, role, seconds: float) -> tuple[int, int]:
    """RSS before and the highest since, in KiB."""
    before = highest = role.rss_kib()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        run.last_for(0.1)
        highest = max(highest, role.rss_kib())
    return before, highest


@pytest.mark.nightly
@pytest.mark.fault(27)
@pytest.mark.parametrize("size", [100, 16384])
def test_flood_of_fired_events_harms_no_acknowledged_one(size: int, cluster, make_run, step, flood) -> None:
    run = make_run(cluster.start())
    run.subscribe(count=3)
    run.subscribe(looks=True)
    run.publish_acked(60)
    run.warm_up()
    began = time.monotonic()
    step(f"two services flood the fire-and-forget link with events of {size} bytes")
    floods = [flood("fire", cluster.fire_endpoint, 6, size) for _ in range(2)]
    before, highest = watch_memory(run, cluster.broker, 8)
    sent = sum(one.wait() for one in floods)
    ended = time.monotonic()
    verdict = run.conclude()
    late = run.latencies(run.subscribers[0], began, ended)
    print(f"{sent} events; RSS {before} KiB, at most {highest} KiB; p99 {percentile(late, 99) * 1000:.0f} ms")
    assert sent > 20_000
    assert highest - before < GROWTH_KIB_MAX, f"from {before} to {highest} KiB"
    assert percentile(late, 99) < UNDISTURBED_S, late[-5:]
    assert verdict.counts["resets"] == 0, "of other channels than the flooded one"


@pytest.mark.fault(28)
def test_publisher_that_ignores_its_credit_harms_nobody(cluster, make_run, step, flood) -> None:
    run = make_run(cluster.start())
    run.subscribe(count=3)
    run.publish_acked(60)
    run.warm_up()
    began = time.monotonic()
    step("a service publishes without regard to its credit and reads no answer")
    greedy = flood("greedy", cluster.publish_endpoint, 4, 1000)
    before, highest = watch_memory(run, cluster.broker, 5)
    sent = greedy.wait()
    ended = time.monotonic()
    verdict = run.conclude()
    late = run.latencies(run.subscribers[0], began, ended)
    print(f"{sent} events; RSS {before} KiB, at most {highest} KiB; p99 {percentile(late, 99) * 1000:.0f} ms")
    assert sent > 20_000
    assert highest - before < GROWTH_KIB_MAX, f"from {before} to {highest} KiB"
    assert percentile(late, 99) < UNDISTURBED_S, late[-5:]
    assert verdict.counts["resets"] == 0


# ---- Ports of somebody else


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None: ...


class Squatter:
    """Somebody else at all five ports of the broker."""

    def __init__(self, kind: str, ports: dict[str, int]) -> None:
        self._closers: list[Any] = []
        for port in ports.values():
            getattr(self, f"_{kind}")(port)

    def _rep(self, port: int) -> None:
        one = zmq.Context.instance().socket(zmq.REP)
        one.linger = 0
        wait_for(lambda: not _fails(lambda: one.bind(f"tcp://127.0.0.1:{port}")), f"port {port} is free")
        self._closers.append(one.close)

    def _http(self, port: int) -> None:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), QuietHandler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self._closers += [server.shutdown, server.server_close]

    def _mute(self, port: int) -> None:
        """Takes connections and never says a word."""
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", port))
        one.listen(1000)
        self._closers.append(one.close)

    def leave(self) -> None:
        for close in self._closers:
            close()


def _fails(action: Any) -> bool:
    try:
        action()
    except zmq.ZMQError:
        return True
    return False


@pytest.mark.nightly
@pytest.mark.fault(31)
@pytest.mark.parametrize("kind", ["rep", "http", "mute"])
def test_port_that_was_somebody_elses_for_a_while_is_found_again(kind: str, cluster, make_run, step) -> None:
    run = make_run(cluster.start())
    run.usual_load()
    cluster.broker.kill()
    step(f"{kind} sits at the broker's ports for 6 s")
    squatter = Squatter(kind, cluster.ports)
    try:
        run.last_for(6)
    finally:
        squatter.leave()
    cluster.broker.start()
    back = time.monotonic()
    wait_for(lambda: all(one.has_broker() for one in cluster.gateways), "gateways are back", 10)
    wait_for(lambda: cluster.broker.metric("freshwire_broker_workers") == 4, "workers are back", 10)
    run.wait_accepted(50, 10)
    print(f"all were back after {time.monotonic() - back:.1f} s")
    verdict = run.conclude()
    assert set(ROOMS) <= set(run.subscribers[0].places)
    # Who was connected before is told once per channel; who must come again during it, likewise.
    assert verdict.counts["resets"] >= len(run.subscribers) * len(ROOMS)


# ---- Descriptors


@pytest.mark.fault(33)
@pytest.mark.parametrize("role", ["broker", pytest.param("gateway", marks=pytest.mark.nightly)])
def test_process_without_descriptors_lives_on(role: str, cluster, make_run, step) -> None:
    cluster.start_redis()
    cluster.add_gateway()
    cluster.add_gateway()
    limited = cluster.broker if role == "broker" else cluster.gateways[0]
    limited.launcher += ["prlimit", "--nofile=64:64"]
    run = make_run(cluster.start(workers=1))
    run.usual_load(sessions=2)
    address = f"tcp://127.0.0.1:{cluster.ports['publish']}" if role == "broker" else limited.url
    step(f"a {role} with 64 descriptors is connected to 200 times")
    used, began = limited.cpu_s(), time.monotonic()
    crowd: list[RawSocket] = []
    try:
        for _ in range(200):
            try:
                crowd.append(RawSocket(address, 0.2))
            except OSError:
                break  # the listen queue is full: as good as refused
        run.last_for(3)
        share = (limited.cpu_s() - used) / (time.monotonic() - began)
    finally:
        for one in crowd:
            one.close()
    assert limited.now.running()
    # Without descriptors a listener is readable for ever; it must not spin for that.
    assert share < 0.9, f"{share:.0%} of a core"
    run.wait_accepted(50)
    run.conclude()
    with Peer(zmq.DEALER, cluster.publish_endpoint) as peer:
        hello = {"version": 1, "name": "late", "incarnation": bytes(16)}
        peer.send(message("PublisherUp", hello=hello).SerializeToString())
        assert peer.receive("PublisherDown").WhichOneof("message") == "welcome", "new peers are taken again"


@pytest.mark.nightly
@pytest.mark.fault(3)
@pytest.mark.fault(27)
def test_stopped_gateway_under_a_flood_costs_the_broker_no_more_than_its_share(
    cluster, make_run, step, flood
) -> None:
    """What a gateway does not read lies in the broker: that has an end, too, in bytes and not only in messages."""
    run = make_run(cluster.start(gateways=2))
    stopped, other = cluster.gateways
    run.subscribe(stopped, stopped, channels=[*ROOMS, "room:flood"])
    bystander = run.subscribe(other, other, looks=True)[0]
    run.publish_acked(60)
    run.warm_up()
    step("a gateway is stopped, and a channel that it shows is flooded with events of 16 KiB")
    stopped.pause()
    began = time.monotonic()
    one = flood("fire", cluster.fire_endpoint, 8, 16384)
    before, highest = watch_memory(run, cluster.broker, 10)
    sent = one.wait()
    ended = time.monotonic()
    stopped.resume()
    late = run.latencies(bystander, began, ended)
    print(f"{sent} events; RSS {before} KiB, at most {highest} KiB; p99 {percentile(late, 99) * 1000:.0f} ms")
    run.last_for(1)
    # The flood is no publisher that writes a history: what it fired is nobody's to judge.
    run.subscribers[0].history.channels = ROOMS
    run.subscribers[0].history.entries[:] = [
        entry for entry in run.subscribers[0].history.entries if getattr(entry, "channel", "") != "room:flood"
    ]
    run.conclude(converged_s=60)
    assert highest - before < GROWTH_KIB_MAX, f"from {before} to {highest} KiB"
    assert percentile(late, 99) < UNDISTURBED_S, late[-5:]
