# SPDX-License-Identifier: MPL-2.0
"""What end-to-end tests stand on: real processes, a real Redis, browser sessions. See ../README.md."""

from stack.http import Answer, publish_http, request
from stack.metrics import Metrics
from stack.process import Daemon, find_binary, free_port, run_command
from stack.redis_server import RedisServer
from stack.session import Session, SessionClosed
from stack.tokens import make_token
from stack.waiting import wait_for

__all__ = [
    "Answer",
    "Daemon",
    "Metrics",
    "RedisServer",
    "Session",
    "SessionClosed",
    "find_binary",
    "free_port",
    "make_token",
    "publish_http",
    "request",
    "run_command",
    "wait_for",
]
