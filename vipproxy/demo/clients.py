"""The demo's clients: each speaks one protocol, and learns which node has answered."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from vipproxy.checks.conversation import Conversation
from vipproxy.checks.mysql_login import Packets
from vipproxy.framing.mysql import COM_PING, build_login, encode, is_ok, parse_greeting


class Unanswered(ValueError):
    """The connection ended, or the answer was not one of a node."""


class Client(Protocol):
    """One connection to a virtual address."""

    async def ask(self) -> str:
        """Ask for something, and return the name of the node that has answered."""

    async def hold(self) -> str:
        """Ask so that the session lasts, and return the name of the node that has answered."""


class LineClient:
    """Says a line."""

    def __init__(self, peer: Conversation) -> None:
        self._peer = peer

    async def ask(self) -> str:
        self._peer.write(b"hello\n")
        answer = await _until(self._peer, b"\n")
        node, _, echo = answer.partition(b" ")
        if echo != b"hello\n":
            raise Unanswered(f"unexpected answer {answer!r}")
        return node.decode()

    hold = ask


class MysqlClient:
    """Logs in, and pings; the node's name is part of its version."""

    def __init__(self, peer: Conversation) -> None:
        self._peer, self._packets = peer, Packets(peer)
        self._node = ""

    async def ask(self) -> str:
        if not self._node:
            greeting = parse_greeting((await self._packets.read()).payload)
            self._node = greeting.version.partition("-MariaDB-")[2]
            await self._expect_ok(build_login("demo"))
        await self._expect_ok(encode(0, COM_PING))
        return self._node

    hold = ask

    async def _expect_ok(self, packet: bytes) -> None:
        self._peer.write(packet)
        if not is_ok((await self._packets.read()).payload):
            raise Unanswered("an error packet")


class HttpClient:
    """Sends requests on one connection, with the cookie that it was given."""

    def __init__(self, peer: Conversation, cookie: str = "") -> None:
        self._peer = peer
        self.cookie = cookie
        """As in a Cookie header; empty without one."""

    async def ask(self) -> str:
        head, body = await self._request("/")
        missing = int(_header(head, "content-length") or 0) - len(body)
        while missing > 0:
            missing -= len(await _some(self._peer))
        return self._node(head)

    async def hold(self) -> str:
        """An answer that does not end: between two answers an HTTP client has no server."""
        return self._node((await self._request("/hold"))[0])

    async def _request(self, path: str) -> tuple[bytes, bytes]:
        """The answer's head, and the beginning of its body."""
        cookie = f"Cookie: {self.cookie}\r\n" if self.cookie else ""
        self._peer.write(f"GET {path} HTTP/1.1\r\nHost: demo\r\n{cookie}\r\n".encode())
        head, _, body = (await _until(self._peer, b"\r\n\r\n")).partition(b"\r\n\r\n")
        return head, body

    def _node(self, head: bytes) -> str:
        node = _header(head, "x-node")
        if not node:
            raise Unanswered(head.partition(b"\r\n")[0].decode("latin-1"))
        self.cookie = _header(head, "set-cookie").partition(";")[0] or self.cookie
        return node


CLIENTS: dict[str, Callable[[Conversation], Client]] = {
    "tcp": LineClient,
    "mysql": MysqlClient,
    "http": HttpClient,
}


def _header(head: bytes, name: str) -> str:
    match = re.search(rf"(?im)^{name}:[ \t]*(.*?)\r?$", head.decode("latin-1"))
    return match[1] if match else ""


async def _some(peer: Conversation) -> bytes:
    data = await peer.read()
    if not data:
        raise Unanswered("the connection ended")
    return data


async def _until(peer: Conversation, end: bytes) -> bytes:
    answer = b""
    while end not in answer:
        answer += await _some(peer)
    return answer
