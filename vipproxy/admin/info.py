"""``show info``: the process in HAProxy's words (management guide, 9.3)."""

from __future__ import annotations

from collections.abc import Mapping

from vipproxy.values import ClusterSnapshot

KEYS = (
    "Name", "Version", "Release_date", "Nbthread", "Nbproc", "Process_num", "Pid", "Uptime",
    "Uptime_sec", "Memmax_MB", "PoolAlloc_MB", "PoolUsed_MB", "PoolFailed", "Ulimit-n", "Maxsock",
    "Maxconn", "Hard_maxconn", "CurrConns", "CumConns", "CumReq", "MaxSslConns", "CurrSslConns",
    "CumSslConns", "Maxpipes", "PipesUsed", "PipesFree", "ConnRate", "ConnRateLimit",
    "MaxConnRate", "SessRate", "SessRateLimit", "MaxSessRate", "SslRate", "SslRateLimit",
    "MaxSslRate", "SslFrontendKeyRate", "SslFrontendMaxKeyRate", "SslFrontendSessionReuse_pct",
    "SslBackendKeyRate", "SslBackendMaxKeyRate", "SslCacheLookups", "SslCacheMisses",
    "CompressBpsIn", "CompressBpsOut", "CompressBpsRateLim", "Tasks", "Run_queue", "Idle_pct",
    "node", "Stopping", "Jobs", "Unstoppable Jobs", "Listeners", "ActivePeers", "ConnectedPeers",
    "DroppedLogs", "BusyPolling", "FailedResolutions", "TotalBytesOut", "TotalSplicdedBytesOut",
    "BytesOutRate", "DebugCommandsIssued", "CumRecvLogs", "Build info", "Memmax_bytes",
    "PoolAlloc_bytes", "PoolUsed_bytes", "Start_time_sec", "Tainted",
)  # fmt: skip
"""In HAProxy 2.6's order, with its spelling. What vipproxy does not have, or measure, is 0."""

RELEASE_DATE = "2026/11/23"
"""Of this version: hatop refuses to start without one."""


def as_info(snapshot: ClusterSnapshot) -> str:
    """One ``Key: value`` line a key of `KEYS`."""
    values = _values(snapshot)
    return "".join(f"{key}: {values.get(key, 0)}\n" for key in KEYS)


def _values(snapshot: ClusterSnapshot) -> Mapping[str, str | int]:
    return {**_process_values(snapshot), **_traffic_values(snapshot)}


def _process_values(snapshot: ClusterSnapshot) -> Mapping[str, str | int]:
    process = snapshot.process
    return {
        "Name": "vipproxy",
        "Version": process.version,
        "Release_date": RELEASE_DATE,
        "Nbthread": 1,
        "Nbproc": 1,
        "Process_num": 1,
        "Pid": process.pid,
        "Uptime": _uptime(int(process.uptime)),
        "Uptime_sec": int(process.uptime),
        "Ulimit-n": process.descriptor_limit,
        "Maxsock": process.descriptor_limit,
        "Maxconn": process.session_limit,
        "Hard_maxconn": process.session_limit,
        "node": process.node,
        "Stopping": int(process.stopping),
        "DroppedLogs": process.dropped_logs,
        "Build info": process.version,
        "Start_time_sec": int(process.started_at),
    }


def _traffic_values(snapshot: ClusterSnapshot) -> Mapping[str, str | int]:
    """Sums over the frontends. No rate of the whole is kept: the highest is one frontend's."""
    counters = [each.counters for each in snapshot.frontends]
    listeners = sum(len(each.binds) for each in snapshot.frontends)
    sessions = sum(each.sessions for each in counters)
    rate = sum(each.session_rate.per_second(snapshot.now) for each in counters)
    highest = max((each.session_rate.highest for each in counters), default=0)
    return {
        "CurrConns": sessions,
        "CumConns": sum(each.sessions_total for each in counters),
        "CumReq": sum(each.requests or each.sessions_total for each in counters),
        "ConnRate": rate,
        "SessRate": rate,
        "MaxConnRate": max(rate, highest),
        "MaxSessRate": max(rate, highest),
        "Jobs": sessions + listeners,
        "Listeners": listeners,
        "TotalBytesOut": sum(each.bytes_out for each in counters),
    }


def _uptime(seconds: int) -> str:
    """``3d 4h05m06s``"""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}d {hours}h{minutes:02}m{seconds:02}s"
