"""HTTP/1 heads without I/O: strictly parsed, canonically written again (RFC 9110, RFC 9112).

One regular expression validates a whole head, another finds the fields that matter here; those
are written anew or dropped, and all others are passed on as they came, name, value and order.
Stricter than HAProxy on purpose: a bare CR or LF, a folded line, a control character, a second
Content-Length or Host, and HTTP versions other than 1.0 and 1.1 are refused.
"""

from __future__ import annotations

import re

from attrs import define

from vipproxy.errors import VipproxyError

HEAD_LIMIT = 16384
"""Bytes of a head at most, as HAProxy's default `tune.bufsize`."""

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
TEXT = rb"[\t\x20-\x7e\x80-\xff]*+"
FIELDS = rb"(?:" + TOKEN + rb":" + TEXT + rb"\r\n)*+"

_REQUEST = re.compile(rb"(" + TOKEN + rb") ([!-\"$-~]++) HTTP/1\.([01])\r\n(" + FIELDS + rb")\r\n")
_RESPONSE = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: (" + TEXT + rb"))?\r\n(" + FIELDS + rb")\r\n"
)
_NAMED = re.compile(
    rb"(?im)^(host|content-length|transfer-encoding|connection|keep-alive|proxy-connection"
    rb"|te|upgrade):[ \t]*+([^\r]*)\r\n"
)
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade"})
_NEVER_NOMINATED = _HOP_BY_HOP | {b"host", b"content-length", b"transfer-encoding", b"close"}
"""Names whose lines a Connection field cannot remove, or that need no removal."""

_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")
_HOST = re.compile(rb"[!-~]*")
_NOT_IN_HOST = re.compile(rb"[/?#@\\,]")
_ABSOLUTE = re.compile(rb"(?i:(http|https))://([^/?@]+)((?:[/?].*)?)")
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}

REQUEST_START = re.compile(TOKEN + rb"(?: |\Z)|\r?\Z")
"""What the first bytes of a request look like, as far as they have come."""
RESPONSE_START = re.compile(
    rb"HTTP/1\.|(?:HTTP/1|HTTP/|HTTP|HTT|HT|H|)\Z"  # no prefix operator in regular expressions
)
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\0")


class MalformedMessage(VipproxyError):
    """What the peer sent is not HTTP/1, or not unmistakably so."""


@define
class RequestHead:
    """A request's head, understood. `fields` is what may be passed on, one CRLF-ended line each."""

    method: bytes
    target: bytes
    minor: int
    """0 or 1: HTTP/1.0 or HTTP/1.1."""
    fields: bytes
    length: int
    """Bytes of the body; 0 also where it is chunked."""
    chunked: bool
    keep_alive: bool
    """The client may send another request after this one."""
    upgrade: bytes
    """The protocols to which the client would change; empty where it would not."""

    @property
    def path(self) -> bytes:
        """The target without scheme and authority."""
        absolute = _ABSOLUTE.fullmatch(self.target)
        return (absolute[3] or b"/") if absolute else self.target

    def render(self, extra: bytes = b"") -> bytes:
        """The bytes for a server; `extra` is appended to the fields."""
        return b"%b %b HTTP/1.%d\r\n%b%b\r\n" % (
            self.method, self.target, self.minor, self.fields, extra,
        )  # fmt: skip


@define
class ResponseHead:
    """A response's head, understood."""

    status: int
    minor: int
    reason: bytes
    fields: bytes
    length: int | None
    """Bytes of the body, where a Content-Length says so."""
    chunked: bool
    upgrade: bytes

    def render(self, extra: bytes = b"") -> bytes:
        """The bytes for a client; `extra` is appended to the fields."""
        return b"HTTP/1.%d %d %b\r\n%b%b\r\n" % (
            self.minor, self.status, self.reason, self.fields, extra,
        )  # fmt: skip


@define
class Inbox:
    """Bytes received and not yet understood: at most a head and what came with it."""

    start: re.Pattern[bytes]
    """Matches the first bytes of a head, however few have come."""
    data: bytes = b""
    _scanned: int = 0

    def add(self, data: bytes) -> None:
        self.data += data

    def take(self) -> bytes:
        """All of it."""
        data, self.data, self._scanned = self.data, b"", 0
        return data

    def skip_empty_lines(self) -> None:
        """Empty lines before a request are ignored (RFC 9112, 2.2)."""
        if self.data.startswith(b"\r\n"):
            self.data = re.sub(rb"\A(?:\r\n)+", b"", self.data)

    def take_head(self) -> bytes | None:
        """A head with its empty line, or None while it is not complete.

        Raises MalformedMessage as soon as no further byte could mend it.
        """
        end = self.data.find(b"\r\n\r\n", max(0, self._scanned - 3)) + 4
        if end == 3:
            self._check_beginning()
            return None
        if end > HEAD_LIMIT:
            raise MalformedMessage(f"the head is longer than {HEAD_LIMIT} bytes")
        head, self.data, self._scanned = self.data[:end], self.data[end:], 0
        return head

    def _check_beginning(self) -> None:
        if len(self.data) >= HEAD_LIMIT:
            raise MalformedMessage(f"the head is longer than {HEAD_LIMIT} bytes")
        if not self.start.match(self.data) or _BARE.search(self.data, max(0, self._scanned - 1)):
            raise MalformedMessage("this does not begin like an HTTP message")
        self._scanned = len(self.data)


