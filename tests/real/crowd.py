"""Thousands of plain TCP clients, or the server behind them, in a process of their own.

`python -m tests.real.crowd serve PORT` echoes; `... clients PORT NUMBER RATE` opens NUMBER sessions
and sends RATE messages a second, on one session after the other. Both print a line of JSON for
every line of their input: what has happened so far.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from typing import Any

from tests.processes import environment
from tests.real.galera import LOOPBACK, wait_until

MESSAGE = b"x" * 100
BATCH = 200
"""Sessions opened at once, so that no listen queue overflows."""


class Crowd:
    """The parent's view of such a process."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "tests.real.crowd", *map(str, arguments)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, env=environment(), stdin=pipe, stdout=pipe, text=True
        )

    def counts(self) -> Counter[str]:
        """What has happened so far: opened, ended, reset, sent, heard."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Counter(json.loads(self._process.stdout.readline()))

    def wait_for(self, limit: float = 20.0, **wanted: int) -> None:
        """Until these have happened so often."""

        def there() -> bool:
            counts = self.counts()
            return all(counts[name] >= number for name, number in wanted.items())

        wait_until(there, limit, f"{wanted}")

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


class Sockets:
    """Some sockets and an event loop that answers the parent."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.open: dict[socket.socket, None] = {}
        self.selector = selectors.DefaultSelector()
        self.selector.register(sys.stdin.fileno(), selectors.EVENT_READ, self._answer)

    def add(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.selector.register(sock, selectors.EVENT_READ, self.readable)
        self.open[sock] = None
        self.counts["opened"] += 1

    def turn(self, timeout: float | None) -> None:
        for key, _ in self.selector.select(timeout):
            key.data(key.fileobj)

    def readable(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(65536)
            if data:
                self.heard(sock, data)
            else:
                self._drop(sock, "ended")
        except BlockingIOError:
            pass
        except OSError:
            self._drop(sock, "reset")

    def heard(self, sock: socket.socket, data: bytes) -> None:
        self.counts["heard"] += len(data)

    def _drop(self, sock: socket.socket, how: str) -> None:
        self.counts[how] += 1
        self.selector.unregister(sock)
        del self.open[sock]
        sock.close()

    def _answer(self, stdin: int) -> None:
        if not os.read(stdin, 1):
            raise SystemExit
        print(json.dumps(self.counts), flush=True)


class Echo(Sockets):
    """The server."""

    def __init__(self, port: int) -> None:
        super().__init__()
        listener = socket.create_server((LOOPBACK, port), backlog=1024)
        self.selector.register(listener, selectors.EVENT_READ, self._accept)

    def _accept(self, listener: socket.socket) -> None:
        self.add(listener.accept()[0])

    def heard(self, sock: socket.socket, data: bytes) -> None:
        super().heard(sock, data)
        sock.send(data)

    def run(self) -> None:
        while True:
            self.turn(None)


class Clients(Sockets):
    """Open all sessions; then speak on each in turn. No message is due before its time."""

    def __init__(self, port: int, number: int, rate: int) -> None:
        super().__init__()
        self._port, self._number, self._rate = port, number, rate

    def run(self) -> None:
        while self.counts["opened"] < self._number:
            for _ in range(min(BATCH, self._number - self.counts["opened"])):
                self.add(socket.create_connection((LOOPBACK, self._port)))
            self.turn(0.01)
        began = time.monotonic()
        while True:
            due = int((time.monotonic() - began) * self._rate)
            while self.counts["sent"] < due and self.open:
                self._speak()
            self.turn(0.01)

    def _speak(self) -> None:
        """On the session that has been silent for the longest time."""
        sock = next(iter(self.open))
        del self.open[sock]
        self.open[sock] = None
        self.counts["sent"] += 1
        try:
            sock.send(MESSAGE)
        except OSError:
            self.readable(sock)


def main(role: str, *numbers: str) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    kinds: dict[str, Any] = {"serve": Echo, "clients": Clients}
    kinds[role](*map(int, numbers)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
