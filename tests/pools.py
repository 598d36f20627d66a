"""Pools for unit tests, written as an operator would write them."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from vipproxy.backends.pool import Pool
from vipproxy.config import loads
from vipproxy.errors import SessionError
from vipproxy.interfaces import (
    CheckTarget,
    ICheckPlugin,
    ILease,
    ILeaseTaker,
    IObserver,
    IRevocable,
    LeaseRequest,
)
from vipproxy.plugins import Catalog
from vipproxy.values import Address, CheckResult, CheckStatus, Ending

CLIENT = Address("192.0.2.7", 40000)
VIP = Address("192.168.1.220", 3306)

PASS = CheckResult(CheckStatus.L4_OK)
FAIL = CheckResult(CheckStatus.L7_STATUS, "Service Unavailable", 503)


@implementer(ICheckPlugin)
class PatientCheck:
    """Probes that end when the test says so: `check = tests.pools:PatientCheck`."""

    options = None
    probes: list[tuple[str, Deferred[CheckResult]]] = []

    def probe(self, target: CheckTarget, options: Any) -> Deferred[CheckResult]:
        probe: Deferred[CheckResult] = Deferred()
        self.probes.append((target.server, probe))
        return probe


@implementer(IObserver)
@define
class Diary:
    texts: list[str] = field(factory=list)

    def server_changed(self, backend: str, server: str, text: str, severity: str) -> None:
        self.texts.append(text)


@implementer(ILeaseTaker, IRevocable)
@define(eq=False, slots=False)
class Client:
    """Someone in want of a server; remembers what came of it."""

    lease: ILease | None = None
    trail: None = None
    error: SessionError | None = None
    ended: list[Ending] = field(factory=list)

    def leased(self, lease: ILease) -> None:
        self.lease = lease
        lease.holder = self

    def refused(self, error: SessionError) -> None:
        self.error = error

    def revoked(self, ending: Ending) -> None:
        self.ended.append(ending)

    @property
    def server(self) -> str | None:
        return self.lease.server.name if self.lease else None


def make_pool(text: str, clock: Clock | None = None, **services: Any) -> Pool:
    """A pool from the lines of a `[backend]` section; servers are `name[=options]` lines."""
    frontend = "[frontend f]\nprotocol = tcp\nbind = 127.0.0.1:1\nbackend = b\n"
    config = loads(f"{frontend}[backend b]\n{text}", Catalog(), descriptor_limit=1_000_000).config
    return Pool(config.backends[0], clock or Clock(), **services)


def servers(*options: str) -> str:
    """Lines for servers s1, s2... with these options."""
    return "\n".join(f"server s{i} = 127.0.0.{i}:1000 {each}" for i, each in enumerate(options, 1))


def ask(pool: Pool, connect: bool = True, **request: Any) -> Client:
    """A client asks for a server, and connects to the one that it gets."""
    client = Client()
    pool.lease(LeaseRequest(**{"client": CLIENT, "destination": VIP, **request}), client)
    if connect and client.lease is not None:
        client.lease.connected()
    return client


def judge(pool: Pool, result: CheckResult, *names: str) -> None:
    """Let a check of these servers (all without names) end with a result."""
    for server in pool.servers:
        if not names or server.name in names:
            pool.checked(server, result)


def fail(pool: Pool, name: str, times: int = 3) -> None:
    for _ in range(times):
        judge(pool, FAIL, name)
