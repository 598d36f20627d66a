"""What the proxy itself says to HTTP clients: HAProxy 2.6's answers, byte for byte."""

from __future__ import annotations

from vipproxy.errors import (
    BadRequest,
    BadResponse,
    ClientTimeout,
    InternalError,
    MalformedResponse,
    ServerTimeout,
    SessionError,
)

_STATUSES: dict[type[SessionError], int] = {
    BadRequest: 400,
    ClientTimeout: 408,
    InternalError: 500,
    BadResponse: 502,
    MalformedResponse: 502,
    ServerTimeout: 504,
}

_PAGES = {
    200: ("OK", "Service ready."),
    400: ("Bad request", "Your browser sent an invalid request."),
    408: ("Request Time-out", "Your browser didn't send a complete request in time."),
    500: ("Internal Server Error", "An internal server error occurred."),
    502: ("Bad Gateway", "The server returned an invalid or incomplete response."),
    503: ("Service Unavailable", "No server is available to handle this request."),
    504: ("Gateway Time-out", "The server didn't respond in time."),
}


def status_of(error: SessionError) -> int:
    """What a client is told about an error that left it without an answer."""
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


def final_answer(status: int) -> bytes:
    """400 or 408: the request was not understood, and the connection ends."""
    reason, body = _body(status)
    return (
        b"HTTP/1.1 %d %b\r\nContent-length: %d\r\nCache-Control: no-cache\r\n"
        b"Connection: close\r\nContent-Type: text/html\r\n\r\n%b"
    ) % (status, reason, len(body), body)


def answer(status: int, method: bytes, connection: bytes) -> bytes:
    """The answer to a request that was understood; `connection` comes from `connection_field`."""
    reason, body = _body(status)
    return (
        b"HTTP/1.1 %d %b\r\ncontent-length: %d\r\ncache-control: no-cache\r\n"
        b"content-type: text/html\r\n%b\r\n%b"
    ) % (status, reason, len(body), connection, b"" if method == b"HEAD" else body)
