"""Rules at work, without a socket: they decide as they should, and break no message."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.http_fakes import Proxy
from vipproxy.config.conditions import parse_test, read_condition
from vipproxy.config.rule_kinds import (
    CONDITION,
    HTTP_REQUEST_RULE,
    HTTP_RESPONSE_RULE,
    REDIRECT_RULE,
    USE_BACKEND,
    Page,
)
from vipproxy.config.words import Words
from vipproxy.errors import BadRequest
from vipproxy.framing.http1 import parse_request
from vipproxy.protocols.http.factory import HttpFactory
from vipproxy.protocols.http.options import HttpOptions
from vipproxy.rules.answers import Answer
from vipproxy.rules.conditions import Scope
from vipproxy.rules.lists import compile_rules, run
from vipproxy.rules.subject import Subject
from vipproxy.values import Address

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
CLIENT, VIP = Address("192.0.2.7", 40000), Address("192.0.2.80", 80)


class FakeWorld:
    """A frontend, as far as rules ask for it."""

    name = "web"
    clock = Clock()

    def __init__(self) -> None:
        self.backends: dict[str, Any] = {}


def subject(head: bytes = GET) -> Subject:
    return Subject(CLIENT, VIP, "web", request=parse_request(head))


def holds(condition: str, head: bytes = GET, **acls: str) -> bool:
    named = tuple((name, parse_test(text)) for name, text in acls.items())
    text = f"if {condition}"
    scope = Scope(FakeWorld(), named)  # type: ignore[arg-type]
    predicate = scope.predicate(read_condition(Words.of(text), text))
    assert predicate is not None
    return predicate(subject(head))


def apply(rule: str, head: bytes = GET) -> tuple[Subject, Any]:
    rules = compile_rules((HTTP_REQUEST_RULE.parse(rule),), Scope(FakeWorld(), ()))  # type: ignore[arg-type]
    it = subject(head)
    return it, run(rules, it)


class ConditionTests(SynchronousTestCase):
    def test_logic(self) -> None:
        """Side by side is and; or is weaker; negations cancel out."""
        self.assertTrue(holds("TRUE TRUE"))
        self.assertFalse(holds("TRUE FALSE"))
        self.assertTrue(holds("FALSE FALSE or TRUE"))
        self.assertTrue(holds("TRUE || FALSE FALSE"))
        self.assertTrue(holds("!FALSE ! FALSE !!TRUE"))
        self.assertTrue(holds("!{ src 10.0.0.0/8 }"))

    def test_own_before_predefined(self) -> None:
        """An acl of a predefined name replaces it."""
        self.assertFalse(holds("TRUE", TRUE="always_false"))

    def test_addresses(self) -> None:
        """Networks of both kinds; an IPv4 address in IPv6 is the IPv4 address."""
        self.assertTrue(holds("{ src 192.0.2.0/24 ::1 }"))
        self.assertFalse(holds("{ dst 192.0.2.7 }"))
        mapped = Subject(Address("::ffff:192.0.2.7", 1), VIP, "web")
        scope = Scope(FakeWorld(), ())  # type: ignore[arg-type]
        predicate = scope.predicate(CONDITION.parse("if { src 192.0.2.0/24 }"))
        assert predicate is not None
        self.assertTrue(predicate(mapped))

    def test_numbers(self) -> None:
        """Ranges and comparisons."""
        for text, expected in (
            ("dst_port 80", True), ("dst_port 1:79 81:", False), ("dst_port :80", True),
            ("src_port gt 39999", True), ("src_port ge 1 lt 5", True), ("dst_port lt 80", False),
            ("dst_port le 80", True),
        ):  # fmt: skip
            self.assertEqual(holds(f"{{ {text} }}"), expected, text)

    def test_parts(self) -> None:
        """Parts of names and paths are whole parts."""
        head = b"GET /a/static/x?y=1 HTTP/1.1\r\nHost: www.Example.org:80\r\n\r\n"
        for text, expected in (
            ("path_dir static", True), ("path_dir stat", False), ("hdr_dom(host) Example", True),
            ("hdr_dom(host) xample", False), ("hdr_dom(host) -i example", True),
            ("hdr(host),lower,host_only www.example.org", True), ("hdr(host),port_only 80", True),
            ("path_len 11", True), ("path,field(3,/) static", True),
            ("path,word(2,/) static", True),
            ("url_param(y) 1", True), ("base www.Example.org:80/a/static/x", True),
        ):  # fmt: skip
            self.assertEqual(holds(f"{{ {text} }}", head), expected, text)

    def test_world(self) -> None:
        """What does not depend on the request."""
        self.assertTrue(holds("{ rand(1) 0 } { rand(100) 0:99 } !{ rand(5) ge 5 }"))
        self.assertTrue(holds("{ str(abc) -m beg ab } { int(7) gt 6 } { hostname -m found }"))

    def test_frontend(self) -> None:
        """Sessions of the frontend, now and in the last second."""
        it = proxy(
            http_request=(
                HTTP_REQUEST_RULE.parse("deny deny_status 429 if { fe_sess_rate gt 1 }"),
                HTTP_REQUEST_RULE.parse("deny if { fe_conn gt 1 } or { be_sess_rate(pool) gt 1 }"),
            )
        )
        counters = it.frontend.counters
        for now, status in ((0.0, b""), (0.0, b"429"), (5.0, b"403")):
            it.clock.advance(now)
            counters.session_opened(it.clock.seconds())
            before = len(it.client.sent)
            it.client.receive(GET)
            self.assertEqual(it.client.sent[before:][9:12], status)
            if not status:
                it.server.receive(OK)

    def test_lists(self) -> None:
        """Each member of a header's list is looked at, but a quoted comma ends none."""
        head = b'GET / HTTP/1.1\r\nHost: a\r\nA: b, "c,d"\r\nA: e\r\n\r\n'
        for text, expected in (
            ("hdr(a) b", True), ("hdr(a) e", True), ("hdr(a) d", False), ("hdr_cnt(a) 3", True),
            ("fhdr(a) e", True), ("fhdr(a) b", False), ("hdr(a,1) b", True), ("hdr(a,-1) e", True),
            ("hdr(a,2) b", False), ("hdr(a,9) -m found", False),
        ):  # fmt: skip
            self.assertEqual(holds(f"{{ {text} }}", head), expected, text)


