"""A MySQL server for tests: it proves logins for itself, and answers queries from a table.

It shares no code with the client side of vipproxy but the framing of packets: passwords are
verified in the way of a server, which knows hashes alone, and decrypted by OpenSSL's own program.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import struct
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any
from unittest import SkipTest

from attrs import define, field
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from tests.support import require
from vipproxy.framing.mysql import (
    CLIENT_SSL,
    COM_PING,
    COM_QUERY,
    COM_QUIT,
    Greeting,
    Packet,
    PacketReader,
    build_error,
    build_greeting,
    build_ok,
    encode,
)

NATIVE, CACHING_SHA2 = "mysql_native_password", "caching_sha2_password"
SCRAMBLE = b"ABCDEFGHIJKLMNOPQRST"
SECOND_SCRAMBLE = b"abcdefghijklmnopqrst"
LIMIT = 1 << 16

Rows = list[tuple[str | None, ...]]
Talk = Generator[None, Any, None]
"""Is sent packets, after a first None."""


@define(eq=False)
class MysqlServer(Factory):
    """One user, one method, and what is answered to queries that begin in a certain way."""

    noisy = False
    user: str = "checker"
    password: bytes = b"secret"
    method: str = NATIVE
    """The user's; the server asks for it where the client began with another."""
    default_method: str = NATIVE
    """The greeting's."""
    remembers: bool = True
    """caching_sha2_password: the hash is in the cache, so the fast path is enough."""
    key: Path | None = None
    """An RSA key; its public half is sent to who asks for it."""
    tls: Any = None
    """CertificateOptions, where TLS is offered."""
    answers: dict[str, Rows | bytes] = field(factory=dict)
    """First words of a query -> its rows, or the bytes of the reply."""
    greeting: bytes = b""
    """Said in place of the greeting."""
    commands: list[bytes] = field(factory=list)
    logins: list[str] = field(factory=list)
    """Of each login: welcome, refused, or how far it came."""
    open: set[MysqlConnection] = field(factory=set)

    def buildProtocol(self, addr: object) -> Any:
        return MysqlConnection(self)


class MysqlConnection(Protocol):
    """One client; a generator holds the conversation, and is sent the client's packets."""

    transport: Any

    def __init__(self, server: MysqlServer) -> None:
        self.server = server
        self._reader = PacketReader(LIMIT)
        self._sequence = 0
        self._tls = self._ended = False
        self._scramble = SCRAMBLE

    def connectionMade(self) -> None:
        self.server.open.add(self)
        self.server.logins.append("greeted")
        self._talk = self._converse()
        self._go_on(None)

    def dataReceived(self, data: bytes) -> None:
        self._reader.receive_data(data)
        while not self._ended and (packet := self._reader.next_packet()) is not None:
            self._go_on(packet)

    def _go_on(self, packet: Packet | None) -> None:
        try:
            self._talk.send(packet)
        except StopIteration:
            self._ended = True
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.server.open.discard(self)

    def _say(self, payload: bytes) -> None:
        """The next packet of a login; its number follows the client's."""
        self.transport.write(encode(self._sequence, payload))
        self._sequence += 1

    def _hear(self, packet: Packet) -> bytes:
        if packet.sequence != self._sequence:
            raise AssertionError(f"packet {packet.sequence} in place of {self._sequence}")
        self._sequence += 1
        return packet.payload

    def _converse(self) -> Talk:
        server = self.server
        if server.greeting:
            self.transport.write(server.greeting)
            return
        offers = CLIENT_SSL if server.tls else 0
        greeting = Greeting("5.5.5-10.11.6-MariaDB", 7, auth_plugin=server.default_method)
        capabilities = greeting.capabilities | offers
        built = Greeting(greeting.version, 7, capabilities, SCRAMBLE, greeting.auth_plugin)
        self.transport.write(build_greeting(built))
        self._sequence = 1
        login = self._hear((yield))
        if struct.unpack_from("<I", login)[0] & CLIENT_SSL and len(login) == 32:
            self.server.logins[-1] = "asked for TLS"
            self._start_tls()
            login = self._hear((yield))
        name, _, rest = login[32:].partition(b"\0")
        answer, plugin = rest[1 : 1 + rest[0]], rest[1 + rest[0] :].partition(b"\0")[0].decode()
        if plugin != server.method:
            self._scramble = SECOND_SCRAMBLE
            self._say(b"\xfe" + server.method.encode() + b"\0" + self._scramble + b"\0")
            answer = self._hear((yield))
        proved = yield from self._proves(answer)
        if not (proved and name.decode() == server.user):
            server.logins[-1] = "refused"
            who = f"Access denied for user '{name.decode()}'@'localhost' (using password: YES)"
            self.transport.write(build_error(1045, "28000", who, self._sequence))
            return
        server.logins[-1] = "welcome"
        self.transport.write(build_ok(self._sequence))
        yield from self._serve()

    def _start_tls(self) -> None:
        """What has come together with the request for TLS belongs to the handshake."""
        rest, self._reader = bytes(self._reader._buffer), PacketReader(LIMIT)
        tcp, self._tls = self.transport, True
        tcp.startTLS(self.server.tls)
        tcp.protocol.dataReceived(rest)

    def _proves(self, answer: bytes) -> Generator[None, Packet, bool]:
        if self.server.method == NATIVE:
            return self._knows(answer, hashlib.sha1, before=True)
        if self.server.method != CACHING_SHA2:
            return False
        if not answer or not self._knows(answer, hashlib.sha256, before=False):
            return not answer and not self.server.password
        if self.server.remembers:
            self._say(b"\x01\x03")
            return True
        self._say(b"\x01\x04")
        return (yield from self._full())

    def _knows(self, answer: bytes, hash_: Any, *, before: bool) -> bool:
        """The answer, with the twice hashed password, must give the once hashed one."""
        if not self.server.password:
            return not answer
        twice = hash_(hash_(self.server.password).digest()).digest()
        mixed = self._scramble + twice if before else twice + self._scramble
        once = bytes(a ^ b for a, b in zip(answer, hash_(mixed).digest(), strict=False))
        return bool(hash_(once).digest() == twice)

    def _full(self) -> Generator[None, Packet, bool]:
        password = self._hear((yield))
        if self._tls:
            return password == self.server.password + b"\0"
        if password == b"\x02" and self.server.key is not None:
            self._say(b"\x01" + public_key(self.server.key))
            password = self._hear((yield))
        return decrypted(password, self.server.key, self._scramble) == self.server.password

    def _serve(self) -> Talk:
        while True:
            packet = yield
            self.server.commands.append(packet.payload)
            if packet.payload == COM_QUIT:
                return
            self.transport.write(self._reply(packet.payload))

    def _reply(self, command: bytes) -> bytes:
        if command == COM_PING:
            return build_ok(1)
        query = command.removeprefix(COM_QUERY).decode()
        for start, answer in self.server.answers.items():
            if query.startswith(start):
                return answer if isinstance(answer, bytes) else result(answer)
        return build_ok(1)


