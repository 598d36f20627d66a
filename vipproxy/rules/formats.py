"""Format strings at work; what they write can break no message."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

from vipproxy.config.formats import Alias, Format
from vipproxy.config.samples import Sample
from vipproxy.rules.conditions import Scope
from vipproxy.rules.samples import compile_value, path_of, query_of
from vipproxy.rules.subject import Subject

Writer = Callable[[Subject], bytes]

_CONTROL = re.compile(rb"[\0-\x08\x0a-\x1f\x7f]")


def compile_format(text: Format, scope: Scope) -> Writer:
    """What writes a header's value: decoded control characters are blanks (RFC 9110, 5.5)."""
    raw = compile_raw(text, scope)
    if text.fixed is not None:
        return raw
    return lambda subject: _CONTROL.sub(b" ", raw(subject))


def compile_raw(text: Format, scope: Scope) -> Writer:
    """The same for a body."""
    fixed = text.fixed
    if fixed is not None:
        value = fixed.encode("utf-8", "surrogateescape")
        return lambda subject: value
    writers = [_part(part, scope) for part in text.parts]
    if len(writers) == 1:
        return writers[0]
    return lambda subject: b"".join([write(subject) for write in writers])


def _part(part: str | Alias | Sample, scope: Scope) -> Writer:
    if isinstance(part, str):
        text = part.encode("utf-8", "surrogateescape")
        return lambda subject: text
    if isinstance(part, Sample):
        return compile_value(part, scope.frontend, scope.backend)
    if part.name == "Ts":
        seconds = scope.frontend.clock.seconds
        return lambda subject: b"%d" % seconds()
    return _ALIASES[part.name]


def _method(subject: Subject) -> bytes:
    return subject.request.method if subject.request else b""


def _query(subject: Subject) -> bytes:
    query = query_of(subject)
    return b"?" + query if query else b""


_HOSTNAME = socket.gethostname().encode()
_ALIASES: dict[str, Writer] = {
    "ci": lambda subject: subject.client.host.encode(),
    "cp": lambda subject: b"%d" % subject.client.port,
    "fi": lambda subject: subject.destination.host.encode(),
    "fp": lambda subject: b"%d" % subject.destination.port,
    "f": lambda subject: subject.frontend.encode(),
    "b": lambda subject: (subject.backend or subject.frontend).encode(),
    "s": lambda subject: subject.server.encode() or b"<NOSRV>",
    "HM": _method,
    "HP": path_of,
    "HQ": _query,
    "HU": lambda subject: subject.request.target if subject.request else b"",
    "HV": lambda subject: b"HTTP/1.%d" % subject.request.minor if subject.request else b"",
    "H": lambda subject: _HOSTNAME,
}
