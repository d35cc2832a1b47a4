# SPDX-License-Identifier: MPL-2.0
"""Frames of the publish link. The only module that sees protobuf."""

from __future__ import annotations

from typing import Any

from freshwire.errors import PublishError, RejectedError
from freshwire.events import Event, Level, Position, Receipt, epoch_text, json_bytes

try:
    from google.protobuf.message import DecodeError, Message
except ImportError as error:
    raise ImportError(
        "publishing over ZeroMQ needs the extra: pip install freshwire[zmq]"
    ) from error
try:
    from freshwire._proto import events_pb2, link_pb2, publish_pb2
except ImportError as error:
    raise ImportError(
        "freshwire is incomplete: run clients/python/generate, or install the package"
    ) from error

PROTOCOL_VERSION = 1
FRAME_SIZE_MAX = 1024 * 1024
"""What the broker's socket accepts. A larger frame would not be refused: it would end the
connection, and with it the link of every other event."""
REPLY_SIZE_MAX = 8 * 1024 * 1024

_LEVELS = {
    "accepted": publish_pb2.ACK_LEVEL_ACCEPTED,
    "purged": publish_pb2.ACK_LEVEL_PURGED,
    "replicated": publish_pb2.ACK_LEVEL_REPLICATED,
}
_TYPED = {
    field.message_type.full_name: field.name
    for field in events_pb2.Payload.DESCRIPTOR.fields
    if field.message_type is not None
}

OK = publish_pb2.PUBLISH_STATUS_OK
DUPLICATE = publish_pb2.PUBLISH_STATUS_DUPLICATE
RETRY = publish_pb2.PUBLISH_STATUS_RETRY
OVERLOAD = publish_pb2.PUBLISH_STATUS_OVERLOAD
REJECTED = publish_pb2.PUBLISH_STATUS_REJECTED


def level_number(level: Level) -> int:
    try:
        return int(_LEVELS[level])
    except KeyError:
        raise ValueError(f"level must be one of {', '.join(_LEVELS)}, not {level!r}") from None


def _payload(data: Any) -> Any:
    if isinstance(data, Message):
        name = _TYPED.get(data.DESCRIPTOR.full_name)
        if name is None:
            raise TypeError(
                f"event data: {data.DESCRIPTOR.full_name} is no event message of freshwire.v1"
            )
        # Through bytes: the caller may have generated the class itself, in another module.
        payload = events_pb2.Payload()
        getattr(payload, name).ParseFromString(data.SerializeToString())
        getattr(payload, name).SetInParent()
        return payload
    if isinstance(data, (bytes, bytearray, memoryview)):
        return events_pb2.Payload(binary=bytes(data))
    return events_pb2.Payload(json=json_bytes(data))


def event_message(event: Event) -> Any:
    """The event as a message, which belongs to the caller.

    RejectedError when no broker could take it; TypeError or ValueError when its data cannot be
    encoded.
    """
    message = events_pb2.Event(
        id=event.id,
        type=event.type,
        audience=event.audience,
        origin=event.origin,
        user_id=event.user_id,
        ts=event.ts,
        traceparent=event.traceparent,
    )
    if event.data is not None:
        message.data.CopyFrom(_payload(event.data))
    if event.exclude_user or event.exclude_origin:
        message.exclude.user_id = event.exclude_user
        message.exclude.origin = event.exclude_origin
    if event.invalidate:
        message.invalidate.keys.extend(event.invalidate.keys)
        message.invalidate.tags.extend(event.invalidate.tags)
        message.invalidate.patterns.extend(event.invalidate.patterns)
    size = message.ByteSize()
    if size > FRAME_SIZE_MAX:
        raise RejectedError("event", "the encoded event is too large", FRAME_SIZE_MAX, size)
    return message


def data_size(message: Any) -> int:
    """Bytes of an event's data."""
    kind = message.data.WhichOneof("kind")
    if kind is None:
        return 0
    data = getattr(message.data, kind)
    return len(data) if isinstance(data, bytes) else int(data.ByteSize())


def encode_hello(name: str, incarnation: bytes) -> bytes:
    hello = link_pb2.Hello(version=PROTOCOL_VERSION, name=name, incarnation=incarnation)
    return bytes(publish_pb2.PublisherUp(hello=hello).SerializeToString())


def encode_publish(request_id: int, level: Any, message: Any) -> bytes:
    publish = publish_pb2.Publish(request_id=request_id, level=level, event=message)
    return bytes(publish_pb2.PublisherUp(publish=publish).SerializeToString())


def encode_fire(sequence: int, incarnation: bytes, message: Any) -> bytes:
    """RejectedError when no broker could take it."""
    publish = publish_pb2.Publish(
        level=publish_pb2.ACK_LEVEL_ACCEPTED,
        sequence=sequence,
        incarnation=incarnation,
        event=message,
    )
    frame = bytes(publish_pb2.PublisherUp(publish=publish).SerializeToString())
    if len(frame) > FRAME_SIZE_MAX:
        raise RejectedError(
            "event", "the encoded event is too large", FRAME_SIZE_MAX, len(frame)
        )
    return frame


def encode_mark(incarnation: bytes, last: int, kept: int) -> bytes:
    mark = publish_pb2.FireMark(incarnation=incarnation, last=last, kept=kept)
    return bytes(publish_pb2.PublisherUp(fire_mark=mark).SerializeToString())


def encode_ping(number: int) -> bytes:
    return bytes(publish_pb2.PublisherUp(ping=link_pb2.Ping(number=number)).SerializeToString())


def encode_goodbye(reason: str) -> bytes:
    return bytes(
        publish_pb2.PublisherUp(goodbye=link_pb2.Goodbye(reason=reason)).SerializeToString()
    )


def decode(frame: bytes) -> tuple[str, Any]:
    """The kind ("welcome", "ack", "pong", "goodbye", "refusal", "fire_missing") and the message.

    ValueError for anything else."""
    message = publish_pb2.PublisherDown()
    try:
        message.ParseFromString(frame)
    except DecodeError as error:
        raise ValueError("not a message of the publish link") from error
    kind = message.WhichOneof("message")
    if kind is None:
        raise ValueError("an empty or unknown message")
    return str(kind), getattr(message, kind)


def receipt(ack: Any) -> Receipt:
    return Receipt(
        id=ack.id,
        positions=tuple(
            Position(place.channel, epoch_text(place.position.epoch), place.position.offset)
            for place in ack.positions
        ),
        fresh=ack.fresh,
        unconfirmed=ack.unconfirmed,
        duplicate=ack.status == DUPLICATE,
    )


def rejection(ack: Any) -> PublishError:
    refusal = ack.refusal
    reason = refusal.reason or "refused by the broker"
    return RejectedError(refusal.field, reason, refusal.limit, refusal.value)
