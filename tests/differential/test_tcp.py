"""The same TCP scripts through the real HAProxy and through vipproxy: the same view for clients."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from twisted.internet.error import ConnectionDone

from tests.functional.harness import (
    LOOPBACK,
    Origin,
    Peer,
    ProxyCase,
    backlog,
    echo,
    named,
)
from tests.ports import free_port
from tests.support import require

HAPROXY = """
defaults
    mode tcp
    timeout connect {connect}
    timeout client {client}
    timeout server {server}
frontend f
    bind 127.0.0.1:{port}
    default_backend b
backend b
    {lines}
{servers}
"""

View = tuple[object, ...]
Script = Callable[[], Awaitable[View]]


async def seen(peer: Peer) -> tuple[bytes, str]:
    """What a peer heard, and how that ended."""
    heard = await peer.end()
    broken = peer.lost is not None and not peer.lost.check(ConnectionDone)
    return heard, "reset" if broken else "end"


class SameView(ProxyCase):
    """Each script is run through HAProxy, then through vipproxy; its result must be the same."""

    timeout = 30

    def setUp(self) -> None:
        super().setUp()
        self.door: tuple[str, int] = (LOOPBACK, 0)

    def way_in(self) -> tuple[str, int]:
        return self.door

    async def same(
        self,
        script: Script,
        *servers: Origin,
        haproxy: str = "",
        vipproxy: str = "",
        disabled: bool = False,
        connect: str = "100ms",
        client: str = "10s",
        server: str = "10s",
    ) -> View:
        """The view through either; a failure where they differ."""
        times = {"connect": connect, "client": client, "server": server}
        await self.start_haproxy(servers, haproxy, disabled, times)
        for origin in servers:
            origin.peers.clear()
        expected = await script()
        for origin in servers:
            await self.forget(origin)
        word = " disabled" if disabled else ""
        lines = f"timeout-connect = {connect}\ntimeout-server = {server}\n{vipproxy}"
        places = [f"{origin.address}{word}" for origin in servers]
        proxy = await self.proxy(lines, *places, frontend=f"timeout-client = {client}")
        self.door = (LOOPBACK, proxy.port("f"))
        found = await script()
        self.assertEqual(found, expected)
        return found

    async def forget(self, origin: Origin) -> None:
        """The connections of the first run are no business of the second."""
        for peer in origin.peers:
            if peer.lost is None:
                peer.reset()
            await peer.gone()
        origin.peers.clear()

    async def start_haproxy(
        self, servers: tuple[Origin, ...], lines: str, disabled: bool, times: dict[str, str]
    ) -> None:
        program = require("haproxy")
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        path, port = Path(directory.name) / "haproxy.cfg", free_port()
        word = " disabled" if disabled else ""
        named_servers = "\n".join(
            f"    server s{i} {each.address}{word}" for i, each in enumerate(servers, 1)
        )
        path.write_text(HAPROXY.format(port=port, lines=lines, servers=named_servers, **times))
        process = subprocess.Popen(
            [program, "-db", "-f", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.door = (LOOPBACK, port)
        await self.until(lambda: backlog(port) is not None)
        for origin in servers:
            await self.forget(origin)

    # -- scripts ------------------------------------------------------------------------

    async def greeted(self) -> View:
        return (await (await self.connect()).hear(b"\n"),)

    async def heard_by_client(self) -> View:
        return await seen(await self.connect())

    # -- no server ----------------------------------------------------------------------

    async def test_no_server(self) -> None:
        """No usable server: accepted, then the end without data."""
        view = await self.same(self.heard_by_client, self.origin(), disabled=True)
        self.assertEqual(view, (b"", "end"))

    async def test_refused(self) -> None:
        """A server that refuses, without redispatch: retried, then the end without data."""
        refusing, other = self.origin(), self.origin(named("s2"))
        await refusing.refuse()
        view = await self.same(
            self.heard_by_client,
            refusing,
            other,
            haproxy="retries 2",
            vipproxy="redispatch = off\nretries = 2",
        )
        self.assertEqual(view, (b"", "end"))
        self.assertEqual(self.server("s1").counters.connects, 3)

    async def test_redispatch(self) -> None:
        """With redispatch the other server answers."""
        refusing, other = self.origin(), self.origin(named("s2"))
        await refusing.refuse()
        lines = "option redispatch"
        view = await self.same(self.greeted, refusing, other, haproxy=lines)
        self.assertEqual(view, (b"s2\n",))

    async def test_all_refuse(self) -> None:
        """With redispatch, and all servers refusing: the end without data."""
        origins = self.origin(), self.origin()
        for origin in origins:
            await origin.refuse()
        view = await self.same(self.heard_by_client, *origins, haproxy="option redispatch")
        self.assertEqual(view, (b"", "end"))

    # -- who ends first -----------------------------------------------------------------

    async def test_client_ends_first(self) -> None:
        """The client has said all: the server sees the end, and can still answer."""
        origin = self.origin()

        async def script() -> View:
            client, server = await self.pair(origin)
            client.send(b"question")
            client.finish()
            question = await seen(server)
            server.send(b"answer")
            server.finish()
            return question, await seen(client)

        view = await self.same(script, origin)
        self.assertEqual(view, ((b"question", "end"), (b"answer", "end")))

    async def test_server_ends_first(self) -> None:
        """The server has said all: the client sees the end, and can still speak."""
        origin = self.origin()

        async def script() -> View:
            client, server = await self.pair(origin)
            server.send(b"greeting")
            server.finish()
            greeting = await seen(client)
            client.send(b"answer")
            client.finish()
            return greeting, await seen(server)

        view = await self.same(script, origin)
        self.assertEqual(view, ((b"greeting", "end"), (b"answer", "end")))

    async def test_server_sends_and_closes(self) -> None:
        """A server that closes at once: all its bytes arrive, then the end."""

        def bye(peer: Peer) -> None:
            peer.send(b"x" * 300_000)
            peer.transport.loseConnection()

        view = await self.same(self.heard_by_client, self.origin(bye))
        self.assertEqual(view, (b"x" * 300_000, "end"))

    async def test_client_resets(self) -> None:
        """A client that resets is the end for the server."""
        origin = self.origin(echo)

        async def script() -> View:
            client, server = await self.pair(origin)
            client.send(b"hello")
            await client.hear(b"hello")
            client.reset()
            await server.end()
            return (server.ended,)

        await self.same(script, origin)

    async def test_server_resets(self) -> None:
        """A server that resets in mid-session is the end for the client, in order."""
        origin = self.origin()

        async def script() -> View:
            client, server = await self.pair(origin)
            server.send(b"hello")
            await client.hear(b"hello")
            server.reset()
            return await seen(client)

        view = await self.same(script, origin)
        self.assertEqual(view, (b"hello", "end"))

    async def test_timeout_server(self) -> None:
        """timeout server: both see the end (from HAProxy the server once the client is gone)."""
        origin = self.origin()

        async def script() -> View:
            client, server = await self.pair(origin)
            return await seen(client), await seen(server)

        view = await self.same(script, origin, client="500ms", server="200ms")
        self.assertEqual(view, ((b"", "end"), (b"", "end")))

    # -- who is told --------------------------------------------------------------------

    async def test_send_proxy(self) -> None:
        """PROXY headers are the same, byte for byte, but for the ports."""
        for version, word in (("v1", "send-proxy"), ("v2", "send-proxy-v2")):
            origin = self.origin()

            async def script(origin: Origin = origin) -> View:
                client, server = await self.pair(origin)
                client.send(b"hello")
                heard = await server.hear(b"hello")
                port = client.transport.getHost().port
                for number in (port, self.door[1]):
                    heard = heard.replace(str(number).encode(), b"PORT")
                    heard = heard.replace(number.to_bytes(2, "big"), b"PP")
                return (heard,)

            await self.same(
                script, origin, haproxy=f"default-server {word}", vipproxy=f"send-proxy = {version}"
            )
