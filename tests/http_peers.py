"""Blocking HTTP peers for tests on loopback: a server that is told what to say, a client that
says what it is told. Run the client in a thread."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable

TIMEOUT = 60.0
"""Seconds after which a test that waits for a peer fails."""


class Origin:
    """A server on a free port: one answer a connection, then it closes, unless it `keeps` it."""

    def __init__(self) -> None:
        self.answer: bytes | None = b""
        """What it says to a whole request; None: nothing, for as long as the client stays."""
        self.resets = False
        """After its answer it dies, rather than closes."""
        self.keeps = False
        """After its answer it waits for another request."""
        self.act: Callable[[socket.socket], object] | None = None
        """What it does with a connection in place of answering its requests."""
        self.seen: list[bytes] = []
        """The requests, as they came."""
        self.connections: list[list[bytes]] = []
        """The same by connection, in the order in which these were opened."""
        self.open: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Refuse connections from now on."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def hang_up(self) -> None:
        """Close every open connection, whatever is going on there."""
        for client in self.open:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self.open.clear()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(TIMEOUT)
        requests: list[bytes] = []
        self.connections.append(requests)
        self.open.append(client)
        with contextlib.suppress(OSError), client:
            if self.act is not None:
                self.act(client)
                return
            while request := read_request(client):
                self.seen.append(request)
                requests.append(request)
                if self.answer is None:
                    client.recv(1)
                else:
                    client.sendall(self.answer)
                if not self.keeps:
                    break
            if self.resets:
                time.sleep(0.1)  # a reset overtakes what has not been read yet
                reset_on_close(client)


def reset_on_close(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def read_request(client: socket.socket) -> bytes:
    """One request with its body, or what came until the end."""
    data = b""
    while not _complete(data):
        piece = client.recv(65536)
        if not piece:
            break
        data += piece
    return data


def _complete(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
    if length is not None:
        return len(body) >= int(length[1])
    if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
        return re.search(rb"(?:\A|\r\n)0\r\n(?:[^\r]+\r\n)*\r\n\Z", body) is not None
    return bool(end)


def talk(port: int, request: bytes, end_input: bool = True) -> bytes:
    """Send, end the output unless told otherwise, and read to the end."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as client:
        client.sendall(request)
        if end_input:
            client.shutdown(socket.SHUT_WR)
        return read_all(client)


def read_all(client: socket.socket) -> bytes:
    pieces = []
    while piece := client.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


class Client:
    """A client that stays: one request after the other."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)

    def ask(self, request: bytes) -> bytes:
        """Send a request; the answer, which must have a Content-Length or none."""
        self.send(request)
        return read_request(self._socket)

    def send(self, request: bytes) -> None:
        self._socket.sendall(request)

    def reset(self) -> None:
        reset_on_close(self._socket)
        self._socket.close()

    def close(self) -> None:
        self._socket.close()
