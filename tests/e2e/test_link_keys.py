# SPDX-License-Identifier: MPL-2.0
"""Links with keys (CURVE): the whole chain as real processes, who is kept out, and how keys are replaced."""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml

from conftest import PUBLISH_KEY
from stack import Daemon, RedisServer, Session, publish_http, run_command, wait_for
from stack.client import freshwire
from freshwire.publisher import Curve  # isort: skip


@dataclass
class Key:
    """A key pair as `freshwire keys` makes it, its secret half in a file."""

    name: str
    role: str
    path: Path
    public: str = ""

    def __post_init__(self) -> None:
        made = run_command("keys", "--role", self.role, "--name", self.name, "--output", str(self.path))
        assert made.returncode == 0, made.stderr
        self.public = run_command("keys", "--public", stdin=self.path.read_bytes()).stdout.strip()

    def rule(self, more: str = "") -> str:
        return f"name={self.name} role={self.role} key={self.public} {more}".strip()


@dataclass
class Links:
    """One broker's keys, and the file with the peers that it lets in."""

    folder: Path
    broker: Key
    file: Path = field(init=False)

    def __post_init__(self) -> None:
        self.file = self.folder / "broker.yaml"

    def key(self, name: str, role: str) -> Key:
        return Key(name, role, self.folder / f"{name}.key")

    def let_in(self, *rules: str) -> None:
        self.file.write_text(yaml.safe_dump({"security": {"peers": list(rules)}}))

    def broker_env(self) -> dict[str, str]:
        return {"FRESHWIRE_SECURITY_SECRET_KEY_FILE": str(self.broker.path)}

    def peer_env(self, key: Key, *servers: Key) -> dict[str, str]:
        return {
            "FRESHWIRE_SECURITY_SECRET_KEY_FILE": str(key.path),
            "FRESHWIRE_SECURITY_SERVER_KEYS": ",".join(one.public for one in servers or (self.broker,)),
        }


@pytest.fixture
def links(tmp_path: Path) -> Links:
    folder = tmp_path / "keys"
    folder.mkdir()
    return Links(folder, Key("broker", "broker", folder / "broker.key"))


def refused(broker: Daemon, door: str, reason: str) -> float:
    return broker.metrics().value("freshwire_links_refused_total", door=door, reason=reason)


def publish(
    broker: Daemon, env: dict[str, str], *flags: str, channel: str = "broadcast", timeout: str = "10s"
) -> subprocess.CompletedProcess[str]:
    return run_command(
        *("publish", "--type", "thing_changed", "--channel", channel, "--timeout", timeout),
        *(*flags, *broker.broker_flags()),
        env=env,
    )


