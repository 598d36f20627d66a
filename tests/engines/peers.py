"""Peers that play a schedule from outside of an engine, and write down what they see."""

from __future__ import annotations

import random
import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import frozen

from tests.engines.loop import reset
from tests.engines.record import PeerRecord
from tests.engines.schedules import Step, Steps, Verb

if TYPE_CHECKING:
    from tests.engines.stage import Duel

BLOCK = 1 << 16
_WAVE = random.Random(0).randbytes(1 << 20)
_ENDLESS = memoryview(_WAVE + _WAVE[:BLOCK])


def part_of_stream(phase: int, start: int, size: int) -> memoryview:
    """Up to BLOCK bytes of an endless stream, in which no two places look alike."""
    place = (phase + start) % len(_WAVE)
    return _ENDLESS[place : place + min(size, BLOCK)]


@frozen
class Stream:
    """One direction of a session: `phase` tells it from all others."""

    phase: int
    first: int
    """Bytes that the relay is given as already read."""

    def prelude(self) -> bytes:
        return bytes(part_of_stream(self.phase, 0, self.first))


class Peer:
    """One end of a session, the relay being at the other end of `sock`."""

    def __init__(self, duel: Duel, sock: socket.socket, steps: Steps, out: Stream, back: Stream):
        self.record = PeerRecord(first=out.first)
        self.sock = sock
        self.finished = False
        self.meeting = False
        self._duel, self._out, self._back = duel, out, back
        self._steps = deque(steps)
        self._left = steps[0].amount
        self._stalled = False
        self._allowance = 0
        self._wake: int | None = None
        self._verbs: dict[Verb, Callable[[], bool]] = {
            Verb.SEND: self._send,
            Verb.STALL: self._stall,
            Verb.READ: self._read_some,
            Verb.RESUME: self._resume,
            Verb.PAUSE: self._pause,
            Verb.ARRIVED: self._arrived,
            Verb.MEET: self._meet,
            Verb.HALF_CLOSE: self._half_close,
            Verb.TO_THE_END: self._to_the_end,
            Verb.LEAVE: self._leave,
            Verb.CLOSE: self._close,
            Verb.RESET: self._reset,
            Verb.SHUT_DOWN: self._shut_down,
        }

    def advance(self) -> bool:
        """Do all that can be done now, and say whether anything was."""
        before = self.marks()
        while not self.finished:
            moved = self._read()
            if not self.finished and self._verbs[self._steps[0].verb]():
                self._next()
            elif not moved:
                break
        return before != self.marks()

    def marks(self) -> tuple[object, ...]:
        """Changes with every bit of progress."""
        return (len(self._steps), self._left, self.record.received, self.record.end)

    def hurry(self) -> None:
        """Everyone waits for everyone: read, so that it goes on.

        A kernel may answer a peer whose window is closed as if somebody might still read
        (FIN_WAIT_2), for a minute; nobody sends on into a session that is over.
        """
        self._resume()
        if self.finished:
            return
        if self._steps[0].verb is Verb.READ:
            self._next()
        elif self._steps[0].verb is Verb.SEND and self._duel.engine_is_done():
            self._say_no_more()

    def has_all_of(self, other: Peer) -> bool:
        """Or will never have it: the end of its stream has come, or one of them has gone."""
        over = self.record.end or self.finished or other.finished
        return bool(over) or self.record.received == other.record.total

    def give_up(self) -> None:
        """The test is over, whatever the peer was at."""
        if not self.finished:
            self._leave()

    def _next(self) -> None:
        self._steps.popleft()
        self._left = self._steps[0].amount if self._steps else 0

    # -- reading -----------------------------------------------------------------------

    def _read(self) -> bool:
        size = BLOCK if not self._stalled else min(BLOCK, self._allowance)
        if self.record.end or not size:
            return False
        try:
            data = self.sock.recv(size)
        except BlockingIOError:
            return False
        except ConnectionError:
            self.record.end = "reset"
            self._leave()
            return True
        if data:
            self._got(data)
        else:  # sending has consumed the error of a reset, and reading finds none any more
            self.record.end = "reset" if self.record.refused else "fin"
        return True

    def _got(self, data: bytes) -> None:
        record = self.record
        if record.wrong_at is None and data != part_of_stream(
            self._back.phase, record.received, len(data)
        ):
            record.wrong_at = record.received
        record.received += len(data)
        if self._stalled:
            self._allowance -= len(data)

    # -- the verbs: each does what it can, and says whether it is done -----------------

    def _send(self) -> bool:
        record = self.record
        while self._left:
            try:
                sent = self.sock.send(part_of_stream(self._out.phase, record.total, self._left))
            except BlockingIOError:
                return False
            except ConnectionError:
                record.refused = True
                self._say_no_more()
                return False
            record.sent += sent
            self._left -= sent
        return True

    def _say_no_more(self) -> None:
        """There is no sending any more; what was received is still worth reading."""
        self._steps = deque((Step(Verb.TO_THE_END), Step(Verb.LEAVE)))
        self._left = 0

    def _stall(self) -> bool:
        self._stalled, self._allowance = True, 0
        return True

    def _resume(self) -> bool:
        self._stalled = False
        return True

    def _read_some(self) -> bool:
        if not self._stalled:
            return True
        self._allowance += self._left
        self._left = 0
        return not self._allowance or self.record.end is not None

    def _pause(self) -> bool:
        stage = self._duel.stage
        if self._wake is None:
            self._wake = stage.turns + self._left
        if stage.turns < self._wake:
            stage.tick(self._duel)
            return False
        self._wake = None
        return True

    def _arrived(self) -> bool:
        return self._duel.other(self).has_all_of(self)

    def _meet(self) -> bool:
        self.meeting = True
        self._resume()
        return self._duel.have_met()

    def _half_close(self) -> bool:
        if not self.record.half_closed:
            self.record.half_closed = True
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:  # the connection is no more; reading tells how it ended
                self.record.refused = True
        return True

    def _to_the_end(self) -> bool:
        self._resume()
        return self.record.end is not None

    def _leave(self) -> bool:
        self._over(socket.socket.close)
        return True

    def _close(self) -> bool:
        self.record.broke_off = "close"
        self._over(socket.socket.close)
        return True

    def _reset(self) -> bool:
        self.record.broke_off = "reset"
        self._over(reset)
        return True

    def _over(self, close: Callable[[socket.socket], None]) -> None:
        self.finished = True
        self._duel.stage.forget(self)
        close(self.sock)

    def _shut_down(self) -> bool:
        return self._duel.shut_down()
