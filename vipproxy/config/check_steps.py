"""The steps of checks that talk: ``tcp-check = send PING``, ``http-check = expect status 200``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen

from vipproxy.config.http_kinds import TOKEN
from vipproxy.config.kinds import BadValue, Kind, suggest
from vipproxy.config.words import Word, Words, split_words

_FIELD_VALUE = re.compile(r"[\t -~]*")
_STATUSES = re.compile(r"[1-9][0-9]{2}(-[1-9][0-9]{2})?(,[1-9][0-9]{2}(-[1-9][0-9]{2})?)*")


@frozen
class Connect:
    """A new connection; `port` is None for the port that is checked anyway."""

    port: int | None = None


@frozen
class Send:
    data: bytes


@frozen
class Expect:
    """`kind` is string or rstring; over HTTP status or rstatus, too. A pattern with an r is a
    regular expression."""

    kind: str
    pattern: bytes
    negated: bool = False
    min_recv: int | None = None


@frozen
class Request:
    """What an http check sends; None is what ``check = http`` says."""

    method: str | None = None
    uri: str | None = None
    version: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@frozen
class Step:
    """One line: its text, and what it means."""

    text: str = field(eq=False)
    action: Any
    comment: str = ""
    """For whoever reads why a check failed."""


Steps = tuple[Step, ...]


def _bytes(word: Word) -> bytes:
    if not word.text:
        raise word.wrong("an empty text")
    return word.text.encode("utf-8", "surrogateescape")


def _hex(word: Word) -> bytes:
    try:
        return bytes.fromhex(word.text)
    except ValueError:
        raise word.wrong(f"'{word.text}' is not hexadecimal", "such as 50494e47") from None


def _connect(words: Words) -> Connect:
    port = None
    if words.peek("port"):
        words.take("")
        word = words.take("the port")
        if not re.fullmatch("[0-9]{1,5}", word.text) or not 0 < int(word.text) < 65536:
            raise word.wrong(f"'{word.text}' is no port")
        port = int(word.text)
    return Connect(port)


def _send(words: Words) -> Send:
    return Send(_bytes(words.take("the text")))


def _send_binary(words: Words) -> Send:
    return Send(_hex(words.take("the bytes")))


def _expect(words: Words, kinds: Mapping[str, Callable[[Word], tuple[str, bytes]]]) -> Expect:
    min_recv, negated = None, False
    if words.peek("min-recv"):
        words.take("")
        word = words.take("the number of bytes")
        if not re.fullmatch("[0-9]{1,5}", word.text):
            raise word.wrong(f"'{word.text}' is no number")
        min_recv = int(word.text)
    while words.peek("!"):
        words.take("")
        negated = not negated
    word = words.take("what is expected")
    if word.text not in kinds:
        raise word.wrong(f"'{word.text}' cannot be expected", suggest(word.text, kinds))
    kind, pattern = kinds[word.text](words.take("the pattern"))
    return Expect(kind, pattern, negated, min_recv)


def _expression(kind: str) -> Callable[[Word], tuple[str, bytes]]:
    def read(word: Word) -> tuple[str, bytes]:
        pattern = _bytes(word)
        try:
            re.compile(pattern)
        except re.error as error:
            raise word.wrong(f"'{word.text}' is no regular expression: {error}") from None
        return kind, pattern

    return read


def _status(word: Word) -> tuple[str, bytes]:
    if not _STATUSES.fullmatch(word.text):
        raise word.wrong(f"'{word.text}' are no status codes", "such as 200,300-310")
    return "status", word.text.encode()


_TCP_EXPECTS: Mapping[str, Callable[[Word], tuple[str, bytes]]] = {
    "string": lambda word: ("string", _bytes(word)),
    "rstring": _expression("rstring"),
    "binary": lambda word: ("string", _hex(word)),
}
_HTTP_EXPECTS: Mapping[str, Callable[[Word], tuple[str, bytes]]] = {
    "status": _status,
    "rstatus": _expression("rstatus"),
    "string": lambda word: ("string", _bytes(word)),
    "rstring": _expression("rstring"),
}


def _request(words: Words) -> Request:
    parts: dict[str, Any] = {}
    headers: list[tuple[str, str]] = []
    while words.peek("meth", "uri", "ver", "hdr", "body"):
        keyword = words.take("").text
        if keyword == "meth":
            parts["method"] = _matched(words.take("the method"), r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
        elif keyword == "uri":
            parts["uri"] = _matched(words.take("the URI"), r"[/*][!-~]*")
        elif keyword == "ver":
            parts["version"] = _matched(words.take("the version"), r"HTTP/1\.[01]")
        elif keyword == "body":
            parts["body"] = _bytes(words.take("the body"))
        else:
            name = words.take("the name of a header")
            headers.append((_name(name), _value(words.take("the header's value"))))
    return Request(headers=tuple(headers), **parts)


def _matched(word: Word, pattern: str) -> str:
    if not re.fullmatch(pattern, word.text):
        raise word.wrong(f"'{word.text}' cannot be sent here")
    return word.text


def _name(word: Word) -> str:
    try:
        name = TOKEN.parse(word.text)
    except BadValue as error:
        raise error.moved(word.offset, word.length) from None
    if name.lower() in ("connection", "content-length", "transfer-encoding"):
        raise word.wrong(f"the header '{name}' is the check's own")
    return name


def _value(word: Word) -> str:
    if not _FIELD_VALUE.fullmatch(word.text):
        raise word.wrong("this cannot be in a header")
    return word.text


def _without_comment(words: list[Word], end: int) -> tuple[Words, str]:
    """The words but for ``comment TEXT``, which may stand before or after what it is about."""
    for number, word in enumerate(words):
        if number and word.plain and word.text == "comment":
            if number + 1 == len(words):
                raise word.wrong("the comment is missing")
            return Words(words[:number] + words[number + 2 :], end), words[number + 1].text
    return Words(words, end), ""


@frozen
class _StepKind:
    syntax: str
    readers: Mapping[str, Callable[[Words], Any]]

    def parse(self, text: str) -> Step:
        words, comment = _without_comment(split_words(text), len(text))
        first = words.take("a step")
        if first.text not in self.readers:
            raise first.wrong(f"unknown step '{first.text}'", suggest(first.text, self.readers))
        action = self.readers[first.text](words)
        words.finish()
        return Step(text, action, comment)

    def format(self, value: Any) -> str:
        return str(value.text)


TCP_STEP: Kind[Step] = _StepKind(
    "connect|send|send-binary|expect ...",
    {
        "connect": _connect,
        "send": _send,
        "send-binary": _send_binary,
        "expect": lambda words: _expect(words, _TCP_EXPECTS),
    },
)
HTTP_STEP: Kind[Step] = _StepKind(
    "send|expect ...",
    {"send": _request, "expect": lambda words: _expect(words, _HTTP_EXPECTS)},
)
