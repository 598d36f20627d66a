"""Fakes without sockets, for unit tests of protocol plugins.

A test makes a frontend, lets the plugin's factory build a protocol on a `MemoryTransport`, and
then plays server by hand::

    connector = FakeConnector()
    frontend = memory_frontend(connector)
    protocol = MyProtocol().factory(frontend, None).buildProtocol(None)
    client = MemoryTransport()
    client.connect(protocol)
    client.deliver(b"hello")
    server = connector.attempts[0].accept()
    assert server.value() == b"hello"
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from vipproxy.config.options import BackendOptions, FrontendConfig, FrontendOptions
from vipproxy.config.records import Chosen
from vipproxy.counters import Counters, Traffic
from vipproxy.errors import ConnectFailed, SessionError
from vipproxy.frontend import Frontend
from vipproxy.interfaces import (
    CapturedMessage,
    IAttempt,
    IBackend,
    IClosable,
    ICluster,
    IConnector,
    IConnectTaker,
    IDialler,
    ILease,
    ILeaseTaker,
    IReuser,
    IRevocable,
    IServer,
    IServerWatcher,
    ITrail,
    LeaseRequest,
    SessionView,
    TableView,
)
from vipproxy.relay.twisted import TwistedRelay
from vipproxy.values import Address, ClusterSnapshot, Ending, ProcessSnapshot

CLIENT = Address("192.0.2.7", 40000)
VIP = Address("192.0.2.220", 3306)
SERVER = Address("192.0.2.1", 3306)


@implementer(IClosable)
class MemoryTransport(StringTransport):
    """A connection whose other end is the test: `deliver` to it, read its `value`."""

    protocol: Any = None
    closed = False
    aborted = False
    half_closed = False
    """Whether the protocol has ended its output."""

    def __init__(self, peer: Address = CLIENT, host: Address = VIP) -> None:
        super().__init__(
            hostAddress=IPv4Address("TCP", host.host, host.port),
            peerAddress=IPv4Address("TCP", peer.host, peer.port),
        )

    def connect(self, protocol: Any) -> None:
        """Let a protocol speak on it."""
        self.protocol = protocol
        protocol.makeConnection(self)

    def deliver(self, data: bytes) -> None:
        """The peer has sent this."""
        self.protocol.dataReceived(data)

    def end_input(self) -> None:
        """The peer has ended its output: a half-close where the protocol knows of such."""
        if IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.readConnectionLost()
        else:
            self._close(ConnectionDone())

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def loseConnection(self) -> None:
        self._close(ConnectionDone())

    def abortConnection(self) -> None:
        self.aborted = True
        self._close(ConnectionAborted())

    def unregisterProducer(self) -> None:
        """Also without a producer, as Twisted's TCP transports allow."""
        self.producer = None

    def _close(self, reason: Exception) -> None:
        if not self.closed:
            self.closed = True
            self.protocol.connectionLost(Failure(reason))


@implementer(IServer)
@define(eq=False)
class FakeServerEntry:
    """A server as protocols see it."""

    name: str
    address: Address = SERVER
    weight: int = 1
    sessions: int = 0
    maxconn: int = 0
    cookie: str | None = None
    counters: Counters = field(factory=Counters)
    send_proxy: str | None = None


@implementer(ILease)
@define(eq=False)
class FakeLease:
    """Remembers what became of it."""

    server: FakeServerEntry
    traffic: Traffic = field(factory=Traffic)
    holder: IRevocable | None = None
    by_cookie: bool = False
    established: bool = False
    opened_at: float = 0.0
    backend: Any = None
    waited: float = 0.0
    connected_at: float = 0.0
    answered_at: float | None = None
    ending: Ending | None = None
    """None while it is out."""
    error: SessionError | None = None
    """Why the server was said to refuse."""

    def connected(self) -> None:
        self.established = True

    def refused(self, error: SessionError) -> None:
        self.error = error
        self._end(Ending.SERVER_ABORT)

    def release(self, ending: Ending) -> None:
        self._end(ending)

    def settle(self) -> None:
        if IAttempt.providedBy(self.holder) and not self.established:
            self.holder.settle()

    def revoke(self, ending: Ending) -> None:
        """The server is marked down: the holder is told, once."""
        self.settle()
        if self._end(ending) and self.holder is not None:
            self.holder.revoked(ending)

    def _end(self, ending: Ending) -> bool:
        if self.ending is not None:
            return False
        self.ending = ending
        self.server.sessions -= 1
        return True


