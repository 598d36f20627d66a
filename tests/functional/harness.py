"""Both ends of a session on loopback, and the doors by which clients come in."""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.ports import free_port
from vipproxy.interfaces import IFrontend, IProtocolPlugin
from vipproxy.protocols.tcp import TcpProtocol
from vipproxy.testing import ProxyHarness
from vipproxy.values import Address, BackendSnapshot, ServerSnapshot

reactor: Any = _reactor
LOOPBACK = "127.0.0.1"
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER, so that a close is a reset."""


@implementer(IHalfCloseableProtocol)
class Peer(Protocol):
    """One end: remembers what it hears, and lets a test wait for it."""

    transport: Any

    def __init__(self, on_connect: Callable[[Peer], None] | None = None) -> None:
        self.received = bytearray()
        self.ended = False
        """The other side has said all it has to say."""
        self.lost: Failure | None = None
        self.on_data: Callable[[bytes], None] = self.received.extend
        self._finished = False
        self._on_connect = on_connect
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def connectionMade(self) -> None:
        if self._on_connect is not None:
            self._on_connect(self)

    def dataReceived(self, data: bytes) -> None:
        self.on_data(data)
        self._changed()

    def readConnectionLost(self) -> None:
        self.ended = True
        if self._finished:
            self.transport.loseConnection()
        self._changed()

    def writeConnectionLost(self) -> None:
        """Our own half-close."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended, self.lost = True, reason
        self._changed()

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def finish(self) -> None:
        """All is said: a half-close, or the end where the other side has finished already."""
        self._finished = True
        if self.ended:
            self.transport.loseConnection()
        else:
            self.transport.loseWriteConnection()

    def stall(self) -> None:
        """Read nothing any more."""
        self.transport.pauseProducing()

    def reset(self) -> None:
        self.transport.abortConnection()

    async def until(self, condition: Callable[[], bool]) -> None:
        if not condition():
            waiting: Deferred[None] = Deferred()
            self._waiting.append((condition, waiting))
            await waiting

    async def hear(self, text: bytes) -> bytes:
        """All that was heard, once `text` is part of it; raises EOFError at an early end."""
        await self.until(lambda: text in self.received or self.ended)
        if text not in self.received:
            raise EOFError(f"heard {bytes(self.received)!r}, then the end")
        return bytes(self.received)

    async def end(self) -> bytes:
        """All that was heard, once the other side has ended."""
        await self.until(lambda: self.ended)
        return bytes(self.received)

    async def gone(self) -> BaseException:
        """Why the connection was lost, once it is."""
        await self.until(lambda: self.lost is not None)
        assert self.lost is not None
        assert self.lost.value is not None
        return self.lost.value

    def _changed(self) -> None:
        for entry in list(self._waiting):
            condition, waiting = entry
            if condition():
                self._waiting.remove(entry)
                waiting.callback(None)


class Origin:
    """A server: its accepted connections are `Peer`s."""

    def __init__(self, on_connect: Callable[[Peer], None] | None = None) -> None:
        self.peers: list[Peer] = []
        self._on_connect = on_connect
        self._port: Any = None
        self._number = 0
        self._waiting: list[tuple[int, Deferred[None]]] = []
        self.start()

    def start(self) -> None:
        """Listen, on the port of the first time."""
        factory = Factory.forProtocol(self._peer)
        factory.noisy = False
        self._port = reactor.listenTCP(self._number, factory, interface=LOOPBACK, backlog=4096)
        self._number = self._port.getHost().port

    def _peer(self) -> Peer:
        return Peer(self._accepted)

    def _accepted(self, peer: Peer) -> None:
        self.peers.append(peer)
        if self._on_connect is not None:
            self._on_connect(peer)
        for entry in list(self._waiting):
            if len(self.peers) >= entry[0]:
                self._waiting.remove(entry)
                entry[1].callback(None)

    @property
    def address(self) -> Address:
        return Address(LOOPBACK, self._number)

    async def accepted(self, number: int = 1) -> Peer:
        """The connection of this number, counted from 1."""
        if len(self.peers) < number:
            waiting: Deferred[None] = Deferred()
            self._waiting.append((number, waiting))
            await waiting
        return self.peers[number - 1]

    async def refuse(self) -> None:
        """Close the port; sessions go on."""
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)

    async def kill(self) -> None:
        """As when the process is killed: the port is closed, and every session reset."""
        closing = self.refuse()
        for peer in self.peers:
            if peer.lost is None:
                peer.reset()
        await closing


def echo(peer: Peer) -> None:
    """Behaviour of a server: say what was heard."""
    peer.on_data = peer.transport.write


def named(name: str) -> Callable[[Peer], None]:
    """Behaviour of a server that greets with its name, and then echoes."""

    def greet(peer: Peer) -> None:
        echo(peer)
        peer.send(name.encode() + b"\n")

    return greet


@implementer(IProtocolPlugin)
class PlainTcp(TcpProtocol):
    """`protocol = tcp` behind a factory that takes no sockets: Twisted transports are built."""

    def factory(self, frontend: IFrontend, options: Any) -> Any:
        inner: Any = super().factory(frontend, options)
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = inner.buildProtocol  # type: ignore[method-assign]
        return factory


def configuration(
    backend: str, *servers: Any, frontend: str = "", protocol: str = "tcp", head: str = ""
) -> str:
    """INI text: one frontend `f` and one backend `b`, with servers s1, s2..."""
    lines = "\n".join(f"server s{i} = {server}" for i, server in enumerate(servers, 1))
    return (
        f"{head}\n[frontend f]\nprotocol = {protocol}\nbind = 127.0.0.1:0\nbackend = b\n"
        f"{frontend}\n[backend b]\n{backend}\n{lines}\n"
    )


