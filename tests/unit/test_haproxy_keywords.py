"""The tables of keywords: what must be in them, and that they hang together."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.haproxy_cfg import REFERENCE
from vipproxy.config.declare import options_of
from vipproxy.config.haproxy.binds import BIND
from vipproxy.config.haproxy.global_table import GLOBAL
from vipproxy.config.haproxy.keywords import Direct, Noted, Refused, Switch, find
from vipproxy.config.haproxy.lexer import split
from vipproxy.config.haproxy.proxy_table import PROXY
from vipproxy.config.haproxy.servers import SERVER
from vipproxy.config.options import BackendOptions, FrontendOptions, GlobalOptions
from vipproxy.plugins import Catalog

SECTIONS = (GlobalOptions, FrontendOptions, BackendOptions)
EXPECTED = """
mode|bind|default_backend|server|default-server|maxconn|balance|hash-type|retries|cookie|stick-table
stick on|timeout client|timeout server|timeout connect|timeout check|timeout http-request
timeout http-keep-alive|timeout queue|timeout tunnel|monitor-uri|monitor fail|errorfile|acl
use_backend|http-request|http-response|redirect|option httpchk|http-check send|http-check expect
option tcp-check|tcp-check connect|tcp-check send|tcp-check expect|option mysql-check|option tcpka
option clitcpka|option srvtcpka|option forwardfor|option redispatch|option tcplog|option httplog
option log-health-checks|option http-server-close|option dontlognull|contimeout|clitimeout
srvtimeout|stats enable|stats uri|stats realm|stats auth|stats refresh|stats admin|stats scope
"""


class TableTests(SynchronousTestCase):
    def test_expected(self) -> None:
        """What deployments rely on is supported, or there is a note why it has nothing to do."""
        names = EXPECTED.strip().replace("\n", "|").split("|")
        refused = [each for each in names if isinstance(PROXY[each].action, Refused)]
        self.assertEqual(refused, [])

    def test_reference(self) -> None:
        """Every line of the OpenStack guide's file has a keyword that does something."""
        for number, text in enumerate(REFERENCE.splitlines(), 1):
            line = split(text, number, {})
            if not line.words or not text.startswith(" "):
                continue
            keyword = find(PROXY, line) or find(GLOBAL, line)
            assert keyword is not None, text
            self.assertFalse(isinstance(keyword.action, Refused | Noted), text)

    def test_options(self) -> None:
        """What a keyword becomes by itself is an option that there is."""
        known = {key for cls in SECTIONS for key in options_of(cls)}
        for name in ("http", "tcp", "stats"):
            known |= set(options_of(Catalog().find("protocol", name).options))
        for keyword in (*PROXY.values(), *GLOBAL.values()):
            if isinstance(keyword.action, Direct | Switch):
                self.assertIn(keyword.action.key, known, keyword.name)

    def test_words(self) -> None:
        """Words of bind and server lines have one meaning each, and say which."""
        for table in (BIND, SERVER):
            for name, param in table.items():
                self.assertEqual(name, param.name)
                self.assertFalse(param.note and param.refused, name)
                self.assertEqual(bool(param.refused), param.help == "not supported", name)
                self.assertEqual(bool(param.note), param.help == "nothing to do", name)
