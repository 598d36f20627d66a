"""In-memory stand-ins around the HTTP frontend: transports with back-pressure, a backend of one
or more servers, and a connector that connects when it is told to."""

from __future__ import annotations

from itertools import count
from typing import Any

from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableDescriptor, ITransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from vipproxy.config.cookie_options import CookieOptions
from vipproxy.config.options import BackendOptions
from vipproxy.counters import Counters, Traffic
from vipproxy.errors import SessionError
from vipproxy.interfaces import (
    IAttempt,
    IBackend,
    IConnector,
    IFrontend,
    ILease,
    IRelay,
    IRelaySession,
    IServer,
)
from vipproxy.protocols.http.factory import HttpFactory
from vipproxy.protocols.http.options import HttpOptions
from vipproxy.sockets import TwistedTransports, attach
from vipproxy.values import Address, Ending

_turns = count(1)


@implementer(ITransport, IHalfCloseableDescriptor)
class Wire:
    """A transport whose peer is the test: it reads all at once, or nothing while `stalled`."""

    LIMIT = 65536

    def __init__(self, clock: Clock, stalled: bool = False) -> None:
        self.clock = clock
        self.stalled = stalled
        self.sent = b""
        """What the peer has got."""
        self.unsent = b""
        self.most_unsent = 0
        self.producer: Any = None
        self.protocol: Any = None
        self.paused = False
        self.ending = ""
        """How our side ended: '', 'half', 'closed', 'aborted'."""
        self.lost = False
        self.turn = 0
        """When it was last written to, among all wires."""
        self._producer_paused = False
        self._coming: list[bytes] = []

    # the proxy's side

    def write(self, data: bytes) -> None:
        if self.ending:
            return
        self.turn = next(_turns)
        self.unsent += data
        if not self.stalled:
            self.drain()
        self.most_unsent = max(self.most_unsent, len(self.unsent))
        if self.producer and len(self.unsent) > self.LIMIT and not self._producer_paused:
            self._producer_paused = True
            self.producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None
        self._producer_paused = False

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        while self._coming and not self.paused:
            self.protocol.dataReceived(self._coming.pop(0))

    def stopProducing(self) -> None:
        self.loseConnection()

    def loseConnection(self) -> None:
        assert self.producer is None, "a registered producer would keep the connection open"
        self.ending = "closed"
        if not self.unsent:
            self._lose_soon(ConnectionDone())

    def loseWriteConnection(self) -> None:
        self.ending = "half"

    def abortConnection(self) -> None:
        self.ending = "aborted"
        self._lose_soon(ConnectionAborted())

    def readConnectionLost(self, reason: Failure) -> None:
        raise AssertionError("the reactor's affair")

    writeConnectionLost = readConnectionLost

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.7", 40000)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.80", 80)

    # the peer's side

    def drain(self, size: int | None = None) -> None:
        """The peer reads some, or all, of what waits for it."""
        size = len(self.unsent) if size is None else size
        self.sent, self.unsent = self.sent + self.unsent[:size], self.unsent[size:]
        if not self.unsent and self._producer_paused:
            self._producer_paused = False
            self.producer.resumeProducing()
        if not self.unsent and self.ending == "closed":
            self._lose_soon(ConnectionDone())

    def receive(self, data: bytes) -> None:
        """The peer sends; while the proxy has paused us, it waits in the kernel."""
        if self.paused:
            self._coming.append(data)
        elif not self.lost:
            self.protocol.dataReceived(data)

    def receive_each(self, data: bytes) -> None:
        """The peer sends byte by byte."""
        for at in range(len(data)):
            self.receive(data[at : at + 1])

    def finish(self) -> None:
        """The peer ends its output."""
        if hasattr(self.protocol, "readConnectionLost"):
            self.protocol.readConnectionLost()
        else:
            self.lost = True
            self.protocol.connectionLost(Failure(ConnectionDone()))

    def reset(self) -> None:
        self.lost = True
        self.protocol.connectionLost(Failure(ConnectionLost()))

    def _lose_soon(self, reason: Exception) -> None:
        """As Twisted's transports do: our own close is reported in another turn."""
        if not self.lost:
            self.lost = True
            self.clock.callLater(0, self.protocol.connectionLost, Failure(reason))


