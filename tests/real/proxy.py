"""vipproxy as a process of its own, asked through its stats socket."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.processes import environment
from tests.real.galera import wait_until

START_LIMIT = 30.0
ANSWER_LIMIT = 20.0
"""Seconds: a machine that is busy with other tests may take its time."""

Rows = dict[str, dict[str, str]]
"""The CSV of `show stat` by ``proxy/server``."""


class Proxy:
    """`configuration` is INI text without a `[global]` section.

    `prefix` goes before the command: what runs it in a namespace.
    """

    def __init__(self, configuration: str, prefix: Sequence[str] = ()) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="vipproxy-real-"))
        file = self.directory / "cluster.ini"
        head = f"[global]\nstats-socket = {self.directory}/stats level=admin\ngrace = 100ms\n"
        file.write_text(head + configuration)
        command = [*prefix, sys.executable, "-m", "vipproxy", "run", str(file)]
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, env=environment(), cwd=self.directory, stdout=log, stderr=log
            )

    def wait_ready(self, *servers: str) -> None:
        """Until it answers, and these servers (``backend/server``) are up."""

        def ready() -> bool:
            if self._process.poll() is not None:
                raise AssertionError(f"the proxy has ended:\n{self.log}")
            try:
                rows = self.rows()
            except OSError:
                return False
            return all(rows[server]["status"] == "UP" for server in servers)

        wait_until(ready, START_LIMIT, f"the proxy to find {servers} up")

    def wait_for(self, row: str, limit: float = 10.0, **cells: str) -> None:
        """Until a row of the CSV has these cells."""

        def there() -> bool:
            found = self.rows()[row]
            return all(found[name] == value for name, value in cells.items())

        wait_until(there, limit, f"{cells} of {row}")

    def ask(self, command: str) -> str:
        """The answer to a command of the stats socket; raises OSError where nobody listens."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(ANSWER_LIMIT)
            client.connect(str(self.directory / "stats"))
            client.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: client.recv(65536), b"")).decode()

    def rows(self) -> Rows:
        text = self.ask("show stat").removeprefix("# ").rstrip("\n")
        rows = csv.DictReader(io.StringIO(text))
        return {f"{row['pxname']}/{row['svname']}": row for row in rows}

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def logged_shutdowns(self) -> list[int]:
        """The numbers of sessions that mark-downs and mark-ups ended, as the log says."""
        return [int(each) for each in re.findall(r"(\d+) sessions (?:active|shut down)", self.log)]

    def cpu_seconds(self) -> float:
        """CPU time that it has used so far (proc(5), utime and stime)."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """SIGTERM, and SIGKILL where that does not help; a traceback in the log is a failure."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        log = self.log
        shutil.rmtree(self.directory, ignore_errors=True)
        if "Traceback" in log:
            raise AssertionError(log[-5000:])
