"""HTTP/1 heads: what is understood, what is refused, and what is passed on."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.http_corpus import HOSTILE_REQUESTS, HOSTILE_RESPONSES
from vipproxy.framing.http1 import (
    HEAD_LIMIT,
    REQUEST_START,
    RESPONSE_START,
    Inbox,
    MalformedMessage,
    parse_request,
    parse_response,
)
from vipproxy.protocols.http_requests import RequestReader

almost_http = st.lists(
    st.sampled_from(
        [b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n", b"Host: a\r\n", b"Content-Length: 3\r\n",
         b"Transfer-Encoding: chunked\r\n", b"Connection: close, x\r\n", b"X: y\r\n", b"\r\n",
         b"\n", b"\r", b" ", b":", b"3\r\nabc\r\n", b"0\r\n", b"\0", b"\xff", b"Upgrade: h2c\r\n"]
    )
    | st.binary(max_size=4),
    max_size=12,
).map(b"".join)  # fmt: skip


def request(*lines: bytes) -> bytes:
    return b"".join(line + b"\r\n" for line in (*lines, b""))


class RequestTests(SynchronousTestCase):
    def test_spelling_and_order(self) -> None:
        """Names, values and order of the fields are passed on as they came."""
        head = request(b"GET /a?b HTTP/1.1", b"hOST: a", b"X-y:  z ", b"Accept:*/*")
        self.assertEqual(parse_request(head).render(), head)

    def test_interpreted_fields_are_canonical(self) -> None:
        """A field that was interpreted is written anew, with its name's spelling."""
        head = parse_request(request(b"POST / HTTP/1.1", b"CONTENT-length: \t 3 \t"))
        self.assertEqual(head.fields, b"CONTENT-length: 3\r\n")
        self.assertEqual(head.length, 3)

    def test_hop_by_hop(self) -> None:
        """Hop-by-hop fields, and those that Connection names, are not passed on."""
        head = parse_request(
            request(
                b"GET / HTTP/1.1", b"Host: a", b"Connection: keep-alive, X-Foo", b"Keep-Alive: 3",
                b"TE: trailers", b"Proxy-Connection: close", b"X-Foo: 1", b"X-Bar: 2",
            )
        )  # fmt: skip
        self.assertEqual(head.fields, b"Host: a\r\nX-Bar: 2\r\n")

    def test_connection_cannot_remove_framing(self) -> None:
        """Connection cannot name Host or Content-Length away."""
        lines = b"Host: a", b"Content-Length: 3", b"Connection: host, content-length"
        head = parse_request(request(b"POST / HTTP/1.1", *lines))
        self.assertEqual(head.fields, b"Host: a\r\nContent-Length: 3\r\n")

    def test_chunked_overrides_length(self) -> None:
        """With both framings Content-Length is dropped, and the connection ends: HAProxy's way."""
        lines = b"Content-Length: 3", b"Transfer-Encoding: chunked"
        head = parse_request(request(b"POST / HTTP/1.1", *lines))
        self.assertEqual(head.fields, b"Transfer-Encoding: chunked\r\n")
        self.assertTrue(head.chunked)
        self.assertFalse(head.keep_alive)

    def test_keep_alive(self) -> None:
        """HTTP/1.1 keeps the connection unless told otherwise, HTTP/1.0 only if asked."""
        cases = {
            (b"1.1", b"X: y"): True,
            (b"1.1", b"Connection: Close"): False,
            (b"1.0", b"X: y"): False,
            (b"1.0", b"Connection: Keep-Alive"): True,
            (b"1.0", b"Connection: keep-alive, close"): False,
        }
        for (version, line), keep in cases.items():
            head = parse_request(request(b"GET / HTTP/" + version, line))
            self.assertEqual(head.keep_alive, keep, line)

    def test_upgrade(self) -> None:
        """An upgrade must be confirmed by Connection, have no body, and not be to HTTP/2."""
        cases = {
            (b"Connection: Upgrade", b"Upgrade: websocket"): b"websocket",
            (b"Connection: x", b"Upgrade: websocket"): b"",
            (b"Connection: Upgrade", b"Upgrade: h2c"): b"",
            (b"Connection: Upgrade", b"Upgrade: foo", b"Content-Length: 1"): b"",
        }
        for lines, upgrade in cases.items():
            self.assertEqual(parse_request(request(b"GET / HTTP/1.1", *lines)).upgrade, upgrade)

    def test_targets(self) -> None:
        """Origin form, absolute form of the same host, and * with OPTIONS are accepted."""
        for line, path in {
            b"GET /a?b HTTP/1.1": b"/a?b",
            b"GET http://A:80/x HTTP/1.1": b"/x",
            b"GET https://a?q HTTP/1.1": b"?q",
            b"GET http://a HTTP/1.1": b"/",
            b"OPTIONS * HTTP/1.1": b"*",
        }.items():
            self.assertEqual(parse_request(request(line, b"Host: a")).path, path)


