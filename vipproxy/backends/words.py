"""What is said of servers, in HAProxy's words (its `srv_append_status`), for logs and events."""

from __future__ import annotations

from collections.abc import Iterable

from vipproxy.backends.health import Ledger
from vipproxy.backends.server import Server
from vipproxy.values import CheckResult


def reason(result: CheckResult) -> str:
    """``, reason: Layer7 wrong status, code: 503, check duration: 3ms``"""
    return f", reason: {result}, check duration: {int(result.duration * 1000)}ms"


def subject(backend: str, server: Server) -> str:
    return f"{'Backup ' if server.backup else ''}Server {backend}/{server.name}"


def left(servers: Iterable[Server], sessions: int, requeued: int) -> str:
    """After a server has gone: who can serve still, and what it had."""
    return (
        f". {_usable(servers, 'left')} {sessions} sessions active, {requeued} requeued, "
        "0 remaining in queue"
    )


def online(servers: Iterable[Server], requeued: int, queued: int) -> str:
    """After a server has come."""
    usable = _usable(servers, "online")
    return f". {usable} {requeued} sessions requeued, {queued} total in queue"


def _usable(servers: Iterable[Server], where: str) -> str:
    usable = [server for server in servers if server.usable]
    backups = sum(server.backup for server in usable)
    active = len(usable) - backups
    running = " Running on backup." if backups and not active else ""
    return f"{active} active and {backups} backup servers {where}.{running}"


def check_line(backend: str, server: Server, result: CheckResult, passed: bool) -> str:
    """The line of HAProxy's `option log-health-checks`."""
    assert server.ledger is not None
    whose = f"{'backup ' if server.backup else ''}server {backend}/{server.name}"
    outcome = "succeeded" if result.passed else "conditionally succeeded" if passed else "failed"
    status = _status(server.ledger)
    return f"Health check for {whose} {outcome}{reason(result)}, status: {status}."


def _status(ledger: Ledger) -> str:
    """``2/3 UP`` or ``0/2 DOWN``"""
    if ledger.up:
        return f"{ledger.health - ledger.rise + 1}/{ledger.fall} UP"
    return f"{ledger.health}/{ledger.rise} DOWN"
