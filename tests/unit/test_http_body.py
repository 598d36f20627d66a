"""HTTP/1 bodies: where they end, and in what form they go on."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vipproxy.framing.http1 import MalformedMessage, parse_response
from vipproxy.framing.http_body import (
    TRAILER_LIMIT,
    BodyReader,
    ChunkedReader,
    CloseReader,
    LengthReader,
    response_body,
)


def read(reader: BodyReader, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """All that is forwarded, and what lies beyond."""
    forwarded, rest = b"", b""
    for piece in pieces:
        if reader.done:
            rest += piece
        else:
            forward, beyond = reader.feed(piece)
            forwarded, rest = forwarded + forward, rest + beyond
    return forwarded, rest


def split(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return [*pieces, data[at:]]


def single(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


sizes = st.lists(st.integers(1, 9), max_size=40)


almost_chunks = st.lists(
    st.sampled_from(
        [b"3\r\nabc\r\n", b"0\r\n\r\n", b"0\r\n", b"X: y\r\n", b"\r\n", b"3;a=b", b"a", b"\n",
         b"\r", b" "]
    ),
    max_size=8,
).map(b"".join)  # fmt: skip


def verdict(pieces: list[bytes]) -> tuple[str, bytes]:
    """What becomes of a chunked body: finished, unfinished or malformed; its content, if whole."""
    reader = ChunkedReader()
    try:
        forwarded, rest = read(reader, pieces)
    except MalformedMessage:
        return "malformed", b""
    if not reader.done:
        return "unfinished", b""
    again = ChunkedReader(plain=True)
    content, beyond = read(again, [forwarded])
    assert again.done
    assert not beyond
    return "finished", content + b"|" + rest


class BodyTests(SynchronousTestCase):
    @settings(deadline=None)
    @given(st.binary(max_size=60), st.integers(0, 60), sizes)
    def test_length(self, data: bytes, length: int, sizes: list[int]) -> None:
        """Exactly the announced bytes belong to the body, however they come."""
        reader = LengthReader(length, done=length == 0)
        forwarded, rest = read(reader, split(data, sizes))
        self.assertEqual((forwarded, rest), (data[:length], data[length:]))
        self.assertEqual(reader.done, len(data) >= length)

    @settings(deadline=None)
    @given(st.lists(st.binary(min_size=1, max_size=20), max_size=6), sizes)
    def test_chunked(self, chunks: list[bytes], sizes: list[int]) -> None:
        """A chunked body ends at its last chunk, and its content arrives, however it comes."""
        data = b"".join(b"%X;x=1\r\n%b\r\n" % (len(each), each) for each in chunks)
        pieces = split(data + b"0\r\nA: b\r\n\r\nnext", sizes)
        plain, rest = read(ChunkedReader(plain=True), pieces)
        self.assertEqual((plain, rest), (b"".join(chunks), b"next"))
        forwarded, rest = read(ChunkedReader(), pieces)
        self.assertEqual(rest, b"next")
        self.assertEqual(read(ChunkedReader(plain=True), [forwarded]), (b"".join(chunks), b""))

    def test_extensions_are_dropped(self) -> None:
        """Chunks are written anew: no extensions, no blanks, no leading zeros."""
        data = b'003 ;a="b"\r\nabc\r\n0\r\n\r\n'
        self.assertEqual(read(ChunkedReader(), [data])[0], b"3\r\nabc\r\n0\r\n\r\n")

    def test_trailers(self) -> None:
        """Trailers go on, but for those that a receiver might take for a part of the head."""
        data = b"0\r\nA: b\r\nhost: c\r\nCookie: d\r\nConnection: close\r\n\r\n"
        self.assertEqual(read(ChunkedReader(), [data])[0], b"0\r\nA: b\r\n\r\n")

    @settings(max_examples=300, deadline=None)
    @given(almost_chunks, sizes)
    def test_any_bytes(self, data: bytes, sizes: list[int]) -> None:
        """Any bytes are read, or refused with the protocol's error, in whatever pieces they come;
        what is forwarded of them is chunked well."""
        verdicts = [verdict(pieces) for pieces in ([data], split(data, sizes), single(data))]
        self.assertEqual(verdicts, [verdicts[0]] * 3)

    def test_bounded(self) -> None:
        """Size lines and trailers that do not end are refused, and never held beyond that."""
        for endless in b"0;x", b"0\r\nX: y", b"0\r\n":
            reader = ChunkedReader()
            with self.assertRaises(MalformedMessage):
                reader.feed(endless)
                for _ in range(200):
                    reader.feed(b"X" * 100 if endless != b"0\r\n" else b"X: y\r\n" * 17)
            self.assertLessEqual(len(reader._held), TRAILER_LIMIT)

    def test_bodiless(self) -> None:
        """HEAD, 204 and 304 have no body, whatever their fields say."""
        for status, method in ((b"200", b"HEAD"), (b"204", b"GET"), (b"304", b"GET")):
            head = parse_response(b"HTTP/1.1 %b -\r\nContent-Length: 3\r\n\r\n" % status)
            self.assertEqual(response_body(head, method, 1), LengthReader(0))

    def test_ends_with_connection(self) -> None:
        """A response without a length ends with its connection."""
        head = parse_response(b"HTTP/1.1 200 OK\r\n\r\n")
        self.assertEqual(response_body(head, b"GET", 1), CloseReader())
