"""One fault on the pinned node while sixteen writers write through a proxy, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable

from attrs import field, frozen

from tests.real.clustercheck import ClusterCheck
from tests.real.galera import EVICTION, GaleraCluster, Node, wait_until
from tests.real.haproxy_peer import Peer, Target
from tests.real.watch import Moments, Watch
from tests.real.writers import Call, Journal, Writers, make_table, stored, stored_by_all

WRITERS = 16
BEFORE = 1.0
"""Seconds of undisturbed writing before the fault."""
AFTER = 1.5
"""Seconds of watching after the first commit elsewhere, and again after the node is back."""
LIMIT = 30.0
"""Seconds after which something has not happened that should have."""


class Bench:
    """A cluster with a sidecar for each node."""

    def __init__(self) -> None:
        self.cluster = GaleraCluster()
        self.checks = {node.name: ClusterCheck(node.is_synced) for node in self.cluster.nodes}

    def start(self) -> None:
        self.cluster.start()
        for check in self.checks.values():
            check.start()

    def stop(self) -> None:
        for check in self.checks.values():
            check.stop()
        self.cluster.stop()

    @property
    def targets(self) -> list[Target]:
        return [
            Target(node.name, node.port, self.checks[node.name].port) for node in self.cluster.nodes
        ]

    def heal(self, node: Node) -> None:
        """Undo whatever was done to a node; returns when the cluster is whole."""
        self.checks[node.name].start()
        self.cluster.heal(node)


@frozen
class Fault:
    name: str
    inflict: Callable[[Bench, Node], None]
    silent: bool = False
    """The node does not answer its check any more, not even with bad news."""
    noticed_after: float = 0.0
    """Seconds until the node itself knows."""
    commits_after: float = 0.0
    """Seconds until the rest of the cluster can commit again."""
    freezes: bool = False


FAULTS = (
    Fault("SIGKILL", lambda bench, node: node.kill(), commits_after=EVICTION),
    Fault(
        "SIGSTOP",
        lambda bench, node: node.freeze(),
        silent=True,
        commits_after=EVICTION,
        freezes=True,
    ),
    Fault("wsrep_desync", lambda bench, node: node.desync()),
    Fault(
        "non-Primary",
        lambda bench, node: node.isolate(),
        noticed_after=EVICTION,
        commits_after=EVICTION,
    ),
    # The listening socket stays open to the end, with nobody behind it.
    Fault("clean shutdown", lambda bench, node: node.shutdown(), silent=True),
)
CHECK_PORT_REFUSED = Fault("check port refused", lambda bench, node: bench.checks[node.name].stop())


@frozen
class Findings:
    """What came of one fault. Times are seconds from the fault."""

    served: float | None
    """Until another node answered a client."""
    committed: float | None
    """Until another node acknowledged a commit."""
    silence: float
    """The longest time without a commit anywhere, until the node was healed."""
    hang: Call
    """The longest call of a client, until the node was healed."""
    lost: int
    """Acknowledged commits that the cluster does not have."""
    acknowledged: int
    listed: Moments
    """With client sessions on two nodes, by the nodes' own process lists."""
    serving: Moments
    """The same without sessions that only worked off their last statement."""
    accounted: Moments
    """With client sessions on two nodes, by the proxy's accounting."""
    moved_back: bool
    """Clients came to the healed node, though the one that they were on had not failed."""
    written_after: int
    """Rows that the failed node added to the cluster after another had begun to serve."""
    journal: Journal = field(repr=False)
    log: str = field(repr=False)
    """What the proxy said."""


class Experiment:
    """Run once; the cluster is whole before and after."""

    def __init__(self, bench: Bench, peer: Peer, fault: Fault) -> None:
        self._bench, self._peer, self._fault = bench, peer, fault
        self._pinned, *self._others = bench.cluster.nodes

    def run(self) -> Findings:
        make_table(self._others[0])
        self._peer.start()
        watch = Watch(self._bench.cluster.nodes, self._peer.sessions)
        watch.start()
        writers = Writers(self._peer.port, WRITERS)
        try:
            return self._observe(watch, writers)
        finally:
            writers.stop()
            watch.stop()
            self._peer.stop()
            self._bench.heal(self._pinned)

    def _observe(self, watch: Watch, writers: Writers) -> Findings:
        pinned = self._pinned.name
        all_there = f"{WRITERS} sessions on {pinned}"
        wait_until(lambda: len(watch.sessions(pinned)) == WRITERS, LIMIT, all_there)
        time.sleep(BEFORE)
        # What a frozen process still lists as it awakes are sessions that the proxy has ended.
        ghosts = watch.sessions(pinned) if self._fault.freezes else ()
        ignored = frozenset((pinned, number) for number in ghosts)
        fault_at = time.monotonic()
        self._fault.inflict(self._bench, self._pinned)
        wait_until(self._commits_elsewhere, LIMIT, "commits on another node")
        time.sleep(AFTER)
        rows, fallen = self._rows_of_pinned(), self._fallen()
        healed_at = time.monotonic()
        self._bench.heal(self._pinned)
        self._wait_up()
        time.sleep(AFTER)
        stayed = self._fallen() == fallen
        journal = writers.finish()
        watch.stop()
        back = journal.has_landed(healed_at, self._pinned.port) or watch.held(pinned, healed_at)
        return Findings(
            served=_after(fault_at, journal.first_landing(fault_at, self._pinned.port)),
            committed=_after(fault_at, journal.first_commit(fault_at, self._pinned.port)),
            silence=journal.silence(fault_at, healed_at),
            hang=journal.longest_call(fault_at, healed_at),
            lost=self._lost(journal),
            acknowledged=len(journal.commits),
            listed=watch.listed(fault_at, ignored),
            serving=watch.serving(fault_at, ignored),
            accounted=watch.accounted(fault_at),
            moved_back=back and stayed,
            written_after=self._rows_of_pinned() - rows,
            journal=journal,
            log=self._peer.log,
        )

    def _commits_elsewhere(self) -> bool:
        return any(port != self._pinned.port for port in stored(self._others[-1]).values())

    def _wait_up(self) -> None:
        name = self._pinned.name
        wait_until(lambda: self._peer.is_up(name), LIMIT, f"{name} to be up again")

    def _fallen(self) -> int:
        """How often the other nodes have been marked down."""
        rows = self._peer.stat()
        return sum(int(rows[node.name]["chkdown"]) for node in self._others)

    def _rows_of_pinned(self) -> int:
        rows = stored(self._others[-1])
        return sum(port == self._pinned.port for port in rows.values())

    def _lost(self, journal: Journal) -> int:
        rows = stored_by_all(self._others[-1])
        return sum((each.writer, each.number) not in rows for each in journal.commits)


def _after(begin: float, at: float | None) -> float | None:
    return None if at is None else at - begin
