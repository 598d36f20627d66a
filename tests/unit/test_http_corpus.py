"""The corpus through a whole proxy in memory: what is refused, and what reaches the other side."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.http_readers import (
    Message,
    Refused,
    h11_requests,
    h11_responses,
    httptools_requests,
    with_host,
)
from tests.unit.http_corpus import (
    ACCEPTED_REQUESTS,
    ACCEPTED_RESPONSES,
    BROKEN_RESPONSES,
    HOSTILE_REQUESTS,
    HOSTILE_RESPONSES,
    Accepted,
)
from tests.unit.http_fakes import Proxy, Wire
from vipproxy.values import Ending

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
cuts = st.lists(st.integers(1, 120), max_size=30)
"""Sizes of the pieces in which something comes; the rest comes at once."""


def split(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [piece for piece in (*pieces, data) if piece]


def single(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def receive(wire: Wire, pieces: list[bytes]) -> None:
    for piece in pieces:
        wire.receive(piece)


def forwarded(proxy: Proxy) -> bytes:
    """What servers got, each request answered, in the order in which they got it."""
    seen: dict[Wire, int] = {}
    requests = []
    while proxy.connector.wires:
        server = proxy.server
        new = server.sent[seen.get(server, 0) :]
        if not new:
            break
        seen[server] = len(server.sent)
        requests.append(new)
        server.receive(EMPTY)
    return b"".join(requests)


def read(requests: bytes) -> list[Message]:
    """As two other parsers read it; they must agree."""
    messages = h11_requests(with_host(requests))
    assert messages == httptools_requests(requests), requests
    return messages


class RequestTests(SynchronousTestCase):
    def refuse(self, name: str, pieces: list[bytes]) -> None:
        proxy = Proxy()
        receive(proxy.client, pieces)
        self.assertTrue(proxy.client.sent.startswith(b"HTTP/1.1 400 Bad request\r\n"), name)
        self.assertEqual(proxy.client.sent.count(b"HTTP/1."), 1, name)
        self.assertIn(proxy.client.ending, {"half", "closed"}, name)
        for wire in proxy.connector.wires:
            self.assertTrue(wire.lost, name)
            self.assertEqual(h11_requests(wire.sent), [], name)

    def test_hostile(self) -> None:
        """A hostile request gets one 400, whole or byte by byte; no server sees all of one."""
        for name, data in HOSTILE_REQUESTS.items():
            self.refuse(name, [data])
            self.refuse(name, single(data))

    @settings(max_examples=300, deadline=None)
    @given(st.sampled_from(sorted(HOSTILE_REQUESTS)), cuts)
    def test_hostile_in_pieces(self, name: str, sizes: list[int]) -> None:
        """The same in any pieces."""
        self.refuse(name, split(HOSTILE_REQUESTS[name], sizes))

    def test_accepted(self) -> None:
        """What is accepted reaches the servers in its one form, byte for byte."""
        for name, (sent, expected) in ACCEPTED_REQUESTS.items():
            proxy = Proxy()
            proxy.client.receive(sent)
            self.assertEqual(forwarded(proxy), expected, name)

    def accept(self, name: str, pieces: list[bytes]) -> None:
        proxy = Proxy()
        receive(proxy.client, pieces)
        expected = read(ACCEPTED_REQUESTS[name][1])
        self.assertEqual(read(forwarded(proxy)), expected, name)
        self.assertEqual(proxy.client.sent.count(b"HTTP/1.1 200 OK\r\n"), len(expected), name)

    def test_accepted_byte_by_byte(self) -> None:
        """Byte by byte it is the same requests, as other parsers read them."""
        for name, (sent, _) in ACCEPTED_REQUESTS.items():
            self.accept(name, single(sent))

    @settings(max_examples=200, deadline=None)
    @given(st.sampled_from(sorted(ACCEPTED_REQUESTS)), cuts)
    def test_accepted_in_pieces(self, name: str, sizes: list[int]) -> None:
        """The same in any pieces."""
        self.accept(name, split(ACCEPTED_REQUESTS[name][0], sizes))

    def test_corpus_is_large(self) -> None:
        """There are at least 60 hostile requests and 30 hostile responses."""
        self.assertGreaterEqual(len(HOSTILE_REQUESTS), 60)
        self.assertGreaterEqual(len(HOSTILE_RESPONSES), 30)


class ResponseTests(SynchronousTestCase):
    def ask(self, method: bytes = b"GET") -> Proxy:
        proxy = Proxy()
        proxy.ask(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
        return proxy

    def refuse(self, name: str, pieces: list[bytes]) -> None:
        proxy = self.ask()
        receive(proxy.server, pieces)
        sent = proxy.client.sent.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertTrue(sent.startswith(b"HTTP/1.1 502 Bad Gateway\r\n"), name)
        self.assertEqual(sent.count(b"HTTP/1."), 1, name)
        self.assertFalse(proxy.client.ending, name)
        self.assertTrue(proxy.server.lost, name)
        self.assertIn(proxy.lease.endings, ([Ending.PROXY], [Ending.SERVER_ABORT]), name)

    def test_hostile(self) -> None:
        """A hostile response becomes one 502, whole or byte by byte; the client may stay."""
        for name, data in HOSTILE_RESPONSES.items():
            self.refuse(name, [data])
            self.refuse(name, single(data))

    @settings(max_examples=200, deadline=None)
    @given(st.sampled_from(sorted(HOSTILE_RESPONSES)), cuts)
    def test_hostile_in_pieces(self, name: str, sizes: list[int]) -> None:
        """The same in any pieces."""
        self.refuse(name, split(HOSTILE_RESPONSES[name], sizes))

    def break_off(self, name: str, pieces: list[bytes]) -> None:
        proxy = self.ask()
        receive(proxy.server, pieces)
        self.assertTrue(proxy.server.lost, name)
        messages = h11_responses(proxy.client.sent)
        if proxy.client.ending:
            self.assertEqual(messages, [], name)
        else:
            self.assertEqual([each.line for each in messages], [(b"502",)], name)

    def test_broken_whole(self) -> None:
        """A malformed body that comes with its head becomes a 502."""
        for name, data in BROKEN_RESPONSES.items():
            self.refuse(name, [data])

    def test_broken_byte_by_byte(self) -> None:
        """One that comes later breaks the response off: no client takes it for a whole one."""
        for name, data in BROKEN_RESPONSES.items():
            self.break_off(name, single(data))

    @settings(max_examples=100, deadline=None)
    @given(st.sampled_from(sorted(BROKEN_RESPONSES)), cuts)
    def test_broken_in_pieces(self, name: str, sizes: list[int]) -> None:
        """In any pieces it is one or the other."""
        self.break_off(name, split(BROKEN_RESPONSES[name], sizes))

    def answer(self, case: Accepted, pieces: list[bytes]) -> Proxy:
        proxy = self.ask(case.method)
        receive(proxy.server, pieces)
        if case.closes:
            proxy.server.finish()
        return proxy

    def test_accepted(self) -> None:
        """What is accepted reaches the client in its one form, byte for byte."""
        for name, case in ACCEPTED_RESPONSES.items():
            proxy = self.answer(case, [case.sent])
            self.assertEqual(proxy.client.sent, case.got, name)
            self.assertEqual(not proxy.server.lost, case.kept, name)

    def accept(self, name: str, pieces: list[bytes]) -> None:
        case = ACCEPTED_RESPONSES[name]
        proxy = self.answer(case, pieces)
        self.assertEqual(
            h11_responses(proxy.client.sent, case.method, ended=case.closes),
            h11_responses(case.got, case.method, ended=case.closes),
            name,
        )
        self.assertEqual(not proxy.server.lost, case.kept, name)

    def test_accepted_byte_by_byte(self) -> None:
        """Byte by byte it is the same response, as another parser reads it."""
        for name, case in ACCEPTED_RESPONSES.items():
            self.accept(name, single(case.sent))

    @settings(max_examples=100, deadline=None)
    @given(st.sampled_from(sorted(ACCEPTED_RESPONSES)), cuts)
    def test_accepted_in_pieces(self, name: str, sizes: list[int]) -> None:
        """The same in any pieces."""
        self.accept(name, split(ACCEPTED_RESPONSES[name].sent, sizes))

    def test_reading(self) -> None:
        """What clients get has one meaning: another parser reads exactly one final response."""
        for name, case in ACCEPTED_RESPONSES.items():
            messages = h11_responses(case.got, case.method, ended=case.closes)
            self.assertEqual(len([each for each in messages if each.line >= (b"200",)]), 1, name)

    def test_unfinished_is_unfinished(self) -> None:
        """The readers that judge here tell a whole message from a part of it."""
        self.assertEqual(h11_requests(EMPTY[:0]), [])
        self.assertRaises(Refused, h11_requests, b"nonsense\r\n\r\n")
