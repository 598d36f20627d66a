"""The example configurations."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from vipproxy.config import Loaded, loads
from vipproxy.plugins import Catalog

EXAMPLES = Path(__file__).parents[2] / "examples"

PORTS = {
    "vip-db": 3306,
    "vip-rabbitmq": 5672,
    "vip-keystone-admin": 35357,
    "vip-keystone-public": 5000,
    "vip-glance-api": 9292,
    "vip-glance-registry": 9191,
    "vip-cinder": 8776,
    "vip-swift": 8080,
    "vip-neutron": 9696,
    "vip-nova-vnc-novncproxy": 6080,
    "nova-metadata-vms": 8775,
    "vip-nova-api": 8774,
    "vip-horizon": 80,
    "vip-heat-cfn": 8000,
    "vip-heat-cloudw": 8003,
    "vip-heat-srv": 8004,
    "vip-ceilometer": 8777,
}
SECONDS = {
    "db-vms-galera": 5400,
    "rabbitmq-vms": 54000,
    "keystone-admin-vms": 600,
    "keystone-public-vms": 600,
    "horizon-vms": 180,
    "ceilometer-vms": 90,
}
SHUT_DOWN = {"db-vms-galera", "keystone-admin-vms", "keystone-public-vms", "horizon-vms"}


def example(name: str) -> str:
    return (EXAMPLES / name).read_text()


class Demo(SynchronousTestCase):
    def test_addresses_exchanged(self) -> None:
        """demo.ini is openstack.ini with the addresses exchanged, and nothing else."""
        exchanged = re.sub(r"\b192\.168\.1\.(22[0-3])\b", r"127.168.1.\1", example("openstack.ini"))
        self.assertEqual(example("demo.ini"), exchanged)
        self.assertNotIn("192.168.", exchanged)


class OpenStack(SynchronousTestCase):
    def setUp(self) -> None:
        self.loaded: Loaded = loads(example("openstack.ini"), Catalog(), descriptor_limit=10**9)

    def test_no_problems(self) -> None:
        """With enough file descriptors there is nothing to say about it."""
        self.assertEqual(self.loaded.problems.report(), "")

    def test_services(self) -> None:
        """It has the 17 services at their ports, each before the same three nodes."""
        backends = {backend.name: backend for backend in self.loaded.config.backends}
        ports = {}
        for frontend in self.loaded.config.frontends:
            (bind,) = frontend.options.bind
            self.assertEqual(bind.host, "192.168.1.220")
            if frontend.options.backend is None:
                continue
            ports[frontend.name] = bind.port
            servers = backends[frontend.options.backend].servers
            addresses = [str(server.options.address) for server in servers]
            expected = [f"192.168.1.{host}:{bind.port}" for host in (221, 222, 223)]
            self.assertEqual(addresses, expected)
        self.assertEqual(ports, PORTS)

    def test_timeouts(self) -> None:
        """Timeouts are the reference's, on both sides."""
        frontends = {each.options.backend: each for each in self.loaded.config.frontends}
        for backend in self.loaded.config.backends:
            seconds = SECONDS.get(backend.name, 30)
            client = frontends[backend.name].options.timeout_client
            self.assertEqual((backend.options.timeout_server, client), (seconds, seconds))

    def test_sessions_shut_down(self) -> None:
        """Sessions are shut down at mark-down where the reference says so."""
        backends = self.loaded.config.backends
        found = {each.name for each in backends if each.options.shuts_sessions_down}
        self.assertEqual(found, SHUT_DOWN)

    def test_slips_mended(self) -> None:
        """Horizon speaks http, and its cookie is in the backend."""
        modes = {f.name: f.options.protocol.name for f in self.loaded.config.frontends}
        self.assertEqual((modes["vip-horizon"], modes["vip-db"]), ("http", "mysql"))
        (horizon,) = (each for each in self.loaded.config.backends if each.options.cookie)
        values = [server.options.cookie for server in horizon.servers]
        self.assertEqual(values, [f"rhos6-horizon{number}" for number in (1, 2, 3)])
