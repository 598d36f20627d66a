"""Sockets by hand: what Twisted's endpoints do not set, and how a socket becomes a transport."""

from __future__ import annotations

import contextlib
import socket
from functools import cache
from typing import Any

from twisted.internet import tcp
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHalfCloseableDescriptor, INegotiated, IProtocol
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from vipproxy import native
from vipproxy.config.options import KeepaliveOptions
from vipproxy.interfaces import ITransports, Side, WhenLost
from vipproxy.unix_sockets import listening_unix_socket
from vipproxy.values import Address

IP_FREEBIND = getattr(socket, "IP_FREEBIND", 15)
IPV6_FREEBIND = 78
TCP_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", 18)

NON_BLOCKING_STREAM = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK)

ANY_HOST = frozenset({"0.0.0.0", "::"})
"""Hosts of a bind to all addresses: each client calls one of them."""

Accepted = tuple[int, str, int]
"""The descriptor of a client's socket, which is non-blocking, and its host and port."""

UNKNOWN = Address("0.0.0.0", 0)
"""The address of a peer that has none, or has it no more."""


def family_of(address: Address) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address.host else socket.AF_INET


def stream_socket(address: Address) -> socket.socket:
    """A non-blocking TCP socket of the address's family."""
    return socket.socket(family_of(address), NON_BLOCKING_STREAM)


def listening_socket(address: Address, backlog: int) -> socket.socket:
    """Bind and listen, also where no interface has the address yet (IP_FREEBIND, ip(7)).

    Raises OSError.
    """
    if address.is_unix:
        return listening_unix_socket(address, backlog)
    sock = stream_socket(address)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        sock.bind((address.host, address.port))
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


def accept_batch(listening: socket.socket, limit: int) -> list[Accepted]:
    """Up to `limit` of the clients that wait; empty where none does.

    Raises OSError where there is a client that cannot be accepted, and none before it could.
    """
    if native.available and listening.family != socket.AF_UNIX:
        return native._engine.accept_batch(listening.fileno(), limit)
    accepted: list[Accepted] = []
    try:
        while len(accepted) < limit:
            client, peer = listening.accept()
            client.setblocking(False)
            host, port = peer[:2] if peer else (UNKNOWN.host, UNKNOWN.port)
            accepted.append((client.detach(), host, port))
    except BlockingIOError:
        pass
    except OSError:
        if not accepted:
            raise
    return accepted


def accepted_socket(descriptor: int, family: int) -> socket.socket:
    """The socket of a descriptor from `accept_batch`, without asking the kernel what it is."""
    return socket.socket(family, NON_BLOCKING_STREAM, 0, descriptor)


SocketOption = tuple[int, int, int]
"""Level, name and value, as setsockopt(2) takes them."""


@cache
def keepalive_options(keepalive: KeepaliveOptions | None) -> tuple[SocketOption, ...]:
    """The configured keepalive (tcp(7)) as socket options."""
    if keepalive is None or not keepalive.enabled:
        return ()
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (
        (socket.TCP_KEEPIDLE, keepalive.idle),
        (socket.TCP_KEEPINTVL, keepalive.interval),
        (socket.TCP_KEEPCNT, keepalive.count),
    ):
        if value is not None:
            options.append((socket.IPPROTO_TCP, name, max(1, round(value))))
    if keepalive.user_timeout is not None:
        milliseconds = round(keepalive.user_timeout * 1000)
        options.append((socket.IPPROTO_TCP, TCP_USER_TIMEOUT, milliseconds))
    return tuple(options)


def prepare(sock: socket.socket, keepalive: KeepaliveOptions | None) -> None:
    """Set what every session's socket has: no delay, and the configured keepalive.

    Sockets accepted from a listening socket inherit all of it.
    """
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for level, name, value in keepalive_options(keepalive):
        sock.setsockopt(level, name, value)


def peer_of(sock: socket.socket) -> Address:
    """The address at the other end; raises OSError where it has gone already."""
    return Address(*sock.getpeername()[:2])


def local_of(sock: socket.socket) -> Address:
    return Address(*sock.getsockname()[:2])


