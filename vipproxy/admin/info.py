"""``show info``: the process in HAProxy's words (management guide, 9.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import evolve

from vipproxy.admin.fields import Datum, Value
from vipproxy.admin.info_fields import ABSENT, FIELDS, FLOATS
from vipproxy.values import ClusterSnapshot

RELEASE_DATE = "2026/11/23"
"""Of this version: hatop refuses to start without one."""


def info(snapshot: ClusterSnapshot, floats: bool = False) -> list[Datum]:
    """The facts in HAProxy's order; what vipproxy does not have, or measure, is 0.

    With `floats`, times and rates are floating-point numbers.
    """
    values = {**_process_values(snapshot), **_traffic_values(snapshot)}
    absent = ABSENT if snapshot.process.description else ABSENT | {"description"}
    data = [
        Datum(position, field, values.get(field.name, 0))
        for position, field in enumerate(FIELDS)
        if field.name not in absent
    ]
    return [_whole(each) for each in data] if not floats else [_as_float(each) for each in data]


def as_info(data: Iterable[Datum], describe: bool = False) -> str:
    """One ``Key: value`` line a fact, and what it is where that is wanted."""
    return "".join(
        f"{each.field.name}: {each.text}{_words(each) if describe else ''}\n" for each in data
    )


def _words(datum: Datum) -> str:
    return f':"{datum.field.text}"'


def _whole(datum: Datum) -> Datum:
    return evolve(datum, value=int(datum.value)) if isinstance(datum.value, float) else datum


def _as_float(datum: Datum) -> Datum:
    tags = FLOATS.get(datum.field.name)
    if tags is None:
        return _whole(datum)
    return evolve(datum, field=evolve(datum.field, tags=tags), value=float(datum.value))


def _process_values(snapshot: ClusterSnapshot) -> Mapping[str, Value]:
    process = snapshot.process
    return {
        "Name": process.identity,
        "Version": process.version,
        "Release_date": RELEASE_DATE,
        "Nbthread": process.threads,
        "Nbproc": 1,
        "Process_num": 1,
        "Pid": process.pid,
        "Uptime": _uptime(int(process.uptime)),
        "Uptime_sec": process.uptime,
        "Ulimit-n": process.descriptor_limit,
        "Maxsock": process.descriptor_limit,
        "Maxconn": process.session_limit,
        "Hard_maxconn": process.session_ceiling,
        "ConnRateLimit": process.session_rate_limit,
        "SessRateLimit": process.session_rate_limit,
        "Tasks": process.timers,
        "Idle_pct": round(process.idle),
        "node": process.node,
        "description": process.description,
        "Stopping": int(process.stopping),
        "DroppedLogs": process.dropped_logs,
        "Build info": process.version,
        "Start_time_sec": process.started_at,
        "Tainted": "0",
    }


def _traffic_values(snapshot: ClusterSnapshot) -> Mapping[str, Value]:
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
        "BytesOutRate": snapshot.process.bytes_out_rate,
    }


def _uptime(seconds: int) -> str:
    """``3d 4h05m06s``"""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}d {hours}h{minutes:02}m{seconds:02}s"
