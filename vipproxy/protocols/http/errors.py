"""What the proxy itself says to HTTP clients: HAProxy 2.6's answers, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping

from vipproxy.config.rule_kinds import Page
from vipproxy.errors import (
    BadRequest,
    BadResponse,
    ClientTimeout,
    InternalError,
    MalformedResponse,
    ResponseDenied,
    ServerTimeout,
    SessionError,
)
from vipproxy.rules.answers import Answer

_STATUSES: dict[type[SessionError], int] = {
    BadRequest: 400,
    ClientTimeout: 408,
    InternalError: 500,
    BadResponse: 502,
    MalformedResponse: 502,
    ServerTimeout: 504,
}

Pages = Mapping[str, Page]
"""What replaces our own pages, by status."""

_PAGES = {
    200: ("OK", "Service ready."),
    400: ("Bad request", "Your browser sent an invalid request."),
    401: ("Unauthorized", "You need a valid user and password to access this content."),
    403: ("Forbidden", "Request forbidden by administrative rules."),
    404: ("Not Found", "The resource could not be found."),
    405: (
        "Method Not Allowed",
        "A request was made of a resource using a request method not supported by that resource",
    ),
    407: ("Unauthorized", "You need a valid user and password to access this content."),
    408: ("Request Time-out", "Your browser didn't send a complete request in time."),
    410: ("Gone", "The resource is no longer available and will not be available again."),
    413: ("Payload Too Large", "The request entity exceeds the maximum allowed."),
    421: ("Misdirected Request", "Request sent to a non-authoritative server."),
    422: ("Unprocessable Content", "The server cannot process the contained instructions."),
    425: ("Too Early", "Your browser sent early data."),
    429: (
        "Too Many Requests",
        "You have sent too many requests in a given amount of time.",
    ),
    500: ("Internal Server Error", "An internal server error occurred."),
    501: (
        "Not Implemented",
        ".The server does not support the functionality required to fulfill the request.",
    ),
    502: ("Bad Gateway", "The server returned an invalid or incomplete response."),
    503: ("Service Unavailable", "No server is available to handle this request."),
    504: ("Gateway Time-out", "The server didn't respond in time."),
}


def status_of(error: SessionError) -> int:
    """What a client is told about an error that left it without an answer."""
    if isinstance(error, ResponseDenied):
        return error.status
    return _STATUSES.get(type(error), 503)


def connection_field(keep: bool, client_minor: int, response_minor: int) -> bytes:
    """The Connection line of a response, where one is needed: as HAProxy writes it."""
    if not keep:
        return b"connection: close\r\n" if response_minor else b""
    return b"" if client_minor and response_minor else b"connection: keep-alive\r\n"


def _body(status: int) -> tuple[bytes, bytes]:
    reason, text = _PAGES[status]
    page = f"<html><body><h1>{status} {reason}</h1>\n{text}\n</body></html>\n"
    return reason.encode(), page.encode()


def page_of(said: Answer, method: bytes, pages: Pages) -> bytes | None:
    """The page that replaces ours; after it the connection ends. None where there is none."""
    page = pages.get(str(said.status)) if pages and not said.start else None
    if page is None or not page.head:
        return None if page is None else b""
    return page.head + said.fields + b"\r\n" + (b"" if method == b"HEAD" else page.body)


def final_answer(status: int) -> bytes:
    """400 or 408: the request was not understood, and the connection ends."""
    reason, body = _body(status)
    return (
        b"HTTP/1.1 %d %b\r\nContent-length: %d\r\nCache-Control: no-cache\r\n"
        b"Connection: close\r\nContent-Type: text/html\r\n\r\n%b"
    ) % (status, reason, len(body), body)


def answer(status: int, method: bytes, connection: bytes, fields: bytes = b"") -> bytes:
    """The answer to a request that was understood; `connection` comes from `connection_field`."""
    reason, body = _body(status)
    return (
        b"HTTP/1.1 %d %b\r\ncontent-length: %d\r\ncache-control: no-cache\r\n"
        b"content-type: text/html\r\n%b\r\n%b"
    ) % (status, reason, len(body), fields + connection, b"" if method == b"HEAD" else body)


def written(said: Answer, method: bytes, connection: bytes) -> bytes:
    """What a rule says to the client."""
    if not said.start:
        return answer(said.status, method, connection, said.fields)
    return said.start + connection + b"\r\n" + (b"" if method == b"HEAD" else said.body)
