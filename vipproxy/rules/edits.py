"""Actions that change a message's head."""

from __future__ import annotations

import re
from collections.abc import Callable

from vipproxy.config.actions import (
    AddHeader,
    DelHeader,
    ReplaceHeader,
    ReplacePart,
    SetHeader,
    SetPart,
    SetStatus,
)
from vipproxy.errors import BadRequest
from vipproxy.framing.http1 import RequestHead, ResponseHead, is_host, is_target
from vipproxy.rules.conditions import Scope
from vipproxy.rules.formats import Writer, compile_format
from vipproxy.rules.subject import Subject

Edit = Callable[[Subject], None]
Head = RequestHead | ResponseHead

_GROUP = re.compile(rb"\\([0-9])")
_UNSAFE = re.compile(rb"[\0- #\x7f-\xff]")


def message(subject: Subject) -> Head:
    """What the rules of this moment change: the response, once it is there."""
    head = subject.response or subject.request
    assert head is not None
    return head


# -- fields


def set_header(action: SetHeader, scope: Scope) -> Edit:
    name, write = action.name.encode(), compile_format(action.value, scope)
    if name.lower() == b"host":
        return _set_host(name, write)
    field = _field(re.escape(name))

    def edit(subject: Subject) -> None:
        value, head = write(subject), message(subject)
        head.lines = b"%b%b: %b\r\n" % (field.sub(b"", head.lines), name, value)

    return edit


def _set_host(name: bytes, write: Writer) -> Edit:
    """A request has one Host, which must be one; else the client gets a 400."""
    field = _field(b"host")

    def edit(subject: Subject) -> None:
        value, head = write(subject), message(subject)
        if not is_host(value):
            raise BadRequest("a rule would set a Host that is none")
        head.lines = b"%b%b: %b\r\n" % (field.sub(b"", head.lines), name, value)

    return edit


def add_header(action: AddHeader, scope: Scope) -> Edit:
    name, write = action.name.encode(), compile_format(action.value, scope)

    def edit(subject: Subject) -> None:
        value, head = write(subject), message(subject)
        head.lines += b"%b: %b\r\n" % (name, value)

    return edit


def del_header(action: DelHeader, scope: Scope) -> Edit:
    """Fields that frame the message, or say whom it is for, stay whatever the pattern."""
    name = action.name.encode("utf-8", "surrogateescape")
    field = _field(
        {
            "str": re.escape(name),
            "beg": re.escape(name) + rb"[^:\r]*+",
            "end": rb"[^:\r]*" + re.escape(name),
            "sub": rb"[^:\r]*" + re.escape(name) + rb"[^:\r]*",
            "reg": rb"(?=[^:\r]*?(?:%b))[^:\r]*+" % name,
        }[action.match]
    )

    def edit(subject: Subject) -> None:
        head = message(subject)
        head.lines = field.sub(b"", head.lines)

    return edit


def _field(name: bytes) -> re.Pattern[bytes]:
    """From the CR before a field of this name to its last character."""
    kept = rb"(?!(?:host|content-length|transfer-encoding|connection|upgrade):)"
    if name.lower() == b"host":
        kept = b""
    return re.compile(rb"(?i)(?<=\n)%b(?:%b):[^\r]*+\r\n" % (kept, name))


def replace_header(action: ReplaceHeader, scope: Scope) -> Edit:
    pattern = re.compile(action.pattern.encode("utf-8", "surrogateescape"))
    write = compile_format(action.replacement, scope)
    field = re.compile(rb"(?i)(?<=\n)(%b):[ \t]*+([^\r]*)" % re.escape(action.name.encode()))
    each = action.each_value

    def edit(subject: Subject) -> None:
        template, head = write(subject), message(subject)

        def replaced(value: bytes) -> bytes:
            return _substituted(pattern, template, value)

        def changed(match: re.Match[bytes]) -> bytes:
            value = match[2].rstrip(b" \t")
            members = value.split(b",") if each else [value]
            return b"%b: %b" % (match[1], b",".join(map(replaced, members)))

        head.lines = field.sub(changed, head.lines)

    return edit


def _substituted(pattern: re.Pattern[bytes], template: bytes, value: bytes) -> bytes:
    r"""What replaces a value that matches: all of it; ``\1`` is a group, as in HAProxy."""
    match = pattern.search(value)
    return value if match is None else _expanded(match, template)


def _expanded(match: re.Match[bytes], template: bytes) -> bytes:
    def group(reference: re.Match[bytes]) -> bytes:
        number = int(reference[1])
        return match[number] or b"" if number <= match.re.groups else b""

    return _GROUP.sub(group, template)


# -- start lines


def set_part(action: SetPart, scope: Scope) -> Edit:
    write = compile_format(action.value, scope)
    change = {"method": _set_method, "path": _set_path, "query": _set_query, "uri": _set_target}
    put = change[action.part]
    return lambda subject: put(_request(subject), write(subject))


def replace_part(action: ReplacePart, scope: Scope) -> Edit:
    pattern = re.compile(action.pattern.encode("utf-8", "surrogateescape"))
    write = compile_format(action.replacement, scope)

    def edit(subject: Subject) -> None:
        request = _request(subject)
        old = request.path.partition(b"?")[0] if action.part == "path" else request.target
        new = _substituted(pattern, write(subject), old)
        if new != old:
            (_set_path if action.part == "path" else _set_target)(request, new)

    return edit


def _request(subject: Subject) -> RequestHead:
    assert subject.request is not None
    return subject.request


def _set_method(head: RequestHead, value: bytes) -> None:
    head.method = value
    _write_start(head)


def _set_path(head: RequestHead, value: bytes) -> None:
    """The query stays; a scheme and host go, as they did when the target was understood."""
    query = head.target.partition(b"?")[2]
    _set_target(head, value + b"?" + query if query else value)


def _set_query(head: RequestHead, value: bytes) -> None:
    start = head.target.partition(b"?")[0]
    _set_target(head, start + b"?" + value if value else start)


def _set_target(head: RequestHead, value: bytes) -> None:
    value = _UNSAFE.sub(lambda match: b"%%%02X" % ord(match[0]), value)
    if not is_target(value, head.method):
        value = b"/" + value
    head.target = value
    _write_start(head)


def _write_start(head: RequestHead) -> None:
    start = b"%b %b HTTP/1.%d" % (head.method, head.target, head.minor)
    head.lines = start + head.lines[head.lines.index(b"\r\n") :]


def set_status(action: SetStatus, scope: Scope) -> Edit:
    status = action.status
    reason = (action.reason or REASONS.get(status, "")).encode()

    def edit(subject: Subject) -> None:
        head = subject.response
        assert head is not None
        head.status = status
        start = b"HTTP/1.%d %d %b" % (head.minor, status, reason)
        head.lines = start + head.lines[head.lines.index(b"\r\n") :]

    return edit


REASONS = {
    200: "OK", 201: "Created", 202: "Accepted", 203: "Non-Authoritative Information",
    204: "No Content", 205: "Reset Content", 206: "Partial Content", 300: "Multiple Choices",
    301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified",
    307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized",
    403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 410: "Gone",
    418: "I'm a teapot", 422: "Unprocessable Content", 429: "Too Many Requests",
    500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip
"""Reason phrases, as HAProxy writes them."""