class AdoptedConnection(tcp.Server):
    """A Twisted transport around a connected socket, without the dup of adoptStreamConnection."""

    def __init__(
        self,
        sock: socket.socket,
        protocol: IProtocol,
        peer: Address,
        reactor: Any,
        when_lost: WhenLost = None,
    ) -> None:
        super().__init__(sock, protocol, (peer.host, peer.port), None, 0, reactor)  # type: ignore[arg-type]
        if ":" in peer.host:
            self._addressType = IPv6Address
        self.repstr = f"<{type(protocol).__name__} with {peer}>"
        self._when_lost = when_lost

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        if self._when_lost is not None:
            self._when_lost(self)


@implementer(ITransports)
class TwistedTransports:
    """Sockets become Twisted's own transports."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def adopt(
        self, sock: socket.socket, protocol: IProtocol, peer: Address, when_lost: WhenLost = None
    ) -> AdoptedConnection:
        return AdoptedConnection(sock, protocol, peer, self._reactor, when_lost)

    def adopt_accepted(
        self,
        descriptor: int,
        family: int,
        protocol: IProtocol,
        peer: Address,
        when_lost: WhenLost = None,
    ) -> AdoptedConnection:
        sock = accepted_socket(descriptor, family)
        try:
            return self.adopt(sock, protocol, peer, when_lost)
        except Exception:
            sock.detach()
            raise

    def stop(self) -> None:
        """The reactor keeps them."""


def attach(side: Side, protocol: IProtocol, transports: ITransports) -> Any:
    """Let `protocol` speak on a side from now on, and return the transport.

    A socket becomes a transport; a side that is a transport already changes protocols.
    """
    if isinstance(side, socket.socket):
        transport: Any = transports.adopt(side, protocol, _peer_or_unknown(side))
    else:
        transport = side
        _change_protocol(transport, protocol)
    protocol.makeConnection(transport)
    return transport


def take_socket(transport: Any) -> socket.socket | None:
    """The socket out of a transport that can give it away; the transport is done then."""
    release = getattr(transport, "release", None)
    if release is not None:
        with contextlib.suppress(RuntimeError):  # output waits, or the connection ends
            taken: socket.socket = release()
            return taken
    return None


def _change_protocol(transport: Any, protocol: IProtocol) -> None:
    """Under TLS the protocol's place is inside the wrapper, which is on either side of it."""
    inner = getattr(transport, "protocol", None)
    if isinstance(transport, ProtocolWrapper):
        transport.wrappedProtocol = protocol
    elif isinstance(inner, ProtocolWrapper):
        inner.wrappedProtocol = protocol
    else:
        transport.protocol = protocol


def _peer_or_unknown(sock: socket.socket) -> Address:
    """A peer that has reset the connection has no address any more."""
    try:
        return peer_of(sock)
    except OSError:
        return UNKNOWN


def hang_up(side: Side, last_words: bytes = b"") -> None:
    """End a connection within this reactor turn: the peer sees its end at once, in order.

    `last_words` go out before it, where nothing else is waiting to be sent.

    A producer or unsent bytes would keep `loseConnection` waiting, and `abortConnection` would
    send a reset, and only in the next turn.
    """
    if isinstance(side, socket.socket):
        _shut_down(side, last_words)
        side.close()
        return
    transport: Any = side
    if not getattr(transport, "connected", True):
        return  # it was lost before; Twisted has taken the socket away
    transport.unregisterProducer()
    handle = getattr(transport, "getHandle", lambda: None)()
    if isinstance(handle, socket.socket):
        _shut_down(handle, last_words)
        transport.loseConnection()
    else:
        transport.abortConnection()


def _shut_down(sock: socket.socket, last_words: bytes) -> None:
    with contextlib.suppress(OSError):  # the peer was faster
        if last_words:
            sock.send(last_words)
        sock.shutdown(socket.SHUT_RDWR)


def can_half_close(transport: Any) -> bool:
    """Half-close over TLS is broken (Twisted's ticket 5341)."""
    return IHalfCloseableDescriptor.providedBy(transport) and not INegotiated.providedBy(transport)


def end_output(transport: Any) -> None:
    """Half-close, after what was written; TLS has no such thing, so there it is the end."""
    if isinstance(transport, ProtocolWrapper):
        transport.loseConnection()
    else:
        transport.loseWriteConnection()


def address_of(theirs: Any) -> Address:
    """Twisted's IPv4Address or IPv6Address as ours; other kinds have no address here."""
    if isinstance(theirs, IPv4Address | IPv6Address):
        return Address(theirs.host, theirs.port)
    return UNKNOWN


def twisted_address(host: str, port: int) -> IPv4Address | IPv6Address:
    """The other way round."""
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)
