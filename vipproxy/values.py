"""Frozen values that travel between the layers."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from enum import Enum

from attrs import field, frozen

from vipproxy.counters import Counters


@frozen(order=True)
class Address:
    """An IP address (v4 or v6, without brackets) and a TCP port.

    Of a bind it may be a Unix socket, or one that was inherited: then the host is ``unix@/path``,
    ``abns@name`` or ``fd@N``.
    """

    host: str
    port: int

    @property
    def descriptor(self) -> int | None:
        """The number of the inherited socket that ``fd@N`` names."""
        return int(self.host[3:]) if self.host.startswith("fd@") else None

    @property
    def is_unix(self) -> bool:
        return self.host.startswith(("unix@", "abns@"))

    def __str__(self) -> str:
        if self.is_unix or self.descriptor is not None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``1.2.3.4:80`` or ``[::1]:80``; raises ValueError with a sentence for the user."""
        host, colon, port = text.rpartition(":")
        if not colon:
            raise ValueError(f"expected ADDRESS:PORT, not '{text}'")
        if not (port.isascii() and port.isdigit() and 0 <= int(port) <= 65535):
            raise ValueError(f"'{port}' is not a port number (0 to 65535)")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        try:
            return cls(str(ipaddress.ip_address(bare)), int(port))
        except ValueError:
            raise ValueError(f"'{host}' is not an IP address") from None


class CheckStatus(Enum):
    """HAProxy's check result classes (management guide, `show stat`, check_status)."""

    UNKNOWN = "UNK"
    INITIAL = "INI"
    SOCKET_ERROR = "SOCKERR"
    L4_OK = "L4OK"
    L4_TIMEOUT = "L4TOUT"
    L4_CONNECTION = "L4CON"
    L6_OK = "L6OK"
    L6_TIMEOUT = "L6TOUT"
    L6_RESPONSE = "L6RSP"
    L7_OK = "L7OK"
    L7_TIMEOUT = "L7TOUT"
    L7_RESPONSE = "L7RSP"
    L7_STATUS = "L7STS"
    PROCESS_ERROR = "PROCERR"

    @property
    def passed(self) -> bool:
        return self in _PASSED

    @property
    def description(self) -> str:
        """HAProxy's words for it, as in the check_desc column and the logs."""
        return _DESCRIPTIONS[self]


_PASSED = frozenset({CheckStatus.L4_OK, CheckStatus.L6_OK, CheckStatus.L7_OK})
_DESCRIPTIONS = {
    CheckStatus.UNKNOWN: "Unknown",
    CheckStatus.INITIAL: "Initializing",
    CheckStatus.SOCKET_ERROR: "Socket error",
    CheckStatus.L4_OK: "Layer4 check passed",
    CheckStatus.L4_TIMEOUT: "Layer4 timeout",
    CheckStatus.L4_CONNECTION: "Layer4 connection problem",
    CheckStatus.L6_OK: "Layer6 check passed",
    CheckStatus.L6_TIMEOUT: "Layer6 timeout",
    CheckStatus.L6_RESPONSE: "Layer6 invalid response",
    CheckStatus.L7_OK: "Layer7 check passed",
    CheckStatus.L7_TIMEOUT: "Layer7 timeout",
    CheckStatus.L7_RESPONSE: "Layer7 invalid response",
    CheckStatus.L7_STATUS: "Layer7 wrong status",
    CheckStatus.PROCESS_ERROR: "Check plugin error",
}


@frozen
class CheckResult:
    """What one probe found out. `info` is the peer's own words, `duration` is in seconds."""

    status: CheckStatus
    info: str = ""
    code: int | None = None
    duration: float = 0.0
    last_resort: bool = False
    """It failed, but may serve while no other server of its pool can (a Galera donor)."""
    conclusive: bool = False
    """It failed, and the server itself says that it must not serve: down at once, not after `fall`
    such results (a Galera node outside the primary component)."""

    @property
    def passed(self) -> bool:
        return self.status.passed

    def __str__(self) -> str:
        code = "" if self.code is None else f", code: {self.code}"
        info = f', info: "{self.info}"' if self.info else ""
        return f"{self.status.description}{code}{info}"


