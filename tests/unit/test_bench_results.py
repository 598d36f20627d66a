"""The benchmark's arithmetic: ratios by round, spreads, targets."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from bench.results import (
    AT_MOST,
    DIFFERENCE,
    Goal,
    Results,
    Row,
    Sample,
    Spread,
    achieved,
    from_json,
    ratio,
    to_json,
    verdict,
)
from bench.special import off_interval
from bench.stage import HAPROXY, VIPPROXY, load_cores
from bench.workloads import sample


def samples(*values: float) -> list[Sample]:
    return [{"value": value} for value in values]


def row(mine: list[Sample], its: list[Sample], goal: Goal | None = None) -> Row:
    return Row("key", "title", "µs", goal, {VIPPROXY: mine, HAPROXY: its})


class RatioTests(SynchronousTestCase):
    def test_by_round(self) -> None:
        """A ratio is of two values of one round, not of two medians."""
        found = ratio(row(samples(1, 20, 3), samples(2, 10, 3)), VIPPROXY, HAPROXY)
        self.assertEqual(found, Spread(1.0, 0.5, 2.0))

    def test_nothing_to_divide_by(self) -> None:
        """Rounds in which HAProxy's value is zero have no ratio."""
        found = ratio(row(samples(1, 6), samples(0, 3)), VIPPROXY, HAPROXY)
        self.assertEqual(found, Spread(2.0, 2.0, 2.0))

    def test_not_measured(self) -> None:
        """There is no ratio to what was not measured."""
        self.assertIsNone(ratio(row(samples(1), []), VIPPROXY, HAPROXY))


class VerdictTests(SynchronousTestCase):
    def test_ratio(self) -> None:
        """The aim is better than the target; above both it is missed."""
        goal = Goal(0.95, 0.85)
        for value, expected in ((8.5, "aim"), (9.5, "target"), (9.6, "missed")):
            found = verdict(row(samples(value), samples(10), goal), VIPPROXY, HAPROXY)
            self.assertEqual(found, expected)

    def test_at_most(self) -> None:
        """An absolute limit does not look at HAProxy."""
        found = row(samples(9), [], Goal(10, None, AT_MOST))
        self.assertEqual(verdict(found, VIPPROXY, HAPROXY), "target")

    def test_difference(self) -> None:
        """A difference is to HAProxy's median."""
        found = row(samples(130, 90, 120), samples(15, 20, 25), Goal(100, None, DIFFERENCE))
        self.assertEqual(achieved(found, VIPPROXY, HAPROXY), 100)
        self.assertEqual(verdict(found, VIPPROXY, HAPROXY), "target")

    def test_no_goal(self) -> None:
        """Without a goal nothing is judged."""
        self.assertEqual(verdict(row(samples(1), samples(1)), VIPPROXY, HAPROXY), "")


class MeasureTests(SynchronousTestCase):
    def test_sample(self) -> None:
        """CPU time is divided by operations, and by the time that they took."""
        result = {"operations": 1000, "seconds": 0.5, "p50": 10.0, "p99": 20.0}
        found = sample(result, 0.25, 3 * 1024 * 1024)
        expected = {"value": 250, "rate": 2000, "p50": 10, "p99": 20, "resident": 3, "busy": 0.5}
        self.assertEqual(found, expected)

    def test_off_interval(self) -> None:
        """The largest deviation counts, in either direction and of any server."""
        times = [[0.0, 1.0, 1.75], [0.5, 1.75]]
        self.assertEqual(off_interval(times, 1.0), 0.25)

    def test_no_checks(self) -> None:
        """Checks that did not come are as far off as can be."""
        self.assertEqual(off_interval([[], [1.0]], 1.0), 1.0)

    def test_load_cores(self) -> None:
        """The load has the cores that the proxy leaves; only where those are too few, all."""
        self.assertEqual(load_cores(1, [0, 1]), (1,))
        self.assertEqual(load_cores(2, [0, 1]), (0, 1))
        self.assertEqual(load_cores(2, [0, 1, 2, 3]), (2, 3))

    def test_json(self) -> None:
        """Results come out of their JSON as they went in."""
        rows = [row(samples(1, 2), samples(3, 4), Goal(1.0, None, AT_MOST))]
        results = Results({"cores": "2"}, 5, False, rows, [row([], [])])
        self.assertEqual(from_json(json.loads(json.dumps(to_json(results)))), results)
