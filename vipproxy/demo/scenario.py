"""The story of the demo, and everything that it measures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from attrs import Factory, define
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater

from vipproxy.checks import CheckFailed
from vipproxy.checks.conversation import conversation
from vipproxy.config.options import ClusterConfig
from vipproxy.demo.clients import CLIENTS, HttpClient
from vipproxy.demo.setting import Service, cluster_of, services_of
from vipproxy.interfaces import CheckTarget
from vipproxy.testing.harness import ProxyHarness
from vipproxy.values import ClusterSnapshot

ROUND = 6
"""Clients of each service before and after, and sessions held open meanwhile."""
PATIENCE = 5.0
"""Seconds after which a client gives up."""
PAUSE = 0.05
"""Seconds between two clients of a service while the node is away."""
GLANCE = 0.01
"""Seconds between two looks at the pin."""
SLOW = 0.1
"""Seconds: an answer that takes longer counts as disturbed."""
GRACE = 1.0
"""Seconds that the proxy has for the last clients when it stops."""
SETTLING = 1.0
"""Seconds of traffic after the last server was marked down."""


@define
class Ask:
    """One client of the outage. Times are seconds of the reactor's clock."""

    began: float
    ended: float
    node: str
    """Empty where it got no answer."""


@define(eq=False)
class Session:
    """A connection that is held open; `running` ends with it."""

    running: Deferred[None] | None = None
    opened: Deferred[None] = Factory(Deferred)
    node: str = ""
    ended: float | None = None


@define(eq=False)
class Findings:
    """What was measured of one service."""

    before: Counter[str] = Factory(Counter)
    after: Counter[str] = Factory(Counter)
    unanswered: int = 0
    """Clients before and after that got no answer."""
    sessions: list[Session] = Factory(list)
    asks: list[Ask] = Factory(list)
    marked_down: float | None = None
    """When the node was marked down, by the proxy's own events."""
    shut_down: int = 0
    """Sessions shut down at mark-down, by the proxy's own count."""
    silent: int = 0
    """Sessions with the node that were still open when it came back."""

    def held_on(self, node: str) -> list[Session]:
        return [each for each in self.sessions if each.node == node]


