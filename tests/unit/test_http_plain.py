"""Plain heads: what the compiled module reads is read as the reference, `http1`, reads it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.http_corpus import (
    ACCEPTED_REQUESTS,
    ACCEPTED_RESPONSES,
    BROKEN_RESPONSES,
    HOSTILE_REQUESTS,
    HOSTILE_RESPONSES,
)
from tests.unit.test_http1 import almost_http, request, request_heads, response_heads
from vipproxy import native
from vipproxy.framing.http1 import (
    FIELD_COST,
    HEAD_LIMIT,
    MalformedMessage,
    RequestHead,
    ResponseHead,
    parse_request,
    parse_response,
)
from vipproxy.framing.http_plain import plain_request, plain_response

LOGINS = [
    b"Authorization", b"WWW-Authenticate", b"Proxy-Authorization", b"proxy-authenticate",
    b"Authenticate", b"www-authorization", b"www-authorizatiom", b"Authorizations",
]  # fmt: skip

odd_lines = st.sampled_from(
    [b"Connection: close\r\n", b"connection: Keep-Alive\r\n", b"Connection:close\r\n",
     b"Content-Length: 3\r\n", b"content-length: 03\r\n", b"Content-Length: 999999999999999999\r\n",
     b"Content-Length: 1000000000000000000\r\n", b"Content-Length: \r\n", b"Content-Length: 0\r\n",
     b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: Chunked\r\n", b"Host: a\r\n",
     b"Host:a\r\n", b"Host: a,b\r\n", b"Host: \r\n", b"TE: trailers\r\n", b"Upgrade: x\r\n",
     b"Keep-Alive: 1\r\n", b"Proxy-Connection: close\r\n", b"X: \x80\xff\t\r\n", b"X:\r\n"]
) | st.builds(
    lambda name, value: b"%b: %b\r\n" % (name, value),
    st.sampled_from(LOGINS), st.sampled_from([b"Bearer x", b"NTLM x", b"x nEgotiate", b"ntl"]),
)  # fmt: skip
odd_fields = st.lists(odd_lines, max_size=5).map(b"".join)
odd_requests = odd_fields.map(lambda fields: b"GET / HTTP/1.1\r\n%b\r\n" % fields)
odd_responses = st.builds(
    lambda line, fields: line + fields + b"\r\n",
    st.sampled_from(
        [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 204 \r\n", b"HTTP/1.1 200\r\n", b"HTTP/1.1 101 x\r\n",
         b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 099 x\r\n", b"HTTP/1.1 2000 x\r\n"]
    ),
    odd_fields,
)  # fmt: skip


def beginnings(data: bytes) -> list[bytes]:
    return [data, *(data[:size] for size in range(min(len(data), 400)))]


class PlainTests(SynchronousTestCase):
    skip = None if native.available else native.why_not

    def check_request(self, data: bytes) -> bool:
        """Whether it is plain; then it must be what the reference makes of it."""
        plain = plain_request(data, RequestHead)
        if plain is not None:
            head, size = plain
            self.assertTrue(data[:size].endswith(b"\r\n\r\n"))
            self.assertEqual(head, parse_request(data[:size]))
        return plain is not None

    def check_response(self, data: bytes) -> bool:
        plain = plain_response(data, ResponseHead)
        if plain is not None:
            head, size = plain
            self.assertTrue(data[:size].endswith(b"\r\n\r\n"))
            self.assertEqual(head, parse_response(data[:size]))
        return plain is not None

    def test_corpus(self) -> None:
        """No hostile message is read otherwise than by the reference, nor is any beginning."""
        accepted = [sent for sent, _ in ACCEPTED_REQUESTS.values()]
        for data in (*HOSTILE_REQUESTS.values(), *accepted):
            for beginning in beginnings(data):
                self.check_request(beginning)
        accepted = [each.sent for each in ACCEPTED_RESPONSES.values()]
        for data in (*HOSTILE_RESPONSES.values(), *BROKEN_RESPONSES.values(), *accepted):
            for beginning in beginnings(data):
                self.check_response(beginning)

    @settings(deadline=None, max_examples=400)
    @given(data=request_heads | odd_requests | almost_http)
    def test_any_request(self, data: bytes) -> None:
        self.check_request(data)

    @settings(deadline=None, max_examples=400)
    @given(data=response_heads | odd_responses | almost_http)
    def test_any_response(self, data: bytes) -> None:
        self.check_response(data)

    def test_usual_requests(self) -> None:
        """What clients send every day is plain, with whatever follows it."""
        for lines in (
            (b"GET /a?b HTTP/1.1", b"Host: a:80", b"Accept: */*"),
            (b"GET / HTTP/1.1", b"Host: a", b"Connection: keep-alive", b"Cookie: a=b"),
            (b"GET / HTTP/1.1", b"Connection: Close", b"HOST: a"),
            (b"POST / HTTP/1.1", b"Host: a", b"Content-Length: 17"),
            (b"GET / HTTP/1.1", b"Host: a", b"Authorization: Bearer abc"),
        ):
            self.assertTrue(self.check_request(request(*lines) + b"what follows"), lines)

    def test_usual_responses(self) -> None:
        """The same for servers."""
        for lines in (
            (b"HTTP/1.1 200 OK", b"Content-Length: 17"),
            (b"HTTP/1.1 404 Not Found", b"Transfer-Encoding: chunked", b"Connection: keep-alive"),
            (b"HTTP/1.1 304 Not Modified", b"ETag: x", b"Connection: close"),
            (b"HTTP/1.1 200 ", b"Content-Length: 0"),
        ):
            self.assertTrue(self.check_response(request(*lines) + b"what follows"), lines)

    def test_limit(self) -> None:
        """Heads of all that is allowed are plain; longer ones are not, and are refused."""
        start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
        fits = start + b"a" * (HEAD_LIMIT - len(start) - 4 - 2 * FIELD_COST) + b"\r\n\r\n"
        for head in fits, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 99 + b"\r\n":
            self.assertTrue(self.check_request(head))
            for longer in head.replace(b"X: ", b"X: " + b"a" * 15000), head[:-2] + b"Y: z\r\n\r\n":
                self.assertFalse(self.check_request(longer))
                self.assertRaises(MalformedMessage, parse_request, longer)
        longer = fits.replace(b"X: ", b"X: a")
        self.assertFalse(self.check_request(longer))
        self.assertRaises(MalformedMessage, parse_request, longer)

    def test_bytes_alone(self) -> None:
        """Nothing but bytes is taken."""
        for data in (bytearray(b"GET"), "GET", None):
            self.assertRaises(TypeError, plain_request, data, RequestHead)
            self.assertRaises(TypeError, plain_response, data, ResponseHead)
