"""Balancers by turn, by load and by chance, and the plugins that make one for each backend."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from attrs import Factory, define, frozen
from zope.interface import implementer

from vipproxy.config.declare import option
from vipproxy.config.kinds import integer
from vipproxy.interfaces import IBalancer, IBalancerPlugin, IServer, LeaseRequest


@implementer(IBalancer)
@define
class RoundRobin:
    """Smooth and weighted: 3:1:2 gives 1 3 1 2 1 3 (HAProxy's lb_fwrr).

    Each server has a due position, a period (total weight / its weight) after its last one.
    Whoever is due goes first; while none is, servers that never went are started, heaviest
    first, which spreads them out.
    """

    position: int = 0
    due: dict[str, float] = Factory(dict)

    def pick(self, servers: Sequence[IServer], request: LeaseRequest) -> IServer:
        chosen, position = self._next(servers), self.position
        period = sum([server.weight for server in servers]) / chosen.weight
        last = self.due.get(chosen.name, position)
        # It may be late by a period, so that no share is lost; what it was away for is.
        self.due[chosen.name] = (last if last > position - period else position - period) + period
        self.position = position + 1
        return chosen

    def _next(self, servers: Sequence[IServer]) -> IServer:
        """Who is due; else who never went, the heaviest first; else who is due next."""
        due, turn = self.due, math.inf
        soonest: IServer | None = None
        fresh: IServer | None = None
        for server in servers:
            at = due.get(server.name)
            if at is None:
                if fresh is None or server.weight > fresh.weight:
                    fresh = server
            elif soonest is None or (int(at), -server.weight) < (turn, -soonest.weight):
                soonest, turn = server, int(at)
        chosen = soonest if fresh is None or turn <= self.position else fresh
        assert chosen is not None
        return chosen


@implementer(IBalancer)
@define
class LeastConn:
    """Fewest sessions per weight; among equals, whoever was chosen longest ago."""

    turn: int = 0
    chosen_at: dict[str, int] = Factory(dict)

    def pick(self, servers: Sequence[IServer], request: LeaseRequest) -> IServer:
        chosen = min(servers, key=lambda s: (s.sessions / s.weight, self.chosen_at.get(s.name, 0)))
        self.turn += 1
        self.chosen_at[chosen.name] = self.turn
        return chosen


@implementer(IBalancer)
class First:
    """The first server that has room, in the order of the configuration."""

    def pick(self, servers: Sequence[IServer], request: LeaseRequest) -> IServer:
        return servers[0]


@implementer(IBalancer)
@define
class RandomDraws:
    """The least loaded of a few drawn by weight (the power of two choices)."""

    draws: int
    draw: Callable[..., list[IServer]] = random.choices

    def pick(self, servers: Sequence[IServer], request: LeaseRequest) -> IServer:
        drawn = self.draw(servers, weights=[s.weight for s in servers], k=self.draws)
        return min(drawn, key=lambda server: server.sessions / server.weight)


@implementer(IBalancerPlugin)
class RoundRobinBalancing:
    """In turn, by weight."""

    options = None

    def balancer(self, options: Any) -> IBalancer:
        return RoundRobin()


@implementer(IBalancerPlugin)
class LeastConnBalancing:
    """To the server with the fewest sessions."""

    options = None

    def balancer(self, options: Any) -> IBalancer:
        return LeastConn()


@implementer(IBalancerPlugin)
class FirstBalancing:
    """To the first server with room."""

    options = None

    def balancer(self, options: Any) -> IBalancer:
        return First()


@frozen
class RandomOptions:
    """``balance = random draws=2``"""

    draws: int = option(
        integer(1, 100), default=2, help="how many are drawn; the least loaded wins"
    )


@implementer(IBalancerPlugin)
class RandomBalancing:
    """At random, by weight."""

    options = RandomOptions

    def balancer(self, options: Any) -> IBalancer:
        return RandomDraws(options.draws)
