"""What protocol plugins derive from: look at the first bytes, then pass the client on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from vipproxy.counters import Traffic
from vipproxy.errors import ClientGone, ClientTimeout, SessionError
from vipproxy.interfaces import IAttempt, IBackend, IFrontend, IInspectable, ILease
from vipproxy.logs.record import Record
from vipproxy.protocols.session import Session, session_type
from vipproxy.sockets import address_of, take_socket
from vipproxy.values import Address, Ending


@implementer(IHalfCloseableProtocol, IInspectable)
class ProxyProtocol(Protocol, TimeoutMixin):
    """A client's protocol until `proxy` is called; from then on bytes pass through.

    Override `dataReceived` to decide where the client goes, and `refusal` to tell it in its own
    protocol why it gets no server. Bound what you buffer; the time until `proxy` is bounded by
    `timeout-client`.
    """

    factory: ProxyFactory
    transport: Any
    timeout_tunnel: float | None = None
    """Seconds; replaces the timeouts of client and server where it is set."""

    def __init__(self, frontend: IFrontend) -> None:
        self.frontend = frontend
        self._session: Session | None = None
        self._record: Record | None = None
        """Until there is a session."""

    @property
    def peer(self) -> Address:
        return address_of(self.transport.getPeer())

    @property
    def lease(self) -> ILease | None:
        return self._session.lease if self._session else None

    @property
    def attempt(self) -> IAttempt | None:
        return self._session.attempt if self._session else None

    @property
    def wanted(self) -> IBackend | None:
        return self._session.wanted if self._session else self.frontend.backend

    def makeConnection(self, transport: Any) -> None:
        self.traffic: Traffic = self.frontend.opened(transport)
        if self.frontend.log is not None:
            peer, host = address_of(transport.getPeer()), address_of(transport.getHost())
            self._record = self.frontend.log.begin(peer, host)
        super().makeConnection(transport)
        if self._session is None and self.timeOut is None:
            self.setTimeout(self.frontend.options.timeout_client)

    def proxy(self, backend: IBackend | None = None, prelude: bytes = b"") -> None:
        """Lease, connect, and relay from here on; the server gets `prelude` first.

        `backend` is by default the frontend's. Raises ValueError where it has none.
        """
        chosen = backend or self.frontend.backend
        if chosen is None:
            raise ValueError(f"frontend '{self.frontend.name}' has no backend")
        self.setTimeout(None)
        transport = self.transport
        transport.pauseProducing()
        client, destination = address_of(transport.getPeer()), address_of(transport.getHost())
        side = take_socket(transport) or transport
        self._session = session_type(self.frontend, side)(
            self.frontend, side, self.refusal, self.timeout_tunnel, transport
        )
        record, self._record = self._record, None
        self._session.start(chosen, client, destination, prelude, record)

    def refuse(self, error: SessionError) -> None:
        """End the connection, with the words of `refusal`, instead of finding a server."""
        self.setTimeout(None)
        self.frontend.counters.request_errors += 1
        words = self.refusal(error)
        self.transport.write(words)
        self._write_down(error.ending, len(words))
        self.transport.loseConnection()

    def refusal(self, error: SessionError) -> bytes:
        """The last words to a client that gets no server; by default none."""
        return b""

    def timeoutConnection(self) -> None:
        self.refuse(ClientTimeout("the client did not go on in time"))

    def callLater(self, period: float, function: Callable[[], None]) -> IDelayedCall:
        """Time is the frontend's (TimeoutMixin would take the global reactor's)."""
        return self.frontend.clock.callLater(period, function)

    def readConnectionLost(self) -> None:
        """A client that ends its input before it has a server wants none."""
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Nothing was to be written any more."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.setTimeout(None)
        if self._session is not None:
            self._session.client_gone()
        self._write_down(ClientGone.ending)
        self.frontend.closed(self.transport)

    def _write_down(self, ending: Ending, said: int = 0) -> None:
        """The client has come to its end before it had a session."""
        record, self._record = self._record, None
        log = self.frontend.log
        if record is not None and log is not None:
            record.bytes_in, record.bytes_out = self.traffic.bytes_in, said
            log.finish(record, None, ending, "R")


class ProxyFactory(Factory):
    """Makes one `ProxyProtocol` a client: all that most protocol plugins need.

    The protocol finds the plugin's options as `self.factory.options`.
    """

    noisy = False

    def __init__(
        self, protocol: type[ProxyProtocol], frontend: IFrontend, options: Any = None
    ) -> None:
        self.protocol = protocol  # type: ignore[assignment]
        self.frontend = frontend
        self.options = options

    def buildProtocol(self, addr: Any) -> ProxyProtocol:  # type: ignore[override]
        protocol: ProxyProtocol = self.protocol(self.frontend)  # type: ignore[misc,assignment]
        protocol.factory = self
        return protocol