def parse_request(head: bytes) -> RequestHead:
    """Understand a whole head, its empty line included; raises MalformedMessage."""
    match = _REQUEST.fullmatch(head)
    if match is None:
        raise MalformedMessage("the request's head is malformed")
    method, target, minor, block = match.groups()
    found, fields = _sift(block)
    chunked, length = _framing(found)
    host = _host(found)
    _check_target(method, target, host)
    modern = minor == b"1"
    if chunked and not modern:
        raise MalformedMessage("HTTP/1.0 knows no Transfer-Encoding")
    options = _options(found)
    return RequestHead(
        method=method,
        target=target,
        minor=int(modern),
        fields=_without_nominated(_without_spare_length(found, fields), options),
        length=length or 0,
        chunked=chunked,
        keep_alive=_persistent(options, modern) and not (chunked and length is not None),
        upgrade=_upgrade(found, options) if modern and not chunked and not length else b"",
    )


def parse_response(head: bytes) -> ResponseHead:
    """Understand a whole head, its empty line included; raises MalformedMessage."""
    match = _RESPONSE.fullmatch(head)
    if match is None:
        raise MalformedMessage("the response's head is malformed")
    minor, status, reason, block = match.groups()
    found, fields = _sift(block)
    chunked, length = _framing(found)
    options = _options(found)
    return ResponseHead(
        status=int(status),
        minor=int(minor),
        reason=reason or b"",
        fields=_without_nominated(_without_spare_length(found, fields), options),
        length=None if chunked else length,
        chunked=chunked,
        upgrade=_upgrade(found, options),
    )


def without(fields: bytes, name: bytes) -> bytes:
    """The fields but for those of one name."""
    return re.sub(rb"(?im)^%b:[^\r]*\r\n" % re.escape(name), b"", fields)


Found = dict[bytes, list[bytes]]
"""Lower-case name -> values, of the fields that matter."""


def _sift(block: bytes) -> tuple[Found, bytes]:
    """Find the fields that matter, drop the hop-by-hop ones, write the others canonically."""
    found: Found = {}
    kept = []
    end = 0
    for match in _NAMED.finditer(block):
        name, value = match[1].lower(), match[2].rstrip(b" \t")
        found.setdefault(name, []).append(value)
        kept.append(block[end : match.start()])
        end = match.end()
        if name not in _HOP_BY_HOP:
            kept.append(b"%b: %b\r\n" % (match[1], value))
    if not kept:
        return found, block
    kept.append(block[end:])
    return found, b"".join(kept)


def _framing(found: Found) -> tuple[bool, int | None]:
    """Whether the body is chunked, and its Content-Length."""
    codings, lengths = found.get(b"transfer-encoding"), found.get(b"content-length")
    if codings is not None and [coding.lower() for coding in codings] != [b"chunked"]:
        raise MalformedMessage("the only Transfer-Encoding understood is 'chunked'")
    if lengths is None:
        return codings is not None, None
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise MalformedMessage("Content-Length must be one decimal number")
    return codings is not None, int(lengths[0])


def _without_spare_length(found: Found, fields: bytes) -> bytes:
    """Chunked overrides Content-Length, which is not passed on (RFC 9112, 6.3)."""
    if b"transfer-encoding" in found and b"content-length" in found:
        return without(fields, b"content-length")
    return fields


def _host(found: Found) -> bytes | None:
    hosts = found.get(b"host")
    if hosts is None:
        return None
    if len(hosts) > 1 or not _HOST.fullmatch(hosts[0]) or _NOT_IN_HOST.search(hosts[0]):
        raise MalformedMessage("Host must be one name, with or without a port")
    return hosts[0]


def _check_target(method: bytes, target: bytes, host: bytes | None) -> None:
    if method == b"CONNECT":
        raise MalformedMessage("CONNECT is refused: this is not a forward proxy")
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise MalformedMessage("the request's target is malformed")
    port = _DEFAULT_PORTS[absolute[1].lower()]
    authority = absolute[2].lower().removesuffix(port)
    if host is not None and host.lower().removesuffix(port) != authority:
        raise MalformedMessage("the target's host is not the one in Host")


def _options(found: Found) -> list[bytes]:
    """The words of the Connection fields, in lower case."""
    return [
        word.strip(b" \t").lower()
        for value in found.get(b"connection", ())
        for word in value.split(b",")
    ]


def _persistent(options: list[bytes], modern: bool) -> bool:
    if b"close" in options:
        return False
    return modern or b"keep-alive" in options


def _upgrade(found: Found, options: list[bytes]) -> bytes:
    """The Upgrade field where Connection confirms it; never to HTTP/2, which would be a tunnel
    for requests that nobody checks."""
    value = b", ".join(found.get(b"upgrade", ()))
    return b"" if b"upgrade" not in options or b"h2c" in value.lower() else value


def _without_nominated(fields: bytes, options: list[bytes]) -> bytes:
    """Drop the fields that Connection names (RFC 9110, 7.6.1)."""
    names = set(options) - _NEVER_NOMINATED
    if not names:
        return fields
    lines = fields.splitlines(keepends=True)
    return b"".join(line for line in lines if line.partition(b":")[0].lower() not in names)
