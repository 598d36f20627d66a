"""The ledger of checks against a plain model of HAProxy's counter."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vipproxy.backends.health import Ledger

THRESHOLD = st.integers(min_value=1, max_value=6)


class Model:
    """HAProxy's own words: failures in a row while up, passes in a row while down."""

    def __init__(self, rise: int, fall: int, up: bool) -> None:
        self.rise, self.fall, self.up = rise, fall, up
        self.against = fall - 1 if up else rise - 1
        """How many checks in a row have spoken against the state."""

    def observe(self, passed: bool) -> bool:
        """True at a flip."""
        self.against = 0 if passed == self.up else self.against + 1
        if self.against < (self.fall if self.up else self.rise):
            return False
        self.up, self.against = not self.up, 0
        return True


class AgainstTheModel(SynchronousTestCase):
    @settings(deadline=None)
    @given(THRESHOLD, THRESHOLD, st.booleans(), st.lists(st.booleans(), max_size=60))
    def test_states_and_flips(self, rise: int, fall: int, up: bool, checks: list[bool]) -> None:
        """Any checks: up after `rise` passes in a row, down after `fall` failures in a row."""
        ledger, model = Ledger.starting(rise, fall, up), Model(rise, fall, up)
        for number, passed in enumerate(checks):
            flipped = model.observe(passed)
            first = number == 0 and not up
            self.assertEqual(ledger.observe(passed), flipped or first)
            self.assertEqual(ledger.up, model.up)
            self.assertEqual(ledger.settled, model.against == 0)
            self.assertTrue(0 <= ledger.health <= rise + fall - 1)


class FirstVerdict(SynchronousTestCase):
    def test_first_pass(self) -> None:
        """One pass is enough for the first verdict, whatever `rise` says."""
        ledger = Ledger.starting(rise=3, fall=3, up=False)
        self.assertFalse(ledger.up or ledger.judged)
        self.assertTrue(ledger.observe(True))
        self.assertTrue(ledger.up)

    def test_first_failure(self) -> None:
        """A first failure is a verdict too: known to be down, and from then on `rise` counts."""
        ledger = Ledger.starting(rise=2, fall=3, up=False)
        self.assertTrue(ledger.observe(False))
        self.assertEqual([ledger.observe(True), ledger.observe(True)], [False, True])

    def test_initially_up(self) -> None:
        """With initial-state = up one failure is enough, as in HAProxy."""
        ledger = Ledger.starting(rise=2, fall=3, up=True)
        self.assertTrue(ledger.up)
        self.assertTrue(ledger.observe(False))
        self.assertFalse(ledger.up)


class Texts(SynchronousTestCase):
    def texts(self, ledger: Ledger, *checks: bool) -> list[str]:
        found = []
        for passed in checks:
            ledger.observe(passed)
            found.append(str(ledger))
        return found

    def test_falling(self) -> None:
        """A server that fails goes through UP 2/3 and UP 1/3 to DOWN."""
        ledger = Ledger(rise=2, fall=3, health=4, judged=True)
        self.assertEqual(self.texts(ledger, *[False] * 3), ["UP 2/3", "UP 1/3", "DOWN"])

    def test_rising(self) -> None:
        """A server that returns goes through DOWN 1/2 to UP."""
        ledger = Ledger(rise=2, fall=3, judged=True)
        self.assertEqual(self.texts(ledger, True, True), ["DOWN 1/2", "UP"])

    def test_starting_up(self) -> None:
        """HAProxy's initial state reads UP 1/3."""
        self.assertEqual(str(Ledger.starting(rise=2, fall=3, up=True)), "UP 1/3")
