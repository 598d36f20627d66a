"""A cluster of fake nodes on loopback, which can be killed, hung and healed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from vipproxy.sockets import hang_up
from vipproxy.testing.services import FACTORIES
from vipproxy.values import Address

LOOPBACK = "127.0.0.1"

Kind = str | Callable[["FakeServer"], IProtocolFactory]
"""What a fake server serves: tcp, http, mysql, clustercheck, or whatever a function makes."""


@implementer(IHalfCloseableProtocol)
class _Session(Protocol):
    """A client's connection; a hung server does not read it, and does not greet."""

    transport: Any

    def __init__(self, server: FakeServer, service: Any) -> None:
        self._server, self._service = server, service
        self._served = False

    def connectionMade(self) -> None:
        self._server.sessions.add(self)
        self._server.connections += 1
        if self._server.hung:
            self.freeze()
        else:
            self._serve()

    def freeze(self) -> None:
        self.transport.pauseProducing()

    def thaw(self) -> None:
        self.transport.resumeProducing()
        if not self._served:
            self._serve()

    def dataReceived(self, data: bytes) -> None:
        self._service.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._server.sessions.discard(self)
        if self._served:
            self._service.connectionLost(reason)

    def readConnectionLost(self) -> None:
        """The client has said all: let it have the answers that are on their way."""
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Never: nothing here half-closes."""

    def _serve(self) -> None:
        self._served = True
        self._service.makeConnection(self.transport)


class _Sessions(Factory):
    noisy = False

    def __init__(self, server: FakeServer) -> None:
        self._server = server
        kind = server.kind
        made = FACTORIES[kind] if isinstance(kind, str) else kind
        self._services: Any = made(server)

    def doStart(self) -> None:
        super().doStart()
        self._services.doStart()

    def doStop(self) -> None:
        super().doStop()
        self._services.doStop()

    def buildProtocol(self, addr: IAddress | None) -> _Session:
        return _Session(self._server, self._services.buildProtocol(addr))


@define(eq=False)
class FakeServer:
    """One service of one node: a listening socket and its sessions."""

    reactor: Any
    node: str
    service: str
    kind: Kind
    address: Address
    """Port 0 becomes a free port when it first starts; it keeps that port for life."""
    available: bool = True
    """A clustercheck answers 200 while it is true, else 503."""
    connections: int = 0
    """Accepted so far."""
    requests: int = 0
    """Lines, HTTP requests or MySQL commands so far."""
    hung: bool = False
    sessions: set[_Session] = field(factory=set)
    """The open connections."""
    _port: Any = None

    @property
    def listening(self) -> bool:
        return self._port is not None

    def start(self) -> None:
        """Listen; raises CannotListenError. Harmless where it listens already."""
        if self._port is None:
            host, port = self.address.host, self.address.port
            self._port = self.reactor.listenTCP(port, _Sessions(self), interface=host)
            self.address = Address(host, self._port.getHost().port)

    def kill(self) -> Deferred[Any]:
        """Refuse connections and end all sessions at once, as when the process is killed.

        The Deferred fires once the listening socket is closed.
        """
        for session in list(self.sessions):
            hang_up(session.transport)
        return self._stop_listening()

    def hang(self) -> None:
        """Go on accepting, but read and say nothing, as a stopped process does (SIGSTOP)."""
        self.hung = True
        for session in self.sessions:
            session.freeze()

    def vanish(self) -> Deferred[Any]:
        """Refuse connections and fall silent on open ones, as when the power fails.

        Nobody is told: only health checks and keepalives can find out. The Deferred fires once
        the listening socket is closed.
        """
        self.hang()
        return self._stop_listening()

    def heal(self) -> None:
        """Whatever was done to it, serve again, on the port it had.

        Sessions that hung go on; a server that had vanished knows nothing of them, and resets
        them.
        """
        sessions = list(self.sessions) if self.hung else []
        self.hung = False
        for session in sessions:
            if self.listening:
                session.thaw()
            else:
                session.transport.abortConnection()
        self.start()
        self.available = True

    def _stop_listening(self) -> Deferred[Any]:
        port, self._port = self._port, None
        return maybeDeferred(port.stopListening if port is not None else lambda: None)


@define(eq=False)
class FakeNode:
    """One machine of the cluster: some services on one address."""

    name: str
    servers: Mapping[str, FakeServer]
    """Service name -> server."""

    def start(self) -> None:
        """Listen on all ports; raises CannotListenError."""
        for server in self.servers.values():
            server.start()

    async def kill(self) -> None:
        """All services refuse connections, and all their sessions end."""
        for closing in [server.kill() for server in self.servers.values()]:
            await closing

    def hang(self) -> None:
        """All services accept and say nothing."""
        for server in self.servers.values():
            server.hang()

    async def vanish(self) -> None:
        """All services refuse connections, and fall silent on open ones."""
        for closing in [server.vanish() for server in self.servers.values()]:
            await closing

    def heal(self) -> None:
        """All services work again, on the ports they had."""
        for server in self.servers.values():
            server.heal()

    @property
    def sessions(self) -> int:
        """Open connections of all services."""
        return sum(len(server.sessions) for server in self.servers.values())

    @property
    def connections(self) -> int:
        """Connections that were accepted so far, by all services."""
        return sum(server.connections for server in self.servers.values())

    @property
    def requests(self) -> int:
        """Requests so far, of all services."""
        return sum(server.requests for server in self.servers.values())


class FakeCluster:
    """Some nodes with the same services, on loopback.

    `services` says what each node runs: service name -> kind (tcp, http, mysql, clustercheck),
    or (kind, port) where the port matters. A kind may also be a function that takes the
    `FakeServer`, and gives the factory of a protocol of the user's own. Nodes are called node1,
    node2... and are all on 127.0.0.1, which only goes with free ports; `hosts` gives other names
    and addresses: name -> IP address.
    """

    def __init__(
        self,
        reactor: Any,
        services: Mapping[str, Kind | tuple[Kind, int]],
        nodes: int = 3,
        hosts: Mapping[str, str] | None = None,
    ) -> None:
        self.nodes: dict[str, FakeNode] = {}
        hosts = hosts or {f"node{i + 1}": LOOPBACK for i in range(nodes)}
        for name, host in hosts.items():
            servers = {
                service: _server(reactor, name, host, service, kind)
                for service, kind in services.items()
            }
            self.nodes[name] = FakeNode(name, servers)

    def start(self) -> None:
        """All nodes listen. Raises CannotListenError; stop the cluster then, too."""
        for node in self.nodes.values():
            node.start()

    async def stop(self) -> None:
        """Close everything."""
        for node in self.nodes.values():
            await node.kill()

    async def kill(self, node: str) -> None:
        """A node's listening sockets are closed and its sessions end."""
        await self.nodes[node].kill()

    def hang(self, node: str) -> None:
        """A node accepts, and says nothing any more."""
        self.nodes[node].hang()

    async def vanish(self, node: str) -> None:
        """A node refuses connections, and falls silent on open ones, as when its power fails."""
        await self.nodes[node].vanish()

    def heal(self, node: str) -> None:
        """A node that was killed, hung or made unavailable serves again."""
        self.nodes[node].heal()

    def server(self, node: str, service: str) -> FakeServer:
        """One service of one node."""
        return self.nodes[node].servers[service]

    def address(self, node: str, service: str) -> Address:
        """Where it listens."""
        return self.server(node, service).address


def _server(
    reactor: Any, node: str, host: str, service: str, kind: Kind | tuple[Kind, int]
) -> FakeServer:
    kind, port = kind if isinstance(kind, tuple) else (kind, 0)
    return FakeServer(reactor, node, service, kind, Address(host, port))
