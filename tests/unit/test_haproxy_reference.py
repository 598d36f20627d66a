"""The OpenStack guide's haproxy.cfg: what is wrong with it, and what it comes to."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.haproxy_cfg import AS_IT_STANDS, REFERENCE, heads, load_cfg, report, shown
from tests.unit.test_config_examples import PORTS, SECONDS, SHUT_DOWN
from vipproxy.config import loads
from vipproxy.config.show import show
from vipproxy.config.write import write_ini
from vipproxy.plugins import Catalog


class AsItStands(SynchronousTestCase):
    def setUp(self) -> None:
        self.report = report(AS_IT_STANDS)

    def test_one_error(self) -> None:
        """The typo is the only error; it is shown with its cure, and without the password."""
        errors = [each for each in heads(AS_IT_STANDS) if ": error: " in each]
        self.assertEqual(len(errors), 1)
        self.assertIn(
            "haproxy.cfg:18:11: error: unknown stats parameter 'authroot:...': a blank is missing "
            "after 'auth'\n"
            "   18 |     stats authroot:******\n"
            "      |           ^^^^^^^^^^^^^^^ write 'stats auth root:PASSWORD'\n",
            self.report,
        )
        self.assertNotIn("redhat", self.report)

    def test_findings(self) -> None:
        """What HAProxy says nothing about is told, each where it stands."""
        found = heads(AS_IT_STANDS)
        for each in (
            "146:5: warning: 'cookie' is ignored: frontend 'vip-horizon' has no backend capability",
            "151:56: warning: 'cookie' of server 'rhos6-node1' is ignored: backend 'horizon-vms' "
            "is in tcp mode",
            "152:56: warning: 'cookie' of server 'rhos6-node2' is ignored: backend 'horizon-vms' "
            "is in tcp mode",
            "153:56: warning: 'cookie' of server 'rhos6-node3' is ignored: backend 'horizon-vms' "
            "is in tcp mode",
            "125:10: note: a frontend and a backend share the name 'nova-metadata-vms'",
            "72:10: note: the ports of glance-api and glance-registry look swapped",
            "81:10: note: the ports of glance-registry and glance-api look swapped",
            "1:1: note: there is no 'log': HAProxy would log nothing",
        ):
            self.assertIn(each, found)
        self.assertTrue(
            any(each.startswith("27:30: note: a stick table of size 2") for each in found)
        )
        self.assertTrue(any("17 backends without 'option redispatch'" in each for each in found))
        self.assertIn(
            "move it to backend 'horizon-vms', and write 'mode http' in both: it is in tcp mode",
            self.report,
        )

    def test_promises(self) -> None:
        """What is better here is listed, with the line that turns it off."""
        for cure in (
            "off with: # vipproxy: initial-state = up",
            "off with: default-server fastinter 2s",
            "off with: # vipproxy: freebind = off",
        ):
            self.assertIn(cure, self.report)


class Mended(SynchronousTestCase):
    def setUp(self) -> None:
        self.loaded = load_cfg(REFERENCE)
        self.backends = {each.name: each for each in self.loaded.config.backends}
        self.frontends = {each.name: each for each in self.loaded.config.frontends}

    def test_services(self) -> None:
        """All 17 services, with the swapped ports of Glance, and the statistics page."""
        swapped = {"vip-glance-api": 9191, "vip-glance-registry": 9292, "monitor": 9300}
        ports = {name: each.options.bind[0].port for name, each in self.frontends.items()}
        self.assertEqual(ports, PORTS | swapped)
        for frontend in self.loaded.config.frontends[1:]:
            servers = self.backends[frontend.options.backend or ""].servers
            self.assertEqual(
                [str(server.options.address) for server in servers],
                [f"192.168.1.{host}:{ports[frontend.name]}" for host in (221, 222, 223)],
            )

    def test_timeouts(self) -> None:
        """Timeouts are inherited, or the section's own."""
        for frontend in self.loaded.config.frontends[1:]:
            name = frontend.options.backend or ""
            seconds = SECONDS.get(name, 30)
            server = self.backends[name].options.timeout_server
            self.assertEqual((server, frontend.options.timeout_client), (seconds, seconds))
            self.assertEqual(self.backends[name].options.timeout_connect, 5.0)
            self.assertEqual(frontend.options.maxconn, 10000)

    def test_statistics(self) -> None:
        """The page is where it was, behind the same name and password."""
        frontend = self.frontends["monitor"]
        options = frontend.protocol_options
        self.assertEqual(frontend.options.protocol.name, "stats")
        self.assertEqual((options.monitor_uri, options.stats_uri), ("/status", "/admin"))
        self.assertEqual((options.stats_realm, options.stats_refresh), ("Haproxy Statistics", 5.0))
        (account,) = options.stats_auth
        self.assertEqual((account.user, account.password), ("root", "redhat"))

    def test_database(self) -> None:
        """One writer, whose check goes to another port, and whose sessions end with it."""
        options = self.backends["db-vms-galera"].options
        assert options.check is not None
        assert options.check.common is not None
        common = options.check.common
        self.assertEqual((options.check.name, common.interval, common.port), ("http", 1.0, 9200))
        assert options.stick is not None
        self.assertEqual((options.stick.key, options.stick.size), ("dst", 2))
        down = {name for name, each in self.backends.items() if each.options.shuts_sessions_down}
        self.assertEqual(down, SHUT_DOWN)

    def test_defaults_are_haproxys(self) -> None:
        """Where the file says nothing HAProxy's defaults hold, and are called so."""
        options = self.backends["cinder-vms"].options
        assert options.check is not None
        assert options.check.common is not None
        self.assertFalse(options.redispatch)
        self.assertEqual(options.check.common.hold_down, 0.0)
        self.assertEqual(options.initial_state, "down")  # a better promise that stays on
        shown = show(self.loaded.draft, "haproxy.cfg")
        self.assertRegex(shown, r"redispatch +=\s+off +# HAProxy's default")

    def test_keepalive(self) -> None:
        """Keepalive is on where the file says so, on each side by itself."""
        front, back = self.frontends["vip-rabbitmq"], self.backends["rabbitmq-vms"]
        assert front.options.keepalive is not None
        assert back.options.keepalive is not None
        self.assertIsNone(self.frontends["vip-db"].options.keepalive)

    def test_converted(self) -> None:
        """As INI it comes to the same, comments and all."""
        text = write_ini(self.loaded.document)
        again = loads(text, Catalog(), "haproxy.cfg", 10**9, "ini")
        for one, other in (
            (again.config.frontends, self.loaded.config.frontends),
            (again.config.backends, self.loaded.config.backends),
        ):
            self.assertEqual([each.name for each in one], [each.name for each in other])
        self.assertEqual(shown(again), shown(self.loaded))
        self.assertIn(
            "# Note the RabbitMQ entry is only needed for CloudForms compatibility\n", text
        )