def result(rows: Rows) -> bytes:
    """The packets of a result set of text columns."""
    width = len(rows[0]) if rows else 2
    column = b"\x03def\0\0\0\x01c\0\x0c" + struct.pack("<HIBHB2x", 33, 1024, 0xFD, 0, 0)
    end = struct.pack("<BHH", 0xFE, 0, 2)
    parts = [bytes([width]), *[column] * width, end, *map(row, rows), end]
    return b"".join(encode(1 + i, part) for i, part in enumerate(parts))


def row(values: tuple[str | None, ...]) -> bytes:
    """One row; values are shorter than 251 bytes."""
    fields = [None if each is None else each.encode() for each in values]
    return b"".join(b"\xfb" if each is None else bytes([len(each)]) + each for each in fields)


# -- keys and certificates, made by OpenSSL's own program -----------------------------------------


def openssl(*arguments: str | Path, given: bytes = b"") -> bytes:
    command = [require("openssl"), *map(str, arguments)]
    return subprocess.run(command, input=given, check=True, capture_output=True).stdout


def make_key(directory: Path) -> Path:
    """A new RSA key."""
    openssl("genrsa", "-out", directory / "rsa.pem", "2048")
    return directory / "rsa.pem"


def public_key(key: Path) -> bytes:
    return openssl("rsa", "-in", key, "-pubout")


def decrypted(password: bytes, key: Path | None, scramble: bytes) -> bytes | None:
    """What was encrypted for the owner of the key; None where that was not done."""
    if key is None or len(password) != 256:
        return None
    options = ("-decrypt", "-inkey", key, "-pkeyopt", "rsa_padding_mode:oaep")
    mixed = openssl("pkeyutl", *options, given=password)
    clear = bytes(a ^ scramble[i % len(scramble)] for i, a in enumerate(mixed))
    return clear.removesuffix(b"\0")


def make_certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-subj", f"/CN={name}", "-days", "2", "-keyout", key, "-out", certificate),
    )
    return certificate, key


def require_tls() -> None:
    """Twisted's TLS must be there; without it the test is skipped, and in CI it fails."""
    if importlib.util.find_spec("OpenSSL") is None:
        if os.environ.get("VIPPROXY_REQUIRE_REAL") == "1":
            raise AssertionError("pyOpenSSL is not installed, and VIPPROXY_REQUIRE_REAL=1")
        raise SkipTest("pyOpenSSL is not installed")


def server_tls(certificate: Path, key: Path) -> Any:
    from twisted.internet.ssl import PrivateCertificate

    return PrivateCertificate.loadPEM(certificate.read_bytes() + key.read_bytes()).options()
