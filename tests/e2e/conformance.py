# SPDX-License-Identifier: MPL-2.0
"""RFC 6455 case by case: what is sent, and what must come back. test_conformance.py runs the cases against a real
gateway and compares the table in docs/websocket.md; this file, run as a program, writes that table anew:

    /usr/bin/python3 tests/e2e/conformance.py --write
"""

from __future__ import annotations

import json
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Union

sys.path.insert(0, str(Path(__file__).parent))

from stack.raw_socket import BINARY, CLOSE, PING, PONG, TEXT, frame  # noqa: E402

PAGE = Path(__file__).resolve().parents[2] / "docs" / "websocket.md"
BEGIN, END = "<!-- conformance: written by tests/e2e/conformance.py -->\n", "<!-- end of conformance -->\n"
CONTINUATION = 0
MESSAGE_MAX = 64 * 1024


@dataclass(frozen=True)
class Pong:
    """A pong with this payload."""

    payload: bytes

    def __str__(self) -> str:
        return f"pong with {len(self.payload)} bytes" if self.payload else "empty pong"


@dataclass(frozen=True)
class Message:
    """A text message whose object has these members."""

    type: str
    request_id: str = ""

    def __str__(self) -> str:
        return f"`{self.type}`"


@dataclass(frozen=True)
class Closed:
    """A close frame with this code (None: without one), then the end."""

    code: int | None

    def __str__(self) -> str:
        return f"close {self.code}" if self.code else "close without a code"


@dataclass(frozen=True)
class Alive:
    """Nothing of it is refused: a ping is answered."""

    def __str__(self) -> str:
        return "accepted"


Expectation = Union[Pong, Message, Closed, Alive]


@dataclass(frozen=True)
class Case:
    section: str  # of RFC 6455
    title: str
    pieces: tuple[bytes, ...]  # each is sent on its own
    expected: tuple[Expectation, ...]


GROUPS: dict[str, list[Case]] = {}


def add(group: str, section: str, title: str, sent: bytes | list[bytes], *expected: Expectation) -> None:
    pieces = (sent,) if isinstance(sent, bytes) else tuple(sent)
    GROUPS.setdefault(group, []).append(Case(section, title, pieces, expected))


def pieces_of(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def bytewise(data: bytes) -> list[bytes]:
    return pieces_of(data, 1)


def ping_message(size: int) -> bytes:
    """An fw.ping of exactly so many bytes, answered by fw.pong."""
    bare = b'{"type":"fw.ping","pad":""}'
    return bare[:-2] + b"x" * (size - len(bare)) + bare[-2:]


def named(request_id: str) -> bytes:
    """A message that is answered by an fw.error with the same request_id."""
    return json.dumps(
        {"type": "fw.unsubscribe", "request_id": request_id, "channel": "room:none"}, ensure_ascii=False
    ).encode()


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack(">H", code) + reason)


FW_PONG = Message("fw.pong")
GREEK = "κόσμε €𝄞"


def framing() -> None:
    group = "Framing"
    for size in (32, 125, 126, 127, 128, 65535, MESSAGE_MAX):
        add(group, "5.2", f"text message of {size} bytes", frame(TEXT, ping_message(size)), FW_PONG, Alive())
    add(group, "5.2", "text message, every byte on its own", bytewise(frame(TEXT, ping_message(200))), FW_PONG)
    add(
        group, "5.2", "text message of 65,535 bytes in pieces of 997",
        pieces_of(frame(TEXT, ping_message(65535)), 997), FW_PONG,
    )  # fmt: skip
    add(
        group, "5.2", "two messages in one segment",
        frame(TEXT, ping_message(40)) + frame(TEXT, ping_message(50)), FW_PONG, FW_PONG,
    )  # fmt: skip
    add(group, "5.2", "empty text message (no JSON: answered by an error)", frame(TEXT), Message("fw.error"), Alive())
    add(group, "5.6", "binary message where JSON is spoken", frame(BINARY, b"\0\1"), Closed(1003))
    add(group, "5.6", "empty binary message", frame(BINARY), Closed(1003))
    short = bytes([0x81, 0x80 | 126, 0, 32]) + b"\0\0\0\0" + ping_message(32)
    add(group, "5.2", "length of 32 in 16 bits", short, Closed(1002))
    medium = bytes([0x81, 0x80 | 127]) + struct.pack(">Q", 200) + b"\0\0\0\0" + ping_message(200)
    add(group, "5.2", "length of 200 in 64 bits", medium, Closed(1002))
    negative = bytes([0x81, 0x80 | 127]) + struct.pack(">Q", 1 << 63) + b"\0\0\0\0"
    add(group, "5.2", "length with the highest bit set", negative, Closed(1002))


