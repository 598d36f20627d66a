"""The PROXY protocol's header."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vipproxy.framing.proxy import (
    SIGNATURE,
    V1_LIMIT,
    V2_LIMIT,
    ProxyHeader,
    ProxyHeaderError,
    build,
    parse,
)
from vipproxy.values import Address

CLIENT = Address("192.0.2.7", 51234)
VIP = Address("192.168.1.220", 3306)
CLIENT6 = Address("2001:db8::7", 51234)
VIP6 = Address("2001:db8::220", 3306)

addresses = st.builds(
    Address,
    st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str),
    st.integers(0, 65535),
)


class BuildTests(SynchronousTestCase):
    def test_v1_over_ipv4(self) -> None:
        """Version 1 is one line of text with both addresses and both ports."""
        line = b"PROXY TCP4 192.0.2.7 192.168.1.220 51234 3306\r\n"
        self.assertEqual(build("v1", CLIENT, VIP), line)

    def test_v1_of_two_families(self) -> None:
        """Version 1 has no words for a client and a destination of different families."""
        self.assertEqual(build("v1", CLIENT, VIP6), b"PROXY UNKNOWN\r\n")

    def test_v2_over_ipv4(self) -> None:
        """Version 2 over IPv4 has 28 bytes: signature, command, family, length, addresses."""
        self.assertEqual(
            build("v2", CLIENT, VIP),
            SIGNATURE + bytes.fromhex("2111000c c0000207 c0a801dc c822 0cea"),
        )

    def test_v2_of_two_families(self) -> None:
        """In version 2 an IPv4 client of an IPv6 destination is mapped into IPv6."""
        header, _ = parse(build("v2", CLIENT, VIP6)) or self.fail("incomplete")
        self.assertEqual(header, ProxyHeader(Address("::ffff:c000:207", 51234), VIP6))


class ParseTests(SynchronousTestCase):
    def assert_header(self, data: bytes, expected: ProxyHeader) -> None:
        """Whole, byte by byte, and with bytes behind it."""
        self.assertEqual(parse(data), (expected, len(data)))
        self.assertEqual(parse(data + b"\x00trailing"), (expected, len(data)))
        for end in range(len(data)):
            self.assertIsNone(parse(data[:end]), f"after {end} bytes")

    def test_all_forms(self) -> None:
        """Both versions and both families parse, in any pieces, leaving what follows alone."""
        for client, destination in ((CLIENT, VIP), (CLIENT6, VIP6)):
            for version in ("v1", "v2"):
                data = build(version, client, destination)
                self.assert_header(data, ProxyHeader(client, destination))

    def test_unknown(self) -> None:
        """UNKNOWN tells nothing, whatever stands behind it."""
        self.assert_header(b"PROXY UNKNOWN\r\n", ProxyHeader())
        self.assert_header(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", ProxyHeader())

    def test_local(self) -> None:
        """LOCAL, the sender's own health check, tells nothing and may carry bytes to skip."""
        self.assert_header(SIGNATURE + b"\x20\x00\x00\x03abc", ProxyHeader())

    def test_other_families(self) -> None:
        """A Unix-socket client is accepted without an address."""
        self.assert_header(SIGNATURE + b"\x21\x31\x00\xd8" + b"x" * 216, ProxyHeader())

    def test_type_length_values(self) -> None:
        """What follows the addresses inside the header is skipped."""
        body = bytes.fromhex("c0000207 c0a801dc c822 0cea") + b"\x04\x00\x01x"
        self.assert_header(SIGNATURE + b"\x21\x11\x00\x10" + body, ProxyHeader(CLIENT, VIP))

    def test_malformed(self) -> None:
        """Each of these is refused, and refused at once."""
        for data in (
            b"GET / HTTP/1.0\r\n",
            b"PROXX",
            b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
            b"PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
            b"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY TCP4 \xff.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY " + b"x" * (V1_LIMIT - 6),
            SIGNATURE + b"\x11\x11\x00\x0c" + b"x" * 12,
            SIGNATURE + b"\x22\x11\x00\x0c" + b"x" * 12,
            SIGNATURE + b"\x21\x11\x00\x0b" + b"x" * 11,
            SIGNATURE + b"\x21\x11\xff\xff",
        ):
            with self.subTest(data=data):
                self.assertRaises(ProxyHeaderError, parse, data)

    @given(addresses, addresses)
    def test_round_trip(self, client: Address, destination: Address) -> None:
        """What is built parses back, but for the mapping of a mixed pair."""
        if (":" in client.host) != (":" in destination.host):
            return
        for version in ("v1", "v2"):
            data = build(version, client, destination)
            self.assertEqual(parse(data), (ProxyHeader(client, destination), len(data)))

    @given(st.binary(max_size=200), st.sampled_from([b"", b"PROXY ", SIGNATURE]))
    def test_any_bytes(self, data: bytes, start: bytes) -> None:
        """Any bytes are a header, or need more, or raise ProxyHeaderError."""
        data = start + data
        try:
            answer = parse(data)
        except ProxyHeaderError:
            return
        if answer is None:
            self.assertLess(len(data), V2_LIMIT)
        else:
            self.assertLessEqual(answer[1], len(data))
