"""Persistence by cookie: HAProxy's table, row by row."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.unit.http_fakes import FakeLease, FakeServer, Proxy
from vipproxy.config.options import CookieOptions
from vipproxy.framing.http1 import parse_response
from vipproxy.protocols.http_cookie import Persistence, is_cacheable

COOKIE = CookieOptions(name="SERVERID", insert=True, indirect=True, nocache=True)
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def persistence(**words: Any) -> Persistence:
    return Persistence(CookieOptions(name="SERVERID", **words), Proxy().backend)


class TableTests(SynchronousTestCase):
    """Rows of the measured table: what the server receives, what the client gets."""

    def exchange(self, *cookies: bytes, response: bytes = EMPTY) -> tuple[bytes, bytes]:
        self.proxy = Proxy(COOKIE)
        lines = b"".join(b"Cookie: %b\r\n" % each for each in cookies)
        self.proxy.client.receive(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n")
        sent = self.proxy.server.sent
        start, end = b"GET / HTTP/1.1\r\nHost: a\r\n", b"connection: close\r\n\r\n"
        self.assertTrue(sent.startswith(start) and sent.endswith(end), sent)
        reply = self.proxy.reply(response)
        return sent[len(start) : -len(end)], reply.partition(b"\r\nContent-Length: 0\r\n")[2]

    def asked_for(self) -> str | None:
        cookie: str | None = self.proxy.connector.attempts[-1].request.cookie
        return cookie

    NEW = b"set-cookie: SERVERID=c1; path=/\r\n\r\n"
    NOTHING = b"\r\n"

    def test_no_cookie(self) -> None:
        """Without a cookie the client gets one."""
        self.assertEqual(self.exchange(), (b"", self.NEW))
        self.assertIsNone(self.asked_for())

    def test_among_others(self) -> None:
        """A valid cookie is taken out from among others, and nothing is added."""
        seen = self.exchange(b"a=1; SERVERID=c1; b=2")
        self.assertEqual(seen, (b"Cookie: a=1; b=2\r\n", self.NOTHING))
        self.assertEqual(self.asked_for(), "c1")

    def test_alone(self) -> None:
        """A Cookie field with nothing else is removed entirely."""
        self.assertEqual(self.exchange(b"SERVERID=c2"), (b"", self.NOTHING))
        self.assertIs(self.proxy.lease.server, self.proxy.backend.servers[1])

    def test_two_fields(self) -> None:
        """Another Cookie field is kept."""
        seen = self.exchange(b"a=1", b"SERVERID=c1")
        self.assertEqual(seen, (b"Cookie: a=1\r\n", self.NOTHING))

    def test_invalid_values(self) -> None:
        """An unknown, empty or quoted value is stripped, and the client gets a new cookie."""
        for value in b"zzz", b"", b'"c1"':
            self.assertEqual(self.exchange(b"SERVERID=" + value), (b"", self.NEW), value)

    def test_duplicates(self) -> None:
        """Of two cookies both are stripped, and the first wins."""
        self.assertEqual(self.exchange(b"SERVERID=c2; SERVERID=c1"), (b"", self.NOTHING))
        self.assertEqual(self.asked_for(), "c2")

    def test_unknown_duplicate(self) -> None:
        """A cookie that names no server does not hinder one that does."""
        self.assertEqual(self.exchange(b"SERVERID=zz; SERVERID=c1"), (b"", self.NOTHING))
        self.assertEqual(self.asked_for(), "c1")

    def test_case(self) -> None:
        """A name in another case is another cookie."""
        seen = self.exchange(b"serverid=c2")
        self.assertEqual(seen, (b"Cookie: serverid=c2\r\n", self.NEW))

    def test_other_server(self) -> None:
        """A client whose server could not be used gets the cookie of the other one."""
        proxy = Proxy(COOKIE)
        proxy.connector.waits = True
        proxy.client.receive(b"GET / HTTP/1.1\r\nCookie: SERVERID=c2\r\n\r\n")
        proxy.connector.let_through(proxy.connector.attempts[0], cookie=False)
        self.assertNotIn(b"SERVERID", proxy.server.sent)
        self.assertIn(b"set-cookie: SERVERID=c1; path=/\r\n", proxy.reply(EMPTY))

    def test_server_sets_it(self) -> None:
        """A server's own cookie of that name is removed, others are kept."""
        response = (
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: SERVERID=x; path=/y\r\n"
            b"Set-Cookie: b=SERVERID\r\nset-cookie: serverid=z\r\n\r\n"
        )
        kept = b"Set-Cookie: b=SERVERID\r\nset-cookie: serverid=z\r\n"
        self.assertEqual(self.exchange(response=response)[1], kept + self.NEW)
        self.assertEqual(self.exchange(b"SERVERID=c1", response=response)[1], kept + b"\r\n")

    def test_every_status(self) -> None:
        """The cookie is inserted whatever the status is."""
        for status in b"304", b"500", b"404":
            response = b"HTTP/1.1 %b -\r\nContent-Length: 0\r\n\r\n" % status
            self.assertEqual(self.exchange(response=response)[1], self.NEW)

    def test_every_request(self) -> None:
        """Each request of a keep-alive connection is treated for itself."""
        self.exchange()
        self.proxy.ask()
        self.assertIn(self.NEW, self.proxy.reply(EMPTY))

    def test_delimiters(self) -> None:
        """Blanks, commas and quotes are taken as HAProxy takes them."""
        for value, left in {
            b"SERVERID = c1 ; x=y": b"Cookie: x=y\r\n",
            b"SERVERID=c1,z=1; x=y": b"Cookie: z=1; x=y\r\n",
            b"a=1;SERVERID=c1;b=2": b"Cookie: a=1; b=2\r\n",
            b"a=1; SERVERID=c1": b"Cookie: a=1\r\n",
            b"SERVERID=c1; a=1,2;b=3": b"Cookie: a=1,2;b=3\r\n",
        }.items():
            self.assertEqual(self.exchange(value), (left, self.NOTHING), value)
        quoted = b'a="x;SERVERID=c1;"; a=1'
        self.assertEqual(self.exchange(quoted), (b"Cookie: %b\r\n" % quoted, self.NEW))


