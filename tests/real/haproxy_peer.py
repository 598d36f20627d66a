"""The two proxies as child processes: ours, and HAProxy with the reference configuration."""

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
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from tests.ports import free_ports
from tests.real.galera import CHECK_PASSWORD, LOOPBACK, wait_until
from tests.support import require

EXAMPLES = Path(__file__).parents[2] / "examples"
VIP, VIP_PORTS, FIRST_NODE = "192.168.1.220", (3306, 3307), 221
"""The addresses of the examples."""

REFERENCE = """\
global
    stats socket {directory}/stats
defaults
    mode tcp
    maxconn 10000
    timeout connect 5s
    timeout client 30s
    timeout server 30s

frontend vip-db
    bind {bind}
    timeout client 90m
    default_backend db-vms-galera
backend db-vms-galera
    option httpchk
    stick-table type ip size {size}
    stick on dst
    timeout server 90m
{servers}
"""
"""The database's part of an OpenStack cluster's haproxy.cfg, as operators run it."""
REFERENCE_SERVER = (
    "    server {name} {address} check inter 1s port {check_port} on-marked-down shutdown-sessions"
)


@frozen
class Target:
    """A server behind the proxy."""

    name: str
    port: int
    check_port: int

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"


class Peer:
    """A proxy of the database in a process of its own, with its stats socket."""

    name: str

    def __init__(self, targets: Sequence[Target]) -> None:
        self.targets = targets
        self.port = free_ports(1)
        self.directory = Path(tempfile.mkdtemp(prefix="vipproxy-peer-"))
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """What starts it in the foreground."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and wait until all servers are known to be up."""
        self.launch()
        wait_until(self._all_up, 30.0, f"{self.name} to find all servers up\n{self.log}")

    def launch(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), env=environment, cwd=self.directory, stdout=log, stderr=log
            )

    def stop(self) -> None:
        """SIGTERM, and SIGKILL where that does not help; the files go too."""
        self._terminate()
        self.crash()
        shutil.rmtree(self.directory, ignore_errors=True)

    def crash(self) -> None:
        """SIGKILL; the files stay for another start."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)

    @property
    def log(self) -> str:
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    # -- what it says of itself ---------------------------------------------------------

    def stat(self) -> dict[str, dict[str, str]]:
        """`show stat` by server; raises OSError while there is nobody to ask."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(self.directory / "stats"))
            client.sendall(b"show stat\n")
            answer = b""
            while received := client.recv(65536):
                answer += received
        rows = csv.DictReader(io.StringIO(answer.decode().removeprefix("# ").rstrip("\n")))
        names = {target.name for target in self.targets}
        return {row["svname"]: row for row in rows if row["svname"] in names}

    def sessions(self) -> Mapping[str, int]:
        """Current sessions by server."""
        return {name: int(row["scur"]) for name, row in self.stat().items()}

    def is_up(self, name: str) -> bool:
        """Whether a server is fully up, by its checks and not as an assumption at the start."""
        row = self.stat()[name]
        return row["status"] == "UP" and row["check_status"].startswith("L7OK")

    def _all_up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"{self.name} has ended:\n{self.log}")
        try:
            return all(self.is_up(target.name) for target in self.targets)
        except (OSError, KeyError):
            return False


class Haproxy(Peer):
    """HAProxy with the reference's frontend and backend, addresses exchanged."""

    name = "HAProxy"

    def __init__(self, targets: Sequence[Target], size: int = 2) -> None:
        super().__init__(targets)
        servers = [
            REFERENCE_SERVER.format(name=t.name, address=t.address, check_port=t.check_port)
            for t in targets
        ]
        text = REFERENCE.format(
            directory=self.directory,
            bind=f"{LOOPBACK}:{self.port}",
            size=size,
            servers="\n".join(servers),
        )
        (self.directory / "haproxy.cfg").write_text(text)

    def command(self) -> list[str]:
        return [require("haproxy"), "-db", "-f", "haproxy.cfg"]


class Vipproxy(Peer):
    """`twistd vipproxy` with an example, its addresses and paths exchanged.

    With `check` the example's check is replaced, and its servers are checked on check ports.
    """

    name = "vipproxy"

    def __init__(
        self, targets: Sequence[Target], check: str | None = None, example: str = "galera.ini"
    ) -> None:
        super().__init__(targets)
        self.ports = (self.port, free_ports(1))
        """Of the first frontend, and of the second where the example has one."""
        self.config_file = self.directory / "cluster.ini"
        password_file = self.directory / "check.password"
        password_file.write_text(CHECK_PASSWORD + "\n")
        self.config_file.write_text((EXAMPLES / example).read_text())
        self.exchange("/etc/vipproxy/check.password", str(password_file))
        self.exchange("/var/lib/vipproxy/", f"{self.directory}/")
        for vip_port, port in zip(VIP_PORTS, self.ports, strict=True):
            self.exchange(f"{VIP}:{vip_port}\n", f"{LOOPBACK}:{port}\n")
        for number, target in enumerate(targets, FIRST_NODE):
            own = f" check-port={target.check_port}" if check else ""
            self.exchange(f"192.168.1.{number}:3306", target.address + own)
        if check:
            text = self.config_file.read_text()
            self.config_file.write_text(re.sub(r"(?m)^check .*", f"check = {check}", text))

    def exchange(self, old: str, new: str) -> None:
        """Replace a part of the configuration, before the start."""
        self.config_file.write_text(self.config_file.read_text().replace(old, new))

    def command(self) -> list[str]:
        twistd = "import sys; from twisted.scripts.twistd import run; sys.exit(run())"
        options = ["--pidfile=", "--nodaemon", "vipproxy", "--config", str(self.config_file)]
        return [sys.executable, "-c", twistd, *options]
