"""Every seam of the house. Implementations name the interface they provide; tests verify them.

Two conventions hold throughout. *Plugins* may answer with a value, a Deferred or a coroutine.
Inside the house, whoever waits is an object with one method for success and one for failure, so
that a session costs neither a Deferred nor a closure; the call may come before the request
returns.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen
from twisted.internet.interfaces import IProtocolFactory, IReactorTime, ITransport
from zope.interface import Attribute, Interface

from vipproxy.counters import Counters, Traffic
from vipproxy.errors import SessionError
from vipproxy.values import Address, AdminState, ClusterSnapshot, Ending

Side = socket.socket | ITransport
"""One end of a session: a connected, non-blocking socket, or a Twisted transport."""


# -- plugins ---------------------------------------------------------------------------


class IPlugin(Interface):
    """What the four kinds of plugins share."""

    options: type | None = Attribute(
        "An attrs class made with `vipproxy.config.option`, or None where there are no options."
    )


class IProtocolPlugin(IPlugin):
    """A frontend type (``protocol = NAME``). Its options are keys of the frontend's section."""

    mode: str = Attribute("'tcp' or 'http': the statistics' mode column; http may use cookies.")
    needs_backend: bool = Attribute("Whether a frontend of this type must name a backend.")

    def factory(frontend: IFrontend, options: Any) -> IProtocolFactory:
        """The factory of this frontend's connections.

        It may also provide `ISocketFactory`. `options` is an instance of the plugin's options
        class (None without one).
        """


class ICheckPlugin(IPlugin):
    """A health check (``check = NAME ...``). Its options follow the name on the line."""

    def probe(target: CheckTarget, options: Any) -> Any:
        """Probe one server once: a CheckResult, or a Deferred or coroutine of one.

        May raise `vipproxy.checks.CheckFailed`. The caller cancels it at the timeout, measures
        its duration, and takes any other exception for a failed check.
        """


class IBalancerPlugin(IPlugin):
    """A way to choose servers (``balance = NAME ...``)."""

    def balancer(options: Any) -> IBalancer:
        """A balancer for one backend."""


class IStorePlugin(IPlugin):
    """A place where the state survives a restart (``[global] store = NAME ...``)."""

    def store(options: Any) -> IStore:
        """The store of this proxy."""


class IPluginCatalog(Interface):
    """Finds plugins by name or dotted path."""

    def find(kind: str, name: str) -> Any:
        """The plugin of a kind (protocol, check, balancer, store).

        Raises LookupError, whose text is a sentence, for an unknown name or a bad path.
        """

    def names(kind: str) -> list[str]:
        """The names that `find` knows, without dotted paths."""


# -- the backend-pool service ----------------------------------------------------------


class IServer(Interface):
    """One server of a backend, as balancers, protocols and connectors see it."""

    name: str = Attribute("Its name, unique in the backend.")
    address: Address = Attribute("Where it listens.")
    weight: int = Attribute("Its share, 1 to 256, of the backend's sessions.")
    sessions: int = Attribute("Leases that are out now.")
    maxconn: int = Attribute("Sessions at most; 0 is no limit.")
    cookie: str | None = Attribute("The cookie value that leads to it.")
    counters: Counters = Attribute("What its sessions have done.")


class IBalancer(Interface):
    def pick(servers: Sequence[IServer], request: LeaseRequest) -> IServer:
        """Propose one of `servers`: all usable, none full, none tried before, at least one.

        The order of `servers` is that of the configuration.
        """


@frozen
class LeaseRequest:
    """What a backend is told about a client in want of a server."""

    client: Address
    destination: Address
    """The address that the client called: the VIP."""
    cookie: str | None = None
    """The value of the persistence cookie, if the client sent one."""
    tried: frozenset[str] = frozenset()
    """Servers that have refused this client."""
    waited: float = 0.0
    """Seconds already spent waiting."""


class ILease(Interface):
    """The right to use a server, until released."""

    server: IServer = Attribute("The server.")
    traffic: Traffic = Attribute("Bytes moved under this lease; whoever moves them counts here.")
    holder: IRevocable = Attribute("Whom to tell when the server is marked down; set by the user.")
    by_cookie: bool = Attribute("The client's cookie chose the server.")
    established: bool = Attribute("The server has accepted the connection.")

    def connected() -> None:
        """The server has accepted the connection."""

    def refused(error: SessionError) -> None:
        """The server could not be connected: releases the lease, and counts as a failed check."""

    def release(ending: Ending) -> None:
        """Give it back. A second release is harmless."""

    def revoke(ending: Ending) -> None:
        """The backend takes it back, and tells the holder."""


class IRevocable(Interface):
    def revoked(ending: Ending) -> None:
        """The lease has ended: close both sides now, in this reactor turn, without releasing."""


