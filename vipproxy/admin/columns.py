"""HAProxy's statistics columns (management guide, 9.1): one mapping a row, empty cells left out.

Which cells a kind of row has is what HAProxy 2.6 was seen to fill in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vipproxy.admin.filters import Filter
from vipproxy.admin.stat_fields import BACKEND, FRONTEND, SERVER
from vipproxy.counters import Counters
from vipproxy.values import (
    AdminState,
    BackendSnapshot,
    CheckResult,
    CheckStatus,
    ClusterSnapshot,
    FrontendSnapshot,
    ServerSnapshot,
)

Cell = str | int
Row = Mapping[str, Cell]

PROCESS = 1
"""The pid column: HAProxy's number of the process, not the system's."""
_RESPONSES = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other")
_TIMES = ("qtime", "ctime", "rtime", "ttime")
_LONGEST = ("qtime_max", "ctime_max", "rtime_max", "ttime_max")
_NEVER = -1
_WITH_CODE = frozenset({CheckStatus.L7_OK, CheckStatus.L7_STATUS, CheckStatus.PROCESS_ERROR})


EVERYTHING = Filter()


def rows(snapshot: ClusterSnapshot, wanted: Filter = EVERYTHING) -> Iterator[Row]:
    """The rows in HAProxy's order: proxy by proxy, FRONTEND, or servers and then BACKEND."""
    for proxy in proxies(snapshot, wanted):
        if isinstance(proxy, BackendSnapshot):
            yield from _pool_rows(proxy, wanted, snapshot.now)
        elif wanted.takes_frontends:
            yield frontend_row(proxy, snapshot.now)


def proxies(
    snapshot: ClusterSnapshot, wanted: Filter = EVERYTHING
) -> list[FrontendSnapshot | BackendSnapshot]:
    """Frontends and backends in the order of their numbers."""
    every: list[FrontendSnapshot | BackendSnapshot] = [*snapshot.frontends, *snapshot.backends]
    return sorted(filter(wanted.takes_proxy, every), key=lambda each: each.number)


def _pool_rows(pool: BackendSnapshot, wanted: Filter, now: float) -> Iterator[Row]:
    for server in filter(wanted.takes_server, pool.servers):
        yield server_row(pool, server, now)
    if wanted.takes_backends:
        row = backend_row(pool, now)
        yield {**row, "status": _counted(pool)} if wanted.counts_servers else row


def _counted(pool: BackendSnapshot) -> str:
    """``UP (2/3)``: how many of its servers are up."""
    up = sum(each.up for each in pool.servers)
    return f"{'UP' if pool.up else 'DOWN'} ({up}/{len(pool.servers)})"


def frontend_row(frontend: FrontendSnapshot, now: float) -> Row:
    """The FRONTEND row; `now` is in seconds of the clock that the counters were kept with."""
    counters = frontend.counters
    cells: dict[str, Cell] = {
        **_shared_cells(frontend, counters, now),
        **_compression_cells(),
        "svname": "FRONTEND",
        "sid": 0,
        "type": FRONTEND,
        "slim": frontend.session_limit,
        "dreq": counters.denied_requests,
        "ereq": counters.request_errors,
        "status": frontend.status,
        "rate_lim": 0,
        "req_rate": counters.request_rate.per_second(now),
        "req_rate_max": counters.request_rate.highest,
        "req_tot": counters.requests,
        "conn_rate": counters.session_rate.per_second(now),
        "conn_rate_max": counters.session_rate.highest,
        "conn_tot": counters.sessions_total + counters.denied_connections,
        "dcon": counters.denied_connections,
        "dses": 0,
    }
    if frontend.mode == "http":
        cells.update(_cache_cells(), intercepted=counters.intercepted)
    return cells


def backend_row(backend: BackendSnapshot, now: float) -> Row:
    """The BACKEND row; `now` as in `frontend_row`."""
    counters = backend.counters
    cells: dict[str, Cell] = {
        **_shared_cells(backend, counters, now),
        **_pool_cells(backend, counters),
        **_compression_cells(),
        "svname": "BACKEND",
        "sid": 0,
        "type": BACKEND,
        "slim": backend.session_limit,
        "dreq": counters.denied_requests,
        "status": "UP" if backend.up else "DOWN",
        "weight": backend.weight,
        "uweight": backend.weight,
        "act": backend.active,
        "bck": backend.backups,
        "chkdown": backend.times_down,
        "algo": backend.balance,
        "agg_server_status": 0,
        "agg_server_check_status": 0,
        "agg_check_status": 0,
    }
    if backend.servers:
        cells["downtime"] = int(backend.downtime)
    if backend.cookie:
        cells["cookie"] = backend.cookie
    if backend.mode == "http":
        cells.update(_cache_cells(), req_tot=counters.requests)
    return cells


