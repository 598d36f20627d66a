"""Frontends, their clients, and how factories take them."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IProtocol, IReactorTime
from zope.interface import Attribute, Interface

from vipproxy.counters import Counters, Traffic
from vipproxy.interfaces.cluster import ICluster
from vipproxy.interfaces.control import IControl
from vipproxy.interfaces.logs import ITrafficLog
from vipproxy.interfaces.pools import IBackend, ILease
from vipproxy.interfaces.relays import IAttempt, IConnector, IRelay, Side
from vipproxy.values import Address


class ISocketFactory(Interface):
    """A factory that takes raw sockets: no Twisted transport is built for its clients."""

    def socketAccepted(sock: socket.socket, peer: Address) -> None:
        """A client; the socket is non-blocking, and from now on the factory's to close."""


class IClosable(Interface):
    """An open client connection, as the frontend knows it; Twisted's transports are such."""

    def abortConnection() -> None:
        """Close it now."""


class IInspectable(Interface):
    """A client, or the protocol that speaks with it, of which one can see what it is doing."""

    peer: Address = Attribute("The client's address.")
    lease: ILease | None = Attribute("The server that it uses now.")
    attempt: IAttempt | None = Attribute("Its way to a server, while it has none.")
    wanted: IBackend = Attribute("The backend on whose server it waits, while it has none.")


class IListener(Interface):
    """A bound address that accepts clients for a frontend."""

    destination: Address | None = Attribute(
        "The address that its clients have called; None where it is bound to any address."
    )

    def resume() -> None:
        """There may be room again. Harmless where it accepts already."""

    def disable() -> None:
        """Refuse clients, and keep the address. Harmless where it does already."""

    def enable() -> None:
        """Listen again; raises OSError. Harmless where it does already."""

    def stop() -> None:
        """Listen no more, and give the address free. Harmless when stopped."""


class IFrontend(Interface):
    """What a protocol knows of the frontend that it serves."""

    name: str = Attribute("Its name.")
    options: Any = Attribute("Its `vipproxy.config.options.FrontendOptions`.")
    clock: IReactorTime = Attribute("Time, and nothing but time.")
    counters: Counters = Attribute("What its clients have done.")
    connector: IConnector = Attribute("From a lease to a connected server.")
    relay: IRelay = Attribute("Moves bytes.")
    cluster: ICluster = Attribute("The proxy's own state, read-only.")
    control: IControl | None = Attribute(
        "What an operator may change of it; None where nothing may be changed."
    )
    backend: IBackend | None = Attribute("The frontend's backend.")
    backends: Mapping[str, IBackend] = Attribute("All backends of the proxy, by name.")
    userlists: Mapping[str, Any] = Attribute(
        "The `vipproxy.config.userlists.UserlistOptions` of the configuration, by name."
    )
    destination: Address | None = Attribute(
        "The one address that all its clients call; None where they may call several."
    )
    log: ITrafficLog | None = Attribute("Where its sessions are written down, if anywhere.")
    stopping: bool = Attribute("True once the proxy stops: end sessions when it is polite to.")

    def backend_named(name: str) -> IBackend:
        """A backend that the protocol's options name (kind `BackendNames`); raises KeyError."""

    def attach(side: Side, protocol: IProtocol) -> Any:
        """Let a protocol speak on a side from now on; returns the transport."""

    def opened(client: IClosable) -> Traffic:
        """A client has come; the same client again is the same session."""

    def handed_over(client: IClosable, heir: IClosable) -> None:
        """The same client's connection is another object's from now on."""

    def closed(client: IClosable) -> None:
        """The client has gone. A second call is harmless."""

    def refused_request(source: Address, data: bytes, reason: str) -> None:
        """Keep a message that was refused, for the operator (`show errors`)."""

    def refused_response(
        backend: str, server: str, source: Address, data: bytes, reason: str
    ) -> None:
        """The same for a server's answer; `source` is the client that it was for."""
