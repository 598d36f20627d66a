"""The stick table: entries in use are safe, the size holds, idle entries expire."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vipproxy.backends.stick import Pin, StickTable
from vipproxy.config.pin_options import StickOptions
from vipproxy.interfaces import LeaseRequest
from vipproxy.values import Address

REQUEST = LeaseRequest(client=Address("192.0.2.7", 1), destination=Address("192.0.2.220", 2))


def table(key: str = "src", clock: Clock | None = None, **options: Any) -> StickTable:
    return StickTable(StickOptions(key=key, **options), clock or Clock())


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("use"), st.sampled_from("abcdef"), st.sampled_from(["s1", "s2"])),
        st.tuples(st.just("release"), st.integers(min_value=0, max_value=50), st.none()),
        st.tuples(st.just("wait"), st.integers(min_value=1, max_value=5), st.none()),
        st.tuples(st.just("look"), st.sampled_from("abcdef"), st.none()),
    ),
    max_size=80,
)


class Ledgers(SynchronousTestCase):
    @settings(deadline=None)
    @given(STEPS, st.integers(min_value=1, max_value=4))
    def test_pins_in_use(self, steps: list[tuple[str, Any, Any]], size: int) -> None:
        """Whatever happens: a pin in use stays, the size is kept, no use is counted twice."""
        clock = Clock()
        pins = table(clock=clock, size=size, expire=4.0)
        held: list[tuple[str, Pin]] = []
        for step, argument, server in steps:
            if step == "use":
                pin = pins.use(argument, server)
                if pin is not None:
                    held.append((argument, pin))
                else:
                    self.assertEqual(len({key for key, _ in held}), size)
            elif step == "release" and held:
                pins.release(held.pop(argument % len(held))[1])
            elif step == "wait":
                clock.advance(argument)
            elif step == "look":
                pins.lookup(argument)
            self.assertTrue(len(pins.as_mapping()) <= size)
            for key, pin in held:
                self.assertIs(pins.lookup(key), pin)
                self.assertEqual(pin.users, sum(each is pin for _, each in held))


class Entries(SynchronousTestCase):
    def test_keys(self) -> None:
        """The key is the client's address, or the one that it called; never a port."""
        self.assertEqual(table("src").key_of(REQUEST), "192.0.2.7")
        self.assertEqual(table("dst").key_of(REQUEST), "192.0.2.220")

    def test_least_recently_used_goes(self) -> None:
        """Where there is no room, the idle entry that was used longest ago makes place."""
        pins = table(size=2)
        for key in ("a", "b", "a"):
            pin = pins.use(key, "s1")
            assert pin is not None
            pins.release(pin)
        pins.use("c", "s1")
        self.assertEqual(set(pins.as_mapping()), {"a", "c"})

    def test_no_room(self) -> None:
        """Where every entry is in use a new client gets none."""
        pins = table(size=1)
        pins.use("a", "s1")
        self.assertIsNone(pins.use("b", "s2"))
        self.assertEqual(pins.as_mapping(), {"a": "s1"})

    def test_expiry_counts_from_the_last_use(self) -> None:
        """An entry expires so long after its last session has ended."""
        clock = Clock()
        pins = table(clock=clock, expire=10.0)
        pin = pins.use("a", "s1")
        assert pin is not None
        clock.advance(100)
        pins.release(pin)
        clock.advance(9)
        self.assertIs(pins.lookup("a"), pin)
        clock.advance(1)
        self.assertIsNone(pins.lookup("a"))
        self.assertEqual(pins.as_mapping(), {})

    def test_restore(self) -> None:
        """Entries come back, the most recent ones where there are too many."""
        pins = table(size=2)
        pins.restore({"a": "s1", "b": "s2", "c": "s1"})
        self.assertEqual(pins.as_mapping(), {"b": "s2", "c": "s1"})


class MarkDown(SynchronousTestCase):
    def test_exclusive(self) -> None:
        """An exclusive pin moves to the successor."""
        pins = table("dst")
        pins.use("vip", "s1")
        self.assertTrue(pins.move("s1", "s2"))
        self.assertEqual(pins.as_mapping(), {"vip": "s2"})

    def test_without_successor(self) -> None:
        """Without a successor an exclusive pin stays where it is."""
        pins = table("dst")
        pins.use("vip", "s1")
        pins.move("s1", None)
        self.assertEqual(pins.as_mapping(), {"vip": "s1"})

    def test_by_source(self) -> None:
        """Clients' own pins are dropped: each goes where the balancer sends it next."""
        pins = table("src")
        pins.use("a", "s1")
        pins.use("b", "s2")
        self.assertTrue(pins.move("s1", "s2"))
        self.assertEqual(pins.as_mapping(), {"b": "s2"})

    def test_nothing_to_move(self) -> None:
        """A server without pins changes nothing."""
        self.assertFalse(table("dst").move("s1", "s2"))
