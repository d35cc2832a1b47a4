# SPDX-License-Identifier: MPL-2.0
"""What the C codec writes, Google's protobuf reads, and the other way round.

FW_WIRE_VECTORS names the program of tests/support/wire_vectors.c.
"""
import importlib
import os
import pathlib
import subprocess
import sys

import pytest
from google.protobuf import text_format

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ["FW_WIRE_VECTORS"]
MODULES = {
    "PublisherUp": "publish",
    "PublisherDown": "publish",
    "WorkerUp": "jobs",
    "WorkerDown": "jobs",
    "GatewayUp": "gateway",
    "GatewayDown": "gateway",
    "Delivery": "events",
    "Beacon": "gateway",
    "Publication": "events",
    "DeliveryNote": "events",
    "Purged": "jobs",
}

INCARNATION = r"\000\001\002\003\004\005\006\007\010\t\n\013\014\r\016\377"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HELLO = f'hello {{ version: 1 name: "api-1" incarnation: "{INCARNATION}" capacity: 64 }}'
BARE_HELLO = f'hello {{ incarnation: "{INCARNATION}" }}'
WELCOME = f"""welcome {{ version: 1 incarnation: "{INCARNATION}" credit: 1000
    event_bytes_max: 65536 beacon_interval_ms: 500 }}"""
BARE_WELCOME = f'welcome {{ incarnation: "{INCARNATION}" }}'
PING = "ping { number: 18446744073709551615 }"
PONG = "pong { number: 1 }"
GOODBYE = 'goodbye { reason: "draining" }'
REFUSAL = 'refusal { field: "audience[64]" reason: "is one too many" limit: 64 value: 65 }'
INVALIDATE = """invalidate { keys: "fw:c:projects:list" keys: "fw:c:project:42"
    tags: "project:42" tags: "team:7:projects" patterns: "legacy:projects:*" }"""
POSITIONS = """positions { channel: "broadcast"
        position { epoch: 1152921504606846975 offset: 18446744073709551615 } }
    positions { channel: "room:42" position { epoch: 1 } }"""
MEMBERS = """members { user_id: "9" sessions: 2 }
    members { user_id: "Grüße" sessions: 4294967295 } members { user_id: "10" left: true }"""
PROJECT = """id: "42" name: "Apollo" description: "Grüße" status: "active" owner_id: "9"
    team_id: "7" version: 18 updated_at_ms: 1732270000123"""
TEAM = """team_updated { id: "7" name: "Core" member_ids: "9" member_ids: "10" version: 20
    updated_at_ms: 1732270000123 }"""


def publish(event_type, data):
    return f"""publish {{
        request_id: 18446744073709551615 level: ACK_LEVEL_ACCEPTED sequence: 3
        incarnation: "{INCARNATION}"
        event {{
            id: "0192f0c1-7b3e-7c11-9d50-2f1f0a6a1b2c" type: "{event_type}" data {{ {data} }}
            audience: "broadcast" audience: "user:9" audience: "room:Grüße"
            exclude {{ user_id: "8" origin: "tab-6" }} {INVALIDATE}
            origin: "tab-7" user_id: "9" ts: 1732270000123 traceparent: "{TRACE}" client: true }} }}"""


