# SPDX-License-Identifier: MPL-2.0
"""Keys of a publisher's link: what is refused, what the environment says.

The link itself is tested end to end."""

from __future__ import annotations

from pathlib import Path

import pytest
import zmq

import freshwire
from freshwire.publisher import Curve, Publisher, Settings
from freshwire.publisher._settings import settings_from_env


def key_pair() -> tuple[str, str]:
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


BAD_KEYS = ["", "short", "x" * 41, "x" * 39 + " ", "x" * 39 + "~", "x" * 39 + "\n"]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_what_is_no_key_is_refused_at_once_and_a_secret_one_is_not_shown(key: str) -> None:
    public, secret = key_pair()
    with pytest.raises(ValueError) as refused:
        Curve(key, public)
    assert key == "" or key not in str(refused.value)
    with pytest.raises(ValueError):
        Curve(secret, (public, key))
    with pytest.raises(ValueError):
        Curve(secret, ())


def test_a_secret_key_is_in_no_repr() -> None:
    public, secret = key_pair()
    curve = Curve(secret, public)
    assert curve.server_keys == (public,)
    assert secret not in repr(curve)
    assert secret not in repr(Settings(curve=curve))


def test_the_environment_gives_keys_as_it_does_to_the_binary(tmp_path: Path) -> None:
    public, secret = key_pair()
    other, _ = key_pair()
    files = {"SECRET_KEY_FILE": tmp_path / "secret", "SERVER_KEYS_FILE": tmp_path / "servers"}
    files["SECRET_KEY_FILE"].write_text(secret + "\n")
    files["SERVER_KEYS_FILE"].write_text(f"{public}\n{other}\n")
    environ = {f"FRESHWIRE_SECURITY_{name}": str(path) for name, path in files.items()}
    expected = Curve(secret, (public, other))
    assert settings_from_env({}, environ)["curve"] == expected
    values = {
        "FRESHWIRE_SECURITY_SECRET_KEY": secret,
        "FRESHWIRE_SECURITY_SERVER_KEYS": f"{public},{other}",
    }
    assert settings_from_env({}, values)["curve"] == expected
    given = Curve(secret, other)
    assert settings_from_env({"curve": given}, values)["curve"] == given
    assert "curve" not in settings_from_env({}, {})
    with pytest.raises(ValueError):
        settings_from_env({}, {"FRESHWIRE_SECURITY_SECRET_KEY": secret})


def test_a_publisher_with_a_key_that_the_broker_does_not_know_times_out() -> None:
    public, secret = key_pair()
    server_public, server_secret = key_pair()
    with zmq.Context() as context, context.socket(zmq.ROUTER) as broker:
        broker.setsockopt(zmq.LINGER, 0)
        broker.setsockopt(zmq.CURVE_SERVER, 1)
        broker.setsockopt(zmq.CURVE_SECRETKEY, server_secret.encode())
        broker.setsockopt(zmq.ZAP_DOMAIN, b"publish")
        broker.setsockopt(93, 1)  # ZMQ_ZAP_ENFORCE_DOMAIN; there is no handler: nobody is let in
        port = broker.bind_to_random_port("tcp://127.0.0.1")
        curve = Curve(secret, server_public)
        with Publisher(f"tcp://127.0.0.1:{port}", curve=curve, linger=0) as publisher:
            with pytest.raises(freshwire.TimeoutError):
                publisher.publish("thing_changed", audience="broadcast", timeout=0.5)
        assert broker.poll(0) == 0