@implementer(IBackend)
class FakeBackend:
    """Gives its servers in turn, or refuses everybody while `error` is set."""

    def __init__(
        self,
        name: str = "backend",
        servers: Iterable[FakeServerEntry] = (),
        options: BackendOptions | None = None,
    ) -> None:
        self.name = name
        self.servers = list(servers) or [FakeServerEntry("server1")]
        self.options = options or BackendOptions()
        self.counters = Counters()
        self.error: SessionError | None = None
        self.requests: list[LeaseRequest] = []
        self.leases: list[FakeLease] = []
        self.forgotten: list[ILeaseTaker] = []
        self.watchers: list[IServerWatcher] = []

    def lease(self, request: LeaseRequest, taker: ILeaseTaker) -> None:
        self.requests.append(request)
        if self.error is not None:
            taker.refused(self.error)
        else:
            taker.leased(self.grant(request))

    def grant(self, request: LeaseRequest) -> FakeLease:
        """A lease of the server that the cookie names, else of the next one."""
        chosen = self.server_of_cookie(request.cookie) if request.cookie else None
        server = chosen or self.servers[len(self.leases) % len(self.servers)]
        server.sessions += 1
        lease = FakeLease(server, by_cookie=chosen is not None)
        self.leases.append(lease)
        return lease

    def forget(self, taker: ILeaseTaker) -> None:
        self.forgotten.append(taker)

    def server_of_cookie(self, value: str) -> FakeServerEntry | None:
        return next((each for each in self.servers if each.cookie == value), None)

    @property
    def usable_servers(self) -> int:
        return 0 if self.error is not None else len(self.servers)

    @property
    def queued(self) -> int:
        return 0

    def is_usable(self, server: str) -> bool:
        return self.error is None and any(each.name == server for each in self.servers)

    def watch(self, watcher: IServerWatcher) -> None:
        self.watchers.append(watcher)


@implementer(IAttempt)
@define(eq=False)
class FakeAttempt:
    """A client on its way to a server; the test decides whether it arrives."""

    backend: Any
    request: LeaseRequest
    taker: IConnectTaker
    reuser: IReuser | None = None
    started: float = 0.0
    cancelled: bool = False
    lease: FakeLease | None = None

    def accept(self) -> MemoryTransport:
        """The server accepts: the transport is the proxy's side of the connection to it."""
        self.lease = lease = self.backend.grant(self.request)
        lease.holder = self.taker
        lease.connected()
        transport = MemoryTransport(peer=lease.server.address)
        self.taker.connected(lease, transport)
        return transport

    def settle(self) -> bool:
        """The server has not accepted unless the test said so."""
        return False

    def refuse(self, error: SessionError | None = None) -> None:
        """No server can be reached."""
        self.taker.connect_failed(error or ConnectFailed("connection refused"))

    def cancel(self) -> None:
        self.cancelled = True


@implementer(IConnector)
class FakeConnector:
    """Notes every attempt, and leaves it to the test. Its backends are `FakeBackend`."""

    def __init__(self) -> None:
        self.attempts: list[FakeAttempt] = []

    def connect(
        self,
        backend: IBackend,
        request: LeaseRequest,
        taker: IConnectTaker,
        reuser: IReuser | None = None,
        dialler: IDialler | None = None,
        trail: ITrail | None = None,
    ) -> FakeAttempt:
        attempt = FakeAttempt(backend, request, taker, reuser)
        self.attempts.append(attempt)
        return attempt


@implementer(ICluster)
class EmptyCluster:
    """A proxy without frontends and backends, for protocols that ask."""

    def snapshot(self) -> ClusterSnapshot:
        process = ProcessSnapshot(
            pid=0,
            node="test",
            version="0",
            started_at=0.0,
            uptime=0.0,
            session_limit=0,
            descriptor_limit=0,
            stopping=False,
            config_path="",
        )
        return ClusterSnapshot(process, frontends=(), backends=())

    def sessions(self) -> list[SessionView]:
        return []

    def tables(self) -> list[TableView]:
        return []

    def captures(self) -> tuple[int, list[CapturedMessage]]:
        return 0, []


def memory_frontend(
    connector: IConnector | None = None,
    backends: Iterable[FakeBackend] = (),
    clock: Clock | None = None,
    options: FrontendOptions | None = None,
) -> Frontend:
    """A real frontend that listens nowhere, with a real relay, on fake time.

    `backends` are the backends that the protocol may use, the first of them the frontend's own;
    by default there is one.
    """
    pools = {each.name: each for each in list(backends) or [FakeBackend()]}
    clock = clock or Clock()
    if options is None:
        chosen = Chosen(name="test")
        options = FrontendOptions(protocol=chosen, bind=(VIP,), backend=next(iter(pools)))
    config = FrontendConfig("test", options, protocol_options=None, backends=tuple(pools))
    relay, cluster = TwistedRelay(clock), EmptyCluster()
    return Frontend(
        config,
        clock,
        connector or FakeConnector(),
        relay,
        relay.transports,
        cluster,
        pools,
    )
