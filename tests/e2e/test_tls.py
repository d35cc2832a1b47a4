# SPDX-License-Identifier: MPL-2.0
"""TLS on the public listener: real handshakes, and certificates that change while sessions live."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
from pathlib import Path
from typing import Callable

import pytest

from conftest import PUBLISH_KEY, SECRET
from stack import Daemon, Session, make_token, run_command, wait_for
from stack.certificate import make_certificate, served_name, trusting
from stack.raw_socket import CLOSE, PING, PONG, TEXT, RawSocket

Start = Callable[..., Daemon]


def start_tls(start: Start, folder: Path, *flags: str) -> Daemon:
    """All roles, with the certificate "one" behind files that tests replace."""
    certificate, key = make_certificate(folder, "one")
    install(folder, certificate, key)
    return start(
        "all", "--broker-cache=false", "--gateway-tls-certificate", str(folder / "tls.crt"),
        "--gateway-tls-key", str(folder / "tls.key"), *flags,
    )  # fmt: skip


def install(folder: Path, certificate: Path, key: Path) -> None:
    """Replaces both files, each at once, as an operator or a mounted secret does."""
    for source, target in ((key, "tls.key"), (certificate, "tls.crt")):
        new = folder / "new"
        new.write_bytes(source.read_bytes())
        os.replace(new, folder / target)


def publish(daemon: Daemon, *events: dict[str, object]) -> None:
    lines = "".join(json.dumps({"audience": ["broadcast"], **event}) + "\n" for event in events)
    done = run_command("publish", "--stdin", "--endpoint", daemon.publish_endpoint, stdin=lines, timeout_s=60)
    assert done.returncode == 0, done.stderr


def is_closed_at_once(address: str, sent: bytes) -> bool:
    with RawSocket(address) as client:
        client.send(sent)
        return not client.read_until_end().startswith(b"HTTP/1.1 101")


def test_only_modern_tls_and_http_1_1_are_spoken(start: Start, tmp_path: Path) -> None:
    daemon = start_tls(start, tmp_path, "--gateway-shards", "2")
    trust = trusting(tmp_path / "one.crt")
    trust.set_alpn_protocols(["h2", "http/1.1"])
    host, port = daemon.gateway.split("://")[1].split(":")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        trust.minimum_version = trust.maximum_version = version
        with trust.wrap_socket(socket.create_connection((host, int(port)), 10), server_hostname=host) as wrapped:
            assert wrapped.selected_alpn_protocol() == "http/1.1"
            assert wrapped.version() == version.name.replace("v1_", "v1.")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError):
        old.wrap_socket(socket.create_connection((host, int(port)), 10), server_hostname=host)
    # HTTP/2 alone finds nobody who speaks it.
    trust.minimum_version = ssl.TLSVersion.TLSv1_2
    trust.set_alpn_protocols(["h2"])
    with RawSocket(daemon.gateway, tls=trust) as client:
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
        assert b"HTTP/1.1 101" not in client.read_until_end()
    # Neither does plain HTTP.
    assert is_closed_at_once(daemon.gateway, b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")


def test_events_publishing_and_frames_work_through_it(start: Start, tmp_path: Path) -> None:
    daemon = start_tls(start, tmp_path)
    trust = trusting(tmp_path / "one.crt")
    session = Session(daemon.websocket + f"/ws?token={make_token(SECRET, 'u1')}", hello={}, tls=trust)
    with RawSocket(daemon.gateway, tls=trust) as client:
        body = json.dumps({"type": "greeting", "data": {"n": 1}, "audience": ["user:u1"]}).encode()
        client.send(
            b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s" % (PUBLISH_KEY.encode(), len(body), body)
        )
        assert client.read_answer()[0] == 200
    assert session.receive("greeting")["data"] == {"n": 1}
    with RawSocket(daemon.gateway, tls=trust) as client:
        assert client.upgrade("/ws") == 101
        for number in range(100):  # more than one record is read at a time
            client.send_frame(PING, b"%d" % number)
        answers = [client.read_frame() for _ in range(101)]
        assert [got for got in answers if got and got[0] == PONG] == [(PONG, b"%d" % n) for n in range(100)]
        client.send_frame(TEXT, b"x", masked=False)
        assert client.read_close() == 1002
    session.close()


def test_a_slow_reader_gets_everything_in_order(start: Start, tmp_path: Path) -> None:
    """What the socket does not take waits: nothing is written over a half written piece."""
    daemon = start_tls(start, tmp_path)
    trust = trusting(tmp_path / "one.crt")
    with RawSocket(daemon.gateway, 30, tls=trust) as slow:
        assert slow.upgrade("/ws") == 101
        got = slow.read_frame()
        assert got and json.loads(got[1])["type"] == "fw.welcome"
        count = 1200
        publish(daemon, *({"type": "large", "data": {"n": n, "pad": "x" * 2000}} for n in range(count)))
        expected = 0
        while expected < count:
            got = slow.read_frame()
            assert got is not None and got[0] != CLOSE, f"ended after {expected} events: {got}"
            if got[0] == TEXT and (said := json.loads(got[1]))["type"] == "large":
                assert said["data"]["n"] == expected
                expected += 1
    assert daemon.metrics()["freshwire_resets_total"] == 0


@pytest.mark.parametrize("how", ["the files change", "SIGHUP"])
def test_a_new_certificate_is_for_new_connections_and_old_sessions_live(start: Start, tmp_path: Path, how: str) -> None:
    daemon = start_tls(start, tmp_path, "--gateway-shards", "2")
    two, two_key = make_certificate(tmp_path, "two", days=5)
    trust = trusting(tmp_path / "one.crt", two)
    sessions = [Session(daemon.websocket + "/ws", tls=trust) for _ in range(6)]
    expires = daemon.metrics()["freshwire_gateway_certificate_expires_timestamp_seconds"]
    assert served_name(daemon.gateway, trust) == "one"
    install(tmp_path, two, two_key)
    if how == "SIGHUP":
        daemon.signal(signal.SIGHUP)
    # Every shard has it: a connection goes to any of them.
    wait_for(lambda: {served_name(daemon.gateway, trust) for _ in range(12)} == {"two"}, "the new certificate is served")
    metrics = daemon.metrics()
    assert metrics["freshwire_gateway_certificate_expires_timestamp_seconds"] > expires
    assert metrics.value("freshwire_gateway_certificate_loads_total", result="loaded") >= 2
    publish(daemon, {"type": "after_the_change"})
    for session in sessions:
        assert session.receive("after_the_change")
        assert session.close_code is None
        session.close()


def test_broken_files_keep_the_old_certificate_and_say_why(start: Start, tmp_path: Path) -> None:
    daemon = start_tls(start, tmp_path)
    trust = trusting(tmp_path / "one.crt")
    session = Session(daemon.websocket + "/ws", tls=trust)
    other, other_key = make_certificate(tmp_path, "other")
    refused = 0
    for certificate, key, reason in (
        (b"-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n", None, "holds no certificate"),
        (b"", None, "holds no certificate"),
        (other.read_bytes(), None, "is not the key of the certificate"),
        (None, other_key.read_bytes(), "is not the key of the certificate"),
        (None, b"junk", "holds no key"),
    ):
        (tmp_path / "tls.crt").write_bytes(certificate if certificate is not None else (tmp_path / "one.crt").read_bytes())
        (tmp_path / "tls.key").write_bytes(key if key is not None else (tmp_path / "one.key").read_bytes())
        wait_for(
            lambda: daemon.metrics().value("freshwire_gateway_certificate_loads_total", result="refused") > refused,
            f"refused because it {reason}",
        )
        refused = int(daemon.metrics().value("freshwire_gateway_certificate_loads_total", result="refused"))
        assert reason in daemon.log("certificate is refused, keeping the old one")[-1]["reason"]
        assert served_name(daemon.gateway, trust) == "one"
    assert "PRIVATE KEY" not in daemon.stderr()
    publish(daemon, {"type": "still_here"})
    assert session.receive("still_here")
    # And the way back.
    install(tmp_path, other, other_key)
    trust.load_verify_locations(other)
    wait_for(lambda: served_name(daemon.gateway, trust) == "other", "the good one is served")
    session.close()


def test_a_gateway_does_not_start_with_a_certificate_that_is_none(tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path, "one")
    _, other_key = make_certificate(tmp_path, "other")
    flags = ["gateway", "--gateway-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--gateway-tls-certificate"]
    for pair, reason in (
        ([str(certificate), "--gateway-tls-key", str(other_key)], "is not the key of the certificate"),
        ([str(tmp_path / "nothing"), "--gateway-tls-key", str(other_key)], "no such file"),
        ([str(certificate)], "gateway.tls.key"),
    ):
        done = run_command(*flags, *pair)
        assert done.returncode != 0
        assert reason in done.stderr
