"""MySQL's packets without I/O: framing, greeting, error, login.

Passwords are for `mysql_auth`, answers to queries for `mysql_results`. Sources: the MariaDB
knowledge base ("Clients & Utilities > Client/Server Protocol") and MySQL's Protocol::HandshakeV10,
HandshakeResponse41, SSLRequest, AuthSwitchRequest and ERR_Packet. All numbers are little-endian.

What is built is a whole packet; what is parsed is the payload of one.
"""

from __future__ import annotations

import struct

from attrs import frozen

MAX_PAYLOAD = (1 << 24) - 2
"""Longer payloads would be split into several packets, which nothing here needs."""

COM_QUIT = b"\x01"
COM_QUERY = b"\x03"
COM_PING = b"\x0e"

ER_ACCESS_DENIED = 1045
ER_UNKNOWN_COM = 1047
"""Galera's number for "WSREP has not yet prepared node for application use"."""
ER_ACCESS_DENIED_NO_PASSWORD = 1698

CLIENT_LONG_PASSWORD = 1 << 0
CLIENT_PROTOCOL_41 = 1 << 9
CLIENT_SSL = 1 << 11
CLIENT_TRANSACTIONS = 1 << 13
CLIENT_SECURE_CONNECTION = 1 << 15
CLIENT_PLUGIN_AUTH = 1 << 19

_SERVER_STATUS_AUTOCOMMIT = 2
_UTF8_GENERAL_CI = 33
_TYPE_VAR_STRING = 0xFD
_END_OF_FILE = struct.pack("<BHH", 0xFE, 0, _SERVER_STATUS_AUTOCOMMIT)
_CAPABILITIES = (
    CLIENT_LONG_PASSWORD | CLIENT_PROTOCOL_41 | CLIENT_TRANSACTIONS | CLIENT_SECURE_CONNECTION
)
NATIVE_PASSWORD = "mysql_native_password"


class PacketError(ValueError):
    """Bytes that no MySQL server or client would send; the text is a short sentence."""


@frozen
class Packet:
    """One packet; `sequence` counts, modulo 256, from 0 within a command."""

    sequence: int
    payload: bytes


@frozen
class Greeting:
    """What a server says first (HandshakeV10)."""

    version: str
    """The server's version text, such as ``10.11.6-MariaDB``."""
    connection_id: int
    capabilities: int = _CAPABILITIES | CLIENT_PLUGIN_AUTH
    scramble: bytes = bytes(range(1, 21))
    """Twenty bytes that a password is hashed with; a server takes random ones."""
    auth_plugin: str = NATIVE_PASSWORD


@frozen
class AuthSwitch:
    """A server asks for another way to prove who the user is (AuthSwitchRequest)."""

    plugin: str
    scramble: bytes


@frozen
class ServerError:
    """An error packet: number, SQLSTATE (may be empty) and the server's own words."""

    code: int
    message: str
    state: str = ""


