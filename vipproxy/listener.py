"""Listening sockets: bind, accept in batches, hand to the frontend's factory."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from functools import partial
from typing import Any

from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReadDescriptor,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from vipproxy.announced import AnnouncedSocket, Stranger, Welcome
from vipproxy.frontend import Frontend, admission
from vipproxy.interfaces import IListener, ISocketFactory
from vipproxy.sockets import (
    ANY_HOST,
    NON_BLOCKING_STREAM,
    accept_batch,
    accepted_socket,
    hang_up,
    listening_socket,
    local_of,
    prepare,
    twisted_address,
)
from vipproxy.unix_sockets import remove
from vipproxy.values import Address

log = Logger()

BATCH = 64
"""Clients accepted at one wake-up, so that one busy port does not starve the rest."""
BACKLOG = 1024
SHORTAGE_PAUSE = 0.1
"""Seconds without accepting when the process is out of descriptors or memory."""
SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@implementer(IListener, IReadDescriptor)
class Listener:
    """One bound address. While the frontend is full, clients wait in the kernel's queue."""

    def __init__(self, address: Address, frontend: Frontend, factory: IProtocolFactory) -> None:
        self._frontend, self._factory = frontend, factory
        self._reactor = frontend.clock
        self._admits = admission(frontend)
        takes_sockets = ISocketFactory.providedBy(factory)
        self._let_in = self._hand_socket_over if takes_sockets else self._hand_transport_over
        welcome = self._take_socket if takes_sockets else self._take_transport
        if frontend.options.accept_proxy:
            self._let_in = partial(self._await_header, welcome)
        elif address.is_unix:
            self._let_in = partial(self._introduce, welcome)
        self._hand_over = self._let_in if self._admits is None else self._screen
        self._strangers: set[Stranger] = set()
        self._accepting = False
        self._reading = False
        self._pause: IDelayedCall | None = None
        self._enabled = True
        self._socket = listening_socket(address, BACKLOG)
        self._family = int(self._socket.family)
        prepare(self._socket, frontend.options.keepalive)  # for all clients: they inherit it
        self.address = address if address.is_unix else local_of(self._socket)
        anywhere = address.is_unix or address.host in ANY_HOST or frontend.options.accept_proxy
        self.destination = None if anywhere else self.address

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
        if self.address.is_unix:
            remove(self.address)
        for stranger in list(self._strangers):
            stranger.close()

    def disable(self) -> None:
        """The socket stays bound, but listens no more: the kernel refuses clients."""
        if self._enabled:
            self._enabled = False
            self._suspend()
            self._socket.shutdown(socket.SHUT_RD)
            with contextlib.suppress(OSError):  # only a port that the kernel has chosen is let go
                self._socket.bind((self.address.host, self.address.port))

    def enable(self) -> None:
        if not self._enabled:
            self._socket.listen(BACKLOG)
            self._enabled = True
            self.resume()

    def resume(self) -> None:
        """There may be room again."""
        if self._accepting and self._enabled and not self._reading and self._pause is None:
            self._reading = True
            self._reactor.addReader(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return f"Listener {self.address}"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops; `stop` closes the socket."""

    def doRead(self) -> None:
        room = self._frontend.room
        if room <= 0:
            self._suspend()
            return
        try:
            accepted = accept_batch(self._socket, min(room, BATCH))
        except OSError as error:
            if error.errno in SHORTAGES:
                self._wait_for_resources(error)
            return
        pace = self._frontend.limit.pace
        if pace is not None:
            pace.took(len(accepted))
        for descriptor, host, port in accepted:
            self._hand_over(descriptor, Address(host, port))

    def _screen(self, descriptor: int, peer: Address) -> None:
        """`tcp-request-connection`."""
        sock = accepted_socket(descriptor, self._family)
        assert self._admits is not None
        if self._admits(peer, sock):
            self._let_in(sock.detach(), peer)
        else:
            sock.close()

    def _introduce(self, welcome: Welcome, descriptor: int, peer: Address) -> None:
        """Of a Unix socket."""
        welcome(AnnouncedSocket(self._family, NON_BLOCKING_STREAM, 0, descriptor), peer)

    def _await_header(self, welcome: Welcome, descriptor: int, peer: Address) -> None:
        """`accept-proxy`."""
        sock = AnnouncedSocket(self._family, NON_BLOCKING_STREAM, 0, descriptor)
        self._strangers.add(Stranger(sock, peer, self._frontend, welcome, self._stranger_gone))

    def _stranger_gone(self, stranger: Stranger) -> None:
        self._strangers.discard(stranger)
        self.resume()

    # A factory that raises loses the client that it was given, and no more.

    def _hand_socket_over(self, descriptor: int, peer: Address) -> None:
        self._take_socket(accepted_socket(descriptor, self._family), peer)

    def _take_socket(self, sock: socket.socket, peer: Address) -> None:
        try:
            self._factory.socketAccepted(sock, peer)  # type: ignore[attr-defined]
        except Exception:
            self._failed()
            sock.close()

    def _hand_transport_over(self, descriptor: int, peer: Address) -> None:
        try:
            protocol = self._factory.buildProtocol(twisted_address(peer.host, peer.port))
            transport = None if protocol is None else self._adopt(descriptor, protocol, peer)
        except Exception:
            self._failed()
            transport = None
        if transport is None:
            os.close(descriptor)
        else:
            self._begin(protocol, transport)

    def _take_transport(self, sock: socket.socket, peer: Address) -> None:
        frontend = self._frontend
        try:
            protocol = self._factory.buildProtocol(twisted_address(peer.host, peer.port))
            adopt = frontend.transports.adopt
            transport = adopt(sock, protocol, peer, frontend.closed) if protocol else None
        except Exception:
            self._failed()
            transport = None
        if transport is None:
            sock.close()
        else:
            self._begin(protocol, transport)

    def _begin(self, protocol: Any, transport: Any) -> None:
        self._frontend.opened(transport)  # counted also where the protocol is not one of ours
        try:
            protocol.makeConnection(transport)
        except Exception:
            self._failed()
            hang_up(transport)

    def _adopt(self, descriptor: int, protocol: IProtocol, peer: Address) -> Any:
        frontend = self._frontend
        return frontend.transports.adopt_accepted(
            descriptor, self._family, protocol, peer, frontend.closed
        )

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
