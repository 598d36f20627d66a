"""The PROXY protocol's header, versions 1 and 2, without I/O.

Source: HAProxy's doc/proxy-protocol.txt.
"""

from __future__ import annotations

import ipaddress
import re
import struct

from attrs import frozen

from vipproxy.values import Address

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1_LIMIT = 107
"""The longest header of version 1 in bytes, its line end included."""
V2_LIMIT = 16384
"""Longer headers of version 2 are refused, as they are by HAProxy, whose buffer is as large."""

_V1 = re.compile(rb"PROXY (TCP4|TCP6) (\S+) (\S+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})")
_UNSPECIFIED, _TCP4, _TCP6 = 0x00, 0x11, 0x21
_LOCAL, _PROXY = 0x20, 0x21
_ADDRESS_LENGTH = {_TCP4: 4, _TCP6: 16}


class ProxyHeaderError(ValueError):
    """Bytes that are no PROXY header; the text is a short sentence."""


@frozen
class ProxyHeader:
    """Who the client is, and which address it called.

    Both are None where the sender does not tell: its own health checks (LOCAL), UNKNOWN, and
    families other than TCP over IP. The addresses of the connection itself hold then.
    """

    client: Address | None = None
    destination: Address | None = None


def build(version: str, client: Address, destination: Address) -> bytes:
    """The header with which a proxy tells a server its client; `version` is v1 or v2.

    Where the two addresses are of different families, v1 says UNKNOWN, and v2 maps the IPv4
    address into IPv6.
    """
    return _build_v1(client, destination) if version == "v1" else _build_v2(client, destination)


def _build_v1(client: Address, destination: Address) -> bytes:
    families = {_version(client), _version(destination)}
    if len(families) > 1:
        return b"PROXY UNKNOWN\r\n"
    (family,) = families
    ports = f"{client.port} {destination.port}"
    return f"PROXY TCP{family} {client.host} {destination.host} {ports}\r\n".encode("ascii")


def _build_v2(client: Address, destination: Address) -> bytes:
    hosts = [ipaddress.ip_address(each.host) for each in (client, destination)]
    if len({host.version for host in hosts}) > 1:
        hosts = [_mapped(host) for host in hosts]
    family = _TCP4 if hosts[0].version == 4 else _TCP6
    ports = struct.pack(">HH", client.port, destination.port)
    body = hosts[0].packed + hosts[1].packed + ports
    return SIGNATURE + struct.pack(">BBH", _PROXY, family, len(body)) + body


def parse(data: bytes) -> tuple[ProxyHeader, int] | None:
    """The header that `data` begins with and its length; None where more bytes are needed.

    Raises ProxyHeaderError as soon as it cannot become a header. Never needs more than
    `V2_LIMIT` bytes.
    """
    if data[: len(SIGNATURE)] == SIGNATURE[: len(data)]:
        return _parse_v2(data)
    if data[:6] == b"PROXY "[: len(data)]:
        return _parse_v1(data)
    raise ProxyHeaderError("not a PROXY header")


def _parse_v1(data: bytes) -> tuple[ProxyHeader, int] | None:
    end = data.find(b"\r\n", 0, V1_LIMIT)
    if end < 0:
        if len(data) >= V1_LIMIT:
            raise ProxyHeaderError(f"a PROXY line longer than {V1_LIMIT} bytes")
        return None
    line = data[:end]
    if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
        return ProxyHeader(), end + 2
    match = _V1.fullmatch(line)
    if match is None:
        raise ProxyHeaderError("a malformed PROXY line")
    family, client, destination, client_port, destination_port = match.groups()
    read = ipaddress.IPv4Address if family == b"TCP4" else ipaddress.IPv6Address
    try:
        header = ProxyHeader(
            Address(str(read(client.decode("ascii"))), _port(client_port)),
            Address(str(read(destination.decode("ascii"))), _port(destination_port)),
        )
    except ValueError:
        raise ProxyHeaderError("a malformed address in a PROXY line") from None
    return header, end + 2


def _parse_v2(data: bytes) -> tuple[ProxyHeader, int] | None:
    if len(data) < 16:
        return None
    command, family, length = struct.unpack_from(">BBH", data, 12)
    if command not in (_LOCAL, _PROXY):
        raise ProxyHeaderError(f"unknown PROXY version and command 0x{command:02x}")
    if 16 + length > V2_LIMIT:
        raise ProxyHeaderError(f"a PROXY header of {16 + length} bytes is too long")
    if len(data) < 16 + length:
        return None
    if command == _LOCAL or family not in _ADDRESS_LENGTH:
        return ProxyHeader(), 16 + length
    return _addresses(data[16 : 16 + length], _ADDRESS_LENGTH[family]), 16 + length


def _addresses(body: bytes, size: int) -> ProxyHeader:
    """Client, destination and their ports; what follows (TLVs) is not needed."""
    if len(body) < 2 * size + 4:
        raise ProxyHeaderError("a PROXY header without room for its addresses")
    client, destination = (str(ipaddress.ip_address(body[i : i + size])) for i in (0, size))
    client_port, destination_port = struct.unpack_from(">HH", body, 2 * size)
    return ProxyHeader(Address(client, client_port), Address(destination, destination_port))


def _port(text: bytes) -> int:
    if int(text) > 65535:
        raise ValueError("not a port")
    return int(text)


def _version(address: Address) -> int:
    return ipaddress.ip_address(address.host).version


def _mapped(
    host: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if host.version == 6:
        return host
    return ipaddress.IPv6Address(b"\0" * 10 + b"\xff\xff" + host.packed)
