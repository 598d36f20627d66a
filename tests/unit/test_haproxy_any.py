"""Whatever stands in a haproxy.cfg: a configuration, or its problems, and the same as INI."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.haproxy_cfg import UNLIMITED, load_cfg, shown
from vipproxy.config import loads
from vipproxy.config.haproxy.binds import BIND
from vipproxy.config.haproxy.global_table import GLOBAL
from vipproxy.config.haproxy.proxy_table import PROXY
from vipproxy.config.haproxy.servers import SERVER
from vipproxy.config.write import write_ini
from vipproxy.errors import ConfigError
from vipproxy.plugins import Catalog

CATALOG = Catalog()
SOUP = r"""a b 127.0.0.1:80 127.0.0.2:81 :8080 *:81 10s 5 0 1m if unless TRUE { } src dst on type
    ip size 10k user insert check inter port GET /x status 200 uri source hdr(x) http tcp 'a\tb' "x"
    deny set-header %[src] is_a !is_a # from enable admin:secret level admin /run/s mode 600 rise
    weight backup cookie on-marked-down shutdown-sessions"""
WORDS = SOUP.split()
KEYWORDS = (*PROXY, *GLOBAL, *SERVER, *BIND)
HEADERS = (
    "global",
    "defaults",
    "defaults d",
    "frontend f",
    "backend a",
    "listen l",
    "listen b from d",
)

lines = st.builds(
    lambda keyword, words: f"    {keyword} {' '.join(words)}",
    st.sampled_from(KEYWORDS),
    st.lists(st.sampled_from(WORDS), max_size=6),
)
servers = st.builds(
    lambda name, words: f"    server {name} 127.0.0.1:{name} {' '.join(words)}",
    st.integers(1, 9).map(str),
    st.lists(st.sampled_from([*SERVER, "1", "2", "5s", "shutdown-sessions"]), max_size=4),
)
texts = st.lists(st.sampled_from(HEADERS) | lines | servers, max_size=25).map("\n".join)

GOOD = (
    "    mode tcp",
    "    mode http",
    "    balance source",
    "    balance uri depth 2",
    "    balance leastconn",
    "    retries 2",
    "    maxconn 100",
    "    timeout client 1m",
    "    timeout server 5000",
    "    timeout connect 3s",
    "    timeout check 1s",
    "    timeout queue 0",
    "    timeout tunnel 1h",
    "    timeout http-request 10s",
    "    option httpchk GET /x",
    "    http-check expect rstatus (2|3)[0-9][0-9]",
    "    option tcpka",
    "    no option tcpka",
    "    option redispatch",
    "    option forwardfor except 127.0.0.0/8",
    "    option http-server-close",
    "    default-server inter 3s rise 4",
    "    cookie SRV insert indirect nocache maxidle 30m",
    "    http-reuse always",
    "    # a comment",
    "    option dontlognull # because of the probes",
    "    # vipproxy: initial-state = up",
)
OF_BACKENDS = (
    "    server s1 127.0.0.1:81 check cookie s1",
    "    server s2 127.0.0.1:82 check cookie s2 weight 2 port 99",
    "    server s3 127.0.0.1:83 backup",
    "    stick-table type ip size 1k expire 1h\n    stick on src",
)
OF_FRONTENDS = ("    acl a src 10.0.0.0/8", "    use_backend a if TRUE", "    monitor-uri /ok")


def section(header: str, *choices: str) -> st.SearchStrategy[str]:
    unique = st.lists(st.sampled_from(choices), unique=True, max_size=10)
    return unique.map(lambda chosen: "\n".join([header, *chosen]))


configurations = st.tuples(
    section("defaults", *GOOD),
    section("frontend f\n    bind :8080\n    default_backend a", *GOOD, *OF_FRONTENDS),
    section("backend a", *GOOD, *OF_BACKENDS),
    section("defaults d", *GOOD),
    section("listen l from d\n    bind 127.0.0.1:82", *GOOD, *OF_BACKENDS),
).map("\n".join)


class AnyFile(SynchronousTestCase):
    @settings(max_examples=300, deadline=None)
    @given(texts)
    def test_problems(self, text: str) -> None:
        """A file that is not good is one with problems, each at a place that it has."""
        try:
            problems = load_cfg(text).problems
        except ConfigError as error:
            self.assertIn(": error: ", error.report)
            return
        count = len(problems.lines)
        self.assertTrue(all(1 <= each.line <= count for each in problems.sorted))

    @settings(max_examples=200, deadline=None)
    @given(st.text() | st.binary().map(lambda data: data.decode("utf-8", "replace")))
    def test_any_text(self, text: str) -> None:
        """So is any text at all, and what a report shows of it a terminal can be given."""
        try:
            report = load_cfg(f"global\n{text}").problems.report()
        except ConfigError as error:
            report = error.report
        self.assertTrue(all(c.isprintable() or c in "\n\t" for c in report))

    @settings(max_examples=150, deadline=None)
    @given(configurations)
    def test_converted(self, text: str) -> None:
        """As INI it comes to the same."""
        try:
            loaded = load_cfg(text)
        except ConfigError:
            return
        again = loads(write_ini(loaded.document), CATALOG, "x", UNLIMITED, "ini")
        self.assertEqual(shown(again), shown(loaded))
        self.assertEqual("# a comment" in text, "# a comment" in write_ini(loaded.document))
