"""Both engines under the same schedules: the same bytes, the same ends, the same words."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from twisted.trial.unittest import SynchronousTestCase

from tests.engines.engines import native_relay, native_relay_of_two, twisted_relay
from tests.engines.loop import the_loop
from tests.engines.record import Record, violations
from tests.engines.schedules import COUNT, SEED, Schedule, schedule_number, schedules
from tests.engines.stage import Stage

AT_ONCE = 200
"""Sessions that an engine has to do with at the same time."""

LONG = 60.0
"""Seconds after which a session that has not ended is one that never will."""

MakeRelay = Callable[[Any], Any]


def play(make_relay: MakeRelay, several: list[Schedule], seconds: float = LONG) -> list[Record]:
    """Play them all on a fresh engine, AT_ONCE at the same time."""
    relay = make_relay(the_loop().reactor)
    stage = Stage(the_loop())
    try:
        return [
            record
            for start in range(0, len(several), AT_ONCE)
            for record in stage.play(relay, several[start : start + AT_ONCE], seconds)
        ]
    finally:
        stage.close()
        relay.stop()


@functools.cache
def todays_schedules() -> list[Schedule]:
    return [schedule_number(number) for number in range(COUNT)]


@functools.cache
def todays_records(make_relay: MakeRelay) -> list[Record]:
    return play(make_relay, todays_schedules())


def judgement(number: int, schedule: Schedule, found: list[str], record: Record) -> str:
    return f"\nschedule {number} of seed {SEED}: {schedule}\n  {found}\n  {record}"


class LegalTests(SynchronousTestCase):
    """What each engine does is legal by the rules of `tests.engines.record`."""

    def judge(self, make_relay: MakeRelay) -> None:
        judged = [
            (number, schedule, violations(schedule, record), record)
            for number, (schedule, record) in enumerate(
                zip(todays_schedules(), todays_records(make_relay), strict=True)
            )
        ]
        wrong = [judgement(*each) for each in judged if each[2]]
        self.assertEqual(wrong[:5], [], f"{len(wrong)} of {COUNT} schedules")

    def test_twisted(self) -> None:
        """The Twisted engine breaks no rule under any schedule."""
        self.judge(twisted_relay)

    def test_native(self) -> None:
        """Neither does the native one."""
        self.judge(native_relay)

    def test_native_of_two(self) -> None:
        """Nor with two threads."""
        self.judge(native_relay_of_two)


class SameTests(SynchronousTestCase):
    def test_outcomes(self) -> None:
        """Where no race decides, every engine's outcome is the same in every detail."""
        for make_relay in (native_relay, native_relay_of_two):
            records = zip(todays_records(twisted_relay), todays_records(make_relay), strict=True)
            different = [
                f"\nschedule {number} of seed {SEED}: {schedule}\n  {one}\n  {other}"
                for number, (schedule, (one, other)) in enumerate(
                    zip(todays_schedules(), records, strict=True)
                )
                if schedule.determined and one.outcome() != other.outcome()
            ]
            self.assertEqual(different[:5], [])

    def test_simplest(self) -> None:
        """The same with schedules of hypothesis, which shrinks one that fails."""
        relays = [make(the_loop().reactor) for make in (twisted_relay, native_relay)]
        stage = Stage(the_loop())
        for clean_up in (stage.close, *(relay.stop for relay in relays)):
            self.addCleanup(clean_up)

        @settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
        @given(schedules)
        def same(schedule: Schedule) -> None:
            records = [stage.play(relay, [schedule], 5.0)[0] for relay in relays]
            for record in records:
                assert not violations(schedule, record), f"{schedule}: {record}"
            if schedule.determined:
                assert records[0].outcome() == records[1].outcome(), f"{schedule}: {records}"

        same()
