# SPDX-License-Identifier: MPL-2.0
"""python -m app [--host 127.0.0.1] [--port 8000]: serves the example and prints its address."""

from __future__ import annotations

import argparse
import logging
import socket

import uvicorn

from .application import create_app
from .settings import Settings


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, so that the address is known, and works, before it is printed."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # IPPROTO_TCP spelt out: asyncio switches Nagle's algorithm off only where it sees it, and with
    # it every answer on a kept connection would take 40 ms longer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen(1024)
    return listener


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m app", description="The example application.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    options = parser.parse_args()
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    app = create_app(Settings.from_env())
    try:
        listener = listen(options.host, options.port)
    except OSError as error:
        parser.exit(1, f"{parser.prog}: cannot listen on {options.host}:{options.port}: {error}\n")
    host = f"[{options.host}]" if ":" in options.host else options.host
    print(f"listening on http://{host}:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
