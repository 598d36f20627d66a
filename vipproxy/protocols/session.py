"""One client's use of one server, for protocols that pass bytes through: TCP, MySQL, plugins."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any

from zope.interface import implementer

from vipproxy.config.options import KeepaliveOptions
from vipproxy.errors import QueueTimeout, ServerMarkedDown, SessionError
from vipproxy.interfaces import (
    IAttempt,
    IBackend,
    IClosable,
    IConnector,
    IConnectTaker,
    IDial,
    IDialler,
    IDiallingRelay,
    IDialTaker,
    IFrontend,
    IInspectable,
    ILease,
    IRelaySession,
    IRelayTaker,
    IRevocable,
    LeaseRequest,
    Side,
)
from vipproxy.logs.record import Record
from vipproxy.sockets import hang_up
from vipproxy.values import Address, Ending

CLIENT_ENDINGS = frozenset({Ending.CLIENT_ABORT, Ending.CLIENT_TIMEOUT})
SERVER_ENDINGS = frozenset({Ending.SERVER_ABORT, Ending.SERVER_TIMEOUT})
PHASES = {Ending.NORMAL: "-", Ending.KILLED: "-"}
"""Of relayed sessions, as HAProxy logs them; all others end in the data phase."""

Refusal = Callable[[SessionError], bytes]
"""What a client is told, in its own protocol, when it gets no server."""


def silent(error: SessionError) -> bytes:
    """The refusal of protocols that have no words for it: the end of the connection."""
    return b""


@implementer(IClosable, IConnectTaker, IInspectable, IRevocable, IRelayTaker)
class Session:
    """Lease, connect, relay, release: the same for a raw socket and for a Twisted transport.

    `client` is the side that the client is on; a transport must have been paused. `predecessor`
    is what the frontend has known the client by.
    """

    __slots__ = (
        "_attempt", "_backend", "_client", "_frontend", "_lease", "_prelude", "_record", "_refusal",
        "_relay", "_traffic", "_tunnel", "peer",
    )  # fmt: skip

    def __init__(
        self,
        frontend: IFrontend,
        client: Side,
        refusal: Refusal = silent,
        timeout_tunnel: float | None = None,
        predecessor: IClosable | None = None,
    ) -> None:
        self._frontend, self._client, self._refusal = frontend, client, refusal
        if predecessor is not None:
            frontend.handed_over(predecessor, self._key)
        self._traffic = frontend.opened(self._key)
        self._tunnel = timeout_tunnel
        self._attempt: IAttempt | None = None
        self._lease: ILease | None = None
        self._relay: IRelaySession | None = None
        self._record: Record | None = None

    def start(
        self,
        backend: IBackend,
        client: Address,
        destination: Address,
        prelude: bytes = b"",
        record: Record | None = None,
    ) -> None:
        """Find a server; `prelude` is what has been read from the client already.

        A `record` of it may have begun.
        """
        self._backend, self._prelude, self.peer = backend, prelude, client
        self._traffic.bytes_in += len(prelude)
        log = self._frontend.log
        if log is not None:
            self._record = record or log.begin(client, destination)
        attempt = self._connect(backend, LeaseRequest(client, destination))
        if self._lease is None:
            self._attempt = attempt

    def _connect(self, backend: IBackend, request: LeaseRequest) -> IAttempt:
        return self._frontend.connector.connect(backend, request, self, trail=self._record)

    def connected(self, lease: ILease, server: Any) -> None:
        traffic, prelude = self._traffic, self._prelude
        self._attempt, self._lease, self._prelude = None, lease, b""
        lease.holder, lease.traffic = self, traffic
        self._connected_early()
        client_timeout, server_timeout = self._timeouts()
        self._relay = self._frontend.relay.relay(
            self._client, server, self, traffic, client_timeout, server_timeout, prelude
        )

    def connect_failed(self, error: SessionError) -> None:
        self._attempt = None
        words = self._refusal(error)
        self._traffic.bytes_out += len(words)
        _say_goodbye(self._client, words)
        self._write_down(error.ending, "Q" if isinstance(error, QueueTimeout) else "C")
        self._frontend.closed(self._key)

    def relay_ended(self, ending: Ending) -> None:
        lease = self._lease
        assert lease is not None
        if ending is not Ending.NORMAL:
            self._count_abort(lease, ending)
        lease.release(ending)
        self._write_down(ending, PHASES.get(ending, "D"))
        self._frontend.closed(self._key)

    def revoked(self, ending: Ending) -> None:
        assert self._relay is not None
        self._relay.shut_down(self._words_for(ending))
        self._write_down(ending, "-")
        self._frontend.closed(self._key)

    def _words_for(self, ending: Ending) -> bytes:
        """A client that has heard nothing yet is told why; later it would be out of turn."""
        if ending is not Ending.MARKED_DOWN or self._traffic.bytes_out:
            return b""
        return self._refusal(ServerMarkedDown("the server was marked down"))

    def abortConnection(self) -> None:
        """End it now, whatever it is doing."""
        if self._relay is None:
            self._write_down(Ending.KILLED, "-")
        self.client_gone()
        if self._relay is not None:
            self._relay.shut_down()
            self.relay_ended(Ending.KILLED)
        else:
            hang_up(self._client)
            self._frontend.closed(self._key)

    def reject(self, client: Address, destination: Address) -> None:
        """A rule lets the client have no server."""
        log = self._frontend.log
        if log is not None:
            log.finish(log.begin(client, destination), None, Ending.PROXY, "R")
        self.abortConnection()

    def client_gone(self) -> None:
        """The client has left before it got a server."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            waits = self._record is not None and self._record.lease is None
            attempt.cancel()
            if self._lease is None:
                self._write_down(Ending.CLIENT_ABORT, "Q" if waits else "C")

    def _connected_early(self) -> None:
        """`logasap`: the line does not wait for the end."""
        log = self._frontend.log
        if log is not None and log.early and self._record is not None:
            self._record.early = True
            self._write_down(Ending.NORMAL, "-")

    def _write_down(self, ending: Ending, phase: str) -> None:
        record, self._record = self._record, None
        log = self._frontend.log
        if record is not None and log is not None:
            traffic = self._traffic
            record.bytes_in, record.bytes_out = traffic.bytes_in, traffic.bytes_out
            log.finish(record, self._backend, ending, phase)

    @property
    def lease(self) -> ILease | None:
        return self._lease

    @property
    def attempt(self) -> IAttempt | None:
        return self._attempt

    @property
    def wanted(self) -> IBackend:
        return self._backend

    @property
    def _key(self) -> IClosable:
        """How the frontend knows the client: a raw socket is known by its session."""
        client: Any = self._client
        return self if isinstance(client, socket.socket) else client

    def _count_abort(self, lease: ILease, ending: Ending) -> None:
        for counters in (self._backend.counters, lease.server.counters):
            counters.client_aborts += ending in CLIENT_ENDINGS
            counters.server_aborts += ending in SERVER_ENDINGS
            counters.response_errors += ending is Ending.SERVER_ABORT

    def _timeouts(self) -> tuple[float, float]:
        """`timeout-tunnel` replaces both, as in HAProxy."""
        if self._tunnel is not None:
            return self._tunnel, self._tunnel
        return self._frontend.options.timeout_client, self._backend.options.timeout_server


