# SPDX-License-Identifier: MPL-2.0
"""Links that are late, drip, are cut or half open, by a proxy in user space: for everybody, also without root."""

from __future__ import annotations

import time
from typing import Callable, Iterator

import pytest

from stack import wait_for

from harness.cluster import Cluster
from harness.history import Reset
from harness.run import ROOMS, Run, percentile
from harness.tcp_proxy import TcpProxy

BYSTANDER_S = 0.7


class Proxied:
    """gateway0, worker0 and one service reach the broker only through proxies; gateway1 and worker1 directly."""

    def __init__(self, cluster: Cluster, make_run: Callable[[Cluster], Run], seed: int) -> None:
        broker = cluster.broker.address
        self.proxies = {link: TcpProxy((broker, port), seed) for link, port in cluster.ports.items()}
        ports = {link: proxy.port for link, proxy in self.proxies.items()}
        cluster.start_redis()
        link = cluster.link_flags(ports=ports)
        cluster.add_worker(link=link)
        cluster.add_worker()
        cluster.add_gateway(link=link)
        cluster.add_gateway()
        self.run = run = make_run(cluster.start())
        self.victim, other = cluster.gateways
        run.subscribe(self.victim, self.victim, count=3)
        self.bystanders = run.subscribe(other, other, count=2)
        run.subscribe(other, other, looks=True)
        run.publish_acked(40, endpoint=f"tcp://127.0.0.1:{ports['publish']}")
        run.publish_acked(40)
        run.publish_http(5, self.victim)
        run.warm_up().last_for(0.3)

    def all(self, **settings: object) -> None:
        for proxy in self.proxies.values():
            for name, value in settings.items():
                setattr(proxy, name, value)

    def check_bystanders(self, since: float, until: float) -> None:
        for session in self.bystanders:
            assert session.connections == 1
            # Of the service that is not behind the proxies: what comes late to the broker is late for everybody.
            late = self.run.latencies(session, since, until, self.run.publishers[1])
            assert percentile(late, 99) < BYSTANDER_S, f"{session.name}: {late[-5:]}"


@pytest.fixture
def proxied(cluster, make_run, seed) -> Iterator[Proxied]:
    made = Proxied(cluster, make_run, seed)
    yield made
    made.run.close()
    for proxy in made.proxies.values():
        proxy.stop()


@pytest.mark.nightly
@pytest.mark.fault(5)
def test_half_open_links_are_noticed_and_replaced(proxied, step) -> None:
    run = proxied.run
    step("the proxies swallow everything for 6 s; connections stay open")
    began = time.monotonic()
    proxied.all(swallows=True)
    wait_for(lambda: not proxied.victim.has_broker(), "the gateway has noticed", 4)
    run.last_for(began + 6 - time.monotonic())
    # Those that were swallowed from have lost bytes in the middle of the stream: nobody may go on with them.
    for proxy in proxied.proxies.values():
        proxy.cut()
    proxied.all(swallows=False)
    healed = time.monotonic()
    wait_for(proxied.victim.has_broker, "the gateway is back", 20)
    verdict = run.conclude()
    proxied.check_bystanders(began, healed)
    assert verdict.counts["resets"] == 0


@pytest.mark.nightly
@pytest.mark.fault(8)
@pytest.mark.parametrize(("delay", "drip"), [((0.05, 0.25), 0), ((0.0, 0.0), 50)], ids=["late", "dripping"])
def test_late_and_dripping_links_are_slow_and_complete(delay: tuple[float, float], drip: int, proxied, step) -> None:
    run = proxied.run
    step(f"chunks are {delay} s late, and come {drip or 'all'} bytes at a time, for 8 s")
    began = time.monotonic()
    proxied.all(delay_s=delay, drip=drip)
    run.last_for(8)
    healed = time.monotonic()
    proxied.all(delay_s=(0.0, 0.0), drip=0)
    verdict = run.conclude()
    proxied.check_bystanders(began, healed)
    assert verdict.counts["resets"] == 0


@pytest.mark.fault(10)
@pytest.mark.parametrize("seconds", [4, pytest.param(30, marks=pytest.mark.nightly)])
def test_links_cut_at_random_lose_nothing_acknowledged(seconds: int, proxied, step) -> None:
    run = proxied.run
    step(f"a random link is cut, again and again for {seconds} s")
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        run.random.choice(list(proxied.proxies.values())).cut()
        run.last_for(run.random.uniform(0.05, 0.5))
    healed = time.monotonic()
    verdict = run.conclude()
    proxied.check_bystanders(began, healed)
    assert verdict.counts["resets"] == 0


def told_after(session, channel: str, fire, lost: list[str]) -> bool:
    """A reset of the channel came after the last event in it that was lost, or none was lost there."""
    times = [entry.at for entry in fire.history.entries if entry.id in lost and channel in entry.channels]
    resets = [entry.at for entry in session.history.entries if isinstance(entry, Reset) and entry.channel == channel]
    return not times or any(at > max(times) for at in resets)


@pytest.mark.nightly
@pytest.mark.fault(27)
@pytest.mark.parametrize("repairs", [True, False], ids=["by its publisher", "by nobody"])
def test_fired_events_that_were_lost_with_their_link_are_repaired_or_reset(
    repairs: bool, cluster, make_run, step, seed
) -> None:
    proxy = TcpProxy((cluster.broker.address, cluster.ports["fire"]), seed)
    try:
        run = make_run(cluster.start())
        run.subscribe(count=3)
        run.publish_acked(20)
        fire = run.publish_fire(100, endpoint=f"tcp://127.0.0.1:{proxy.port}")
        fire.repairs = repairs
        run.warm_up().last_for(0.5)
        for number in range(1, 4):
            step(f"the fire-and-forget link swallows what it is given, and is cut, {number} of 3")
            proxy.swallows = True
            run.last_for(0.3)
            proxy.cut()
            proxy.swallows = False
            run.last_for(1)
        # Longer than the broker waits for what it misses: whatever is not repaired by then is a reset.
        run.last_for(6)
        verdict = run.conclude()
        sent = [entry.id for entry in fire.history.entries]
        heard = {entry.id for entry in run.subscribers[0].history.entries if hasattr(entry, "id")}
        lost = [id for id in sent if id not in heard]
        repaired = cluster.broker.metric("freshwire_broker_fire_gaps_total", outcome="repaired")
        print(f"{len(sent)} fired, {fire.sent_again} sent again, {repaired:g} repaired, {len(lost)} lost")
        if repairs:
            assert fire.sent_again > 0 and repaired > 0
            assert not lost and verdict.counts["resets"] == 0
        else:
            assert lost, "there was something to lose"
            for session in run.subscribers:
                for channel in ROOMS:
                    assert told_after(session, channel, fire, lost), f"{session.name} was not told of it in {channel}"
    finally:
        run.close()
        proxy.stop()