class Ending(Enum):
    """Why a session ended: the first letter of HAProxy's termination state (manual, 8.5)."""

    NORMAL = "-"
    CLIENT_ABORT = "C"
    SERVER_ABORT = "S"
    CLIENT_TIMEOUT = "c"
    SERVER_TIMEOUT = "s"
    MARKED_DOWN = "D"
    BACKUP_RELIEVED = "U"
    KILLED = "K"
    PROXY = "P"
    LOCAL = "L"
    """The proxy has answered by itself, as it was told to."""
    INTERNAL = "I"


class AdminState(Enum):
    """What the operator wants of a server; health is another matter."""

    READY = "ready"
    DRAIN = "drain"
    MAINT = "maint"


@frozen
class ServerSnapshot:
    """One server at one instant. Times are seconds of the injected clock's now."""

    name: str
    number: int
    address: Address
    status: str
    """HAProxy's status column: UP, UP 1/3, DOWN, DOWN 1/2, DRAIN, MAINT, no check."""
    up: bool
    admin: AdminState
    weight: int
    backup: bool
    maxconn: int
    queued: int
    checked: bool
    checking: bool
    last_check: CheckResult | None
    health: int
    rise: int
    fall: int
    failed_checks: int
    times_down: int
    since_change: float
    """Seconds since the last change between up and down."""
    downtime: float
    """Seconds spent down, in all."""
    since_session: float | None
    """Seconds since the last session was given to it; None when never."""
    cookie: str
    pinned: bool
    """A stick-table entry points at this server."""
    counters: Counters
    initial_weight: int = 1
    """The configuration's."""
    stopping: bool = False
    """The operator said so (`set server ... health stopping`)."""
    disabled: bool = False
    """The configuration starts it in maintenance."""
    check_port: int = 0
    """Its own; 0 where it has none."""
    check_host: str = ""
    """Where it is checked instead of its address, if it is."""
    idle_limit: int | None = None
    """Connections to it that are kept for further requests at most; None is any number."""
    idle_timeout: float = 0.0
    """Seconds that they are kept."""
    checks_paused: bool = False
    """By the operator."""


@frozen
class BackendSnapshot:
    name: str
    number: int
    mode: str
    balance: str
    cookie: str
    up: bool
    weight: int
    active: int
    backups: int
    queued: int
    times_down: int
    since_change: float
    downtime: float
    since_session: float | None
    session_limit: int
    pins: Mapping[str, str]
    """Stick-table entries: key -> server name."""
    servers: tuple[ServerSnapshot, ...]
    counters: Counters
    checked: bool = False
    """Its servers are, unless they say otherwise."""
    stick_size: int = 0
    """Entries that the stick table can hold; 0 where there is none."""


@frozen
class FrontendSnapshot:
    name: str
    number: int
    mode: str
    status: str
    """HAProxy's status column: OPEN, PAUSED or STOP."""
    binds: tuple[Address, ...]
    backend: str
    session_limit: int
    counters: Counters


@frozen
class Event:
    """Something an operator wants to read about later. `at` is Unix time in seconds."""

    at: float
    subject: str
    text: str
    severity: str


@frozen
class ProcessSnapshot:
    pid: int
    node: str
    version: str
    started_at: float
    uptime: float
    session_limit: int
    descriptor_limit: int
    stopping: bool
    config_path: str
    dropped_logs: int = 0
    """Log lines that did not get to where they should."""
    identity: str = "vipproxy"
    """The name that ``show info`` gives."""
    session_ceiling: int = 0
    """What `session_limit` can be raised to."""
    session_rate_limit: int = 0
    """New sessions a second at most; 0 is no limit."""
    description: str = ""
    threads: int = 1
    timers: int = 0
    """Delayed calls of the reactor."""
    idle: float = 100.0
    """Percents of its time that the reactor's thread has not worked lately."""
    bytes_out_rate: float = 0.0
    """Bytes to clients in a second, lately."""


@frozen
class ClusterSnapshot:
    """The whole proxy at one instant: all that `admin` ever sees."""

    process: ProcessSnapshot
    frontends: tuple[FrontendSnapshot, ...]
    backends: tuple[BackendSnapshot, ...]
    events: tuple[Event, ...] = field(default=())

    @property
    def now(self) -> float:
        """The injected clock's seconds at this instant: what rates are measured against."""
        return self.process.started_at + self.process.uptime
