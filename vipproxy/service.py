"""The only wiring site: a configuration becomes a proxy; start order and drain order stand here."""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger
from zope.interface import implementer

from vipproxy import __version__, native
from vipproxy.admin.socket import StatsSockets
from vipproxy.backends.pool import Pool
from vipproxy.captures import Captures
from vipproxy.config.options import ClusterConfig, FrontendConfig, GlobalOptions
from vipproxy.connector import Connector
from vipproxy.control import Control
from vipproxy.counters import Meter
from vipproxy.dial.reactor import ReactorDialler
from vipproxy.errors import ListenFailed, VipproxyError
from vipproxy.frontend import Accepting, Frontend
from vipproxy.interfaces import (
    ICluster,
    IControl,
    IObserver,
    IRelay,
    IStore,
    ITransports,
)
from vipproxy.limits import SessionLimit, raise_descriptor_limit
from vipproxy.listener import Listener
from vipproxy.logs.outlet import Outlet
from vipproxy.logs.syslog import level_of
from vipproxy.logs.traffic import TrafficLog, is_logged
from vipproxy.relay.twisted import TwistedRelay
from vipproxy.sockets import TwistedTransports
from vipproxy.state import FileStore, NoStore, StateKeeper
from vipproxy.values import (
    Address,
    BackendSnapshot,
    ClusterSnapshot,
    Event,
    FrontendSnapshot,
    ProcessSnapshot,
)

log = Logger()

EVENTS_KEPT = 100
HAPROXY = "2.6.12"
"""The version whose language the stats sockets speak."""
FIRST_NUMBER = 2
"""HAProxy gives proxy 1 to itself."""
FULLCONN_SHARE = 10
"""A backend's session limit is shown as a tenth of its frontends' (HAProxy's `fullconn`)."""


