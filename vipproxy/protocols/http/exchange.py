"""One request and its response: from the parsed head to the released lease."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, evolve
from twisted.logger import Logger
from zope.interface import implementer

from vipproxy.counters import Traffic
from vipproxy.errors import (
    ClientGone,
    ClientTimeout,
    ServerMarkedDown,
    ServerTimeout,
    SessionError,
)
from vipproxy.framing.http1 import RequestHead, ResponseHead
from vipproxy.framing.http_fields import drop_framing
from vipproxy.interfaces import (
    IAttempt,
    IBackend,
    IConnectTaker,
    IInspectable,
    ILease,
    IReuser,
    IRevocable,
    LeaseRequest,
    Side,
)
from vipproxy.protocols.http.bulk import Bulk, send_to_client, send_to_server
from vipproxy.protocols.http.cookie_dates import CookieDates
from vipproxy.protocols.http.counts import count_aborts, count_failure, count_response
from vipproxy.protocols.http.errors import connection_field, status_of
from vipproxy.protocols.http.heads import added_to_request, edit_response
from vipproxy.protocols.http.log import note_end, note_retry
from vipproxy.protocols.http.route import Route
from vipproxy.protocols.http.server import ServerConnection
from vipproxy.protocols.http.tunnel import Tunnel
from vipproxy.values import Address, Ending

if TYPE_CHECKING:
    from vipproxy.protocols.http.client import HttpClient

log = Logger()

EARLY_LIMIT = 65536
"""Bytes of a request's body that are kept while there is no server yet."""

REPEATABLE = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
"""Methods of requests that may be sent twice, where they have no body: the idempotent ones
(RFC 9110, 9.2.2)."""

NO_TRAFFIC = Traffic()
"""Counts nothing: stands where there is no lease."""

BODILESS = frozenset({204, 304})

UPGRADE_REQUIRED = 426
"""A response that must say to what (RFC 9110, 15.5.22), though a proxy changes to nothing."""


