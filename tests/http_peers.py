"""Blocking HTTP peers for tests on loopback: a server that is told what to say, a client that
says what it is told. Run the client in a thread."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time

TIMEOUT = 20.0
"""Seconds after which a test that waits for a peer fails."""


class Origin:
    """A server on a free port: one answer a connection, then it closes."""

    def __init__(self) -> None:
        self.answer: bytes | None = b""
        """What it says to a whole request; None: nothing, for as long as the client stays."""
        self.resets = False
        """After its answer it dies, rather than closes."""
        self.seen: list[bytes] = []
        """The requests, as they came."""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Refuse connections from now on."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(TIMEOUT)
        with contextlib.suppress(OSError), client:
            self.seen.append(read_request(client))
            if self.answer is None:
                client.recv(1)
            else:
                client.sendall(self.answer)
            if self.resets:
                time.sleep(0.1)  # a reset overtakes what has not been read yet
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
