"""The statistics page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.admin_fakes import backend, counters, frontend, process, reference_cluster, server
from vipproxy.admin.filters import Filter
from vipproxy.admin.page import PageOptions, as_page
from vipproxy.admin.place import Place
from vipproxy.admin.states import LEGEND, state_of_server
from vipproxy.admin.verdict import Verdict, judge, judge_pool
from vipproxy.values import AdminState, CheckResult, CheckStatus, ClusterSnapshot

OPTIONS = PageOptions(Place("/admin"), 5.0)


class Document(HTMLParser):
    """What a browser would fetch, and what a reader would read."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("href", "src"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def cluster(*servers: object) -> ClusterSnapshot:
    """One service with these servers."""
    pool = backend("app", 3, servers)  # type: ignore[arg-type]
    return ClusterSnapshot(process(), (frontend("vip", 2, 80, backend="app"),), (pool,))


class PageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.page = as_page(reference_cluster(), OPTIONS)
        self.document = Document(self.page)

    def test_one_table_a_service(self) -> None:
        """Each of the 17 services and the monitor has a table of its own; events have another."""
        self.assertEqual(self.document.tags.count("table"), 19)

    def test_offline(self) -> None:
        """The page loads nothing: no scripts, no images, no style from elsewhere."""
        self.assertFalse({"script", "img", "iframe"} & set(self.document.tags))
        outside = [each for each in self.document.links if not each.startswith(("#", "/admin;"))]
        self.assertEqual(outside, ["data:,"])
        self.assertNotIn(b"url(", self.page)
        self.assertNotIn(b"@import", self.page)

    def test_anchors(self) -> None:
        """Every link of the overview leads to a table."""
        inner = [each[1:] for each in self.document.links if each.startswith("#")]
        self.assertEqual(len(inner), 17)
        self.assertEqual(set(inner) - set(self.document.ids), set())

    def test_states_are_words(self) -> None:
        """Every state is told as a word, whatever its colour."""
        for word in ("DOWN 1/2", "UP 2/3", "DRAIN", "MAINT", "no check", "OPEN"):
            self.assertIn(word, self.document.text)

    def test_last_check(self) -> None:
        """The last check's own words are on the page."""
        self.assertIn("Galera cluster node is not synced.", self.document.text)
        self.assertIn("L7STS/503 21ms", self.document.text)

    def test_pin(self) -> None:
        """The pinned server says so, and the pool says where its pin is."""
        self.assertIn("pinned", self.document.words)
        self.assertIn("pin: rhos6-node1", self.document.words)

    def test_top(self) -> None:
        """The top says the verdict and which pool is meant, and who is speaking."""
        self.assertIn("DOWN", self.document.words)
        self.assertIn("heat-cloudw-vms", self.document.words)
        for word in ("842 of 10,000", "45 of 51", "3d 4h", "rhos6-lb1", "4711"):
            self.assertIn(word, self.document.words)

    def test_legend(self) -> None:
        """Every symbol that a server can have is explained."""
        explained = {each.symbol for each in LEGEND}
        servers = [each for pool in reference_cluster().backends for each in pool.servers]
        self.assertEqual({state_of_server(each).symbol for each in servers} - explained, set())

    def test_details(self) -> None:
        """Pointing at a sum tells its parts."""
        pool = backend(
            "app",
            3,
            (server(1, 80, counters=counters(3, requests=7, responses=[0, 5, 0, 2, 0, 0])),),
            mode="http",
        )
        page = as_page(ClusterSnapshot(process(), (), (pool,)), OPTIONS).decode()
        self.assertIn("requests: 7\n2xx: 5\n4xx: 2", page)

    def test_forms(self) -> None:
        """With a token each pool has HAProxy's form, and each server a box of it."""
        options = evolve(OPTIONS, token="secret")
        page = as_page(reference_cluster(), options).decode()
        self.assertEqual(page.count('method="post"'), 17)
        self.assertEqual(page.count('type="checkbox"'), 51)
        self.assertEqual(page.count('value="secret"'), 17)
        self.assertEqual(self.page.count(b'type="checkbox"'), 0)

    def test_up_alone(self) -> None:
        """`;up` leaves out servers, and a scope leaves out services."""
        wanted = Filter(up=True, part="heat")
        document = Document(as_page(reference_cluster(), OPTIONS, wanted))
        self.assertEqual(document.tags.count("table"), 4)
        self.assertNotIn("192.168.1.221:8004", document.text)

    def test_events(self) -> None:
        """Recent events are listed, the latest first."""
        text = self.document.text
        self.assertLess(text.index("has no server available!"), text.index("enters drain state."))

    def test_reloading(self) -> None:
        """A page that reloads says so, and offers a way to stop that."""
        self.assertIn("/admin;norefresh", self.document.links)
        still = Document(as_page(reference_cluster(), PageOptions(Place("/admin"))))
        self.assertNotIn("/admin;norefresh", still.links)

    def test_escaping(self) -> None:
        """What a server says of itself is text, never markup."""
        evil = CheckResult(CheckStatus.L7_STATUS, '"><script>alert(1)</script>', 500)
        page = as_page(cluster(server(1, 80, last_check=evil)), OPTIONS)
        self.assertNotIn(b"<script", page)
        self.assertIn(b"&lt;script&gt;alert(1)&lt;/script&gt;", page)

    def test_well_formed(self) -> None:
        """Every table cell is closed: opening and closing tags are as many."""
        for tag in (b"table", b"tr", b"td", b"th", b"section", b"div", b"span"):
            opened = len(re.findall(b"<%b[ >]" % tag, self.page))
            self.assertEqual(opened, self.page.count(b"</%b>" % tag), tag)

    def test_shared_pool(self) -> None:
        """Two frontends of one pool share a table."""
        both = cluster(server(1, 80))
        second = frontend("other", 4, 81, backend="app")
        document = Document(as_page(evolve(both, frontends=(*both.frontends, second)), OPTIONS))
        self.assertEqual(document.tags.count("table"), 1)
        self.assertIn("vip, other", document.words)

    def test_pool_without_frontend(self) -> None:
        """A pool that only a protocol's options name has its table, too."""
        document = Document(as_page(evolve(cluster(server(1, 80)), frontends=()), OPTIONS))
        self.assertIn("app", document.words)