class PacketReader:
    """Cuts a stream of bytes into packets.

    `limit` is the longest payload that is accepted, in bytes: it bounds what is buffered.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def receive_data(self, data: bytes) -> None:
        """Add what has come from the peer."""
        self._buffer += data

    @property
    def empty(self) -> bool:
        """Nothing is left that was received and not taken."""
        return not self._buffer

    def next_packet(self) -> Packet | None:
        """The next packet, or None where more bytes are needed; PacketError beyond the limit."""
        if len(self._buffer) < 4:
            return None
        length = int.from_bytes(self._buffer[:3], "little")
        if length > self._limit:
            raise PacketError(f"a packet of {length} bytes is longer than expected")
        if len(self._buffer) < 4 + length:
            return None
        packet = Packet(self._buffer[3], bytes(self._buffer[4 : 4 + length]))
        del self._buffer[: 4 + length]
        return packet


def encode(sequence: int, payload: bytes) -> bytes:
    """A packet's bytes; `sequence` counts modulo 256.

    Raises ValueError where the payload does not fit into one packet.
    """
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"a payload of {len(payload)} bytes does not fit into one packet")
    return len(payload).to_bytes(3, "little") + bytes([sequence % 256]) + payload


# -- the server's greeting -----------------------------------------------------------------------


def build_greeting(greeting: Greeting) -> bytes:
    """The packet with which a server greets."""
    low, high = greeting.capabilities & 0xFFFF, greeting.capabilities >> 16
    payload = b"".join(
        (
            b"\x0a" + greeting.version.encode() + b"\0",
            struct.pack("<I", greeting.connection_id) + greeting.scramble[:8] + b"\0",
            struct.pack("<HBH", low, _UTF8_GENERAL_CI, _SERVER_STATUS_AUTOCOMMIT),
            struct.pack("<HB10x", high, len(greeting.scramble) + 1),
            greeting.scramble[8:] + b"\0" + greeting.auth_plugin.encode() + b"\0",
        )
    )
    return encode(0, payload)


def parse_greeting(payload: bytes) -> Greeting:
    """Read a server's greeting; PacketError where it is none.

    An error packet in its place is for `is_error` to tell.
    """
    if not payload or payload[0] != 10:
        raise PacketError("not a MySQL greeting")
    version, nul, rest = payload[1:].partition(b"\0")
    if not nul or len(rest) < 31:
        raise PacketError("a MySQL greeting that breaks off")
    connection_id, start, low = struct.unpack_from("<I8sxH", rest)
    high, length = struct.unpack_from("<HB", rest, 18)
    # At least 13 bytes follow, the last of them a NUL, whatever the length says.
    size = max(13, length - 8)
    plugin = rest[31 + size :].partition(b"\0")[0]
    return Greeting(
        version=version.decode("utf-8", "replace"),
        connection_id=connection_id,
        capabilities=low | high << 16,
        scramble=start + rest[31 : 31 + size].rstrip(b"\0"),
        auth_plugin=plugin.decode("utf-8", "replace"),
    )


# -- errors and other replies ----------------------------------------------------------------------


def build_error(code: int, state: str, message: str, sequence: int = 0) -> bytes:
    """An error packet; `state` is the five characters of the SQLSTATE, or empty.

    With sequence 0 it stands in place of the greeting.
    """
    text = f"#{state}{message}" if state else message
    return encode(sequence, struct.pack("<BH", 0xFF, code) + text.encode())


def parse_error(payload: bytes) -> ServerError:
    """Read an error packet, with or without SQLSTATE; PacketError where it is none."""
    if len(payload) < 3 or payload[0] != 0xFF:
        raise PacketError("not a MySQL error packet")
    text = payload[3:].decode("utf-8", "replace")
    state, message = (text[1:6], text[6:]) if text.startswith("#") else ("", text)
    return ServerError(int.from_bytes(payload[1:3], "little"), message, state)


def build_ok(sequence: int) -> bytes:
    """An OK packet: no rows, no insert id, autocommit, no warnings."""
    return encode(sequence, struct.pack("<BBBHH", 0, 0, 0, _SERVER_STATUS_AUTOCOMMIT, 0))


def build_row(column: str, value: str) -> bytes:
    """The reply to a query whose result is one row of one text column."""
    name, text = column.encode(), value.encode()
    definition = b"".join(
        (
            _lenenc(b"def") + b"\0\0\0" + _lenenc(name) + b"\0" + b"\x0c",
            struct.pack("<HIBHB2x", _UTF8_GENERAL_CI, 1024, _TYPE_VAR_STRING, 0, 0),
        )
    )
    parts = (b"\x01", definition, _END_OF_FILE, _lenenc(text), _END_OF_FILE)
    return b"".join(encode(1 + i, part) for i, part in enumerate(parts))


def _lenenc(text: bytes) -> bytes:
    """A length-encoded string of up to 250 bytes."""
    if len(text) > 250:
        raise ValueError("longer texts are not supported")
    return bytes([len(text)]) + text


def is_ok(payload: bytes) -> bool:
    """Whether a reply is an OK packet."""
    return payload[:1] == b"\0"


def is_error(payload: bytes) -> bool:
    """Whether a reply is an error packet."""
    return payload[:1] == b"\xff"


def is_auth_switch(payload: bytes) -> bool:
    """Whether a reply to a login asks for another authentication method."""
    return payload[:1] == b"\xfe"


def parse_auth_switch(payload: bytes) -> AuthSwitch:
    """Read a request for another method; PacketError where it is none, or an ancient one.

    The bare byte 0xfe asks for the hashes of MySQL 4.0, which nobody should answer.
    """
    if not is_auth_switch(payload):
        raise PacketError("not a request for another authentication method")
    plugin, nul, scramble = payload[1:].partition(b"\0")
    if not plugin or not nul:
        raise PacketError("the server asks for the password hashes of MySQL 4.0")
    return AuthSwitch(plugin.decode("utf-8", "replace"), scramble.removesuffix(b"\0"))


def is_more_auth_data(payload: bytes) -> bool:
    """Whether a reply to a login carries something for the authentication method."""
    return payload[:1] == b"\1"


# -- the client's login ---------------------------------------------------------------------------


def build_tls_request(sequence: int = 1) -> bytes:
    """What asks for TLS, in answer to a greeting that offers it; the handshake follows."""
    return encode(sequence, _login_head(tls=True))


def build_login(
    user: str,
    sequence: int = 1,
    *,
    answer: bytes = b"",
    plugin: str = NATIVE_PASSWORD,
    tls: bool = False,
) -> bytes:
    """A login (HandshakeResponse41), in answer to a greeting; by default without a password.

    `answer` is what `plugin`, the authentication method, makes of the password, in up to 255
    bytes; `tls` says that a request for TLS went ahead.
    """
    name = user.encode() + b"\0"
    parts = _login_head(tls), name, bytes([len(answer)]) + answer, plugin.encode() + b"\0"
    return encode(sequence, b"".join(parts))


def _login_head(tls: bool) -> bytes:
    capabilities = _CAPABILITIES | CLIENT_PLUGIN_AUTH | (CLIENT_SSL if tls else 0)
    return struct.pack("<IIB23x", capabilities, MAX_PAYLOAD, _UTF8_GENERAL_CI)