class ModeTests(SynchronousTestCase):
    """What the words after the name mean, each for itself."""

    RESPONSE = b"HTTP/1.1 200 OK\r\nSet-Cookie: SERVERID=foo\r\nETag: a\r\n\r\n"

    def fields(self, by_cookie: bool, server: FakeServer | None = None, **words: Any) -> bytes:
        head = parse_response(self.RESPONSE)
        lease: Any = FakeLease(server or FakeServer(), by_cookie)
        added = persistence(**words).write(head, b"GET", lease)
        return head.fields + added

    def test_passive(self) -> None:
        """Without insert the server's own cookie passes, and the request's is passed on."""
        own = b"Set-Cookie: SERVERID=foo\r\nETag: a\r\n"
        self.assertEqual(self.fields(by_cookie=True), own)
        self.assertEqual(self.fields(by_cookie=False), own)
        fields = b"Cookie: SERVERID=c1\r\n"
        self.assertEqual(persistence().read(fields), (fields, "c1"))

    def test_indirect_alone(self) -> None:
        """With indirect alone, a client that has the cookie does not get the server's."""
        self.assertEqual(self.fields(by_cookie=True, indirect=True), b"ETag: a\r\n")

    def test_insert_without_nocache(self) -> None:
        """Without nocache nothing is said about caches."""
        expected = b"ETag: a\r\nset-cookie: SERVERID=c1; path=/\r\n"
        self.assertEqual(self.fields(by_cookie=False, insert=True), expected)

    def test_server_without_a_cookie(self) -> None:
        """A server without a cookie value takes the client's cookie away."""
        expected = (
            b"ETag: a\r\n"
            b"set-cookie: SERVERID=; Expires=Thu, 01-Jan-1970 00:00:01 GMT; path=/\r\n"
            b"cache-control: private\r\n"
        )
        server = FakeServer(cookie=None)
        seen = self.fields(by_cookie=False, server=server, insert=True, nocache=True)
        self.assertEqual(seen, expected)


class CacheTests(SynchronousTestCase):
    def cacheable(self, fields: bytes, status: int = 200, method: bytes = b"GET") -> bool:
        return is_cacheable(parse_response(b"HTTP/1.1 %d -\r\n%b\r\n" % (status, fields)), method)

    def test_validators_and_freshness(self) -> None:
        """A validator or an explicit lifetime makes a response cacheable."""
        for line in (
            b"ETag: a", b"Last-Modified: x", b"Expires: 0", b"Cache-Control: MAX-AGE=60",
            b"Cache-Control: public, s-maxage=60", b'Cache-Control: no-cache="x"\r\nETag: a',
            b"Cache-Control: no-store\r\nCache-Control: public\r\nETag: a",
        ):  # fmt: skip
            self.assertTrue(self.cacheable(line + b"\r\n"), line)

    def test_not_cacheable(self) -> None:
        """Nothing to go by, or a word against it, makes it not cacheable."""
        for line in (
            b"X: y", b"Cache-Control: public", b"Cache-Control: max-age=0\r\nETag: a",
            b"Cache-Control: max-age=5, private", b"Cache-Control: s-maxage=0",
            b"Pragma: no-cache\r\nCache-Control: public\r\nETag: a",
            b"Cache-Control: public, max-age=0\r\nETag: a",
        ):  # fmt: skip
            self.assertFalse(self.cacheable(line + b"\r\n"), line)

    def test_status_and_method(self) -> None:
        """Some statuses, and answers to POST, are not cacheable by default."""
        for status in 302, 304, 500:
            self.assertFalse(self.cacheable(b"ETag: a\r\n", status))
        self.assertTrue(self.cacheable(b"ETag: a\r\n", 404))
        self.assertFalse(self.cacheable(b"ETag: a\r\n", 200, b"POST"))
        self.assertTrue(self.cacheable(b"ETag: a\r\n", 200, b"OPTIONS"))
