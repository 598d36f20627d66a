"""From a lease to moving bytes: transports, connecting, relaying."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IProtocol, ITransport
from zope.interface import Attribute, Interface

from vipproxy.counters import Traffic
from vipproxy.errors import SessionError
from vipproxy.interfaces.logs import ITrail
from vipproxy.interfaces.pools import IBackend, ILease, LeaseRequest
from vipproxy.values import Address, Ending

if TYPE_CHECKING:
    from vipproxy.config.options import KeepaliveOptions

Side = socket.socket | ITransport
"""One end of a session: a connected, non-blocking socket, or a Twisted transport."""


WhenLost = Callable[[Any], None] | None
"""Called with a transport, after its protocol has heard that the connection is lost."""


class IConnectTaker(Interface):
    """Who waits for a connected server. Also `IRevocable`: it becomes the lease's holder."""

    def connected(lease: ILease, server: Any) -> None:
        """A server has accepted: the lease is yours to release.

        `server` is what the dialler has made: with the connector's own a `Side`, yours to close.
        """

    def connect_failed(error: SessionError) -> None:
        """No server could be reached; everything is cleaned up."""


class IReuser(Interface):
    """Who may have an idle connection to the leased server."""

    def reuse(lease: ILease) -> bool:
        """Use one for this lease, which is yours from then on (call its `connected`), or say no."""


class IAttempt(Interface):
    started: float = Attribute("When it began, in seconds of the clock.")

    def cancel() -> None:
        """The client is gone: stop waiting and connecting. Neither method is called after it.

        But where the server has accepted before that was known, `connected` is called now.
        """

    def settle() -> bool:
        """End a connect under way, and keep the lease; True where `connected` was called now."""


class IConnector(Interface):
    """From a lease to a connected server: timeout, retry, redispatch."""

    def connect(
        backend: IBackend,
        request: LeaseRequest,
        taker: IConnectTaker,
        reuser: IReuser | None = None,
        dialler: IDialler | None = None,
        trail: ITrail | None = None,
    ) -> IAttempt:
        """Lease and connect, again where that is safe; calls one method of `taker` once.

        A `reuser` is asked before a server is dialled; once it says yes, `taker` hears nothing.
        A `dialler` replaces the connector's own. A `trail` is told of the way.
        """


class IDialTaker(Interface):
    """Who wants a connected socket."""

    def dialled(server: Any) -> None:
        """Connected; what the dialler makes of that, mostly a non-blocking socket, is yours."""

    def dial_failed(error: SessionError) -> None:
        """ConnectFailed, ConnectTimeout, or InternalError where this host is short of something."""


class IDial(Interface):
    """A connect under way."""

    def cancel() -> bool:
        """Stop: neither method of the taker is called after it. Harmless once one was.

        False where the server has accepted, and the taker was not told yet: it is connected to
        this dial.
        """


class IDialler(Interface):
    """Connects to servers."""

    def dial(
        address: Address,
        timeout: float,
        taker: IDialTaker,
        keepalive: KeepaliveOptions | None,
        greeting: bytes,
    ) -> IDial:
        """Connect within `timeout` seconds; calls one method of `taker` once, now or later.

        The server gets `greeting` before anything else.
        """


class ITransports(Interface):
    """Makes transports of connected sockets."""

    def adopt(
        sock: socket.socket, protocol: IProtocol, peer: Address, when_lost: WhenLost = None
    ) -> Any:
        """A transport that reads from now on; the protocol's `makeConnection` is the caller's.

        It has taken the socket over, unless it raises OSError.
        """

    def adopt_accepted(
        descriptor: int, family: int, protocol: IProtocol, peer: Address, when_lost: WhenLost = None
    ) -> Any:
        """The same for a client's socket that is nothing but a descriptor so far.

        If it raises, whatever it is, the descriptor has remained the caller's.
        """

    def stop() -> None:
        """Abort what is still connected."""


class IRelayTaker(Interface):
    def relay_ended(ending: Ending) -> None:
        """Both sides are closed. Not called after `IRelaySession.shut_down`."""


class IRelaySession(Interface):
    def shut_down(last_words: bytes = b"") -> None:
        """End both sides now: the peers see the end of the connection in this reactor turn.

        `last_words` are for the client, to which nothing must have been sent before.
        """


class IRelay(Interface):
    """How bytes move between two connected sides."""

    def relay(
        client: Side,
        server: Side,
        taker: IRelayTaker,
        traffic: Traffic,
        client_timeout: float,
        server_timeout: float,
        to_server: bytes = b"",
        to_client: bytes = b"",
    ) -> IRelaySession:
        """Move bytes both ways until both sides have ended, or nothing has moved for a timeout.

        Timeouts are seconds. Takes both sides over and closes them. `to_server` and `to_client`
        are bytes that were already read, and are sent first; they are not counted.
        """

    def stop() -> None:
        """Leave nothing behind: no delayed call, no thread."""


class ILendable(Interface):
    """A transport whose socket the relay can use meanwhile."""

    def fileno() -> int:
        """The socket's descriptor."""

    def flush() -> bool:
        """Send what the kernel takes; True where nothing is left to be sent."""

    def lend() -> bool:
        """Neither read nor send until `take_back`; False where there is something to be sent."""

    def take_back() -> None:
        """Go on. Harmless where it was not lent."""


class ICopyTaker(Interface):
    def copied(ending: Ending, left: int) -> None:
        """It is over, with so many bytes `left` to be moved; none, if all went well.

        Not called after `IRelaySession.shut_down`.
        """


class ICopyingRelay(IRelay):
    """A relay that also moves a part of what two transports have to say."""

    def copy(
        client: ILendable,
        server: ILendable,
        taker: ICopyTaker,
        traffic: Traffic,
        also: Traffic,
        to_client: bool,
        count: int,
        client_timeout: float,
        server_timeout: float,
    ) -> IRelaySession:
        """Move `count` bytes one way, counting them twice; the transports stay the caller's.

        Meanwhile nobody else reads the one side, or writes to the other. Raises OSError.
        """


class IDiallingRelay(IRelay):
    """A relay that also connects to the server, so that a session costs a single call."""

    def dial(
        client: socket.socket,
        address: Address,
        timeout: float,
        taker: IDialTaker,
        keepalive: KeepaliveOptions | None,
        greeting: bytes,
        relay_taker: IRelayTaker,
        traffic: Traffic,
        client_timeout: float,
        server_timeout: float,
    ) -> IDial:
        """As `IDialler.dial` and `IRelay.relay` in one.

        The taker gets the session that runs already, and must then detach the client's socket,
        which is the relay's; if the connect fails, it has remained the caller's.
        """
