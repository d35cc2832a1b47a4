# SPDX-License-Identifier: MPL-2.0
"""The messages between processes as Google's protobuf reads them from the schemas: not the code under test."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import zmq
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from stack.process import ROOT

INCARNATION = bytes(range(16))


@functools.cache
def _pool() -> descriptor_pool.DescriptorPool:
    proto = ROOT / "proto"
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "schemas"
        files = sorted(str(path.relative_to(proto)) for path in proto.glob("freshwire/v1/*.proto"))
        command = ["protoc", f"--proto_path={proto}", f"--descriptor_set_out={output}", "--include_imports", *files]
        subprocess.run(command, check=True)
        schemas = descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for schema in schemas.file:
        pool.Add(schema)
    return pool


def message(name: str, **fields: Any) -> Any:
    """A message by the name of its schema, for example message("PublisherUp", hello={"version": 1})."""
    descriptor = _pool().FindMessageTypeByName(f"freshwire.v1.{name}")
    get_class = getattr(message_factory, "GetMessageClass", None)
    kind = get_class(descriptor) if get_class else message_factory.MessageFactory(_pool()).GetPrototype(descriptor)
    return kind(**fields)


class Peer:
    """A ZeroMQ socket that connects to one of the broker's doors."""

    def __init__(self, kind: int, endpoint: str) -> None:
        self.socket = zmq.Context.instance().socket(kind)
        self.socket.linger = 1000  # a last goodbye is to arrive
        self.socket.rcvtimeo = 10_000
        self.socket.sndtimeo = 10_000
        if kind == zmq.SUB:
            self.socket.sndhwm = 0
        self.socket.connect(endpoint)

    def send(self, *parts: bytes) -> None:
        self.socket.send_multipart(parts)

    def receive(self, name: str) -> Any:
        """The next message, read as one of the schema's."""
        answer = message(name)
        answer.ParseFromString(self.socket.recv())
        return answer

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