@implementer(IServer)
@define(eq=False)
class FakeServer:
    name: str = "s1"
    cookie: str | None = "c1"
    address: Address = Address("127.0.0.1", 80)
    weight: int = 1
    sessions: int = 0
    maxconn: int = 0
    counters: Counters = field(factory=Counters)
    send_proxy: str | None = None


@implementer(ILease)
@define(eq=False)
class FakeLease:
    server: FakeServer
    by_cookie: bool = False
    traffic: Traffic = field(factory=Traffic)
    holder: Any = None
    endings: list[Ending] = field(factory=list)

    established: bool = False
    waited: float = 0.0
    opened_at: float = 0.0
    connected_at: float = 0.0
    answered_at: float | None = None

    def __attrs_post_init__(self) -> None:
        counters = self.server.counters
        self.server.sessions += 1
        counters.sessions_max = max(counters.sessions_max, self.server.sessions)

    def connected(self) -> None:
        self.established = True

    def refused(self, error: SessionError) -> None:
        raise AssertionError("the connector's affair")

    def release(self, ending: Ending) -> None:
        if not self.endings:
            self.endings.append(ending)
            self.server.sessions -= 1

    def revoke(self, ending: Ending) -> None:
        self.server.sessions -= 1
        self.holder.revoked(ending)


@implementer(IBackend)
@define(eq=False)
class FakeBackend:
    options: BackendOptions
    servers: list[FakeServer]
    name: str = "pool"
    counters: Counters = field(factory=Counters)
    watchers: list[Any] = field(factory=list)

    def lease(self, request: Any, taker: Any) -> None:
        raise AssertionError("the connector's affair")

    def forget(self, taker: Any) -> None:
        raise AssertionError("the connector's affair")

    def server_of_cookie(self, value: str) -> FakeServer | None:
        return next((each for each in self.servers if each.cookie == value), None)

    @property
    def usable_servers(self) -> int:
        return len(self.servers)

    @property
    def queued(self) -> int:
        return 0

    def is_usable(self, server: str) -> bool:
        return any(each.name == server for each in self.servers)

    def watch(self, watcher: Any) -> None:
        self.watchers.append(watcher)

    def mark_down(self, server: FakeServer) -> None:
        for watcher in self.watchers:
            watcher.server_fell(server)


@implementer(IAttempt)
@define(eq=False)
class FakeAttempt:
    backend: FakeBackend
    request: Any
    taker: Any
    reuser: Any = None
    trail: Any = None
    started: float = 0.0
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True

    def settle(self) -> bool:
        return False


@implementer(IConnector)
class FakeConnector:
    """Connects at once, unless it is told to wait or to fail."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.attempts: list[FakeAttempt] = []
        self.leases: list[FakeLease] = []
        self.wires: list[Wire] = []
        self.waits = False
        self.stalled = False
        self.error: SessionError | None = None

    def connect(
        self,
        backend: Any,
        request: Any,
        taker: Any,
        reuser: Any = None,
        dialler: Any = None,
        trail: Any = None,
    ) -> FakeAttempt:
        attempt = FakeAttempt(backend, request, taker, reuser, trail)
        self.attempts.append(attempt)
        if self.error is not None:
            taker.connect_failed(self.error)
        elif not self.waits:
            self.let_through(attempt)
        return attempt

    def let_through(self, attempt: FakeAttempt, cookie: bool = True) -> None:
        """Connect; without `cookie`, the server that the client's cookie names is not usable."""
        backend = attempt.backend
        chosen = backend.server_of_cookie(attempt.request.cookie or "") if cookie else None
        self.leases.append(FakeLease(chosen or backend.servers[0], by_cookie=chosen is not None))
        if attempt.trail is not None:
            attempt.trail.leased(self.leases[-1], False)
        if attempt.reuser is not None and attempt.reuser.reuse(self.leases[-1]):
            return
        self.wires.append(Wire(self.clock, self.stalled))
        attempt.taker.connected(self.leases[-1], self.wires[-1])