class ResponseTests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        """A response is passed on with its version, reason and fields."""
        head = b"HTTP/1.0 404 No such thing\r\nServer: x\r\n\r\n"
        self.assertEqual(parse_response(head).render(), head)

    def test_without_reason(self) -> None:
        """A missing reason is an empty one."""
        self.assertEqual(parse_response(b"HTTP/1.1 200\r\n\r\n").render(), b"HTTP/1.1 200 \r\n\r\n")

    def test_hostile(self) -> None:
        """Every hostile response head is refused by the parser."""
        for name in ("status 000", "two Content-Lengths", "TE gzip", "folded line"):
            head = HOSTILE_RESPONSES[name].partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            self.assertRaises(MalformedMessage, parse_response, head)


class InboxTests(SynchronousTestCase):
    def test_head_limit(self) -> None:
        """A head of 16 KiB is taken, one more byte is too much."""
        head = b"GET / HTTP/1.1\r\nX: "
        fits = head + b"a" * (HEAD_LIMIT - len(head) - 4) + b"\r\n\r\n"
        self.assertEqual(Inbox(REQUEST_START, fits).take_head(), fits)
        self.assertRaises(MalformedMessage, Inbox(REQUEST_START, b"X" + fits).take_head)

    def test_bytes_after_a_head(self) -> None:
        """What follows a head stays for later."""
        inbox = Inbox(REQUEST_START, b"GET / HTTP/1.1\r\n\r\nGET")
        self.assertEqual(inbox.take_head(), b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual(inbox.take(), b"GET")

    def test_beginning_of_a_response(self) -> None:
        """Any beginning of a response is waited on, anything else is refused at once."""
        for size in range(len(b"HTTP/1.1 ")):
            self.assertIsNone(Inbox(RESPONSE_START, b"HTTP/1.1 "[:size]).take_head())
        self.assertRaises(MalformedMessage, Inbox(RESPONSE_START, b"HTTQ").take_head)


def read_all(pieces: list[bytes]) -> list[object]:
    """Every request in a stream, as the pieces come; ends with the error, if there is one."""
    requests, seen = RequestReader(), list[object]()
    try:
        for piece in pieces:
            requests.add(piece)
            requests.read_body()
            while requests.head is None or requests.done:
                head = requests.read_head()
                if head is None:
                    requests.next()
                    break
                seen.append(head.render())
                requests.read_body()
    except MalformedMessage:
        seen.append("malformed")
    return seen


class AnyBytesTests(SynchronousTestCase):
    @settings(max_examples=400, deadline=None)
    @given(almost_http)
    def test_requests(self, data: bytes) -> None:
        """Any bytes are requests or malformed, and the verdict does not depend on the pieces."""
        whole = read_all([data])
        single = read_all([data[at : at + 1] for at in range(len(data))])
        self.assertEqual(whole, single)

    @settings(max_examples=400, deadline=None)
    @given(almost_http)
    def test_responses(self, data: bytes) -> None:
        """Any bytes are a response head, the beginning of one, or malformed."""
        with contextlib.suppress(MalformedMessage):
            raw = Inbox(RESPONSE_START, data).take_head()
            if raw is not None:
                parse_response(raw)

    def test_corpus_has_grown(self) -> None:
        """At least 25 hostile requests and 10 hostile responses are tried."""
        self.assertGreaterEqual(len(HOSTILE_REQUESTS), 25)
        self.assertGreaterEqual(len(HOSTILE_RESPONSES), 10)
