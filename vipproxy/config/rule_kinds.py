"""Rules: an action and the condition under which it is taken, one a line, in the file's order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeGuard

from attrs import field, frozen

from vipproxy.config.action_words import (
    HTTP_REQUEST,
    HTTP_RESPONSE,
    PAGES,
    REDIRECT,
    TCP_REQUEST,
    Reader,
)
from vipproxy.config.actions import Action
from vipproxy.config.conditions import Condition, Test, parse_test, read_condition
from vipproxy.config.formats import Format, read_format
from vipproxy.config.kinds import BadValue, Kind, simple, suggest
from vipproxy.config.samples import Sample
from vipproxy.config.words import Words

_CONNECTION_FIELD = re.compile(rb"(?i)(?:connection|transfer-encoding):")
_FIELD = re.compile(rb"[!-9;-~]+:[\t -~]*")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-9][0-9]{2}( [\t -~]*)?")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")


@frozen
class Rule:
    """``set-header X-A b if is_api``"""

    text: str = field(eq=False)
    action: Action
    condition: Condition | None = None


@frozen
class UseBackend:
    """``api if is_api``; the name may be a format."""

    text: str = field(eq=False)
    backend: Format
    condition: Condition | None = None


class _RuleKind(Protocol):
    where: str
    """What conditions may ask: connection, content, request or response; empty: anything."""

    def parse(self, text: str) -> Any: ...


def _condition(words: Words, text: str) -> Condition | None:
    return read_condition(words, text) if words else None


@frozen
class _Rules:
    """The kind of one list of rules; errors name what the list has."""

    syntax: str
    readers: Mapping[str, Reader]
    where: str

    def parse(self, text: str) -> Rule:
        words = Words.of(text)
        reader = self.readers.get("")
        if reader is None:
            first = words.take("an action")
            if first.text not in self.readers:
                hint = suggest(first.text, self.readers)
                raise first.wrong(f"unknown action '{first.text}'", hint)
            reader = self.readers[first.text]
        action = reader(words)
        return Rule(text, action, _condition(words, text))

    def format(self, value: Any) -> str:
        return str(value.text)


@frozen
class _UseBackendKind:
    syntax: str = "BACKEND [if|unless CONDITION]"
    where: str = "request"

    def parse(self, text: str) -> UseBackend:
        words = Words.of(text)
        name = read_format(words.take("the name of a backend"))
        return UseBackend(text, name, _condition(words, text))

    def format(self, value: Any) -> str:
        return str(value.text)


@frozen
class _ConditionKind:
    syntax: str = "if|unless CONDITION"
    where: str = "request"

    def parse(self, text: str) -> Condition:
        return read_condition(Words.of(text), text)

    def format(self, value: Any) -> str:
        return str(value.text)


@frozen
class _AclKind:
    syntax: str = "CRITERION [-i] [-m MATCH] [-f FILE] VALUE ..."
    where: str = ""

    def parse(self, text: str) -> Test:
        return parse_test(text)

    def format(self, value: Any) -> str:
        return str(value.text)


@frozen
class Page:
    """An error page as it stands in a file: a whole response, or nothing at all."""

    source: str
    """Its path, or the URL to which it redirects."""
    head: bytes = field(repr=False)
    """Up to the body, without the empty line; nothing: the client gets no answer."""
    body: bytes = field(repr=False)


def _read_page(text: str) -> Page:
    """HAProxy's error files. After them the connection ends, so that they need no length."""
    path = Path(text)
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"'{text}' cannot be read: {reason}") from None
    if not data:
        return Page(text, b"", b"")
    end = _END_OF_HEAD.search(data)
    if end is None:
        raise ValueError(f"'{text}' is not a whole HTTP response")
    first, *fields = re.split(rb"\r?\n", data[: end.start()])
    if not _STATUS_LINE.fullmatch(first):
        raise ValueError(f"'{text}' does not begin as an HTTP response does")
    if not all(map(_FIELD.fullmatch, fields)):
        raise ValueError(f"'{text}' has a line in its head that is no field")
    body = data[end.end() :]
    kept = [line for line in fields if not _CONNECTION_FIELD.match(line)]
    kept += [b"connection: close"] if first.startswith(b"HTTP/1.1") else []
    _check_length(text, kept, body)
    return Page(text, b"".join(line + b"\r\n" for line in (first, *kept)), body)


def _check_length(text: str, fields: list[bytes], body: bytes) -> None:
    for line in fields:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and value.strip() != b"%d" % len(body):
            raise ValueError(f"Content-Length in '{text}' is wrong: its body has {len(body)} bytes")


ACL: Kind[Test] = _AclKind()
CONDITION: Kind[Condition] = _ConditionKind()
USE_BACKEND: Kind[UseBackend] = _UseBackendKind()
USE_TCP_BACKEND: Kind[UseBackend] = _UseBackendKind(where="content")
HTTP_REQUEST_RULE: Kind[Rule] = _Rules("ACTION [if|unless CONDITION]", HTTP_REQUEST, "request")
HTTP_RESPONSE_RULE: Kind[Rule] = _Rules("ACTION [if|unless CONDITION]", HTTP_RESPONSE, "response")
TCP_RULE: Kind[Rule] = _Rules("accept|reject [if|unless CONDITION]", TCP_REQUEST, "connection")
CONTENT_RULE: Kind[Rule] = _Rules("accept|reject [if|unless CONDITION]", TCP_REQUEST, "content")
REDIRECT_RULE: Kind[Rule] = _Rules(
    "location|prefix|scheme TARGET [if|unless CONDITION]", REDIRECT, "request"
)


def _read_location(text: str) -> Page:
    """HAProxy's `errorloc`."""
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError(f"'{text}' is no URL")
    head = "HTTP/1.1 302 Found\r\ncache-control: no-cache\r\ncontent-length: 0\r\n"
    return Page(text, f"{head}location: {text}\r\nconnection: close\r\n".encode(), b"")


LOCATION: Kind[Page] = simple("URL", _read_location, lambda page: str(page.source))
PAGE: Kind[Page] = simple("PATH", _read_page, lambda page: str(page.source))


def _read_status(text: str) -> str:
    if not text.isdigit() or int(text) not in PAGES:
        raise BadValue(f"there is no error page for '{text}'", 0, 0, suggest(text, map(str, PAGES)))
    return text


STATUS: Kind[str] = simple("STATUS", _read_status)


def _read_acl_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:-]+", text) or text in ("or", "if", "unless"):
        raise ValueError(f"'{text}' cannot be the name of an acl")
    return text


ACL_NAME: Kind[str] = simple("NAME", _read_acl_name)

Acls = tuple[tuple[str, Test], ...]
Rules = tuple[Rule, ...]
Pages = tuple[tuple[str, Page], ...]


def is_of_rules(kind: Any) -> TypeGuard[_RuleKind]:
    """Whether values of a kind are conditions, or have one."""
    return hasattr(kind, "where")


def samples_of(value: Any) -> Iterator[Sample]:
    """Every sample in a rule's action, to be checked; not those of its condition."""
    if isinstance(value, Format):
        yield from value.samples
    elif isinstance(value, tuple):
        for each in value:
            yield from samples_of(each)
    elif hasattr(type(value), "__attrs_attrs__") and not isinstance(value, Condition | Sample):
        for attribute in type(value).__attrs_attrs__:
            yield from samples_of(getattr(value, attribute.name))
