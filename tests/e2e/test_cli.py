# SPDX-License-Identifier: MPL-2.0
"""The freshwire binary as people and scripts use it."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import jwt
import pytest

from conftest import PUBLISH_KEY, SECRET, Stack
from stack import Daemon, RedisServer, Session, find_binary, run_command, wait_for
from stack.process import environment, sanitizer_report
from stack.tokens import read_token

OK, FAILURE, USAGE, CONFIG, AUTH, UNREACHABLE = range(6)
COMMANDS = ["all", "broker", "worker", "gateway", "publish", "tail", "token", "config", "healthcheck", "version", "help"]

# A port of the reserved range, on which nothing listens on any sane machine.
NOBODY = "tcp://127.0.0.1:1"


def flags(stack: Stack) -> list[str]:
    return stack.daemon.broker_flags()


# Usage


def test_without_a_command_shows_the_help_and_fails() -> None:
    done = run_command()
    assert done.returncode == USAGE
    assert done.stdout == ""
    assert "Usage: freshwire COMMAND" in done.stderr


def test_an_unknown_command_is_refused() -> None:
    done = run_command("brokr")
    assert done.returncode == USAGE
    assert 'no command "brokr"' in done.stderr
    assert "freshwire help" in done.stderr


def test_the_help_names_every_command_and_the_exit_codes() -> None:
    done = run_command("help")
    assert done.returncode == OK
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", done.stdout, re.MULTILINE), command
    assert "Exit codes: 0 ok" in done.stdout
    assert run_command("--help").stdout == done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_help(command: str) -> None:
    done = run_command("help", command)
    assert done.returncode == OK
    assert f"Usage: freshwire {command}" in done.stdout
    assert run_command(command, "--help").stdout == done.stdout


def test_help_for_an_unknown_command_is_refused() -> None:
    assert run_command("help", "nothing").returncode == USAGE


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["publish", "--chanel", "x"], "did you mean --channel?"),
        (["all", "--gateway-lisen", "x"], "did you mean --gateway-listen?"),
        (["all", "now"], 'unexpected argument "now"'),
        (["tail", "--channel", "rom:1"], '"rom:1" is not a channel'),
        (["tail", "--count", "0"], "at least 1"),
        (["tail", "--channel"], "--channel needs a value"),
        (["publish"], "--type is missing"),
        (["publish", "--type", "a", "--level", "never"], "--level must be accepted or purged"),
        (["publish", "--type", "a", "--timeout", "soon"], "must be a duration"),
        (["publish", "--type", "a", "--endpoint", "http://gateway"], "POST /v1/events"),
        (["publish", "--type", "a", "--endpoint", "tcp://nonsense"], "tcp://nonsense"),
        (["token"], "--sub is missing"),
        (["token", "--sub", "u1", "--ttl", "forever"], "must be a duration"),
        (["config"], "check|print|doc"),
        (["config", "chek"], "check|print|doc"),
        (["healthcheck", "--admin", "nonsense"], "is not host:port"),
        (["broker", "--broker-credit", "0"], "at least 1"),
    ],
)
def test_a_wrong_command_line_is_refused_with_what_to_do(arguments: list[str], says: str) -> None:
    done = run_command(*arguments)
    assert done.returncode == USAGE, done.stderr
    assert says in done.stderr
    assert done.stdout == ""


# Version, configuration


def test_version_for_people_and_for_programs() -> None:
    done = run_command("version")
    assert done.returncode == OK
    assert re.fullmatch(r"freshwire \d+\.\d+\.\d+ \(protocol 1\)\n", done.stdout)
    assert run_command("--version").stdout == done.stdout
    version = json.loads(run_command("version", "--json").stdout)
    assert version["name"] == "freshwire"
    assert version["version"] in done.stdout
    assert re.match(r"\d+\.\d+", version["libraries"]["zeromq"])


def test_version_works_whatever_the_configuration() -> None:
    assert run_command("version", env={"FRESHWIRE_BROKER_CREDIT": "nonsense"}).returncode == OK


def test_a_full_disk_is_not_success() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([find_binary(), "config", "doc"], stdout=full, env=environment(), check=False)
    assert done.returncode == FAILURE


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("gateway:\n  lisen: 127.0.0.1:1\n", 2, "did you mean gateway.listen?"),
        ("gatway:\n  listen: 127.0.0.1:1\n", 1, "gateway"),
        ("\n\nbroker:\n  credit: many\n", 4, "broker.credit"),
        ("broker:\n  credit: 0\n", 2, "at least 1"),
        ("broker:\n  barrier_timeout: 5\n", 2, "duration"),
        ("log:\n  level: loud\n", 2, "log.level"),
        ("gateway:\n  anonymous: maybe\n", 2, "true or false"),
        ("gateway:\n  prefix: api\n", 2, "gateway.prefix"),
        ("worker:\n  redis_url: http://cache\n", 2, "worker.redis_url"),
        ("broker: [\n", 1, "broker"),
        ("log: {level: info\n", 2, "freshwire.yaml"),
    ],
)
def test_a_wrong_file_is_refused_with_line_and_reason(tmp_path: Path, text: str, line: int, says: str) -> None:
    file = tmp_path / "freshwire.yaml"
    file.write_text(text)
    for command in (["config", "check"], ["all"]):
        done = run_command(*command, "--config", str(file))
        assert done.returncode == CONFIG, done.stderr
        assert f"freshwire.yaml:{line}: " in done.stderr
        assert says in done.stderr


def test_a_missing_file_and_a_wrong_variable_are_refused(tmp_path: Path) -> None:
    done = run_command("config", "check", "--config", str(tmp_path / "none.yaml"))
    assert done.returncode == CONFIG
    assert "none.yaml" in done.stderr
    done = run_command("config", "check", env={"FRESHWIRE_BROKER_CREDT": "5"})
    assert done.returncode == CONFIG
    assert "did you mean FRESHWIRE_BROKER_CREDIT?" in done.stderr


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "freshwire.yaml"
    file.write_text("broker:\n  credit: 11\n  held_max: 12\n  dedupe_max: 13\n")
    done = run_command(
        "config", "print", "--broker-credit", "31",
        env={"FRESHWIRE_CONFIG": str(file), "FRESHWIRE_BROKER_CREDIT": "21", "FRESHWIRE_BROKER_HELD_MAX": "22"},
    )  # fmt: skip
    assert done.returncode == OK
    for pattern in (
        r"credit: 31 +# --broker-credit",
        r"held_max: 22 +# FRESHWIRE_BROKER_HELD_MAX",
        r"dedupe_max: 13 +# .*freshwire.yaml:4",
        r"channels_max: 1000000 +# default",
    ):
        assert re.search(pattern, done.stdout), pattern


def test_secrets_are_masked_and_may_come_from_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret from a file\n")
    env = {"FRESHWIRE_GATEWAY_JWT_SECRET_FILE": str(secret), "FRESHWIRE_WORKER_REDIS_URL": "redis://:hunter2@cache"}
    done = run_command("config", "print", env=env)
    assert done.returncode == OK
    assert "secret from a file" not in done.stdout
    assert "hunter2" not in done.stdout
    assert "********" in done.stdout
    token = run_command("token", "--sub", "u1", env=env).stdout.strip()
    assert read_token("a secret from a file", token)["sub"] == "u1"


def test_what_print_prints_is_a_configuration(tmp_path: Path) -> None:
    printed = run_command("config", "print", "--broker-credit", "77").stdout
    file = tmp_path / "printed.yaml"
    file.write_text(re.sub(r'"\*+"', '"redis://127.0.0.1:6379"', printed))
    done = run_command("config", "print", "--config", str(file))
    assert done.returncode == OK, done.stderr
    assert "credit: 77" in done.stdout


def test_doc_documents_every_option() -> None:
    doc = run_command("config", "doc").stdout
    options = re.findall(r"^\| `([a-z_.]+)` \|", doc, re.MULTILINE)
    printed = run_command("config", "print").stdout
    assert len(options) > 50
    for option in options:
        assert f"FRESHWIRE_{option.upper().replace('.', '_')}" in doc
        assert f"--{option.replace('.', '-').replace('_', '-')}" in doc
        assert re.search(rf"^ *{option.rsplit('.')[-1]}:", printed, re.MULTILINE), option


def test_the_example_file_holds_every_option_at_its_default(tmp_path: Path) -> None:
    example = Path(__file__).resolve().parents[2] / "cli" / "freshwire.yaml"
    text = example.read_text()
    options = re.findall(r"^\| `([a-z_.]+)` \|", run_command("config", "doc").stdout, re.MULTILINE)
    # As it stands it changes nothing.
    done = run_command("config", "print", "--config", str(example))
    assert done.returncode == OK, done.stderr
    assert not re.search(r"# .*freshwire\.yaml:\d+", done.stdout)
    # With every comment removed from the options, it still changes nothing but their origin.
    file = tmp_path / "active.yaml"
    file.write_text(re.sub(r"^( *)#([a-z_]+:)", r"\1\2", text, flags=re.MULTILINE))
    done = run_command("config", "print", "--config", str(file))
    assert done.returncode == OK, done.stderr
    defaults = run_command("config", "print").stdout

    def values(printed: str) -> list[str]:
        return [line.split(" #")[0].rstrip() for line in printed.splitlines()]

    assert values(done.stdout) == values(defaults)
    assert len(re.findall(r"active\.yaml:\d+", done.stdout)) == len(options)


# Tokens


def test_a_token_holds_what_was_asked_for() -> None:
    env = {"FRESHWIRE_GATEWAY_JWT_SECRET": SECRET}
    done = run_command("token", "--sub", "u1", "--ttl", "90s", "--room", "team-*", "--room", "42", env=env)
    assert done.returncode == OK
    claims = read_token(SECRET, done.stdout.strip())
    assert claims["sub"] == "u1"
    assert claims["rooms"] == ["team-*", "42"]
    assert claims["exp"] - claims["iat"] == 90
    assert abs(claims["iat"] - time.time()) < 60


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_key_signs_tokens_that_another_library_verifies(algorithm: str, tmp_path: Path) -> None:
    private = tmp_path / "signing.pem"
    made = run_command("keys", "--token", algorithm.lower(), "--name", "k7", "--output", str(private))
    assert made.returncode == OK, made.stderr
    assert private.stat().st_mode & 0o777 == 0o600
    key = jwt.PyJWK(json.loads(made.stdout)["keys"][0])
    assert key.key_id == "k7" and "PRIVATE" not in made.stdout and '"d"' not in made.stdout
    done = run_command(
        "token", "--sub", "u1", "--key", str(private), "--key-id", "k7", "--publish", "chat-*", "--presence", "*",
        env={"FRESHWIRE_GATEWAY_JWT_AUDIENCES": "sync,shop", "FRESHWIRE_GATEWAY_JWT_ISSUERS": "https://a,https://b"},
    )  # fmt: skip
    assert done.returncode == OK, done.stderr
    token = done.stdout.strip()
    assert jwt.get_unverified_header(token)["kid"] == "k7"
    claims = jwt.decode(token, key.key, algorithms=[algorithm], audience="sync", issuer="https://a")
    assert (claims["publish"], claims["presence"]) == (["chat-*"], ["*"])
    assert "rooms" not in claims
    again = run_command("keys", "--token", algorithm, "--output", str(private))
    assert again.returncode == FAILURE and "in use" in again.stderr


def test_what_is_no_key_signs_no_token(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    for path in (wrong, tmp_path / "missing.pem", tmp_path):
        done = run_command("token", "--sub", "u1", "--key", str(path))
        assert done.returncode == AUTH and str(path) in done.stderr and done.stdout == ""
    assert run_command("keys", "--token", "HS256", "--output", str(tmp_path / "x")).returncode == USAGE
    assert run_command("keys", "--token", "ES256").returncode == USAGE


def test_without_a_secret_there_is_no_token() -> None:
    done = run_command("token", "--sub", "u1")
    assert done.returncode == AUTH
    assert "FRESHWIRE_GATEWAY_JWT_SECRET" in done.stderr
    assert done.stdout == ""


def test_the_gateway_takes_the_token(stack: Stack) -> None:
    token = run_command("token", "--sub", "u1", env={"FRESHWIRE_GATEWAY_JWT_SECRET": SECRET}).stdout.strip()
    with stack.session("/ws", hello={"token": token}) as session:
        assert session.welcome["user_id"] == "u1"


# Publish and tail


@pytest.fixture
def tail(stack: Stack) -> Iterator[Callable[..., "Tail"]]:
    started: list[Tail] = []

    def start_tail(*arguments: str) -> Tail:
        started.append(Tail(stack, arguments))
        return started[-1]

    yield start_tail
    for one in started:
        one.end()


class Tail:
    """freshwire tail in the background, subscribed."""

    def __init__(self, stack: Stack, arguments: tuple[str, ...]) -> None:
        self.process = subprocess.Popen(
            [find_binary(), "tail", *flags(stack), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        )  # fmt: skip
        assert self.process.stderr
        # It says so when the broker has all its subscriptions.
        assert self.process.stderr.readline().startswith("tailing ")

    def lines(self, timeout_s: float = 20) -> list[str]:
        """Its output, once it has ended by itself."""
        out, err = self.process.communicate(timeout=timeout_s)
        assert self.process.returncode == OK, err
        assert sanitizer_report(err) is None, err
        return out.splitlines()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.communicate(timeout=20)


def test_publish_says_so_when_no_broker_answers() -> None:
    began = time.monotonic()
    done = run_command("publish", "--endpoint", NOBODY, "--timeout", "300ms", "--type", "a", "--channel", "broadcast")
    assert done.returncode == UNREACHABLE
    assert f"no broker answers at {NOBODY}" in done.stderr
    assert "freshwire all" in done.stderr
    assert json.loads(done.stdout) == {"status": "timeout"}
    assert time.monotonic() - began < 10


def test_fire_and_tail_say_so_when_no_broker_answers() -> None:
    done = run_command(
        "publish", "--fire", "--endpoint", NOBODY, "--timeout", "300ms", "--type", "a", "--channel", "broadcast"
    )
    assert done.returncode == UNREACHABLE
    done = run_command("tail", "--events-endpoint", NOBODY, "--control-endpoint", NOBODY)
    assert done.returncode == UNREACHABLE
    assert f"no broker answers at {NOBODY}" in done.stderr


def test_an_event_that_breaks_a_rule_is_refused_with_the_field(stack: Stack) -> None:
    for arguments, field in (
        (["--type", "a", "--channel", "rom:1"], "audience[0]"),
        (["--type", "fw.x", "--channel", "broadcast"], "type"),
        (["--type", "a"], "audience"),
        (["--type", "a", "--channel", "broadcast", "--data", "{"], "data"),
        (["--type", "a", "--channel", "broadcast", "--data", '"' + "x" * 65536 + '"'], "data"),
        (["--type", "a", "--channel", "broadcast", "--pattern", "*"], "invalidate.patterns[0]"),
    ):
        done = run_command("publish", *flags(stack), *arguments)
        assert done.returncode == FAILURE, arguments
        assert f"freshwire: {field}: " in done.stderr, done.stderr


def test_a_missing_data_file_is_named(stack: Stack) -> None:
    done = run_command("publish", *flags(stack), "--type", "a", "--channel", "broadcast", "--data", "@/nowhere")
    assert done.returncode == FAILURE
    assert "/nowhere" in done.stderr


def test_publish_reaches_browsers_and_purges_first(stack: Stack, tmp_path: Path) -> None:
    stack.redis.client.set("a-key", "old")
    data = tmp_path / "data.json"
    data.write_text('{"id": "42",\n "price": 1.50}')
    with stack.session("/ws/room/42", hello={"token": stack.token("u1"), "origin": "tab-2"}) as session:
        done = run_command(
            "publish", *flags(stack), "--type", "project_updated", "--channel", "room:42", "--data", f"@{data}",
            "--key", "a-key", "--tag", "project:42", "--id", "my-id", "--origin", "tab-1", "--user-id", "u9",
        )  # fmt: skip
        assert done.returncode == OK, done.stderr
        answer = json.loads(done.stdout)
        event = session.receive("project_updated")
    assert answer["status"] == "ok"
    assert answer["id"] == event["id"] == "my-id"
    assert answer["positions"] == [{"channel": "room:42", "epoch": event["epoch"], "offset": event["offset"]}]
    assert answer["fresh"] == event["fresh"] != "0"
    assert answer["unconfirmed"] is event["unconfirmed"] is False
    assert event["data"] == {"id": "42", "price": 1.5}
    assert (event["origin"], event["user_id"]) == ("tab-1", "u9")
    assert stack.redis.client.get("a-key") is None
    again = run_command("publish", *flags(stack), "--type", "project_updated", "--channel", "room:42", "--id", "my-id")
    assert again.returncode == OK
    assert json.loads(again.stdout)["status"] == "duplicate"
    assert json.loads(again.stdout)["positions"] == answer["positions"]


def test_publish_excludes_user_and_origin(stack: Stack) -> None:
    with (
        stack.session("/ws", hello={"token": stack.token("u1")}) as excluded,
        stack.session("/ws", hello={"origin": "tab-1"}) as also_excluded,
        stack.session("/ws", hello={"origin": "tab-2"}) as other,
    ):
        for type, extra in (("first", ["--exclude-user", "u1", "--exclude-origin", "tab-1"]), ("second", [])):
            done = run_command("publish", *flags(stack), "--type", type, "--channel", "broadcast", *extra)
            assert done.returncode == OK, done.stderr
        assert [event["type"] for event in other.wait_events(2)] == ["first", "second"]
        assert [event["type"] for event in excluded.wait_events(1)] == ["second"]
        assert [event["type"] for event in also_excluded.wait_events(1)] == ["second"]


def test_level_accepted_does_not_wait_for_the_purge(stack: Stack) -> None:
    stack.redis.pause()
    try:
        event = ["--type", "a", "--channel", "broadcast", "--key", "k"]
        accepted = run_command("publish", *flags(stack), *event, "--level", "accepted")
        purged = run_command("publish", *flags(stack), *event)
    finally:
        stack.redis.resume()
    assert accepted.returncode == OK
    assert json.loads(accepted.stdout)["unconfirmed"] is False
    assert purged.returncode == OK
    assert json.loads(purged.stdout)["unconfirmed"] is True


def test_publish_reads_many_events_and_reports_the_bad_ones(stack: Stack, tail: Callable[..., Tail]) -> None:
    watching = tail("--json", "--count", "500", "--channel", "room:many")
    lines = [json.dumps({"type": "tick", "audience": ["room:many"], "data": {"n": n}}) for n in range(500)]
    lines.insert(100, "not JSON")
    lines.insert(200, '{"type":"tick","audience":["room:many"],"invalidat":{}}')
    lines.insert(300, "")
    lines.insert(400, "x" * 600_000)
    done = run_command("publish", *flags(stack), "--stdin", stdin="\n".join(lines))
    assert done.returncode == FAILURE
    for line, reason in ((101, "JSON"), (201, "invalidat"), (401, "longer than")):
        assert re.search(rf"^freshwire: line {line}: .*{reason}", done.stderr, re.MULTILINE), done.stderr
    assert done.stderr.count("freshwire: line") == 3
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 500
    assert all(answer["status"] == "ok" for answer in answers)
    events = [json.loads(line) for line in watching.lines()]
    assert [event["data"]["n"] for event in events] == list(range(500))
    assert [int(event["offset"]) for event in events] == list(range(1, 501))


def test_publish_answers_each_line_before_the_next_one_comes(stack: Stack) -> None:
    process = subprocess.Popen(
        [find_binary(), "publish", *flags(stack), "--stdin"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    assert process.stdin and process.stdout
    for n in range(3):
        process.stdin.write(json.dumps({"type": "tick", "audience": ["broadcast"], "id": f"slow-{n}"}) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == f"slow-{n}"
    process.stdin.close()
    assert process.wait(20) == OK


def test_publish_survives_a_restart_of_the_broker(start: Callable[..., Daemon], redis_server: RedisServer) -> None:
    broker = start("broker")
    ports = broker.broker_flags()
    start("worker", *ports, "--worker-redis-url", redis_server.url).wait_ready()
    process = subprocess.Popen(
        [find_binary(), "publish", *ports, "--stdin", "--timeout", "30s"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    assert process.stdin and process.stdout

    def publish(numbers: range) -> None:
        assert process.stdin
        for n in numbers:
            event = {"type": "tick", "audience": ["broadcast"], "id": f"e{n}", "invalidate": {"keys": [f"k{n}"]}}
            process.stdin.write(json.dumps(event) + "\n")
        process.stdin.flush()

    publish(range(200))
    answers = [json.loads(process.stdout.readline())]
    broker.kill()
    publish(range(200, 400))
    start("broker", *[flag for flag in ports if flag not in ("--broker-host", "127.0.0.1")])
    process.stdin.close()
    answers += [json.loads(line) for line in process.stdout]
    assert process.wait(30) == OK
    assert process.stderr and process.stderr.read() == ""
    assert sorted(answer["id"] for answer in answers) == sorted(f"e{n}" for n in range(400))
    assert {answer["status"] for answer in answers} <= {"ok", "duplicate"}


def test_fire_needs_no_answer(stack: Stack, tail: Callable[..., Tail]) -> None:
    watching = tail("--json", "--count", "1", "--channel", "room:42")
    done = run_command("publish", *flags(stack), "--fire", "--type", "fired", "--channel", "room:42")
    assert done.returncode == OK, done.stderr
    assert done.stdout == ""
    assert json.loads(watching.lines()[0])["type"] == "fired"


def test_tail_shows_all_channels_or_those_named(stack: Stack, tail: Callable[..., Tail]) -> None:
    everything = tail("--count", "3")
    one = tail("--count", "1", "--channel", "user:u1")
    for channel in ("broadcast", "room:1", "user:u1"):
        stack.publish("tick", channel, data={"to": channel})
    assert [line.split()[1] for line in everything.lines()] == ["broadcast", "room:1", "user:u1"]
    line = one.lines()[0]
    assert re.search(r'^\d\d:\d\d:\d\d\.\d{3} user:u1 #1 tick \{"to": ?"user:u1"\}', line), line
    assert "\x1b" not in line


def test_tail_colours_a_terminal_unless_told_not_to(stack: Stack) -> None:
    for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        parent, child = pty.openpty()
        process = subprocess.Popen(
            [find_binary(), "tail", *flags(stack), "--count", "1"],
            stdin=subprocess.DEVNULL, stdout=child, stderr=child, env=environment(env),
        )  # fmt: skip
        os.close(child)
        output = b""
        while b"tailing" not in output:
            output += os.read(parent, 4096)
        stack.publish("tick", "broadcast")
        assert process.wait(20) == OK
        while b"tick" not in output:
            output += os.read(parent, 4096)
        os.close(parent)
        assert (b"\x1b[" in output) is coloured


def test_tail_ends_quietly_when_its_reader_goes(stack: Stack) -> None:
    process = subprocess.Popen(
        [find_binary(), "tail", *flags(stack)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert process.stdout and process.stderr
    process.stderr.readline()
    process.stdout.close()

    def ended() -> bool:
        stack.publish("tick", "broadcast")
        return process.poll() is not None

    wait_for(ended, "tail ends")
    process.stderr.close()
    assert process.returncode in (FAILURE, -signal.SIGPIPE)


def test_tail_finds_the_broker_again_and_tells_of_the_restart(
    start: Callable[..., Daemon], redis_server: RedisServer
) -> None:
    broker = start("broker")
    ports = broker.broker_flags()
    process = subprocess.Popen(
        [find_binary(), "tail", *ports, "--channel", "broadcast", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    assert process.stdout and process.stderr
    assert process.stderr.readline().startswith("tailing ")
    assert "stands at offset 0" in process.stderr.readline()
    publish = ["publish", *ports, "--type", "tick", "--channel", "broadcast"]
    assert run_command(*publish).returncode == OK
    first = json.loads(process.stdout.readline())
    broker.kill()
    start("broker", *[flag for flag in ports if flag not in ("--broker-host", "127.0.0.1")])
    while not (line := process.stderr.readline()).startswith("tailing again"):
        assert line.startswith("no beacon"), line
    assert run_command(*publish).returncode == OK
    second = json.loads(process.stdout.readline())
    assert second["epoch"] != first["epoch"]
    process.terminate()
    process.communicate(timeout=20)


# Health


def test_healthcheck_tells_life_from_readiness(start: Callable[..., Daemon]) -> None:
    # A worker without Redis and broker lives, but can be given no work.
    worker = start("worker", "--worker-redis-url", "redis://127.0.0.1:1")
    admin = worker.ports["admin"].removeprefix("http://")
    alive = run_command("healthcheck", "--admin", admin)
    assert alive.returncode == OK
    assert alive.stdout.startswith("healthz: ok: ")
    ready = run_command("healthcheck", "--admin", worker.ports["admin"], "--ready")
    assert ready.returncode == FAILURE
    assert ready.stdout.startswith("readyz: not ok: ")


def test_healthcheck_fails_where_nobody_or_somebody_else_listens() -> None:
    done = run_command("healthcheck", "--admin", "127.0.0.1:1")
    assert done.returncode == FAILURE
    assert "nothing answers at 127.0.0.1:1" in done.stderr
    # Accepts and says nothing.
    with socket.create_server(("127.0.0.1", 0)) as mute:
        began = time.monotonic()
        done = run_command("healthcheck", "--admin", f"127.0.0.1:{mute.getsockname()[1]}")
    assert done.returncode == FAILURE
    assert time.monotonic() - began < 15


# Roles


def test_all_needs_no_configuration(tmp_path: Path) -> None:
    # The default ports may be taken on this machine; then the message must say so, and nothing may be left running.
    ports_file = tmp_path / "ports.json"
    process = subprocess.Popen(
        [find_binary(), "all", "--ports-file", str(ports_file)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), cwd=tmp_path,
    )  # fmt: skip
    assert process.stdout
    line = process.stdout.readline()
    if line:
        assert line.startswith("freshwire is ready: browsers ws://127.0.0.1:8080/ws")
        assert json.loads(ports_file.read_text())["publish"] == "tcp://127.0.0.1:7002"
        process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == OK if line else "the address is in use" in err, err
    assert sanitizer_report(err) is None


def test_all_tells_its_addresses_and_what_is_not_configured(start: Callable[..., Daemon], redis_server: RedisServer) -> None:
    daemon = start(
        "all", "--worker-redis-url", redis_server.url,
        env={"FRESHWIRE_GATEWAY_JWT_SECRET": "", "FRESHWIRE_GATEWAY_PUBLISH_KEYS": ""},
    )  # fmt: skip
    assert set(daemon.ports) == {"gateway", "admin", "fire", "publish", "jobs", "events", "control"}
    ready = daemon.stdout()
    assert ready.count("\n") == 1
    for address in (daemon.websocket + "/ws", daemon.publish_endpoint, daemon.ports["admin"]):
        assert address in ready
    assert daemon.log("to accept tokens, set gateway.jwt.secret")
    assert daemon.log("set gateway.publish_keys")
    assert "jwt" not in daemon.log("only anonymous sessions")[0].get("secret", "")


def test_roles_of_their_own_work_together(start: Callable[..., Daemon], redis_server: RedisServer) -> None:
    broker = start("broker")
    worker = start("worker", *broker.broker_flags(), "--worker-redis-url", redis_server.url)
    gateway = start("gateway", *broker.broker_flags())
    for daemon in (broker, worker, gateway):
        daemon.wait_ready()
    assert set(gateway.ports) == {"gateway", "admin"}
    with Session(gateway.websocket + "/ws") as session:
        done = run_command(
            "publish", *broker.broker_flags(), "--type", "tick", "--channel", "broadcast", "--tag", "t"
        )
        assert done.returncode == OK, done.stderr
        event = session.receive("tick")
    assert event["unconfirmed"] is False
    assert event["fresh"] != "0"


@pytest.mark.parametrize(
    ("door", "option"),
    [
        ("publish", "--broker-ports-publish"),
        ("control", "--broker-ports-control"),
        ("gateway", "--gateway-listen"),
        ("admin", "--admin-listen"),
    ],
)
def test_a_taken_port_is_named_with_what_to_do(start: Callable[..., Daemon], door: str, option: str) -> None:
    first = start("all")
    port = first.ports[door].rsplit(":", 1)[1]
    value = port if "ports" in option else f"127.0.0.1:{port}"
    arguments = ["--gateway-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
    for link in ("fire", "publish", "jobs", "events", "control"):
        arguments += [f"--broker-ports-{link}", "0"]
    index = arguments.index(option)
    arguments[index + 1] = value
    done = run_command("all", *arguments)
    assert done.returncode == FAILURE
    message = done.stderr.splitlines()[-1]
    assert f"127.0.0.1:{port}" in message
    assert "the address is in use" in message
    assert option in message
    assert first.running()


def test_metrics_tell_the_version(start: Callable[..., Daemon]) -> None:
    version = json.loads(run_command("version", "--json").stdout)["version"]
    assert start("broker").metrics().value("freshwire_build_info", version=version) == 1


def test_without_an_admin_port_there_is_none(start: Callable[..., Daemon]) -> None:
    daemon = start("broker", "--admin-listen=")
    assert "admin" not in daemon.ports
    assert "admin" not in daemon.stdout()


def test_a_connecting_role_needs_real_ports() -> None:
    done = run_command("worker", "--broker-ports-jobs", "0", "--admin-listen", "127.0.0.1:0")
    assert done.returncode == CONFIG
    assert "broker.ports" in done.stderr


def test_a_ports_file_that_cannot_be_written_ends_it(tmp_path: Path) -> None:
    done = run_command(
        "broker", "--admin-listen", "127.0.0.1:0", "--ports-file", str(tmp_path / "none" / "ports.json"),
        *[flag for link in ("fire", "publish", "jobs", "events", "control") for flag in (f"--broker-ports-{link}", "0")],
    )  # fmt: skip
    assert done.returncode == FAILURE
    assert "ports.json" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("role", ["broker", "worker", "gateway", "all"])
def test_every_role_ends_cleanly_on_a_signal(
    start: Callable[..., Daemon], redis_server: RedisServer, role: str, number: signal.Signals
) -> None:
    broker = start("broker") if role in ("worker", "gateway") else None
    daemon = start(role, *(broker.broker_flags() if broker else []), "--worker-redis-url", redis_server.url)
    daemon.wait_ready() if role != "broker" else daemon.wait_started()
    began = time.monotonic()
    daemon.signal(number)
    assert daemon.wait() == OK
    assert time.monotonic() - began < 10
    assert daemon.log("stopped")


def test_a_second_signal_ends_the_drain(start: Callable[..., Daemon]) -> None:
    daemon = start("all", "--gateway-drain-delay", "60s", "--gateway-drain-window", "60s")
    session = Session(daemon.websocket + "/ws")
    daemon.signal(signal.SIGTERM)
    # Not only unready, which it may be before: signals that come together are one.
    wait_for(lambda: b'"draining":true' in daemon.admin("/readyz").body, "draining")
    assert session.close_code is None
    assert daemon.running()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait(20) == OK
    assert session.wait_closed() == 4000


def test_a_drain_closes_sessions_with_4000(start: Callable[..., Daemon]) -> None:
    daemon = start("all", "--gateway-drain-window", "500ms")
    sessions = [Session(daemon.websocket + "/ws") for _ in range(5)]
    daemon.signal(signal.SIGTERM)
    assert [session.wait_closed() for session in sessions] == [4000] * 5
    assert daemon.wait() == OK


def test_reload_changes_the_log_level_and_names_what_needs_a_restart(
    start: Callable[..., Daemon], tmp_path: Path
) -> None:
    file = tmp_path / "freshwire.yaml"
    file.write_text("log:\n  level: info\n")
    daemon = start("broker", "--config", str(file))
    file.write_text("log:\n  level: warn\nbroker:\n  credit: 5\n")
    daemon.signal(signal.SIGHUP)
    wait_for(lambda: daemon.log("takes effect at the next start only"), "the change is reported")
    assert [line["option"] for line in daemon.log("takes effect")] == ["broker.credit"]
    file.write_text("log:\n  level: [")
    daemon.signal(signal.SIGHUP)
    wait_for(lambda: daemon.log("the new configuration is wrong"), "the mistake is reported")
    assert daemon.running()
    # The level is warn now, so the line of the good reload is not there.
    assert not daemon.log("configuration reloaded")


def test_a_burst_of_signals_while_starting_is_no_accident(binary: Path, tmp_path: Path) -> None:
    daemon = Daemon("broker", tmp_path / "broker", ["--admin-listen", "127.0.0.1:0"] + [
        flag for link in ("fire", "publish", "jobs", "events", "control") for flag in (f"--broker-ports-{link}", "0")
    ])  # fmt: skip
    # From the very beginning: before the signals are blocked the default ends it, afterwards the orderly stop does.
    for _ in range(20):
        if daemon.running():
            daemon.signal(signal.SIGTERM)
        time.sleep(0.002)
    code = daemon.wait(20)
    assert code in (OK, -signal.SIGTERM)
    daemon.exit_codes = (OK, -signal.SIGTERM)
    daemon.check()


def test_publish_key_is_what_the_gateway_checks(stack: Stack) -> None:
    from stack import publish_http

    event: dict[str, Any] = {"type": "tick", "audience": ["broadcast"]}
    assert publish_http(stack.daemon.gateway, PUBLISH_KEY, event).status == 200
    assert publish_http(stack.daemon.gateway, "another", event).status == 401
    assert publish_http(stack.daemon.gateway, None, event).status == 401
