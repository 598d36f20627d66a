"""A frontend at work: what its protocol is given, and who is connected to it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from zope.interface import implementer

from vipproxy.config.options import FrontendConfig, FrontendOptions
from vipproxy.counters import Counters, Traffic
from vipproxy.interfaces import (
    IBackend,
    IClosable,
    ICluster,
    IConnector,
    IFrontend,
    IListener,
    IRelay,
)
from vipproxy.limits import SessionLimit
from vipproxy.values import FrontendSnapshot


@implementer(IFrontend)
@define(eq=False)
class Frontend:
    config: FrontendConfig
    clock: Any
    connector: IConnector
    relay: IRelay
    cluster: ICluster
    backends: Mapping[str, IBackend]
    limit: SessionLimit = field(factory=SessionLimit)
    """Of the whole process."""
    counters: Counters = field(factory=Counters)
    stopping: bool = False
    listeners: Sequence[IListener] = ()
    """Told to go on when a session has ended: the frontend may have been full."""
    _clients: dict[IClosable, Traffic] = field(factory=dict, init=False)
    _drained: list[Deferred[None]] = field(factory=list, init=False)

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def options(self) -> FrontendOptions:
        return self.config.options

    @property
    def backend(self) -> IBackend | None:
        name = self.options.backend
        return None if name is None else self.backends[name]

    def backend_named(self, name: str) -> IBackend:
        return self.backends[name]

    @property
    def full(self) -> bool:
        return len(self._clients) >= self.options.maxconn or self.limit.full

    def opened(self, client: IClosable) -> Traffic:
        traffic = self._clients.get(client)
        if traffic is None:
            traffic = self._clients[client] = Traffic()
            self.limit.open += 1
            self.counters.session_opened(self.clock.seconds())
        return traffic

    def closed(self, client: IClosable) -> None:
        traffic = self._clients.pop(client, None)
        if traffic is None:
            return
        self.counters.session_closed(traffic)
        self.limit.closed()
        for listener in self.listeners:
            listener.resume()
        if not self._clients:
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

    def _tell_drained(self) -> None:
        waiting, self._drained = self._drained, []
        for deferred in waiting:
            deferred.callback(None)
