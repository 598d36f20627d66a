"""The backend-pool service: who gets which server, and what a verdict means for everybody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from zope.interface import implementer

from vipproxy.backends.availability import Availability
from vipproxy.backends.health import Ledger
from vipproxy.backends.lease import Lease
from vipproxy.backends.monitor import Monitor
from vipproxy.backends.operations import Operations
from vipproxy.backends.queue import Queue, Waiter
from vipproxy.backends.report import backend_snapshot
from vipproxy.backends.saved import restore, state_of
from vipproxy.backends.selection import Selection
from vipproxy.backends.server import Server
from vipproxy.backends.stick import Pin, StickTable
from vipproxy.backends.verdicts import Verdicts
from vipproxy.config.options import BackendConfig, ServerConfig
from vipproxy.config.server_options import CheckOptions
from vipproxy.counters import Counters
from vipproxy.errors import (
    ConnectFailed,
    ConnectTimeout,
    InternalError,
    NoServer,
    QueueTimeout,
    ServersFull,
    SessionError,
)
from vipproxy.interfaces import (
    IBackend,
    ILease,
    ILeaseTaker,
    IObserver,
    IServerWatcher,
    LeaseRequest,
)
from vipproxy.timers import IdleTimer
from vipproxy.values import AdminState, BackendSnapshot, CheckResult, CheckStatus


@implementer(IObserver)
class Unobserved:
    """For a pool that is used alone: changes go to the log and nowhere else."""

    def server_changed(self, backend: str, server: str, text: str, severity: str) -> None:
        pass


@implementer(IBackend)
class Pool(MultiService):
    """A named pool of servers, shared by all frontends that use it; usable alone.

    Everything happens in the reactor's thread, and each verdict is carried out whole (sessions
    shut down, pin moved, waiting clients served) before anything else runs.
    """

    def __init__(
        self,
        config: BackendConfig,
        reactor: Any,
        observer: IObserver | None = None,
        state_changed: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self.name: str = config.name
        self.options = options = config.options
        self.counters = Counters()
        self._clock = reactor
        self.seconds: Callable[[], float] = reactor.seconds
        self.state_changed = state_changed
        self.watchers: list[IServerWatcher] = []
        self._waiters: dict[ILeaseTaker, Waiter] = {}
        self._patience = IdleTimer(reactor)
        self.pins = StickTable(options.stick, reactor) if options.stick else None
        self.verdicts = Verdicts(self, reactor, observer or Unobserved())
        self.servers = [self.new_server(each, i) for i, each in enumerate(config.servers, 1)]
        balancer = options.balance.plugin.balancer(options.balance.options)
        self.selection = Selection(self.name, options, self.servers, self.pins, balancer)
        self.availability = Availability(reactor.seconds(), bool(self.selection.usable))
        self.monitor = Monitor(self, reactor)
        self.monitor.setServiceParent(self)
        self.operations = Operations(self)

    def new_server(self, config: ServerConfig, number: int) -> Server:
        """A server that is not in the pool yet."""
        ledger = self.new_ledger(config)
        up = (ledger is None or ledger.up) and not config.options.disabled
        return Server(config, number, ledger, Availability(self._clock.seconds(), up))

    def new_ledger(self, config: ServerConfig) -> Ledger | None:
        """A ledger for a server of which nothing is known; None where it is not checked."""
        check = self.pace_of(config)
        if check is None:
            return None
        up = self.options.initial_state == "up"
        return Ledger.starting(check.rise, check.fall, up, check.hold_down)

    def pace_of(self, config: ServerConfig) -> CheckOptions | None:
        """Pace and judgement of a server's checks; None where it is not checked."""
        check = self.options.check
        if check is None or not config.options.check:
            return None
        return config.options.pace(check.common)

    def stopService(self) -> Any:
        """Stop checking; whoever still waits is refused."""
        for taker, waiter in list(self._waiters.items()):
            self._leave(waiter)
            self._refuse(taker, NoServer(f"backend '{self.name}' is stopping"))
        self._patience.stop()
        return super().stopService()

    # -- leases -------------------------------------------------------------------------

    def lease(self, request: LeaseRequest, taker: ILeaseTaker) -> None:
        now = self._clock.seconds()
        if request.failed:
            self.counters.session_resumed()
        else:
            self.counters.session_opened(now)
        place = self._choose(request)
        if isinstance(place, Server):
            self._grant(request, taker, place, now, request.waited)
        elif isinstance(place, Queue):
            limit = self.options.queue_limit
            self._wait(Waiter(request, taker, now - request.waited, limit, self._gave_up), place)
        else:
            self._refuse(taker, place)

    def acquire(self, request: LeaseRequest) -> Deferred[ILease]:
        """The same for those who wait with a Deferred; cancelling it forgets the wish."""
        taker = _DeferredTaker(self)
        self.lease(request, taker)
        return taker.deferred

    def forget(self, taker: ILeaseTaker) -> None:
        waiter = self._waiters.get(taker)
        if waiter is not None:
            self._leave(waiter)
            self.counters.sessions -= 1

    def server_of_cookie(self, value: str) -> Server | None:
        return self.selection.of_cookie(value)

    @property
    def usable_servers(self) -> int:
        return len(self.selection.usable)

    @property
    def queued(self) -> int:
        return len(self._waiters)

    def is_usable(self, server: str) -> bool:
        found = self.selection.named(server)
        return found is not None and found.usable

    def watch(self, watcher: IServerWatcher) -> None:
        self.watchers.append(watcher)

    def _choose(self, request: LeaseRequest) -> Server | Queue | SessionError:
        try:
            return self.selection.choose(request)
        except SessionError as error:
            return error

    def _grant(
        self,
        request: LeaseRequest,
        taker: ILeaseTaker,
        server: Server,
        now: float,
        waited: float,
        queued: bool = False,
    ) -> None:
        pin, bound = None, request.cookie is not None and request.cookie == server.cookie
        by_cookie = bound
        if self.pins is not None:
            pin, pinned = self._pin(self.pins, request, server)
            bound = bound or pinned
        lease = Lease(self, server, pin, by_cookie, now, waited=waited)
        server.lease_opened(lease, now)
        if request.failed:
            self._count_retry(server, request.failed)
        if not (bound or queued or request.failed == server.name):
            server.counters.chosen += 1
            self.counters.chosen += 1
        taker.leased(lease)

    def _pin(
        self, pins: StickTable, request: LeaseRequest, server: Server
    ) -> tuple[Pin | None, bool]:
        """The pin, and whether it has led to the server before."""
        key = pins.key_of(request)
        before = pins.lookup(key)
        same = before is not None and before.server == server.name
        pin = pins.use(key, server.name)
        if not same:
            self.state_changed()
        return pin, same

    def _count_retry(self, server: Server, failed: str) -> None:
        """As in HAProxy, a redispatch is counted where the client was lost."""
        if server.name == failed:
            server.counters.retries += 1
            self.counters.retries += 1
            return
        self.counters.redispatches += 1
        lost = self.selection.named(failed)
        if lost is not None:
            lost.counters.redispatches += 1

    # -- the end of a lease (called by it) ----------------------------------------------

    def lease_released(self, lease: Lease) -> None:
        """What an ending counts as is the protocol's to say: it knows how far the session was."""
        self._lease_closed(lease)
        if self._waiters:
            self._serve(lease.server.queue)
            self._serve(self.selection.queue)

    def lease_refused(self, lease: Lease, error: SessionError) -> None:
        """A refused connection is news: it counts as a failed check, and hurries the next."""
        self._lease_closed(lease)
        server = lease.server
        if isinstance(error, ConnectFailed) and server.ledger is not None:
            server.suspect = True
            timed_out = isinstance(error, ConnectTimeout)
            status = CheckStatus.L4_TIMEOUT if timed_out else CheckStatus.L4_CONNECTION
            self.verdicts.observe(server, CheckResult(status, str(error)))
            self.monitor.hurry(server)
        self._serve(server.queue)
        self._serve(self.selection.queue)

    def lease_revoked(self, lease: Lease) -> None:
        self._lease_closed(lease)
        if lease.established:
            lease.server.counters.shutdowns += 1
            self.counters.shutdowns += 1

    def _lease_closed(self, lease: Lease) -> None:
        traffic = lease.traffic
        lease.server.lease_closed(lease, traffic)
        self.counters.session_closed(traffic)
        if lease.pin is not None and self.pins is not None:
            self.pins.release(lease.pin)
        if lease.answered_at is not None:
            self._count_times(lease, lease.answered_at)

    def _count_times(self, lease: Lease, answered_at: float) -> None:
        granted, connected, waited = lease.opened_at, lease.connected_at, lease.waited
        whole = self.seconds() - granted + waited
        times = (waited, connected - granted, answered_at - connected, whole)
        lease.server.counters.timing.add(times)

    # -- waiting ------------------------------------------------------------------------

    def _wait(self, waiter: Waiter, queue: Queue) -> None:
        queue.join(waiter)
        self._waiters[waiter.taker] = waiter
        self._patience.watch(waiter)

    def _leave(self, waiter: Waiter) -> None:
        queue, trail = waiter.queue, waiter.taker.trail
        assert queue is not None
        position = queue.leave(waiter)
        del self._waiters[waiter.taker]
        self._patience.forget(waiter)
        if trail is not None:
            waited = self.seconds() - waiter.last_active
            trail.left_queue(waited, queue is not self.selection.queue, position)

    def _refuse(self, taker: ILeaseTaker, error: SessionError) -> None:
        self.counters.sessions -= 1
        self.counters.connect_errors += 1
        self.counters.internal_errors += isinstance(error, InternalError)
        taker.refused(error)

    def _gave_up(self, waiter: Waiter) -> None:
        self._leave(waiter)
        if self.selection.usable:
            error = ServersFull(f"all servers of backend '{self.name}' are full")
            self._refuse(waiter.taker, error)
        else:
            text = f"no server of backend '{self.name}' became available in time"
            self._refuse(waiter.taker, QueueTimeout(text))

    def _serve(self, queue: Queue) -> None:
        """Let those at the head of a queue go, as far as there is room now.

        Who is let go may fail at once and make room again: that is seen by the same loop.
        """
        if queue.being_served:
            return
        queue.being_served = True
        try:
            self._serve_while_room(queue)
        finally:
            queue.being_served = False

    def _serve_while_room(self, queue: Queue) -> None:
        while (waiter := queue.first()) is not None:
            place = self._choose(waiter.request)
            if place is queue:
                return
            self._leave(waiter)
            if isinstance(place, Server):
                now = self.seconds()
                waited = now - waiter.last_active
                self._grant(waiter.request, waiter.taker, place, now, waited, queued=True)
            elif isinstance(place, Queue):
                self._wait(waiter, place)
            else:
                self._refuse(waiter.taker, place)

    def serve_all(self) -> None:
        """Something has changed that may let any of those go who wait."""
        for server in self.servers:
            self._serve(server.queue)
        self._serve(self.selection.queue)

    # -- verdicts (carried out in verdicts.py) -------------------------------------------

    def checked(self, server: Server, result: CheckResult) -> None:
        """A check of a server has ended; called by the monitor."""
        if result.passed:
            server.suspect = False
        self.verdicts.observe(server, result)
        self.verdicts.fail_back()
        self._serve(server.queue)

    def set_admin_state(self, name: str, state: AdminState) -> None:
        """Set what the operator wants of a server; raises Unknown where there is none."""
        server = self.operations.server(name)
        if state is not server.admin:
            self.verdicts.set_admin_state(server, state)
            self.state_changed()

    # -- what it is ---------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What must survive a restart."""
        return state_of(self)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what an earlier run saved; raises ValueError, TypeError, AttributeError."""
        restore(self, state)

    def snapshot(self, mode: str, number: int, session_limit: int) -> BackendSnapshot:
        """Everything at this instant."""
        return backend_snapshot(self, self._clock.seconds(), mode, number, session_limit)


@implementer(ILeaseTaker)
class _DeferredTaker:
    """Stands in the queue for a Deferred."""

    trail = None

    def __init__(self, pool: Pool) -> None:
        self.deferred: Deferred[ILease] = Deferred(lambda _: pool.forget(self))

    def leased(self, lease: ILease) -> None:
        self.deferred.callback(lease)

    def refused(self, error: SessionError) -> None:
        self.deferred.errback(error)