EXPECTED = {
    "publisher_up_hello": HELLO,
    "publisher_up_hello_bare": BARE_HELLO,
    "publisher_up_publish_json": publish("project_renamed", r'json: "{\"id\":\"42\"}"'),
    "publisher_up_publish_binary": publish("blob", r'binary: "\000\377"'),
    "publisher_up_project_created": publish("project_created", f"project_created {{ {PROJECT} }}"),
    "publisher_up_project_updated": publish("project_updated", f"project_updated {{ {PROJECT} }}"),
    "publisher_up_project_deleted": publish(
        "project_deleted", 'project_deleted { id: "42" team_id: "7" version: -1 }'
    ),
    "publisher_up_user_updated": publish(
        "user_updated",
        r"""user_updated { id: "9" name: "Ada" avatar_url: "/a/9?s=\"2\"" version: 19
            updated_at_ms: 1732270000123 }""",
    ),
    "publisher_up_notification_created": publish(
        "notification_created",
        r"""notification_created { id: "n" user_id: "9" title: "Hello" body: "two\nlines"
            kind: "info" link: "/n" created_at_ms: 1732270000123 }""",
    ),
    "publisher_up_team_updated": publish("team_updated", TEAM),
    "publisher_up_publish_bare": "publish { level: ACK_LEVEL_PURGED event { } }",
    "publisher_up_ping": PING,
    "publisher_up_goodbye": GOODBYE,
    "publisher_up_fire_mark": f"""fire_mark {{ incarnation: "{INCARNATION}"
        last: 18446744073709551615 kept: 7 }}""",
    "publisher_down_welcome": WELCOME,
    "publisher_down_welcome_bare": BARE_WELCOME,
    "publisher_down_ack": f"""ack {{ request_id: 18446744073709551615 id: "0192f0c1"
        status: PUBLISH_STATUS_REJECTED {POSITIONS} credit: 7 retry_after_ms: 1500 {REFUSAL}
        unconfirmed: true fresh: 1732270000122456 }}""",
    "publisher_down_ack_bare": "ack { status: PUBLISH_STATUS_OK }",
    "publisher_down_pong": PONG,
    "publisher_down_goodbye": GOODBYE,
    "publisher_down_fire_missing": f'fire_missing {{ incarnation: "{INCARNATION}" first: 17 count: 3 }}',
    "publisher_down_refusal": REFUSAL,
    "publisher_down_refusal_bare": "refusal { }",
    "worker_up_hello": HELLO,
    "worker_up_done": """done { job_id: 5 redis_time: 1732270000122456
        stamps { tag: "project:42" stamp: 1732270000122456 }
        stamps { tag: "team:7:projects" stamp: 18446744073709551615 } keys_removed: 12 }""",
    "worker_up_done_bare": "done { }",
    "worker_up_all_done": """all_done { jobs { job_id: 5 redis_time: 1732270000122456
        stamps { tag: "project:42" stamp: 1732270000122456 }
        stamps { tag: "team:7:projects" stamp: 18446744073709551615 } keys_removed: 12 }
        jobs { job_id: 18446744073709551615 redis_time: 1 } }""",
    "worker_up_all_done_bare": "all_done { }",
    "worker_up_failed": 'failed { job_id: 5 retryable: true reason: "LOADING Redis is loading" }',
    "worker_up_failed_bare": "failed { }",
    "worker_up_ping": PING,
    "worker_up_goodbye": GOODBYE,
    "worker_down_welcome": WELCOME,
    "gateway_up_session_disconnect": """session_command { command_id: 7 action: SESSION_ACTION_DISCONNECT user_id:
        "9" session_id: "00000000deadbeef" code: 4403 reason: "signed out" }""",
    "gateway_up_session_unsubscribe": """session_command { command_id: 7 action: SESSION_ACTION_UNSUBSCRIBE
        user_id: "9" channel: "room:42" }""",
    "gateway_up_session_refresh": """session_command { command_id: 7 action: SESSION_ACTION_REFRESH user_id:
        "9" rooms { patterns: "4*" patterns: "lobby" } publish { } presence { patterns: "4*" } }""",
    "gateway_up_session_done": """session_done { command_id: 18446744073709551615 sessions: 4294967295
        }""",
    "gateway_up_session_done_bare": 'session_done { }',
    "gateway_down_session_unsubscribe": """session_command { command_id: 7 action: SESSION_ACTION_UNSUBSCRIBE
        user_id: "9" channel: "user:9" }""",
    "gateway_down_session_result": """session_result { command_id: 7 gateways: 3 answered: 2 sessions:
        18446744073709551615 refused: "too many commands" }""",
    "gateway_down_session_result_bare": 'session_result { }',
    "purged": f"""redis_time: 1732270000122456 {INVALIDATE}
        stamps {{ tag: "project:42" stamp: 1732270000122456 }}
        stamps {{ tag: "team:7:projects" stamp: 18446744073709551615 }} took_us: 500000""",
    "purged_bare": "redis_time: 1",
    "worker_down_job": f"job {{ job_id: 5 attempt: 2 lease_ms: 1000 {INVALIDATE} }}",
    "worker_down_job_bare": "job { }",
    "worker_down_job_open": f"""job {{ job_id: 5 attempt: 1 lease_ms: 1000
        cache_action: CACHE_ACTION_OPEN broker: "{INCARNATION}" }}""",
    "worker_down_jobs": f"""jobs {{ jobs {{ job_id: 5 attempt: 2 lease_ms: 1000 {INVALIDATE} }}
        jobs {{ job_id: 6 attempt: 1 lease_ms: 1000
        cache_action: CACHE_ACTION_OPEN broker: "{INCARNATION}" }} }}""",
    "worker_down_jobs_bare": "jobs { }",
    "worker_down_pong": PONG,
    "worker_down_goodbye": "goodbye { }",
    "worker_down_refusal": REFUSAL,
    "gateway_up_hello": HELLO,
    "gateway_up_positions": """positions { request_id: 9
        channels: "broadcast" channels: "user:9" channels: "room:Grüße" }""",
    "gateway_up_positions_bare": "positions { }",
    "gateway_up_replay": """replay { request_id: 10 channel: "room:42"
        since { epoch: 7 offset: 16 } limit: 256 }""",
    "gateway_up_replay_bare": "replay { since { } }",
    "gateway_up_ping": PING,
    "gateway_up_goodbye": GOODBYE,
    "gateway_up_presence_report": f"""presence_report {{ number: 18446744073709551615 begin: true
        complete: true rooms {{ channel: "room:42" {MEMBERS} }}
        rooms {{ channel: "room:7" members {{ user_id: "9" sessions: 2 }} }} }}""",
    "gateway_up_presence_left": """presence_report { number: 2
        rooms { channel: "room:7" members { user_id: "10" left: true } } }""",
    "gateway_up_presence_report_bare": "presence_report { number: 1 }",
    "gateway_up_presence_request": """presence_request { request_id: 11
        rooms { channel: "room:42" epoch: 18446744073709551615 version: 17 }
        rooms { channel: "room:7" } }""",
    "gateway_up_presence_request_bare": "presence_request { }",
    "gateway_up_note": r'note { channel: "room:42" publication: "\n\001x" }',
    "gateway_down_presence_ack": "presence_ack { number: 18446744073709551615 again: true }",
    "gateway_down_presence_ack_bare": "presence_ack { }",
    "gateway_down_presence_reply": f"""presence_reply {{ request_id: 11 channel: "room:42"
        epoch: 18446744073709551615 version: 17 same: true too_many: true count: 2001 {MEMBERS}
        settling_ms: 15000 }}""",
    "gateway_down_presence_reply_bare": "presence_reply { epoch: 1 }",
    "gateway_down_welcome": WELCOME,
    "gateway_down_positions": f"positions {{ request_id: 9 {POSITIONS} unconfirmed: true }}",
    "gateway_down_positions_bare": "positions { }",
    "gateway_down_replay": r"""replay { request_id: 10 channel: "room:42"
        status: REPLAY_STATUS_MORE visible { epoch: 7 offset: 99 }
        deliveries { channel: "room:42" position { epoch: 7 offset: 17 } fresh: 1732270000122456
            unconfirmed: true spread_ms: 250 publication: "\n\001x" }
        deliveries { channel: "room:42" position { epoch: 7 offset: 18 } } unconfirmed: true }""",
    "gateway_down_replay_bare": "replay { status: REPLAY_STATUS_RESET visible { } }",
    "gateway_down_pong": PONG,
    "gateway_down_goodbye": GOODBYE,
    "gateway_down_refusal": REFUSAL,
    "delivery": r"""channel: "user:9"
        position { epoch: 1152921504606846975 offset: 17 } fresh: 1732270000122456
        unconfirmed: true spread_ms: 250 publication: "\n\001x" """,
    "delivery_bare": "position { epoch: 1 offset: 1 }",
    "beacon": f'incarnation: "{INCARNATION}" number: 8 ts_us: 18446744073709551615',
    "beacon_bare": f'incarnation: "{INCARNATION}"',
    "publication": f"""id: "0192f0c1" type: "team_updated" data {{ {TEAM} }}
        exclude {{ user_id: "8" origin: "tab-6" }} origin: "tab-7" user_id: "9" ts: -1
        traceparent: "{TRACE}" client: true """,
    "note_presence": r"""channel: "room:42" note: "\n+\010\007\020\020\030\021 \321\017(\0012\005\n\0019\020\0022\017\n\007"
        "Gr\303\274\303\237e\020\377\377\377\377\0172\006\n\00210\030\001" """,
    "note_presence_bare": r'note: "\n\002\010\001"',
    "note_publication": r'channel: "room:42" note: "\022\003\n\001x"',
    "publication_bare": "",
}


