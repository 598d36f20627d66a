"""What `vipproxy.testing` offers: fake nodes, a proxy in a test, fakes without sockets."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionRefusedError as TwistedConnectionRefused
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from vipproxy.errors import ConfigError, NoServer
from vipproxy.framing.mysql import parse_greeting
from vipproxy.interfaces import (
    IAttempt,
    IBackend,
    IClosable,
    ICluster,
    IConnector,
    ILease,
    IServer,
    LeaseRequest,
)
from vipproxy.protocols.tcp import TcpOptions, TcpProtocol
from vipproxy.testing import (
    FakeBackend,
    FakeCluster,
    FakeConnector,
    FakeServerEntry,
    MemoryTransport,
    ProxyHarness,
    memory_frontend,
)
from vipproxy.testing.memory import CLIENT, VIP, EmptyCluster, FakeAttempt, FakeLease
from vipproxy.values import Address, Ending

SERVICES = {"mq": "tcp", "web": "http", "db": "mysql", "db-check": "clustercheck"}


class Client(Protocol):
    """Collects what it hears."""

    transport: Any

    def __init__(self) -> None:
        self.heard = b""
        self.lost: Deferred[None] = Deferred()
        self._wanted = b""
        self._hearing: Deferred[bytes] | None = None

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        if self._hearing is not None and self._wanted in self.heard:
            hearing, self._hearing = self._hearing, None
            hearing.callback(self.heard)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)

    async def hear(self, text: bytes) -> bytes:
        """All that was heard, once `text` is part of it."""
        if text not in self.heard:
            self._wanted, self._hearing = text, Deferred()
            await self._hearing
        return self.heard

    async def close(self) -> None:
        self.transport.loseConnection()
        await self.lost


async def connect(address: Address) -> Client:
    client: Client = await connectProtocol(
        TCP4ClientEndpoint(reactor, address.host, address.port), Client()
    )
    return client


class FakeClusterTests(TestCase):
    def setUp(self) -> None:
        self.cluster = FakeCluster(reactor, SERVICES, nodes=2)
        self.cluster.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.cluster.stop()))

    async def ask(self, service: str, request: bytes, answer: bytes, node: str = "node1") -> bytes:
        client = await connect(self.cluster.address(node, service))
        client.transport.write(request)
        heard = await client.hear(answer)
        await client.close()
        return heard

    async def test_tcp(self) -> None:
        """A tcp service answers every line with its node's name and the line."""
        self.assertEqual(await self.ask("mq", b"hello\n", b"\n"), b"node1 hello\n")
        self.assertEqual(await self.ask("mq", b"hello\n", b"\n", "node2"), b"node2 hello\n")

    async def test_http(self) -> None:
        """An http service names its node in a header, and reports the request in the body."""
        request = b"GET /x HTTP/1.1\r\nHost: a\r\nCookie: b=c\r\n\r\n"
        heard = await self.ask("web", request, b"}")
        self.assertIn(b"\r\nX-Node: node1\r\n", heard)
        self.assertIn(b'"path": "/x"', heard)
        self.assertIn(b'["cookie", "b=c"]', heard)

    async def test_mysql(self) -> None:
        """A mysql service greets with a version that names its node."""
        heard = await self.ask("db", b"", b"mysql_native_password\0")
        self.assertEqual(parse_greeting(heard[4:]).version, "10.11.0-MariaDB-node1")

    async def test_clustercheck(self) -> None:
        """A clustercheck answers 200, or 503 while its node is not available, and closes."""
        self.assertIn(b" 200 OK\r\n", await self.ask("db-check", b"x", b"is synced"))
        self.cluster.server("node1", "db-check").available = False
        self.assertIn(b" 503 Service", await self.ask("db-check", b"x", b"is not synced"))

    async def test_counters(self) -> None:
        """A node counts its connections and requests."""
        await self.ask("mq", b"one\ntwo\n", b"two")
        await self.ask("web", b"GET / HTTP/1.0\r\n\r\n", b"}")
        node = self.cluster.nodes["node1"]
        self.assertEqual((node.connections, node.requests), (2, 3))
        self.assertEqual(self.cluster.nodes["node2"].connections, 0)

    async def test_kill(self) -> None:
        """A killed node ends its sessions and refuses new ones; its neighbour goes on."""
        client = await connect(self.cluster.address("node1", "mq"))
        client.transport.write(b"hello\n")
        await client.hear(b"hello")
        await self.cluster.kill("node1")
        await client.lost
        address = self.cluster.address("node1", "mq")
        await self.assertFailure(Deferred.fromCoroutine(connect(address)), TwistedConnectionRefused)
        await self.ask("mq", b"hello\n", b"hello", "node2")

    async def test_heal_after_kill(self) -> None:
        """A healed node serves again, on the port it had."""
        before = self.cluster.address("node1", "mq")
        await self.cluster.kill("node1")
        self.cluster.heal("node1")
        self.assertEqual(self.cluster.address("node1", "mq"), before)
        await self.ask("mq", b"hello\n", b"hello")

    async def test_hang(self) -> None:
        """A hung node accepts and says nothing; what it was asked is answered once healed."""
        old = await connect(self.cluster.address("node1", "mq"))
        old.transport.write(b"one\n")
        await old.hear(b"one")
        self.cluster.hang("node1")
        new = await connect(self.cluster.address("node1", "db"))
        old.transport.write(b"two\n")
        await deferLater(reactor, 0.05)
        self.assertEqual((old.heard, new.heard), (b"node1 one\n", b""))
        self.cluster.heal("node1")
        await old.hear(b"two")
        await new.hear(b"MariaDB-node1")
        await old.close()
        await new.close()

    async def test_vanish(self) -> None:
        """A node without power refuses new sessions and tells old ones nothing; until it boots."""
        address = self.cluster.address("node1", "mq")
        old = await connect(address)
        old.transport.write(b"one\n")
        await old.hear(b"one")
        await self.cluster.vanish("node1")
        await self.assertFailure(Deferred.fromCoroutine(connect(address)), TwistedConnectionRefused)
        old.transport.write(b"two\n")
        await deferLater(reactor, 0.05)
        self.assertEqual((old.heard, old.lost.called), (b"node1 one\n", False))
        self.cluster.heal("node1")
        await old.lost
        await self.ask("mq", b"hello\n", b"hello")

    async def test_stop_with_open_sessions(self) -> None:
        """Stopping closes everything, hung or not."""
        client = await connect(self.cluster.address("node1", "mq"))
        self.cluster.hang("node2")
        hung = await connect(self.cluster.address("node2", "db"))
        await deferLater(reactor, 0.01)
        await self.cluster.stop()
        await client.lost
        await hung.lost
        self.assertEqual([node.sessions for node in self.cluster.nodes.values()], [0, 0])


