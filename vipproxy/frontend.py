"""A frontend at work: what its protocol is given, and who is connected to it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from zope.interface import implementer

from vipproxy.config.options import FrontendConfig, FrontendOptions
from vipproxy.config.userlists import UserlistOptions
from vipproxy.counters import Counters, Traffic
from vipproxy.interfaces import (
    IBackend,
    IClosable,
    ICluster,
    IConnector,
    IControl,
    IFrontend,
    IListener,
    IRelay,
    ITrafficLog,
    ITransports,
    Side,
)
from vipproxy.limits import SessionLimit
from vipproxy.rules.choice import compile_admission
from vipproxy.rules.conditions import Scope
from vipproxy.rules.subject import Subject
from vipproxy.sockets import attach, local_of
from vipproxy.values import Address, FrontendSnapshot


@implementer(IFrontend)
@define(eq=False)
class Frontend:
    config: FrontendConfig
    clock: Any
    connector: IConnector
    relay: IRelay
    transports: ITransports
    cluster: ICluster
    backends: Mapping[str, IBackend]
    limit: SessionLimit = field(factory=SessionLimit)
    """Of the whole process."""
    control: IControl | None = None
    counters: Counters = field(factory=Counters)
    log: ITrafficLog | None = None
    stopping: bool = False
    strangers: int = 0
    """Clients of whom another proxy has not told yet who they are (`accept-proxy`)."""
    listeners: Sequence[IListener] = ()
    """Told to go on when the frontend was full and is no more."""
    userlists: Mapping[str, UserlistOptions] = field(factory=dict)
    name: str = field(init=False)
    options: FrontendOptions = field(init=False)
    backend: IBackend | None = field(init=False)
    _clients: dict[IClosable, Traffic] = field(factory=dict, init=False)
    _drained: list[Deferred[None]] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.name, self.options = self.config.name, self.config.options
        name = self.options.backend
        self.backend = None if name is None else self.backends[name]

    def backend_named(self, name: str) -> IBackend:
        return self.backends[name]

    @property
    def destination(self) -> Address | None:
        """The one address that all clients call; None where they may call several."""
        return self.listeners[0].destination if len(self.listeners) == 1 else None

    @property
    def room(self) -> int:
        """Clients that may still come; none where it is not positive."""
        room = min(self.options.maxconn - len(self._clients), self.limit.room)
        return room - self.strangers

    def opened(self, client: IClosable) -> Traffic:
        traffic = self._clients.get(client)
        if traffic is None:
            traffic = self._clients[client] = Traffic()
            self.limit.open += 1
            self.counters.session_opened(self.clock.seconds())
        return traffic

    def attach(self, side: Side, protocol: IProtocol) -> Any:
        return attach(side, protocol, self.transports)

    def handed_over(self, client: IClosable, heir: IClosable) -> None:
        if heir is not client:
            self._clients[heir] = self._clients.pop(client)

    def closed(self, client: IClosable) -> None:
        traffic = self._clients.pop(client, None)
        if traffic is None:
            return
        self.counters.session_closed(traffic)
        self.limit.closed()
        left = len(self._clients)
        if left + 1 == self.options.maxconn:
            self._tell_room()
        if not left:
            self._tell_drained()

    def drained(self) -> Deferred[None]:
        """Fires when the last client has gone."""
        deferred: Deferred[None] = Deferred()
        self._drained.append(deferred)
        if not self._clients:
            self._tell_drained()
        return deferred

    def close_all(self) -> None:
        """End every session now, also one whose other side does not let go."""
        for client in list(self._clients):
            with contextlib.suppress(Exception):  # a TLS transport that is closed already
                client.abortConnection()
            self.closed(client)

    def snapshot(self, number: int) -> FrontendSnapshot:
        counters = self.counters.copy()
        for traffic in self._clients.values():
            counters.bytes_in += traffic.bytes_in
            counters.bytes_out += traffic.bytes_out
        return FrontendSnapshot(
            name=self.name,
            number=number,
            mode=self.options.protocol.plugin.mode,
            status="STOP" if self.stopping else "OPEN",
            binds=self.options.bind,
            backend=self.options.backend or "",
            session_limit=self.options.maxconn,
            counters=counters,
        )

    def _tell_room(self) -> None:
        for listener in self.listeners:
            listener.resume()

    def _tell_drained(self) -> None:
        waiting, self._drained = self._drained, []
        for deferred in waiting:
            deferred.callback(None)


Admission = Callable[[Address, socket.socket], bool]


def admission(frontend: Frontend) -> Admission | None:
    """What says whether a client is let in, and counts those who are not; None: all are."""
    scope = Scope(frontend, frontend.options.acl)
    admits = compile_admission(frontend.options.tcp_request_connection, scope)
    if admits is None:
        return None

    def admitted(peer: Address, sock: socket.socket) -> bool:
        destination = frontend.destination or local_of(sock)
        if admits(Subject(peer, destination, frontend.name)):
            return True
        frontend.counters.denied_connections += 1
        return False

    return admitted
