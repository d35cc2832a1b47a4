# SPDX-License-Identifier: MPL-2.0
"""A network that fails: every role on a host of its own, and real packets that are dropped, refused, lost or late."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from stack import wait_for

from harness.history import Reset
from harness.run import ROOMS, percentile

BYSTANDER_S = 0.7
HEALED_S = 20.0


def two_sides(apart, make_run):
    """A run in which gateway0 will be cut off, and who must not notice: everybody at gateway1."""
    run = make_run(apart.start(workers=2, gateways=2))
    victim, other = apart.gateways
    run.subscribe(victim, victim, count=3)
    bystanders = run.subscribe(other, other, count=2)
    run.subscribe(other, other, looks=True)
    run.publish_acked(60)
    run.publish_fire(20)
    run.publish_http(5, other)
    run.warm_up().last_for(0.5)
    return run, victim, bystanders


def check_bystanders(run, bystanders, began: float, healed: float) -> None:
    for session in bystanders:
        assert session.connections == 1, f"{session.name} was disconnected"
        late = run.latencies(session, began, healed)
        assert percentile(late, 99) < BYSTANDER_S, f"{session.name}: {late[-5:]}"


WAYS = {"both ways": "cut_from", "towards the gateway": "deaf_to", "towards the broker": "mute_to"}


@pytest.mark.fault(5)
@pytest.mark.fault(6)
@pytest.mark.parametrize(
    ("way", "seconds"),
    [("towards the gateway", 7)]
    + [
        pytest.param(way, seconds, marks=pytest.mark.nightly)
        for way in WAYS
        for seconds in (1, 7, 60)
        if (way, seconds) != ("towards the gateway", 7)
    ],
)
def test_gateway_cut_off_from_the_broker_catches_up(way: str, seconds: int, apart, make_run, step, network) -> None:
    run, victim, bystanders = two_sides(apart, make_run)
    began = time.monotonic()
    step(f"gateway0 and the broker are cut apart {way} for {seconds} s")
    with getattr(network["gateway0"], WAYS[way])(network["broker"]):
        if seconds > 5:
            wait_for(lambda: not victim.has_broker(), "the gateway has noticed", 5)
            noticed = time.monotonic() - began
            # Three beacons, or three seconds without an answer where beacons still come.
            assert noticed < (4.5 if way == "towards the broker" else 3.0), f"noticed after {noticed:.1f} s"
        run.last_for(max(0.0, began + seconds - time.monotonic()))
    healed = time.monotonic()
    wait_for(victim.has_broker, "the gateway is back", HEALED_S)
    run.last_for(0.5)
    verdict = run.conclude()
    check_bystanders(run, bystanders, began, healed)
    if seconds < 30:
        assert verdict.counts["resets"] == 0, "history reaches back: replay repairs everything"


@pytest.mark.nightly
@pytest.mark.fault(5)
@pytest.mark.parametrize("role", ["worker0", "redis"])
def test_worker_or_redis_cut_off_delays_and_flags_but_loses_nothing(role: str, apart, make_run, step, network) -> None:
    run = make_run(apart.start())
    run.usual_load()
    step(f"{role} is cut off for 4 s")
    with ExitStack() as cuts:
        others = ["broker"] if role == "worker0" else ["worker0", "worker1"]
        for other in others:
            cuts.enter_context(network[role].cut_from(network[other]))
        run.last_for(4)
    run.last_for(1)
    verdict = run.conclude()
    assert verdict.counts["resets"] == 0
    if role == "worker0":
        # The other worker did in time what was given to this one; only what nobody could do is flagged.
        assert verdict.counts["received unconfirmed"] <= verdict.counts["received"] / 10
    else:
        assert verdict.counts["received unconfirmed"] > 0
    run.check_purged()


@pytest.mark.nightly
@pytest.mark.fault(7)
@pytest.mark.parametrize("seconds", [6, 30])
def test_connections_that_are_refused_every_moment_leak_nothing(
    seconds: int, apart, make_run, step, network
) -> None:
    run, victim, bystanders = two_sides(apart, make_run)
    fds = {role.name: role.fds() for role in (victim, apart.broker)}
    began = time.monotonic()
    step(f"the link of gateway0 is reset every 300 ms for {seconds} s")
    while time.monotonic() < began + seconds:
        with network["gateway0"].refused_by(network["broker"]):
            run.last_for(0.3)
        run.last_for(0.3)
    healed = time.monotonic()
    wait_for(victim.has_broker, "the gateway is back", HEALED_S)
    verdict = run.conclude()
    check_bystanders(run, bystanders, began, healed)
    assert verdict.counts["resets"] == 0
    for role in (victim, apart.broker):
        wait_for(
            lambda: role.fds() <= fds[role.name] + 8, f"{role.name} has its {fds[role.name]} descriptors again", 15
        )


@pytest.mark.nightly
@pytest.mark.fault(8)
@pytest.mark.parametrize("share", [0.05, 0.30])
def test_lossy_network_is_slow_and_complete(share: float, apart, make_run, step, network) -> None:
    run, victim, bystanders = two_sides(apart, make_run)
    began = time.monotonic()
    step(f"gateway0 loses {share:.0%} of all packets for 6 s")
    # Its own sessions reach it over the same lossy cable.
    with network["gateway0"].losing(share):
        run.last_for(6)
    healed = time.monotonic()
    verdict = run.conclude()
    check_bystanders(run, bystanders, began, healed)
    assert verdict.counts["resets"] == 0


@pytest.mark.nightly
@pytest.mark.fault(9)
def test_narrow_link_delays_only_its_gateway(apart, make_run, step, network) -> None:
    run, victim, bystanders = two_sides(apart, make_run)
    began = time.monotonic()
    step("gateway0 receives at 200 kbit/s for 8 s, under more than that")
    heavy = run.publish_acked(100)
    with network["gateway0"].slow_receiving("200kbit"):
        run.last_for(8)
        assert heavy.accepted
    healed = time.monotonic()
    run.conclude()
    check_bystanders(run, bystanders, began, healed)


@pytest.mark.nightly
@pytest.mark.fault(10)
@pytest.mark.parametrize("seconds", [8, 60])
def test_connections_killed_at_random_lose_nothing_acknowledged(
    seconds: int, apart, make_run, step, network
) -> None:
    run = make_run(apart.start())
    run.usual_load()
    step(f"a random connection of the broker is killed, again and again for {seconds} s")
    ends, killed = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        link = run.random.choice(list(apart.ports))
        peers = ["worker0", "worker1"] if link == "jobs" else ["gateway0", "gateway1"]
        killed += network[run.random.choice(peers)].kill_connections("dport", "=", f":{apart.ports[link]}")
        if run.random.random() < 0.3:
            killed += network["broker"].kill_connections("sport", "=", f":{apart.ports['publish']}")
        run.last_for(run.random.uniform(0.2, 1.0))
    assert killed >= seconds / 2, "connections were killed indeed"
    verdict = run.conclude()
    assert verdict.counts["resets"] == 0


@pytest.mark.nightly
@pytest.mark.fault(11)
def test_link_that_fails_during_a_replay_repeats_nothing(apart, make_run, step, network) -> None:
    run, victim, bystanders = two_sides(apart, make_run)
    heavy = run.publish_acked(150)
    for number in range(1, 4):
        step(f"the cable of gateway0 is pulled during a replay, {number} of 3")
        with network["gateway0"].cut_from(network["broker"]):
            before = heavy.accepted
            wait_for(lambda: heavy.accepted > before + 300, "there is something to replay")
            # Its old connection is given up: what was missed cannot come late, it must be asked for.
            wait_for(lambda: not victim.has_broker(), "the gateway has noticed")
            replays = victim.metric("freshwire_replays_total")
        wait_for(lambda: victim.metric("freshwire_replays_total") > replays, "a replay is under way", HEALED_S, 0.002)
        network["gateway0"].down()
        run.last_for(0.5)
        network["gateway0"].up()
        run.last_for(1)
    verdict = run.conclude()
    assert verdict.counts["resets"] == 0


@pytest.mark.fault(26)
def test_lost_acknowledgement_is_a_duplicate_and_not_a_second_event(apart, make_run, step, network) -> None:
    run = make_run(apart.start())
    run.usual_load()
    step("the broker's answers to publishers are dropped for 4 s")
    port = str(apart.ports["publish"])
    with network["broker"].rule("OUTPUT", "-d", network.address, "-p", "tcp", "--sport", port, "-j", "DROP"):
        run.last_for(4)
    verdict = run.conclude()
    assert verdict.counts["told duplicate"] > 0
    assert verdict.counts["resets"] == 0


def resets_of(run) -> list[Reset]:
    return [entry for session in run.subscribers for entry in session.history.entries if isinstance(entry, Reset)]


@pytest.mark.nightly
@pytest.mark.fault(5)
def test_broker_cut_off_from_everybody_goes_on_where_it_was(apart, make_run, step, network) -> None:
    run = make_run(apart.start())
    run.usual_load()
    step("the broker's cable is pulled for 10 s")
    network["broker"].down()
    run.last_for(10)
    network["broker"].up()
    run.wait_accepted(100, 60)
    run.conclude()
    assert not resets_of(run), "the same broker, the same history"
    assert all(set(session.history.channels) == set(ROOMS) for session in run.subscribers)
