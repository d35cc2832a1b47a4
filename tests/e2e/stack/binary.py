# SPDX-License-Identifier: MPL-2.0
"""A client of freshwire.v1.protobuf: an example of one, with the classes that protoc makes from the schemas.

A binary message is one ServerMessage; with batch one of them may be a ServerBatch. told() puts what it holds as
freshwire.v1.json does, so that both can be compared."""

from __future__ import annotations

import base64
import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Iterable, Mapping

from stack.client import freshwire  # noqa: F401: its schemas are used
from stack.process import ROOT
from stack.session import Session

PROTOBUF_PROTOCOL = "freshwire.v1.protobuf"
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


def _generate() -> Any:
    """The classes of browser.proto; those of events.proto are the Python client's."""
    with tempfile.TemporaryDirectory(prefix="freshwire-proto-") as name:
        folder = Path(name)
        source = str(ROOT / "proto/freshwire/v1/browser.proto")
        subprocess.run(["protoc", f"--proto_path={ROOT / 'proto'}", f"--python_out={folder}", source], check=True)
        text = (folder / "freshwire/v1/browser_pb2.py").read_text()
        text = text.replace("from freshwire.v1 import", "from freshwire._proto import")
        (folder / "freshwire_browser_pb2.py").write_text(text)
        sys.path.insert(0, name)
        try:
            return importlib.import_module("freshwire_browser_pb2")
        finally:
            sys.path.remove(name)


pb = _generate()


def epoch_text(epoch: int) -> str:
    """Epochs are numbers here, and base32 in JSON."""
    text = _DIGITS[epoch & 31]
    while epoch := epoch >> 5:
        text = _DIGITS[epoch & 31] + text
    return text


def epoch_number(text: str) -> int:
    number = 0
    for digit in text:
        number = number << 5 | _DIGITS.index(digit)
    return number


def _json_value(data: Any) -> Any:
    kind = data.WhichOneof("kind")
    if kind is None:
        return None
    if kind == "json":
        return json.loads(data.json)
    if kind == "binary":
        return base64.b64encode(data.binary).decode()
    return _json_object(getattr(data, kind))


def _json_object(message: Any) -> dict[str, Any]:
    """As freshwire.v1.json writes it: 64-bit numbers as text, what is unset left out."""
    result: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.name == "position" and field.message_type.name == "Position":
            continue
        if field.message_type is not None and field.message_type.name == "Payload":
            result[field.name] = _json_value(value)
        elif field.label == field.LABEL_REPEATED:
            result[field.name] = [
                _json_object(each) if field.message_type is not None else each for each in value
            ]
        elif field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64) and field.name not in ("ts", "expires_in_ms"):
            result[field.name] = str(value)
        else:
            result[field.name] = value
    descriptor = message.DESCRIPTOR.fields_by_name.get("position")
    if descriptor is not None and descriptor.message_type.name == "Position" and message.HasField("position"):
        result["epoch"] = epoch_text(message.position.epoch)
        result["offset"] = str(message.position.offset)
    return result


def told(message: Any) -> Iterable[dict[str, Any]]:
    kind = message.WhichOneof("message")
    if kind == "batch":
        for each in message.batch.messages:
            yield from told(each)
    elif kind == "event":
        yield {"data": None, **_json_object(message.event)}
    else:
        yield {"type": f"fw.{kind}", **_json_object(getattr(message, kind))}


class BinarySession(Session):
    """As Session, but speaks protobuf; hello is a ClientHello or a dict of its members."""

    def __init__(self, url: str, hello: Any = None, wait_welcome: bool = True, **options: Any) -> None:
        self.batches = 0
        self.decoded: list[Any] = []  # every ServerMessage, those of a batch one by one
        message = pb.ClientHello(**hello) if isinstance(hello, dict) else hello or pb.ClientHello()
        super().__init__(url, wait_welcome=False, subprotocols=[PROTOBUF_PROTOCOL], **options)
        assert self.subprotocol == PROTOBUF_PROTOCOL
        self.say(hello=message)
        if wait_welcome:
            self.welcome = self.receive("fw.welcome")

    async def _open(self, *arguments: Any) -> Any:
        return _Decoding(await super()._open(*arguments), self)

    def say(self, **member: Any) -> None:
        """say(ping=pb.ClientPing())"""
        self.send_raw(pb.ClientMessage(**member).SerializeToString())

    def send(self, message: Mapping[str, Any]) -> None:
        raise AssertionError("this one speaks protobuf: use say")


class _Decoding:
    """The socket of a session, whose messages come out as JSON, one object each."""

    def __init__(self, socket: Any, session: BinarySession) -> None:
        self._socket = socket
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    async def __aiter__(self) -> Any:
        async for data in self._socket:
            assert isinstance(data, bytes), f"a text message: {data[:100]!r}"
            message = pb.ServerMessage()
            message.ParseFromString(data)
            batch = message.WhichOneof("message") == "batch"
            self._session.batches += batch
            self._session.decoded += message.batch.messages if batch else [message]
            for each in told(message):
                yield json.dumps(each)


__all__ = ["BinarySession", "epoch_number", "epoch_text", "pb", "told"]
