"""The listener on loopback."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.task import deferLater

from tests.functional.harness import RESET, ProxyCase, echo, named, reactor
from vipproxy import listener as listener_module
from vipproxy.listener import BATCH, Listener
from vipproxy.sockets import Accepted, accept_batch


class Accepting(ProxyCase):
    def listener(self) -> Any:
        return self.proxies[-1].service._listeners["f"][0]

    def crowd(self, number: int) -> list[socket.socket]:
        """Clients that are all in the kernel's queue before the reactor looks."""
        clients = [socket.create_connection(self.way_in()) for _ in range(number)]
        for client in clients:
            self.addCleanup(client.close)
        return clients

    async def test_more_than_a_batch(self) -> None:
        """More clients at once than one wake-up takes are all served."""
        origin = self.origin()
        await self.proxy("", origin)
        self.crowd(3 * BATCH)
        await self.until(lambda: self.sessions() == 3 * BATCH)

    async def test_maxconn_with_a_crowd(self) -> None:
        """Of a crowd no more than maxconn are ever let in at once, and all have their turn."""
        origin = self.origin(named("s1"))
        await self.proxy("", origin, frontend="maxconn = 10")
        waiting = self.crowd(50)
        served = 0
        while waiting:
            await self.until(lambda: self.sessions() > 0)
            ready = [each for each in waiting if self.peek(each)]
            self.assertTrue(len(ready) <= 10)
            served += len(ready)
            for each in ready:
                waiting.remove(each)
                # The server echoes and never ends by itself: a reset is the quickest end.
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                each.close()
            await deferLater(reactor, 0.005)
        self.assertEqual(served, 50)
        frontend = self.proxies[-1].snapshot().frontends[0]
        self.assertTrue(frontend.counters.sessions_max <= 10)

    def peek(self, client: socket.socket) -> bytes:
        client.setblocking(False)
        try:
            return client.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return b""

    async def test_out_of_descriptors(self) -> None:
        """EMFILE on accept: it waits a little and goes on; sessions are not touched."""
        origin = self.origin(echo)
        await self.proxy("", origin)
        early = await self.connect()
        failures = [errno.EMFILE] * 2

        def starving(listening: socket.socket, limit: int) -> list[Accepted]:
            if failures:
                code = failures.pop()
                raise OSError(code, os.strerror(code))
            return accept_batch(listening, limit)

        self.patch(listener_module, "accept_batch", starving)
        late = await self.connect()
        late.send(b"late")
        early.send(b"early")
        await early.hear(b"early")
        await late.hear(b"late")
        self.assertEqual(failures, [])

    async def test_client_gone_before_it_was_accepted(self) -> None:
        """A client that resets in the queue disturbs nobody."""
        origin = self.origin(named("s1"))
        await self.proxy("", origin)
        for client in self.crowd(20):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
        await (await self.connect()).hear(b"s1\n")
        await self.until(lambda: self.sessions() == 1)

    async def test_stop(self) -> None:
        """A stopped listener refuses; a second stop is harmless."""
        origin = self.origin()
        await self.proxy("", origin)
        listener = self.listener()
        listener.stop()
        listener.stop()
        listener.resume()
        client = socket.socket()
        self.addCleanup(client.close)
        self.assertEqual(client.connect_ex(self.way_in()), errno.ECONNREFUSED)

    async def test_queued_before_the_start(self) -> None:
        """Clients that come between bind and start are served after the start."""
        origin = self.origin(named("s1"))
        proxy = await self.proxy("", origin)
        frontend = proxy.service.frontends["f"]
        listener = Listener(
            type(proxy.address("f"))("127.0.0.1", 0), frontend, self.listener()._factory
        )
        self.addCleanup(listener.stop)
        client = socket.create_connection((listener.address.host, listener.address.port))
        self.addCleanup(client.close)
        await deferLater(reactor, 0.05)
        self.assertEqual(self.sessions(), 0)
        listener.start()
        await self.until(lambda: self.peek(client) == b"s")
