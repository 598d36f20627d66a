"""A frontend at work: what its protocol is given, and who is connected to it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from zope.interface import implementer

from vipproxy.captures import Captures
from vipproxy.config.options import FrontendConfig, FrontendOptions
from vipproxy.config.userlists import UserlistOptions
from vipproxy.counters import Counters, Traffic
from vipproxy.errors import Refused
from vipproxy.interfaces import (
    IBackend,
    IClosable,
    ICluster,
    IConnector,
    IControl,
    IFrontend,
    IInspectable,
    IListener,
    IRelay,
    ITrafficLog,
    ITransports,
    SessionView,
    Side,
)
from vipproxy.limits import SessionLimit
from vipproxy.rules.choice import compile_admission
from vipproxy.rules.conditions import Scope
from vipproxy.rules.subject import Subject
from vipproxy.sockets import attach, local_of
from vipproxy.values import Address, Ending, FrontendSnapshot


class Accepting(Enum):
    """Whether a frontend takes clients: HAProxy's status column."""

    OPEN = "OPEN"
    PAUSED = "PAUSED"
    STOP = "STOP"


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
    captures: Captures = field(factory=Captures)
    """Of the whole process."""
    control: IControl | None = None
    counters: Counters = field(factory=Counters)
    log: ITrafficLog | None = None
    stopping: bool = False
    accepting: Accepting = Accepting.OPEN
    """What the operator wants; the proxy stops its frontends by itself."""
    strangers: int = 0
    """Clients of whom another proxy has not told yet who they are (`accept-proxy`)."""
    listeners: Sequence[IListener] = ()
    """Told to go on when the frontend was full and is no more."""
    userlists: Mapping[str, UserlistOptions] = field(factory=dict)
    maxconn: int = field(init=False)
    name: str = field(init=False)
    options: FrontendOptions = field(init=False)
    backend: IBackend | None = field(init=False)
    _clients: dict[IClosable, Traffic] = field(factory=dict, init=False)
    _drained: list[Deferred[None]] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.name, self.options = self.config.name, self.config.options
        self.maxconn = self.options.maxconn
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
        room = min(self.maxconn - len(self._clients), self.limit.room)
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
        if left + 1 == self.maxconn:
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
            status="STOP" if self.stopping else self.accepting.value,
            binds=self.options.bind,
            backend=self.options.backend or "",
            session_limit=self.maxconn,
            counters=counters,
        )

    # -- for the operator

    def views(self) -> Iterator[SessionView]:
        """Every client that uses a server, or wants one."""
        now = self.clock.seconds()
        for client, traffic in self._clients.items():
            doing = _inspectable(client)
            if doing is not None and (doing.lease or doing.attempt):
                yield session_view(self.name, client, doing, traffic, now)

    def shut(self, number: int) -> bool:
        """End one session; False where there is none of that number."""
        client = next((each for each in self._clients if id(each) == number), None)
        if client is None:
            return False
        doing = _inspectable(client)
        if doing is not None and doing.lease is not None:
            doing.lease.revoke(Ending.KILLED)
        else:
            client.abortConnection()
            self.closed(client)
        return True

    def disable(self) -> None:
        """Take no clients, and refuse them; raises Refused."""
        self._refuse_stopped("Frontend was previously shut down, cannot disable.")
        if self.accepting is Accepting.PAUSED:
            raise Refused("All sockets are already disabled.")
        self.accepting = Accepting.PAUSED
        for listener in self.listeners:
            listener.disable()

    def enable(self) -> None:
        """Take clients again; raises Refused."""
        self._refuse_stopped("Frontend was previously shut down, cannot enable.")
        if self.accepting is Accepting.OPEN:
            raise Refused("All sockets are already enabled.")
        try:
            for listener in self.listeners:
                listener.enable()
        except OSError as error:
            text = "Failed to resume frontend, check logs for precise cause (port conflict?)."
            raise Refused(text) from error
        self.accepting = Accepting.OPEN

    def shut_down(self) -> None:
        """Take no clients any more; raises Refused."""
        self._refuse_stopped("Frontend was already shut down.")
        self.accepting = Accepting.STOP
        for listener in self.listeners:
            listener.stop()

    def set_maxconn(self, maxconn: int) -> None:
        self.maxconn = maxconn
        self._tell_room()

    def clear_counters(self, everything: bool) -> None:
        self.counters.clear(everything, self._clients.values())

    def _refuse_stopped(self, text: str) -> None:
        if self.accepting is Accepting.STOP:
            raise Refused(text)

    def refused_request(self, source: Address, data: bytes, reason: str) -> None:
        self.captures.keep(self.clock.seconds(), self.name, "", "", source, data, reason)

    def refused_response(
        self, backend: str, server: str, source: Address, data: bytes, reason: str
    ) -> None:
        now = self.clock.seconds()
        self.captures.keep(now, self.name, backend, server, source, data, reason)

    def _tell_room(self) -> None:
        for listener in self.listeners:
            listener.resume()

    def _tell_drained(self) -> None:
        waiting, self._drained = self._drained, []
        for deferred in waiting:
            deferred.callback(None)


def _inspectable(client: IClosable) -> IInspectable | None:
    """Whoever knows what a client is doing: itself, the protocol on its transport, or the user of
    the relay that has taken the transport over.
    """
    protocol = getattr(client, "wrappedProtocol", None) or getattr(client, "protocol", None)
    for each in (client, protocol, getattr(protocol, "user", None)):
        if IInspectable.providedBy(each):
            return each
    return None


def session_view(
    frontend: str, client: IClosable, doing: IInspectable, traffic: Traffic, now: float
) -> SessionView:
    """What can be seen of a client; `now` is in seconds of the frontend's clock."""
    lease, attempt = doing.lease, doing.attempt
    begun = lease.opened_at if lease else attempt.started if attempt else now
    return SessionView(
        number=id(client),
        frontend=frontend,
        backend=lease.backend.name if lease else doing.wanted.name,
        server=lease.server.name if lease else "",
        source=doing.peer,
        server_address=lease.server.address if lease else None,
        age=now - begun,
        bytes_in=traffic.bytes_in,
        bytes_out=traffic.bytes_out,
    )


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
