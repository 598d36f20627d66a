"""The native engine connects by itself: one call a session; if it fails, the client comes back."""

from __future__ import annotations

import socket
from typing import Any

from attrs import define, field
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.engines.engines import native_relay
from vipproxy.config.options import KeepaliveOptions
from vipproxy.counters import Traffic
from vipproxy.errors import ConnectFailed, ConnectTimeout, SessionError
from vipproxy.interfaces import IDialTaker, IRelayTaker
from vipproxy.sockets import local_of
from vipproxy.values import Address, Ending

PATIENCE = 5.0


@implementer(IRelayTaker)
@define(eq=False)
class RelayTaker:
    ended: Deferred[Ending] = field(factory=Deferred)

    def relay_ended(self, ending: Ending) -> None:
        self.ended.callback(ending)


@implementer(IDialTaker)
@define(eq=False)
class DialTaker:
    told: Deferred[Any] = field(factory=Deferred)

    def dialled(self, server: Any) -> None:
        self.told.callback(server)

    def dial_failed(self, error: SessionError) -> None:
        self.told.callback(error)


class DialTests(TestCase):
    def setUp(self) -> None:
        self.relay = native_relay(reactor)
        self.addCleanup(self.relay.stop)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listening.close)
        self.peer, self.client = socket.socketpair()
        self.client.setblocking(False)
        self.peer.settimeout(PATIENCE)
        self.addCleanup(self.peer.close)
        self.addCleanup(self.client.close)
        self.taker, self.dial_taker, self.traffic = RelayTaker(), DialTaker(), Traffic()

    def dial(
        self,
        address: Address | None = None,
        timeout: float = PATIENCE,
        greeting: bytes = b"",
        keepalive: KeepaliveOptions | None = None,
    ) -> Any:
        return self.relay.dial(
            self.client,
            address or local_of(self.listening),
            timeout,
            self.dial_taker,
            keepalive,
            greeting,
            self.taker,
            self.traffic,
            60.0,
            60.0,
        )

    def accept(self) -> socket.socket:
        server, _ = self.listening.accept()
        server.settimeout(PATIENCE)
        self.addCleanup(server.close)
        return server

    def silent_server(self) -> Address:
        """One whose queue is full: it drops what comes."""
        full = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.addCleanup(full.close)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            self.addCleanup(filler.close)
        return local_of(full)

    async def test_relays(self) -> None:
        """Bytes flow once the server has accepted; the greeting goes first, and is not counted."""
        self.peer.sendall(b"question")
        dial = self.dial(greeting=b"PROXY ")
        server = self.accept()
        self.assertEqual(server.makefile("rb").read(14), b"PROXY question")
        session = await self.dial_taker.told
        self.assertIs(session, dial)
        self.client.detach()
        server.sendall(b"answer")
        self.assertEqual(self.peer.recv(100), b"answer")
        self.assertEqual(self.traffic, Traffic(8, 6))
        session.shut_down()
        self.assertEqual(self.peer.recv(100), b"")

    async def test_ends(self) -> None:
        """The dial's taker is told of the beginning, then the relay's taker of the end."""
        self.dial()
        server = self.accept()
        await self.dial_taker.told
        self.client.detach()
        self.peer.close()
        server.close()
        self.assertEqual(await self.taker.ended, Ending.NORMAL)

    async def test_refused(self) -> None:
        """A server that refuses: the client's socket has stayed what it was."""
        address = local_of(self.listening)
        self.listening.close()
        self.dial(address)
        self.assertIsInstance(await self.dial_taker.told, ConnectFailed)
        self.client.send(b"sorry")
        self.assertEqual(self.peer.recv(100), b"sorry")

    async def test_timeout(self) -> None:
        """A server that does not answer: the connect has a limit of its own."""
        self.dial(self.silent_server(), timeout=0.1)
        self.assertIsInstance(await self.dial_taker.told, ConnectTimeout)
        self.client.send(b"sorry")
        self.assertEqual(self.peer.recv(100), b"sorry")

    def test_cancel(self) -> None:
        """Cancelled in time, nobody is told, and the client stays the caller's."""
        dial = self.dial(self.silent_server())
        self.assertTrue(dial.cancel())
        self.client.send(b"still here")
        self.assertEqual(self.peer.recv(100), b"still here")
        self.assertFalse(self.dial_taker.told.called)

    def test_cancelled_late(self) -> None:
        """Connected, but not told yet: cancel says so, and then nothing is told any more."""
        dial = self.dial()
        server = self.accept()
        self.peer.sendall(b"x")
        self.assertEqual(server.recv(1), b"x")  # so it is connected; the reactor has not run
        self.assertFalse(dial.cancel())
        self.client.detach()
        dial.shut_down()
        self.assertEqual(self.peer.recv(100), b"")
        self.relay.doRead()
        self.assertFalse(self.dial_taker.told.called)

    async def test_impossible(self) -> None:
        """An address to which nobody can connect is an error like any other."""
        self.dial(Address("255.255.255.255", 1))
        self.assertIsInstance(await self.dial_taker.told, SessionError)
