"""The statistics of a whole proxy over TCP."""

from __future__ import annotations

import base64
import http.client
import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from vipproxy.testing import ProxyHarness

SERVICES = 40
CONFIG = """
[frontend monitor]
protocol = stats
bind = 127.0.0.1:0
monitor-uri = /status
stats-uri = /admin
stats-auth = root:redhat ops:secret
stats-refresh = 5s
timeout-client = 2s
"""
SERVICE = """
[frontend vip{0}]
protocol = tcp
bind = 127.0.0.1:0
backend = app{0}

[backend app{0}]
server s1 = 127.0.0.1:9
server s2 = 127.0.0.1:10
"""


def basic(pair: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


class StatsHttpTests(TestCase):
    async def start(self) -> None:
        text = CONFIG + "".join(SERVICE.format(number) for number in range(SERVICES))
        self.proxy = ProxyHarness(reactor, text)
        self.addCleanup(self.proxy.stop)
        await self.proxy.start()
        self.port = self.proxy.port("monitor")

    async def get(self, *paths: str, **headers: str) -> list[tuple[int, Any, bytes]]:
        """The answers to requests on one connection."""
        return await deferToThread(self._get, paths, headers)

    def _get(self, paths: tuple[str, ...], headers: Any) -> list[tuple[int, Any, bytes]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        answers = []
        for path in paths:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            answers.append((response.status, response.headers, response.read()))
        connection.close()
        return answers

    async def test_one_connection(self) -> None:
        """Monitor, page, CSV and JSON come over one connection, for every user."""
        await self.start()
        for user in ("root:redhat", "ops:secret"):
            answers = await self.get(
                "/status", "/admin", "/admin;csv", "/admin;json", "/x", **basic(user)
            )
            self.assertEqual([status for status, _, _ in answers], [200, 200, 200, 200, 503])
            self.assertIn(b"vip0", answers[1][2])
            self.assertIn(b"\nmonitor,FRONTEND,", answers[2][2])
        counters = self.proxy.service.frontends["monitor"].counters
        self.assertEqual((counters.sessions_total, counters.requests), (2, 10))

    async def test_no_password(self) -> None:
        """Without the password there is nothing to see."""
        await self.start()
        ((status, headers, _),) = await self.get("/admin")
        self.assertEqual(status, 401)
        self.assertEqual(headers["www-authenticate"], 'Basic realm="HAProxy Statistics"')

    async def test_reader_that_does_not_read(self) -> None:
        """A client that asks a thousand times and reads nothing costs a few answers, not all."""
        await self.start()
        request = (
            "GET /admin HTTP/1.1\r\nHost: vip\r\n"
            f"Authorization: {basic('root:redhat')['Authorization']}\r\n\r\n"
        ).encode()
        client = socket.create_connection(("127.0.0.1", self.port))
        self.addCleanup(client.close)
        client.setblocking(False)
        for _ in range(1000):
            try:
                client.send(request)
            except BlockingIOError:
                break
        await self.proxy.until(
            lambda now: now.frontends[0].counters.requests > 0, what="the first request"
        )
        await deferLater(reactor, 0.3)
        self.assertLess(self.proxy.service.frontends["monitor"].counters.requests, 100)
        await self.proxy.until(
            lambda now: now.frontends[0].counters.sessions == 0, what="the end of the session"
        )
