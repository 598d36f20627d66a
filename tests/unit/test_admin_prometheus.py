"""The metrics in Prometheus' text format."""

from __future__ import annotations

import re

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.admin_fakes import backend, process, reference_cluster, server
from vipproxy.admin import metrics
from vipproxy.admin.prometheus import Scrape, as_metrics
from vipproxy.admin.stat_fields import COLUMNS
from vipproxy.values import ClusterSnapshot

LABEL = r'[a-z]+="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"([a-z_]+)(\{{{LABEL}(?:,{LABEL})*\}})? (NaN|-?[\d.]+)")


class MetricTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.text = as_metrics(reference_cluster())
        self.lines = self.text.splitlines()

    def test_format(self) -> None:
        """Every sample stands under its HELP and TYPE, and no name comes twice."""
        seen: list[str] = []
        for line in self.lines:
            if line.startswith("# HELP "):
                name = line.split()[2]
                self.assertNotIn(name, seen)
                seen.append(name)
            elif line.startswith("# TYPE "):
                self.assertEqual(line.split()[2], seen[-1])
            else:
                found = SAMPLE.fullmatch(line)
                assert found is not None, line
                self.assertEqual(found[1], seen[-1])
        self.assertTrue(self.text.endswith("\n"))

    def test_samples_are_unique(self) -> None:
        """No name comes twice with the same labels."""
        names = [line.rpartition(" ")[0] for line in self.lines if not line.startswith("#")]
        self.assertEqual(len(names), len(set(names)))

    def test_columns(self) -> None:
        """Every metric of a proxy shows a column."""
        for table in (metrics.FRONTEND, metrics.BACKEND, metrics.SERVER):
            names = [name for name, _ in table]
            self.assertEqual(len(names), len(set(names)))
            self.assertEqual({column for _, column in table} - set(COLUMNS), set())

    def test_states(self) -> None:
        """A server has 1 for the state that it is in, and 0 for the others."""
        start = 'haproxy_server_status{proxy="swift-vms",server="rhos6-node3",state='
        found = dict(
            line[len(start) :].split("} ") for line in self.lines if line.startswith(start)
        )
        self.assertEqual(
            found, {'"DOWN"': "0", '"UP"': "0", '"MAINT"': "1", '"DRAIN"': "0", '"NOLB"': "0"}
        )

    def test_sums_by_state(self) -> None:
        """A backend tells how many of its servers are in each state, and found which check."""
        for line in (
            'haproxy_backend_agg_server_status{proxy="db-vms-galera",state="UP"} 2',
            'haproxy_backend_agg_server_status{proxy="db-vms-galera",state="DOWN"} 1',
            'haproxy_backend_agg_server_status{proxy="swift-vms",state="DRAIN"} 1',
            'haproxy_backend_agg_check_status{proxy="db-vms-galera",state="L7STS"} 1',
        ):
            self.assertIn(line, self.lines)

    def test_seconds(self) -> None:
        """Durations of checks are in seconds."""
        self.assertIn(
            'haproxy_server_check_duration_seconds{proxy="db-vms-galera",server="rhos6-node3"} '
            "0.021",
            self.lines,
        )

    def test_no_limit(self) -> None:
        """What a server does not have is no number."""
        self.assertIn(
            'haproxy_server_limit_sessions{proxy="db-vms-galera",server="rhos6-node1"} NaN',
            self.lines,
        )

    def test_tcp(self) -> None:
        """TCP proxies have no metrics of HTTP."""
        self.assertIn('haproxy_frontend_http_requests_total{proxy="monitor"} 1187', self.lines)
        self.assertNotIn('haproxy_frontend_http_requests_total{proxy="vip-db"}', self.text)

    def test_build(self) -> None:
        """The version is a label, since it is no number."""
        self.assertIn('haproxy_process_build_info{version="0.1.0"} 1', self.lines)

    def test_stick_table(self) -> None:
        """A stick table tells its size, and how much of it is used."""
        pool = evolve(backend("db", 3, ()), stick_size=2, pins={"192.168.1.220": "a"})
        text = as_metrics(ClusterSnapshot(process(), (), (pool,)))
        self.assertIn('haproxy_sticktable_size{name="db",type="ip"} 2\n', text)
        self.assertIn('haproxy_sticktable_used{name="db",type="ip"} 1\n', text)

    def test_escaping(self) -> None:
        """Names of plugins' making cannot break out of their label."""
        pool = backend('a"b\\c\n', 2, (server(1, 80),))
        text = as_metrics(ClusterSnapshot(process(), (), (pool,)))
        self.assertIn('{proxy="a\\"b\\\\c\\n"}', text)


class ScrapeTests(SynchronousTestCase):
    def test_scopes(self) -> None:
        """Scopes add up, none is all of them, an empty one is nothing."""
        self.assertEqual(Scrape.parse("scope=server&scope=global").scopes, {"server", "global"})
        self.assertEqual(Scrape.parse("").scopes, Scrape.parse("scope=*").scopes)
        self.assertEqual(as_metrics(reference_cluster(), Scrape.parse("scope=")), "")

    def test_unknown_scope(self) -> None:
        """A scope that there is not is refused."""
        self.assertRaises(ValueError, Scrape.parse, "scope=servers")

    def test_maintenance(self) -> None:
        """`no-maint` leaves out servers in maintenance."""
        text = as_metrics(reference_cluster(), Scrape.parse("scope=server&no-maint"))
        self.assertNotIn('proxy="swift-vms",server="rhos6-node3"', text)
        self.assertIn('proxy="swift-vms",server="rhos6-node2"', text)
        self.assertNotIn("haproxy_backend_", text)
