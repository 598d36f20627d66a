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
from vipproxy.framing.tls_hello import Incomplete
from vipproxy.interfaces import IBackend, IFrontend, IProtocolPlugin, ISocketFactory
from vipproxy.protocols.base import ProxyFactory, ProxyProtocol
from vipproxy.protocols.choice import backend_chooser
from vipproxy.protocols.session import Refusal, session_type, silent
from vipproxy.rules.subject import Subject
from vipproxy.sockets import address_of, local_of
from vipproxy.values import Address, Ending

INSPECTED = 16384
"""Bytes of what a client says at most, while it has no server."""


@frozen
class TcpOptions:
    timeout_tunnel: float | None = option(
        DURATION,
        default=None,
        help="replaces timeout-client and timeout-server once connected",
        haproxy="timeout tunnel",
    )
    tcp_request_inspect_delay: float | None = option(
        DURATION,
        default=None,
        help="so long what a client says is waited for, where rules look at it",
        haproxy="tcp-request inspect-delay",
    )
    use_backend: tuple[UseBackend, ...] = backend_choice(over_tcp=True)
    tcp_request_content: Rules = content_rules(over_tcp=True)


class PassThrough(ProxyProtocol):
    """The client of a server that may speak first: it gets one at once."""

    factory: PassThroughFactory

    def connectionMade(self) -> None:
        factory = self.factory
        self.timeout_tunnel = factory.options.timeout_tunnel
        if factory.choose is None:
            self.proxy()
            return
        transport = self.transport
        peer, host = address_of(transport.getPeer()), address_of(transport.getHost())
        secure = ISSLTransport.providedBy(transport)
        self._said: bytes = b""
        self._subject: Subject | None = Subject(peer, host, self.frontend.name, secure)
        """None once it is decided where the client goes."""
        delay = factory.options.tcp_request_inspect_delay
        if delay is not None:
            self.setTimeout(delay)
        self._decide(final=delay is None)

    def dataReceived(self, data: bytes) -> None:
        self._said += data
        self._decide(final=len(self._said) >= INSPECTED)

    def timeoutConnection(self) -> None:
        """The client has had its time to speak."""
        self._decide(final=True)

    def _decide(self, final: bool) -> None:
        """Which backend, or none; or wait for what the client says."""
        choose, subject = self.factory.choose, self._subject
        if choose is None or subject is None:
            return
        subject.content, subject.final = self._said, final
        try:
            backend = choose(subject)
        except Incomplete:
            return
        self._subject = None
        if backend is None:
            self.setTimeout(None)
            self._write_down(Ending.PROXY)
            self.transport.loseConnection()
        else:
            self.proxy(backend, self._said)

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
        if self.options.tcp_request_inspect_delay is not None and self.choose is not None:
            frontend.attach(sock, self.buildProtocol(None))
            return
        if self.choose is not None:
            backend = self.choose(Subject(peer, destination, frontend.name))
        kind = session_type(frontend, sock)
        session = kind(frontend, sock, self.refusal, self.options.timeout_tunnel)
        if backend is None:
            session.reject(peer, destination)
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