class Scenario:
    """Traffic, a node without power, traffic, the node again, traffic."""

    def __init__(self, reactor: Any, config: ClusterConfig, say: Callable[[str], None]) -> None:
        self.reactor = reactor
        self.services = services_of(config)
        self.cluster = cluster_of(config, reactor)
        self.proxy = ProxyHarness(reactor, config, GRACE)
        self.nodes = list(self.cluster.nodes)
        self.findings = {each.name: Findings() for each in self.services}
        self.pins: list[str] = []
        """The database's pin: every value that it had, in order."""
        self.cookie_nodes: list[str] = []
        """Which nodes answered the client that kept its cookie."""
        self.victim = ""
        self.power_cut = self.whole_cluster = 0.0
        self._say = say
        self._began = reactor.seconds()
        self._node_away = self._over = False
        self._background: list[Deferred[None]] = []

    # -- the story ----------------------------------------------------------------------

    async def run(self) -> None:
        """All of it; a client without an answer is a finding, not an error."""
        for step in (
            self._start,
            self._before,
            self._keep_cookie,
            self._hold_sessions,
            self._lose_power,
            self._come_back,
            self._after,
            self._end_sessions,
        ):
            await step()
            if self._over:
                raise CancelledError

    async def _start(self) -> None:
        self.cluster.start()
        await self.proxy.start()
        await self.proxy.until(_all_up, what="all servers being up")
        self._tell(f"{len(self.nodes)} nodes are up, with {len(self.services)} services each")

    async def _before(self) -> None:
        await self._round({name: each.before for name, each in self.findings.items()})

    async def _after(self) -> None:
        await self._round({name: each.after for name, each in self.findings.items()})

    async def serve(self) -> None:
        """A little traffic for ever, so that the statistics have something to show."""
        while not self._over:
            await gatherResults([self._deferred(self._ask(each)) for each in self.services])
            await deferLater(self.reactor, 1.0)

    def interrupt(self) -> None:
        """End `run` or `serve` after the step that runs; `stop` is still needed."""
        self._over = True

    async def stop(self) -> None:
        """End everything."""
        self._node_away, self._over = False, True
        await self._end_sessions()
        await gatherResults(self._background)
        await self.proxy.stop()
        await self.cluster.stop()

    async def _round(self, counts: dict[str, Counter[str]]) -> None:
        """Some clients of every service, one after the other."""
        for service in self.services:
            for _ in range(ROUND):
                node = (await self._ask(service)).node
                if node:
                    counts[service.name][node] += 1
                else:
                    self.findings[service.name].unanswered += 1
        self._tell(f"{ROUND * len(self.services)} clients came, {ROUND} to each service")

    async def _keep_cookie(self) -> None:
        for service in self.services:
            if service.cookie:
                cookie = ""
                for _ in range(ROUND):
                    node, cookie = await self._ask_with(cookie, service)
                    self.cookie_nodes.append(node)
                self._tell(f"{service.name}: a client keeps its cookie, {cookie}")

    async def _hold_sessions(self) -> None:
        for service in self.services:
            for _ in range(ROUND):
                session = Session()
                session.running = self._deferred(self._hold(service, session))
                self.findings[service.name].sessions.append(session)
                await session.opened
        self._background.append(self._deferred(self._watch_pin()))
        self.victim = self._pin()
        open_ = sum(len(each.sessions) for each in self.findings.values())
        mine = sum(len(each.held_on(self.victim)) for each in self.findings.values())
        self._tell(f"{open_} sessions are open, {mine} of them with {self.victim}")

    async def _lose_power(self) -> None:
        self._tell(f"{self.victim}, which has the database's pin, loses its power")
        self.power_cut = self.reactor.seconds()
        await self.cluster.vanish(self.victim)
        self._node_away = True
        away = [self._deferred(self._disturbed(each)) for each in self.services]
        self._background += away
        now = await self.proxy.until(self._victim_down, what=f"{self.victim} being down")
        self._note_marked_down(now)
        last = max(each.marked_down or 0.0 for each in self.findings.values())
        self._tell(f"it is marked down everywhere, {last - self.power_cut:.2f} s after that")
        await deferLater(self.reactor, SETTLING)
        for service in self.services:
            held = self.findings[service.name].held_on(self.victim)
            self.findings[service.name].silent = sum(each.ended is None for each in held)
        self._node_away = False
        await gatherResults(away)

    async def _come_back(self) -> None:
        self._tell(f"{self.victim} comes back")
        back = self.reactor.seconds()
        self.cluster.heal(self.victim)
        await self.proxy.until(_all_up, what="all servers being up again")
        self.whole_cluster = self.reactor.seconds() - back
        self._tell(f"it is up everywhere, {self.whole_cluster:.2f} s after that")

    async def _end_sessions(self) -> None:
        for findings in self.findings.values():
            for session in findings.sessions:
                if session.running is not None:
                    session.running.cancel()
                    await session.running
                    session.running = None

    # -- clients ------------------------------------------------------------------------

    async def _ask(self, service: Service) -> Ask:
        """One client that comes, asks and goes."""
        began = self.reactor.seconds()
        try:
            async with conversation(self._target(service)) as peer:
                node = await self._patiently(CLIENTS[service.kind](peer).ask())
        except (CheckFailed, ValueError):
            node = ""
        return Ask(began, self.reactor.seconds(), node)

    async def _ask_with(self, cookie: str, service: Service) -> tuple[str, str]:
        """The node (or that there is none) and the cookie that one HTTP client gets."""
        try:
            async with conversation(self._target(service)) as peer:
                client = HttpClient(peer, cookie)
                return await self._patiently(client.ask()), client.cookie
        except (CheckFailed, ValueError):
            return "nobody", cookie

    async def _hold(self, service: Service, session: Session) -> None:
        """One client that comes, asks and stays, until its connection ends or is cancelled."""
        try:
            async with conversation(self._target(service)) as peer:
                session.node = await self._patiently(CLIENTS[service.kind](peer).hold())
                session.opened.callback(None)
                while await peer.read():
                    pass
                session.ended = self.reactor.seconds()
        except (CheckFailed, ValueError):
            if not session.opened.called:
                session.opened.callback(None)

    async def _disturbed(self, service: Service) -> None:
        """Client after client, while the node is away."""
        while self._node_away:
            self.findings[service.name].asks.append(await self._ask(service))
            await deferLater(self.reactor, PAUSE)

    async def _watch_pin(self) -> None:
        while not self._over:
            if not self.pins or self.pins[-1] != self._pin():
                self.pins.append(self._pin())
            await deferLater(self.reactor, GLANCE)

    # -- what the proxy says ------------------------------------------------------------

    def _pin(self) -> str:
        """The server that the pinned backend's only entry points at; empty without one."""
        for service in self.services:
            if service.pinned:
                pins = self.proxy.service.backends[service.backend].pins
                return next(iter(pins.as_mapping().values()), "") if pins else ""
        return ""

    def _victim_down(self, now: ClusterSnapshot) -> bool:
        servers = [server for backend in now.backends for server in backend.servers]
        return not any(server.up for server in servers if server.name == self.victim)

    def _note_marked_down(self, now: ClusterSnapshot) -> None:
        for service in self.services:
            findings = self.findings[service.name]
            subject = f"{service.backend}/{self.victim}"
            times = [each.at for each in now.events if each.subject == subject]
            findings.marked_down = times[-1] if times else None
            (backend,) = [each for each in now.backends if each.name == service.backend]
            (server,) = [each for each in backend.servers if each.name == self.victim]
            findings.shut_down = server.counters.shutdowns

    # -- small things -------------------------------------------------------------------

    def _target(self, service: Service) -> CheckTarget:
        return CheckTarget("demo", service.name, service.address, PATIENCE, self.reactor)

    def _tell(self, text: str) -> None:
        self._say(f"{self.reactor.seconds() - self._began:6.2f} s  {text}")

    def _patiently(self, answer: Coroutine[Any, Any, str]) -> Deferred[str]:
        return self._deferred(answer).addTimeout(PATIENCE, self.reactor)

    @staticmethod
    def _deferred(coroutine: Any) -> Deferred[Any]:
        return Deferred.fromCoroutine(coroutine)


def _all_up(now: ClusterSnapshot) -> bool:
    return all(server.up for backend in now.backends for server in backend.servers)
