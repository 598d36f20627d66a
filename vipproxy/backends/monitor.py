"""The monitor: probes each server of a pool at its pace, and writes the results down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from vipproxy.backends.server import Server
from vipproxy.checks import CheckFailed
from vipproxy.config.server_options import CheckOptions
from vipproxy.futures import as_deferred
from vipproxy.interfaces import CheckTarget
from vipproxy.values import Address, AdminState, CheckResult, CheckStatus

if TYPE_CHECKING:
    from vipproxy.backends.pool import Pool

log = Logger()

HURRY = 0.05
"""Seconds between checks of a server that has just refused a connection."""
STAGGER = 0.002
"""Seconds between the first checks of two servers."""


def pause_before_next(options: CheckOptions, server: Server) -> float:
    """Seconds from the end of a check to the start of the next (HAProxy manual, `inter`).

    HAProxy's `fastinter` is for every verdict in the making. Unset, it is short here where the
    server refused a check or, without having passed one since, a client, which is plain evidence
    (the check may go to a sidecar that answers still); and the interval where it was slow or
    answered badly, which may pass.
    """
    ledger, last = server.ledger, server.last_check
    assert ledger is not None
    if not ledger.settled:
        if options.fastinter is not None:
            return options.fastinter
        refused_check = last is not None and last.status is CheckStatus.L4_CONNECTION
        refused = refused_check or server.suspect
        return min(HURRY, options.interval) if refused else options.interval
    if not ledger.up and options.downinter is not None:
        return options.downinter
    return options.interval


def check_address(server: Server, options: CheckOptions) -> Address:
    """The server's own check-port first, then the check's port, then the server's port."""
    address = server.address
    port = server.check_port or options.port or address.port
    return Address(server.check_host or address.host, port)


class Monitor(Service):
    """First all servers at once, for a quick verdict; then spread over the interval."""

    def __init__(self, pool: Pool, reactor: Any) -> None:
        self._pool, self._reactor = pool, reactor
        self._loops: dict[Server, CheckLoop] = {}
        checked = [server for server in pool.servers if server.ledger is not None]
        for i, server in enumerate(checked):
            self._loops[server] = self._loop(server, i / len(checked))

    def _loop(self, server: Server, share: float) -> CheckLoop:
        """`share` is how much later in the interval than the first one it runs."""
        check, pace = self._pool.options.check, self._pool.pace_of(server.config)
        assert check is not None
        assert pace is not None
        spread = pace.interval * share
        return CheckLoop(
            self._pool, server, check.plugin, check.options, pace, self._reactor, spread
        )

    def startService(self) -> None:
        super().startService()
        for i, loop in enumerate(self._loops.values()):
            loop.start(i * STAGGER)

    def stopService(self) -> None:
        super().stopService()
        for loop in self._loops.values():
            loop.stop()

    def add(self, server: Server) -> None:
        """Check one more, from now on."""
        loop = self._loops[server] = self._loop(server, 0.0)
        if self.running:
            loop.start(0.0)

    def remove(self, server: Server) -> None:
        """Check it no more. Harmless where it is not checked."""
        loop = self._loops.pop(server, None)
        if loop is not None:
            loop.stop()

    def moved(self, server: Server) -> None:
        """It is to be checked elsewhere: a check under way is of no interest any more."""
        loop = self._loops.get(server)
        if loop is not None and self.running:
            loop.stop()
            loop.start(0.0)

    def hurry(self, server: Server) -> None:
        """Something has happened to it: let its next check come soon."""
        loop = self._loops.get(server)
        if loop is not None and self.running:
            loop.hurry()


class CheckLoop:
    """One server's checks, one at a time; the next starts a pause after the last has ended."""

    def __init__(
        self,
        pool: Pool,
        server: Server,
        plugin: Any,
        plugin_options: Any,
        options: CheckOptions,
        reactor: Any,
        spread: float,
    ) -> None:
        self._pool, self._server = pool, server
        self._plugin, self._plugin_options, self._options = plugin, plugin_options, options
        self._reactor = reactor
        self._spread = spread
        self._next: IDelayedCall | None = None
        self._probe: Deferred[CheckResult] | None = None
        self._limit: IDelayedCall | None = None
        self._timeout = options.interval if options.timeout is None else options.timeout

    def _target(self) -> CheckTarget:
        server, backend = self._server, self._pool.options
        return CheckTarget(
            backend=self._pool.name,
            server=server.name,
            address=check_address(server, self._options),
            timeout=self._timeout,
            reactor=self._reactor,
            steps=backend.tcp_check or backend.http_check,
        )

    def start(self, delay: float) -> None:
        self._next = self._reactor.callLater(delay, self._check)

    def stop(self) -> None:
        """No more checks; one that runs is cancelled, and its result is not written down."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._probe is not None:
            probe, self._probe = self._probe, None
            self._server.checking = False
            self._stop_limit()
            probe.cancel()

    def hurry(self) -> None:
        if self._next is not None and self._next.getTime() > self._reactor.seconds() + HURRY:
            self._next.reset(HURRY)

    def _check(self) -> None:
        self._next = None
        if self._server.admin is AdminState.MAINT or self._server.checks_paused:
            self.start(self._options.interval)
            return
        self._server.checking = True
        started = self._reactor.seconds()
        probe = as_deferred(self._plugin.probe, self._target(), self._plugin_options)
        self._probe = probe
        self._limit = self._reactor.callLater(self._timeout, self._timed_out, probe, started)
        probe.addErrback(self._failed)
        probe.addCallback(self._ended, probe, started)

    def _timed_out(self, probe: Deferred[CheckResult], started: float) -> None:
        """A plugin that does not let itself be cancelled has failed all the same."""
        probe.cancel()
        self._ended(CheckResult(CheckStatus.L7_TIMEOUT), probe, started)

    def _failed(self, failure: Failure) -> CheckResult:
        """A failed probe is a value; a plugin's mistake costs its server the check, no more."""
        error = failure.value
        if isinstance(error, CheckFailed):
            return CheckResult(error.status, error.info, error.code)
        if isinstance(error, CancelledError):
            return CheckResult(CheckStatus.L7_TIMEOUT)
        log.failure("the check of {target} failed", failure, target=self._server.name)
        return CheckResult(CheckStatus.PROCESS_ERROR, f"{type(error).__name__}: {error}")

    def _ended(self, result: CheckResult, probe: Deferred[CheckResult], started: float) -> None:
        if self._probe is not probe:
            return  # stopped or timed out meanwhile
        self._probe = None
        self._stop_limit()
        self._server.checking = False
        if not isinstance(result, CheckResult):
            text = f"the check answered {type(result).__name__}, not a CheckResult"
            result = CheckResult(CheckStatus.PROCESS_ERROR, text)
        if self._server.admin is not AdminState.MAINT and not self._server.checks_paused:
            duration = self._reactor.seconds() - started
            self._pool.checked(self._server, evolve(result, duration=duration))
        pause = pause_before_next(self._options, self._server)
        self.start(pause + self._spread)
        self._spread = 0.0

    def _stop_limit(self) -> None:
        if self._limit is not None and self._limit.active():
            self._limit.cancel()
        self._limit = None
