"""Peers that stop in the middle, and servers that answer too early: what the other side is told.

Two differences are on purpose. A client that stops in its request's body is told so, where
HAProxy blames the server; and a response that only the connection's end would frame ends in a
reset where it breaks off, so that nobody takes it for a whole one.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable

from twisted.internet.threads import deferToThread

from tests.differential.test_http_features import Case
from tests.differential.test_http_haproxy import normal
from tests.http_peers import TIMEOUT, read_request, talk

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"
OK = b"HTTP/1.1 200 OK\r\n"
SHORT = OK + b"Content-Length: 2\r\n\r\nok"

LIMITS = {
    "head": ("timeout http-request 1s", ""),
    "keep-alive": ("timeout http-keep-alive 1s", ""),
    "client": ("timeout client 1s", ""),
    "server": ("", "timeout server 1s"),
    "queue": ("", "timeout queue 1s"),
    "none": ("", ""),
}
"""What each pair of proxies sets to a second, in the frontend or in the backend."""


def ours(line: str) -> str:
    """The same line in our file."""
    return "{}-{} = {}".format(*line.split()) if line else ""


def say(*pieces: bytes, pause: float = 0.0) -> object:
    """A server that reads a request, says this, and then nothing more."""

    def act(client: socket.socket) -> None:
        read_request(client)
        for piece in pieces:
            time.sleep(pause)
            client.sendall(piece)
        while client.recv(65536):
            pass

    return act


def said(port: int, pieces: Iterable[bytes], pause: float = 0.0) -> bytes:
    """What a client gets that sends pieces with pauses between them, and how it ends."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as client:
        got = bytearray()
        try:
            for number, piece in enumerate(pieces):
                time.sleep(pause if number else 0.0)
                client.sendall(piece)
            while data := client.recv(65536):
                got += data
        except ConnectionError:
            return bytes(got) + b"RESET"
        return bytes(got) + b"FIN"


class SlowCase(Case):
    def settings(self, port: int) -> dict[str, tuple[str, str, str, str]]:
        return {
            name: (
                frontend,
                f"{backend}\n    server s1 127.0.0.1:{port} maxconn 1",
                ours(frontend),
                f"{ours(backend)}\nserver s1 = 127.0.0.1:{port} maxconn=1",
            )
            for name, (frontend, backend) in LIMITS.items()
        }

    async def both(self, name: str, *pieces: bytes, pause: float = 0.0) -> tuple[bytes, bytes]:
        """HAProxy's words and ours."""
        found = []
        for port in self.ports[name], self.proxy.port(name):
            found.append(normal(await deferToThread(said, port, pieces, pause)))
            self.origin.hang_up()
        return found[0], found[1]

    async def assert_same(self, name: str, *pieces: bytes, pause: float = 0.0) -> bytes:  # type: ignore[override]
        theirs, ours = await self.both(name, *pieces, pause=pause)
        self.assertEqual(ours, theirs, (name, pieces))
        return ours


class Timeouts(SlowCase):
    async def test_request(self) -> None:
        """timeout http-request: 408 to half a head, however busily it comes."""
        self.origin.answer = b""
        for pieces in [b""], [b"GET /"], [GET[:-2], b"X: y\r\n", b"X: y\r\n", b"X: y\r\n"]:
            heard = await self.assert_same("head", *pieces, pause=0.4)
            self.assertTrue(heard.startswith(b"HTTP/1.1 408 "), heard)

    async def test_keep_alive(self) -> None:
        """timeout http-keep-alive: a silent end between two requests; a begun one has its time."""
        self.origin.answer = SHORT
        self.assertEqual(await self.assert_same("keep-alive", GET), normal(SHORT) + b"FIN")
        heard = await self.assert_same(
            "keep-alive", GET + GET[:6], b"HTTP/1.1\r\n", LAST[16:], pause=1.5
        )
        self.assertEqual(heard.count(b" 200 OK"), 2)

    async def test_client(self) -> None:
        """timeout client: 408 to a client that says nothing, silence to one that was answered."""
        self.origin.answer = SHORT
        for pieces in [b""], [GET[:-2]], [GET], [GET + b"GET"]:
            await self.assert_same("client", *pieces)

    async def test_client_in_its_body(self) -> None:
        """We say who it was: 408. HAProxy waits for the server, and says 504."""
        self.origin.answer = None
        theirs, ours = await self.both("client", POST)
        self.assertTrue(ours.startswith(b"HTTP/1.1 408 "), ours)
        self.assertTrue(theirs.startswith(b"HTTP/1.1 504 "), theirs)

    async def test_server(self) -> None:
        """timeout server: 504 before the head of an answer, after it the end."""
        for pieces in (
            [], [OK], [b"HTTP/1.1 100 Continue\r\n\r\n"],
            [OK + b"Content-Length: 9\r\n\r\nab"],
            [OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"],
        ):  # fmt: skip
            self.origin.act = say(*pieces)
            await self.assert_same("server", LAST)

    async def test_server_that_goes_on(self) -> None:
        """It is idle time: a slow answer is no late one."""
        self.origin.act = say(OK + b"Content-Length: 4\r\n\r\n", *[b"x"] * 4, pause=0.3)
        heard = await self.assert_same("server", LAST)
        self.assertTrue(heard.endswith(b"\r\n\r\nxxxxFIN"), heard)

    async def test_answer_without_length(self) -> None:
        """That it has broken off is visible with us alone."""
        self.origin.act = say(OK + b"\r\nab")
        theirs, ours = await self.both("server", GET)
        self.assertEqual((theirs[-5:], ours[-7:]), (b"abFIN", b"abRESET"))

    async def test_queue(self) -> None:
        """timeout queue: 503 to a client for whom the server has no room in time."""
        self.origin.answer = None
        heard = []
        for port in self.ports["queue"], self.proxy.port("queue"):
            with socket.create_connection(("127.0.0.1", port)) as first:
                first.sendall(GET)
                await deferToThread(self.wait_for_request)
                heard.append(normal(await deferToThread(said, port, [LAST])))
            self.origin.hang_up()
        self.assertEqual(heard[1], heard[0])
        self.assertTrue(heard[1].startswith(b"HTTP/1.1 503 "), heard)

    def wait_for_request(self) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not self.origin.seen and time.monotonic() < deadline:
            time.sleep(0.01)
        self.origin.seen.clear()


class EarlyAnswers(SlowCase):
    """A server that has answered before it has got all of the request."""

    async def test_stays(self) -> None:
        """It gets the rest, and what the client asks next."""
        heard: list[bytes] = []

        def act(client: socket.socket) -> None:
            client.recv(65536)
            client.sendall(SHORT)
            got = b""
            with contextlib.suppress(OSError):
                while not got.endswith(b"\r\n\r\n"):
                    got += client.recv(65536)
                client.sendall(SHORT)
            heard.append(normal(got))

        self.origin.act = act
        client = await self.assert_same("none", POST, b"defg", b"hij" + LAST, pause=0.3)
        self.assertEqual(client.count(b"\r\n\r\nok"), 2)
        self.assertTrue(heard[0].startswith(b"defghijGET / "), heard)
        self.assertEqual(heard[1], heard[0])

    async def test_expect(self) -> None:
        """A refusal in place of 100 Continue reaches a client that has not sent its body."""
        refusal = b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"
        self.origin.act = lambda client: client.recv(65536) and client.sendall(refusal)
        expecting = POST[:-5] + b"Expect: 100-continue\r\n\r\n"
        for port in self.ports["client"], self.proxy.port("client"):
            heard = await deferToThread(talk, port, expecting, False)
            self.assertEqual(normal(heard), normal(refusal))
