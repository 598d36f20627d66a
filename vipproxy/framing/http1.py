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

HEAD_LIMIT = 15280
"""Bytes of a head at most, where each field counts as many more as `FIELD_COST` says: what
HAProxy's default `tune.bufsize` leaves to a head."""
FIELD_COST = 4
FIELD_LIMIT = 100
"""Fields of a head, or of trailers, at most: HAProxy's default `tune.http.maxhdr`."""

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
TEXT = rb"[\t\x20-\x7e\x80-\xff]*+"
FIELDS = rb"(?:" + TOKEN + rb":" + TEXT + rb"\r\n)*+"

_REQUEST = re.compile(rb"(" + TOKEN + rb") ([!-\"$-~]++) HTTP/1\.([01])\r\n" + FIELDS + rb"\r\n")
_RESPONSE = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: (" + TEXT + rb"))?\r\n" + FIELDS + rb"\r\n"
)
_NAMED = re.compile(
    rb"\n(host|content-length|transfer-encoding|connection|keep-alive|proxy-connection|te|upgrade"
    rb"|(?:www-|proxy-)?auth(?:orization|enticate)(?=:[^\r]*(?:ntlm|negotiate))):([^\r]*)\r"
)
"""The fields that matter, in a head in lower case; it begins with a literal, which is fast."""
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade"})
_NEVER_NOMINATED = _HOP_BY_HOP | {b"host", b"content-length", b"transfer-encoding", b"close"}
"""Names whose lines a Connection field cannot remove, or that need no removal."""

_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")
_HOST = re.compile(rb"[!\"$-+\-.0->A-\[\]-~]*+")
"""Visible characters but for # , / ? @ and the backslash."""
_ABSOLUTE = re.compile(rb"(?i:(http|https))://([^/?@]+)((?:/.*)?)")
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}
_WEBSOCKET_KEY = re.compile(rb"\nsec-websocket-key:[ \t]*+[a-z0-9+/]{22}==[ \t]*+\r")
_WEBSOCKET_ACCEPT = re.compile(rb"\nsec-websocket-accept:[ \t]*+[a-z0-9+/]{27}=[ \t]*+\r")
"""In lines in lower case: 16 random bytes, and the digest that answers them, in base64."""


def is_host(value: bytes) -> bool:
    """Whether it may stand in Host."""
    return _HOST.fullmatch(value) is not None


def is_target(value: bytes, method: bytes) -> bool:
    """Whether it may stand in a request line, as far as its form goes."""
    if value.startswith(b"/") or (value == b"*" and method == b"OPTIONS"):
        return True
    return _ABSOLUTE.fullmatch(value) is not None


class MalformedMessage(VipproxyError):
    """What the peer sent is not HTTP/1, or not unmistakably so.

    `data` is what was not understood, where that is known.
    """

    def __init__(self, text: str, data: bytes = b"") -> None:
        super().__init__(text)
        self.data = data


@define
class RequestHead:
    """A request's head, understood."""

    method: bytes
    target: bytes
    minor: int
    """0 or 1: HTTP/1.0 or HTTP/1.1."""
    lines: bytes
    """The request line, and the fields that may be passed on, each with its CRLF."""
    length: int = 0
    """Bytes of the body; 0 also where it is chunked."""
    chunked: bool = False
    keep_alive: bool = True
    """The client may send another request after this one."""
    upgrade: bytes = b""
    """The protocols to which the client would change; empty where it would not."""
    tied: bool = False
    """It authenticates the connection to the server (NTLM, Negotiate), and not itself alone."""

    @property
    def fields(self) -> bytes:
        """The lines but for the first."""
        return self.lines.partition(b"\r\n")[2]

    @property
    def path(self) -> bytes:
        """The target without scheme and authority."""
        absolute = _ABSOLUTE.fullmatch(self.target)
        return (absolute[3] or b"/") if absolute else self.target

    def render(self, extra: bytes = b"") -> bytes:
        """The bytes for a server; `extra` is appended to the fields."""
        return self.lines + extra + b"\r\n"


@define
class ResponseHead:
    """A response's head, understood."""

    status: int
    minor: int
    lines: bytes
    """The status line, and the fields that may be passed on, each with its CRLF."""
    length: int | None = None
    """Bytes of the body, where a Content-Length says so."""
    chunked: bool = False
    keep_alive: bool = True
    """The server may be sent another request after this one, and anybody's."""
    upgrade: bytes = b""

    def render(self, extra: bytes = b"") -> bytes:
        """The bytes for a client; `extra` is appended to the fields."""
        return self.lines + extra + b"\r\n"


