"""`protocol = tcp`: bytes both ways, whatever they mean."""

from __future__ import annotations

import socket
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IProtocolFactory
from zope.interface import implementer

from vipproxy.config.declare import option
from vipproxy.config.kinds import DURATION
from vipproxy.errors import SessionError
from vipproxy.interfaces import IBackend, IFrontend, IProtocolPlugin, ISocketFactory
from vipproxy.protocols.base import ProxyFactory, ProxyProtocol
from vipproxy.protocols.session import Refusal, session_type, silent
from vipproxy.sockets import local_of
from vipproxy.values import Address


@frozen
class TcpOptions:
    timeout_tunnel: float | None = option(
        DURATION,
        default=None,
        help="replaces timeout-client and timeout-server once connected",
        haproxy="timeout tunnel",
    )


class PassThrough(ProxyProtocol):
    """The client of a server that may speak first: it gets one at once."""

    factory: PassThroughFactory

    def connectionMade(self) -> None:
        self.timeout_tunnel = self.factory.options.timeout_tunnel
        self.proxy()

    def refusal(self, error: SessionError) -> bytes:
        return self.factory.refusal(error)


@implementer(ISocketFactory)
class PassThroughFactory(ProxyFactory):
    """Both doors: an ordinary factory, and one that takes raw sockets without a transport."""

    options: TcpOptions

    def __init__(self, frontend: IFrontend, options: TcpOptions, refusal: Refusal = silent) -> None:
        super().__init__(PassThrough, frontend, options)
        self.refusal = refusal

    def socketAccepted(self, sock: socket.socket, peer: Address) -> None:
        frontend = self.frontend
        backend: IBackend | None = frontend.backend
        assert backend is not None
        kind = session_type(frontend, sock)
        session = kind(frontend, sock, self.refusal, self.options.timeout_tunnel)
        session.start(backend, peer, frontend.destination or local_of(sock))


@implementer(IProtocolPlugin)
class TcpProtocol:
    """Both directions streamed, with back-pressure and half-close."""

    options = TcpOptions
    mode = "tcp"
    needs_backend = True

    def factory(self, frontend: IFrontend, options: Any) -> IProtocolFactory:
        return PassThroughFactory(frontend, options)
