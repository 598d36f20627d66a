"""Checks while the proxy is busy, while nothing is up, and while a server comes and goes."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from twisted.trial.unittest import SynchronousTestCase

from tests.ports import free_ports
from tests.real.crowd import Crowd
from tests.real.galera import LOOPBACK, wait_until
from tests.real.proxy import Proxy

SESSIONS = 5000
RATE = 1000
"""Messages a second over all sessions, each answered: every session speaks every five seconds."""
WINDOW = 3.0
CALLERS = 200


def frontend(port: int) -> str:
    return f"[frontend f]\nprotocol = tcp\nbind = {LOOPBACK}:{port}\nmaxconn = 6000\nbackend = b\n"


class Pulse(threading.Thread):
    """What the checks of one server connect to; counts them."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self.beats = 0
        self.start()

    def run(self) -> None:
        while True:
            try:
                self._listener.accept()[0].close()
            except OSError:
                return
            self.beats += 1

    def per_second(self, seconds: float) -> float:
        """Measured from now on."""
        before, began = self.beats, time.monotonic()
        time.sleep(seconds)
        return (self.beats - before) / (time.monotonic() - began)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class PaceTests(SynchronousTestCase):
    def test_busy(self) -> None:
        """Checks keep their pace while 5,000 sessions speak."""
        pulse = Pulse()
        self.addCleanup(pulse.stop)
        entrance, port = free_ports(1), free_ports(1)
        server = self.crowd("serve", port)
        proxy = Proxy(
            f"{frontend(entrance)}[backend b]\ncheck = tcp interval=50ms timeout=2s\n"
            f"server s1 = {LOOPBACK}:{port} check-port={pulse.port}\n"
        )
        self.addCleanup(proxy.stop)
        proxy.wait_ready("b/s1")
        quiet = pulse.per_second(WINDOW)
        clients = self.crowd("clients", entrance, SESSIONS, RATE)
        server.wait_for(opened=SESSIONS)
        before = server.counts()["heard"]
        busy = pulse.per_second(WINDOW)
        self.assertGreater(server.counts()["heard"], before)
        self.assertGreater(busy, 0.8 * quiet)
        row = proxy.rows()["b/s1"]
        self.assertEqual((row["scur"], row["chkfail"]), (str(SESSIONS), "0"))
        self.assertEqual(clients.counts()["ended"] + clients.counts()["reset"], 0)

    def crowd(self, *arguments: object) -> Crowd:
        crowd = Crowd(*arguments)
        self.addCleanup(crowd.stop)
        return crowd


class AllDownTests(SynchronousTestCase):
    ROUNDS = 15
    PAUSE = 0.1
    """Seconds between the rounds, in each of which all callers come at once."""

    def test_no_storm(self) -> None:
        """A client that is turned away costs less than one that is served; so do the checks."""
        entrance, port, nothing = free_ports(1), free_ports(1), free_ports(2)
        server = Crowd("serve", port)
        self.addCleanup(server.stop)
        served = self.cost(entrance, [port], "UP")
        refused = self.cost(entrance, [nothing, nothing + 1], "DOWN")
        self.assertEqual(server.counts()["heard"], CALLERS * self.ROUNDS)
        self.assertLess(refused, served)

    def cost(self, entrance: int, ports: list[int], status: str) -> float:
        """CPU seconds of a proxy whose callers come, say a word, and wait for the end."""
        servers = "".join(f"server s{i} = {LOOPBACK}:{port}\n" for i, port in enumerate(ports, 1))
        text = f"{frontend(entrance)}[backend b]\ncheck = tcp interval=100ms\n{servers}"
        proxy = Proxy(text)
        try:
            proxy.wait_ready()
            proxy.wait_for("b/BACKEND", status=status)
            before = proxy.cpu_seconds()
            for _ in range(self.ROUNDS):
                self.call(entrance)
                time.sleep(self.PAUSE)
            spent = proxy.cpu_seconds() - before
            self.assertEqual(proxy.rows()["f/FRONTEND"]["stot"], str(CALLERS * self.ROUNDS))
            return spent
        finally:
            proxy.stop()

    def call(self, entrance: int) -> None:
        callers = [socket.create_connection((LOOPBACK, entrance), 10) for _ in range(CALLERS)]
        for caller in callers:
            with contextlib.suppress(OSError):  # turned away before it has spoken
                caller.sendall(b"x")
                caller.shutdown(socket.SHUT_WR)
                while caller.recv(4096):
                    pass
            caller.close()


class FlappingTests(SynchronousTestCase):
    PERIOD = 0.3
    HOLD_DOWN = 3.0

    def setUp(self) -> None:
        self.port = free_ports(1)
        self._listener: socket.socket | None = None
        self.addCleanup(self.die)
        self.come()
        self.proxy = Proxy(
            f"{frontend(free_ports(1))}[backend b]\n"
            f"check = tcp interval=20ms rise=2 fall=3 hold-down={self.HOLD_DOWN:g}s\n"
            f"server s1 = {LOOPBACK}:{self.port}\n"
        )
        self.addCleanup(self.proxy.stop)
        self.proxy.wait_ready("b/s1")

    def test_stays_down(self) -> None:
        """After its third fall a server stays down until it has passed for `hold-down`."""
        for fall in range(1, 4):
            self.proxy.wait_for("b/s1", status="UP")
            self.die()
            self.proxy.wait_for("b/s1", chkdown=str(fall))
            self.come()
        for _ in range(5):
            time.sleep(self.PERIOD)
            self.assertEqual(self.row("chkdown"), "3")
            self.assertTrue(self.row("status").startswith("DOWN"))
            self.die()
            time.sleep(self.PERIOD)
            self.come()
            back = time.monotonic()
        wait_until(lambda: self.row("status") == "UP", 3 * self.HOLD_DOWN, "the server to be up")
        self.assertGreater(time.monotonic() - back, self.HOLD_DOWN)
        self.assertEqual(self.row("chkdown"), "3")

    def row(self, column: str) -> str:
        return self.proxy.rows()["b/s1"][column]

    def come(self) -> None:
        self._listener = socket.create_server((LOOPBACK, self.port), backlog=1000)

    def die(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
