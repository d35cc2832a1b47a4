# SPDX-License-Identifier: MPL-2.0
"""Purges that Redis refuses for good: kept, shown by freshwire dead-letters, and done by freshwire publish once the
cause is mended."""

from __future__ import annotations

import json
import subprocess
from typing import Any, Callable, Iterator

import pytest

from conftest import SECRET
from stack import Daemon, RedisServer, Session, find_binary, make_token, run_command, wait_for
from stack.process import environment

OK, FAILURE, USAGE, _, _, UNREACHABLE = range(6)

# What workers need for themselves, and one part of the keys.
RIGHTS = ["on", ">secret", "+@all", "~fw:*", "~{fw:*", "~mine:*"]


@pytest.fixture
def guarded(redis_server: RedisServer) -> RedisServer:
    """A Redis whose user "worker" may touch the keys of "mine:" only."""
    redis_server.client.acl_setuser("worker", enabled=False)
    redis_server.client.execute_command("ACL", "SETUSER", "worker", *RIGHTS)
    return redis_server


def worker_url(redis: RedisServer) -> str:
    return f"redis://worker:secret@127.0.0.1:{redis.port}"


class Chain:
    """A broker, a worker that logs in as "worker", a gateway, a browser."""

    def __init__(self, start: Callable[..., Daemon], redis: RedisServer, *worker_flags: str) -> None:
        self.redis = redis
        self.broker = start("broker")
        flags = ["--worker-redis-url", worker_url(redis), *worker_flags]
        self.worker = start("worker", *flags, *self.broker.broker_flags()).wait_ready()
        self.gateway = start("gateway", *self.broker.broker_flags()).wait_ready()
        self.session = Session(self.gateway.websocket + "/ws", {"token": make_token(SECRET, "u1")})

    def publish(self, *arguments: str, stdin: str = "") -> list[dict[str, Any]]:
        done = run_command("publish", *self.broker.broker_flags(), *arguments, stdin=stdin)
        assert done.returncode == OK, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def letters(self, word: str) -> list[str]:
        done = run_command("dead-letters", word, "--worker-redis-url", worker_url(self.redis))
        assert done.returncode == OK, done.stderr
        return done.stdout.splitlines()

    def await_letters(self, count: int) -> None:
        wait_for(lambda: self.redis.client.llen("fw:dead") >= count, f"{count} dead letters")


@pytest.fixture
def chain(start: Callable[..., Daemon], guarded: RedisServer) -> Iterator[Chain]:
    made = Chain(start, guarded)
    yield made
    made.session.close()


def test_a_redis_that_is_not_there_is_named() -> None:
    done = run_command("dead-letters", "list", "--worker-redis-url", "redis://127.0.0.1:1")
    assert done.returncode == UNREACHABLE
    assert "redis does not answer" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("url", "says"),
    [("http://127.0.0.1", "must begin with redis:// or unix://"), ("rediss://127.0.0.1", "TLS")],
)
def test_a_url_that_cannot_be_used_is_refused_with_what_can(url: str, says: str) -> None:
    done = run_command("dead-letters", "list", "--worker-redis-url", url)
    assert done.returncode == USAGE
    assert says in done.stderr


def test_no_letters_are_nothing_to_say(redis_server: RedisServer) -> None:
    for word in ("list", "take"):
        done = run_command("dead-letters", word, "--worker-redis-url", redis_server.url)
        assert (done.returncode, done.stdout) == (OK, "")


