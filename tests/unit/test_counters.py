"""What is counted: the moving averages of times."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.pools import PASS, ask, judge, make_pool, servers
from vipproxy.counters import BATCH, SAMPLES, Timing
from vipproxy.values import Ending

SECONDS = st.floats(0, 1000)


def timing(*wholes: float) -> Timing:
    """Of sessions that took so long, and waited for nothing."""
    found = Timing()
    for whole in wholes:
        found.add((0.0, 0.0, 0.0, whole))
    found.settle()
    return found


class TimingTests(SynchronousTestCase):
    @given(st.lists(SECONDS, min_size=1, max_size=SAMPLES))
    def test_mean(self, wholes: list[float]) -> None:
        """Up to `SAMPLES` sessions the average is the mean, however they came."""
        found = timing(*wholes)
        self.assertAlmostEqual(found.averages[3], sum(wholes) / len(wholes), places=6)
        self.assertEqual(found.highest[3], max(wholes))

    def test_fades(self) -> None:
        """What was long ago counts no more; the maximum stays."""
        found = timing(*[100.0] * SAMPLES, *[1.0] * SAMPLES * 12)
        self.assertAlmostEqual(found.averages[3], 1.0, places=2)
        self.assertEqual(found.highest[3], 100.0)

    def test_moves_as_haproxys(self) -> None:
        """A window later the older sessions' weight is 1/e: HAProxy's `swrate_add`."""
        found = timing(*[0.0] * SAMPLES, *[1.0] * SAMPLES)
        average = 0.0
        for _ in range(SAMPLES):
            average += (1.0 - average) / SAMPLES
        self.assertAlmostEqual(found.averages[3], average, delta=0.05)

    def test_bounded(self) -> None:
        """What was not taken in yet is a batch at most."""
        found = Timing()
        for _ in range(10 * BATCH):
            found.add((0.0, 0.0, 0.0, 1.0))
            self.assertLess(len(found._news), BATCH)

    def test_joined(self) -> None:
        """Several servers' together: the mean by their sessions, the highest of all."""
        whole = Timing.joined([timing(1.0, 1.0, 1.0), timing(), timing(5.0)])
        self.assertEqual((whole.count, whole.averages[3], whole.highest[3]), (4, 2.0, 5.0))


class SessionTimesTests(SynchronousTestCase):
    def times(self, pool: object) -> tuple[list[float], list[float]]:
        """Averages of the server, and of the backend."""
        snapshot = pool.snapshot("tcp", 1, 1)  # type: ignore[attr-defined]
        return snapshot.servers[0].counters.timing.averages, snapshot.counters.timing.averages

    def test_session(self) -> None:
        """The queue, the connect, the answer and the whole are measured apart."""
        clock = Clock()
        pool = make_pool("check = tcp\n" + servers(""), clock)
        client = ask(pool)
        clock.advance(0.5)
        judge(pool, PASS)
        assert client.lease is not None
        clock.advance(0.25)
        client.lease.connected()
        clock.advance(1)
        client.lease.answered_at = clock.seconds()
        clock.advance(2)
        client.lease.release(Ending.NORMAL)
        for averages in self.times(pool):
            self.assertEqual(averages, [0.5, 0.25, 1.0, 3.75])

    def test_no_answer(self) -> None:
        """A session that got no answer is not measured, as in HAProxy."""
        pool = make_pool(servers(""))
        client = ask(pool)
        assert client.lease is not None
        client.lease.answered_at = None
        client.lease.release(Ending.SERVER_ABORT)
        ask(pool, connect=False).lease.release(Ending.CLIENT_ABORT)  # type: ignore[union-attr]
        self.assertEqual(self.times(pool)[0], [0.0] * 4)
        self.assertEqual(pool.snapshot("tcp", 1, 1).counters.timing.count, 0)
