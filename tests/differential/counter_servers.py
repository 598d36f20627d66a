"""Servers that misbehave on purpose, one kind a port: what the counters are compared with."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable

Behaviour = Callable[[socket.socket], None]

LARGE = 8_000_000
"""Bytes: more than all buffers on the way hold."""
RESET = struct.pack("ii", 1, 0)
PATIENCE = 20.0
"""Seconds until a connection that nobody ends is given up."""


def reset(sock: socket.socket) -> None:
    """Close with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


def drain(sock: socket.socket) -> None:
    """Read until the peer ends."""
    while sock.recv(65536):
        pass


def echo(sock: socket.socket) -> None:
    while data := sock.recv(65536):
        sock.sendall(data)


def greet_and_close(sock: socket.socket) -> None:
    sock.sendall(b"hello")


def greet_and_reset(sock: socket.socket) -> None:
    sock.sendall(b"hello")
    sock.recv(65536)
    time.sleep(0.1)
    reset(sock)


def greet_and_wait(sock: socket.socket) -> None:
    sock.sendall(b"hello")
    drain(sock)


def pour(sock: socket.socket) -> None:
    sock.sendall(b"x" * LARGE)
    drain(sock)


def http(sock: socket.socket) -> None:
    """One request after the other; the path says how it is answered."""
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            more = sock.recv(65536)
            if not more:
                return
            data += more
        head, _, data = data.partition(b"\r\n\r\n")
        path = head.split(b" ")[1].decode()
        answer = ANSWERS.get(path)
        if answer is None:
            hang(sock, path)
            return
        sock.sendall(answer)
        if path not in KEPT:
            return


def hang(sock: socket.socket, path: str) -> None:
    """What is not answered, or not to the end."""
    if path == "/reset":
        reset(sock)
        return
    if path == "/slow":
        time.sleep(0.25)
        sock.sendall(ANSWERS["/ok"])
        return
    if path == "/half":
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbeginning")
    if path == "/large":
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE + b"x" * LARGE)
    drain(sock)


KEPT = {"/ok", "/404", "/500", "/302"}
ANSWERS = {
    "/ok": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "/404": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "/500": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    "/302": b"HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n",
    "/nothing": b"",
    "/garbage": b"this is not HTTP\r\n\r\n",
    "/short": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbeginning",
}
"""Whole answers, after which the server closes but for `KEPT`; every other path hangs."""

KINDS: dict[str, Behaviour] = {
    "echo": echo,
    "greet-and-close": greet_and_close,
    "greet-and-reset": greet_and_reset,
    "greet-and-wait": greet_and_wait,
    "pour": pour,
    "silent": drain,
    "http": http,
}


class Server:
    """A kind of server on a port of its own; `refusing` does not listen, `full` never accepts."""

    def __init__(self, kind: str) -> None:
        self._sock = socket.socket()
        self._sock.bind(("127.0.0.1", 0))
        self.port: int = self._sock.getsockname()[1]
        self._fillers: list[socket.socket] = []
        if kind == "full":
            self._fill()
        elif kind != "refusing":
            self._sock.listen(64)
            threading.Thread(target=self._accept, args=(KINDS[kind],), daemon=True).start()

    def _fill(self) -> None:
        """The queue holds one; further attempts to connect are not answered."""
        self._sock.listen(0)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)

    def _accept(self, behaviour: Behaviour) -> None:
        while True:
            try:
                sock, _ = self._sock.accept()
            except OSError:
                return
            threading.Thread(target=_serve, args=(behaviour, sock), daemon=True).start()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        for each in (self._sock, *self._fillers):
            each.close()


def _serve(behaviour: Behaviour, sock: socket.socket) -> None:
    sock.settimeout(PATIENCE)
    with sock, contextlib.suppress(OSError):
        behaviour(sock)