def parse_request(head: bytes) -> RequestHead:
    """Understand a whole head, its empty line included; raises MalformedMessage."""
    match = _REQUEST.fullmatch(head)
    if match is None:
        raise MalformedMessage("the request's head is malformed")
    _check_size(head)
    method, target, modern = match[1], match[2], match[3] == b"1"
    found, lines = _sift(head)
    chunked, length = _framing(found)
    _check_target(method, target, _host(found))
    if chunked and not modern:
        raise MalformedMessage("HTTP/1.0 knows no Transfer-Encoding")
    options = _options(found)
    upgrade = _upgrade(found, options) if modern and not chunked and not length else b""
    _check_websocket(upgrade, lines, _WEBSOCKET_KEY)
    return RequestHead(
        method,
        target,
        minor=int(modern),
        lines=_without_nominated(_without_spare_length(found, lines), options),
        length=0 if chunked or length is None else length,
        chunked=chunked,
        keep_alive=_persistent(options, modern) and not (chunked and length is not None),
        upgrade=upgrade,
        tied=_authenticates_connection(found),
    )


def parse_response(head: bytes) -> ResponseHead:
    """Understand a whole head, its empty line included; raises MalformedMessage."""
    match = _RESPONSE.fullmatch(head)
    if match is None:
        raise MalformedMessage("the response's head is malformed")
    _check_size(head)
    modern, status = match[1] == b"1", int(match[2])
    if match[3] is None:
        end = match.end(2)
        head = head[:end] + b" " + head[end:]
    found, lines = _sift(head)
    chunked, length = _framing(found)
    if chunked and not modern:
        raise MalformedMessage("HTTP/1.0 knows no Transfer-Encoding")
    if status < 200:  # there is no body, and no field may announce one (RFC 9110, 8.6)
        chunked, length = False, None
        lines = without(without(lines, b"transfer-encoding"), b"content-length")
    options = _options(found)
    upgrade = _upgrade(found, options)
    if status == 101:
        _check_websocket(upgrade, lines, _WEBSOCKET_ACCEPT)
    doubtful = (chunked and length is not None) or _authenticates_connection(found)
    return ResponseHead(
        status,
        minor=int(modern),
        lines=_without_nominated(_without_spare_length(found, lines), options),
        length=None if chunked else length,
        chunked=chunked,
        keep_alive=_persistent(options, modern) and not doubtful,
        upgrade=upgrade,
    )


def without(lines: bytes, name: bytes) -> bytes:
    """The lines but for the fields of one name."""
    return re.sub(rb"(?im)^%b:[^\r]*\r\n" % re.escape(name), b"", lines)


def _check_size(head: bytes) -> None:
    fields = head.count(b"\n") - 2
    if fields > FIELD_LIMIT:
        raise MalformedMessage(f"the head has more than {FIELD_LIMIT} fields")
    if len(head) + FIELD_COST * fields > HEAD_LIMIT:
        raise MalformedMessage(f"the head is longer than {HEAD_LIMIT} bytes")


Found = dict[bytes, list[bytes]]
"""Lower-case name -> values, of the fields that matter."""


def _sift(head: bytes) -> tuple[Found, bytes]:
    """Find the fields that matter, drop the hop-by-hop ones, write the others canonically."""
    found: Found = {}
    kept = []
    end = 0
    for match in _NAMED.finditer(head.lower()):
        name, value = match[1], head[match.start(2) : match.end(2)].strip(b" \t")
        found.setdefault(name, []).append(value)
        kept.append(head[end : match.start() + 1])
        end = match.end() + 1
        if name not in _HOP_BY_HOP:
            value = value.lower() if name == b"transfer-encoding" else value
            kept.append(b"%b: %b\r\n" % (head[match.start(1) : match.end(1)], value))
    kept.append(head[end:-2])
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


def _without_spare_length(found: Found, lines: bytes) -> bytes:
    """Chunked overrides Content-Length, which is not passed on (RFC 9112, 6.3)."""
    if b"transfer-encoding" in found and b"content-length" in found:
        return without(lines, b"content-length")
    return lines


def _host(found: Found) -> bytes | None:
    hosts = found.get(b"host")
    if hosts is None:
        return None
    if len(hosts) > 1 or not _HOST.fullmatch(hosts[0]):
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


def _check_websocket(upgrade: bytes, lines: bytes, proof: re.Pattern[bytes]) -> None:
    """Nobody may be told of a WebSocket without the proof that both mean one (RFC 6455, 4)."""
    if b"websocket" in upgrade.lower() and len(proof.findall(lines.lower())) != 1:
        raise MalformedMessage("the WebSocket's handshake is malformed")


def _authenticates_connection(found: Found) -> bool:
    """NTLM and Negotiate log the connection in: nobody else's requests may follow on it."""
    return any(b"auth" in name for name in found)


def _without_nominated(lines: bytes, options: list[bytes]) -> bytes:
    """Drop the fields that Connection names (RFC 9110, 7.6.1)."""
    names = set(options) - _NEVER_NOMINATED
    if not names:
        return lines
    start, *fields = lines.splitlines(keepends=True)
    return start + b"".join(f for f in fields if f.partition(b":")[0].lower() not in names)
