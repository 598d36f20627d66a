"""One word for a pool and for the whole cluster, for people in a hurry."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from attrs import frozen

from vipproxy.values import AdminState, BackendSnapshot, ClusterSnapshot, ServerSnapshot


class Verdict(Enum):
    OK = "OK"
    DEGRADED = "DEGRADED"
    DOWN = "DOWN"


@frozen
class ClusterVerdict:
    """`verdict` is that of the worst pool; `pools` are the names of all that are as bad."""

    verdict: Verdict
    pools: tuple[str, ...]


def judge_pool(backend: BackendSnapshot) -> Verdict:
    """DOWN without a usable server; DEGRADED with one down that the operator wants up."""
    if not backend.up:
        return Verdict.DOWN
    return Verdict.DEGRADED if any(map(is_missing, backend.servers)) else Verdict.OK


def is_missing(server: ServerSnapshot) -> bool:
    """Down, although nobody has taken it out."""
    return not server.up and server.admin is AdminState.READY


def judge(snapshot: ClusterSnapshot) -> ClusterVerdict:
    """The verdict on the whole."""
    for verdict in (Verdict.DOWN, Verdict.DEGRADED):
        pools = _pools(snapshot.backends, verdict)
        if pools:
            return ClusterVerdict(verdict, pools)
    return ClusterVerdict(Verdict.OK, ())


def _pools(backends: Sequence[BackendSnapshot], verdict: Verdict) -> tuple[str, ...]:
    return tuple(each.name for each in backends if judge_pool(each) is verdict)
