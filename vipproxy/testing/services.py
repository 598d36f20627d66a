"""What a fake node serves: one small protocol for each kind of service."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.protocols.basic import LineReceiver
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from vipproxy.framing.mysql import (
    COM_PING,
    COM_QUERY,
    COM_QUIT,
    Greeting,
    Packet,
    PacketError,
    PacketReader,
    build_error,
    build_greeting,
    build_ok,
    build_row,
)

_LIMIT = 1 << 20


class Host(Protocol):
    """What a service knows of the fake server that it runs on."""

    node: str
    """The node's name; every service gives it away to its clients."""
    available: bool
    """What a clustercheck answers: 200 or 503."""
    requests: int
    """Lines, HTTP requests or MySQL commands so far."""
    connections: int
    reactor: Any


class NamedLines(LineReceiver):
    """Answers each line with the node's name, a blank and the line."""

    delimiter = b"\n"

    def __init__(self, host: Host) -> None:
        self._host = host

    def lineReceived(self, line: bytes) -> None:
        self._host.requests += 1
        self.sendLine(self._host.node.encode() + b" " + line)


class _Report(Resource):
    """Answers every request with what the node has seen of it, as JSON.

    The answer to ``/hold`` begins so, and never ends.
    """

    isLeaf = True

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._host = host

    def render(self, request: Request) -> bytes | int:
        self._host.requests += 1
        request.setHeader(b"content-type", b"application/json")
        request.setHeader(b"x-node", self._host.node.encode())
        report = json.dumps(self._seen(request)).encode()
        if request.path != b"/hold":
            return report
        request.write(report)
        return NOT_DONE_YET

    def _seen(self, request: Request) -> Mapping[str, Any]:
        headers = request.requestHeaders.getAllRawHeaders()
        assert request.content is not None
        return {
            "node": self._host.node,
            "method": request.method.decode("latin-1"),
            "path": request.uri.decode("latin-1"),
            "headers": [
                [name.decode("latin-1").lower(), value.decode("latin-1")]
                for name, values in headers
                for value in values
            ],
            "body": request.content.read().decode("latin-1"),
        }


class ClusterCheck(TwistedProtocol):
    """The sidecar of a Galera node: 200 while it may be used, else 503, then it closes.

    The words are those of percona-clustercheck.
    """

    transport: Any

    def __init__(self, host: Host) -> None:
        self._host = host

    def dataReceived(self, data: bytes) -> None:
        self._host.requests += 1
        status, word = (
            ("200 OK", "") if self._host.available else ("503 Service Unavailable", "not ")
        )
        body = f"Percona XtraDB Cluster Node is {word}synced.\r\n"
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nConnection: close\r\n"
        answer = f"{head}Content-Length: {len(body)}\r\n\r\n{body}"
        self.transport.write(answer.encode())
        self.transport.loseConnection()


class NamedMysql(TwistedProtocol):
    """Greets with a version that names the node, lets everybody in, and keeps the session.

    Pings are answered, and any query with one row of one column: the node's name.
    """

    transport: Any

    def __init__(self, host: Host) -> None:
        self._host = host
        self._packets = PacketReader(_LIMIT)

    def connectionMade(self) -> None:
        version = f"10.11.0-MariaDB-{self._host.node}"
        self.transport.write(build_greeting(Greeting(version, self._host.connections)))

    def dataReceived(self, data: bytes) -> None:
        self._packets.receive_data(data)
        try:
            for packet in iter(self._packets.next_packet, None):
                self._answer(packet)
        except PacketError:
            self.transport.abortConnection()

    def _answer(self, packet: Packet) -> None:
        if packet.sequence > 0:
            self.transport.write(build_ok(packet.sequence + 1))  # a login
            return
        self._host.requests += 1
        command = packet.payload[:1]
        if command == COM_QUIT:
            self.transport.loseConnection()
        elif command == COM_PING:
            self.transport.write(build_ok(1))
        elif command == COM_QUERY:
            self.transport.write(build_row("node", self._host.node))
        else:
            self.transport.write(build_error(1047, "08S01", "Unknown command", 1))


def _protocol(made: Callable[[Host], TwistedProtocol]) -> Callable[[Host], IProtocolFactory]:
    def factory(host: Host) -> IProtocolFactory:
        protocols = Factory.forProtocol(lambda: made(host))
        protocols.noisy = False
        return protocols

    return factory


def _site(host: Host) -> IProtocolFactory:
    site = Site(_Report(host), reactor=host.reactor)
    site.noisy = False
    return site


FACTORIES: Mapping[str, Callable[[Host], IProtocolFactory]] = {
    "tcp": _protocol(NamedLines),
    "http": _site,
    "mysql": _protocol(NamedMysql),
    "clustercheck": _protocol(ClusterCheck),
}
"""The kinds of services that fake nodes know."""
