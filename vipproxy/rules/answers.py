"""Actions that end a request: what the client is told instead of a server's response."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from vipproxy.config.actions import Auth, Deny, Redirect, Return, UseService
from vipproxy.config.formats import Format
from vipproxy.rules.conditions import Scope
from vipproxy.rules.edits import REASONS
from vipproxy.rules.formats import compile_format, compile_raw
from vipproxy.rules.samples import host_of
from vipproxy.rules.subject import Subject


@frozen
class Answer:
    """A response of the proxy's own; without `start` it is the status's error page."""

    status: int
    denied: bool = False
    """It counts as a denied request, and not as one that the proxy has answered."""
    start: bytes = b""
    """Status line and fields, each with its CRLF, but for Connection."""
    body: bytes = b""
    fields: bytes = b""
    """What is added to the fields of the page."""


@frozen
class Service:
    """The service of this name answers."""

    name: str


class Ending:
    """How the rules may end otherwise than with an answer."""


ALLOWED, DROPPED = Ending(), Ending()
"""No more rules of this list; the client's connection is closed without a word."""

Verdict = Answer | Service | Ending | None
"""None: on to the next rule."""
Step = Callable[[Subject], Verdict]


def use_service(action: UseService, scope: Scope) -> Step:
    service = Service(action.name)
    return lambda subject: service


def deny(action: Deny, scope: Scope) -> Step:
    answer = Answer(action.status, denied=True)
    return lambda subject: answer


def auth(action: Auth, scope: Scope) -> Step:
    realm = compile_format(action.realm, scope)

    def ask(subject: Subject) -> Verdict:
        value = realm(subject).replace(b'"', b"")
        return Answer(401, fields=b'www-authenticate: Basic realm="%b"\r\n' % value)

    return ask


def return_(action: Return, scope: Scope) -> Step:
    if action.page:
        page = Answer(action.status)
        return lambda subject: page
    status = b"HTTP/1.1 %d %b\r\n" % (action.status, REASONS.get(action.status, "").encode())
    headers = [(name.encode(), compile_format(value, scope)) for name, value in action.headers]
    body, kind = action.body, action.content_type
    write = compile_raw(body, scope) if isinstance(body, Format) else None
    bodily = action.status not in (204, 304)

    def answer(subject: Subject) -> Verdict:
        text = body if isinstance(body, bytes) else b""
        text = text if write is None else write(subject)
        start = status + b"".join([b"%b: %b\r\n" % (n, v(subject)) for n, v in headers])
        if bodily:
            start += b"content-length: %d\r\n" % len(text)
        if kind is not None:
            start += b"content-type: %b\r\n" % kind.encode()
        return Answer(action.status, start=start, body=text)

    return answer


def redirect(action: Redirect, scope: Scope) -> Step:
    code = action.code
    status = b"HTTP/1.1 %d %b\r\ncontent-length: 0\r\n" % (code, REASONS[code].encode())
    target = compile_format(action.target, scope)
    rest = b"cache-control: no-cache\r\n" if code in (302, 303, 307) else b""
    if action.set_cookie is not None:
        rest += b"set-cookie: %b; path=/;\r\n" % action.set_cookie.encode()
    if action.clear_cookie is not None:
        rest += b"set-cookie: %b; path=/; Max-Age=0;\r\n" % action.clear_cookie.encode()

    def answer(subject: Subject) -> Verdict:
        value = target(subject)
        if not value and action.ignore_empty:
            return None
        location = _location(action, value, subject)
        return Answer(code, start=b"%blocation: %b\r\n%b" % (status, location, rest))

    return answer


def _location(action: Redirect, value: bytes, subject: Subject) -> bytes:
    if action.kind == "location":
        return value
    request = subject.request
    assert request is not None
    path = request.path
    if action.kind == "scheme":
        value += b"://" + host_of(subject)
    if action.drop_query:
        path = path.partition(b"?")[0]
    if action.kind == "prefix" and value == b"/":
        value = b""
    location = value + path
    return location + b"/" if action.append_slash and not location.endswith(b"/") else location
