"""Serves as HAProxy does: its signals, its pid file, its way into the background."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import globalLogBeginner, textFileLogObserver

from vipproxy.config import Loaded
from vipproxy.errors import VipproxyError
from vipproxy.haproxy.arguments import Arguments
from vipproxy.haproxy.daemon import Daemon, notify
from vipproxy.haproxy.messages import Console
from vipproxy.limits import spare_the_collector
from vipproxy.service import ProxyService

FOREVER = 24 * 86400.0
"""Seconds that sessions have at a soft stop without ``hard-stop-after``."""

IGNORED = {
    signal.SIGHUP: "there is no dump of servers; the stats socket shows them",
    signal.SIGUSR2: "a reload is not supported yet; the configuration stays as it is",
    signal.SIGTTIN: "ports are never paused",
    signal.SIGTTOU: "ports are shared with the process that comes, and need no pause",
    signal.SIGQUIT: "there are no memory pools to dump",
}
"""HAProxy's signals that would end a process by default, and why they do nothing here."""


def run(loaded: Loaded, arguments: Arguments, console: Console) -> int:
    """Serve until a signal ends it; the exit status."""
    process = loaded.document.process
    in_background = arguments.daemon or ("daemon" in process and not arguments.foreground)
    pid_file = arguments.pid_file or (
        process.get("pidfile") if _is_service(arguments, in_background) else None
    )
    daemon = Daemon() if in_background and not arguments.foreground else None
    if daemon is not None and daemon.in_parent:
        return daemon.wait()
    return Server(loaded, arguments, console, daemon, pid_file).run()


def _is_service(arguments: Arguments, in_background: bool) -> bool:
    return in_background or arguments.master


class Server:
    """The process that serves."""

    def __init__(
        self,
        loaded: Loaded,
        arguments: Arguments,
        console: Console,
        daemon: Daemon | None,
        pid_file: str | None,
    ) -> None:
        self._reactor: Any = None
        self._arguments, self._console = arguments, console
        self._daemon, self._pid_file = daemon, pid_file
        options = loaded.config.options
        said = loaded.draft.global_ is not None and "grace" in loaded.draft.global_.origins
        grace = options.grace if said else FOREVER
        self._config = evolve(loaded.config, options=evolve(options, grace=grace))
        self._status = 0
        self._stopping = False

    def run(self) -> int:
        from twisted.internet import reactor

        self._reactor = reactor
        self._begin_log()
        self._take_signals()
        self._service = ProxyService(self._config, self._reactor, share_ports=True)
        try:
            self._service.privilegedStartService()
            self._write_pid()
        except (VipproxyError, OSError) as error:
            self._console.alert(f"{error}")
            self._console.alert(
                "[haproxy.main()] Some protocols failed to start their listeners! Exiting."
            )
            return 1
        self._service.startService()
        self._reactor.callWhenRunning(self._started)
        self._reactor.run(installSignalHandlers=False)
        return self._status

    def _begin_log(self) -> None:
        quiet = self._arguments.quiet or self._daemon is not None
        observers = [] if quiet else [textFileLogObserver(sys.stderr)]
        globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False)

    def _write_pid(self) -> None:
        if self._pid_file is not None:
            Path(self._pid_file).write_text(f"{os.getpid()}\n")

    def _take_signals(self) -> None:
        """They are acted upon as soon as the reactor runs."""
        self._on(signal.SIGUSR1, self._soft_stop)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._on(number, partial(self._hard_stop, 128 + number))
        for number in IGNORED:
            self._on(number, partial(self._ignore, number))

    def _started(self) -> None:
        self._tell_old_ones()
        if self._arguments.notify:
            notify(f"READY=1\nMAINPID={os.getpid()}")
        if self._daemon is not None:
            self._daemon.serving()
        spare_the_collector()

    def _on(self, number: int, act: Callable[[], None]) -> None:
        signal.signal(number, lambda *_: self._reactor.callFromThread(act))

    def _tell_old_ones(self) -> None:
        """Processes before this one: it listens now, so they may go."""
        for pids, number in (
            (self._arguments.finish, signal.SIGUSR1),
            (self._arguments.terminate, signal.SIGTERM),
        ):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)

    def _ignore(self, number: int) -> None:
        name = signal.Signals(number).name
        self._console.warning(f"{name}: {IGNORED[signal.Signals(number)]}")

    def _soft_stop(self) -> None:
        """No new clients; those who are here may stay until they go."""
        if not self._stopping:
            for name in self._service.frontends:
                self._console.warning(f"Proxy {name} stopped.")
            self._stop(0)

    def _hard_stop(self, status: int) -> None:
        """At once; a second signal, or one in a soft stop, does not even wait for the state."""
        if self._stopping:
            self._end(status)
            return
        options = evolve(self._config.options, grace=0.0)
        self._service.config = evolve(self._config, options=options)
        self._stop(status)

    def _stop(self, status: int) -> None:
        self._stopping = True
        if self._arguments.notify:
            notify("STOPPING=1")
        stopped: Deferred[Any] = maybeDeferred(self._service.stopService)
        stopped.addBoth(lambda _: self._end(status))

    def _end(self, status: int) -> None:
        """Whatever is still open is closed by the kernel."""
        self._status = status
        if self._pid_file is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._pid_file)
        with contextlib.suppress(ReactorNotRunning):
            self._reactor.stop()
