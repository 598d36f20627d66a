"""HAProxy's statistics columns (management guide, 9.1): one mapping a row, empty cells left out.

Which cells a kind of row has is what HAProxy 2.6 was seen to fill in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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

COLUMNS = (
    "pxname", "svname", "qcur", "qmax", "scur", "smax", "slim", "stot", "bin", "bout",
    "dreq", "dresp", "ereq", "econ", "eresp", "wretr", "wredis", "status", "weight", "act",
    "bck", "chkfail", "chkdown", "lastchg", "downtime", "qlimit", "pid", "iid", "sid", "throttle",
    "lbtot", "tracked", "type", "rate", "rate_lim", "rate_max", "check_status", "check_code",
    "check_duration", "hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other",
    "hanafail", "req_rate", "req_rate_max", "req_tot", "cli_abrt", "srv_abrt", "comp_in",
    "comp_out", "comp_byp", "comp_rsp", "lastsess", "last_chk", "last_agt", "qtime", "ctime",
    "rtime", "ttime", "agent_status", "agent_code", "agent_duration", "check_desc", "agent_desc",
    "check_rise", "check_fall", "check_health", "agent_rise", "agent_fall", "agent_health",
    "addr", "cookie", "mode", "algo", "conn_rate", "conn_rate_max", "conn_tot", "intercepted",
    "dcon", "dses", "wrew", "connect", "reuse", "cache_lookups", "cache_hits", "srv_icur",
    "src_ilim", "qtime_max", "ctime_max", "rtime_max", "ttime_max", "eint", "idle_conn_cur",
    "safe_conn_cur", "used_conn_cur", "need_conn_est", "uweight", "agg_server_status",
    "agg_server_check_status", "agg_check_status",
)  # fmt: skip
"""In HAProxy's order: 0 to 102."""

Cell = str | int
Row = Mapping[str, Cell]

PROCESS = 1
"""The pid column: HAProxy's number of the process, not the system's."""
_RESPONSES = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other")
_TIMES = ("qtime", "ctime", "rtime", "ttime")
_LONGEST = ("qtime_max", "ctime_max", "rtime_max", "ttime_max")
_NEVER = -1
_FRONTEND, _BACKEND, _SERVER = 0, 1, 2
_WITH_CODE = frozenset({CheckStatus.L7_OK, CheckStatus.L7_STATUS, CheckStatus.PROCESS_ERROR})


def rows(snapshot: ClusterSnapshot) -> Iterator[Row]:
    """Every row in HAProxy's order: proxy by proxy, FRONTEND, or servers and then BACKEND."""
    proxies: list[FrontendSnapshot | BackendSnapshot] = [*snapshot.frontends, *snapshot.backends]
    for proxy in sorted(proxies, key=lambda each: each.number):
        if isinstance(proxy, FrontendSnapshot):
            yield frontend_row(proxy, snapshot.now)
        else:
            for server in proxy.servers:
                yield server_row(proxy, server, snapshot.now)
            yield backend_row(proxy, snapshot.now)


def frontend_row(frontend: FrontendSnapshot, now: float) -> Row:
    """The FRONTEND row; `now` is in seconds of the clock that the counters were kept with."""
    counters = frontend.counters
    cells: dict[str, Cell] = {
        **_shared_cells(frontend, counters, now),
        **_compression_cells(),
        "svname": "FRONTEND",
        "sid": 0,
        "type": _FRONTEND,
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
        "type": _BACKEND,
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
        "type": _SERVER,
        "status": server.status,
        "weight": server.weight,
        "uweight": server.weight,
        "act": int(not server.backup),
        "bck": int(server.backup),
        "addr": str(server.address),
        "srv_icur": 0,
        "idle_conn_cur": 0,
        "safe_conn_cur": 0,
        "used_conn_cur": counters.sessions,
        "need_conn_est": 0,
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
        "eint": 0,
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
        "reuse": 0,
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
