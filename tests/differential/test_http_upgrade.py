"""Changes of protocol: what HAProxy makes of the handshake, and what we make of it.

Both pass on what Connection confirms; HAProxy where it stands, we at the end of the head, so that
the lines are compared without their order.
"""

from __future__ import annotations

import contextlib
import socket

from twisted.internet.threads import deferToThread

from tests.differential.test_http_features import Case
from tests.differential.test_http_haproxy import normal
from tests.http_peers import TIMEOUT, read_all, read_request

GET = b"GET /ws HTTP/1.1\r\nHost: a\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
UPGRADE = GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + KEY
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
SWITCH = b"HTTP/1.1 101 Switch\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + ACCEPT
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def parts(stream: bytes) -> tuple[bytes, list[bytes], bytes]:
    """The first line of a message, its fields in order of the alphabet, and what follows."""
    head, _, rest = normal(stream).partition(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    return first, sorted(fields), rest


class UpgradeTests(Case):
    def settings(self, port: int) -> dict[str, tuple[str, str, str, str]]:
        cookie = "SERVERID insert indirect nocache"
        return {
            "web": (
                "",
                f"cookie {cookie}\n    server s1 127.0.0.1:{port} cookie c1",
                "",
                f"cookie = {cookie}\nserver s1 = 127.0.0.1:{port} cookie=c1",
            )
        }

    def act(self, client: socket.socket) -> None:
        """Say what the test wants to a head; whatever comes then, in capitals."""
        self.heads.append(read_request(client))
        client.sendall(self.said)
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                client.sendall(data.upper())

    def talk(self, port: int, request: bytes) -> bytes:
        """A client that goes on as soon as it has got a head."""
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as client:
            client.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += client.recv(65536)
            with contextlib.suppress(OSError):
                client.sendall(b"hello")
                client.shutdown(socket.SHUT_WR)
            return answer + read_all(client)

    async def both(self, request: bytes, answer: bytes) -> list[tuple[object, object]]:
        """What the client got and the server saw: of HAProxy, then of us."""
        self.said, self.origin.act = answer, self.act
        results: list[tuple[object, object]] = []
        for port in self.ports["web"], self.proxy.port("web"):
            self.heads: list[bytes] = []
            got = await deferToThread(self.talk, port, request)
            results.append((parts(got), [parts(head) for head in self.heads]))
        return results

    async def test_switched(self) -> None:
        """Bytes pass both ways, those that came early too; the cookie is set."""
        for request, answer in (
            (UPGRADE + b"\r\n", SWITCH + b"\r\n"),
            (UPGRADE + b"\r\n", SWITCH + b"\r\nearly"),
            (UPGRADE.replace(b"Connection: ", b"Connection: close, ") + b"\r\n", SWITCH + b"\r\n"),
            (UPGRADE.replace(b": websocket", b": foo, websocket") + b"\r\n", SWITCH + b"\r\n"),
            (
                UPGRADE.replace(b"websocket", b"echo") + b"\r\n",
                SWITCH.replace(b"webs", b"s") + b"\r\n",
            ),
            (UPGRADE.replace(b"GET", b"POST") + b"\r\n", SWITCH + b"\r\n"),
        ):
            theirs, ours = await self.both(request, answer)
            self.assertEqual(ours, theirs, (request, answer))
            got: object = ours[0]
            self.assertIn("HELLO", str(got))
            self.assertIn("SERVERID=c1", str(got))

    async def test_refused_by_the_server(self) -> None:
        """An answer that changes nothing is one like any other."""
        theirs, ours = await self.both(UPGRADE + b"Connection: close\r\n\r\n", SHORT)
        self.assertEqual(ours, theirs)

    async def test_malformed(self) -> None:
        """A WebSocket without its key is a 400, without the digest that answers it a 502."""
        for request, answer, status in (
            (UPGRADE.replace(KEY, b""), SWITCH, b"400"),
            (UPGRADE.replace(b"dGhl", b""), SWITCH, b"400"),
            (UPGRADE, SWITCH.replace(ACCEPT, b""), b"502"),
            (UPGRADE, SWITCH.replace(b"Connection: Upgrade\r\n", b""), b"502"),
            (GET, SWITCH, b"502"),
        ):
            last = request + b"Connection: close\r\n\r\n"
            theirs, ours = await self.both(last, answer + b"\r\n")
            self.assertEqual(ours[0], theirs[0], (request, answer))
            self.assertIn(status.decode(), str(ours[0]))
