"""A real Galera cluster on loopback, whose nodes can be broken in the ways that nodes break."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import SkipTest

import pymysql  # type: ignore[import-untyped]
from attrs import define, field

from tests.ports import free_ports
from tests.support import require

LOOPBACK = "127.0.0.1"
PROVIDER = Path("/usr/lib/galera/libgalera_smm.so")
SYNCED = 4
"""wsrep_local_state of a node that may serve."""
SUSPECT_TIMEOUT = 2.0
"""Seconds of silence until a node is suspected (Galera's evs.suspect_timeout; its default is 5)."""
EVICTION = SUSPECT_TIMEOUT + 1.0
"""Seconds until the others have agreed to go on without it; no node can commit meanwhile."""
START_LIMIT = 60.0
ROOT_PATIENCE = 5.0

CHECK_USER, CHECK_PASSWORD = "vipproxy", "check-secret"
WRITER_USER, WRITER_PASSWORD = "writer", "writer-secret"
DATABASE = "shop"
SCHEMA = f"""
CREATE USER {CHECK_USER}@'%' IDENTIFIED BY '{CHECK_PASSWORD}';
CREATE USER {WRITER_USER}@'%' IDENTIFIED BY '{WRITER_PASSWORD}';
CREATE DATABASE {DATABASE};
GRANT ALL ON {DATABASE}.* TO {WRITER_USER}@'%'
"""

SERVER_OPTIONS = (
    f"--bind-address={LOOPBACK}",
    "--skip-name-resolve",
    "--max-connections=500",
    "--innodb-buffer-pool-size=32M",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-autoinc-lock-mode=2",
    "--binlog-format=ROW",
    "--wsrep-on=ON",
    f"--wsrep-provider={PROVIDER}",
    "--wsrep-cluster-name=vipproxy-test",
    "--wsrep-sst-method=rsync",
)


class ClusterFailed(AssertionError):
    """A node did not do what it was told; says what its log says last."""


def require_galera() -> None:
    """Skip, or fail in CI, where something is missing."""
    for program in ("mariadbd", "mariadb-install-db", "rsync"):
        require(program)
    if not PROVIDER.exists():
        if os.environ.get("VIPPROXY_REQUIRE_REAL") == "1":
            raise AssertionError("galera-4 is not installed, and VIPPROXY_REQUIRE_REAL=1")
        raise SkipTest("galera-4 is not installed")


def wait_until(condition: Any, limit: float, what: str) -> None:
    """Poll a condition; raises ClusterFailed after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterFailed(f"waited {limit:g}s in vain for {what}")
        time.sleep(0.05)


@define(eq=False)
class Node:
    """One mariadbd with wsrep. `galera_port` is followed by those for IST and SST."""

    name: str
    directory: Path
    user: str
    port: int
    galera_port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _leaving: bool = field(default=False, init=False)

    @property
    def socket(self) -> Path:
        return self.directory / "socket"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def galera_address(self) -> str:
        return f"{LOOPBACK}:{self.galera_port}"

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    # -- asking it, through its own Unix socket -----------------------------------------

    def connect(self, patience: float = ROOT_PATIENCE) -> Any:
        """As root, past the network; OperationalError after `patience` seconds of silence."""
        return pymysql.connect(
            unix_socket=str(self.socket),
            user="root",
            autocommit=True,
            connect_timeout=patience,
            read_timeout=patience,
            write_timeout=patience,
        )

    def sql(self, text: str, patience: float = ROOT_PATIENCE) -> list[tuple[Any, ...]]:
        """The rows of one statement."""
        connection = self.connect(patience)
        try:
            with connection.cursor() as cursor:
                cursor.execute(text)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def status(self, patience: float = ROOT_PATIENCE) -> dict[str, str]:
        """Its wsrep status variables; empty where it does not answer."""
        try:
            return dict(self.sql("SHOW GLOBAL STATUS LIKE 'wsrep%'", patience))
        except pymysql.err.MySQLError:
            return {}

    def is_synced(self, patience: float = ROOT_PATIENCE) -> bool:
        """It says of itself that it may serve."""
        return _is_synced(self.status(patience))

    # -- life and death -----------------------------------------------------------------

    def start(self, peers: list[Node], donor: str = "") -> None:
        """Start, as the first of a cluster where there are no peers; returns when synced."""
        provider = (
            f"base_port={self.galera_port};ist.recv_addr={LOOPBACK}:{self.galera_port + 1};"
            f"gcache.size=16M;evs.keepalive_period=PT0.3S;evs.inactive_check_period=PT0.2S;"
            f"evs.suspect_timeout=PT{SUSPECT_TIMEOUT:g}S"
        )
        options = (
            f"--user={self.user}",
            f"--datadir={self.data}",
            f"--socket={self.socket}",
            f"--port={self.port}",
            f"--wsrep-node-name={self.name}",
            f"--wsrep-node-address={self.galera_address}",
            f"--wsrep-sst-receive-address={LOOPBACK}:{self.galera_port + 2}",
            f"--wsrep-sst-donor={donor}",
            f"--wsrep-provider-options={provider}",
            f"--wsrep-cluster-address=gcomm://{','.join(peer.galera_address for peer in peers)}",
        )
        command = [require("mariadbd"), "--no-defaults", *SERVER_OPTIONS, *options]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self.wait_synced()

    def wait_synced(self, limit: float = START_LIMIT) -> None:
        try:
            wait_until(lambda: self.died or self.is_synced(), limit, f"{self.name} to be synced")
        except ClusterFailed as error:
            raise ClusterFailed(f"{error}\n{self.log[-3000:]}") from None
        if self.died:
            raise ClusterFailed(f"{self.name} has died\n{self.log[-3000:]}")

    def wait_answering(self) -> None:
        wait_until(self.status, START_LIMIT, f"{self.name} to answer")

    @property
    def died(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """SIGKILL: no word to anybody."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP: its sockets stay open, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def desync(self, on: bool = True) -> None:
        """Donor/Desynced: it serves, but may fall behind."""
        self.sql(f"SET GLOBAL wsrep_desync={'ON' if on else 'OFF'}")

    def isolate(self, on: bool = True) -> None:
        """Cut off from its peers: it ends in a non-Primary component of its own."""
        self.sql(f"SET GLOBAL wsrep_provider_options='gmcast.isolate={int(on)}'")

    def shutdown(self) -> None:
        """SIGTERM: it takes leave of clients and cluster."""
        self._signal(signal.SIGTERM)
        self._leaving = True

    def wait_down(self, limit: float = 60.0) -> None:
        """Where it was told to shut down, wait until it has."""
        if self._leaving and self._process is not None:
            self._process.wait(limit)
            self._leaving = False

    def stop(self) -> None:
        """End it, whatever state it is in; harmless when it has ended."""
        if not self.died:
            self.kill()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


def client_sessions(cursor: Any) -> dict[int, bool]:
    """The writers' sessions in a node's process list, by id: whether one waits for its client.

    Not from information_schema, for which MariaDB makes temporary tables: at the pace of the tests
    10.11 crashed over one of them.
    """
    cursor.execute("SHOW PROCESSLIST")
    rows = cursor.fetchall()
    return {
        number: command == "Sleep"
        for number, user, _host, _db, command, *_ in rows
        if user == WRITER_USER
    }


def _is_synced(status: dict[str, str]) -> bool:
    ready = status.get("wsrep_ready") == "ON"
    return ready and status.get("wsrep_local_state") == str(SYNCED)


class GaleraCluster:
    """Three nodes take about fifteen seconds, so tests of one module share a cluster."""

    def __init__(self, nodes: int = 3) -> None:
        require_galera()
        self.directory = Path(tempfile.mkdtemp(prefix="vipproxy-galera-"))
        self._user = "mysql" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        self.directory.chmod(0o755)
        self.nodes = [self._node(f"node{number}") for number in range(1, nodes + 1)]
        atexit.register(self.stop)  # also where a test run is broken off

    def _node(self, name: str) -> Node:
        directory = self.directory / name
        directory.mkdir()
        if os.getuid() == 0:
            shutil.chown(directory, self._user)
        return Node(name, directory, self._user, free_ports(1), free_ports(3))

    def start(self) -> None:
        """All nodes synced, with the users and the database of the tests."""
        try:
            self._install()
            for number, node in enumerate(self.nodes):
                node.start(self.nodes[:number])
            for statement in SCHEMA.split(";"):
                self.nodes[0].sql(statement)
        except BaseException:
            self.stop()
            raise

    def _install(self) -> None:
        """Make the first data directory; joining nodes get theirs from a donor."""
        install = [
            require("mariadb-install-db"),
            "--no-defaults",
            f"--user={self._user}",
            f"--datadir={self.nodes[0].data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterFailed(done.stdout + done.stderr)
        for node in self.nodes[1:]:
            command = ["cp", "-a", str(self.nodes[0].data), str(node.data)]
            subprocess.run(command, check=True)

    def restart(self, node: Node) -> None:
        """Bring a node that has ended back; the last other node is its donor, never a writer."""
        others = [each for each in self.nodes if each is not node]
        node.start(others, donor=others[-1].name)

    def heal(self, node: Node) -> None:
        """Undo whatever was done to a node; returns when it is synced."""
        node.wait_down()
        if node.died:
            self.restart(node)
            self.wait_whole()
            return
        node.thaw()
        node.wait_answering()
        node.desync(False)
        node.isolate(False)
        self.wait_whole()

    def wait_whole(self) -> None:
        """All nodes synced, and of one mind about who belongs to the cluster.

        A node that was frozen still takes itself for a member when it awakes.
        """
        try:
            wait_until(self._is_whole, START_LIMIT, "the cluster to be whole")
        except ClusterFailed as error:
            logs = "\n".join(f"{node.name}:\n{node.log[-2000:]}" for node in self.nodes)
            raise ClusterFailed(f"{error}\n{logs}") from None

    def _is_whole(self) -> bool:
        states = [node.status() for node in self.nodes]
        views = {(s.get("wsrep_cluster_conf_id"), s.get("wsrep_cluster_size")) for s in states}
        of_one_mind = len(views) == 1 and views.pop()[1] == str(len(self.nodes))
        return of_one_mind and all(map(_is_synced, states))

    def stop(self) -> None:
        """End what was started here, and nothing else."""
        atexit.unregister(self.stop)
        for node in self.nodes:
            node.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
