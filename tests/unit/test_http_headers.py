"""Header changes, and what servers are told of a client."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.http_corpus import OK
from tests.unit.http_fakes import Proxy
from vipproxy.backends.balance_hash import HeaderBalancing, HeaderOptions
from vipproxy.config.cookie_options import CookieOptions
from vipproxy.config.http_kinds import FieldChange
from vipproxy.config.records import Chosen
from vipproxy.framing.http1 import parse_request
from vipproxy.framing.http_fields import FieldChanges, field_value, list_member
from vipproxy.protocols.http.forwarded import Forwarding
from vipproxy.protocols.http.options import ForwardedForOptions, ForwardedOptions
from vipproxy.values import Address

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Ok\r\nServer: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
NETWORKS = (ip_network("10.0.0.0/8"), ip_network("192.0.2.0/24"))

SET, ADD, DELETE = (FieldChange(action, "new") for action in ("set", "add", "delete"))


def changed(fields: bytes, **changes: FieldChange) -> bytes:
    named = [(name.replace("_", "-"), change) for name, change in changes.items()]
    lines = FieldChanges.of(named).apply(b"GET / HTTP/1.1\r\n" + fields)
    return lines.removeprefix(b"GET / HTTP/1.1\r\n")


class FieldTests(SynchronousTestCase):
    FIELDS = b"X-A: 1\r\nx-a:2\r\nX-Ab: 3\r\nY: X-A: 4\r\nX-A:\r\n"

    def test_set(self) -> None:
        """Set replaces all fields of the name, and stands at the end."""
        self.assertEqual(changed(self.FIELDS, X_A=SET), b"X-Ab: 3\r\nY: X-A: 4\r\nX-A: new\r\n")
        self.assertEqual(changed(b"", X_A=SET), b"X-A: new\r\n")

    def test_add(self) -> None:
        """Add leaves them."""
        self.assertEqual(changed(self.FIELDS, x_a=ADD), self.FIELDS + b"x-a: new\r\n")

    def test_delete(self) -> None:
        """Delete removes them all; several changes are done at once."""
        self.assertEqual(changed(self.FIELDS, x_a=DELETE), b"X-Ab: 3\r\nY: X-A: 4\r\n")
        self.assertEqual(changed(self.FIELDS, x_a=DELETE, y=DELETE), b"X-Ab: 3\r\n")

    def test_first_line(self) -> None:
        """The first line is no field."""
        lines = b"X:a / HTTP/1.1\r\nX: y\r\n"
        self.assertEqual(FieldChanges.of([("x", DELETE)]).apply(lines), b"X:a / HTTP/1.1\r\n")

    def test_values(self) -> None:
        """The first field of the name counts, without the blanks around its value."""
        lines = b"GET /x-a: HTTP/1.1\r\nX-Ab: 0\r\nx-A: \t1, 2 \r\nX-A: 3\r\n"
        self.assertEqual(field_value(b"X-a")(lines), b"1, 2")
        self.assertEqual(list_member(b"X-a")(lines), b"1")
        self.assertIsNone(field_value(b"X")(lines))

    def test_quotes(self) -> None:
        """A comma in quotes ends no member; quotes that never end cost no more than others."""
        for value, member in {
            b'"1,2", 3': b'"1,2"', b'a"\\",b"c,d': b'a"\\",b"c', b'"1,2': b'"1,2',
            b'"\\' * 8000: b'"\\' * 8000,
        }.items():  # fmt: skip
            lines = b"GET / HTTP/1.1\r\nX-A: %b\r\n" % value
            self.assertEqual(list_member(b"x-a")(lines), member)

    @settings(deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from(["A", "b", "Cc"]), st.sampled_from([SET, ADD, DELETE])))
    )
    def test_well_formed(self, changes: list[tuple[str, FieldChange]]) -> None:
        """Whatever is changed, a head remains a head."""
        head = b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\na:\r\nB: x\r\nCC: 1\r\ncc: 2\r\n\r\n"
        lines = FieldChanges.of(changes).apply(parse_request(head).lines)
        self.assertEqual(parse_request(lines + b"\r\n").lines, lines)


class ProxyTests(SynchronousTestCase):
    def test_requests(self) -> None:
        """The frontend's changes come first, then the backend's; the client's address last."""
        proxy = Proxy(
            request_header=(("X-Forwarded-For", DELETE), ("X-A", ADD), ("X-B", SET)),
            backend={"request_header": (("X-B", DELETE), ("X-C", SET))},
            forwarded_for=ForwardedForOptions(),
        )
        sent = proxy.ask(GET[:-2] + b"X-Forwarded-For: 6.6.6.6\r\nX-B: old\r\n\r\n")
        added = b"X-A: new\r\nX-C: new\r\nx-forwarded-for: 192.0.2.7\r\n\r\n"
        self.assertEqual(sent, GET[:-2] + added)

    def test_responses(self) -> None:
        """The backend's changes come first, then the frontend's; the persistence cookie last."""
        proxy = Proxy(
            CookieOptions(name="S", insert=True),
            response_header=(("X-B", DELETE), ("Set-Cookie", DELETE)),
            backend={"response_header": (("X-B", SET), ("Server", DELETE), ("X-C", SET))},
        )
        proxy.ask()
        reply = proxy.reply(EMPTY[:-2] + b"server: x\r\nSet-Cookie: a=b\r\n\r\n")
        added = b"X-C: new\r\nset-cookie: S=c1; path=/\r\n\r\n"
        self.assertEqual(reply, EMPTY[:-2] + added)

    def test_interim(self) -> None:
        """Interim responses are left alone, as HAProxy does; a change of protocols is not."""
        proxy = Proxy(response_header=(("Server", DELETE),))
        proxy.ask()
        early = b"HTTP/1.1 103 Early\r\nServer: x\r\n\r\n"
        self.assertEqual(proxy.reply(early), early)
        proxy.reply(EMPTY)
        proxy.ask(UPGRADE)
        proxy.reply(SWITCH)
        (tunnel,) = proxy.frontend.relay.tunnels
        self.assertNotIn(b"Server", tunnel.to_client)

    def test_own_answers(self) -> None:
        """What the proxy itself says is not changed."""
        proxy = Proxy(monitor_uri="/up", response_header=(("X", SET),))
        proxy.client.receive(b"GET /up HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertNotIn(b"X: new", proxy.client.sent)

    def test_key(self) -> None:
        """The balancer is asked with the key of the request as the server will see it."""
        by_user = Chosen("hdr", HeaderBalancing(), HeaderOptions(name="X-User"))
        proxy = Proxy(backend={"balance": by_user})
        for field in b"X-User: me\r\n", b"X-User: you\r\n", b"":
            proxy.ask(GET[:-2] + field + b"\r\n")
            proxy.reply(EMPTY)
        keys = [attempt.request.key for attempt in proxy.connector.attempts]
        self.assertEqual(keys, [b"me", b"you", None])
        proxy = Proxy(backend={"balance": by_user}, request_header=(("X-User", SET),))
        proxy.ask(GET[:-2] + b"X-User: me\r\n\r\n")
        self.assertEqual(proxy.connector.attempts[-1].request.key, b"new")

    def test_no_key(self) -> None:
        """Where the balancer wants none, none is looked for."""
        proxy = Proxy()
        proxy.ask()
        self.assertIsNone(proxy.connector.attempts[-1].request.key)


class ForwardedTests(SynchronousTestCase):
    def added(
        self,
        forwarded_for: ForwardedForOptions | None = None,
        forwarded: ForwardedOptions | None = None,
        client: str = "192.0.2.7",
        request: bytes = GET,
        secure: bool = False,
    ) -> bytes:
        forwarding = Forwarding(forwarded_for, forwarded)
        vip = Address("2001:db8::1", 80)
        fields = forwarding.of_client(Address(client, 4000), vip, secure)
        return b"" if fields is None else fields(parse_request(request))

    def test_x_forwarded_for(self) -> None:
        """The client's address, under the name that is wanted."""
        self.assertEqual(self.added(ForwardedForOptions()), b"x-forwarded-for: 192.0.2.7\r\n")
        options = ForwardedForOptions(header="X-Client")
        self.assertEqual(self.added(options, client="2001:db8::7"), b"X-Client: 2001:db8::7\r\n")

    def test_excepted(self) -> None:
        """Not for clients of an excepted network, of whatever family."""
        options = ForwardedForOptions(except_=NETWORKS), ForwardedOptions(except_=NETWORKS)
        self.assertEqual(self.added(*options), b"")
        for client in "192.0.3.7", "2001:db8::7":
            self.assertIn(client.encode(), self.added(*options, client=client))

    def test_only_where_there_is_none(self) -> None:
        """With if-none, a client's own field is enough."""
        options = ForwardedForOptions(if_none=True)
        theirs = GET[:-2] + b"X-FORWARDED-FOR:\r\n\r\n"
        self.assertEqual(self.added(options, request=theirs), b"")
        self.assertEqual(self.added(options), b"x-forwarded-for: 192.0.2.7\r\n")

    def test_forwarded(self) -> None:
        """RFC 7239: scheme and client; on demand the host, and the address that was called."""
        plain = b"forwarded: proto=http;for=192.0.2.7\r\n"
        self.assertEqual(self.added(forwarded=ForwardedOptions()), plain)
        full = b'forwarded: proto=https;host="a";by="[2001:db8::1]";for="[2001:db8::7]"\r\n'
        options = ForwardedOptions(host=True, by=True)
        found = self.added(forwarded=options, client="2001:db8::7", secure=True)
        self.assertEqual(found, full)

    def test_hosts(self) -> None:
        """A port needs the quotes, a quote does not end them, and no Host is no host."""
        options = ForwardedOptions(host=True)
        for host, part in (b"a:80", b'host="a:80";'), (b'a"b', b'host="a\\"b";'):
            request = GET.replace(b"Host: a", b"Host: " + host)
            self.assertIn(part, self.added(forwarded=options, request=request))
        old = b"GET / HTTP/1.0\r\n\r\n"
        self.assertNotIn(b"host", self.added(forwarded=options, request=old))

    def test_both(self) -> None:
        """Both may be wanted, and each may be switched off."""
        both = self.added(ForwardedForOptions(), ForwardedOptions())
        expected = b"x-forwarded-for: 192.0.2.7\r\nforwarded: proto=http;for=192.0.2.7\r\n"
        self.assertEqual(both, expected)
        off = ForwardedForOptions(enabled=False), ForwardedOptions(enabled=False)
        self.assertEqual(self.added(*off), b"")
        self.assertFalse(Forwarding(*off))
        self.assertFalse(Forwarding(None, None))
