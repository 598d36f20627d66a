"""One writer, always: real Galera nodes fail while clients write, and never do two nodes serve."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache

import pymysql  # type: ignore[import-untyped]
from twisted.trial.unittest import SynchronousTestCase

from tests.real.clustercheck import ClusterCheck
from tests.real.crowded_server import CrowdedServer, greeting
from tests.real.faults import CHECK_PORT_REFUSED, FAULTS, WRITERS, Bench, Experiment, Fault
from tests.real.galera import DATABASE, LOOPBACK, WRITER_PASSWORD, WRITER_USER, wait_until
from tests.real.haproxy_peer import Haproxy, Peer, Target, Vipproxy
from tests.real.watch import Watch
from tests.real.writers import Writers, make_table, stored_by_all
from vipproxy.config import load
from vipproxy.config.options import BackendConfig
from vipproxy.config.server_options import CheckOptions
from vipproxy.plugins import Catalog

CLUSTERCHECK = "http interval=500ms"
GRACE = 1.0
"""Seconds beyond the detection time in which the new pin must serve."""


@cache
def bench() -> Bench:
    """Started once for all tests; it ends with the module or, under trial, with the process."""
    started = Bench()
    started.start()
    return started


def tearDownModule() -> None:
    if bench.cache_info().currsize:
        bench().stop()


def backend_of(peer: Vipproxy) -> BackendConfig:
    return load(str(peer.config_file), Catalog()).config.backends[0]


def detection_time(check: CheckOptions, silent: bool) -> float:
    """Seconds from a fault to the mark-down at most, as docs/galera.md has it.

    The fault may come just after a passed check. A silent server lets each check time out.
    """
    timeout = check.interval if check.timeout is None else check.timeout
    pause = check.interval if check.fastinter is None else check.fastinter
    return check.interval + (check.fall - 1) * pause + (check.fall * timeout if silent else 0.0)


class OneWriter(SynchronousTestCase):
    """Each test breaks node1, on which the pin is, and heals it again."""

    def setUp(self) -> None:
        self.bench = bench()

    def break_writer(self, fault: Fault, check: str | None = None) -> None:
        """Everything that must hold, whatever happens to the writer."""
        peer = Vipproxy(self.bench.targets, check)
        options = backend_of(peer).options.check
        assert options is not None
        detected = fault.noticed_after + detection_time(options.common, fault.silent)
        found = Experiment(self.bench, peer, fault).run()
        told = repr(found)

        for moments in (found.serving, found.accounted):
            self.assertEqual(moments.two, 0, told)
            self.assertGreater(moments.all, 50, told)
        self.assertEqual(found.lost, 0, told)
        self.assertGreater(found.acknowledged, 100, told)
        self.assertEqual(found.written_after, 0, told)
        assert found.served is not None, told
        self.assertLess(found.served, detected + GRACE, told)
        # While the nodes agree on who has left, none of them commits: that is not the proxy's time.
        limit = max(detected, fault.commits_after) + GRACE
        assert found.committed is not None, told
        self.assertLess(found.committed, limit, told)
        self.assertLess(found.hang.seconds, limit, told)
        self.assertFalse(found.moved_back, told)

    def test_killed(self) -> None:
        """SIGKILL."""
        self.break_writer(FAULTS[0])

    def test_frozen(self) -> None:
        """SIGSTOP: nothing is said or closed, and later the node awakes with its old sessions."""
        self.break_writer(FAULTS[1])

    def test_desynced(self) -> None:
        """wsrep_desync: the node works on, but says Donor/Desynced."""
        self.break_writer(FAULTS[2])

    def test_isolated(self) -> None:
        """The node falls out of the cluster into a non-Primary component."""
        self.break_writer(FAULTS[3])

    def test_shut_down(self) -> None:
        """A clean shutdown."""
        self.break_writer(FAULTS[4])

    def test_check_port_refused(self) -> None:
        """Only the check port refuses; the node itself could go on."""
        self.break_writer(CHECK_PORT_REFUSED, CLUSTERCHECK)

    def test_killed_with_clustercheck(self) -> None:
        """SIGKILL of the database alone, while the check port still answers."""
        self.break_writer(FAULTS[0], CLUSTERCHECK)

    def test_proxy_restarted(self) -> None:
        """A proxy that crashes and starts again keeps the pin that had moved."""
        first, second, third = self.bench.cluster.nodes
        make_table(third)
        with ExitStack() as stack:
            peer = Vipproxy(self.bench.targets)
            stack.callback(peer.stop)
            peer.start()
            stack.callback(self.bench.heal, first)
            first.desync()
            wait_until(lambda: peer.stat()[first.name]["status"] == "DOWN", 10, "the mark-down")
            watch = Watch(self.bench.cluster.nodes, peer.sessions)
            watch.start()
            stack.callback(watch.stop)
            writers = Writers(peer.port, WRITERS)
            stack.callback(writers.stop)
            wait_until(lambda: len(watch.sessions(second.name)) == WRITERS, 10, "all writers")
            self.bench.heal(first)
            wait_until(lambda: peer.is_up(first.name), 10, "the first node to be up")
            restarted_at = time.monotonic()
            peer.crash()
            peer.start()
            wait_until(lambda: len(watch.sessions(second.name)) == WRITERS, 10, "all writers")
            time.sleep(1.0)
            journal = writers.finish()
            watch.stop()
        self.assertEqual({node for _, node in journal.landings}, {second.port})
        self.assertGreaterEqual(
            sum(at > restarted_at for at, _ in journal.landings), WRITERS, journal.errors()
        )
        self.assertEqual(watch.serving(restarted_at).two, 0)
        self.assertEqual(watch.accounted(restarted_at).two, 0)
        rows = stored_by_all(third)
        self.assertEqual([c for c in journal.commits if (c.writer, c.number) not in rows], [])

    def test_reads_elsewhere(self) -> None:
        """The example for reads: writes go to one node, reads to all of them."""
        peer = Vipproxy(self.bench.targets, example="galera-read-split.ini")
        self.addCleanup(peer.stop)
        peer.start()
        write_ports, read_ports = (self.nodes_behind(port) for port in peer.ports)
        self.assertEqual(write_ports, {self.bench.cluster.nodes[0].port})
        self.assertEqual(read_ports, {node.port for node in self.bench.cluster.nodes})

    def nodes_behind(self, port: int, clients: int = 6) -> set[int]:
        """The ports of the nodes that simultaneous clients of the proxy get."""
        with ExitStack() as stack:
            found = set()
            for _ in range(clients):
                connection = pymysql.connect(
                    host=LOOPBACK,
                    port=port,
                    user=WRITER_USER,
                    password=WRITER_PASSWORD,
                    database=DATABASE,
                )
                stack.callback(connection.close)
                with connection.cursor() as cursor:
                    cursor.execute("SELECT @@port")
                    found.add(cursor.fetchone()[0])
            return found


def greetings(port: int, clients: int, patience: float) -> list[str]:
    """Who greets each of several clients that come one after the other, and wait together."""
    with ThreadPoolExecutor(clients) as pool:
        waiting = []
        for _ in range(clients):
            waiting.append(pool.submit(greeting, port, patience))
            time.sleep(0.05)
        return [each.result() for each in waiting]


class Eviction(SynchronousTestCase):
    """The pinned server's accept queue is full, and the stick table has room for two."""

    PATIENCE = 1.0
    CLIENTS = 6

    def setUp(self) -> None:
        self.servers = [CrowdedServer(f"node{number}") for number in (1, 2, 3)]
        for server in self.servers:
            self.addCleanup(server.close)
        self.check = ClusterCheck(lambda: True)
        self.check.start()
        self.addCleanup(self.check.stop)
        self.targets = [Target(s.name, s.port, self.check.port) for s in self.servers]

    def others_that_greet(self, peer: Peer) -> set[str]:
        """Pin a server and crowd it: which others do the next clients get?"""
        self.addCleanup(peer.stop)
        peer.start()
        pinned = greeting(peer.port, self.PATIENCE)
        next(server for server in self.servers if server.name == pinned).crowd()
        greeted = greetings(peer.port, self.CLIENTS, self.PATIENCE)
        return set(greeted) - {"", pinned}

    def test_haproxy(self) -> None:
        """In HAProxy pending connections evict the pin, and two servers are written at once."""
        self.assertNotEqual(self.others_that_greet(Haproxy(self.targets, size=2)), set())

    def test_haproxy_large_table(self) -> None:
        """It is the size of the table: with room for all, HAProxy stays."""
        self.assertEqual(self.others_that_greet(Haproxy(self.targets, size=1000)), set())

    def test_vipproxy(self) -> None:
        """Here connections in flight never evict a pin, at the same size."""
        peer = Vipproxy(self.targets, check="http interval=1s")
        peer.exchange("stick     = dst\n", "stick     = dst size=2\n")
        self.assertEqual(self.others_that_greet(peer), set())
