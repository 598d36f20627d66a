"""A snapshot of the reference cluster on an eventful day, for tests of what is rendered."""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field
from zope.interface import implementer

from vipproxy.counters import Counters, Rate
from vipproxy.interfaces import (
    CapturedMessage,
    ICluster,
    IControl,
    SessionView,
    TableView,
)
from vipproxy.values import (
    Address,
    AdminState,
    BackendSnapshot,
    CheckResult,
    CheckStatus,
    ClusterSnapshot,
    Event,
    FrontendSnapshot,
    ProcessSnapshot,
    ServerSnapshot,
)

NOW = 1_790_000_000.5
SERVICES = (
    ("vip-db", "db-vms-galera", 3306, "mysql"),
    ("vip-rabbitmq", "rabbitmq-vms", 5672, "tcp"),
    ("vip-keystone-admin", "keystone-admin-vms", 35357, "tcp"),
    ("vip-keystone-public", "keystone-public-vms", 5000, "tcp"),
    ("vip-glance-api", "glance-api-vms", 9191, "tcp"),
    ("vip-glance-registry", "glance-registry-vms", 9292, "tcp"),
    ("vip-cinder", "cinder-vms", 8776, "tcp"),
    ("vip-swift", "swift-vms", 8080, "tcp"),
    ("vip-neutron", "neutron-vms", 9696, "tcp"),
    ("vip-nova-vnc-novncproxy", "nova-vnc-novncproxy-vms", 6080, "tcp"),
    ("vip-nova-metadata", "nova-metadata-vms", 8775, "tcp"),
    ("vip-nova-api", "nova-api-vms", 8774, "tcp"),
    ("vip-horizon", "horizon-vms", 80, "http"),
    ("vip-heat-cfn", "heat-cfn-vms", 8000, "tcp"),
    ("vip-heat-cloudw", "heat-cloudw-vms", 8004, "tcp"),
    ("vip-heat-srv", "heat-srv-vms", 8003, "tcp"),
    ("vip-ceilometer", "ceilometer-vms", 8777, "tcp"),
)
PASSED = CheckResult(CheckStatus.L4_OK, duration=0.0004)
GALERA = CheckResult(CheckStatus.L7_OK, "Galera cluster node is synced.", 200, 0.012)
REFUSED = CheckResult(CheckStatus.L4_CONNECTION, "Connection refused")


