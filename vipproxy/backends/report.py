"""A pool at one instant, frozen for observers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from vipproxy.backends.server import Server
from vipproxy.config.server_options import CheckOptions
from vipproxy.counters import Counters, Timing
from vipproxy.interfaces import ILease, IServerWatcher
from vipproxy.values import AdminState, BackendSnapshot, ServerSnapshot

if TYPE_CHECKING:
    from vipproxy.backends.pool import Pool


def backend_snapshot(
    pool: Pool, now: float, mode: str, number: int, session_limit: int
) -> BackendSnapshot:
    """`mode`, `number` and `session_limit` (HAProxy's fullconn) are known to the service."""
    options, selection, availability = pool.options, pool.selection, pool.availability
    pins = pool.pins.as_mapping() if pool.pins else {}
    pinned = set(pins.values())
    servers = tuple(
        server_snapshot(each, now, pool.pace_of(each.config), each.name in pinned, pool.watchers)
        for each in selection.servers
    )
    used = [each.since_session for each in servers if each.since_session is not None]
    counters = _with_live(
        pool.counters, (each for server in selection.servers for each in server.leases)
    )
    counters.queue_max = selection.queue.longest
    counters.timing = Timing.joined(each.counters.timing for each in servers)
    return BackendSnapshot(
        name=pool.name,
        number=number,
        mode=mode,
        balance=options.balance.name,
        cookie=options.cookie.name if options.cookie else "",
        up=availability.up,
        weight=sum(server.weight for server in selection.usable),
        active=sum(each.usable and not each.backup for each in selection.servers),
        backups=sum(each.usable and each.backup for each in selection.servers),
        queued=len(selection.queue),
        times_down=availability.times_down,
        since_change=now - availability.changed_at,
        downtime=availability.downtime_at(now),
        since_session=min(used, default=None),
        session_limit=session_limit,
        pins=pins,
        servers=servers,
        counters=counters,
        checked=options.check is not None,
        stick_size=options.stick.size if options.stick else 0,
    )


def server_snapshot(
    server: Server,
    now: float,
    check: CheckOptions | None,
    pinned: bool,
    watchers: Sequence[IServerWatcher],
) -> ServerSnapshot:
    counters = _with_live(server.counters, server.leases)
    counters.queue_max = server.queue.longest
    for watcher in watchers:
        idle, safe = watcher.kept(server)
        counters.idle += idle
        counters.idle_safe += safe
    return ServerSnapshot(
        name=server.name,
        number=server.number,
        address=server.address,
        status=server.status,
        up=server.up and server.admin is not AdminState.MAINT,
        admin=server.admin,
        weight=server.weight,
        backup=server.backup,
        maxconn=server.maxconn,
        queued=len(server.queue),
        checked=server.ledger is not None and not server.checks_paused,
        checking=server.checking,
        last_check=server.last_check,
        health=server.ledger.health if server.ledger else 0,
        rise=check.rise if check else 0,
        fall=check.fall if check else 0,
        failed_checks=server.failed_checks,
        times_down=server.availability.times_down,
        since_change=now - server.availability.changed_at,
        downtime=server.availability.downtime_at(now),
        since_session=None if server.session_at is None else now - server.session_at,
        cookie=server.cookie or "",
        pinned=pinned,
        counters=counters,
        initial_weight=server.config.options.weight,
        stopping=server.stopping,
        disabled=server.config.options.disabled,
        check_port=server.check_port or (check.port if check else 0) or 0,
        check_host=server.check_host or "",
        idle_limit=_idle_limit(watchers),
        idle_timeout=max((watcher.timeout for watcher in watchers), default=0.0),
        checks_paused=server.checks_paused,
    )


def _idle_limit(watchers: Sequence[IServerWatcher]) -> int | None:
    """Of all together; None where one has none."""
    limits = [watcher.limit for watcher in watchers]
    return None if not limits or None in limits else sum(map(int, limits))  # type: ignore[arg-type]


def _with_live(counters: Counters, leases: Iterable[ILease]) -> Counters:
    """A copy that also counts what open sessions have moved so far."""
    counters = counters.copy()
    for lease in leases:
        counters.bytes_in += lease.traffic.bytes_in
        counters.bytes_out += lease.traffic.bytes_out
    return counters