def run(command, lines=""):
    done = subprocess.run(
        [PROGRAM, command], input=lines, capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.splitlines()


@pytest.fixture(scope="session")
def message_class(tmp_path_factory):
    """Generates Python's classes from the schemas and finds them by name."""
    folder = tmp_path_factory.mktemp("generated")
    schemas = sorted((ROOT / "proto/freshwire/v1").glob("*.proto"))
    subprocess.run(
        ["protoc", f"--proto_path={ROOT / 'proto'}", f"--python_out={folder}", *map(str, schemas)],
        check=True,
    )
    for package in ("freshwire", "freshwire/v1"):
        (folder / package / "__init__.py").touch()  # before an installed package of this name
    sys.path.insert(0, str(folder))

    def find(name):
        module = importlib.import_module(f"freshwire.v1.{MODULES[name]}_pb2")
        return getattr(module, name.removesuffix("Note"))

    yield find
    sys.path.remove(str(folder))


def expected(message_class, name, kind):
    return text_format.Parse(EXPECTED[name], message_class(kind)())


@pytest.fixture(scope="session")
def vectors():
    return {name: (kind, bytes.fromhex(hex_)) for name, kind, hex_ in map(split, run("print"))}


def split(line):
    name, kind, hex_ = (line + " ").split(" ")[:3]
    return name, kind, hex_


def test_every_sample_is_expected(vectors):
    assert sorted(vectors) == sorted(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_python_reads_what_c_writes(vectors, message_class, name):
    kind, data = vectors[name]
    message = message_class(kind).FromString(data)
    assert message == expected(message_class, name, kind)
    assert message.SerializeToString(deterministic=True) == data


def test_c_reads_what_python_writes(vectors, message_class):
    messages = {
        name: expected(message_class, name, kind).SerializeToString()
        for name, (kind, _) in vectors.items()
    }
    lines = [f"{name} {vectors[name][0]} {data.hex()}" for name, data in messages.items()]
    answers = {name: (kind, hex_) for name, kind, hex_ in map(split, run("echo", "\n".join(lines)))}
    assert sorted(answers) == sorted(messages)
    for name, (kind, hex_) in answers.items():
        assert kind == vectors[name][0], f"{name} {kind} {hex_}"
        assert bytes.fromhex(hex_) == messages[name], name


def test_c_refuses_by_name_what_python_may_write(message_class):
    event = {"type": "a", "audience": [f"user:{i}" for i in range(65)]}
    up = message_class("PublisherUp")
    messages = {
        "many": up(publish={"event": event}),
        "zero": up(publish={"event": {"type": "a\0b"}}),
        "level": up(publish={"level": 9, "event": {}}),
        "empty": up(),
    }
    lines = [f"{name} PublisherUp {m.SerializeToString().hex()}" for name, m in messages.items()]
    assert run("echo", "\n".join(lines)) == [
        "many refused audience[64] is one too many",
        "zero refused type holds a zero byte",
        "level refused publish.level is not a level",
        "empty refused message is empty or of an unknown kind",
    ]
