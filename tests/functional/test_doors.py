"""The doors into a frontend that other tests do not use: TLS, and protocols of strangers."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import select
import socket
from typing import Any

from twisted.internet.endpoints import SSL4ClientEndpoint, SSL4ServerEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from tests.functional.harness import (
    LOOPBACK,
    EndpointDoor,
    Peer,
    ProxyCase,
    echo,
    named,
    reactor,
)
from tests.functional.test_tcp import BLOCK
from vipproxy.interfaces import IFrontend, IProtocolPlugin
from vipproxy.values import AdminState

HAS_TLS = importlib.util.find_spec("OpenSSL") is not None


class ThroughTls(EndpointDoor):
    """TLS ends at the proxy; the servers speak plain TCP."""

    if not HAS_TLS:
        skip = "pyOpenSSL is not installed"

    def listening(self) -> Any:
        from twisted.internet import ssl

        certificate = ssl.KeyPair.generate(size=2048).selfSignedCert(1, CN="localhost")
        return SSL4ServerEndpoint(reactor, 0, certificate.options(), interface=LOOPBACK)

    async def connect(self) -> Peer:
        from twisted.internet import ssl

        options = ssl.CertificateOptions(verify=False)
        client: Peer = await connectProtocol(
            SSL4ClientEndpoint(reactor, *self.way_in(), options), Peer()
        )
        self.clients.append(client)
        return client

    async def test_question_and_answer(self) -> None:
        """What the client says in TLS reaches the server in the clear, and back."""
        origin = self.origin(named("s1"))
        await self.proxy("", origin)
        client = await self.connect()
        client.send(b"hello\n")
        self.assertEqual(await client.hear(b"hello\n"), b"s1\nhello\n")

    async def test_stream_then_end(self) -> None:
        """A server that sends much and ends: the client has all of it, and then a clean end."""
        origin = self.origin()
        await self.proxy("", origin)
        client, server = await self.pair(origin)
        digest = hashlib.sha256()
        client.on_data = digest.update
        for _ in range(8):
            server.send(BLOCK)
        server.transport.loseConnection()
        self.assertIsInstance(await client.gone(), ConnectionDone)
        self.assertEqual(digest.digest(), hashlib.sha256(BLOCK * 8).digest())
        await self.until(lambda: self.sessions() == 0)

    async def test_client_ends(self) -> None:
        """A client that closes ends the session at the server."""
        origin = self.origin(echo)
        await self.proxy("", origin)
        client, server = await self.pair(origin)
        client.send(b"hello")
        await client.hear(b"hello")
        client.transport.loseConnection()
        await server.end()
        await self.until(lambda: self.sessions() == 0)

    async def test_no_server(self) -> None:
        """Without a usable server the client sees the end, if need be before the handshake."""
        await self.proxy("", "127.0.0.1:1 disabled")
        client = await self.connect()
        self.assertEqual(await client.end(), b"")
        await self.until(lambda: self.sessions() == 0)

    async def test_mark_down(self) -> None:
        """A mark-down ends sessions that came through TLS."""
        origin = self.origin(named("s1"))
        proxy = await self.proxy("check = tcp\non-marked-down = shutdown-sessions", origin)
        client = await self.connect()
        await client.hear(b"s1\n")
        proxy.service.set_admin_state("b", "s1", AdminState.MAINT)
        await client.gone()
        self.assertEqual(self.server().counters.shutdowns, 1)
        await self.until(lambda: self.sessions() == 0)


@implementer(IProtocolPlugin)
class Stranger:
    """A protocol that knows nothing of vipproxy; it raises where the test wants it to."""

    options = None
    mode = "tcp"
    needs_backend = False
    raises_in = ""

    def factory(self, frontend: IFrontend, options: Any) -> Any:
        if Stranger.raises_in == "factory":
            raise ZeroDivisionError("in factory")
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = self.build  # type: ignore[method-assign, assignment]
        return factory

    def build(self, address: Any) -> Any:
        if Stranger.raises_in == "buildProtocol":
            raise ZeroDivisionError("in buildProtocol")
        return None if Stranger.raises_in == "nothing" else Shouter()


class Shouter(Protocol):
    transport: Any

    def connectionMade(self) -> None:
        if Stranger.raises_in == "connectionMade":
            raise ZeroDivisionError("in connectionMade")

    def dataReceived(self, data: bytes) -> None:
        if Stranger.raises_in == "dataReceived":
            raise ZeroDivisionError("in dataReceived")
        self.transport.write(data.upper())


class Strangers(ProxyCase):
    protocol = "tests.functional.test_doors:Stranger"

    def setUp(self) -> None:
        super().setUp()
        self.raise_in("")

    def raise_in(self, place: str) -> None:
        Stranger.raises_in = place

    async def test_counted(self) -> None:
        """Clients of a protocol that counts nothing itself are counted by the listener."""
        await self.proxy("", "127.0.0.1:1")
        client = await self.connect()
        client.send(b"hello")
        await client.hear(b"HELLO")
        self.assertEqual(self.sessions(), 1)
        client.reset()
        await self.until(lambda: self.sessions() == 0)

    async def test_no_protocol(self) -> None:
        """buildProtocol may answer None: the client is turned away."""
        await self.proxy("", "127.0.0.1:1")
        self.raise_in("nothing")
        client = await self.connect()
        self.assertEqual(await client.end(), b"")
        self.assertEqual(self.sessions(), 0)

    async def test_raises(self) -> None:
        """A protocol that raises, wherever it does, costs its own client and nobody else."""
        await self.proxy("", "127.0.0.1:1")
        bystander = await self.connect()
        for place in ("buildProtocol", "connectionMade", "dataReceived"):
            self.raise_in(place)
            victims = [await self.connect() for _ in range(5)]
            for victim in victims:
                victim.send(b"hello")
                self.assertEqual(await victim.end(), b"")
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 5)
            self.raise_in("")
            await self.until(lambda: self.sessions() == 1)
            bystander.send(place.encode())
            await bystander.hear(place.upper().encode())

    async def test_next_client_of_the_same_batch(self) -> None:
        """A client that was accepted together with one that was lost is served."""
        await self.proxy("", "127.0.0.1:1")
        raising = [True, False] * 5

        def connected(shouter: Shouter) -> None:
            if raising.pop(0):
                raise ZeroDivisionError

        self.patch(Shouter, "connectionMade", connected)
        clients = [socket.create_connection(self.way_in()) for _ in range(10)]
        for client in clients:
            self.addCleanup(client.close)
            client.sendall(b"hello")
        await self.until(lambda: len(select.select(clients, [], [], 0)[0]) == 10)
        answers = [answer(client) for client in clients]
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 5)
        self.assertEqual(answers.count(b"HELLO"), 5)
        for client in clients:
            client.close()
        await self.until(lambda: self.sessions() == 0)


def answer(client: socket.socket) -> bytes:
    """What a client hears; a reset is no answer."""
    with contextlib.suppress(ConnectionResetError):
        return client.recv(10)
    return b""