class ILeaseTaker(Interface):
    def leased(lease: ILease) -> None:
        """Here is your lease; set its holder."""

    def refused(error: SessionError) -> None:
        """There is none: NoServer or QueueTimeout."""


class IBackend(Interface):
    """A named pool of servers."""

    name: str = Attribute("Its name.")
    options: Any = Attribute("Its `vipproxy.config.options.BackendOptions`.")
    counters: Counters = Attribute("What its sessions have done.")

    def lease(request: LeaseRequest, taker: ILeaseTaker) -> None:
        """Ask for a server: persistence first, else the balancer.

        Calls `taker.leased` or `taker.refused` once, now or later (at most after
        `timeout-queue`), unless `forget` comes first.
        """

    def forget(taker: ILeaseTaker) -> None:
        """The taker no longer wants a lease. Harmless where it does not wait."""

    def server_of_cookie(value: str) -> IServer | None:
        """The server to which a cookie value leads."""


# -- bytes -----------------------------------------------------------------------------


class IConnectTaker(Interface):
    """Who waits for a connected server. Also `IRevocable`: it becomes the lease's holder."""

    def connected(lease: ILease, server: Side) -> None:
        """A server has accepted: the lease is yours to release, the side is yours to close."""

    def connect_failed(error: SessionError) -> None:
        """No server could be reached; everything is cleaned up."""


class IAttempt(Interface):
    def cancel() -> None:
        """The client is gone: stop waiting and connecting. Neither method is called after it."""


class IConnector(Interface):
    """From a lease to a connected server: timeout, retry, redispatch."""

    def connect(backend: IBackend, request: LeaseRequest, taker: IConnectTaker) -> IAttempt:
        """Lease and connect, again where that is safe; calls one method of `taker` once."""


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


# -- frontends -------------------------------------------------------------------------


class ISocketFactory(Interface):
    """A factory that takes raw sockets: no Twisted transport is built for its clients."""

    def socketAccepted(sock: socket.socket, peer: Address) -> None:
        """A client; the socket is non-blocking, and from now on the factory's to close."""


class IClosable(Interface):
    """An open client connection, as the frontend knows it; Twisted's transports are such."""

    def abortConnection() -> None:
        """Close it now."""


class IListener(Interface):
    """A bound address that accepts clients for a frontend."""

    def resume() -> None:
        """There may be room again. Harmless where it accepts already."""


class IFrontend(Interface):
    """What a protocol knows of the frontend that it serves."""

    name: str = Attribute("Its name.")
    options: Any = Attribute("Its `vipproxy.config.options.FrontendOptions`.")
    clock: IReactorTime = Attribute("Time, and nothing but time.")
    counters: Counters = Attribute("What its clients have done.")
    connector: IConnector = Attribute("From a lease to a connected server.")
    relay: IRelay = Attribute("Moves bytes.")
    cluster: ICluster = Attribute("The proxy's own state, read-only.")
    backend: IBackend | None = Attribute("The frontend's backend.")
    stopping: bool = Attribute("True once the proxy stops: end sessions when it is polite to.")

    def backend_named(name: str) -> IBackend:
        """A backend that the protocol's options name (kind `BackendNames`); raises KeyError."""

    def opened(client: IClosable) -> Traffic:
        """A client has come; the same client again is the same session."""

    def closed(client: IClosable) -> None:
        """The client has gone. A second call is harmless."""


class ICluster(Interface):
    """The whole proxy, seen by observers."""

    def snapshot() -> ClusterSnapshot:
        """Everything at this instant, frozen."""


class IControl(Interface):
    """What an operator may change while the proxy runs."""

    def set_admin_state(backend: str, server: str, state: AdminState) -> None:
        """Set what is wanted of a server; raises LookupError where there is none of that name."""


class IObserver(Interface):
    """Is told what happens to servers."""

    def server_changed(backend: str, server: str, text: str, severity: str) -> None:
        """A server changed between up and down, or its administrative state did.

        `text` is a sentence in HAProxy's words, `severity` one of alert, warning, notice.
        """


# -- health and state ------------------------------------------------------------------


@frozen
class CheckTarget:
    """What a probe is aimed at. `timeout` is in seconds, and enforced by the caller."""

    backend: str
    server: str
    address: Address
    timeout: float
    reactor: Any = field(repr=False)


class IStore(Interface):
    """Keeps what must survive a restart: JSON-able mappings."""

    def load() -> Any:
        """The last saved state, a mapping; empty where there is none. May be asynchronous."""

    def save(state: Mapping[str, Any]) -> Any:
        """Keep it. May be asynchronous; errors are logged by the caller, and traffic goes on."""