def counters(size: int = 0, **changes: Any) -> Counters:
    """Plausible numbers; `size` is the number of open sessions."""
    made = Counters(
        sessions=size,
        sessions_max=size * 3,
        sessions_total=size * 1187,
        bytes_in=size * 3_456_789,
        bytes_out=size * 41_234_567,
        chosen=size * 1187,
        connects=size * 1187,
        session_rate=Rate(count=size // 9, period=int(NOW), highest=size // 3 + 1),
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def server(number: int, port: int, **changes: Any) -> ServerSnapshot:
    """A checked server that is up."""
    made = ServerSnapshot(
        name=f"rhos6-node{number}",
        number=number,
        address=Address(f"192.168.1.22{number}", port),
        status="UP",
        up=True,
        admin=AdminState.READY,
        weight=1,
        backup=False,
        maxconn=0,
        queued=0,
        checked=True,
        checking=False,
        last_check=PASSED,
        health=4,
        rise=2,
        fall=3,
        failed_checks=0,
        times_down=0,
        since_change=273_907.0,
        downtime=0.0,
        since_session=0.4,
        cookie="",
        pinned=False,
        counters=counters(port % 37),
    )
    return evolve(made, **changes)


def backend(name: str, number: int, servers: tuple[ServerSnapshot, ...], **changes: Any) -> Any:
    """A pool whose sums are those of its servers."""
    usable = [each for each in servers if each.up and each.admin is AdminState.READY]
    made = BackendSnapshot(
        name=name,
        number=number,
        mode="tcp",
        balance="roundrobin",
        cookie="",
        up=bool(usable),
        weight=sum(each.weight for each in usable),
        active=sum(not each.backup for each in usable),
        backups=sum(each.backup for each in usable),
        queued=0,
        times_down=0,
        since_change=273_907.0,
        downtime=0.0,
        since_session=0.4,
        session_limit=1000,
        pins={},
        servers=servers,
        checked=True,
        counters=counters(sum(each.counters.sessions for each in servers)),
    )
    return evolve(made, **changes)


def frontend(name: str, number: int, port: int, **changes: Any) -> FrontendSnapshot:
    """An open frontend on the reference VIP."""
    made = FrontendSnapshot(
        name=name,
        number=number,
        mode="tcp",
        status="OPEN",
        binds=(Address("192.168.1.220", port),),
        backend="",
        session_limit=10_000,
        counters=counters(0),
    )
    return evolve(made, **changes)


def process(**changes: Any) -> ProcessSnapshot:
    made = ProcessSnapshot(
        pid=4711,
        node="rhos6-lb1",
        version="0.1.0",
        started_at=NOW - 273_911,
        uptime=273_911.0,
        session_limit=10_000,
        descriptor_limit=20_000,
        stopping=False,
        config_path="/etc/vipproxy/cluster.ini",
    )
    return evolve(made, **changes)


def reference_cluster() -> ClusterSnapshot:
    """All 17 services and the statistics; a few of their servers are in trouble."""
    frontends = [frontend("monitor", 2, 9300, mode="http", counters=counters(1, requests=1187))]
    backends = []
    for index, (name, pool, port, kind) in enumerate(SERVICES):
        made = _service(pool, 4 + 2 * index, port, kind)
        mode = "http" if kind == "http" else "tcp"
        size = made.counters.sessions
        frontends.append(
            frontend(name, 3 + 2 * index, port, mode=mode, backend=pool, counters=counters(size))
        )
        backends.append(made)
    return ClusterSnapshot(process(), tuple(frontends), tuple(backends), _events())


def _service(pool: str, number: int, port: int, kind: str) -> BackendSnapshot:
    servers = tuple(server(each, port) for each in (1, 2, 3))
    made: BackendSnapshot = backend(pool, number, servers, mode="http" if kind == "http" else "tcp")
    change = {
        "db-vms-galera": _galera,
        "nova-api-vms": _one_down,
        "swift-vms": _in_maintenance,
        "heat-cloudw-vms": _all_down,
        "cinder-vms": _failing,
        "horizon-vms": _with_cookies,
    }.get(pool)
    return made if change is None else change(made)


def _servers(pool: BackendSnapshot, *changes: dict[str, Any]) -> tuple[ServerSnapshot, ...]:
    return tuple(evolve(each, **new) for each, new in zip(pool.servers, changes, strict=True))


def _rebuilt(pool: BackendSnapshot, *changes: dict[str, Any], **own: Any) -> BackendSnapshot:
    made: BackendSnapshot = backend(pool.name, pool.number, _servers(pool, *changes), **own)
    return made


def _galera(pool: BackendSnapshot) -> BackendSnapshot:
    donor = CheckResult(CheckStatus.L7_STATUS, "Galera cluster node is not synced.", 503, 0.021)
    return _rebuilt(
        pool,
        {"last_check": GALERA, "pinned": True, "counters": counters(412)},
        {"last_check": GALERA, "checking": True, "counters": counters(0)},
        {
            "last_check": donor,
            "status": "DOWN 1/2",
            "up": False,
            "health": 1,
            "failed_checks": 14,
            "times_down": 2,
            "since_change": 71.0,
            "downtime": 388.0,
            "counters": counters(0, shutdowns=397, connect_errors=6),
        },
        pins={"192.168.1.220": "rhos6-node1"},
        stick_size=2,
    )


def _one_down(pool: BackendSnapshot) -> BackendSnapshot:
    down = {
        "last_check": REFUSED,
        "status": "DOWN",
        "up": False,
        "health": 0,
        "failed_checks": 31,
        "times_down": 1,
        "since_change": 45.0,
        "downtime": 45.0,
        "counters": counters(0, connect_errors=3, retries=3, redispatches=3, sessions_total=88_412),
    }
    return _rebuilt(pool, {}, down, {"queued": 0})


def _in_maintenance(pool: BackendSnapshot) -> BackendSnapshot:
    out = {"status": "MAINT", "admin": AdminState.MAINT, "up": False, "since_change": 5400.0}
    drained = {"status": "DRAIN", "admin": AdminState.DRAIN, "since_change": 61.0}
    return _rebuilt(pool, {}, drained, out)


def _all_down(pool: BackendSnapshot) -> BackendSnapshot:
    timeout = CheckResult(CheckStatus.L4_TIMEOUT, duration=1.0)
    down = {"status": "DOWN", "up": False, "health": 0, "times_down": 1, "since_change": 12.0}
    down |= {"failed_checks": 3, "downtime": 12.0, "counters": counters(0)}
    return _rebuilt(
        pool,
        {**down, "last_check": REFUSED},
        {**down, "last_check": REFUSED},
        {**down, "last_check": timeout},
        queued=4,
        times_down=1,
        downtime=12.0,
        since_change=12.0,
        counters=counters(0, queue_max=9, connect_errors=17),
    )


def _failing(pool: BackendSnapshot) -> BackendSnapshot:
    weak = {"status": "UP 2/3", "health": 3, "last_check": REFUSED, "failed_checks": 1}
    unchecked = {"status": "no check", "checked": False, "last_check": None, "backup": True}
    return _rebuilt(pool, weak, {"maxconn": 30, "counters": counters(30, queue_max=2)}, unchecked)


def _with_cookies(pool: BackendSnapshot) -> BackendSnapshot:
    cookies = ({"cookie": f"rhos6-horizon{each.number}"} for each in pool.servers)
    return _rebuilt(pool, *cookies, mode="http", cookie="SERVERID", balance="leastconn")


def _events() -> tuple[Event, ...]:
    down = 'is DOWN, reason: Layer4 connection problem, info: "Connection refused"'
    return (
        Event(NOW - 5400, "swift-vms/rhos6-node3", "is going DOWN for maintenance.", "warning"),
        Event(
            NOW - 388, "db-vms-galera/rhos6-node1", "is UP, reason: Layer7 check passed", "notice"
        ),
        Event(
            NOW - 71,
            "db-vms-galera/rhos6-node3",
            "is DOWN, reason: Layer7 wrong status, code: 503. 397 sessions shut down.",
            "alert",
        ),
        Event(NOW - 61, "swift-vms/rhos6-node2", "enters drain state.", "warning"),
        Event(NOW - 45, "nova-api-vms/rhos6-node2", f"{down}, check duration: 0ms.", "alert"),
        Event(NOW - 12, "heat-cloudw-vms", "has no server available!", "alert"),
    )


@implementer(ICluster)
@define
class FakeCluster:
    """Always the same snapshot."""

    value: ClusterSnapshot = field(factory=reference_cluster)

    views: list[SessionView] = field(factory=list)
    stick_tables: list[TableView] = field(factory=list)
    refused: list[CapturedMessage] = field(factory=list)

    def snapshot(self) -> ClusterSnapshot:
        return self.value

    def sessions(self) -> list[SessionView]:
        return self.views

    def tables(self) -> list[TableView]:
        return self.stick_tables

    def captures(self) -> tuple[int, list[CapturedMessage]]:
        return len(self.refused), self.refused


@implementer(IControl)
class FakeControl:
    """Writes down what it is asked to do: the method's name, and its arguments."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.refusal: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        IControl[name]  # a KeyError for what is no wish of an operator's

        def noted(*arguments: Any) -> bool:
            if self.refusal is not None:
                raise self.refusal
            self.calls.append((name, *arguments))
            return True

        return noted
