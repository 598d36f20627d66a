"""A whole proxy inside a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.internet.defer import maybeDeferred
from twisted.internet.task import deferLater

from vipproxy.config import loads
from vipproxy.config.options import ClusterConfig
from vipproxy.plugins import Catalog
from vipproxy.service import ProxyService
from vipproxy.values import Address, AdminState, ClusterSnapshot, ServerSnapshot

POLL = 0.01


class ProxyHarness:
    """Runs a proxy from INI text, on ports that the system chooses (``bind = 127.0.0.1:0``).

    A configuration that is loaded already will do, too. Raises ConfigError for text that does
    not load. `grace` is the configuration's, in seconds, but short, so that a test that leaves
    sessions open does not wait for them.
    """

    def __init__(
        self, reactor: Any, configuration: str | ClusterConfig, grace: float = 0.0
    ) -> None:
        if isinstance(configuration, str):
            config = loads(configuration, Catalog(), "test.ini").config
        else:
            config = configuration
        self.reactor = reactor
        self.config = evolve(config, options=evolve(config.options, grace=grace))
        self.service = ProxyService(self.config, reactor)

    async def start(self, timeout: float = 30.0) -> None:
        """Listen, and wait until every checked server has had its first check.

        Raises ListenFailed, or TimeoutError after `timeout` seconds.
        """
        self.service.startService()
        await self.until(_all_checked, timeout, "a first check of every server")

    async def stop(self) -> None:
        """Stop everything; nothing stays with the reactor. Harmless when it does not run."""
        if self.service.running:
            await maybeDeferred(self.service.stopService)

    async def until(
        self,
        condition: Callable[[ClusterSnapshot], bool],
        timeout: float = 30.0,
        what: str = "the condition",
    ) -> ClusterSnapshot:
        """Wait for something to become true of the proxy; gives the snapshot of which it is.

        Raises TimeoutError, which names `what`, after `timeout` seconds.
        """
        deadline = self.reactor.seconds() + timeout
        while not condition(snapshot := self.snapshot()):
            if self.reactor.seconds() > deadline:
                raise TimeoutError(f"{what} did not come true within {timeout} s")
            await deferLater(self.reactor, POLL)
        return snapshot

    async def until_up(self, backend: str, server: str, timeout: float = 30.0) -> None:
        """Wait until a server is up."""
        what = f"{backend}/{server} being up"
        await self.until(lambda now: server_in(now, backend, server).up, timeout, what)

    async def until_down(self, backend: str, server: str, timeout: float = 30.0) -> None:
        """Wait until a server is down."""
        what = f"{backend}/{server} being down"
        await self.until(lambda now: not server_in(now, backend, server).up, timeout, what)

    def snapshot(self) -> ClusterSnapshot:
        """Everything at this instant."""
        return self.service.snapshot()

    def server(self, backend: str, server: str) -> ServerSnapshot:
        """One server at this instant; raises KeyError."""
        return server_in(self.snapshot(), backend, server)

    def address(self, frontend: str) -> Address:
        """Where a frontend listens: its first bind."""
        return self.service.bound(frontend)[0]

    def port(self, frontend: str) -> int:
        """The port of a frontend's first bind."""
        return self.address(frontend).port


def server_in(snapshot: ClusterSnapshot, backend: str, server: str) -> ServerSnapshot:
    """One server of a snapshot; raises KeyError."""
    for pool in snapshot.backends:
        for each in pool.servers:
            if (pool.name, each.name) == (backend, server):
                return each
    raise KeyError(f"{backend}/{server}")


def _all_checked(snapshot: ClusterSnapshot) -> bool:
    servers = [server for backend in snapshot.backends for server in backend.servers]
    awaited = [each for each in servers if each.checked and each.admin is not AdminState.MAINT]
    return all(each.last_check is not None for each in awaited)