@implementer(ICluster, IControl, IObserver)
class ProxyService(Control, Service):
    """The whole proxy as a Twisted service: under twistd, embedded in another, or in a test.

    `reactor` is by default the global one. With `share_ports` another process may bind the same
    ports (SO_REUSEPORT), so that it can take over from this one.
    """

    def __init__(
        self, config: ClusterConfig, reactor: Any = None, share_ports: bool = False
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self.config = config
        self._reactor, self._share_ports = reactor, share_ports
        self._started_at = reactor.seconds()
        self._stopping = False
        self._bound = False
        self._descriptors = 0
        self._limit = SessionLimit(self._resume_all)
        self._outlet = _outlet(config.options, reactor)
        self._captures = Captures()
        self._work = Meter(self._started_at, time.thread_time())
        self._bytes_out = Meter(self._started_at)
        self._events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._keeper = StateKeeper(_store(config), reactor, self._state)
        self._relay = _relay(config.options, reactor)
        self._transports, self._dialler = _transports(config.options, reactor)
        self._connector = Connector(reactor, self._dialler)
        self.backends = {
            each.name: Pool(each, reactor, self, self._keeper.changed) for each in config.backends
        }
        self.frontends = {each.name: self._frontend(each) for each in config.frontends}
        self._numbers = _numbers(config)
        self._listeners: dict[str, list[Listener]] = {}
        self._stats_sockets = StatsSockets(self, self, config.options, reactor)

    def _frontend(self, config: FrontendConfig) -> Frontend:
        frontend = Frontend(
            config,
            self._reactor,
            self._connector,
            self._relay,
            self._transports,
            self,
            self.backends,
            self._limit,
            self._captures,
            userlists={each.name: each.options for each in self.config.userlists},
            control=self,
        )
        if self._outlet is not None and is_logged(config, self.config.options.log):
            counters = frontend.counters
            frontend.log = TrafficLog(config, self._outlet, self._reactor, counters, self._limit)
        return frontend

    # -- start and stop -----------------------------------------------------------------

    def privilegedStartService(self) -> None:
        """Bind everything, as long as ports below 1024 may be bound; raises ListenFailed.

        Where one bind fails, what was opened is closed again.
        """
        self._descriptors = raise_descriptor_limit()
        self._limit.set_descriptors(self._descriptors, self.config.options.maxconn)
        try:
            for frontend in self.frontends.values():
                self._listen(frontend)
            self._stats_sockets.privilegedStartService()
        except VipproxyError:
            self._close_listeners()
            raise
        self._bound = True

    def startService(self) -> None:
        """State, pools, observers, clients: in this order."""
        if not self._bound:
            self.privilegedStartService()
        super().startService()
        self._set_stopping(False)
        if self._outlet is not None:
            self._outlet.start()
        self._keeper.load().addCallback(self._restored)

    def _restored(self, state: Mapping[str, Any]) -> None:
        if not self.running:
            return
        for name, pool in self.backends.items():
            self._restore(pool, state.get(name, {}))
            pool.startService()
        self._stats_sockets.startService()
        for listener in self._all_listeners():
            listener.start()

    def _restore(self, pool: Pool, state: Any) -> None:
        """A state of another shape is no reason not to serve."""
        try:
            pool.restore(state)
        except (AttributeError, TypeError, ValueError) as error:
            log.error(
                "the saved state of {name} is not understood: {why}", name=pool.name, why=error
            )

    @inlineCallbacks
    def stopService(self) -> Any:
        """No new clients, then the grace for those that are here, then everything behind them."""
        super().stopService()
        self._set_stopping(True)
        self._bound = False
        self._close_listeners()
        yield self._drain()
        for pool in self.backends.values():
            yield pool.stopService()
        yield self._stats_sockets.stopService()
        self._limit.stop()
        yield self._keeper.finish()
        self._dialler.stop()
        self._transports.stop()
        self._relay.stop()
        if self._outlet is not None:
            self._outlet.stop()

    def _drain(self) -> Deferred[Any]:
        """Wait for the last session, but no longer than the grace."""
        drained = DeferredList([each.drained() for each in self.frontends.values()])
        limit = self._reactor.callLater(self.config.options.grace, self._close_sessions)

        def done(result: Any) -> None:
            if limit.active():
                limit.cancel()

        return drained.addCallback(done)

    def _set_stopping(self, stopping: bool) -> None:
        self._stopping = stopping
        for frontend in self.frontends.values():
            frontend.stopping = stopping

    def _close_sessions(self) -> None:
        for frontend in self.frontends.values():
            frontend.close_all()

    # -- listening ----------------------------------------------------------------------

    def _listen(self, frontend: Frontend) -> None:
        config = frontend.config
        factory = _factory(frontend)
        listeners = self._listeners.setdefault(config.name, [])
        frontend.listeners, frontend.accepting = listeners, Accepting.OPEN
        for address in config.options.bind:
            try:
                listeners.append(Listener(address, frontend, factory, self._share_ports))
            except OSError as error:
                text = f"frontend '{config.name}' cannot listen on {address}: {error.strerror}"
                raise ListenFailed(text) from error

    def bound(self, frontend: str) -> list[Address]:
        """Where a frontend really listens: the ports that the system chose for port 0."""
        return [listener.address for listener in self._listeners[frontend]]

    def _all_listeners(self) -> list[Listener]:
        return [each for listeners in self._listeners.values() for each in listeners]

    def _resume_all(self) -> None:
        for listener in self._all_listeners():
            listener.resume()

    def _close_listeners(self) -> None:
        for listener in self._all_listeners():
            listener.stop()
        self._listeners.clear()

    # -- what observers see and do ------------------------------------------------------

    def snapshot(self) -> ClusterSnapshot:
        frontends = tuple(self._frontend_snapshot(each) for each in self.frontends.values())
        return ClusterSnapshot(
            process=self._process(sum(each.counters.bytes_out for each in frontends)),
            frontends=frontends,
            backends=tuple(self._backend_snapshot(each) for each in self.backends.values()),
            events=tuple(self._events),
        )

    def server_changed(self, backend: str, server: str, text: str, severity: str) -> None:
        subject = f"{backend}/{server}" if server else backend
        self._events.append(Event(self._reactor.seconds(), subject, text, severity))
        self.log_line(text, severity)

    def log_line(self, text: str, severity: str) -> None:
        if self._outlet is not None:
            self._outlet.say(level_of(severity), text)

    def _process(self, bytes_out: int) -> ProcessSnapshot:
        now, options = self._reactor.seconds(), self.config.options
        return ProcessSnapshot(
            pid=os.getpid(),
            node=options.node or socket.gethostname(),
            version=_version(options),
            started_at=self._started_at,
            uptime=now - self._started_at,
            session_limit=self._limit.limit,
            descriptor_limit=self._descriptors,
            stopping=self._stopping,
            config_path=self.config.path,
            dropped_logs=0 if self._outlet is None else self._outlet.dropped,
            identity=options.identity,
            description=options.description or "",
            threads=1 + (options.relay_threads if _compiled(options) else 0),
            timers=len(self._reactor.getDelayedCalls()),
            idle=100.0 * max(0.0, 1.0 - self._work.read(now, time.thread_time())),
            bytes_out_rate=self._bytes_out.read(now, bytes_out),
            session_ceiling=self._limit.ceiling,
            session_rate_limit=self._limit.rate,
        )

    def _frontend_snapshot(self, frontend: Frontend) -> FrontendSnapshot:
        return frontend.snapshot(self._numbers["frontend", frontend.name])

    def _backend_snapshot(self, pool: Pool) -> BackendSnapshot:
        users = [each for each in self.config.frontends if pool.name in each.backends]
        modes = {each.options.protocol.plugin.mode for each in users}
        limit = sum(each.options.maxconn for each in users) // FULLCONN_SHARE
        mode = "http" if modes == {"http"} else "tcp"
        return pool.snapshot(mode, self._numbers["backend", pool.name], limit)

    def _state(self) -> dict[str, Any]:
        return {name: pool.state() for name, pool in self.backends.items()}


def _factory(frontend: Frontend) -> IProtocolFactory:
    """The plugin's own code: whatever it raises is a sentence for the operator."""
    config = frontend.config
    try:
        factory: IProtocolFactory = config.options.protocol.plugin.factory(
            frontend, config.protocol_options
        )
    except Exception as error:
        text = f"frontend '{config.name}' cannot be made: {type(error).__name__}: {error}"
        raise ListenFailed(text) from error
    return factory


def _version(options: GlobalOptions) -> str:
    """Tools that take us for HAProxy ask whether it is new enough for what they want."""
    return __version__ if options.identity == "vipproxy" else f"{HAPROXY}-vipproxy-{__version__}"


def _compiled(options: GlobalOptions) -> bool:
    """`auto` is native where that was built."""
    return options.relay != "twisted" and native.available


def _relay(options: GlobalOptions, reactor: Any) -> IRelay:
    if not _compiled(options):
        return TwistedRelay(reactor)
    from vipproxy.relay.native import NativeRelay

    return NativeRelay(reactor, options.relay_threads)


def _transports(options: GlobalOptions, reactor: Any) -> tuple[ITransports, Any]:
    """Transports, and the dialler that goes with them: as the relay, compiled if possible."""
    if not _compiled(options):
        return TwistedTransports(reactor), ReactorDialler(reactor)
    from vipproxy.dial.native import StreamDialler
    from vipproxy.streams import Streams

    streams = Streams(reactor)
    return streams, StreamDialler(streams)


def _outlet(options: GlobalOptions, reactor: Any) -> Outlet | None:
    """None without a target: then nothing is written down of sessions."""
    targets = options.log
    return Outlet(targets, options.log_tag, reactor) if targets else None


def _store(config: ClusterConfig) -> IStore:
    options = config.options
    if options.store is not None:
        store: IStore = options.store.plugin.store(options.store.options)
        return store
    return FileStore(options.state_file) if options.state_file else NoStore()


def _numbers(config: ClusterConfig) -> dict[tuple[str, str], int]:
    """HAProxy numbers proxies as they are declared: each frontend, then its own backends."""
    order: dict[tuple[str, str], None] = {}
    for frontend in config.frontends:
        order["frontend", frontend.name] = None
        order.update({("backend", name): None for name in frontend.backends})
    order.update({("backend", each.name): None for each in config.backends})
    return {key: number for number, key in enumerate(order, FIRST_NUMBER)}
