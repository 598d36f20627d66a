"""The first message of a TLS client, without I/O: as much of it as routing needs (RFC 8446, 4)."""

from __future__ import annotations

from attrs import frozen

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _HOST_NAME = 0, 0


class NotTls(ValueError):
    """The bytes are no TLS ClientHello."""


class Incomplete(Exception):
    """More bytes may decide."""


@frozen
class ClientHello:
    """`server_name` is empty where the client does not name one."""

    server_name: bytes = b""


def parse_hello(data: bytes) -> ClientHello:
    """The ClientHello that `data` begins with; raises NotTls or Incomplete.

    It may come in several records, which are put together.
    """
    message, at = b"", 0
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big"):
        record = _record(data, at)
        at += 5 + len(record)
        message += record
    return _hello(_Reader(message[4 : 4 + int.from_bytes(message[1:4], "big")]))


def _record(data: bytes, at: int) -> bytes:
    """What one record carries."""
    start = data[at : at + 5]
    if start[:1] not in (b"", bytes([_HANDSHAKE])) or start[1:2] not in (b"", b"\3"):
        raise NotTls("not a handshake record")
    if len(start) < 5:
        raise Incomplete
    length = int.from_bytes(start[3:5], "big")
    if not 0 < length <= 1 << 14:
        raise NotTls("a record of a wrong length")
    body = data[at + 5 : at + 5 + length]
    if body[:1] not in (b"", bytes([_CLIENT_HELLO])) and at == 0:
        raise NotTls("another handshake message")
    if len(body) < length:
        raise Incomplete
    return body


class _Reader:
    """Takes a message apart; NotTls where it is shorter than it says."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __bool__(self) -> bool:
        return bool(self._data)

    def take(self, length: int) -> bytes:
        if len(self._data) < length:
            raise NotTls("a ClientHello that is too short")
        taken, self._data = self._data[:length], self._data[length:]
        return taken

    def vector(self, size: int) -> bytes:
        """Bytes behind their length, which has `size` bytes."""
        return self.take(int.from_bytes(self.take(size), "big"))


def _hello(reader: _Reader) -> ClientHello:
    reader.take(2 + 32)
    for size in (1, 2, 1):  # session id, cipher suites, compression methods
        reader.vector(size)
    extensions = _Reader(reader.vector(2)) if reader else reader
    while extensions:
        kind = int.from_bytes(extensions.take(2), "big")
        body = _Reader(extensions.vector(2))
        if kind == _SERVER_NAME:
            return ClientHello(_host_name(_Reader(body.vector(2))))
    return ClientHello()


def _host_name(names: _Reader) -> bytes:
    while names:
        kind = names.take(1)[0]
        name = names.vector(2)
        if kind == _HOST_NAME:
            return name
    return b""
