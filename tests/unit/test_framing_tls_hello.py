"""The first message of a TLS client."""

from __future__ import annotations

import contextlib
import ssl

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vipproxy.framing.tls_hello import ClientHello, Incomplete, NotTls, parse_hello


def hello(name: str | None = "www.example.org") -> bytes:
    """What OpenSSL says."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake without a peer")


def in_records(data: bytes, size: int) -> bytes:
    """The same message in records of this size."""
    body = data[5:]
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(data[:3] + len(each).to_bytes(2, "big") + each for each in pieces)


class HelloTests(SynchronousTestCase):
    def test_name(self) -> None:
        """The server's name, where there is one."""
        self.assertEqual(parse_hello(hello()), ClientHello(b"www.example.org"))
        self.assertEqual(parse_hello(hello(None)), ClientHello())

    def test_more(self) -> None:
        """What follows does not matter."""
        self.assertEqual(parse_hello(hello() + b"more"), ClientHello(b"www.example.org"))

    def test_incomplete(self) -> None:
        """Of every beginning it is not known yet what it becomes."""
        data = hello()
        for size in range(len(data)):
            with self.assertRaises(Incomplete):
                parse_hello(data[:size])

    def test_records(self) -> None:
        """It may come in several records."""
        for size in (1, 3, 100):
            data = in_records(hello(), size)
            self.assertEqual(parse_hello(data), ClientHello(b"www.example.org"))

    def test_others(self) -> None:
        """Other protocols, and other messages, are no hello, as soon as that is clear."""
        for data in (
            b"GET / HTTP/1.1\r\n", b"\x16\x02", b"\x15\x03\x01", b"\x16\x03\x01\0\x01\x02",
            b"\x16\x03\x01\0\0", b"\x16\x03\x01\xff\xff",
        ):  # fmt: skip
            with self.assertRaises(NotTls):
                parse_hello(data)

    @given(st.binary())
    def test_anything(self, body: bytes) -> None:
        """Any message is a hello, or is not, or may become one."""
        message = b"\1" + len(body).to_bytes(3, "big") + body
        for data in (body, b"\x16\3\1" + len(message).to_bytes(2, "big") + message):
            try:
                parse_hello(data)
            except (NotTls, Incomplete):
                continue

    @given(st.integers(0, 10**4), st.integers(0, 255))
    def test_damaged(self, at: int, byte: int) -> None:
        """One wrong byte does no harm."""
        data = bytearray(hello())
        data[at % len(data)] = byte
        with contextlib.suppress(NotTls, Incomplete):
            parse_hello(bytes(data))
