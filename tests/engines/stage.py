"""Where the sessions of many schedules are played at once."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Iterable
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from tests.engines.engines import Taker
from tests.engines.loop import Loop, Wire
from tests.engines.peers import Peer, Stream
from tests.engines.record import Record
from tests.engines.schedules import Schedule
from vipproxy.counters import Traffic
from vipproxy.values import Ending

FOREVER = 1e6
PATIENCE = 0.04
"""Seconds without progress after which stalled peers read again, and `READ` waits no more."""

EDGES = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET


class Duel:
    """One session with its two peers."""

    def __init__(self, stage: Stage, schedule: Schedule, number: int) -> None:
        self.stage = stage
        self.schedule = schedule
        self.taker, self.traffic = Taker(), Traffic()
        self.endings_at_shut_down: list[Ending] | None = None
        self._session: Any = None
        self._met = False
        self._marks: tuple[object, ...] = ()
        there = Stream(number * 7919, schedule.to_server)
        back = Stream(number * 7919 + 500_009, schedule.to_client)
        far_client, self._near_client = stage.wire.pair(schedule.client_buffers)
        far_server, self._near_server = stage.wire.pair(schedule.server_buffers)
        self.client = Peer(self, far_client, schedule.client, there, back)
        self.server = Peer(self, far_server, schedule.server, back, there)
        self._preludes = there.prelude(), back.prelude()

    def start(self, relay: Any) -> None:
        if self.schedule.head_start:
            self.advance()
        self._session = relay.relay(
            self._near_client,
            self._near_server,
            self.taker,
            self.traffic,
            FOREVER,
            FOREVER,
            *self._preludes,
        )
        self.advance()

    def advance(self) -> None:
        while any([self.client.advance(), self.server.advance()]):
            pass

    def other(self, peer: Peer) -> Peer:
        return self.server if peer is self.client else self.client

    def have_met(self) -> bool:
        """Both are there, and nothing is on its way; true for ever after."""
        client, server = self.client, self.server
        self._met = self._met or (
            all(peer.meeting or peer.finished for peer in (client, server))
            and client.has_all_of(server)
            and server.has_all_of(client)
        )
        return self._met

    def shut_down(self) -> bool:
        if self._session is None:
            return False
        if self.endings_at_shut_down is None:
            self.endings_at_shut_down = list(self.taker.endings)
        self._session.shut_down()
        return True

    def engine_is_done(self) -> bool:
        return bool(self.taker.endings) or self.endings_at_shut_down is not None

    def over(self) -> bool:
        return self.engine_is_done() and self.client.finished and self.server.finished

    def hurry(self) -> None:
        """Where nothing has moved since the last call, let stalled peers read."""
        marks = self.client.marks() + self.server.marks()
        if marks == self._marks:
            self.client.hurry()
            self.server.hurry()
            self.advance()
        self._marks = marks

    def give_up(self) -> None:
        """Free what a session that does not end still holds."""
        if not self.over():
            self._session.shut_down()
            self.client.give_up()
            self.server.give_up()

    def result(self, in_time: bool) -> Record:
        return Record(
            in_time,
            self.client.record,
            self.server.record,
            self.taker.endings,
            self.endings_at_shut_down,
            self.traffic.bytes_in,
            self.traffic.bytes_out,
        )


@implementer(IReadDescriptor)
class Stage:
    """All the peers' sockets in one epoll, which the loop's reactor watches."""

    def __init__(self, loop: Loop) -> None:
        self.wire = Wire()
        self.turns = 0
        self._next_hurry = 0.0
        self._loop = loop
        self._epoll = select.epoll()
        self._duels: dict[int, Duel] = {}
        self._ticking: set[Duel] = set()
        loop.reactor.addReader(self)

    def close(self) -> None:
        self._loop.reactor.removeReader(self)
        self._epoll.close()
        self.wire.close()

    def play(self, relay: Any, schedules: Iterable[Schedule], seconds: float) -> list[Record]:
        """All the schedules at once; those that are not over after `seconds` are given up."""
        duels = [Duel(self, schedule, number) for number, schedule in enumerate(schedules)]
        for duel in duels:
            self._watch(duel)
            duel.start(relay)
        with contextlib.suppress(AssertionError):  # the records tell which was not over
            self._loop.until(lambda: self._turn(duels), "the end of all sessions", seconds)
        in_time = [duel.over() for duel in duels]
        for duel in duels:
            duel.give_up()
        self._loop.turn()  # for what is told too often, or too late
        return [duel.result(over) for duel, over in zip(duels, in_time, strict=True)]

    def _watch(self, duel: Duel) -> None:
        for peer in (duel.client, duel.server):
            self._duels[peer.sock.fileno()] = duel
            self._epoll.register(peer.sock, EDGES)

    def _turn(self, duels: list[Duel]) -> bool:
        self.turns += 1
        ticking, self._ticking = self._ticking, set()
        for duel in ticking:
            duel.advance()
        if self._loop.reactor.seconds() > self._next_hurry:
            self._next_hurry = self._loop.reactor.seconds() + PATIENCE
            for duel in duels:
                duel.hurry()
        return all(duel.over() for duel in duels)

    def forget(self, peer: Peer) -> None:
        """Called before its socket is closed."""
        if self._duels.pop(peer.sock.fileno(), None):
            self._epoll.unregister(peer.sock)

    def tick(self, duel: Duel) -> None:
        """Let it advance in the next turn, without an event."""
        self._ticking.add(duel)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def logPrefix(self) -> str:
        return "stage"

    def doRead(self) -> None:
        numbers = [number for number, _ in self._epoll.poll(0)]
        for duel in {self._duels[number] for number in numbers if number in self._duels}:
            duel.advance()

    def connectionLost(self, reason: object) -> None:
        """An epoll is never lost."""
