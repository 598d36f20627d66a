"""From a lease to a connected server: timeout, retry, redispatch."""

from __future__ import annotations

import socket
from typing import Any

from attrs import evolve
from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from vipproxy.dial import Dial
from vipproxy.errors import ConnectFailed, InternalError, ServerMarkedDown, SessionError
from vipproxy.framing import proxy
from vipproxy.interfaces import (
    IAttempt,
    IBackend,
    IConnector,
    IConnectTaker,
    ILease,
    ILeaseTaker,
    IRevocable,
    LeaseRequest,
)
from vipproxy.sockets import prepare
from vipproxy.timers import IdleTimer
from vipproxy.values import Ending

TURN_AROUND = 1.0
"""Seconds before a server is tried again by the client that it refused (HAProxy's `retries`)."""


@implementer(IConnector)
class Connector:
    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.timer = IdleTimer(reactor)

    def connect(self, backend: IBackend, request: LeaseRequest, taker: IConnectTaker) -> IAttempt:
        attempt = Attempt(self, backend, request, taker)
        backend.lease(request, attempt)
        return attempt

    def stop(self) -> None:
        """Leave nothing with the clock."""
        self.timer.stop()


@implementer(IAttempt, ILeaseTaker, IRevocable)
class Attempt:
    """A client on its way to a server. Nothing has been sent yet, so every retry is safe."""

    __slots__ = (
        "_backend", "_connector", "_dial", "_failures", "_lease", "_pause", "_request", "_started",
        "_taker",
    )  # fmt: skip

    def __init__(
        self, connector: Connector, backend: IBackend, request: LeaseRequest, taker: IConnectTaker
    ) -> None:
        self._connector, self._backend = connector, backend
        self._request, self._taker = request, taker
        self._started = connector.reactor.seconds()
        self._failures = 0
        self._lease: ILease | None = None
        self._dial: Dial | None = None
        self._pause: IDelayedCall | None = None

    def leased(self, lease: ILease) -> None:
        self._lease = lease
        lease.holder = self
        if lease.server.name in self._request.tried:
            pause = min(TURN_AROUND, self._backend.options.timeout_connect)
            self._pause = self._connector.reactor.callLater(pause, self._connect)
        else:
            self._connect()

    def refused(self, error: SessionError) -> None:
        self._taker.connect_failed(error)

    def cancel(self) -> None:
        self._stop()
        self._backend.forget(self)
        if self._lease is not None:
            self._lease.release(Ending.CLIENT_ABORT)

    def revoked(self, ending: Ending) -> None:
        """The server was marked down before it accepted: on to the next."""
        assert self._lease is not None
        self._stop()
        self._again(ServerMarkedDown(f"server '{self._lease.server.name}' was marked down"))

    def dialled(self, sock: socket.socket) -> None:
        lease, self._dial = self._lease, None
        assert lease is not None
        try:
            self._prepare(sock)
        except OSError as error:  # accepted, and reset at once
            sock.close()
            self.dial_failed(ConnectFailed(error.strerror))
            return
        lease.connected()
        self._taker.connected(lease, sock)

    def _prepare(self, sock: socket.socket) -> None:
        options = self._backend.options
        prepare(sock, options.keepalive)
        if options.send_proxy is not None:
            # A fresh socket's buffer takes these few bytes whole.
            request = self._request
            sock.send(proxy.build(options.send_proxy, request.client, request.destination))

    def dial_failed(self, error: SessionError) -> None:
        assert self._lease is not None
        self._dial = None
        self._lease.refused(error)
        if isinstance(error, InternalError):
            self._taker.connect_failed(error)
        else:
            self._again(error)

    def _connect(self) -> None:
        assert self._lease is not None
        self._pause = None
        server, options = self._lease.server, self._backend.options
        server.counters.connects += 1
        self._backend.counters.connects += 1
        connector = self._connector
        self._dial = Dial(
            connector.reactor, connector.timer, server.address, options.timeout_connect, self
        )
        self._dial.start()

    def _again(self, error: SessionError) -> None:
        assert self._lease is not None
        self._failures += 1
        if self._failures > self._backend.options.retries:
            self._taker.connect_failed(error)
            return
        waited = self._connector.reactor.seconds() - self._started
        tried = self._request.tried | {self._lease.server.name}
        self._request = evolve(self._request, tried=tried, waited=waited)
        self._lease = None
        self._backend.lease(self._request, self)

    def _stop(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None