@implementer(IDialler)
class SocketSession(Session):
    """The session of a raw socket, before a relay that connects to the server by itself."""

    __slots__ = ()
    _client: socket.socket
    _frontend: Any  # whose relay is an `IDiallingRelay`

    def _connect(self, backend: IBackend, request: LeaseRequest) -> IAttempt:
        connector: IConnector = self._frontend.connector
        return connector.connect(backend, request, self, dialler=self, trail=self._record)

    def dial(
        self,
        address: Address,
        timeout: float,
        taker: IDialTaker,
        keepalive: KeepaliveOptions | None,
        greeting: bytes,
    ) -> IDial:
        client_timeout, server_timeout = self._timeouts()
        relay: IDiallingRelay = self._frontend.relay
        return relay.dial(
            self._client, address, timeout, taker, keepalive, greeting + self._prelude,
            self, self._traffic, client_timeout, server_timeout,
        )  # fmt: skip

    def connected(self, lease: ILease, server: Any) -> None:
        """The relay has both sockets already."""
        self._client.detach()
        self._attempt, self._lease, self._relay, self._prelude = None, lease, server, b""
        lease.holder, lease.traffic = self, self._traffic
        self._connected_early()


def session_type(frontend: IFrontend, client: Side) -> type[Session]:
    """The kind of session that suits the frontend's relay."""
    raw = isinstance(client, socket.socket)
    return SocketSession if raw and IDiallingRelay.providedBy(frontend.relay) else Session


def _say_goodbye(client: Side, words: bytes) -> None:
    """Last words, then the end of the connection: a FIN, also where the client has sent much."""
    if not isinstance(client, socket.socket):
        transport: Any = client
        transport.write(words)
        handle = getattr(transport, "getHandle", lambda: None)()
        if isinstance(handle, socket.socket):
            _discard_input(handle)
        transport.loseConnection()
        return
    with contextlib.suppress(OSError):
        client.send(words)
        client.shutdown(socket.SHUT_WR)
    _discard_input(client)
    client.close()


def _discard_input(sock: socket.socket) -> None:
    """Unread bytes would turn the close into a reset."""
    with contextlib.suppress(OSError):
        sock.recv(65536)
