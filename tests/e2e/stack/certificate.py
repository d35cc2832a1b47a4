# SPDX-License-Identifier: MPL-2.0
"""Certificates for tests, made by the openssl command."""

from __future__ import annotations

import socket
import ssl
import subprocess
from pathlib import Path


def make_certificate(folder: Path, name: str, days: int = 2) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and 127.0.0.1, and its key."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", str(key), "-out", str(certificate), "-days", str(days), "-subj", f"/CN={name}",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def trusting(*certificates: Path) -> ssl.SSLContext:
    """What a client needs that trusts these."""
    context = ssl.create_default_context()
    for certificate in certificates:
        context.load_verify_locations(certificate)
    return context


def served_name(address: str, context: ssl.SSLContext) -> str:
    """The name in the certificate that a new connection is shown."""
    host, port = address.split("://")[1].rsplit(":", 1)
    with socket.create_connection((host, int(port)), 10) as plain:
        with context.wrap_socket(plain, server_hostname=host) as wrapped:
            subject = wrapped.getpeercert()
    assert subject
    return next(value for part in subject["subject"] for name, value in part if name == "commonName")