class ProxyCase(TestCase):
    """A test with origins, a proxy and clients, all of which are gone afterwards."""

    timeout = 60
    protocol = "tcp"

    def setUp(self) -> None:
        self.origins: list[Origin] = []
        self.clients: list[Peer] = []
        self.proxies: list[ProxyHarness] = []
        self.addCleanup(lambda: Deferred.fromCoroutine(self.close()))

    async def close(self) -> None:
        peers = [*self.clients, *(peer for origin in self.origins for peer in origin.peers)]
        for peer in peers:
            if peer.lost is None:
                peer.reset()
        for proxy in self.proxies:
            await proxy.stop()
        for origin in self.origins:
            await origin.refuse()
        await DeferredList([Deferred.fromCoroutine(peer.gone()) for peer in peers])

    def origin(self, on_connect: Callable[[Peer], None] | None = None) -> Origin:
        origin = Origin(on_connect)
        self.origins.append(origin)
        return origin

    async def proxy(self, backend: str, *servers: Origin | str, **sections: str) -> ProxyHarness:
        """A proxy that runs, and whose servers have had their first check."""
        places = [each if isinstance(each, str) else each.address for each in servers]
        sections.setdefault("protocol", self.protocol)
        proxy = ProxyHarness(reactor, configuration(backend, *places, **sections))
        self.proxies.append(proxy)
        await proxy.start()
        return proxy

    async def connect(self, on_connect: Callable[[Peer], None] | None = None) -> Peer:
        """A client of the last proxy."""
        endpoint = TCP4ClientEndpoint(reactor, *self.way_in())
        client: Peer = await connectProtocol(endpoint, Peer(on_connect))
        self.clients.append(client)
        return client

    def way_in(self) -> tuple[str, int]:
        """Where clients connect."""
        return LOOPBACK, self.proxies[-1].port("f")

    async def pair(self, origin: Origin) -> tuple[Peer, Peer]:
        """A client, and its connection at the origin."""
        number = len(origin.peers) + 1
        client = await self.connect()
        return client, await origin.accepted(number)

    async def until(self, condition: Callable[[], bool], timeout: float = 30.0) -> None:
        """Wait for something that nobody tells of."""
        deadline = reactor.seconds() + timeout
        while not condition():
            if reactor.seconds() > deadline:
                raise TimeoutError("the condition did not come true")
            await deferLater(reactor, 0.005)

    def pool(self) -> BackendSnapshot:
        return self.proxies[-1].snapshot().backends[0]

    def server(self, name: str = "s1") -> ServerSnapshot:
        return self.proxies[-1].server("b", name)

    def sessions(self) -> int:
        """Open sessions of the frontend."""
        return self.proxies[-1].snapshot().frontends[0].counters.sessions


class EndpointDoor(ProxyCase):
    """Clients come through `endpoint.listen(factory)`: no listener of ours has a part in it."""

    async def proxy(self, backend: str, *servers: Origin | str, **sections: str) -> ProxyHarness:
        proxy = await super().proxy(backend, *servers, **sections)
        frontend = proxy.service.frontends["f"]
        plugin = frontend.options.protocol.plugin
        factory = plugin.factory(frontend, frontend.config.protocol_options)
        port: Any = await self.listening().listen(factory)
        self.addCleanup(port.stopListening)
        self.door = LOOPBACK, port.getHost().port
        return proxy

    def listening(self) -> Any:
        return TCP4ServerEndpoint(reactor, 0, interface=LOOPBACK)

    def way_in(self) -> tuple[str, int]:
        return self.door


class ProxyProcess:
    """A real `twistd -n vipproxy` in a process of its own, with blocking sockets before it.

    `{port}` in the configuration becomes a free port; `limit` is the number of file descriptors
    that the process may have.
    """

    def __init__(self, text: str, limit: int | None = None) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self.port = free_port()
        directory = Path(self._directory.name)
        self.config = directory / "cluster.ini"
        self.config.write_text(text.replace("{port}", str(self.port)))
        self._output = directory / "output"
        limits = (
            f"resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit})); " if limit else ""
        )
        run = f"import resource; {limits}from twisted.scripts.twistd import run; run()"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", run, *self._arguments()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
            )

    def _arguments(self) -> list[str]:
        return ["-n", "--pidfile=", "vipproxy", "--config", str(self.config)]

    def close(self) -> None:
        """Whatever it does: it is gone."""
        self.process.kill()
        self.process.wait()
        self._directory.cleanup()

    def connect(self, timeout: float = 60.0) -> socket.socket:
        """A client; while the proxy starts it tries again."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return socket.create_connection((LOOPBACK, self.port), timeout=timeout)
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"the proxy does not listen:\n{self.output()}") from None
                time.sleep(0.02)

    def refuses(self) -> bool:
        """Whether nobody listens; where somebody does, the attempt ends with a reset."""
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            return client.connect_ex((LOOPBACK, self.port)) == errno.ECONNREFUSED

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def status(self, timeout: float = 60.0) -> int:
        """The exit status, once it has ended."""
        return self.process.wait(timeout)

    def output(self) -> str:
        """All that it has printed so far."""
        return self._output.read_text()

    def resident(self) -> int:
        """Resident memory in bytes (proc(5))."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def backlog(port: int) -> int | None:
    """Clients in the queue of a listening port (proc(5)); None where nobody listens.

    Asked of the kernel, since an attempt to connect would be a session already.
    """
    local = f"0100007F:{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, address, _, state, queues, *_ = line.split()
        if (address, state) == (local, "0A"):
            return int(queues.partition(":")[2], 16)
    return None


def eventually(condition: Callable[[], bool], timeout: float = 60.0) -> None:
    """Wait for something, without a reactor; raises TimeoutError."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition did not come true")
        time.sleep(0.02)