def server_row(backend: BackendSnapshot, server: ServerSnapshot, now: float) -> Row:
    """The row of a server; `now` as in `frontend_row`."""
    counters = server.counters
    cells: dict[str, Cell] = {
        **_shared_cells(backend, counters, now),
        **_pool_cells(server, counters),
        "svname": server.name,
        "sid": server.number,
        "type": SERVER,
        "status": server.status,
        "weight": server.weight,
        "uweight": server.weight,
        "act": int(not server.backup),
        "bck": int(server.backup),
        "addr": str(server.address),
        "srv_icur": counters.idle,
        "idle_conn_cur": counters.idle - counters.idle_safe,
        "safe_conn_cur": counters.idle_safe,
        "used_conn_cur": counters.sessions,
        "need_conn_est": counters.sessions,
    }
    if server.maxconn:
        cells["slim"] = server.maxconn
    if server.cookie:
        cells["cookie"] = server.cookie
    if backend.mode == "http":
        cells["req_tot"] = counters.requests
    if server.checked:
        cells.update(_check_cells(server))
    return cells


def _shared_cells(
    proxy: FrontendSnapshot | BackendSnapshot, counters: Counters, now: float
) -> dict[str, Cell]:
    """What rows of every kind have."""
    cells: dict[str, Cell] = {
        "pxname": proxy.name,
        "iid": proxy.number,
        "pid": PROCESS,
        "mode": proxy.mode,
        "scur": counters.sessions,
        "smax": counters.sessions_max,
        "stot": counters.sessions_total,
        "bin": counters.bytes_in,
        "bout": counters.bytes_out,
        "dresp": counters.denied_responses,
        "rate": counters.session_rate.per_second(now),
        "rate_max": counters.session_rate.highest,
        "wrew": 0,
        "eint": counters.internal_errors,
    }
    if proxy.mode == "http":
        cells.update(zip(_RESPONSES, counters.responses, strict=True))
    return cells


def _pool_cells(owner: BackendSnapshot | ServerSnapshot, counters: Counters) -> dict[str, Cell]:
    """What rows of backends and servers have in common."""
    timing = counters.timing
    last = owner.since_session
    return {
        "qcur": owner.queued,
        "qmax": counters.queue_max,
        "econ": counters.connect_errors,
        "eresp": counters.response_errors,
        "wretr": counters.retries,
        "wredis": counters.redispatches,
        "lastchg": int(owner.since_change),
        "lbtot": counters.chosen,
        "cli_abrt": counters.client_aborts,
        "srv_abrt": counters.server_aborts,
        "lastsess": _NEVER if last is None else int(last),
        "connect": counters.connects,
        "reuse": counters.reuses,
        **dict(zip(_TIMES, map(_in_milliseconds, timing.averages), strict=True)),
        **dict(zip(_LONGEST, map(_in_milliseconds, timing.highest), strict=True)),
    }


def _in_milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _check_cells(server: ServerSnapshot) -> dict[str, Cell]:
    """What a checked server adds; in maintenance its checks pause and only their sums stay."""
    cells: dict[str, Cell] = {
        "chkfail": server.failed_checks,
        "chkdown": server.times_down,
        "downtime": int(server.downtime),
    }
    if server.admin is AdminState.MAINT:
        return cells
    result = server.last_check or CheckResult(CheckStatus.INITIAL)
    cells.update(
        check_status=f"* {result.status.value}" if server.checking else result.status.value,
        check_desc=result.status.description,
        check_rise=server.rise,
        check_fall=server.fall,
        check_health=server.health,
    )
    if result.status is not CheckStatus.INITIAL:
        cells["check_duration"] = round(result.duration * 1000)
    if result.status in _WITH_CODE:
        cells["check_code"] = 0 if server.checking else result.code or 0
    if result.info and not server.checking:
        cells["last_chk"] = result.info
    return cells


def _compression_cells() -> dict[str, Cell]:
    return dict.fromkeys(("comp_in", "comp_out", "comp_byp", "comp_rsp"), 0)


def _cache_cells() -> dict[str, Cell]:
    return dict.fromkeys(("cache_lookups", "cache_hits"), 0)
