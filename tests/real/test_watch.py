"""What the watch claims of sessions, on samples made by hand."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.real.watch import Sample, lives


def samples(*rows: tuple[float, dict[int, bool]]) -> list[Sample]:
    return [Sample(at, at + 0.001, sessions) for at, sessions in rows]


class Lives(SynchronousTestCase):
    def spans(self, *rows: tuple[float, dict[int, bool]]) -> list[tuple[int, float, float, float]]:
        found = lives("n", samples(*rows))
        return [(each.session[1], each.began, each.ended, each.served_until) for each in found]

    def test_between_two_samples(self) -> None:
        """A session lived from the end of the first sample that has it to the last one's start."""
        spans = self.spans((1.0, {7: True}), (1.1, {7: True}), (1.2, {}))
        self.assertEqual(spans, [(7, 1.001, 1.1, 1.1)])

    def test_seen_once(self) -> None:
        """Of a session that is seen once, no time is claimed."""
        self.assertEqual(self.spans((1.0, {7: True}), (1.1, {})), [])

    def test_gap(self) -> None:
        """Where the node did not answer for long, nothing is claimed in between."""
        spans = self.spans((1.0, {7: True}), (1.1, {7: True}), (5.0, {7: True}))
        self.assertEqual(spans, [(7, 1.001, 1.1, 1.1)])

    def test_last_statement(self) -> None:
        """A session serves until it is last seen to wait for its client."""
        spans = self.spans((1.0, {7: True}), (1.1, {7: True}), (1.2, {7: False}), (1.3, {7: False}))
        self.assertEqual(spans, [(7, 1.001, 1.3, 1.1)])

    def test_still_there(self) -> None:
        """Sessions of the last sample count."""
        spans = self.spans((1.0, {7: True, 8: False}), (1.1, {7: True, 8: False}))
        self.assertEqual(spans, [(7, 1.001, 1.1, 1.1), (8, 1.001, 1.1, 1.001)])