def masks() -> None:
    group = "Masks"
    for opcode, name in ((TEXT, "text"), (PING, "ping"), (PONG, "pong"), (CLOSE, "close")):
        payload = {TEXT: ping_message(32), CLOSE: b"\x03\xe8"}.get(opcode, b"x")
        add(group, "5.1", f"{name} frame without a mask", frame(opcode, payload, masked=False), Closed(1002))
    add(group, "5.3", "mask of zeros", bytes([0x81, 0x80 | 32]) + b"\0\0\0\0" + ping_message(32), FW_PONG)
    add(
        group, "5.1", "a masked fragment, then one without",
        frame(TEXT, b'{"type":', final=False) + frame(CONTINUATION, b'"fw.ping"}', masked=False), Closed(1002),
    )  # fmt: skip


def control() -> None:
    group = "Pings and pongs"
    add(group, "5.5.2", "empty ping", frame(PING), Pong(b""))
    add(group, "5.5.2", "ping with text", frame(PING, b"Hello"), Pong(b"Hello"))
    add(group, "5.5.2", "ping with bytes that are no text", frame(PING, b"\0\xff\xfe"), Pong(b"\0\xff\xfe"))
    add(group, "5.5", "ping with 125 bytes", frame(PING, b"\xfe" * 125), Pong(b"\xfe" * 125))
    add(group, "5.5", "ping with 126 bytes", frame(PING, b"\xfe" * 126), Closed(1002))
    add(group, "5.5", "ping with 125 bytes, every byte on its own", bytewise(frame(PING, b"y" * 125)), Pong(b"y" * 125))
    add(group, "5.5.3", "empty pong nobody asked for", frame(PONG), Alive())
    add(group, "5.5.3", "pong with text nobody asked for", frame(PONG, b"unasked"), Alive())
    add(group, "5.5.3", "pong, then ping", frame(PONG, b"unasked") + frame(PING, b"ping"), Pong(b"ping"))
    add(
        group, "5.5.3", "ten pings, one after the other",
        [frame(PING, b"%d" % i) for i in range(10)], *[Pong(b"%d" % i) for i in range(10)],
    )  # fmt: skip
    add(
        group, "5.5.3", "ten pings in one segment",
        b"".join(frame(PING, b"%d" % i) for i in range(10)), *[Pong(b"%d" % i) for i in range(10)],
    )  # fmt: skip
    add(group, "5.5", "ping in two fragments", frame(PING, b"a", final=False) + frame(CONTINUATION, b"b"), Closed(1002))
    add(group, "5.5", "pong that is not final", frame(PONG, b"a", final=False), Closed(1002))


def reserved() -> None:
    group = "Reserved bits and opcodes"
    for bits in range(1, 8):
        add(group, "5.2", f"text with reserved bits {bits:03b}", frame(TEXT, b"x", reserved=bits), Closed(1002))
    add(group, "5.2", "ping with reserved bit 100", frame(PING, b"x", reserved=4), Closed(1002))
    add(group, "5.2", "close with reserved bit 001", frame(CLOSE, b"\x03\xe8", reserved=1), Closed(1002))
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        add(group, "5.2", f"opcode {opcode}", frame(opcode, b"x"), Closed(1002))
    add(
        group, "5.2", "a good message, then opcode 5",
        frame(TEXT, ping_message(32)) + frame(5), FW_PONG, Closed(1002),
    )  # fmt: skip


