"""Trial tests of an application that lives behind the proxy: `trial examples/test_shop.py`.

The shop keeps its prices on three nodes, and its clients reach them through a virtual address.
What does a client notice when a node is killed, or hangs? The tests start fake nodes and a whole
proxy in the test's own process, on loopback, and then do it.
"""

from __future__ import annotations

from typing import Any

from twisted.application.internet import ClientService
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.task import deferLater
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from vipproxy.testing import FakeCluster, FakeServer, ProxyHarness
from vipproxy.values import Address

# -- the application ---------------------------------------------------------------------------

PAUSE = 0.05
"""Seconds before the next attempt."""


class ShopConnection(LineOnlyReceiver):
    """One connection to the shop: a question a line, an answer a line."""

    delimiter = b"\n"
    answer: Deferred[str] | None = None

    def ask(self, item: str) -> Deferred[str]:
        self.answer = Deferred()
        self.sendLine(item.encode())
        return self.answer

    def lineReceived(self, line: bytes) -> None:
        if self.answer is not None:
            answer, self.answer = self.answer, None
            answer.callback(line.decode())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.answer is not None:
            self.answer.errback(reason)


class ShopClient(ClientService):
    """Stays connected; asks again when the connection breaks before there is an answer."""

    def __init__(self, address: Address) -> None:
        endpoint = TCP4ClientEndpoint(reactor, address.host, address.port)
        connections = Factory.forProtocol(ShopConnection)
        super().__init__(endpoint, connections, retryPolicy=lambda attempt: PAUSE)

    async def price(self, item: str) -> str:
        while True:
            connection: Any = await self.whenConnected()
            try:
                answer: str = await connection.ask(item)
                return answer
            except (ConnectionDone, ConnectionLost):
                await deferLater(reactor, PAUSE)


# -- its tests ---------------------------------------------------------------------------------


class ShopNode(LineOnlyReceiver):
    """What a fake node serves: a price that tells which node it is from."""

    delimiter = b"\n"

    def __init__(self, server: FakeServer) -> None:
        self.server = server

    def lineReceived(self, line: bytes) -> None:
        self.sendLine(b"%b costs 5, says %b" % (line, self.server.node.encode()))


def shop_nodes(server: FakeServer) -> Factory:
    return Factory.forProtocol(lambda: ShopNode(server))


CONFIG = """
[frontend shop]
protocol = tcp
bind     = 127.0.0.1:0
backend  = nodes

[backend nodes]
balance        = first
check          = http interval=50ms timeout=500ms fall=2
on-marked-down = shutdown-sessions
"""


class ShopTests(TestCase):
    timeout = 20

    async def setUp(self) -> None:  # type: ignore[override]
        self.cluster = FakeCluster(reactor, {"shop": shop_nodes, "health": "clustercheck"}, nodes=3)
        self.addCleanup(self.cluster.stop)
        self.cluster.start()
        self.proxy = ProxyHarness(reactor, CONFIG + "\n".join(map(self.server, self.cluster.nodes)))
        self.addCleanup(self.proxy.stop)
        await self.proxy.start()
        self.client = self.new_client()

    def server(self, node: str) -> str:
        """A node's line in the configuration."""
        health = self.cluster.address(node, "health")
        return f"server {node} = {self.cluster.address(node, 'shop')} check-port={health.port}"

    def new_client(self) -> ShopClient:
        client = ShopClient(self.proxy.address("shop"))
        self.addCleanup(client.stopService)
        client.startService()
        return client

    async def test_price(self) -> None:
        """A client gets its answer from the first node."""
        self.assertEqual(await self.client.price("tea"), "tea costs 5, says node1")

    async def test_killed(self) -> None:
        """When its node is killed, a client is answered by the next one."""
        await self.client.price("tea")
        await self.cluster.kill("node1")
        self.assertEqual(await self.client.price("tea"), "tea costs 5, says node2")

    async def test_killed_twice(self) -> None:
        """One node of three is enough."""
        await self.cluster.kill("node1")
        await self.cluster.kill("node2")
        self.assertEqual(await self.client.price("tea"), "tea costs 5, says node3")

    async def test_hung(self) -> None:
        """A node that accepts and says nothing is marked down, which frees the client from it."""
        await self.client.price("tea")
        self.cluster.hang("node1")
        self.assertEqual(await self.client.price("tea"), "tea costs 5, says node2")
        self.assertFalse(self.proxy.server("nodes", "node1").up)

    async def test_no_node(self) -> None:
        """While all nodes are dead a client waits; the first that is healed answers."""
        for node in self.cluster.nodes:
            await self.cluster.kill(node)
        question = Deferred.fromCoroutine(self.client.price("tea"))
        await self.proxy.until_down("nodes", "node3")
        self.assertNoResult(question)
        self.cluster.heal("node3")
        self.assertEqual(await question, "tea costs 5, says node3")

    async def test_healed(self) -> None:
        """A healed node serves new clients; old ones stay where they are."""
        await self.cluster.kill("node1")
        await self.client.price("tea")
        self.cluster.heal("node1")
        await self.proxy.until_up("nodes", "node1")
        self.assertEqual(await self.new_client().price("tea"), "tea costs 5, says node1")
        self.assertEqual(await self.client.price("tea"), "tea costs 5, says node2")