@implementer(IRelaySession)
class FakeTunnel:
    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)
        self.is_shut = False

    def shut_down(self, last_words: bytes = b"") -> None:
        self.is_shut = True


@implementer(IRelay)
class FakeRelay:
    def __init__(self) -> None:
        self.tunnels: list[Any] = []

    def stop(self) -> None:
        """Nothing is left behind."""

    def relay(
        self, client: Any, server: Any, taker: Any, traffic: Any, client_timeout: float,
        server_timeout: float, to_server: bytes = b"", to_client: bytes = b"",
    ) -> FakeTunnel:  # fmt: skip
        given = dict(locals())
        del given["self"]
        tunnel = FakeTunnel(**given)
        self.tunnels.append(tunnel)
        return tunnel


@define
class FakeFrontendOptions:
    timeout_client: float = 30.0
    acl: Any = ()


@implementer(IFrontend)
@define(eq=False)
class FakeFrontend:
    backend: FakeBackend
    clock: Clock
    connector: FakeConnector
    name: str = "web"
    options: FakeFrontendOptions = field(factory=FakeFrontendOptions)
    counters: Counters = field(factory=Counters)
    relay: FakeRelay = field(factory=FakeRelay)
    cluster: Any = None
    control: Any = None
    destination: Address | None = None
    log: Any = None
    stopping: bool = False
    clients: dict[Any, Traffic] = field(factory=dict)
    refused: list[tuple[bytes, str]] = field(factory=list)
    """Bytes that were refused, and why."""
    userlists: dict[str, Any] = field(factory=dict)

    @property
    def backends(self) -> dict[str, FakeBackend]:
        return {self.backend.name: self.backend}

    def backend_named(self, name: str) -> FakeBackend:
        return self.backend

    def opened(self, client: Any) -> Traffic:
        return self.clients.setdefault(client, Traffic())

    def handed_over(self, client: Any, heir: Any) -> None:
        self.clients[heir] = self.clients.pop(client)

    def closed(self, client: Any) -> None:
        self.clients.pop(client, None)

    def refused_request(self, source: Address, data: bytes, reason: str) -> None:
        self.refused.append((data, reason))

    def refused_response(
        self, backend: str, server: str, source: Address, data: bytes, reason: str
    ) -> None:
        self.refused.append((data, reason))

    def attach(self, side: Any, protocol: Any) -> Any:
        return attach(side, protocol, TwistedTransports(self.clock))


class Proxy:
    """An HTTP frontend with one client, all in memory."""

    def __init__(
        self,
        cookie: CookieOptions | None = None,
        timeout_server: float = 20.0,
        send_proxy: str | None = None,
        backend: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """`backend` has more of the backend's options, `options` are the protocol's."""
        servers = [FakeServer("s1", "c1"), FakeServer("s2", "c2")]
        backend_options = BackendOptions(
            cookie=cookie, timeout_server=timeout_server, send_proxy=send_proxy, **backend or {}
        )
        self.backend = FakeBackend(backend_options, servers)
        self.clock = Clock()
        self.connector = FakeConnector(self.clock)
        self.frontend = FakeFrontend(self.backend, self.clock, self.connector)
        self.factory = HttpFactory(self.frontend, HttpOptions(**options))
        self.client = self.connect()

    def connect(self, stalled: bool = False) -> Wire:
        wire = Wire(self.clock, stalled)
        wire.protocol = self.factory.buildProtocol(None)
        wire.protocol.makeConnection(wire)
        return wire

    @property
    def server(self) -> Wire:
        """The connection to a server that was written to last."""
        return max(self.connector.wires, key=lambda wire: wire.turn)

    @property
    def lease(self) -> FakeLease:
        return self.connector.leases[-1]

    def ask(self, request: bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") -> bytes:
        """What the server gets for a request."""
        before = {wire: len(wire.sent) for wire in self.connector.wires}
        self.client.receive(request)
        server = self.server
        return server.sent[before.get(server, 0) :]

    def reply(self, response: bytes) -> bytes:
        """What the client gets for a response."""
        before = len(self.client.sent)
        self.server.receive(response)
        return self.client.sent[before:]
