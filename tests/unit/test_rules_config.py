"""Rules in the configuration: what is wrong with one is said at its place, with a suggestion."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vipproxy.config import BadValue, loads
from vipproxy.config.declare import options_of
from vipproxy.config.document import REPEATABLE
from vipproxy.config.options import BackendOptions, FrontendOptions, GlobalOptions
from vipproxy.config.rule_kinds import HTTP_REQUEST_RULE, PAGE
from vipproxy.config.show import show
from vipproxy.config.words import quote, split_words
from vipproxy.errors import ConfigError
from vipproxy.plugins import Catalog
from vipproxy.protocols.http.options import HttpOptions
from vipproxy.protocols.tcp import TcpOptions

HEAD = "[frontend f]\nprotocol = {}\nbind = 127.0.0.1:0\nbackend = b\nacl known = path /x\n"
TAIL = "\n[backend b]\nserver s = 127.0.0.1:1\n"
LINE = 6
"""Of the line under test."""


def problems(line: str, protocol: str = "http", backend: str = "") -> list[str]:
    """``column: message | hint`` of each problem with one line."""
    text = HEAD.format(protocol) + line + TAIL + backend
    if protocol != "http":
        text = text.replace("acl known = path /x", "acl known = src ::1")
    try:
        return [each.message for each in loads(text, Catalog(), "f", 10**9).warnings]
    except ConfigError as error:
        lines = error.report.splitlines()
    found = []
    for at in range(0, len(lines), 3):
        _, number, column, _, message = lines[at].split(":", 4)
        hint = lines[at + 2].rpartition("^")[2].strip()
        assert int(number) == LINE or backend, lines
        found.append(f"{column}:{message}" + (f" | {hint}" if hint else ""))
    return found


class ProblemTests(SynchronousTestCase):
    def assert_problem(self, line: str, *expected: str, protocol: str = "http") -> None:
        found = problems(line, protocol)
        self.assertEqual(len(found), len(expected), found)
        for each, text in zip(found, expected, strict=True):
            self.assertIn(text, each)

    def test_names(self) -> None:
        """Unknown acls, backends, servers, criteria, matches and actions have suggestions."""
        self.assert_problem("use-backend = b if knwon", "20: unknown acl 'knwon'")
        self.assert_problem("use-backend = b if knwon", "did you mean 'known'?")
        self.assert_problem("use-backend = bb if known", "15: unknown backend 'bb'")
        self.assert_problem("http-request = dney", "16: unknown action 'dney'")
        self.assert_problem("http-request = dney", "did you mean 'deny'?")
        self.assert_problem("acl a = pth_beg /x", "9: unknown criterion 'pth_beg'")
        self.assert_problem("acl a = path -m bgn /x", "17: unknown match 'bgn'")
        self.assert_problem("acl a = nbsrv(c) lt 1", "9: unknown backend 'c'")
        self.assert_problem("acl a = srv_is_up(b/t)", "9: unknown server 'b/t'")
        self.assert_problem("http-request = deny if { path,lwer /x }", "unknown converter 'lwer'")
        self.assert_problem("http-request = set-header A %[scr]", "unknown criterion 'scr'")

    def test_several(self) -> None:
        """Every unknown name of one line is told, each at its own place."""
        found = problems("http-request = deny if known one or !two")
        self.assertEqual([each.split(":")[0] for each in found], ["30", "38"])

    def test_never_true(self) -> None:
        """A test that could never hold is an error."""
        self.assert_problem("acl a = path", "has no values")
        self.assert_problem("acl a = path -i", "has no values")
        self.assert_problem("acl a = src 10.0.0.0/33", "is no network")
        self.assert_problem("acl a = dst_port eighty", "is no number")
        self.assert_problem("acl a = dst_port gt", "no number after 'gt'")
        self.assert_problem("acl a = src -m beg 10.", "cannot be matched as 'beg'")
        self.assert_problem("acl a = path_reg (", "is no regular expression")
        self.assert_problem('acl a = path ""', "an empty value")
        self.assert_problem("acl a = path -m found /x", "compares with nothing")
        self.assert_problem("acl a = path -u 1 /x", "'-u' is not supported")
        self.assert_problem("acl a = path -f /nonexistent", "cannot be read: No such file")

    def test_place(self) -> None:
        """What cannot be known at a place cannot be asked there."""
        self.assert_problem("tcp-request-connection = reject if known", "'known' asks for 'path'")
        self.assert_problem("http-response = deny if { path /x }", "cannot be known in a response")
        self.assert_problem("http-request = deny if { status 200 }", "known in a request")
        self.assert_problem("http-response = set-header A %[path]", "known in a response")
        self.assert_problem("use-backend = b if METH_GET", "'METH_GET'", protocol="tcp")
        line = "tcp-request-content = accept if { req.ssl_sni a }"
        needs = "needs 'tcp-request-inspect-delay' in a tcp frontend"
        self.assert_problem(line, needs, protocol="tcp")
        self.assert_problem(line, needs)
        self.assertEqual(problems(f"{line}\ntcp-request-inspect-delay = 1s", "tcp"), [])
        self.assert_problem("http-request = deny", "unknown key 'http-request'", protocol="tcp")
        self.assert_problem("http-request = deny if { nbsrv lt 1 }", "needs a backend's name")

    def test_conditions(self) -> None:
        """Conditions are whole."""
        for line, text in (
            ("deny if", "no condition beside 'if'"),
            ("deny when known", "'when' is neither 'if' nor 'unless'"),
            ("deny if known or", "no condition beside 'or'"),
            ("deny if or known", "no condition beside 'or'"),
            ("deny if { path /x", "this '{' has no '}'"),
            ("deny if {path /x}", "is no name of an acl"),
            ("deny if !", "what '!' negates is missing"),
            ("deny if { }", "a criterion is missing"),
            ("set-header A 'b if known", "this quote has no end"),
        ):
            self.assert_problem(f"http-request = {line}", text)

    def test_actions(self) -> None:
        """Actions are whole, and change nothing that frames a message."""
        for line, text in (
            ("deny deny_status 418", "no status that is possible here"),
            ("set-header Content-Length 5", "cannot be changed"),
            ("add-header Host a", "cannot be changed"),
            ("del-header Transfer-Encoding", "cannot be changed"),
            ("set-header A:b c", "not a name in HTTP's sense"),
            ("set-header A", "the header's value is missing"),
            ('set-header A "b\\nc"', "a control character"),
            ("set-header A %[src", "a single '%'"),
            ("set-header A %zz", "unknown variable '%zz'"),
            ("set-path x", "must begin with '/'"),
            ("redirect scheme https code 300", "no status that is possible here"),
            ("redirect to /x", "unknown redirection 'to'"),
            ("return string a", "needs a 'content-type'"),
            ("return content-type a/b", "without a body"),
            ("return status 204 content-type a/b string c", "a 204 has no body"),
            ("return content-type a/b file /nonexistent", "cannot be read"),
            ("replace-path ( /x", "is no regular expression"),
            ("track-sc0 src", "unknown action 'track-sc0'"),
        ):
            self.assert_problem(f"http-request = {line}", text)

    def test_pages(self) -> None:
        """An error page is a whole response, and its length is right."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "page"
            for text, wrong in (
                ("HTTP/1.0 503 No\r\nA: b\r\n", "not a whole HTTP response"),
                ("503 No\n\nbody", "does not begin as an HTTP response does"),
                ("HTTP/1.0 503 No\nA b\n\nbody", "a line in its head that is no field"),
                ("HTTP/1.0 503 No\nContent-Length: 3\n\nbody", "its body has 4 bytes"),
            ):
                path.write_text(text)
                error = self.assertRaises(ValueError, PAGE.parse, str(path))
                self.assertIn(wrong, str(error))
            path.write_text("HTTP/1.1 503 No\nContent-Length: 4\nConnection: x\n\nbody")
            page = PAGE.parse(str(path))
            head = b"HTTP/1.1 503 No\r\nContent-Length: 4\r\nconnection: close\r\n"
            self.assertEqual((page.head, page.body), (head, b"body"))
        self.assert_problem("errorfile 418 = /dev/null", "no error page for '418'")

    def test_good(self) -> None:
        """What is right is right."""
        for line in (
            "http-request = deny if known !{ src ::1 } or { hdr_cnt(a) 0 } || TRUE",
            "http-request = deny unless ! known",
            "http-request = set-header A 'b  c' if known",
            "errorfile 503 = /dev/null",
            "use-backend = %[req.hdr(host),lower]",
        ):
            self.assertEqual(problems(line), [])


