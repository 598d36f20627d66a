"""A protocol plugin from outside the package: the client's first line says which pool it wants.

    [frontend jobs]
    protocol = examples.line_router:LineRouter
    bind     = 127.0.0.1:7000
    routes   = mail print
    backend  = other

A client that begins with ``mail ...`` is given to a server of the backend `mail`, and the line
goes with it; a first line that names no route leads to `other`. Without a `backend` such clients
are refused. No installation is needed: the module has to be importable, that is all.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IProtocolFactory
from zope.interface import implementer

from vipproxy.config import BackendNames, option
from vipproxy.errors import BadRequest, SessionError
from vipproxy.interfaces import IFrontend, IProtocolPlugin
from vipproxy.protocols.base import ProxyFactory, ProxyProtocol

LONGEST_LINE = 512


@frozen
class LineRouterOptions:
    routes: tuple[str, ...] = option(BackendNames(), help="the backends that clients may name")


class LineRouterProtocol(ProxyProtocol):
    """Reads one line; then the client and the server talk as if nobody were between them."""

    received = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        line, end, _ = self.received.partition(b"\n")
        if len(line) > LONGEST_LINE:
            self.refuse(BadRequest("the first line is too long"))
        elif end:
            self.route(line.decode("ascii", "replace").strip())

    def route(self, line: str) -> None:
        name = line.partition(" ")[0]
        named = name in self.factory.options.routes
        backend = self.frontend.backend_named(name) if named else self.frontend.backend
        if backend is None:
            self.refuse(BadRequest(f"no route '{name}'"))
        else:
            self.proxy(backend, prelude=self.received)

    def refusal(self, error: SessionError) -> bytes:
        """What a client reads that gets no server, for whatever reason."""
        return f"error: {error}\n".encode()


@implementer(IProtocolPlugin)
class LineRouter:
    options = LineRouterOptions
    mode = "tcp"
    needs_backend = False

    def factory(self, frontend: IFrontend, options: Any) -> IProtocolFactory:
        return ProxyFactory(LineRouterProtocol, frontend, options)
