"""``show errors``: the last messages that were refused, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attrs import frozen

from vipproxy.admin.commands.command import Command, Console, Level, number, timestamp
from vipproxy.captures import LONGEST
from vipproxy.errors import Refused
from vipproxy.interfaces import CapturedMessage
from vipproxy.values import ClusterSnapshot

WIDTH = 70
"""Characters of a line of the dump."""
_ESCAPES = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r", 0x1B: "\\e", 0x5C: "\\\\"}
_START_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [!-~]+ HTTP/1\.[01]\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] [0-9]{3}[^\r\n]*\r?\n")
_FIELD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r?\n")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]*")
_TEXT = re.compile(rb"[^:]*:[\t\x20-\x7e\x80-\xff]*")


def _show(console: Console, words: Sequence[str]) -> str:
    snapshot = console.cluster.snapshot()
    names = _Names.of(snapshot)
    proxy = names.chosen(words)
    kinds = {"request": (False,), "response": (True,)}.get("".join(words[1:2]), (False, True))
    total, messages = console.cluster.captures()
    shown = [
        each
        for each in messages
        if each.is_response in kinds and (proxy is None or proxy in (each.frontend, each.backend))
    ]
    shown.sort(key=lambda each: names.number(each.backend or each.frontend))
    heading = f"Total events captured on [{timestamp(snapshot.now)}] : {total}\n"
    return heading + "".join(_dump(each, names) for each in shown)


@frozen
class _Names:
    """The numbers of proxies and servers."""

    frontends: dict[str, int]
    backends: dict[str, int]
    servers: dict[tuple[str, str], int]

    @classmethod
    def of(cls, snapshot: ClusterSnapshot) -> _Names:
        return cls(
            {each.name: each.number for each in snapshot.frontends},
            {each.name: each.number for each in snapshot.backends},
            {(pool.name, s.name): s.number for pool in snapshot.backends for s in pool.servers},
        )

    def number(self, proxy: str) -> int:
        """Of the proxy that a message is kept for: a backend where there is one of that name."""
        return self.backends.get(proxy, self.frontends.get(proxy, -1))

    def chosen(self, words: Sequence[str]) -> str | None:
        """The proxy that was asked for, by name or number; None for all."""
        if not words or (wanted := number(words[0])) == -1:
            return None
        for name, each in [*self.frontends.items(), *self.backends.items()]:
            if words[0] == name or wanted == each:
                return name
        raise Refused("No such proxy.")


def _dump(message: CapturedMessage, names: _Names) -> str:
    size = len(message.data)
    lines = [
        " ",
        f"[{timestamp(message.at)}] {_heading(message, names)}, "
        f"event #{message.number}, src {message.source}",
        f"  buffer starts at 0 (including 0 out), {LONGEST - size} free,",
        f"  len {size}, wraps at {LONGEST}, error at position {position(message)}",
        f"  {message.reason} :",
        "  ",
        *hexdump(message.data),
    ]
    return "".join(f"{line}\n" for line in lines)


def _heading(message: CapturedMessage, names: _Names) -> str:
    frontend = f"frontend {message.frontend} (#{names.frontends.get(message.frontend, -1)})"
    if not message.is_response:
        return f"{frontend}: invalid request\n  backend <NONE> (#-1), server <NONE> (#-1)"
    server = names.servers.get((message.backend, message.server), -1)
    backend = f"backend {message.backend} (#{names.backends.get(message.backend, -1)})"
    return f"{backend}: invalid response\n  {frontend}, server {message.server} (#{server})"


def position(message: CapturedMessage) -> int:
    """The first byte that does not fit; 0 where each line fits, and the whole does not."""
    data = message.data
    start = (_STATUS_LINE if message.is_response else _START_LINE).match(data)
    if start is None:
        return 0
    at = start.end()
    while (field := _FIELD.match(data, at)) is not None:
        at = field.end()
    if data[at : at + 2] == b"\r\n":
        return 0
    text = _TEXT.match(data, at)
    name = _NAME.match(data, at)
    assert name is not None
    named = data[name.end() : name.end() + 1] == b":"
    return text.end() if named and text else name.end()


def hexdump(data: bytes) -> Iterator[str]:
    """HAProxy's dump: a line for each line of the message, long ones continued with ``+``."""
    line, at, more = "", 0, False
    for index, byte in enumerate(data):
        shown = _shown(byte)
        if len(line) + len(shown) > WIDTH:
            yield f"  {at:05d}{'+' if more else ' '} {line}"
            line, at, more = "", index, True
        line += shown
        if byte == 0x0A:
            yield f"  {at:05d}{'+' if more else ' '} {line}"
            line, at, more = "", index + 1, False
    if line:
        yield f"  {at:05d}{'+' if more else ' '} {line}"


def _shown(byte: int) -> str:
    escape = _ESCAPES.get(byte)
    if escape is not None:
        return escape
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02X}"


COMMANDS = (
    Command(
        "show errors",
        Level.OPERATOR,
        "show errors [<px>] [request|response]",
        "report last request and/or response errors for each proxy",
        _show,
    ),
)
