"""What a log line takes out of HTTP heads: the request line, captured headers and cookies."""

from __future__ import annotations

import re
from collections.abc import Callable

URI_LIMIT = 1024
"""Bytes of a request line that are logged (HAProxy's `tune.http.logurilen`)."""
BAD_REQUEST = "<BADREQ>"

_UNPRINTABLE = re.compile(r'[^ -~]|["#]')
_UNPRINTABLE_IN_HEADERS = re.compile(r'[^ -~]|["#{|}]')
_SCHEME_ALONE = frozenset({"authorization", "proxy-authorization"})
"""Of these the credentials are never logged."""


def _hashed(match: re.Match[str]) -> str:
    return f"#{ord(match[0]):02X}"


def printable(data: bytes) -> str:
    """Unprintable characters, # and quotes as #XX (HAProxy's manual, 8.6)."""
    return _UNPRINTABLE.sub(_hashed, data.decode("latin-1"))


def printable_header(data: bytes) -> str:
    """Also what delimits captured headers."""
    return _UNPRINTABLE_IN_HEADERS.sub(_hashed, data.decode("latin-1"))


def request_line(lines: bytes) -> bytes:
    """The first line; empty where the request was not understood."""
    return lines.partition(b"\r\n")[0][:URI_LIMIT]


def header_reader(name: str, length: int) -> Callable[[bytes], bytes]:
    """What finds a header in lines: the last of its name, cut; of credentials the scheme."""
    field = re.compile(rb"(?im)^%b:[ \t]*([^\r]*)\r$" % re.escape(name.encode()))
    secret = name.lower() in _SCHEME_ALONE

    def read(lines: bytes) -> bytes:
        found = field.findall(lines)
        value: bytes = found[-1].rstrip(b" \t") if found else b""
        return (value.partition(b" ")[0] if secret else value)[:length]

    return read


def cookie_reader(field: str, name: str, length: int) -> Callable[[bytes], bytes]:
    """What finds ``name=value`` in Cookie or Set-Cookie lines: the first that begins with `name`.

    As in HAProxy, a name that ends with = is meant whole (`capture cookie`).
    """
    start = rb"(?:[^\r]*?[;,])??" if field == "cookie" else b""
    pair = rb"(?im)^%b:%b[ \t]*((?-i:%b)[^;,\r]*)" % (
        field.encode(),
        start,
        re.escape(name.encode()),
    )
    compiled = re.compile(pair)

    def read(lines: bytes) -> bytes:
        found = compiled.search(lines)
        return found[1].rstrip(b" \t")[:length] if found else b""

    return read