class SectionTests(SynchronousTestCase):
    def test_repeatable(self) -> None:
        """The keys that may stand several times are those that are declared so."""
        classes = [GlobalOptions, FrontendOptions, BackendOptions, HttpOptions, TcpOptions]
        declared = {
            key.partition(" ")[0]
            for cls in classes
            for key, (_, option) in options_of(cls).items()
            if option.repeated
        }
        self.assertEqual(declared, set(REPEATABLE))

    def test_order(self) -> None:
        """Rules keep their order; `vipproxy show` has each with its own line."""
        lines = "http-request = deny if known\nacl known = path /y\nhttp-request = allow"
        text = HEAD.format("http") + lines + TAIL
        loaded = loads(text, Catalog(), "f", 10**9)
        rows = [line for line in show(loaded.draft, "f").splitlines() if "known" in line]
        self.assertEqual([line.rpartition("f:")[2] for line in rows], ["5", "7", "6"])
        rules = loaded.config.frontends[0].protocol_options.http_request
        self.assertEqual([rule.text for rule in rules], ["deny if known", "allow"])

    def test_without_default(self) -> None:
        """A frontend may have rules in place of its backend; one of the two it must have."""
        text = (HEAD.format("http") + "use-backend = b if known" + TAIL).replace(
            "backend = b\n", "", 1
        )
        self.assertEqual(loads(text, Catalog(), "f", 10**9).warnings, [])

    def test_defaults(self) -> None:
        """Error pages may be defaults; rules may not."""
        text = "[defaults]\nerrorfile 503 = /dev/null\n" + HEAD.format("http") + TAIL
        config = loads(text, Catalog(), "f", 10**9).config
        self.assertEqual([k for k, _ in config.backends[0].options.errorfile], ["503"])
        with self.assertRaises(ConfigError):
            loads("[defaults]\nhttp-request = deny\n" + HEAD.format("http") + TAIL, Catalog())


