# SPDX-License-Identifier: MPL-2.0
"""Which address a socket is to connect to now.

A name server that does not answer would stop libzmq's I/O thread for half a minute, and with it the
end of the process. So a name is looked up in a thread of its own, each time a socket is opened, and
the socket is given the address. Of several addresses each socket that did not find its broker makes
the next one try another; the one that last answered comes first. When the name server is silent,
the address that last answered is used. Pure but for the thread; owned by one thread.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from collections.abc import Callable

STALE_AFTER = 1.0
"""Seconds that a name server may take before an old address is used."""
ADDRESSES_MAX = 16

LookUp = Callable[[str], list[str]]

_TCP = re.compile(r"tcp://(\[[^\]]+\]|[^:/;\s]+):(\d+)")


def look_up(host: str) -> list[str]:
    """The addresses of a host, IPv4 first: what is bound to 0.0.0.0 has no IPv6 address, also when
    its name has one."""
    found = [
        (family, str(address[0]))
        for family, _, _, _, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    ]
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return list(dict.fromkeys(address for _, address in found))[:ADDRESSES_MAX]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]").split("%")[0])
    except ValueError:
        return False
    return True


class _Question:
    """One look-up in its own thread, which nobody waits for."""

    def __init__(self, host: str, look_up: LookUp, now: float) -> None:
        self.asked_at = now
        self.done = False
        self.addresses: list[str] = []
        self._host = host
        self._look_up = look_up
        threading.Thread(target=self._run, name="freshwire-resolve", daemon=True).start()

    def _run(self) -> None:
        try:
            self.addresses = self._look_up(self._host)
        except (OSError, UnicodeError):
            self.addresses = []
        finally:
            self.done = True


class Dial:
    def __init__(self, endpoint: str, look_up: LookUp = look_up) -> None:
        self._endpoint = endpoint
        self._look_up = look_up
        parts = _TCP.fullmatch(endpoint)
        named = parts is not None and not _is_address(parts[1])
        self._host = parts[1] if parts and named else ""
        self._port = parts[2] if parts else ""
        self._question: _Question | None = None
        self._tried: list[str] = []
        self._chosen = ""
        self._good = ""

    def next(self, now: float) -> str | None:
        """The endpoint to connect to; None while its name is being looked up: ask again soon.

        OSError when nobody knows the name."""
        if not self._host:
            return self._endpoint
        if self._question is None:
            self._question = _Question(self._host, self._look_up, now)
        question = self._question
        if not question.done:
            # One that is late goes on: its answer serves the next socket.
            late = now - question.asked_at >= STALE_AFTER
            return self._use(self._good) if late and self._good else None
        self._question = None
        if question.addresses:
            return self._use(self._choose(question.addresses))
        if self._good:
            return self._use(self._good)
        raise OSError(f"nobody knows the name {self._host}")

    def answered(self) -> None:
        """The broker is at the address that was chosen last."""
        self._tried.clear()
        self._good = self._chosen

    def _choose(self, addresses: list[str]) -> str:
        untried = [address for address in addresses if address not in self._tried]
        if not untried:
            self._tried.clear()
            untried = addresses
        return self._good if self._good in untried else untried[0]

    def _use(self, address: str) -> str:
        self._chosen = address
        self._tried = [*self._tried[-ADDRESSES_MAX + 1 :], address]
        host = f"[{address}]" if ":" in address else address
        return f"tcp://{host}:{self._port}"
