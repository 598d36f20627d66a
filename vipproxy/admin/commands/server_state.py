"""``show servers state`` and ``show servers conn`` (management guide, 9.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vipproxy.admin.commands.command import Command, Console, Level, find_backend
from vipproxy.values import AdminState, BackendSnapshot, CheckStatus, ServerSnapshot

STATE_HEADER = (
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight "
    "srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health "
    "srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord "
    "srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port"
)
CONN_HEADER = (
    "# bkname/svname bkid/svid addr port - purge_delay used_cur used_max need_est unsafe_nb "
    "safe_nb idle_lim idle_cur idle_per_thr[1]"
)
STOPPED, RUNNING, STOPPING = 0, 2, 3
FORCED_MAINT, CONFIGURED_MAINT, FORCED_DRAIN = 0x01, 0x04, 0x08
IN_PROGRESS, CONFIGURED, ENABLED, PAUSED = 0x01, 0x02, 0x04, 0x08
UNKNOWN, FAILED, PASSED = 0, 2, 3
ASSUMED_HEALTH = 2
"""What HAProxy writes of a server without a check: its default `rise`."""
CHECK_STATUSES = (
    CheckStatus.UNKNOWN, CheckStatus.INITIAL, None, None, None, CheckStatus.SOCKET_ERROR,
    CheckStatus.L4_OK, CheckStatus.L4_TIMEOUT, CheckStatus.L4_CONNECTION, CheckStatus.L6_OK,
    CheckStatus.L6_TIMEOUT, CheckStatus.L6_RESPONSE, CheckStatus.L7_TIMEOUT,
    CheckStatus.L7_RESPONSE, None, CheckStatus.L7_OK, None, CheckStatus.L7_STATUS,
    CheckStatus.PROCESS_ERROR,
)  # fmt: skip
"""In the order of HAProxy's numbers."""


def _show_state(console: Console, words: Sequence[str]) -> str:
    lines = ["1", STATE_HEADER]
    for pool, server in _servers(console, words):
        lines.append(" ".join(map(str, _state(pool, server))))
    return "".join(f"{line}\n" for line in lines)


def _show_conn(console: Console, words: Sequence[str]) -> str:
    lines = [CONN_HEADER]
    for pool, server in _servers(console, words):
        lines.append(" ".join(map(str, _connections(pool, server))))
    return "".join(f"{line}\n" for line in lines)


def _servers(
    console: Console, words: Sequence[str]
) -> Iterator[tuple[BackendSnapshot, ServerSnapshot]]:
    if words:
        pools = [find_backend(console, words[0], "Can't find backend.")]
    else:
        pools = sorted(console.cluster.snapshot().backends, key=lambda pool: pool.number)
    return ((pool, server) for pool in pools for server in pool.servers)


def _state(pool: BackendSnapshot, server: ServerSnapshot) -> tuple[object, ...]:
    last = server.last_check
    status = CHECK_STATUSES.index(last.status if last else CheckStatus.INITIAL)
    result = UNKNOWN if last is None else PASSED if last.passed else FAILED
    address = server.address
    return (
        pool.number, pool.name, server.number, server.name, address.host, _operation(server),
        _administration(server), server.weight, server.initial_weight, int(server.since_change),
        status, result, _health(server), _check_state(server), 0, 0, 0, "-", address.port, "-", 0,
        server.check_port, server.check_host or "-", "-", 0,
    )  # fmt: skip


def _operation(server: ServerSnapshot) -> int:
    if not server.up:
        return STOPPED
    return STOPPING if server.stopping else RUNNING


def _administration(server: ServerSnapshot) -> int:
    if server.admin is AdminState.MAINT:
        return FORCED_MAINT | (CONFIGURED_MAINT if server.disabled else 0)
    return FORCED_DRAIN if server.admin is AdminState.DRAIN else 0


def _health(server: ServerSnapshot) -> int:
    if server.admin is AdminState.MAINT:
        return 0
    if server.checked or server.checks_paused:
        return server.health
    return ASSUMED_HEALTH if server.up else 0


def _check_state(server: ServerSnapshot) -> int:
    configured = CONFIGURED if server.checked or server.checks_paused else 0
    enabled = ENABLED if server.checked else 0
    running = IN_PROGRESS if server.checking else 0
    out = server.admin is AdminState.MAINT and (configured or server.disabled)
    paused = PAUSED if out else 0
    return configured | enabled | running | paused


def _connections(pool: BackendSnapshot, server: ServerSnapshot) -> tuple[object, ...]:
    address, counters = server.address, server.counters
    limit = -1 if server.idle_limit is None else server.idle_limit
    return (
        f"{pool.name}/{server.name}", f"{pool.number}/{server.number}", address.host, address.port,
        "-", round(server.idle_timeout * 1000), counters.sessions, counters.sessions_max,
        counters.sessions_max, counters.idle - counters.idle_safe, counters.idle_safe, limit,
        counters.idle, counters.idle,
    )  # fmt: skip


COMMANDS = (
    Command(
        "show servers conn",
        Level.USER,
        "show servers conn [<backend>]",
        "dump server connections status (all or for a single backend)",
        _show_conn,
    ),
    Command(
        "show servers state",
        Level.USER,
        "show servers state [<backend>]",
        "dump volatile server information (all or for a single backend)",
        _show_state,
    ),
)
