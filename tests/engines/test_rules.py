"""The judges judged: engines with one fault each, and each fault is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.main import CONNECTION_LOST
from twisted.trial.unittest import SynchronousTestCase

from tests.engines.engines import twisted_relay
from tests.engines.loop import the_loop
from tests.engines.record import PeerRecord, Record, violations
from tests.engines.schedules import BREAKS, Schedule, Step, Verb, schedule_number
from tests.engines.stage import Stage
from vipproxy.relay import twisted as engine
from vipproxy.values import Ending

PLAYED = 300
"""Schedules that a faulty engine gets, at most; most faults show at once."""

FIN = (Step(Verb.HALF_CLOSE), Step(Verb.TO_THE_END), Step(Verb.LEAVE))


class Orderly(SynchronousTestCase):
    """A session that nobody broke off, changed in one point."""

    schedule = Schedule(client=(Step(Verb.SEND, 10), *FIN), server=FIN, to_server=5)

    def judged(self, **changes: Any) -> list[str]:
        facts: dict[str, Any] = {
            "in_time": True,
            "client": PeerRecord(first=5, sent=10, end="fin", half_closed=True),
            "server": PeerRecord(first=0, received=15, end="fin", half_closed=True),
            "endings": [Ending.NORMAL],
            "endings_at_shut_down": None,
            "bytes_in": 10,
            "bytes_out": 0,
        }
        return violations(self.schedule, Record(**facts | changes))

    def test_well(self) -> None:
        """Without a change there is nothing to say."""
        self.assertEqual(self.judged(), [])

    def test_each_change(self) -> None:
        """Every fact that is not as it should be is a violation."""
        changes: tuple[dict[str, Any], ...] = (
            {"in_time": False},
            {"endings": []},
            {"endings": [Ending.NORMAL, Ending.NORMAL]},
            {"endings": [Ending.CLIENT_ABORT]},
            {"endings_at_shut_down": []},
            {"bytes_in": 15},
            {"bytes_out": 1},
            {"server": PeerRecord(first=0, received=14, end="fin", half_closed=True)},
            {"server": PeerRecord(first=0, received=16, end="fin", half_closed=True)},
            {"server": PeerRecord(first=0, received=15, wrong_at=3, end="fin")},
            {"server": PeerRecord(first=0, received=15, end="reset")},
            {"server": PeerRecord(first=0, received=15)},
            {"client": PeerRecord(first=5, sent=10, end="fin", refused=True)},
        )
        for change in changes:
            self.assertNotEqual(self.judged(**change), [], change)


class FaultyEngines(SynchronousTestCase):
    """The Twisted engine with a fault is told from one without."""

    def found(self) -> list[str]:
        """The first violations under today's schedules."""
        relay, stage = twisted_relay(the_loop().reactor), Stage(the_loop())
        try:
            several = [schedule_number(number) for number in range(PLAYED)]
            for start in range(0, PLAYED, 50):
                batch = several[start : start + 50]
                records = stage.play(relay, batch, 2.0)
                found = [v for each in zip(batch, records, strict=True) for v in violations(*each)]
                if found:
                    return found
            return []
        finally:
            stage.close()
            relay.stop()
            self.flushLoggedErrors()

    def fault(self, owner: Any, name: str, faulty: Callable[..., Any]) -> None:
        """Let `faulty` run in place of a method, which it gets as its first argument."""
        right = getattr(owner, name)
        self.patch(owner, name, lambda *arguments: faulty(right, *arguments))
        self.assertNotEqual(self.found(), [])

    def test_bytes_lost(self) -> None:
        """The last byte of a large piece is dropped."""
        self.fault(
            engine.ClientHalf,
            "dataReceived",
            lambda right, half, data: right(half, data[:-1] if len(data) > 50_000 else data),
        )

    def test_bytes_in_disorder(self) -> None:
        """Two halves of a piece change places."""
        self.fault(
            engine.ServerHalf,
            "dataReceived",
            lambda right, half, data: right(half, data[len(data) // 2 :] + data[: len(data) // 2]),
        )

    def test_miscounted(self) -> None:
        """What goes to the client is counted one byte short."""

        def faulty(right: Any, half: Any, data: bytes) -> None:
            half.session.traffic.bytes_out -= 1
            right(half, data)

        self.fault(engine.ServerHalf, "dataReceived", faulty)

    def test_half_close_is_the_end(self) -> None:
        """The first end of input closes both sides."""

        def faulty(right: Any, session: Any, half: Any) -> None:
            half.peer.input_ended = True
            right(session, half)

        self.fault(engine.TwistedRelaySession, "input_ended", faulty)

    def test_half_close_is_kept(self) -> None:
        """It is not passed on."""
        self.patch(engine, "end_output", lambda transport: None)
        self.assertNotEqual(self.found(), [])

    def test_reset_for_fin(self) -> None:
        """The end is a reset where it should be a FIN."""
        self.patch(engine, "end_output", lambda transport: transport.abortConnection())
        self.assertNotEqual(self.found(), [])

    def test_not_flushed(self) -> None:
        """A side that is lost takes with it what was received from it."""

        def faulty(right: Any, session: Any, half: Any, reason: Any) -> None:
            if not half.peer.closed:
                half.peer.transport.dataBuffer = b""
                half.peer.transport._tempDataBuffer = []
                half.peer.transport._tempDataLen = 0
            right(session, half, reason)

        self.fault(engine.TwistedRelaySession, "lost", faulty)

    def test_wrong_side(self) -> None:
        """The server is named for what the client did."""
        self.patch(engine.ClientHalf, "abort", Ending.SERVER_ABORT)
        self.assertNotEqual(self.found(), [])

    def test_told_twice(self) -> None:
        """The taker is told of each loss."""

        def faulty(right: Any, session: Any, half: Any, reason: Any) -> None:
            taker = session._taker
            right(session, half, reason)
            if taker is not None:
                taker.relay_ended(Ending.NORMAL)

        self.fault(engine.TwistedRelaySession, "lost", faulty)

    def test_told_after_shut_down(self) -> None:
        """The taker is told although it was its own doing."""

        def faulty(right: Any, session: Any, last_words: bytes = b"") -> None:
            taker = session._taker
            right(session, last_words)
            if taker is not None:
                taker.relay_ended(Ending.NORMAL)

        self.fault(engine.TwistedRelaySession, "shut_down", faulty)

    def test_never_ends(self) -> None:
        """A reset of the server is not noticed."""

        def faulty(right: Any, half: Any, reason: Any) -> None:
            half.closed = True
            if reason.value is not CONNECTION_LOST:
                return
            right(half, reason)

        self.fault(engine.ServerHalf, "connectionLost", faulty)


class Drawing(SynchronousTestCase):
    def test_variety(self) -> None:
        """The schedules hold every verb and every way to break off, on both sides."""
        several = [schedule_number(number) for number in range(PLAYED)]
        for steps in ([each.client for each in several], [each.server for each in several]):
            verbs = {step.verb for each in steps for step in each}
            self.assertEqual(verbs, set(Verb))
        calm = [each for each in several if not {s.verb for s in each.client} & set(BREAKS)]
        self.assertTrue(0 < len(calm) < PLAYED)
        self.assertEqual({each.head_start for each in several}, {True, False})
