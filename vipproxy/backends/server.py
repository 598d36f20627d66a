"""One server of a pool: what is configured, what the operator wants, how it is, who uses it."""

from __future__ import annotations

from attrs import define, field
from zope.interface import implementer

from vipproxy.backends.availability import Availability
from vipproxy.backends.health import Ledger
from vipproxy.backends.queue import Queue
from vipproxy.config.options import ServerConfig
from vipproxy.counters import Counters, Traffic
from vipproxy.interfaces import ILease, IServer
from vipproxy.values import Address, AdminState, CheckResult


@implementer(IServer)
@define(eq=False)
class Server:
    """Health and administrative state are separate facts; `usable` is where they meet."""

    config: ServerConfig
    number: int
    ledger: Ledger | None
    """None for a server without a check: always up."""
    availability: Availability
    name: str = field(init=False)
    address: Address = field(init=False)
    cookie: str | None = field(init=False)
    backup: bool = field(init=False)
    weight: int = field(init=False)
    maxconn: int = field(init=False)
    check_host: str | None = field(init=False)
    """Where it is checked instead of its own address."""
    check_port: int | None = field(init=False)
    checks_paused: bool = False
    """By the operator (`disable health`)."""
    stopping: bool = False
    """The operator says so: no new clients, but those that a cookie or a pin binds to it."""
    said_down: bool = False
    """The operator says so of a server that is not checked."""
    added: bool = False
    """It is not from the configuration."""
    send_proxy: str | None = field(init=False)
    admin: AdminState = AdminState.READY
    suspect: bool = False
    """It has refused a client, and not passed a check since."""
    checking: bool = False
    last_check: CheckResult | None = None
    failed_checks: int = 0
    session_at: float | None = None
    counters: Counters = field(factory=Counters)
    leases: dict[ILease, None] = field(factory=dict)
    queue: Queue = field(factory=Queue)

    def __attrs_post_init__(self) -> None:
        options = self.config.options
        self.name, self.address, self.cookie = self.config.name, options.address, options.cookie
        self.backup, self.weight, self.maxconn = options.backup, options.weight, options.maxconn
        self.check_host, self.check_port = options.check_addr, options.check_port
        self.send_proxy = options.send_proxy
        if options.disabled:
            self.admin = AdminState.MAINT

    @property
    def sessions(self) -> int:
        return len(self.leases)

    @property
    def up(self) -> bool:
        return not self.said_down if self.ledger is None else self.ledger.up

    @property
    def unjudged(self) -> bool:
        """It may become usable at its first verdict."""
        ledger = self.ledger
        return ledger is not None and not ledger.judged and self.admin is not AdminState.MAINT

    @property
    def usable(self) -> bool:
        """New clients may be sent to it."""
        ready = self.admin is AdminState.READY and not self.stopping
        return self.up and ready and self.weight > 0

    @property
    def keeps_clients(self) -> bool:
        """Clients that a cookie or a pin binds to it may come: also while it is drained."""
        return self.up and self.admin is not AdminState.MAINT

    @property
    def full(self) -> bool:
        return 0 < self.maxconn <= len(self.leases)

    @property
    def status(self) -> str:
        """HAProxy's status column (management guide, `show stat`)."""
        if self.admin is AdminState.MAINT:
            return "MAINT"
        if self.up and self.admin is AdminState.DRAIN:
            return "DRAIN"
        if self.up and self.stopping:
            return "NOLB" if self.ledger is None else str(self.ledger).replace("UP", "NOLB")
        if self.ledger is None or self.checks_paused:
            return "no check" if self.up else "DOWN"
        return str(self.ledger)

    def lease_opened(self, lease: ILease, now: float) -> None:
        self.leases[lease] = None
        self.session_at = now
        self.counters.session_opened(now)

    def lease_closed(self, lease: ILease, traffic: Traffic) -> None:
        del self.leases[lease]
        self.counters.session_closed(traffic)