TEXTS = st.text(st.characters(min_codepoint=33, max_codepoint=126, blacklist_characters="%"))


class EditTests(SynchronousTestCase):
    @given(st.binary())
    def test_no_injection(self, data: bytes) -> None:
        """Whatever decoding brings in, the head stays one head with the same fields."""
        encoded = b"".join(b"%%%02x" % byte for byte in data)
        head = b"GET /?a=%b HTTP/1.1\r\nHost: a\r\n\r\n" % encoded
        it, _ = apply("set-header X-A %[urlp(a),url_dec]", head)
        assert it.request is not None
        after = parse_request(it.request.render())
        self.assertEqual(after.lines.count(b"\r\n"), 3)

    @given(st.binary(min_size=1))
    def test_targets(self, data: bytes) -> None:
        """Whatever a path is made of, the request line stays one."""
        encoded = b"".join(b"%%%02x" % byte for byte in data)
        head = b"GET /?a=%b HTTP/1.1\r\nHost: a\r\n\r\n" % encoded
        for part in ("path", "uri", "query"):
            it, _ = apply(f"set-{part} %[urlp(a),url_dec]", head)
            assert it.request is not None
            if not it.request.target.lower().startswith((b"http://", b"https://")):
                after = parse_request(it.request.render())
                self.assertEqual(after.target, it.request.target)

    @given(st.binary())
    def test_hosts(self, data: bytes) -> None:
        """A Host that is none is the client's fault."""
        encoded = b"".join(b"%%%02x" % byte for byte in data)
        head = b"GET /?a=%b HTTP/1.1\r\nHost: a\r\n\r\n" % encoded
        try:
            it, _ = apply("set-header Host %[urlp(a),url_dec]", head)
        except BadRequest:
            return
        assert it.request is not None
        self.assertEqual(parse_request(it.request.render()).lines.count(b"Host:"), 1)

    def test_framing_stays(self) -> None:
        """No pattern deletes what frames the message."""
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Type: b\r\n\r\n"
        for rule in ("-m beg", "-m sub", "-m reg"):
            it, _ = apply(f"del-header Content {rule}", head)
            assert it.request is not None
            left = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
            self.assertEqual(it.request.lines, left)

    @given(TEXTS)
    def test_fixed_values(self, text: str) -> None:
        """A value without samples is written as it is."""
        it, _ = apply(f"set-header X-A '{text.replace(chr(39), '')}.'")
        assert it.request is not None
        value = text.replace("'", "") + "."
        self.assertTrue(it.request.lines.endswith(f"X-A: {value}\r\n".encode()))

    def test_first_verdict(self) -> None:
        """The first rule that ends the matter is the last; those before it have done their work."""
        texts = ("set-header A b", "deny if FALSE", "deny deny_status 429", "deny")
        rules = compile_rules(
            tuple(map(HTTP_REQUEST_RULE.parse, texts)),
            Scope(FakeWorld(), ()),  # type: ignore[arg-type]
        )
        it = subject()
        self.assertEqual(run(rules, it), Answer(429, denied=True))
        assert it.request is not None
        self.assertIn(b"A: b\r\n", it.request.lines)


