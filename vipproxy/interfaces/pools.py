"""The backend-pool service: servers, and the right to use one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen
from zope.interface import Attribute, Interface

from vipproxy.counters import Counters, Traffic
from vipproxy.errors import SessionError
from vipproxy.values import Address, Ending

if TYPE_CHECKING:
    from vipproxy.interfaces.logs import ITrail


class IServer(Interface):
    """One server of a backend, as balancers, protocols and connectors see it."""

    name: str = Attribute("Its name, unique in the backend.")
    address: Address = Attribute("Where it listens.")
    weight: int = Attribute("Its share, 1 to 256, of the backend's sessions.")
    sessions: int = Attribute("Leases that are out now.")
    maxconn: int = Attribute("Sessions at most; 0 is no limit.")
    cookie: str | None = Attribute("The cookie value that leads to it.")
    send_proxy: str | None = Attribute(
        "Whether it is told its clients in PROXY headers: none, v1 or v2; None: as the backend."
    )
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
    failed: str = ""
    """The server that failed this client last; empty for a client that comes for the first time."""
    waited: float = 0.0
    """Seconds already spent waiting."""
    key: bytes | None = None
    """What the balancer wants of the request (`IRequestBalancerPlugin`), where it is there."""


class ILease(Interface):
    """The right to use a server, until released."""

    backend: IBackend = Attribute("Whose server it is.")
    server: IServer = Attribute("The server.")
    traffic: Traffic = Attribute("Bytes moved under this lease; whoever moves them counts here.")
    holder: IRevocable = Attribute("Whom to tell when the server is marked down; set by the user.")
    by_cookie: bool = Attribute("The client's cookie chose the server.")
    established: bool = Attribute("The server has accepted the connection.")
    opened_at: float = Attribute("When it was given, in seconds of the clock.")
    waited: float = Attribute("Seconds in which there was no server for the client.")
    connected_at: float = Attribute("When the server accepted, once it has.")
    answered_at: float | None = Attribute(
        "When the server answered; None where it has not. Set by users that ask it something;"
        " until then it is when the server accepted."
    )

    def connected() -> None:
        """The server has accepted the connection."""

    def refused(error: SessionError) -> None:
        """The server could not be connected: releases the lease, and counts as a failed check."""

    def release(ending: Ending) -> None:
        """Give it back. A second release is harmless."""

    def settle() -> None:
        """Find out whether the server has accepted meanwhile, and end the connect if not.

        Who calls it revokes the lease if it is not established then.
        """

    def revoke(ending: Ending) -> None:
        """The backend takes it back, and tells the holder."""


class IRevocable(Interface):
    def revoked(ending: Ending) -> None:
        """The lease has ended: close both sides now, in this reactor turn, without releasing."""


class IServerWatcher(Interface):
    """Who keeps something of servers that is worth nothing once they are down."""

    def server_fell(server: IServer) -> None:
        """It was marked down, or put into maintenance, or has moved: drop it all now, in this
        reactor turn.
        """

    def kept(server: IServer) -> tuple[int, int]:
        """Connections to it that are idle now, and how many of them were used again before."""

    timeout: float = Attribute("Seconds that something is kept.")
    limit: int | None = Attribute("Connections that are kept to a server at most; None is any.")


class ILeaseTaker(Interface):
    trail: ITrail | None = Attribute("Told of what it waits for; mostly there is none.")

    def leased(lease: ILease) -> None:
        """Here is your lease; set its holder."""

    def refused(error: SessionError) -> None:
        """There is none: NoServer or QueueTimeout."""


class IBackend(Interface):
    """A named pool of servers."""

    name: str = Attribute("Its name.")
    options: Any = Attribute("Its `vipproxy.config.options.BackendOptions`.")
    counters: Counters = Attribute("What its sessions have done.")
    usable_servers: int = Attribute("How many servers may get clients now.")
    queued: int = Attribute("Clients that wait for a server.")

    def is_usable(server: str) -> bool:
        """Whether a server may get clients now."""

    def lease(request: LeaseRequest, taker: ILeaseTaker) -> None:
        """Ask for a server: persistence first, else the balancer.

        Calls `taker.leased` or `taker.refused` once, now or later (at most after
        `timeout-queue`), unless `forget` comes first.
        """

    def forget(taker: ILeaseTaker) -> None:
        """The taker no longer wants a lease. Harmless where it does not wait."""

    def server_of_cookie(value: str) -> IServer | None:
        """The server to which a cookie value leads."""

    def watch(watcher: IServerWatcher) -> None:
        """Tell it, from now on, of each server that falls."""
