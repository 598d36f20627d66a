"""HTTP/1 heads: what is understood, what is refused, and what is passed on."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.http_corpus import HOSTILE_RESPONSES, KEY
from vipproxy.framing.http1 import (
    HEAD_LIMIT,
    MalformedMessage,
    parse_request,
    parse_response,
)
from vipproxy.framing.http_body import response_body
from vipproxy.framing.http_inbox import REQUEST_START, RESPONSE_START, Inbox
from vipproxy.protocols.http.requests import RequestReader

almost_http = st.lists(
    st.sampled_from(
        [b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n", b"Host: a\r\n", b"Content-Length: 3\r\n",
         b"Transfer-Encoding: chunked\r\n", b"Connection: close, x\r\n", b"X: y\r\n", b"\r\n",
         b"\n", b"\r", b" ", b":", b"3\r\nabc\r\n", b"0\r\n", b"\0", b"\xff", b"Upgrade: h2c\r\n",
         b"Connection: upgrade\r\nUpgrade: websocket\r\n", KEY]
    )
    | st.binary(max_size=4),
    max_size=12,
).map(b"".join)  # fmt: skip

piece_sizes = st.lists(st.integers(0, 30), max_size=20)

blanks = st.text(" \t", max_size=3).map(str.encode)
values = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_categories=["Cc"]), max_size=8
).map(lambda text: text.encode("latin-1"))
tokens = st.text("aZ9!#$%&'*+-.^_`|~", min_size=1, max_size=6).map(
    lambda text: b"x" + text.encode()
)
plain_fields = st.tuples(tokens, values)
framings = st.sampled_from(
    [(), ((b"Content-Length", b"7"),), ((b"transfer-encoding", b"Chunked"),),
     ((b"content-LENGTH", b"0"), (b"Transfer-Encoding", b"chunked"))]
)  # fmt: skip
hops = st.sampled_from(
    [(), ((b"Connection", b"close"),), ((b"connection", b"keep-alive"),),
     ((b"Connection", b"Upgrade, x9"), (b"Upgrade", b"echo")), ((b"TE", b"trailers"),)]
)  # fmt: skip


@st.composite
def fields(draw: st.DrawFn) -> bytes:
    """The lines of a head that is well-formed, in any order."""
    chosen = [*draw(st.lists(plain_fields, max_size=5)), *draw(framings), *draw(hops)]
    return b"".join(
        b"%b:%b%b%b\r\n" % (name, draw(blanks), value, draw(blanks))
        for name, value in draw(st.permutations(chosen))
    )


hosts = st.sampled_from([b"", b"Host: a\r\n", b"hOST:a:80 \r\n", b"Host: [::1]:80\r\n"])
request_heads = st.builds(
    lambda *parts: b"%b %b HTTP/1.1\r\n%b%b\r\n" % parts,
    tokens, st.sampled_from([b"/", b"/a?b=/c", b"//x", b"/%20"]), hosts, fields(),
)  # fmt: skip
response_heads = st.builds(
    lambda *parts: b"HTTP/1.1 %d%b\r\n%b\r\n" % parts,
    st.integers(100, 999), st.just(b"") | values.map(lambda text: b" " + text), fields(),
)  # fmt: skip


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

    def test_connection_cannot_remove_the_request_line(self) -> None:
        """Connection cannot name the request line away, though it looks like a field."""
        head = request(
            b"GET http://a/ HTTP/1.1", b"Host: a", b"Connection: GET http, x-b", b"X-B: 1"
        )
        self.assertEqual(parse_request(head).lines, b"GET http://a/ HTTP/1.1\r\nHost: a\r\n")

    def test_plain_heads(self) -> None:
        """`Connection: keep-alive` says nothing new in HTTP/1.1, wherever it stands."""
        for lines in (
            (b"Connection: keep-alive", b"Host: a", b"X: y"),
            (b"Host: a", b"CONNECTION: Keep-Alive", b"X: y"),
            (b"Host: a", b"X: y", b"connection:keep-alive "),
            (b"Connection: keep-alive", b"Host: a", b"X: y", b"Connection: keep-alive"),
            (b"Host:\ta ", b"Connection: keep-alive", b"X: y"),
        ):
            head = parse_request(request(b"GET / HTTP/1.1", *lines))
            self.assertEqual(head.fields, b"Host: a\r\nX: y\r\n", lines)
            self.assertTrue(head.keep_alive)

    def test_two_connection_fields(self) -> None:
        """Of two Connection fields that disagree, close counts, whichever comes first."""
        fields = b"Connection: close", b"Connection: keep-alive"
        for lines in fields, fields[::-1]:
            head = parse_request(request(b"GET / HTTP/1.1", b"Host: a", *lines))
            self.assertEqual((head.fields, head.keep_alive), (b"Host: a\r\n", False))

    def test_authentication(self) -> None:
        """NTLM and Negotiate tie a connection, other schemes do not."""
        for value, tied in {
            b"NTLM x": True,
            b"negotiate x": True,
            b"Basic bnRsbQ==": False,
        }.items():
            head = request(b"GET / HTTP/1.1", b"Host: a", b"Authorization: " + value)
            self.assertEqual(parse_request(head).tied, tied)
            self.assertEqual(parse_request(head).render(), head)

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
            (b"Connection: Upgrade", b"Upgrade: echo"): b"echo",
            (b"Connection: Upgrade", b"Upgrade: websocket", KEY[:-2]): b"websocket",
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
            b"GET https://a/?q HTTP/1.1": b"/?q",
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

    def test_persistence(self) -> None:
        """What a response says of its connection, HTTP/1.0 and NTLM included."""
        for lines, keep in {
            (b"HTTP/1.1 200 OK", b"Content-Length: 1"): True,
            (b"HTTP/1.1 200 OK", b"Connection: keep-alive", b"Content-Length: 1"): True,
            (b"HTTP/1.1 200 OK", b"Connection: Close", b"Content-Length: 1"): False,
            (b"HTTP/1.0 200 OK", b"Content-Length: 1"): False,
            (b"HTTP/1.0 200 OK", b"Connection: keep-alive", b"Content-Length: 1"): True,
            (b"HTTP/1.1 401 No", b"WWW-Authenticate: Basic, NTLM"): False,
            (b"HTTP/1.1 200 OK", b"Content-Length: 1", b"Transfer-Encoding: chunked"): False,
        }.items():
            self.assertEqual(parse_response(request(*lines)).keep_alive, keep, lines)

    def test_interim(self) -> None:
        """A 1xx response has no body, and does not announce one to the client."""
        head = parse_response(
            request(b"HTTP/1.1 103 Hints", b"Content-Length: 3", b"Link: x", b"Connection: y")
        )
        self.assertEqual(head.lines, b"HTTP/1.1 103 Hints\r\nLink: x\r\n")
        self.assertIsNone(head.length)

    def test_coding_is_canonical(self) -> None:
        """A transfer coding goes on in small letters: some receivers know no others."""
        head = parse_response(request(b"HTTP/1.1 200 OK", b"Transfer-Encoding: CHUNKED", b"X: y"))
        self.assertEqual(head.lines.split(b"\r\n")[1], b"Transfer-Encoding: chunked")

    def test_old_servers_know_no_chunks(self) -> None:
        """HTTP/1.0 with a Transfer-Encoding is faulty (RFC 9112, 6.1)."""
        head = request(b"HTTP/1.0 200 OK", b"Transfer-Encoding: chunked")
        self.assertRaises(MalformedMessage, parse_response, head)

    def test_hostile(self) -> None:
        """Every hostile response head is refused by the parser."""
        for name in ("status 000", "two Content-Lengths", "TE gzip", "folded line"):
            head = HOSTILE_RESPONSES[name].partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            self.assertRaises(MalformedMessage, parse_response, head)


class InboxTests(SynchronousTestCase):
    def test_head_limit(self) -> None:
        """A head of that many bytes is taken, one more byte is too much."""
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


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """Pieces of these sizes; the rest is the last."""
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


def read_requests(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    """Every head in a stream, and all that is forwarded of bodies; the last head may be missing.

    Nothing but MalformedMessage is caught, and no more is held than a head and a piece.
    """
    requests, heads, bodies = RequestReader(), list[bytes](), b""
    try:
        for piece in pieces:
            requests.add(piece)
            bodies += requests.read_body()
            while requests.head is None or requests.done:
                head = requests.read_head()
                if head is None:
                    requests.next()
                    break
                heads.append(head.render())
                bodies += requests.read_body()
            assert len(requests.data) <= HEAD_LIMIT + len(piece)
    except MalformedMessage:
        heads.append(b"malformed")
    return heads, bodies


def read_response(pieces: list[bytes], method: bytes) -> list[bytes]:
    """1xx heads and the final one of a stream, and its body without chunks."""
    inbox, seen, body = Inbox(RESPONSE_START), list[bytes](), None
    content = b""
    try:
        for piece in pieces:
            if body is not None:
                content += b"" if body.done else body.feed(piece)[0]
                continue
            inbox.add(piece)
            while body is None and (raw := inbox.take_head()) is not None:
                head = parse_response(raw)
                seen.append(head.render())
                if head.status >= 200:
                    body = response_body(head, method, 0)
                    content += body.feed(inbox.take())[0]
            assert len(inbox.data) <= HEAD_LIMIT + len(piece)
    except MalformedMessage:
        seen.append(b"malformed")
    return [*seen, content]


CHUNK_FRAMES = re.compile(rb"[0-9a-f]+\r\n|\r\n")


def content_of(bodies: bytes) -> bytes:
    """What is left of bodies when that is taken out which depends on the pieces."""
    return CHUNK_FRAMES.sub(b"", bodies)


class AnyBytesTests(SynchronousTestCase):
    @settings(max_examples=400, deadline=None)
    @given(almost_http, piece_sizes)
    def test_requests(self, data: bytes, sizes: list[int]) -> None:
        """Any bytes are requests or malformed, and the verdict does not depend on the pieces."""
        heads, bodies = read_requests([data])
        for pieces in cut(data, sizes), cut(data, [1] * len(data)):
            others, other_bodies = read_requests(pieces)
            self.assertEqual(others, heads)
            if heads[-1:] != [b"malformed"]:
                self.assertEqual(content_of(other_bodies), content_of(bodies))

    @settings(max_examples=400, deadline=None)
    @given(almost_http, piece_sizes, st.sampled_from([b"GET", b"HEAD"]))
    def test_responses(self, data: bytes, sizes: list[int], method: bytes) -> None:
        """Any bytes are a response or malformed, and the verdict does not depend on the pieces."""
        whole = read_response([data], method)
        for pieces in cut(data, sizes), cut(data, [1] * len(data)):
            other = read_response(pieces, method)
            self.assertEqual(other[:-1], whole[:-1])
            if b"malformed" not in whole:
                self.assertEqual(other[-1], whole[-1])

    @settings(max_examples=400, deadline=None)
    @given(st.binary(max_size=200), piece_sizes)
    def test_noise(self, data: bytes, sizes: list[int]) -> None:
        """Noise raises no other error, as a request or as a response."""
        read_requests(cut(data, sizes))
        read_response(cut(b"HTTP/1.1 200 OK\r\n" + data, sizes), b"GET")

    def test_endless_heads(self) -> None:
        """A head that does not end is refused at its limit, and so are empty names and lines."""
        for start in (
            b"GET /",
            b"G",
            b"GET / HTTP/1.1\r\nX: ",
            b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 99,
        ):
            pieces = [start, *[b"a" * 1000] * 20]
            self.assertEqual(read_requests(pieces)[0], [b"malformed"])
        pieces = [b"HTTP/1.1 200 ", *[b"a" * 1000] * 20]
        self.assertEqual(read_response(pieces, b"GET"), [b"malformed", b""])
        self.assertEqual(read_requests([b"\r\n"] * 20000), ([], b""))


class RoundTripTests(SynchronousTestCase):
    @settings(max_examples=300, deadline=None)
    @given(request_heads)
    def test_requests(self, data: bytes) -> None:
        """A head that was rendered is parsed to the same, and rendered to the same bytes."""
        head = parse_request(data)
        again = parse_request(head.render())
        self.assertEqual(again.render(), head.render())
        for name in "method", "target", "minor", "lines", "length", "chunked", "path":
            self.assertEqual(getattr(again, name), getattr(head, name), name)

    @settings(max_examples=300, deadline=None)
    @given(response_heads)
    def test_responses(self, data: bytes) -> None:
        """The same of responses."""
        head = parse_response(data)
        again = parse_response(head.render())
        self.assertEqual(again.render(), head.render())
        for name in "status", "minor", "lines", "length", "chunked":
            self.assertEqual(getattr(again, name), getattr(head, name), name)
