"""A server whose accept queue can be filled, so that connecting to it neither works nor fails."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from tests.ports import free_ports
from tests.real.galera import LOOPBACK

POLL = 0.05


class CrowdedServer:
    """Greets each client with its own name, until it is crowded."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_ports(1)
        self._listener = socket.create_server((LOOPBACK, self.port), backlog=1)
        self._listener.settimeout(POLL)
        self._open: list[socket.socket] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            with suppress(TimeoutError):
                client, _ = self._listener.accept()
                client.sendall(self.name.encode())
                self._open.append(client)

    def crowd(self) -> None:
        """Accept nobody any more, and fill the queue of those who wait for it."""
        self._stop.set()
        self._thread.join()
        with suppress(TimeoutError):
            while True:
                address = (LOOPBACK, self.port)
                self._open.append(socket.create_connection(address, timeout=4 * POLL))

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        for each in (self._listener, *self._open):
            each.close()


def greeting(port: int, patience: float) -> str:
    """Who greets a client that connects to a port; empty where nobody does in time."""
    with socket.create_connection((LOOPBACK, port), timeout=patience) as client:
        try:
            return client.recv(100).decode()
        except TimeoutError:
            return ""
