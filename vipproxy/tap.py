"""`twistd vipproxy`: options, and the service that twistd runs."""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import Any

from twisted.application.service import IService
from twisted.internet.error import ReactorNotRunning
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from vipproxy.config import SYNTAXES, load
from vipproxy.errors import ConfigError, VipproxyError
from vipproxy.limits import spare_the_collector
from vipproxy.plugins import Catalog
from vipproxy.service import ProxyService


class Options(UsageOptions):
    """The command line."""

    synopsis = "[twistd options] vipproxy --config FILE"
    optParameters = [
        ["config", "c", None, "The configuration file: INI, or a haproxy.cfg."],
        ["format", None, "auto", "Its syntax: ini, haproxy, or auto."],
    ]
    longdesc = "A load-balancing proxy for highly available clusters."

    def postOptions(self) -> None:
        if not self["config"]:
            raise UsageError("name the configuration: --config FILE")
        if self["format"] not in SYNTAXES:
            raise UsageError(f"--format is one of {', '.join(SYNTAXES)}")


class TwistdService(ProxyService):
    """Answers to twistd's conventions: a sentence instead of a traceback, and exit status 0."""

    def privilegedStartService(self) -> None:
        try:
            super().privilegedStartService()
        except VipproxyError as error:
            sys.exit(f"vipproxy: {error}")

    def startService(self) -> None:
        super().startService()
        self._reactor.callWhenRunning(self._own_signals)
        self._reactor.callWhenRunning(spare_the_collector)

    def _own_signals(self) -> None:
        """A stop that was asked for is a success; twistd would die by the signal instead."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_stop)

    def _asked_to_stop(self, number: int, frame: Any) -> None:
        self._reactor.callFromThread(self._stop_reactor)

    def _stop_reactor(self) -> None:
        with contextlib.suppress(ReactorNotRunning):  # asked twice
            self._reactor.stop()


def makeService(options: Options) -> IService:
    """Called by twistd; a configuration with errors ends here, before anything is started."""
    try:
        loaded = load(options["config"], Catalog(), options["format"])
    except ConfigError as error:
        sys.exit(error.report)
    if loaded.warnings:
        print(loaded.problems.report(notes=False), file=sys.stderr)
    return TwistdService(loaded.config)
