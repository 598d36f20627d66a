"""Clients that write as fast as a service does, and keep a journal of what was acknowledged.

Run as a process of its own, so that sixteen busy threads do not slow down who watches them:
`python -m tests.real.writers PORT THREADS` writes until its input ends, then prints the journal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any

import pymysql  # type: ignore[import-untyped]
from attrs import asdict, define, field, frozen

from tests.real.galera import DATABASE, LOOPBACK, WRITER_PASSWORD, WRITER_USER, Node

PATIENCE = 20.0
"""Seconds until a client gives up a call: longer than any wait that is allowed, so that a hang is
seen and measured."""
THINK_TIME = 0.01
"""Seconds between two transactions of a writer, and before it connects again."""
STAGGER = 0.02
"""Seconds between the starts of two writers: not even a stick table of size 2 overflows."""
SLOW = 0.1
"""A call that takes longer (seconds) is written down."""
TABLE = "journal"
SELECT = f"SELECT writer, number, node FROM {DATABASE}.{TABLE}"


@frozen
class Commit:
    """An acknowledged one. Times are seconds of time.monotonic(), which all processes share."""

    writer: int
    number: int
    node: int
    """The port of the node that the session is on."""
    at: float


@frozen
class Call:
    """A call of the client library that was slow, or failed."""

    what: str
    began: float
    seconds: float
    error: str = ""


@define
class Journal:
    """What the clients saw."""

    commits: list[Commit] = field(factory=list)
    landings: list[tuple[float, int]] = field(factory=list)
    """When a connection got its first answer, and from the node on which port."""
    slow: list[Call] = field(factory=list)
    failures: list[Call] = field(factory=list)

    def first_landing(self, since: float, but: int) -> float | None:
        """When another node than `but` first answered."""
        return min((at for at, node in self.landings if at > since and node != but), default=None)

    def has_landed(self, since: float, node: int) -> bool:
        """Whether a connection got to this node after `since`."""
        return any(at > since and port == node for at, port in self.landings)

    def first_commit(self, since: float, but: int) -> float | None:
        """When another node than `but` first acknowledged a commit."""
        return min((c.at for c in self.commits if c.at > since and c.node != but), default=None)

    def longest_call(self, since: float, until: float) -> Call:
        """The longest one that ended between the two times."""
        calls = [c for c in (*self.slow, *self.failures) if since < c.began + c.seconds < until]
        return max(calls, key=lambda call: call.seconds, default=Call("none", since, 0.0))

    def silence(self, since: float, until: float) -> float:
        """The longest time, in seconds, without any acknowledged commit that ended in between."""
        times = sorted(commit.at for commit in self.commits)
        gaps = [later - earlier for earlier, later in pairwise(times) if since < later < until]
        return max(gaps, default=0.0)

    def errors(self) -> Counter[str]:
        return Counter(call.error for call in self.failures)

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Journal:
        found = json.loads(text)
        return cls(
            commits=[Commit(**each) for each in found["commits"]],
            landings=[(at, node) for at, node in found["landings"]],
            slow=[Call(**each) for each in found["slow"]],
            failures=[Call(**each) for each in found["failures"]],
        )


def make_table(node: Node) -> None:
    """An empty table for the writers."""
    node.sql(f"DROP TABLE IF EXISTS {DATABASE}.{TABLE}")
    node.sql(
        f"CREATE TABLE {DATABASE}.{TABLE}"
        " (writer INT, number INT, node INT, PRIMARY KEY (writer, number))"
    )


def stored(node: Node) -> dict[tuple[int, int], int]:
    """The rows of the table as a node has them: (writer, number) -> the port it was written on."""
    return _rows(node, SELECT)


def stored_by_all(node: Node) -> dict[tuple[int, int], int]:
    """The same, when the node has applied everything that any node had committed before."""
    return _rows(node, f"SET STATEMENT wsrep_sync_wait=1 FOR {SELECT}")


def _rows(node: Node, select: str) -> dict[tuple[int, int], int]:
    return {(writer, number): port for writer, number, port in node.sql(select, patience=30.0)}


class Writer:
    """One client: a row a transaction; after an error it connects again at once."""

    def __init__(self, name: int, port: int, stop: threading.Event) -> None:
        self.journal = Journal()
        self._name, self._port, self._stop = name, port, stop
        self._number = 0

    def run(self) -> None:
        while not self._stop.is_set():
            try:
                self._session()
            except (pymysql.err.MySQLError, OSError):
                self._stop.wait(THINK_TIME)  # it is in the journal

    def _session(self) -> None:
        with self._timed("connect"):
            connection = pymysql.connect(
                host=LOOPBACK,
                port=self._port,
                user=WRITER_USER,
                password=WRITER_PASSWORD,
                database=DATABASE,
                connect_timeout=PATIENCE,
                read_timeout=PATIENCE,
                write_timeout=PATIENCE,
            )
        try:
            with connection.cursor() as cursor:
                self._write(connection, cursor)
        finally:
            with suppress(pymysql.err.MySQLError, OSError):
                connection.close()

    def _write(self, connection: Any, cursor: Any) -> None:
        with self._timed("first query"):
            cursor.execute("SELECT @@port")
            (node,) = cursor.fetchone()
        self.journal.landings.append((time.monotonic(), node))
        while not self._stop.is_set():
            self._number += 1
            with self._timed("insert"):
                values = (self._name, self._number, node)
                cursor.execute(f"INSERT INTO {TABLE} VALUES (%s, %s, %s)", values)
            with self._timed("commit"):
                connection.commit()
            self.journal.commits.append(Commit(*values, time.monotonic()))
            self._stop.wait(THINK_TIME)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        except (pymysql.err.MySQLError, OSError) as error:
            text = " ".join(str(each) for each in error.args)
            self.journal.failures.append(Call(what, began, time.monotonic() - began, text))
            raise
        seconds = time.monotonic() - began
        if seconds > SLOW:
            self.journal.slow.append(Call(what, began, seconds))


class Writers:
    """Many writers in a child process."""

    def __init__(self, port: int, threads: int = 16) -> None:
        command = [sys.executable, "-m", "tests.real.writers", str(port), str(threads)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, env=environment, stdin=pipe, stdout=pipe, text=True
        )

    def finish(self) -> Journal:
        """Let them end their transactions; what they saw."""
        output, _ = self._process.communicate(timeout=2 * PATIENCE)
        return Journal.load(output)

    def stop(self) -> None:
        """End them at once; harmless when they have ended."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def main(port: int, threads: int) -> None:
    stop = threading.Event()
    writers = [Writer(name, port, stop) for name in range(threads)]
    running = [threading.Thread(target=writer.run) for writer in writers]
    for thread in running:
        thread.start()
        stop.wait(STAGGER)
    sys.stdin.read()
    stop.set()
    for thread in running:
        thread.join()
    whole = Journal()
    for each in writers:
        whole.commits += each.journal.commits
        whole.landings += each.journal.landings
        whole.slow += each.journal.slow
        whole.failures += each.journal.failures
    print(whole.dump())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
