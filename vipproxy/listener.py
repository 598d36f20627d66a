"""Listening sockets: bind, accept in batches, hand to the frontend's factory."""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IDelayedCall, IProtocolFactory, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from vipproxy.frontend import Frontend
from vipproxy.interfaces import IClosable, IListener, ISocketFactory
from vipproxy.sockets import AdoptedConnection, listening_socket, local_of, prepare
from vipproxy.values import Address

log = Logger()

BATCH = 64
"""Clients accepted at one wake-up, so that one busy port does not starve the rest."""
BACKLOG = 1024
SHORTAGE_PAUSE = 0.1
"""Seconds without accepting when the process is out of descriptors or memory."""
SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@implementer(IClosable)
class ClientConnection(AdoptedConnection):
    """The transport of a client; counts it also where the protocol is a stranger."""

    def __init__(self, sock: socket.socket, protocol: Any, peer: Address, frontend: Frontend):
        super().__init__(sock, protocol, peer, frontend.clock)
        self._frontend = frontend
        frontend.opened(self)

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        self._frontend.closed(self)


@implementer(IListener, IReadDescriptor)
class Listener:
    """One bound address. While the frontend is full, clients wait in the kernel's queue."""

    def __init__(self, address: Address, frontend: Frontend, factory: IProtocolFactory) -> None:
        self._frontend, self._factory = frontend, factory
        self._reactor = frontend.clock
        self._takes_sockets = ISocketFactory.providedBy(factory)
        self._accepting = False
        self._reading = False
        self._pause: IDelayedCall | None = None
        self._socket = listening_socket(address, BACKLOG)
        self.address = local_of(self._socket)

    def start(self) -> None:
        """Begin to accept."""
        self._accepting = True
        self._factory.doStart()
        self.resume()

    def stop(self) -> None:
        """Accept no more, and close the socket; sessions go on. Harmless when stopped."""
        if self._accepting:
            self._accepting = False
            self._factory.doStop()
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._suspend()
        self._socket.close()

    def resume(self) -> None:
        """There may be room again."""
        if self._accepting and not self._reading and self._pause is None:
            self._reading = True
            self._reactor.addReader(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return f"Listener {self.address}"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops; `stop` closes the socket."""

    def doRead(self) -> None:
        for _ in range(BATCH):
            if self._frontend.full:
                self._suspend()
                return
            try:
                sock, peer = self._socket.accept()
            except OSError as error:
                if error.errno in SHORTAGES:
                    self._wait_for_resources(error)
                return
            self._hand_over(sock, Address(peer[0], peer[1]))

    def _hand_over(self, sock: socket.socket, peer: Address) -> None:
        """A factory that raises loses this client, and no more."""
        try:
            sock.setblocking(False)
            prepare(sock, self._frontend.options.keepalive)
            if self._takes_sockets:
                self._factory.socketAccepted(sock, peer)  # type: ignore[attr-defined]
            else:
                self._build_protocol(sock, peer)
        except Exception:
            self._failed()
            sock.close()

    def _build_protocol(self, sock: socket.socket, peer: Address) -> None:
        kind = IPv6Address if ":" in peer.host else IPv4Address
        protocol = self._factory.buildProtocol(kind("TCP", peer.host, peer.port))
        if protocol is None:
            sock.close()
            return
        transport = ClientConnection(sock, protocol, peer, self._frontend)
        try:
            protocol.makeConnection(transport)
        except Exception:
            self._failed()
            transport.abortConnection()  # which closes the socket, as it is the transport's now

    def _failed(self) -> None:
        log.failure("frontend {name} failed to take a client", name=self._frontend.name)

    def _suspend(self) -> None:
        if self._reading:
            self._reading = False
            self._reactor.removeReader(self)

    def _wait_for_resources(self, error: OSError) -> None:
        log.error(
            "{address} cannot accept for now: {reason}", address=self.address, reason=error.strerror
        )
        self._suspend()
        self._pause = self._reactor.callLater(SHORTAGE_PAUSE, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        self.resume()
