"""Real RabbitMQ nodes on loopback, each a cluster of its own."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pika  # type: ignore[import-untyped]

from tests.ports import free_ports
from tests.real.galera import LOOPBACK, wait_until
from tests.support import require

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Not the wrapper in /usr/sbin, which would drop privileges."""
START_LIMIT = 60.0
PATIENCE = 10.0


class Rabbits:
    """Two nodes and the name server that they need; start them with `ensure`."""

    def __init__(self) -> None:
        require("rabbitmq-server")
        self.directory = Path(tempfile.mkdtemp(prefix="vipproxy-rabbit-"))
        # Erlang would start a name server by itself, and leave it behind.
        port = free_ports(1)
        names = {"ERL_EPMD_PORT": str(port), "ERL_EPMD_ADDRESS": LOOPBACK}
        command = [require("epmd"), "-address", LOOPBACK, "-port", str(port)]
        self._epmd = subprocess.Popen(command)
        self.nodes = [Node(name, self.directory / name, names) for name in ("r1", "r2")]
        atexit.register(self.stop)  # also where a test run is broken off

    def ensure(self) -> None:
        """All nodes answer; those that have died are started again with their data."""
        dead = [node for node in self.nodes if node.died]
        for node in dead:
            node.launch()
        for node in dead:
            node.wait_answering()

    def stop(self) -> None:
        """End what was started here, and nothing else."""
        atexit.unregister(self.stop)
        for node in self.nodes:
            node.kill()
        self._epmd.kill()
        self._epmd.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


@cache
def shared() -> Rabbits:
    """Two nodes for all tests of a run; they end with it."""
    return Rabbits()


class Node:
    """One node; `environment` says where the name server is."""

    def __init__(self, name: str, directory: Path, environment: dict[str, str]) -> None:
        self.name, self.directory = name, directory
        self.port = free_ports(2)
        directory.mkdir()
        self._environment = {
            **os.environ,
            **environment,
            "HOME": str(directory),
            "RABBITMQ_NODENAME": f"{name}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.port + 1),
            "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
            # The script then becomes the node, so that its process id is the node's own.
            "RUNNING_UNDER_SYSTEMD": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def died(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def launch(self) -> None:
        """Start it; about four seconds later it answers."""
        with (self.directory / "out").open("ab") as out:
            self._process = subprocess.Popen(
                [str(SERVER)], env=self._environment, stdout=out, stderr=out
            )

    def wait_answering(self) -> None:
        wait_until(self._answers, START_LIMIT, f"{self.name} to answer")

    def _answers(self) -> bool:
        if self.died:
            text = (self.directory / "out").read_text(errors="replace")
            raise AssertionError(f"{self.name} has ended:\n{text[-3000:]}")
        try:
            connect(self.port).close()
        except (OSError, pika.exceptions.AMQPError):
            return False
        return True

    def kill(self) -> None:
        """SIGKILL: no word to anybody; harmless when it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def connect(port: int, heartbeat: int = 60) -> Any:
    """A blocking connection as guest; `heartbeat` is in seconds. Raises AMQPError."""
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            LOOPBACK,
            port,
            heartbeat=heartbeat,
            socket_timeout=PATIENCE,
            stack_timeout=PATIENCE,
            blocked_connection_timeout=PATIENCE,
        )
    )


def node_of(connection: Any) -> str:
    """The name of the node at the other end, as its own greeting says."""
    name: str = connection._impl.server_properties["cluster_name"]
    return name.partition("@")[0]