def proxy(**options: Any) -> Proxy:
    return Proxy(**options)


class ClientTests(SynchronousTestCase):
    def test_pipeline(self) -> None:
        """After a refusal the connection goes on, and so do requests that were sent ahead."""
        rules = (HTTP_REQUEST_RULE.parse("deny if { path /no }"),)
        it = proxy(http_request=rules)
        it.client.receive(GET.replace(b"/ ", b"/no ") * 2 + GET)
        it.server.receive(OK)
        statuses = re.findall(rb"HTTP/1.1 ([0-9]+)", it.client.sent)
        self.assertEqual(statuses, [b"403", b"403", b"200"])
        self.assertEqual(it.frontend.counters.denied_requests, 2)
        self.assertEqual(it.frontend.counters.responses[3], 2)

    def test_body(self) -> None:
        """A refused request whose body has not come ends the connection."""
        it = proxy(http_request=(HTTP_REQUEST_RULE.parse("deny"),))
        it.client.receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        self.assertIn(b"connection: close\r\n", it.client.sent)
        self.assertEqual(it.client.ending, "half")

    def test_backend(self) -> None:
        """The backend's rules come after the choice, and count for it, too."""
        it = proxy(backend={"redirect": (REDIRECT_RULE.parse("location /x if { path / }"),)})
        it.client.receive(GET)
        self.assertTrue(it.client.sent.startswith(b"HTTP/1.1 302 Found\r\n"))
        self.assertEqual(it.backend.counters.responses[2], 1)
        self.assertEqual(it.frontend.counters.intercepted, 0)

    def test_no_backend(self) -> None:
        """A name that is no backend's is passed over."""
        it = proxy(use_backend=(USE_BACKEND.parse("%[req.hdr(host)]"),))
        self.assertIn(b"GET / HTTP/1.1\r\n", it.ask())

    def test_nowhere(self) -> None:
        """Without any backend a request is answered all the same."""
        it = proxy()
        it.frontend.backend = None  # type: ignore[assignment]
        it.factory = HttpFactory(it.frontend, HttpOptions())
        client = it.connect()
        client.receive(GET)
        self.assertTrue(client.sent.startswith(b"HTTP/1.1 503 "))

    def test_response(self) -> None:
        """A denied response is replaced, its server's connection not used again."""
        it = proxy(http_response=(HTTP_RESPONSE_RULE.parse("deny if { res.hdr(a) b }"),))
        it.ask()
        said = it.reply(b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\n\r\nabc")
        self.assertTrue(said.startswith(b"HTTP/1.1 502 Bad Gateway\r\n"))
        self.assertEqual(it.server.ending, "aborted")
        self.assertEqual(it.frontend.counters.denied_responses, 1)
        self.assertEqual(it.backend.counters.denied_responses, 1)
        it.ask()
        self.assertIn(b"200 OK", it.reply(OK))

    def test_page(self) -> None:
        """A page of one's own ends the connection; an empty one says nothing."""
        page = Page("", b"HTTP/1.0 503 Later\r\n", b"soon")
        it = proxy(errorfile=(("403", page),), http_request=(HTTP_REQUEST_RULE.parse("deny"),))
        it.client.receive(GET)
        self.assertEqual(it.client.sent, b"HTTP/1.0 503 Later\r\n\r\nsoon")
        silent = Page("", b"", b"")
        it = proxy(errorfile=(("408", silent),), timeout_http_request=1.0)
        it.client.receive(GET[:9])
        it.clock.advance(3)
        self.assertEqual((it.client.sent, bool(it.client.ending)), (b"", True))

    def test_bad_host(self) -> None:
        """A Host that a rule makes and that is none: 400."""
        rule = HTTP_REQUEST_RULE.parse("set-header Host %[query,url_dec]")
        it = proxy(http_request=(rule,))
        it.client.receive(GET.replace(b"/ ", b"/?a%20b "))
        self.assertTrue(it.client.sent.startswith(b"HTTP/1.1 400 "))

    def test_changes_in_order(self) -> None:
        """Plain header changes of a section come before its rules."""
        from vipproxy.config.http_kinds import FieldChange

        it = proxy(
            request_header=(("X-A", FieldChange("set", "1")),),
            http_request=(HTTP_REQUEST_RULE.parse("set-header X-B 2 if { hdr(x-a) 1 }"),),
            backend={"request_header": (("X-B", FieldChange("delete")),)},
        )
        seen = it.ask()
        self.assertIn(b"X-A: 1\r\n", seen)
        self.assertNotIn(b"X-B", seen)
