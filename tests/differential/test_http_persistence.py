"""Cookies of servers that are drained, in maintenance, down, or refuse: HAProxy's bytes, ours."""

from __future__ import annotations

import time

from twisted.internet.threads import deferToThread

from tests.differential.test_http_features import Answer, Case, asking
from tests.differential.test_http_haproxy import LAST, normal
from tests.http_peers import TIMEOUT, Origin, talk
from tests.ports import free_port

COOKIES = {
    "insert": "insert indirect nocache",
    "prefix": "prefix",
    "rewrite": "rewrite",
    "passive": "",
}
REQUESTS = (
    LAST,
    asking(b"Cookie: SERVERID=c1"),
    asking(b"Cookie: a=1; SERVERID=c1~own; b=2"),
    asking(b"Cookie: SERVERID=c2"),
    asking(b"Cookie: SERVERID=zz; SERVERID=c1"),
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: SERVERID=app\r\n\r\n"


class Administered(Case):
    """The first of two servers is not to be had, or only by its cookie."""

    async def through(self, port: int, request: bytes) -> Answer:
        self.other.answer, self.other.seen = self.origin.answer, []
        got, seen = await super().through(port, request)
        return got, [*seen, b"and the other server:", *map(normal, self.other.seen)]

    def settings(self, port: int) -> dict[str, tuple[str, str, str, str]]:
        self.other = Origin()
        self.addCleanup(self.other.close)
        words = {"maint": ("disabled", "disabled"), "drain": ("weight 0", "weight=0")}
        return {
            f"{state}-{mode}": (
                "",
                f"cookie SERVERID {options}\n    server s1 127.0.0.1:{port} cookie c1 {theirs}\n"
                f"    server s2 127.0.0.1:{self.other.port} cookie c2",
                "",
                f"cookie = SERVERID {options}\nserver s1 = 127.0.0.1:{port} cookie=c1 {ours}\n"
                f"server s2 = 127.0.0.1:{self.other.port} cookie=c2",
            )
            for state, (theirs, ours) in words.items()
            for mode, options in COOKIES.items()
        }

    async def test_same(self) -> None:
        """In every mode the same servers answer with the same cookies."""
        for name in self.ports:
            for request in REQUESTS:
                await self.assert_same(name, request, ANSWER)

    async def test_holders(self) -> None:
        """Drain keeps who has the cookie, maintenance does not."""
        holder = asking(b"Cookie: SERVERID=c1")
        got, _ = await self.assert_same("drain-insert", holder)
        self.assertNotIn(b"set-cookie", got)
        got, _ = await self.assert_same("maint-insert", holder)
        self.assertIn(b"set-cookie: SERVERID=c2; path=/\r\n", got)


class Dead(Case):
    """The first of two servers refuses."""

    def settings(self, port: int) -> dict[str, tuple[str, str, str, str]]:
        dead = free_port()
        cookie = "cookie SERVERID insert indirect nocache\n    retries 1\n"
        our_cookie = "cookie = SERVERID insert indirect nocache\nretries = 1\n"

        def case(option: str, check: str, our_options: str) -> tuple[str, str, str, str]:
            return (
                "",
                f"{cookie}    {option}\n    server s1 127.0.0.1:{dead} cookie c1 {check}\n"
                f"    server s2 127.0.0.1:{port} cookie c2",
                "",
                f"{our_cookie}{our_options}\nserver s1 = 127.0.0.1:{dead} cookie=c1\n"
                f"server s2 = 127.0.0.1:{port} cookie=c2 check=off",
            )

        return {
            "faithful": case("no option redispatch", "", "redispatch = off"),
            "redispatch": case("option redispatch", "", "redispatch = on"),
            "down": case(
                "no option redispatch",
                "check inter 50ms fall 1",
                "redispatch = off\ncheck = tcp interval=50ms timeout=5s fall=1",
            ),
        }

    async def test_refuses(self) -> None:
        """Who has its cookie stays, and gets a 503; or another server, and its cookie."""
        holder = asking(b"Cookie: SERVERID=c1")
        got, seen = await self.assert_same("faithful", holder)
        self.assertEqual((got[:12], seen), (b"HTTP/1.1 503", []))
        got, _ = await self.assert_same("redispatch", holder)
        self.assertIn(b"set-cookie: SERVERID=c2; path=/\r\n", got)

    async def test_down(self) -> None:
        """Who has its cookie gets another server, and that one's cookie."""
        await self.proxy.until_down("down", "s1")
        self.origin.answer = ANSWER
        await deferToThread(self.wait_for_haproxy)
        for request in REQUESTS:
            await self.assert_same("down", request, ANSWER)

    def wait_for_haproxy(self) -> None:
        """Until it has marked the server down, too."""
        deadline = time.monotonic() + TIMEOUT
        holder = asking(b"Cookie: SERVERID=c1")
        while b"SERVERID=c2" not in normal(talk(self.ports["down"], holder, False)):
            self.assertLess(time.monotonic(), deadline)