def fragments() -> None:
    group = "Fragments"
    whole = ping_message(60)
    two = [frame(TEXT, whole[:20], final=False), frame(CONTINUATION, whole[20:])]
    add(group, "5.4", "text in two fragments", two, FW_PONG)
    add(group, "5.4", "text in two fragments in one segment", b"".join(two), FW_PONG)
    add(
        group, "5.4", "text in fragments of one byte",
        frame(TEXT, whole[:1], final=False)
        + b"".join(frame(CONTINUATION, whole[i : i + 1], final=i == 59) for i in range(1, 60)),
        FW_PONG,
    )  # fmt: skip
    add(
        group, "5.4", "fragments that are empty at both ends",
        [frame(TEXT, b"", final=False), frame(CONTINUATION, whole, final=False), frame(CONTINUATION)], FW_PONG,
    )  # fmt: skip
    add(
        group, "5.4", "a ping between two fragments",
        [two[0], frame(PING, b"between"), two[1]], Pong(b"between"), FW_PONG,
    )  # fmt: skip
    add(
        group, "5.4", "a pong and a ping between fragments, every byte on its own",
        bytewise(two[0] + frame(PONG) + frame(PING, b"between") + two[1]), Pong(b"between"), FW_PONG,
    )  # fmt: skip
    add(group, "5.4", "a continuation of nothing", frame(CONTINUATION, b"x"), Closed(1002))
    add(group, "5.4", "a continuation of nothing, not final", frame(CONTINUATION, b"x", final=False), Closed(1002))
    add(group, "5.4", "a continuation after the end", b"".join(two) + frame(CONTINUATION, b"x"), FW_PONG, Closed(1002))
    add(group, "5.4", "a text frame instead of a continuation", two[0] + frame(TEXT, whole), Closed(1002))
    add(group, "5.4", "a binary frame instead of a continuation", two[0] + frame(BINARY, b"x"), Closed(1002))


def text() -> None:
    group = "UTF-8"
    greek = named(GREEK)
    add(group, "5.6", "text beyond ASCII", frame(TEXT, greek), Message("fw.error", GREEK))
    middle = greek.index("€".encode()) + 1  # inside of a character
    add(
        group, "5.6", "a character across two fragments",
        [frame(TEXT, greek[:middle], final=False), frame(CONTINUATION, greek[middle:])], Message("fw.error", GREEK),
    )  # fmt: skip
    add(
        group, "5.6", "every byte in a fragment of its own",
        frame(TEXT, greek[:1], final=False)
        + b"".join(
            frame(CONTINUATION, greek[i : i + 1], final=i == len(greek) - 1) for i in range(1, len(greek))
        ),
        Message("fw.error", GREEK),
    )  # fmt: skip
    bad = {
        "a continuation byte alone": b"\x80",
        "a character that ends too early": b"\xe2\x82",
        "an overlong form": b"\xc0\xaf",
        "an overlong form of three bytes": b"\xe0\x80\xaf",
        "a surrogate": b"\xed\xa0\x80",
        "above U+10FFFF": b"\xf4\x90\x80\x80",
        "a byte that is never used": b"\xff",
    }
    for title, bytes_ in bad.items():
        add(group, "8.1", title, frame(TEXT, b'{"type":"' + bytes_ + b'"}'), Closed(1007))
    add(
        group, "8.1", "a surrogate across two fragments",
        [frame(TEXT, b'"\xed', final=False), frame(CONTINUATION, b"\xa0\x80")], Closed(1007),
    )  # fmt: skip


