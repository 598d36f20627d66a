"""From a lease to a connected server: timeout, retry, redispatch."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from vipproxy.errors import InternalError, ServerMarkedDown, SessionError
from vipproxy.framing import proxy
from vipproxy.interfaces import (
    IAttempt,
    IBackend,
    IConnector,
    IConnectTaker,
    IDial,
    IDialler,
    IDialTaker,
    ILease,
    ILeaseTaker,
    IReuser,
    IRevocable,
    IServer,
    ITrail,
    LeaseRequest,
)
from vipproxy.values import Ending

TURN_AROUND = 1.0
"""Seconds before a server is tried again by the client that it refused (HAProxy's `retries`)."""


@implementer(IConnector)
class Connector:
    def __init__(self, reactor: Any, dialler: IDialler) -> None:
        self.reactor, self.dialler = reactor, dialler

    def connect(
        self,
        backend: IBackend,
        request: LeaseRequest,
        taker: IConnectTaker,
        reuser: IReuser | None = None,
        dialler: IDialler | None = None,
        trail: ITrail | None = None,
    ) -> IAttempt:
        attempt = Attempt(self, backend, request, taker, reuser, dialler or self.dialler, trail)
        backend.lease(request, attempt)
        return attempt


@implementer(IAttempt, IDialTaker, ILeaseTaker, IRevocable)
class Attempt:
    """A client on its way to a server. Nothing has been sent yet, so every retry is safe."""

    __slots__ = (
        "_backend", "_connector", "_dialler", "_failures", "_lease", "_request", "_reuser",
        "_started", "_step", "_taker", "_waited", "trail",
    )  # fmt: skip

    def __init__(
        self,
        connector: Connector,
        backend: IBackend,
        request: LeaseRequest,
        taker: IConnectTaker,
        reuser: IReuser | None,
        dialler: IDialler,
        trail: ITrail | None,
    ) -> None:
        self.trail = trail
        self._connector, self._backend, self._dialler = connector, backend, dialler
        self._request, self._taker, self._reuser = request, taker, reuser
        self._started = connector.reactor.seconds()
        self._failures = 0
        self._waited = 0.0
        """Seconds until the lease before was granted."""
        self._lease: ILease | None = None
        self._step: IDial | IDelayedCall | None = None
        """The dial, or the pause before it, that is under way."""

    @property
    def started(self) -> float:
        started: float = self._started
        return started

    def leased(self, lease: ILease) -> None:
        if self.trail is not None:
            tried = self._request.tried
            self.trail.leased(lease, bool(tried) and lease.server.name not in tried)
        if self._reuser is not None and self._reuser.reuse(lease):
            return
        self._lease = lease
        lease.holder = self
        tried = self._request.tried
        if tried and lease.server.name in tried:
            spent = lease.waited - self._waited  # in retries, which HAProxy counts as connecting
            lease.waited -= spent
            lease.opened_at -= spent
            pause = min(TURN_AROUND, self._backend.options.timeout_connect)
            self._step = self._connector.reactor.callLater(pause, self._dial, lease)
        else:
            self._dial(lease)

    def refused(self, error: SessionError) -> None:
        self._taker.connect_failed(error)

    def cancel(self) -> None:
        if self._lease is None:
            self._backend.counters.client_aborts += 1
            self._backend.forget(self)
        elif not self.settle():
            self._backend.counters.client_aborts += 1
            self._lease.server.counters.client_aborts += 1
            self._lease.release(Ending.CLIENT_ABORT)

    def settle(self) -> bool:
        step, self._step = self._step, None
        accepted = step is not None and step.cancel() is False
        if accepted:
            self.dialled(step)
        return accepted

    def revoked(self, ending: Ending) -> None:
        """The server was marked down before it accepted: on to the next."""
        assert self._lease is not None
        self.settle()
        self._again(ServerMarkedDown(f"server '{self._lease.server.name}' was marked down"))

    def dialled(self, server: Any) -> None:
        lease, self._step = self._lease, None
        assert lease is not None
        lease.connected()
        self._taker.connected(lease, server)

    def dial_failed(self, error: SessionError) -> None:
        assert self._lease is not None
        self._step = None
        self._lease.refused(error)
        if isinstance(error, InternalError):
            self._give_up(error)
        else:
            self._again(error)

    def _dial(self, lease: ILease) -> None:
        server, backend = lease.server, self._backend
        self._step = None
        server.counters.connects += 1
        backend.counters.connects += 1
        options = backend.options
        step = self._dialler.dial(
            server.address, options.timeout_connect, self, options.keepalive, self._greeting(server)
        )
        if self._lease is lease and not lease.established:  # not answered before it returned
            self._step = step

    def _again(self, error: SessionError) -> None:
        assert self._lease is not None
        self._failures += 1
        if self._failures > self._backend.options.retries:
            self._give_up(error)
            return
        waited = self._connector.reactor.seconds() - self._started
        failed = self._lease.server.name
        tried = self._request.tried | {failed}
        self._waited = self._lease.waited
        if self.trail is not None:
            self.trail.retried()
        self._request = evolve(self._request, tried=tried, waited=waited, failed=failed)
        self._lease = None
        self._backend.lease(self._request, self)

    def _give_up(self, error: SessionError) -> None:
        """As in HAProxy, failed attempts that were followed by others are no errors."""
        assert self._lease is not None
        for counters in (self._lease.server.counters, self._backend.counters):
            counters.connect_errors += 1
            counters.internal_errors += isinstance(error, InternalError)
        self._taker.connect_failed(error)

    def _greeting(self, server: IServer) -> bytes:
        version = server.send_proxy or self._backend.options.send_proxy
        if version is None or version == "none":
            return b""
        return proxy.build(version, self._request.client, self._request.destination)
