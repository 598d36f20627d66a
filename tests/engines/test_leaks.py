"""Many short sessions leave nothing: descriptors exactly, memory nearly, objects of Python none.

VIPPROXY_LEAK_SESSIONS=1000000 makes it a million; the bounds stay the same.
"""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.engines.contract import Session
from tests.engines.engines import native_relay, native_relay_of_two, twisted_relay
from tests.engines.loop import Wire, open_descriptors, reset, running_threads, the_loop

COUNT = int(os.environ.get("VIPPROXY_LEAK_SESSIONS", "20000"))
AT_ONCE = 50
WARM_UP = 40
"""Batches, after which an engine has what it keeps."""

GROWTH = 2 << 20
"""Bytes that the resident memory may grow, for whatever the allocators of libc and Python do."""

QUESTION, ANSWER = b"q" * 100, b"a" * 3000


def resident() -> int:
    """Bytes of memory that the process has (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def finish(session: Session) -> None:
    session.client.close()


def client_resets(session: Session) -> None:
    reset(session.client)


def server_resets(session: Session) -> None:
    reset(session.server)


def half_close(session: Session) -> None:
    session.client.shutdown(socket.SHUT_WR)
    session.server.close()


def shut_down(session: Session) -> None:
    session.relayed.shut_down()


ENDS = (finish, client_resets, server_resets, half_close, shut_down)


class LeakTests(SynchronousTestCase):
    timeout = 7200

    make_relay: Callable[[Any], Any] = staticmethod(twisted_relay)
    count = COUNT // 4
    """The Twisted engine has no memory of its own to lose, and takes longer."""

    def setUp(self) -> None:
        self.loop, self.wire = the_loop(), Wire()
        self.threads = running_threads()
        self.relay = self.make_relay(self.loop.reactor)
        self.addCleanup(self.stop)
        self.addCleanup(self.wire.close)

    def stop(self) -> None:
        self.relay.stop()
        self.assertEqual(running_threads(), self.threads)

    def converse(self, session: Session) -> None:
        """One question, which was sent before, and its answer."""
        self.loop.receive(session.server, len(QUESTION))
        session.server.send(ANSWER)
        self.loop.receive(session.client, len(ANSWER))

    def batch(self) -> None:
        sessions = [Session(self.wire).start(self.relay) for _ in range(AT_ONCE)]
        for session in sessions:
            session.client.send(QUESTION)
        for session in sessions:
            self.converse(session)
        for session, end in zip(sessions, cycle(ENDS), strict=False):
            end(session)
        for session in sessions:
            session.client.close()
            session.server.close()
        told = [each for each, end in zip(sessions, cycle(ENDS), strict=False) if end != shut_down]
        self.loop.until(lambda: all(each.taker.endings for each in told), "the ends")

    def measured(self) -> tuple[int, int, int]:
        """Descriptors, objects of Python, bytes of memory; when all is quiet."""
        self.loop.turn(0.1)
        gc.collect()
        return open_descriptors(), len(gc.get_objects()), resident()

    def test_nothing_is_left(self) -> None:
        """Descriptors and objects are as many as before, and memory is what it was."""
        for _ in range(WARM_UP):
            self.batch()
        descriptors, objects, memory = self.measured()
        for _ in range(max(1, self.count // AT_ONCE)):
            self.batch()
        after = self.measured()
        self.assertEqual(after[0], descriptors)
        self.assertLess(after[1], objects + 100)
        self.assertLess(after[2], memory + GROWTH, f"{after[2] - memory} bytes more")


class NativeLeakTests(LeakTests):
    make_relay = staticmethod(native_relay)
    count = COUNT


class NativeOfTwoLeakTests(LeakTests):
    make_relay = staticmethod(native_relay_of_two)
    count = COUNT // 4