def closes() -> None:
    group = "Closing"
    add(group, "5.5.1", "close without a payload", frame(CLOSE), Closed(None))
    add(group, "5.5.1", "close with one byte", frame(CLOSE, b"\x03"), Closed(1002))
    add(group, "5.5.1", "close 1000 with a reason", closing(1000, b"goodbye"), Closed(1000))
    add(group, "5.5.1", "close with a reason of 123 bytes", closing(1000, b"r" * 123), Closed(1000))
    add(group, "5.5", "close with a payload of 126 bytes", closing(1000, b"r" * 124), Closed(1002))
    add(group, "5.5.1", "a reason that is not UTF-8", closing(1000, b"\xce\xba\xff"), Closed(1007))
    add(group, "5.5.1", "a reason that ends inside of a character", closing(1000, b"\xe2\x82"), Closed(1007))
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        add(group, "7.4", f"close {code}", closing(code), Closed(code))
    for code in (1012, 1013, 1014):
        # The library takes codes that were registered after the RFC for wrong ones.
        add(group, "7.4.1", f"close {code}, registered after the RFC", closing(code), Closed(1002))
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        add(group, "7.4", f"close {code}, which must not be sent", closing(code), Closed(1002))
    add(group, "5.5.1", "close, then a text message", closing(1000) + frame(TEXT, ping_message(32)), Closed(1000))
    add(group, "5.5.1", "close, then a frame without a mask", closing(1000) + frame(TEXT, b"x", masked=False), Closed(1000))
    add(
        group, "5.5.1", "close in the middle of a message",
        frame(TEXT, b"x", final=False) + closing(1000) + frame(CONTINUATION, b"y"), Closed(1000),
    )  # fmt: skip
    add(group, "5.5.1", "close in two fragments", frame(CLOSE, b"\x03", final=False), Closed(1002))


def limits() -> None:
    group = "Limits"
    add(
        group, "7.4.1", f"a message of {MESSAGE_MAX + 1} bytes: closed at its head",
        bytes([0x81, 0x80 | 127]) + struct.pack(">Q", MESSAGE_MAX + 1) + b"\0\0\0\0", Closed(1009),
    )  # fmt: skip
    add(
        group, "7.4.1", "a message of exabytes", bytes([0x81, 0x80 | 127]) + struct.pack(">Q", (1 << 63) - 1) + b"\0\0\0\0",
        Closed(1009),
    )  # fmt: skip
    add(
        group, "7.4.1", "fragments that are too much together",
        [frame(TEXT, b"x" * MESSAGE_MAX, final=False), frame(CONTINUATION, b"y")], Closed(1009),
    )  # fmt: skip
    add(
        group, "10.4", "more than 500 pings at once", b"".join(frame(PING, b"flood") for _ in range(600)), Closed(4290)
    )
    add(
        group, "10.4", "more than 500 fragments at once",
        frame(TEXT, b"x", final=False) + b"".join(frame(CONTINUATION, b"x", final=False) for _ in range(600)),
        Closed(4290),
    )  # fmt: skip
    add(
        group, "10.4", "empty fragments without end",
        frame(TEXT, b"", final=False) + b"".join(frame(CONTINUATION, b"", final=False) for _ in range(40)),
        Closed(4400),
    )  # fmt: skip
    add(
        group, "10.4", "more than 200 messages at once",
        b"".join(frame(TEXT, b'{"type":"fw.pong"}') for _ in range(400)), Closed(4290),
    )  # fmt: skip
    nested = b'{"type":"fw.ping","x":' + b"[" * 3000 + b"]" * 3000 + b"}"
    add(group, "10.4", "JSON of 3,000 levels: answered by an error", frame(TEXT, nested), Message("fw.error"), Alive())


for make in (framing, masks, control, reserved, fragments, text, closes, limits):
    make()


def numbered() -> Iterator[tuple[str, Case]]:
    for place, cases in enumerate(GROUPS.values(), 1):
        for number, case in enumerate(cases, 1):
            yield f"{place}.{number}", case


def table() -> str:
    lines = []
    names = list(GROUPS)
    previous = ""
    for number, case in numbered():
        name = names[int(number.split(".")[0]) - 1]
        if name != previous:
            lines += ["", f"### {name}", "", "| case | RFC 6455 | the client sends | the gateway answers |", "|---|---|---|---|"]
            previous = name
        answers: list[str] = []
        for expectation in case.expected:
            if not answers or answers[-1].split(" ×")[0] != str(expectation) or not isinstance(expectation, (Pong, Message)):
                answers.append(str(expectation))
        lines.append(f"| {number} | {case.section} | {case.title} | {', '.join(answers)} |")
    return "\n".join(lines).lstrip("\n") + "\n\n"


def written(page: str) -> str:
    """The page with the table as it must be."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + "\n" + table() + END + after


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(written(PAGE.read_text()))
    else:
        print(table(), end="")
