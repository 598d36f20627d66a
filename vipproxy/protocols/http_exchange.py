"""One request and its response: from the parsed head to the released lease."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field
from twisted.logger import Logger
from zope.interface import implementer

from vipproxy.counters import Counters
from vipproxy.errors import (
    BadResponse,
    ClientGone,
    ClientTimeout,
    ServerTimeout,
    SessionError,
)
from vipproxy.framing.http1 import RequestHead, ResponseHead, without
from vipproxy.framing.http_body import ends_with_connection
from vipproxy.interfaces import (
    IAttempt,
    IBackend,
    IConnectTaker,
    ILease,
    IRevocable,
    LeaseRequest,
    Side,
)
from vipproxy.protocols.http_errors import connection_field, status_of
from vipproxy.protocols.http_server import ServerConnection
from vipproxy.protocols.http_tunnel import Tunnel
from vipproxy.sockets import attach
from vipproxy.values import Ending

if TYPE_CHECKING:
    from vipproxy.protocols.http_client import HttpClient

log = Logger()

EARLY_LIMIT = 65536
"""Bytes of a request's body that are kept while there is no server yet."""


@implementer(IConnectTaker, IRevocable)
@define(eq=False)
class Exchange:
    """Over exactly once: by a complete response, a failure, the client's leave or a mark-down."""

    client: HttpClient
    backend: IBackend
    head: RequestHead
    request_done: bool
    """All of the request has been read from the client."""
    _attempt: IAttempt | None = None
    _lease: ILease | None = None
    _server: ServerConnection | None = None
    _early: list[bytes] = field(factory=list)
    _early_size: int = 0
    _begun: bool = False
    """The response's head has gone to the client."""
    _keep: bool = False
    """The client's connection will take another request."""
    _unframed: bool = False
    """The response ends with the client's connection."""
    _over: bool = False

    # -- a server for the request

    def start(self) -> None:
        """Find a server: the one that the cookie names, or any."""
        client, cookie = self.client, None
        self.backend.counters.request_received(client.patience.seconds())
        if client.factory.persistence is not None:
            self.head.fields, cookie = client.factory.persistence.read(self.head.fields)
        request = LeaseRequest(client.address, client.destination, cookie)
        attempt = client.frontend.connector.connect(self.backend, request, self)
        if self._lease is None and not self._over:
            self._attempt = attempt

    def connected(self, lease: ILease, server: Side) -> None:
        self._attempt = None
        self._lease = lease
        lease.holder = self
        connection = self._server = ServerConnection(self, self.head)
        attach(server, connection, self.client.frontend.clock)
        if not self.request_done:
            connection.expect_body()
        self._send(self.head.render(self._added_fields()) + b"".join(self._early))
        self._early.clear()
        self.client.unblock()
        self._set_limit()

    def connect_failed(self, error: SessionError) -> None:
        self._attempt = None
        self.fail(error)

    def _added_fields(self) -> bytes:
        """One exchange a server connection: HTTP/1.1 servers are told so."""
        head, added = self.head, b""
        if self.client.factory.options.forwarded_for:
            added = b"x-forwarded-for: %b\r\n" % self.client.address.host.encode()
        if head.upgrade:
            return b"%bconnection: Upgrade\r\nupgrade: %b\r\n" % (added, head.upgrade)
        return added + b"connection: close\r\n" if head.minor else added

    # -- from the client

    def request_continued(self, data: bytes, done: bool) -> None:
        """A part of the request's body, as it is to be forwarded."""
        self.request_done = done
        if self._server is not None:
            self._send(data)
        else:
            self._early.append(data)
            self._early_size += len(data)
            if self._early_size >= EARLY_LIMIT:
                self.client.block()
        if done:
            self._set_limit()

    def client_full(self) -> None:
        """The client does not read as fast as the server sends."""
        if self._server is not None:
            self._server.pause()
            self._set_limit()

    def client_drained(self) -> None:
        if self._server is not None:
            self._server.resume()
            self._set_limit()

    def client_gone(self) -> None:
        """The client's connection is lost, or cannot complete the request."""
        if not self._over:
            self._count_aborts()
            self._finish(ClientGone.ending)

    # -- from the server

    def server_sent(self, size: int) -> None:
        assert self._lease is not None
        self._lease.traffic.bytes_out += size
        self.client.patience.touch()

    def interim_received(self, head: ResponseHead) -> None:
        """HTTP/1.0 knows no 1xx (RFC 9110, 15.2)."""
        if self.head.minor:
            self.client.write(head.render())

    def upgraded(self, head: ResponseHead, rest: bytes) -> None:
        lease, server, client = self._lease, self._server, self.client
        assert lease is not None
        assert server is not None
        self._over = True
        added = self._persistence_fields(head)
        added += b"connection: Upgrade\r\nupgrade: %b\r\n" % head.upgrade
        self._count_response(head.status)
        begun = head.render(added) + rest
        transport, to_server = client.detach()
        client.traffic.bytes_out += len(begun)
        lease.traffic.bytes_in += len(to_server)
        tunnel = Tunnel(client.frontend, transport, lease)
        timeout = client.factory.options.timeout_tunnel
        tunnel.start(server.detach(), client.traffic, timeout, begun, to_server)

    def response_begun(self, head: ResponseHead) -> None:
        request = self.head
        added = self._persistence_fields(head)
        self._unframed = ends_with_connection(head, request.method, request.minor)
        self._keep = self.client.may_keep() and not self._unframed
        if head.status in (204, 304) or not request.minor:
            head.fields = without(head.fields, b"transfer-encoding")
        if head.status == 204:
            head.fields = without(head.fields, b"content-length")
        self._begun = True
        self._count_response(head.status)
        connection = connection_field(self._keep, request.minor, head.minor)
        self.client.write(head.render(added + connection))
        self._set_limit()

    def response_continued(self, data: bytes) -> None:
        self.client.write(data)

    def response_ended(self) -> None:
        self._finish(Ending.NORMAL)
        self.client.exchange_over(self._keep)

    def server_failed(self, error: SessionError) -> None:
        self.fail(error)

    def server_full(self) -> None:
        self.client.block()
        self._set_limit()

    def server_drained(self) -> None:
        self.client.unblock()
        self._set_limit()

    # -- ends

    def fail(self, error: SessionError) -> None:
        """The client gets an error, or, if the response has begun, the end of its connection."""
        if self._over:
            return
        self._count_failure(error)
        log.debug("no response from {backend}: {error}", backend=self.backend.name, error=error)
        self._finish(error.ending)
        if self._begun:
            self.client.cut(visibly=self._unframed)
            return
        status = status_of(error)
        self.backend.counters.responded(status)
        self.client.answer(status)

    def revoked(self, ending: Ending) -> None:
        self._over = True
        if self._server is not None:
            self._server.hang_up()
        self.client.hang_up()

    def idle_expired(self) -> None:
        """Nothing has moved for a while: whose turn was it?"""
        if self._server is None or not self.client.patience.exhausted():
            self._set_limit()
        elif self._waits_for_client():
            self.fail(ClientTimeout("the client did not go on in time"))
        else:
            self.fail(ServerTimeout("the server did not answer in time"))

    def _finish(self, ending: Ending) -> None:
        self._over = True
        if self._attempt is not None:
            self._attempt.cancel()
        if self._server is not None:
            self._server.abort()
        if self._lease is not None:
            self._lease.release(ending)

    # -- helpers

    def _send(self, data: bytes) -> None:
        assert self._server is not None
        assert self._lease is not None
        self._lease.traffic.bytes_in += len(data)
        self._server.send(data)

    def _persistence_fields(self, head: ResponseHead) -> bytes:
        if self.client.factory.persistence is None or self._lease is None:
            return b""
        return self.client.factory.persistence.write(head, self.head.method, self._lease)

    def _waits_for_client(self) -> bool:
        client = self.client
        return client.full or not (self.request_done or client.blocked)

    def _limit(self) -> float:
        if self._waits_for_client():
            return float(self.client.frontend.options.timeout_client)
        return float(self.backend.options.timeout_server)

    def _set_limit(self) -> None:
        if not self._over:
            self.client.patience.limit(self._limit())

    def _counters(self) -> list[Counters]:
        """The backend's, and the server's once there is one."""
        lease = self._lease
        if lease is None:
            return [self.backend.counters]
        return [self.backend.counters, lease.server.counters]

    def _count_response(self, status: int) -> None:
        self.client.frontend.counters.responded(status)
        for counters in self._counters():
            counters.responded(status)

    def _count_aborts(self) -> None:
        for counters in self._counters():
            counters.client_aborts += 1

    def _count_failure(self, error: SessionError) -> None:
        """As HAProxy does: an answer that breaks off is the server's abort."""
        if isinstance(error, ClientTimeout):
            self._count_aborts()
        elif isinstance(error, BadResponse | ServerTimeout):
            for counters in self._counters():
                if self._begun:
                    counters.server_aborts += 1
                else:
                    counters.response_errors += 1