class VerdictTests(SynchronousTestCase):
    def test_ok(self) -> None:
        """All servers up is OK, and so is one that the operator took out."""
        out = server(2, 80, admin=AdminState.MAINT, up=False, status="MAINT")
        self.assertEqual(judge(cluster(server(1, 80), out)).verdict, Verdict.OK)

    def test_degraded(self) -> None:
        """A server down among others is DEGRADED."""
        verdict = judge(cluster(server(1, 80), server(2, 80, up=False, status="DOWN")))
        self.assertEqual((verdict.verdict, verdict.pools), (Verdict.DEGRADED, ("app",)))

    def test_down(self) -> None:
        """No server left is DOWN."""
        pool = backend("app", 2, (server(1, 80, up=False, status="DOWN"),))
        self.assertEqual(judge_pool(pool), Verdict.DOWN)

    def test_looks(self) -> None:
        """States that mean different things differ in symbol as well as in word."""
        states = [
            server(1, 80),
            server(1, 80, status="UP 1/3"),
            server(1, 80, status="DOWN", up=False),
            server(1, 80, status="DOWN 1/2", up=False),
            server(1, 80, status="MAINT", admin=AdminState.MAINT, up=False),
            server(1, 80, status="DRAIN", admin=AdminState.DRAIN),
            server(1, 80, status="no check", checked=False),
        ]
        looks = {state_of_server(each).symbol for each in states}
        self.assertEqual(len(looks), len(states))
