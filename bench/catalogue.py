"""The workloads, with the targets that the project has set itself."""

from __future__ import annotations

from collections.abc import Sequence

from bench.results import Goal
from bench.special import Checks, Fairness, Idle, idle_sessions
from bench.workloads import MIB, Ask, Http, Latency, Workload

REQUESTS = Goal(0.95, 0.85)
CONNECTIONS = Goal(1.2, 1.0)
STREAMS = Goal(0.95, 0.85)
KEEP_ALIVE = Goal(2.0, 1.2)
HTTP_CONNECTIONS = Goal(1.6, 1.2)
LATENCY = Goal(1.2, 1.0)

MANY = ("--connections", 64)
CONNECTION = ("--connections", 64, "--until-closed")
LARGE = ("--connections", 4, "--reply", 16 * MIB)
HUGE = ("--connections", 1, "--reply", 1024 * MIB, "--operations", 1)
MYSQL = ("--connections", 50, "--mix", "mysql", "--per-connection", 100)
AMQP = ("--connections", 50, "--mix", "amqp", "--pipeline", 8)


def one_thread(descriptors: int, *, quick: bool) -> list[Workload]:
    """The proxy on a core of its own, and the load on another."""
    seconds = 0.3 if quick else 1.0
    return [
        *_requests(seconds),
        _connections(seconds),
        _streams(seconds),
        Ask("stream-1g", "TCP: 1 GiB stream", "reply", HUGE, STREAMS, 1.0, "ms CPU", 1e-3),
        Http("http", "HTTP: keep-alive with cookie insertion", KEEP_ALIVE),
        Http("http-close", "HTTP: one connection per request", HTTP_CONNECTIONS, close=True),
        Ask("mysql", "MySQL-like mix, 50 clients", "mysql", MYSQL, None, seconds),
        Ask("amqp", "AMQP-like mix, 50 clients", "amqp", AMQP, None, seconds),
        _latency("latency", "TCP requests", "reply", MANY, seconds),
        _latency("latency-connections", "TCP connections", "once", CONNECTION, seconds),
        _latency("latency-http", "HTTP keep-alive", "http", MANY, seconds),
        Idle(idle_sessions(descriptors, quick=quick), 3 * seconds),
        Checks("tcp", 3 * seconds),
        Checks("http", 3 * seconds),
        Fairness(2.0 if quick else 3.0),
    ]


def growth(*, quick: bool) -> list[Workload]:
    """One and two threads, with the load on all cores."""
    seconds = 0.3 if quick else 1.0
    return [
        _requests(seconds)[1],
        _connections(seconds),
        _streams(seconds),
        Http("http", "HTTP: keep-alive with cookie insertion", KEEP_ALIVE),
    ]


def _requests(seconds: float) -> list[Workload]:
    return [
        Ask(
            f"requests-{count}",
            f"TCP: request/reply on {count:,} open connection{'s' if count > 1 else ''}",
            "reply",
            ("--connections", count),
            REQUESTS,
            seconds,
        )
        for count in (1, 64, 1000)
    ]


def _connections(seconds: float) -> Workload:
    title = "TCP: one connection per request"
    return Ask("connections", title, "once", CONNECTION, CONNECTIONS, seconds)


def _latency(
    key: str, what: str, service: str, arguments: Sequence[object], seconds: float
) -> Workload:
    return Latency(key, f"p99 of {what} at equal load", service, arguments, LATENCY, 2 * seconds)


def _streams(seconds: float) -> Workload:
    return Ask(
        "stream-16m", "TCP: 16 MiB replies", "reply", LARGE, STREAMS, seconds, "ms CPU", 1e-3
    )
