"""`protocol = tcp`: bytes both ways, whatever they mean."""

from __future__ import annotations

import socket
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IProtocolFactory, ISSLTransport
from zope.interface import implementer

from vipproxy.config.declare import option
from vipproxy.config.kinds import DURATION
from vipproxy.config.rule_kinds import Rules, UseBackend
from vipproxy.config.rule_options import backend_choice, content_rules
from vipproxy.errors import SessionError
from vipproxy.interfaces import IBackend, IFrontend, IProtocolPlugin, ISocketFactory
from vipproxy.protocols.base import ProxyFactory, ProxyProtocol
from vipproxy.protocols.choice import backend_chooser
from vipproxy.protocols.session import Refusal, session_type, silent
from vipproxy.sockets import address_of, local_of
from vipproxy.values import Address


@frozen
class TcpOptions:
    timeout_tunnel: float | None = option(
        DURATION,
        default=None,
        help="replaces timeout-client and timeout-server once connected",
        haproxy="timeout tunnel",
    )
    use_backend: tuple[UseBackend, ...] = backend_choice(over_tcp=True)
    tcp_request_content: Rules = content_rules()


class PassThrough(ProxyProtocol):
    """The client of a server that may speak first: it gets one at once."""

    factory: PassThroughFactory

    def connectionMade(self) -> None:
        factory = self.factory
        self.timeout_tunnel = factory.options.timeout_tunnel
        backend = self.frontend.backend
        if factory.choose is not None:
            transport = self.transport
            peer, host = address_of(transport.getPeer()), address_of(transport.getHost())
            backend = factory.choose(peer, host, ISSLTransport.providedBy(transport))
        if backend is None:
            self.setTimeout(None)
            self.transport.loseConnection()
        else:
            self.proxy(backend)

    def refusal(self, error: SessionError) -> bytes:
        return self.factory.refusal(error)


@implementer(ISocketFactory)
class PassThroughFactory(ProxyFactory):
    """Both doors: an ordinary factory, and one that takes raw sockets without a transport."""

    options: TcpOptions

    def __init__(self, frontend: IFrontend, options: TcpOptions, refusal: Refusal = silent) -> None:
        super().__init__(PassThrough, frontend, options)
        self.refusal = refusal
        self.choose = backend_chooser(frontend, options)
        """Which backend serves a client; None where that is always the frontend's."""

    def socketAccepted(self, sock: socket.socket, peer: Address) -> None:
        frontend = self.frontend
        backend: IBackend | None = frontend.backend
        destination = frontend.destination or local_of(sock)
        if self.choose is not None:
            backend = self.choose(peer, destination)
        kind = session_type(frontend, sock)
        session = kind(frontend, sock, self.refusal, self.options.timeout_tunnel)
        if backend is None:
            session.abortConnection()
        else:
            session.start(backend, peer, destination)


@implementer(IProtocolPlugin)
class TcpProtocol:
    """Both directions streamed, with back-pressure and half-close."""

    options = TcpOptions
    mode = "tcp"
    needs_backend = True

    def factory(self, frontend: IFrontend, options: Any) -> IProtocolFactory:
        return PassThroughFactory(frontend, options)