def test_what_was_forbidden_is_done_when_it_is_allowed(chain: Chain) -> None:
    redis = chain.redis.client
    redis.mset({"mine:1": "old", "theirs:1": "old"})
    event = ["--type", "thing_changed", "--channel", "broadcast", "--key", "mine:1", "--key", "theirs:1", "--tag", "t"]
    (receipt,) = chain.publish(*event)
    assert receipt["unconfirmed"] is True
    assert chain.session.receive(lambda message: message["type"] == "thing_changed")["unconfirmed"] is True
    # The rest of it was done.
    assert redis.exists("mine:1") == 0
    assert redis.exists("fw:t:t") == 1
    chain.await_letters(1)
    letters = chain.letters("list")
    assert len(letters) == 1
    letter = json.loads(letters[0])
    assert "NOPERM" in letter["data"]["reason"]
    assert letter["invalidate"] == {"keys": ["mine:1", "theirs:1"], "tags": ["t"], "patterns": []}
    assert chain.letters("list") == letters, "list removes nothing"
    # While the cause stands, another try is another letter.
    taken = chain.letters("take")
    assert taken == letters
    assert redis.llen("fw:dead") == 0
    assert chain.publish("--stdin", stdin="\n".join(taken))[0]["unconfirmed"] is True
    chain.await_letters(1)
    assert redis.get("theirs:1") == b"old"
    # When it is mended the purge is done, once and for all, and no browser sees the letter.
    redis.execute_command("ACL", "SETUSER", "worker", "~theirs:*")
    before = int(redis.get("fw:t:t"))
    assert chain.publish("--stdin", stdin="\n".join(chain.letters("take")))[0]["unconfirmed"] is False
    assert redis.exists("theirs:1") == 0
    assert int(redis.get("fw:t:t")) > before
    assert redis.llen("fw:dead") == 0
    chain.publish("--type", "last", "--channel", "broadcast")
    chain.session.receive(lambda message: message["type"] == "last")
    assert [event["type"] for event in chain.session.events] == ["thing_changed", "last"]


def test_keys_that_a_sweep_may_not_remove_are_kept_too(chain: Chain) -> None:
    redis = chain.redis.client
    redis.mset({"mine:list:1": "old", "theirs:list:1": "old", "theirs:list:2": "old"})
    patterns = ["--pattern", "theirs:list:*", "--pattern", "mine:*"]
    chain.publish("--type", "thing_changed", "--channel", "broadcast", *patterns)
    chain.await_letters(1)
    assert redis.exists("mine:list:1") == 0
    (letter,) = chain.letters("list")
    assert sorted(json.loads(letter)["invalidate"]["keys"]) == ["theirs:list:1", "theirs:list:2"]
    redis.execute_command("ACL", "SETUSER", "worker", "~theirs:*")
    assert chain.publish("--stdin", stdin="\n".join(chain.letters("take")))[0]["unconfirmed"] is False
    assert redis.exists("theirs:list:1", "theirs:list:2") == 0


def test_a_pattern_that_was_too_wide_for_one_worker_is_swept_by_another(start, guarded: RedisServer) -> None:
    guarded.client.set("mine:1", "old")
    chain = Chain(start, guarded, "--worker-sweep-prefix-min", "20")
    (receipt,) = chain.publish("--type", "gone", "--channel", "broadcast", "--pattern", "mine:*")
    assert receipt["unconfirmed"] is True
    chain.await_letters(1)
    chain.worker.stop()
    start("worker", "--worker-redis-url", worker_url(guarded), *chain.broker.broker_flags()).wait_ready()
    assert guarded.client.get("mine:1") == b"old"
    assert chain.publish("--stdin", stdin="\n".join(chain.letters("take")))[0]["unconfirmed"] is False
    wait_for(lambda: guarded.client.exists("mine:1") == 0, "the sweep is done")
    chain.session.close()


def test_a_letter_that_cannot_be_printed_stays(redis_server: RedisServer) -> None:
    redis_server.client.lpush("fw:dead", "{}", "{}")
    with open("/dev/full", "wb") as full:
        command = [str(find_binary()), "dead-letters", "take", "--worker-redis-url", redis_server.url]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment(), timeout=30, check=False)
    assert done.returncode == FAILURE
    assert b"could not be written" in done.stderr
    assert redis_server.client.llen("fw:dead") == 2
