"""Single fields of validated heads, without I/O: found, removed, added.

All works on the `lines` of a head that `http1` has parsed: a start line and fields, each with its
CRLF, none with another CR or LF.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from attrs import frozen

from vipproxy.config.http_kinds import FieldChange
from vipproxy.framing.http1 import ResponseHead, without


def field_value(name: bytes) -> Callable[[bytes], bytes | None]:
    """What finds the value of the first field of a name; None where there is none."""
    return _finder(name, rb"[^\r]*+")


def list_member(name: bytes) -> Callable[[bytes], bytes | None]:
    """The same for a field that is a list: its first member, up to a comma outside of quotes."""
    return _finder(name, rb'(?:"(?:[^"\\\r]|\\[^\r])*+"?|[^,\r])*+')


def _finder(name: bytes, value: bytes) -> Callable[[bytes], bytes | None]:
    pattern = re.compile(rb"\n(?i:%b):[ \t]*+(%b)" % (re.escape(name), value))

    def find(lines: bytes) -> bytes | None:
        match = pattern.search(lines)
        return match[1].rstrip(b" \t") if match else None

    return find


def drop_framing(head: ResponseHead) -> None:
    """The fields that would announce a body, or a form of it, that the client does not get."""
    head.lines = without(head.lines, b"transfer-encoding")
    if head.status == 204:
        head.lines = without(head.lines, b"content-length")


@frozen
class FieldChanges:
    """What a section's ``request-header NAME = ...`` do to every head."""

    unwanted: re.Pattern[bytes] | None
    """The fields that are deleted, or set anew; from the LF before each to its CR."""
    added: bytes

    @classmethod
    def of(cls, changes: Iterable[tuple[str, FieldChange]]) -> FieldChanges:
        names, added = [], []
        for name, change in changes:
            if change.action != "add":
                names.append(re.escape(name.encode()))
            if change.action != "delete":
                added.append(b"%b: %b\r\n" % (name.encode(), change.value.encode()))
        pattern = rb"\n(?i:%b):[^\r]*+\r(?=\n)" % b"|".join(names)
        return cls(re.compile(pattern) if names else None, b"".join(added))

    def apply(self, lines: bytes) -> bytes:
        """The lines without what is unwanted, and with what is added as their end."""
        if self.unwanted is not None:
            lines = self.unwanted.sub(b"", lines)
        return lines + self.added