HASH = "$1$abc$BXBqpb9BZcZhXLgbee.0s/"
"""MD5, which is short."""


class UserTests(SynchronousTestCase):
    def report(self, line: str, condition: str = "{ http_auth(l) }") -> str:
        rule = f"http-request = auth unless {condition}"
        text = HEAD.format("http") + rule + TAIL + f"[userlist l]\n{line}\n"
        try:
            loads(text, Catalog(), "f", 10**9)
        except ConfigError as error:
            return error.report
        return ""

    def test_good(self) -> None:
        """Passwords of both kinds; groups on both sides."""
        line = f"user a = password={HASH} groups=x,y\nuser b = insecure-password=c\ngroup z = a b"
        self.assertEqual(self.report(line), "")

    def test_bad(self) -> None:
        """What is wrong is said, but nothing of the line that has the password is shown."""
        for line, wrong in (
            ("user a = password=tops3cret", "not encrypted, or in a way"),
            ("user a = insecure-password=tops3cret password=x", "not encrypted, or in a way"),
            (f"user a = insecure-password=tops3cret password={HASH}", "has either"),
            ("user a = tops3cret", "unknown word ***"),
            ("user a = groups=tops3cret", "has either"),
        ):
            report = self.report(line)
            self.assertIn(wrong, report)
            self.assertNotIn("tops3cret", report)

    def test_unknown(self) -> None:
        """A userlist that is not there."""
        report = self.report("group a = b", "{ http_auth(m) }")
        self.assertIn("unknown userlist 'm'", report)
        self.assertIn("known: l", report)


class WordTests(SynchronousTestCase):
    def test_escapes(self) -> None:
        """Backslashes escape what HAProxy's do, and mean themselves before all else."""
        found = [word.text for word in split_words(r"""a\ b \. \\. "c \"d" 'e\' \x41 \#""")]
        self.assertEqual(found, ["a b", r"\.", r"\.", 'c "d', "e\\", "A", "#"])

    @given(st.lists(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1)))
    def test_quote(self, texts: list[str]) -> None:
        """What is quoted is read as it was."""
        line = " ".join(map(quote, texts))
        self.assertEqual([word.text for word in split_words(line)], texts)

    @given(st.text())
    def test_anything(self, text: str) -> None:
        """Any line is a rule, or has something wrong with it that lies within it."""
        try:
            HTTP_REQUEST_RULE.parse(text)
        except BadValue as error:
            self.assertLessEqual(error.offset + error.length, len(text) + 1)