@implementer(IConnectTaker, IInspectable, IReuser, IRevocable)
@define(eq=False)
class Exchange:
    """Over exactly once: by a complete response, a failure, the client's leave or a mark-down."""

    client: HttpClient
    route: Route
    head: RequestHead
    request_done: bool
    """All of the request has been read from the client."""
    _wish: LeaseRequest | None = None
    dates: CookieDates | None = None
    """When the client's persistence cookie was set, where it says so."""
    _repeatable: bool = False
    """It may go onto an idle connection, and again onto a fresh one where that has died."""
    attempt: IAttempt | None = None
    lease: ILease | None = None
    traffic: Traffic = NO_TRAFFIC
    """The lease's, once there is one."""
    server: ServerConnection | None = None
    _early: bytearray | None = None
    """What came of the request's body before there was a server."""
    begun: bool = False
    """The response's head has gone to the client."""
    _keep: bool = False
    """The client's connection will take another request."""
    _framed: bool = True
    """The client can tell the end of the response from its framing."""
    _answered: bool = False
    """The response is complete, and the server may still want the rest of the request."""
    bulk: Bulk | None = None
    """The body that the relay is moving."""
    _over: bool = False

    @property
    def peer(self) -> Address:
        return self.client.address

    @property
    def wanted(self) -> IBackend:
        return self.route.backend

    # -- a server for the request

    def start(self, now: float) -> None:
        """Find a server: the one that the cookie names, or any."""
        client, head, cookie, route = self.client, self.head, None, self.route
        route.backend.counters.request_received(now)
        for changes in route.request_changes:
            head.lines = changes.apply(head.lines)
        if route.persistence is not None:
            head.lines, cookie, self.dates = route.persistence.read(head.lines)
        key = None if route.key_of is None else route.key_of(head)
        bodiless = self.request_done and not head.length and not head.chunked
        reusable = client.may_reuse_server and route.keeps_servers
        self._repeatable = reusable and bodiless and head.method in REPEATABLE
        self._wish = client.lease_request(cookie, key)
        if route.persistence is not None and client.log is not None:
            client.log.keep_cookie(cookie, route.persistence)
        self._connect(self._wish)

    def _connect(self, wish: LeaseRequest) -> None:
        client, backend = self.client, self.route.backend
        trail = None if client.log is None else client.log.record
        attempt = client.frontend.connector.connect(backend, wish, self, self, trail=trail)
        if self.lease is None and not self._over:
            self.attempt = attempt

    def reuse(self, lease: ILease) -> bool:
        """Take an idle connection, where this request may be lost with it."""
        idle = self.client.factory.idle
        connection = idle.take(lease.server) if self._repeatable else None
        if connection is None:
            self._repeatable = False
            idle.make_room(lease.server)
            return False
        lease.server.counters.reuses += 1
        self.route.backend.counters.reuses += 1
        lease.connected()
        self._use(lease, connection)
        return True

    def connected(self, lease: ILease, server: Side) -> None:
        connection = ServerConnection(lease.server, self.client.factory.idle)
        self.client.frontend.attach(server, connection)
        self._use(lease, connection)

    def _use(self, lease: ILease, connection: ServerConnection) -> None:
        self.attempt = None
        self.lease, self.server = lease, connection
        self.traffic = lease.traffic
        lease.holder, lease.answered_at = self, None
        connection.begin(self, self.head)
        if not self.request_done:
            connection.expect_body()
        text = self.head.render(added_to_request(self))
        if self._early is not None:
            text += self._early
            self._early = None
        self._send(text)
        if self.client.blocked:
            self.client.unblock()
        self._set_limit()

    def connect_failed(self, error: SessionError) -> None:
        self.attempt = None
        self.fail(error)

    # -- from the client

    def request_continued(self, data: bytes, done: bool) -> None:
        """A part of the request's body, as it is to be forwarded."""
        self.request_done = done
        if self.server is None:
            self._keep_early(data)
        elif data:
            self._send(data)
        if done:
            self._request_ended()
        elif self.bulk is None and self.server is not None:
            self.bulk = send_to_server(self, self.client.bulk)

    def body_follows(self, size: int) -> None:
        if self.request_done:
            self.bulk = send_to_client(self, size)

    def _stop_bulk(self) -> None:
        bulk, self.bulk = self.bulk, None
        if bulk is not None:
            bulk.stop()

    def _request_ended(self) -> None:
        if self._answered:
            self._complete()
        else:
            self._set_limit()

    def _keep_early(self, data: bytes) -> None:
        if self._early is None:
            self._early = bytearray()
        self._early += data
        if len(self._early) >= EARLY_LIMIT:
            self.client.block()

    def client_full(self) -> None:
        """The client does not read as fast as the server sends."""
        if self.server is not None:
            self.server.pause()
            self._set_limit()

    def client_drained(self) -> None:
        if self.server is not None:
            self.server.resume()
            self.server.offer_bulk()
            self._set_limit()

    def client_gone(self) -> None:
        """The client's connection is lost, or cannot complete the request."""
        if not self._over:
            count_aborts(self)
            self._finish(ClientGone.ending)
            note_end(self, ClientGone.ending)

    # -- from the server

    def server_sent(self, size: int) -> None:
        self.traffic.bytes_out += size

    def server_moves(self) -> None:
        self.client.patience.touch()

    def interim_received(self, head: ResponseHead) -> None:
        """HTTP/1.0 knows no 1xx (RFC 9110, 15.2)."""
        if self.head.minor:
            self.client.write(head.render())

    def upgraded(self, head: ResponseHead, rest: bytes) -> None:
        lease, server, client = self.lease, self.server, self.client
        assert lease is not None
        assert server is not None
        rules = self.route.response_rules
        if rules is not None and rules.refuse(self, head):
            return
        self._over = True
        added = edit_response(self, head)
        added += b"connection: Upgrade\r\nupgrade: %b\r\n" % head.upgrade
        count_response(self, head.status)
        begun = head.render(added) + rest
        transport, to_server = client.detach()
        client.traffic.bytes_out += len(begun)
        lease.traffic.bytes_in += len(to_server)
        tunnel = Tunnel(client.frontend, transport, lease, client.log)
        timeout = client.factory.options.timeout_tunnel
        tunnel.start(server.detach(), client.traffic, timeout, begun, to_server)

    def response_begun(self, head: ResponseHead, data: bytes, framed: bool, whole: bool) -> None:
        client, request, server = self.client, self.head, self.server
        assert server is not None
        if head.status == 408 and self._repeatable:
            self._repeat(server)  # said to the idle connection: the request crossed it
            return
        rules = self.route.response_rules
        if rules is not None and rules.refuse(self, head):
            return
        added = edit_response(self, head)
        self._framed = framed
        self._keep = framed and client.may_keep(server.stays)
        if head.status in BODILESS or not request.minor:
            drop_framing(head)
        if head.upgrade and head.status == UPGRADE_REQUIRED:
            added += b"connection: Upgrade\r\nupgrade: %b\r\n" % head.upgrade
        self.begun = True
        count_response(self, head.status)
        added += connection_field(self._keep, request.minor, head.minor)
        client.write(head.render(added) + data)
        if client.log is not None:
            client.log.answered(head.status)
        if not whole:
            self._set_limit()

    def response_continued(self, data: bytes) -> None:
        self.client.write(data)

    def response_ended(self) -> None:
        """A server that stays after an early answer gets the rest, as HAProxy does it."""
        server = self.server
        assert server is not None
        if self.request_done or not (server.stays and self._framed):
            self._complete()
            return
        self._answered = True
        server.await_rest(self)
        self._set_limit()

    def _complete(self) -> None:
        """The connection is kept before the lease is released: who waits for one may use it."""
        lease, server, client = self.lease, self.server, self.client
        assert lease is not None
        assert server is not None
        self._over = True
        self._stop_bulk()
        tied = self.head.tied or lease.server.send_proxy is not None
        server.finish(self.request_done and not tied and self.route.keeps_servers)
        lease.release(Ending.NORMAL)
        if client.log is not None:
            client.log.over()
        client.exchange_over(self._keep and self.request_done)

    def server_failed(self, error: SessionError) -> None:
        if self._answered:
            self._complete()
        elif self._repeatable and self.server is not None and not self.server.heard:
            self._repeat(self.server)
        else:
            self.fail(error)

    def _repeat(self, server: ServerConnection) -> None:
        """The server has closed the idle connection: once more, on a fresh one."""
        lease, wish = self.lease, self._wish
        assert lease is not None
        assert wish is not None
        note_retry(self)
        wish = evolve(wish, failed=lease.server.name)
        self._repeatable = False
        self.lease = self.server = None
        server.abort()
        lease.release(Ending.SERVER_ABORT)
        self._connect(wish)

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
        count_failure(self, error)
        log.debug("no response from {backend}: {error}", backend=self.route.name, error=error)
        self._finish(error.ending)
        note_end(self, error.ending, error)
        if self.begun:
            self.client.cut(visibly=not self._framed)
            return
        status = status_of(error)
        self.route.backend.counters.responded(status)
        self.client.answer(status)

    def revoked(self, ending: Ending) -> None:
        count_failure(self, ServerMarkedDown("the server was marked down"))
        self._over = True
        note_end(self, ending)
        self._stop_bulk()
        if self.server is not None:
            self.server.hang_up()
        self.client.hang_up()

    def idle_expired(self) -> None:
        """Nothing has moved for a while: whose turn was it?"""
        if self.server is None or self.bulk or not self.client.patience.exhausted():
            self._set_limit()  # a relay has its own eye on the time
        elif self._waits_for_client():
            self.fail(ClientTimeout("the client did not go on in time"))
        else:
            self.fail(ServerTimeout("the server did not answer in time"))

    def _finish(self, ending: Ending) -> None:
        self._over = True
        self._stop_bulk()
        if self.attempt is not None:
            self.attempt.cancel()
        if self.server is not None:
            self.server.abort()
        if self.lease is not None:
            self.lease.release(ending)

    # -- helpers

    def _send(self, data: bytes) -> None:
        assert self.server is not None
        self.traffic.bytes_in += len(data)
        self.server.send(data)

    def _waits_for_client(self) -> bool:
        return self.client.full or not (self.request_done or self.client.blocked)

    def _set_limit(self) -> None:
        if not self._over:
            client, factory = self.client, self.client.factory
            waits = self._waits_for_client()
            client.patience.limit(factory.client_limit if waits else self.route.server_limit)
