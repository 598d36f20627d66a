"""One frontend's log of its sessions or exchanges: which are written, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from zope.interface import implementer

from vipproxy.config.log_options import LogFormat, LogOptions, parse_format
from vipproxy.config.options import FrontendConfig
from vipproxy.counters import Counters
from vipproxy.interfaces import IBackend, ITrafficLog
from vipproxy.limits import SessionLimit
from vipproxy.logs.fields import Facts
from vipproxy.logs.formats import line_of
from vipproxy.logs.outlet import Outlet
from vipproxy.logs.record import Record
from vipproxy.logs.syslog import level_of
from vipproxy.values import Address, Ending

NORMAL, ERROR = level_of("info"), level_of("err")


class Seconds(Protocol):
    def seconds(self) -> float: ...


def format_of(config: FrontendConfig) -> LogFormat:
    """A frontend's format; by default the one of its mode."""
    chosen = config.options.log_format
    if chosen is None:
        mode = config.options.protocol.plugin.mode
        return parse_format("httplog" if mode == "http" else "tcplog")
    return chosen


def is_logged(config: FrontendConfig, targets: Sequence[LogOptions]) -> bool:
    """Whether any target gets anything of a frontend's sessions."""
    levels = {NORMAL, ERROR if config.options.log_separate_errors else NORMAL}
    wanted = any(level_of(target.level) >= min(levels) for target in targets)
    return wanted and format_of(config).text != "none"


@implementer(ITrafficLog)
class TrafficLog:
    def __init__(
        self,
        config: FrontendConfig,
        outlet: Outlet,
        clock: Seconds,
        counters: Counters,
        limit: SessionLimit,
    ) -> None:
        """`counters` are the frontend's, `limit` counts the sessions of the process."""
        options = config.options
        facts = Facts(
            config.name, outlet.hostname, options.capture_request_header,
            options.capture_response_header, options.capture_cookie,
        )  # fmt: skip
        self.early: bool = options.logasap
        self._line = line_of(format_of(config), facts)
        self._outlet, self._seconds = outlet, clock.seconds
        self._counters, self._limit = counters, limit
        self._skips_empty, self._skips_normal = options.dontlognull, options.dontlog_normal
        self._error_level = ERROR if options.log_separate_errors else NORMAL
        self._number = 0

    def begin(self, client: Address, destination: Address) -> Record:
        now = self._seconds()
        return Record(client, destination, now, now, now)

    def finish(self, record: Any, backend: IBackend | None, ending: Ending, phase: str) -> None:
        record.ending, record.phase, record.backend = ending, phase, backend
        failed = record.failed
        if (self._skips_empty and not record.bytes_in) or (self._skips_normal and not failed):
            return
        record.ended_at = self._seconds()
        self._number += 1
        record.number = self._number
        record.process_sessions = self._limit.open
        record.frontend_sessions = self._counters.sessions
        if backend is not None:
            record.backend_sessions = backend.counters.sessions
            if record.lease is not None:
                record.server_sessions = record.lease.server.sessions
        self._outlet.write(self._error_level if failed else NORMAL, self._line, record)
