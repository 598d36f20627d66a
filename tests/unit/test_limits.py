"""How many sessions the process may have, and how many new ones a second."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vipproxy.limits import RESERVED, SessionLimit


class Limits(SynchronousTestCase):
    def setUp(self) -> None:
        self.told = 0
        self.clock = Clock()
        self.clock.advance(1000)
        self.limit = SessionLimit(self._tell)
        self.limit.set_descriptors(RESERVED + 20)

    def _tell(self) -> None:
        self.told += 1

    def test_lowered(self) -> None:
        """A lower limit leaves less room, and none where there are more sessions already."""
        self.limit.open = 5
        self.limit.set_limit(4)
        self.assertEqual(self.limit.room, -1)
        self.limit.closed()
        self.limit.closed()
        self.assertEqual(self.limit.room, 1)

    def test_highest(self) -> None:
        """0 is as many as the process can hold; whoever waits is told."""
        self.limit.set_limit(4)
        self.limit.set_limit(0)
        self.assertEqual((self.limit.room, self.told), (10, 2))

    def test_pace(self) -> None:
        """New sessions are limited within a second; then there is room again, which is told."""
        self.limit.set_pace(self.clock, 4)
        self.assertEqual((self.limit.rate, self.limit.room), (4, 4))
        assert self.limit.pace is not None
        self.limit.pace.took(4)
        self.told = 0
        self.assertEqual(self.limit.room, 0)
        self.clock.advance(0.25)
        self.assertEqual(self.told, 1)
        self.assertEqual(self.limit.room, 0)
        self.clock.advance(2)
        self.assertEqual(self.limit.room, 4)

    def test_over_several_seconds(self) -> None:
        """No second has more than the limit, however eager the clients are."""
        self.limit.set_pace(self.clock, 4)
        taken = []
        for _ in range(60):
            room = max(0, self.limit.room)
            assert self.limit.pace is not None
            self.limit.pace.took(room)
            taken.append(room)
            self.clock.advance(0.1)
        self.assertLessEqual(max(sum(taken[i : i + 10]) for i in range(50)), 2 * 4)
        self.assertTrue(4 * 4 <= sum(taken) <= 4 * 7, sum(taken))

    def test_no_pace(self) -> None:
        """0 lifts it; nothing stays with the clock."""
        self.limit.set_pace(self.clock, 1)
        assert self.limit.pace is not None
        self.limit.pace.took(1)
        self.assertEqual(self.limit.room, 0)
        self.limit.set_pace(self.clock, 0)
        self.assertEqual((self.limit.rate, self.limit.room), (0, 10))
        self.assertEqual(self.clock.getDelayedCalls(), [])