CONFIG = """
[frontend front]
protocol = tcp
bind     = 127.0.0.1:0
backend  = pool

[backend pool]
check = tcp interval=50ms fastinter=10ms
server node1 = {node1}
server node2 = {node2}
"""


class ProxyHarnessTests(TestCase):
    def setUp(self) -> None:
        self.cluster = FakeCluster(reactor, {"app": "tcp"}, nodes=2)
        self.cluster.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.cluster.stop()))
        names = {name: self.cluster.address(name, "app") for name in self.cluster.nodes}
        self.proxy = ProxyHarness(reactor, CONFIG.format(**names))
        self.addCleanup(lambda: Deferred.fromCoroutine(self.proxy.stop()))

    async def test_start(self) -> None:
        """Once started, every server has its verdict and the frontend serves."""
        await self.proxy.start()
        self.assertTrue(self.proxy.server("pool", "node1").up)
        self.assertTrue(self.proxy.server("pool", "node2").up)
        client = await connect(self.proxy.address("front"))
        client.transport.write(b"hello\n")
        await client.hear(b"hello")
        await client.close()

    async def test_until(self) -> None:
        """A test can wait for a server's fall and rise."""
        await self.proxy.start()
        await self.cluster.kill("node1")
        await self.proxy.until_down("pool", "node1")
        self.cluster.heal("node1")
        await self.proxy.until_up("pool", "node1")

    async def test_until_never(self) -> None:
        """Waiting in vain ends with an error that says for what."""
        await self.proxy.start()
        waiting = Deferred.fromCoroutine(self.proxy.until_down("pool", "node1", timeout=0.05))
        error = await self.assertFailure(waiting, TimeoutError)
        self.assertEqual(str(error), "pool/node1 being down did not come true within 0.05 s")

    async def test_stop_with_open_sessions(self) -> None:
        """Stopping ends open sessions, and a second stop is harmless."""
        await self.proxy.start()
        client = await connect(self.proxy.address("front"))
        client.transport.write(b"hello\n")
        await client.hear(b"hello")
        await self.proxy.stop()
        await client.lost
        await self.proxy.stop()

    def test_bad_configuration(self) -> None:
        """Text that does not load raises ConfigError."""
        self.assertRaises(ConfigError, ProxyHarness, reactor, "[frontend x]\n")


class MemoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.connector = FakeConnector()
        self.backend = FakeBackend()
        frontend = memory_frontend(self.connector, [self.backend])
        factory = TcpProtocol().factory(frontend, TcpOptions())
        self.client = MemoryTransport()
        self.client.connect(factory.buildProtocol(None))
        (self.attempt,) = self.connector.attempts

    def test_interfaces(self) -> None:
        """The fakes provide the interfaces that they stand for."""
        verifyObject(IBackend, self.backend)
        verifyObject(IConnector, self.connector)
        verifyObject(IAttempt, FakeAttempt(self.backend, self.attempt.request, self.attempt.taker))
        verifyObject(IServer, FakeServerEntry("a"))
        verifyObject(ILease, FakeLease(FakeServerEntry("a")))
        verifyObject(IClosable, self.client)
        verifyObject(ICluster, EmptyCluster())

    def test_session(self) -> None:
        """A protocol can be driven from the client's first byte to the end of its lease."""
        self.assertEqual(self.attempt.request, LeaseRequest(CLIENT, VIP))
        server = self.attempt.accept()
        self.client.deliver(b"question")
        server.deliver(b"answer")
        self.assertEqual((server.value(), self.client.value()), (b"question", b"answer"))
        server.end_input()
        self.client.end_input()
        self.assertTrue(server.closed and self.client.closed)
        (lease,) = self.backend.leases
        self.assertEqual(lease.ending, Ending.NORMAL)

    def test_no_server(self) -> None:
        """The connector can refuse."""
        self.attempt.refuse(NoServer("all servers are down"))
        self.assertTrue(self.client.closed)

    def test_mark_down(self) -> None:
        """A lease can be revoked under a session."""
        server = self.attempt.accept()
        (lease,) = self.backend.leases
        lease.revoke(Ending.MARKED_DOWN)
        self.assertTrue(server.closed and self.client.closed)

    def test_backend(self) -> None:
        """A fake backend gives its servers in turn, follows the cookie, and can refuse."""
        backend = FakeBackend(servers=[FakeServerEntry("a", cookie="x"), FakeServerEntry("b")])
        names = [
            backend.grant(LeaseRequest(CLIENT, VIP, cookie=cookie)).server.name
            for cookie in (None, None, "x", "unknown")
        ]
        self.assertEqual(names, ["a", "b", "a", "b"])