def test_the_whole_chain_runs_over_links_with_keys(
    links: Links, start: Callable[..., Daemon], redis_server: RedisServer
) -> None:
    worker_key, gateway_key = links.key("worker", "worker"), links.key("gateway", "gateway")
    publisher_key = links.key("orders", "publisher")
    links.let_in(worker_key.rule(), gateway_key.rule(), publisher_key.rule())
    broker = start("broker", "--config", str(links.file), env=links.broker_env())
    flags = broker.broker_flags()
    worker = start("worker", *flags, "--worker-redis-url", redis_server.url, env=links.peer_env(worker_key))
    gateway = start("gateway", *flags, env=links.peer_env(gateway_key))
    worker.wait_ready()
    gateway.wait_ready()
    redis_server.client.set("stale", "1")
    tail = subprocess.Popen(
        [broker.process.args[0], "tail", "--json", "--count", "4", *flags],  # type: ignore[index]
        env=links.peer_env(gateway_key), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert tail.stderr is not None
    # It says so when its subscriptions are in force.
    tail.stderr.readline()
    with closing(Session(gateway.websocket + "/ws")) as session:
        done = publish(broker, links.peer_env(publisher_key), "--key", "stale")
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["status"] == "ok" and answer["unconfirmed"] is False
        assert redis_server.client.get("stale") is None
        assert publish(broker, links.peer_env(publisher_key), "--fire").returncode == 0
        curve = Curve(publisher_key.path.read_text().strip(), links.broker.public)
        with freshwire.Publisher(broker.publish_endpoint, curve=curve, timeout=10) as python:
            assert python.publish("thing_changed", audience="broadcast").positions
        posted = publish_http(gateway.gateway, PUBLISH_KEY, {"type": "thing_changed", "audience": ["broadcast"]})
        assert posted.status == 200, posted.body
        assert {event["channel"] for event in session.wait_events(4)} == {"broadcast"}
    out, _ = tail.communicate(timeout=20)
    assert [json.loads(line)["type"] for line in out.splitlines()] == ["thing_changed"] * 4
    metrics = broker.metrics()
    assert metrics["freshwire_links_refused_total"] == 0
    for door in ("fire", "publish", "jobs", "events", "control"):
        assert metrics.value("freshwire_links_accepted_total", door=door) >= 1, door


def test_who_has_no_key_an_unknown_one_or_another_role_is_kept_out(links: Links, start: Callable[..., Daemon]) -> None:
    worker_key, stranger = links.key("worker", "worker"), links.key("stranger", "publisher")
    links.let_in(worker_key.rule())
    broker = start("broker", "--config", str(links.file), env=links.broker_env())
    for env in ({}, links.peer_env(stranger), links.peer_env(worker_key)):
        done = publish(broker, env, timeout="1500ms")
        assert done.returncode == 5, done.stderr
    assert "security.peers" in done.stderr
    assert refused(broker, "publish", "unknown_key") >= 1
    assert refused(broker, "publish", "wrong_role") >= 1
    assert broker.metrics().value("freshwire_refused_total", door="publish", reason="handshake") >= 1
    line = broker.log("connection refused")[0]
    assert line["door"] == "publish" and line["key"] == stranger.public[:8] and "SIGHUP" in line["advice"]
    for key in (links.broker, worker_key, stranger):
        assert key.path.read_text().strip() not in broker.stderr()
        assert key.public not in broker.stderr()


def test_a_publisher_keeps_to_its_channels_and_types_on_both_links(links: Links, start: Callable[..., Daemon]) -> None:
    key = links.key("orders", "publisher")
    links.let_in(key.rule("channels=room:*|user:7 types=thing_*"))
    broker = start("broker", "--config", str(links.file), env=links.broker_env())
    env = links.peer_env(key)
    assert publish(broker, env, channel="room:42").returncode == 0
    assert publish(broker, env, channel="user:7").returncode == 0
    done = publish(broker, env, channel="broadcast")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["status"] == "rejected", answer
    assert answer["field"] == "audience[0]" and '"broadcast"' in answer["reason"], answer
    done = run_command("publish", "--type", "other", "--channel", "room:42", *broker.broker_flags(), env=env)
    assert done.returncode == 1 and json.loads(done.stdout)["field"] == "type"
    assert publish(broker, env, "--fire", channel="broadcast").returncode == 0  # nobody tells it
    wait_for(
        lambda: broker.metrics().value("freshwire_refused_total", door="fire", reason="permission") == 1,
        "the refused event of the fire-and-forget link is counted",
    )
    assert broker.metrics().value("freshwire_refused_total", door="publish", reason="permission") == 2


def test_a_key_that_is_removed_is_cut_off_and_one_that_is_added_gets_in_without_a_restart(
    links: Links, start: Callable[..., Daemon]
) -> None:
    old, new = links.key("orders-old", "publisher"), links.key("orders-new", "publisher")
    links.let_in(old.rule())
    broker = start("broker", "--config", str(links.file), env=links.broker_env())
    assert publish(broker, links.peer_env(new), timeout="1s").returncode == 5

    def curve(key: Key) -> Any:
        return Curve(key.path.read_text().strip(), links.broker.public)

    with freshwire.Publisher(broker.publish_endpoint, curve=curve(old), timeout=10) as publisher:
        publisher.publish("thing_changed", audience="broadcast")
        links.let_in(new.rule())
        broker.signal(signal.SIGHUP)
        wait_for(lambda: broker.log("configuration reloaded"), "the broker has read its file again")
        wait_for(
            lambda: broker.metrics().value("freshwire_links_cut_total", door="publish") >= 1, "the connection is cut"
        )
        with pytest.raises(freshwire.TimeoutError):
            publisher.publish("thing_changed", audience="broadcast", timeout=1)
    assert publish(broker, links.peer_env(new)).returncode == 0
    assert not broker.log("takes effect at the next start")
    # What is wrong is not taken over.
    links.let_in("name=nobody")
    broker.signal(signal.SIGHUP)
    wait_for(lambda: broker.log("keeping the old one"), "the broker complains")
    assert publish(broker, links.peer_env(new)).returncode == 0


def test_a_gateway_whose_key_is_removed_hears_no_more_events(links: Links, start: Callable[..., Daemon]) -> None:
    stays, goes = links.key("stays", "gateway"), links.key("goes", "gateway")
    publisher = links.key("orders", "publisher")
    links.let_in(stays.rule(), goes.rule(), publisher.rule())
    broker = start("broker", "--config", str(links.file), env=links.broker_env())
    one, other = (start("gateway", *broker.broker_flags(), env=links.peer_env(key)) for key in (stays, goes))
    one.wait_ready()
    other.wait_ready()
    with closing(Session(one.websocket + "/ws")) as heard, closing(Session(other.websocket + "/ws")) as unheard:
        links.let_in(stays.rule(), publisher.rule())
        broker.signal(signal.SIGHUP)
        for door in ("events", "control"):
            wait_for(
                lambda: broker.metrics().value("freshwire_links_cut_total", door=door) == 1, f"the link {door} is cut"
            )
        wait_for(lambda: other.metrics()["freshwire_gateway_degraded"] == 1, "the gateway without a key says so")
        assert publish(broker, links.peer_env(publisher)).returncode == 0
        assert heard.wait_events(1)
        assert one.metrics()["freshwire_gateway_degraded"] == 0
        assert unheard.events == []
    metrics = broker.metrics()
    assert metrics.value("freshwire_links_cut_total", door="events") == 1
    assert metrics.value("freshwire_links_cut_total", door="control") == 1


def test_one_process_with_all_roles_asks_services_only_for_a_key(
    links: Links, start: Callable[..., Daemon], redis_server: RedisServer
) -> None:
    key = links.key("orders", "publisher")
    links.let_in(key.rule())
    flags = ("--config", str(links.file), "--broker-bind", "0.0.0.0", "--worker-redis-url", redis_server.url)
    everything = start("all", *flags, env=links.broker_env()).wait_ready()
    with closing(Session(everything.websocket + "/ws")) as session:
        assert publish(everything, {}, timeout="1s").returncode == 5
        done = publish(everything, links.peer_env(key), "--tag", "projects")
        assert done.returncode == 0 and json.loads(done.stdout)["unconfirmed"] is False
        posted = publish_http(everything.gateway, PUBLISH_KEY, {"type": "posted", "audience": ["broadcast"]})
        assert posted.status == 200, posted.body
        assert [event["type"] for event in session.wait_events(2)] == ["thing_changed", "posted"]


def test_the_brokers_own_key_is_replaced_while_its_peers_know_both(
    links: Links, start: Callable[..., Daemon], redis_server: RedisServer
) -> None:
    next_key = links.key("broker-next", "broker")
    worker_key, gateway_key = links.key("worker", "worker"), links.key("gateway", "gateway")
    publisher_key = links.key("orders", "publisher")
    links.let_in(worker_key.rule(), gateway_key.rule(), publisher_key.rule())
    broker = start("broker", "--config", str(links.file), env=links.broker_env())
    flags = broker.broker_flags()
    both = (next_key, links.broker)
    worker = start("worker", *flags, "--worker-redis-url", redis_server.url, env=links.peer_env(worker_key, *both))
    gateway = start("gateway", *flags, env=links.peer_env(gateway_key, *both))
    worker.wait_ready()
    gateway.wait_ready()
    broker.stop()
    again = start(
        *("broker", "--config", str(links.file), *flags),
        env={"FRESHWIRE_SECURITY_SECRET_KEY_FILE": str(next_key.path)},
    )

    def purged() -> bool:
        done = publish(again, links.peer_env(publisher_key, *both), "--tag", "projects")
        return done.returncode == 0 and json.loads(done.stdout)["unconfirmed"] is False

    wait_for(purged, "the worker has come with the other key", 60)
    wait_for(lambda: again.metrics()["freshwire_broker_gateways"] == 1, "the gateway has come with the other key", 60)
    curve = Curve(publisher_key.path.read_text().strip(), (links.broker.public, next_key.public))
    with freshwire.Publisher(again.publish_endpoint, curve=curve, timeout=30) as python:
        assert python.publish("thing_changed", audience="broadcast").positions
    # Only the new one is known, and it suffices.
    assert publish(again, links.peer_env(publisher_key, next_key)).returncode == 0
    assert publish(again, links.peer_env(publisher_key, links.broker), timeout="1500ms").returncode == 5


def test_a_broker_without_keys_stays_on_loopback_unless_told_otherwise(start: Callable[..., Daemon]) -> None:
    done = run_command("broker", "--broker-bind", "0.0.0.0", "--admin-listen", "127.0.0.1:0")
    assert done.returncode == 3
    assert "freshwire keys" in done.stderr and "security.allow_plaintext" in done.stderr
    start("broker", "--broker-bind", "0.0.0.0", "--security-allow-plaintext")


def test_half_a_configuration_is_refused_with_what_is_missing(links: Links) -> None:
    key = links.key("worker", "worker")
    for role, env, missing in (
        ("broker", {"FRESHWIRE_SECURITY_PEERS": key.rule()}, "security.secret_key"),
        ("worker", {"FRESHWIRE_SECURITY_SERVER_KEYS": links.broker.public}, "security.secret_key"),
        ("worker", {"FRESHWIRE_SECURITY_SECRET_KEY_FILE": str(key.path)}, "security.server_keys"),
        ("gateway", {"FRESHWIRE_SECURITY_SECRET_KEY_FILE": str(key.path)}, "security.server_keys"),
        ("publish", {"FRESHWIRE_SECURITY_SECRET_KEY_FILE": str(key.path)}, "security.server_keys"),
        ("tail", {"FRESHWIRE_SECURITY_SECRET_KEY_FILE": str(key.path)}, "security.server_keys"),
        ("broker", {"FRESHWIRE_SECURITY_SECRET_KEY": "short"}, "40 characters"),
    ):
        done = run_command(role, env=env)
        assert done.returncode == 3, (role, done.stderr)
        assert missing in done.stderr, (role, done.stderr)


def test_keys_are_made_for_their_owner_only_and_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "one.key"
    made = run_command("keys", "--role", "publisher", "--name", "orders", "--output", str(path))
    secret = path.read_text().strip()
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret not in made.stdout + made.stderr
    rule = list(yaml.safe_load_all(made.stdout))[-1]["security"]["peers"][0]
    public = run_command("keys", "--public", stdin=secret).stdout.strip()
    assert rule == f"name=orders role=publisher key={public}"
    again = run_command("keys", "--role", "publisher", "--output", str(path))
    assert again.returncode == 1 and path.read_text().strip() == secret
    shown = run_command("keys", "--role", "broker")
    own, others = list(yaml.safe_load_all(shown.stdout))
    public = run_command("keys", "--public", stdin=own["security"]["secret_key"]).stdout.strip()
    assert others["security"]["server_keys"] == [public]
    assert run_command("keys", "--public", stdin="not a key").returncode == 2
    assert run_command("keys", "--role", "king").returncode == 2
