"""Idle limits in the native engine: its time is what it is told, so that no test has to wait."""

from __future__ import annotations

import socket
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.engines.engines import native_module
from vipproxy.counters import Traffic

PATIENCE = 30.0
"""Seconds for what another thread does at once."""

steps = st.lists(st.tuples(st.floats(0.001, 400.0), st.booleans()), min_size=1, max_size=40)
"""How far time goes on, and whether there is traffic then."""


class Pair:
    """A session of the engine, with both peers in our hands."""

    def __init__(self, engine: Any, name: str, limit: float, now: float) -> None:
        self.limit, self.active = limit, now
        self.client, client = socket.socketpair()
        server, self.server = socket.socketpair()
        for sock in (client, server):
            sock.setblocking(False)
        self.traffic = Traffic()
        descriptors = client.detach(), server.detach()
        self.session = engine.relay(
            name, *descriptors, self.traffic, None, limit, limit + 1.0, b"", b"", now
        )

    def speak(self, now: float) -> None:
        """Traffic, and nothing returns before the engine has seen it."""
        self.client.sendall(b"x")
        self.server.settimeout(PATIENCE)
        assert self.server.recv(1) == b"x"
        self.active = now

    def close(self) -> None:
        self.client.close()
        self.server.close()


def events(engine: Any) -> list[tuple[int, Any, Any]]:
    told: list[tuple[int, Any, Any]] = []
    engine.collect(lambda *event: told.append(event))
    return told


class IdleLimits(SynchronousTestCase):
    @settings(max_examples=150, deadline=None)
    @given(steps, st.floats(0.05, 5400.0))
    def test_expiry(self, steps: list[tuple[float, bool]], limit: float) -> None:
        """A session ends after its limit, not before, and not much later; however time goes."""
        native = native_module()
        engine = native.Engine(1)
        now = 1e9
        pair = Pair(engine, "a", limit, now)
        for forward, speaks in steps:
            now += forward
            engine.tick(now)
            idle = now - pair.active
            if idle > 0.99 * limit:
                if idle > limit + forward + limit / 16:
                    self.assertEqual(self._ending(engine), (native.ENDED, "a", 3))
                break  # between the two it may be over or not
            self.assertEqual(events(engine), [])
            if speaks:
                pair.speak(now)
        pair.close()
        engine.stop()

    def test_sleep(self) -> None:
        """After a long sleep, busy sessions are looked at once and go on."""
        native = native_module()
        engine = native.Engine(1)
        self.addCleanup(engine.stop)
        pair = Pair(engine, "a", 64.0, 0.0)
        engine.tick(60.0)
        pair.speak(60.0)
        engine.tick(123.0)
        pair.speak(123.0)
        self.assertEqual(engine.tick(180.0), 1.0)
        self.assertEqual(events(engine), [])
        engine.tick(10_000.0)
        self.assertEqual(self._ending(engine), (native.ENDED, "a", 3))
        self.assertEqual(engine.tick(10_001.0), 0.0)
        pair.close()

    def _ending(self, engine: Any) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (told := events(engine)):
            self.assertLess(time.monotonic(), deadline, "the engine has told nothing")
            time.sleep(0.001)
        return told[0]
