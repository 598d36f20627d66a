"""Other readers of HTTP/1, whose verdicts are set beside ours: h11, and httptools (llhttp)."""

from __future__ import annotations

from typing import Any

import h11
import httptools
from attrs import define, frozen


@frozen
class Message:
    """A complete request or response, as a reader has understood it."""

    line: tuple[bytes, ...]
    """Method and target, or the status."""
    body: bytes


class Refused(Exception):
    """The reader takes what it got for malformed."""


@define
class _Partial:
    """What has come of a message."""

    line: tuple[bytes, ...] = ()
    body: bytes = b""

    @property
    def whole(self) -> Message:
        return Message(self.line, self.body)


def with_host(requests: bytes) -> bytes:
    """With a Host, which h11 wants in every HTTP/1.1 request; HAProxy and vipproxy do not."""
    if b"host:" in requests.lower():
        return requests
    return requests.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\r\nHost: a\r\n")


def h11_requests(data: bytes) -> list[Message]:
    """The complete requests in a stream; raises Refused."""
    messages: list[Message] = []
    while data:
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(data)
        partial = _Partial()
        if not _read_h11(connection, partial):
            break
        messages.append(partial.whole)
        data = connection.trailing_data[0]
    return messages


def h11_responses(data: bytes, method: bytes = b"GET", ended: bool = False) -> list[Message]:
    """The responses to one request, 1xx included; `ended`: the connection has; raises Refused."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target=b"/", headers=[(b"Host", b"a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    if ended:
        connection.receive_data(b"")
    messages: list[Message] = []
    while True:
        partial = _Partial()
        if not _read_h11(connection, partial):
            return messages
        messages.append(partial.whole)
        if int(partial.line[0]) >= 200:
            return messages


def _read_h11(connection: h11.Connection, partial: _Partial) -> bool:
    """Read a message, as far as it has come; whether it is complete."""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            raise Refused(str(error)) from error
        if isinstance(event, h11.Request):
            partial.line = (event.method, event.target)
        elif isinstance(event, h11.InformationalResponse | h11.Response):
            partial.line = (b"%d" % event.status_code,)
            if isinstance(event, h11.InformationalResponse):
                return True
        elif isinstance(event, h11.Data):
            partial.body += event.data
        else:
            return isinstance(event, h11.EndOfMessage)


class _Listener:
    """What httptools calls: one message after the other."""

    def __init__(self) -> None:
        self.parser: Any = None
        self.messages: list[Message] = []
        self.partial = _Partial()
        self.target = b""

    def on_message_begin(self) -> None:
        self.partial, self.target = _Partial(), b""

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_headers_complete(self) -> None:
        if isinstance(self.parser, httptools.HttpRequestParser):
            self.partial.line = (self.parser.get_method(), self.target)
        else:
            self.partial.line = (b"%d" % self.parser.get_status_code(),)

    def on_body(self, body: bytes) -> None:
        self.partial.body += body

    def on_message_complete(self) -> None:
        self.messages.append(self.partial.whole)


def httptools_requests(data: bytes) -> list[Message]:
    """The complete requests in a stream; raises Refused."""
    return _read_httptools(httptools.HttpRequestParser, data)


def httptools_responses(data: bytes) -> list[Message]:
    """The responses in a stream, none of which answers a HEAD; raises Refused."""
    return _read_httptools(httptools.HttpResponseParser, data)


def _read_httptools(kind: Any, data: bytes) -> list[Message]:
    listener = _Listener()
    listener.parser = kind(listener)
    try:
        listener.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        return listener.messages  # what follows belongs to another protocol
    except httptools.HttpParserError as error:
        raise Refused(str(error)) from error
    return listener.messages
