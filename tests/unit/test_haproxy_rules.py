"""Rules of a haproxy.cfg."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.haproxy_cfg import load_cfg, report, said
from vipproxy.config import loads
from vipproxy.config.write import write_ini
from vipproxy.plugins import Catalog

HEAD = """\
defaults
    mode http
    timeout connect 5s
    timeout client 1m
    timeout server 1m
"""
RULES = """\
frontend web
    bind 127.0.0.1:8080
    acl is_api path_beg /api /v2
    acl is_api hdr(host) -i "a b" x\\ y
    monitor-uri /ok
    monitor fail if { nbsrv(api) lt 1 }
    tcp-request inspect-delay 5s
    tcp-request connection reject if { src 10.0.0.0/8 }
    tcp-request content reject if { src 10.0.0.1 }
    http-request deny if { path_beg /admin } !is_api
    http-request set-header X-Quoted "it's \\"so\\" # not a comment"
    http-request replace-header X-A ^(.*)\\.com$ \\1
    http-response del-header Server
    redirect scheme https code 301 if { path /login } !{ ssl_fc }
    use_backend api if is_api
    default_backend site
backend api
    acl get method GET
    http-request deny unless get
    server a 127.0.0.1:81
backend site
    redirect prefix /x if { path /y }
    server a 127.0.0.1:82
"""


class RuleTests(SynchronousTestCase):
    def test_accepted(self) -> None:
        """There is nothing to say about them."""
        self.assertEqual(said(HEAD + RULES), [])

    def test_order(self) -> None:
        """They stand in the order of the file, word by word."""
        (front,) = (s for s in load_cfg(HEAD + RULES).document.sections if s.kind == "frontend")
        rules = [(each.key, each.value) for each in front.settings if each.key == "http-request"]
        self.assertEqual(
            rules,
            [
                ("http-request", "deny if { path_beg /admin } !is_api"),
                ("http-request", r'''set-header X-Quoted "it's \"so\" # not a comment"'''),
                ("http-request", r'replace-header X-A "^(.*)\\.com$" "\\1"'),
            ],
        )

    def test_same_as_ini(self) -> None:
        """Converted to INI they are the same rules."""
        loaded = load_cfg(HEAD + RULES)
        again = loads(write_ini(loaded.document), Catalog(), "x", 10**9, "ini")
        for one, other in zip(loaded.config.frontends, again.config.frontends, strict=True):
            self.assertEqual(one.options.acl, other.options.acl)
            self.assertEqual(one.protocol_options.http_request, other.protocol_options.http_request)
            self.assertEqual(one.protocol_options.use_backend, other.protocol_options.use_backend)
        for back, twin in zip(loaded.config.backends, again.config.backends, strict=True):
            self.assertEqual(back.options.http_request, twin.options.http_request)
            self.assertEqual(back.options.redirect, twin.options.redirect)

    def test_problems(self) -> None:
        """What is wrong in a rule is told at its own word."""
        text = RULES.replace("!is_api", "!is_apy").replace("use_backend api", "use_backend apy")
        text = text.replace("http-response del-header", "http-response drop")
        self.assertEqual(
            said(HEAD + text)[:3],
            [
                "15:46: error: unknown acl 'is_apy' in frontend 'web'",
                "18:19: error: unknown action 'drop' in frontend 'web'",
                "20:17: error: unknown backend 'apy' in frontend 'web'",
            ],
        )

    def test_tcp_mode(self) -> None:
        """Rules for requests are ignored in tcp mode, which is told."""
        tcp = RULES.replace("    bind", "    mode tcp\n    bind")
        found = said(HEAD + tcp)
        self.assertIn(
            "16:5: warning: 'http-request' is ignored: frontend 'web' is in tcp mode", found
        )

    def test_inspection(self) -> None:
        """What a TCP client says may be waited for."""
        text = (
            f"{HEAD}frontend f\n mode tcp\n bind :443\n tcp-request inspect-delay 5s\n"
            " tcp-request content accept if { req_ssl_hello_type 1 }\n"
            " use_backend b if { req_ssl_sni -i a.example }\nbackend b\n server s 127.0.0.1:1\n"
        )
        self.assertEqual(said(text), [])
        (front,) = load_cfg(text).config.frontends
        self.assertEqual(front.protocol_options.tcp_request_inspect_delay, 5.0)

    def test_old_form(self) -> None:
        """reqadd and rspadd, as they were before HAProxy 2.1."""
        lines = " reqadd X-A:\\ b%c if { ssl_fc }\n rspadd X-B:\\ 'd e'\n"
        text = f"{HEAD}frontend f\n bind :80\n{lines} default_backend b\nbackend b\n"
        loaded = load_cfg(text)
        rules = [
            (each.key, each.value)
            for section in loaded.document.sections
            for each in section.settings
            if each.key.startswith("http-re")
        ]
        self.assertEqual(
            rules,
            [
                ("http-request", "add-header X-A b%%c if { ssl_fc }"),
                ("http-response", 'add-header X-B "d e"'),
            ],
        )

    def test_alone(self) -> None:
        """A frontend may redirect everybody, and have no backend."""
        text = HEAD + "frontend f\n    bind :8080\n    redirect scheme https\n"
        self.assertEqual(said(text), [])
        (front,) = load_cfg(text).config.frontends
        self.assertEqual(len(front.protocol_options.redirect), 1)


class Users(SynchronousTestCase):
    TEXT = (
        HEAD + "userlist ops\n group admins users root\n"
        " user root insecure-password s3cret\n user guest insecure-password guest groups g1,g2\n"
        "frontend f\n bind :8080\n http-request auth realm x unless { http_auth(ops) }\n"
        " http-request deny if { http_auth_group(ops) g1 }\n default_backend b\n"
        "backend b\n server a 127.0.0.1:80\n"
    )

    def test_userlist(self) -> None:
        """A userlist is one of ours."""
        loaded = load_cfg(self.TEXT)
        self.assertEqual(said(self.TEXT), [])
        (users,) = (each for each in loaded.document.sections if each.kind == "userlist")
        self.assertEqual(
            [(each.key, each.value) for each in users.settings],
            [
                ("group admins", "root"),
                ("user root", "insecure-password=s3cret"),
                ("user guest", "insecure-password=guest groups=g1,g2"),
            ],
        )
        again = loads(write_ini(loaded.document), Catalog(), "x", 10**9, "ini")
        self.assertEqual(again.config.userlists, loaded.config.userlists)

    def test_secret(self) -> None:
        """No report shows a password."""
        text = report(
            self.TEXT.replace("user root", "user root grups x insecure-password y\n user r")
        )
        self.assertIn("unknown word 'grups' of a user", text)
        self.assertNotIn("s3cret", text)
