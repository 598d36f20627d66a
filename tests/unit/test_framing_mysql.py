"""MySQL packets without I/O."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vipproxy.framing.mysql import (
    CLIENT_SSL,
    MAX_PAYLOAD,
    AuthSwitch,
    Greeting,
    Packet,
    PacketError,
    PacketReader,
    ServerError,
    build_error,
    build_greeting,
    build_login,
    build_ok,
    build_tls_request,
    encode,
    is_auth_switch,
    is_error,
    is_ok,
    parse_auth_switch,
    parse_error,
    parse_greeting,
)

# The first packet of a MariaDB 10.11.6 server, as it came over the wire.
MARIADB = bytes.fromhex(
    "0a352e352e352d31302e31312e362d4d61726961444200"  # 10, "5.5.5-10.11.6-MariaDB"
    "2a000000"  # connection 42
    "4142434445464748" + "00"
    "fef7" + "2d" + "0200" + "ff81" + "15" + "000000000000" + "1d000000"
    "494a4b4c4d4e4f5051525354" + "00"
    "6d7973716c5f6e61746976655f70617373776f726400"
)

no_nul = st.text(st.characters(exclude_characters="\0", codec="utf-8"))


def payload_of(packet: bytes) -> bytes:
    """The payload of the only packet."""
    (only,) = packets_of(packet)
    return only.payload


def packets_of(data: bytes, limit: int = MAX_PAYLOAD) -> list[Packet]:
    reader = PacketReader(limit)
    reader.receive_data(data)
    return list(iter(reader.next_packet, None))


class FramingTests(SynchronousTestCase):
    def test_encode(self) -> None:
        """A packet is a three-byte length, a sequence number and the payload."""
        self.assertEqual(encode(7, b"abc"), b"\x03\x00\x00\x07abc")

    def test_too_long_to_encode(self) -> None:
        """A payload that would need several packets is refused."""
        self.assertRaises(ValueError, encode, 0, bytes(MAX_PAYLOAD + 1))

    def test_limit(self) -> None:
        """A packet beyond the reader's limit is refused before its payload has come."""
        self.assertRaises(PacketError, packets_of, b"\x01\x01\x00\x00", 256)
        self.assertEqual(packets_of(encode(0, bytes(256)), 256), [Packet(0, bytes(256))])

    @given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 64))
    def test_any_pieces(self, payloads: list[bytes], size: int) -> None:
        """However the stream is cut, the same packets come out."""
        stream = b"".join(encode(i, payload) for i, payload in enumerate(payloads))
        reader = PacketReader(MAX_PAYLOAD)
        found: list[Packet] = []
        for start in range(0, len(stream), size):
            reader.receive_data(stream[start : start + size])
            found += iter(reader.next_packet, None)
        self.assertEqual(found, [Packet(i, payload) for i, payload in enumerate(payloads)])

    @given(st.binary(max_size=2000))
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes are packets, or need more, or raise PacketError."""
        try:
            packets = packets_of(data, 1000)
        except PacketError:
            return
        self.assertLessEqual(sum(4 + len(each.payload) for each in packets), len(data))


class GreetingTests(SynchronousTestCase):
    def test_mariadb(self) -> None:
        """A MariaDB server's greeting gives version, connection, scramble and method."""
        greeting = parse_greeting(MARIADB)
        self.assertEqual(greeting.version, "5.5.5-10.11.6-MariaDB")
        self.assertEqual(greeting.connection_id, 42)
        self.assertEqual(greeting.capabilities, 0x81FFF7FE)
        self.assertEqual(greeting.scramble, b"ABCDEFGHIJKLMNOPQRST")
        self.assertEqual(greeting.auth_plugin, "mysql_native_password")

    @given(no_nul, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), no_nul)
    def test_round_trip(self, version: str, number: int, capabilities: int, plugin: str) -> None:
        """What is built parses back."""
        greeting = Greeting(version, number, capabilities, auth_plugin=plugin)
        self.assertEqual(parse_greeting(payload_of(build_greeting(greeting))), greeting)

    @given(st.binary(max_size=200))
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes behind a greeting's first are one, or raise PacketError."""
        for payload in (data, b"\x0a" + data):
            try:
                parse_greeting(payload)
            except PacketError:
                continue
            self.assertEqual(payload[0], 10)


class ReplyTests(SynchronousTestCase):
    def test_error_with_state(self) -> None:
        """An error packet carries its number, its SQLSTATE and its words."""
        packet = build_error(1040, "08004", "Too many connections")
        self.assertEqual(packet, b"\x1d\0\0\0\xff\x10\x04#08004Too many connections")
        expected = ServerError(1040, "Too many connections", "08004")
        self.assertEqual(parse_error(payload_of(packet)), expected)

    def test_error_without_state(self) -> None:
        """Servers leave the SQLSTATE out of an error in place of the greeting."""
        packet = build_error(1130, "", "Host '1.2.3.4' is not allowed to connect")
        expected = ServerError(1130, "Host '1.2.3.4' is not allowed to connect")
        self.assertEqual(parse_error(payload_of(packet)), expected)

    @given(st.binary(max_size=100))
    def test_any_error(self, data: bytes) -> None:
        """Any bytes behind 0xff are an error packet, or raise PacketError."""
        try:
            parse_error(b"\xff" + data)
        except PacketError:
            self.assertLess(len(data), 2)

    def test_kinds(self) -> None:
        """The first byte tells the kind of a reply; an empty one is of no kind."""
        tests = (is_ok, is_error, is_auth_switch)
        for payload, expected in (
            (payload_of(build_ok(2)), (True, False, False)),
            (payload_of(build_error(1, "", "x")), (False, True, False)),
            (b"\xfemysql_native_password\0", (False, False, True)),
            (b"", (False, False, False)),
        ):
            self.assertEqual(tuple(test(payload) for test in tests), expected)

    def test_login(self) -> None:
        """A login without a password has an empty answer to the scramble."""
        login = payload_of(build_login("vipproxy"))
        self.assertEqual(login[32:], b"vipproxy\0\0mysql_native_password\0")

    def test_login_with_password(self) -> None:
        """The answer to the scramble goes with its length, and the method by its name."""
        login = payload_of(build_login("a", 2, answer=b"12345", plugin="some_plugin", tls=True))
        self.assertEqual(login[32:], b"a\0\x0512345some_plugin\0")
        self.assertTrue(int.from_bytes(login[:4], "little") & CLIENT_SSL)

    def test_tls_request(self) -> None:
        """A request for TLS is the head of the login that follows it."""
        request = payload_of(build_tls_request())
        self.assertEqual(request, payload_of(build_login("a", tls=True))[:32])

    def test_auth_switch(self) -> None:
        """A request for another method names it, and brings a new scramble."""
        switch = parse_auth_switch(b"\xfecaching_sha2_password\0abcdefghijklmnopqrst\0")
        self.assertEqual(switch, AuthSwitch("caching_sha2_password", b"abcdefghijklmnopqrst"))

    @given(st.binary(max_size=60))
    def test_any_auth_switch(self, data: bytes) -> None:
        """Any bytes are such a request, or raise PacketError; so does MySQL 4.0's."""
        self.assertRaises(PacketError, parse_auth_switch, b"\xfe")
        try:
            switch = parse_auth_switch(b"\xfe" + data)
        except PacketError:
            return
        self.assertTrue(switch.plugin)
