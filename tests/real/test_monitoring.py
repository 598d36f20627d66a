"""Prometheus' own programs, unchanged: the exporter for HAProxy, promtool, and the server."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.ports import free_port
from tests.support import require
from tests.unit.admin_fakes import reference_cluster
from vipproxy.admin.prometheus import as_metrics
from vipproxy.testing import FakeCluster, ProxyHarness
from vipproxy.values import AdminState

EXAMPLES = Path(__file__).parents[2] / "examples" / "monitoring"
PATIENCE = 40.0
"""Seconds until a program must have answered on a busy machine."""
CONFIG = """
[global]
stats-socket = {socket} level=user
identity = HAProxy
[frontend monitor]
protocol = stats
bind = 127.0.0.1:0
stats-uri = /admin
stats-auth = root:redhat
[frontend shop]
protocol = tcp
bind = 127.0.0.1:0
backend = shop
[frontend web]
protocol = http
bind = 127.0.0.1:0
backend = web
[backend shop]
check = tcp interval=50ms
stick = src
server one = {one}
server two = {two}
server three = {three}
server four = 127.0.0.1:9 backup check=off
[backend web]
server web = {one} maxconn=7
"""


class MonitoringCase(TestCase):
    """A proxy with servers in each state, and somebody who watches it."""

    timeout = 120

    async def start(self) -> None:
        nodes = FakeCluster(reactor, {"shop": "tcp"}, nodes=3)
        nodes.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(nodes.stop()))
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.socket = self.directory / "stats"
        names = dict(zip(("one", "two", "three"), ("node1", "node2", "node3"), strict=True))
        places = {name: nodes.address(node, "shop") for name, node in names.items()}
        self.proxy = ProxyHarness(reactor, CONFIG.format(socket=self.socket, **places))
        self.addCleanup(lambda: Deferred.fromCoroutine(self.proxy.stop()))
        await self.proxy.start()
        self.proxy.service.set_admin_state("shop", "three", AdminState.MAINT)
        await nodes.kill("node2")
        await self.proxy.until_down("shop", "two")
        self.port = self.proxy.port("monitor")

    def run_program(self, *command: str) -> Path:
        """Start it; its output is in the file."""
        output = self.directory / "output"
        with output.open("wb") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file, cwd=self.directory)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        return output


def fetch(port: int, path: str) -> str:
    """The body of an answer, once the program listens."""
    end = time.monotonic() + PATIENCE
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            text = response.read().decode()
            if response.status == 200 or time.monotonic() > end:
                return text
        except OSError:
            if time.monotonic() > end:
                raise
        finally:
            connection.close()
        time.sleep(0.1)


def values(text: str) -> dict[str, float]:
    """Samples by name and labels."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


class ExporterTests(MonitoringCase):
    """prometheus-haproxy-exporter, as Debian ships it."""

    async def scrape(self, uri: str) -> tuple[dict[str, float], str]:
        """Its metrics, and what it said."""
        program, port = require("prometheus-haproxy-exporter"), free_port()
        said = self.run_program(
            program, f"--web.listen-address=127.0.0.1:{port}", f"--haproxy.scrape-uri={uri}"
        )
        text = await deferToThread(fetch, port, "/metrics")
        return values(text), said.read_text()

    def check(self, found: dict[str, float], said: str) -> None:
        self.assertEqual(found["haproxy_up"], 1.0)
        self.assertEqual(found["haproxy_exporter_csv_parse_failures_total"], 0.0)
        self.assertNotRegex(said, r"level=(warn|error)")
        up = {name: found[f'haproxy_server_up{{backend="shop",server="{name}"}}']
              for name in ("one", "two", "three", "four")}  # fmt: skip
        self.assertEqual(up, {"one": 1.0, "two": 0.0, "three": 0.0, "four": 1.0})
        self.assertEqual(found['haproxy_backend_up{backend="shop"}'], 1.0)
        self.assertEqual(found['haproxy_server_limit_sessions{backend="web",server="web"}'], 7.0)
        for frontend in ("monitor", "shop", "web"):
            self.assertIn(f'haproxy_frontend_current_sessions{{frontend="{frontend}"}}', found)

    async def test_socket(self) -> None:
        """It reads `show info` and `show stat` from the socket, and has nothing to complain of."""
        await self.start()
        found, said = await self.scrape(f"unix:{self.socket}")
        self.check(found, said)
        versions = [name for name in found if name.startswith("haproxy_version_info{")]
        self.assertEqual(len(versions), 1)

    async def test_url(self) -> None:
        """It reads the CSV over HTTP with the password, and has nothing to complain of."""
        await self.start()
        self.check(*await self.scrape(f"http://root:redhat@127.0.0.1:{self.port}/admin;csv"))


class PrometheusTests(MonitoringCase):
    async def test_scraped(self) -> None:
        """Prometheus scrapes with the password, and evaluates the example's rules."""
        await self.start()
        program, port = require("prometheus"), free_port()
        config = self.directory / "prometheus.yml"
        text = (EXAMPLES / "prometheus.yml").read_text()
        targets = re.sub(
            r"(- targets:\n)(?: +- .*\n)+", rf"\1          - 127.0.0.1:{self.port}\n", text
        )
        targets = targets.replace(
            "scrape_interval: 15s", "scrape_interval: 1s\n  evaluation_interval: 1s"
        )
        config.write_text(targets.replace("- rules.yml", f"- {EXAMPLES / 'rules.yml'}"))
        self.run_program(
            program, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}",
            f"--storage.tsdb.path={self.directory / 'data'}",
        )  # fmt: skip
        query = 'haproxy_server_status{proxy="shop",state="DOWN"} == 1'
        (down,) = await deferToThread(ask_prometheus, port, query, 1)
        self.assertEqual(down["metric"]["server"], "two")
        alerts = await deferToThread(ask_prometheus, port, "ALERTS", 2)
        told = {(each["metric"]["alertname"], each["metric"].get("server")) for each in alerts}
        self.assertIn(("VipproxyServerDown", "two"), told)
        self.assertIn(("VipproxyServerForgotten", "three"), told)


def ask_prometheus(port: int, query: str, least: int) -> Sequence[Any]:
    """The result of a query, once it has enough."""
    end = time.monotonic() + PATIENCE
    while True:
        answer = json.loads(fetch(port, f"/api/v1/query?query={quote(query)}"))
        result: list[Any] = answer["data"]["result"]
        if len(result) >= least or time.monotonic() > end:
            return result
        time.sleep(0.3)


class PromtoolTests(TestCase):
    def promtool(self, *arguments: str, given: str = "") -> tuple[int, str]:
        run = [require("promtool"), *arguments]
        done = subprocess.run(run, input=given, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_metrics(self) -> None:
        """promtool can read the metrics, and complains of nothing but HAProxy's own names."""
        _, said = self.promtool("check", "metrics", given=as_metrics(reference_cluster()))
        self.assertNotIn("error while linting", said)
        complaints = {line.split(" ")[0] for line in said.splitlines()}
        self.assertEqual(complaints, {
            "haproxy_process_failed_resolutions",
        })  # fmt: skip

    def test_rules(self) -> None:
        """The alert rules are rules, and their own tests pass."""
        for what in ("check", "test"):
            name = "rules.yml" if what == "check" else "rules_test.yml"
            status, said = self.promtool(what, "rules", str(EXAMPLES / name))
            self.assertEqual(status, 0, said)

    def test_configuration(self) -> None:
        """The configuration for Prometheus is one."""
        status, said = self.promtool("check", "config", str(EXAMPLES / "prometheus.yml"))
        self.assertEqual(status, 0, said)


class ExampleTests(TestCase):
    def test_names(self) -> None:
        """Every metric that the dashboard and the rules name is exported."""
        exported = set(re.findall(r"^# TYPE (\S+)", as_metrics(reference_cluster()), re.MULTILINE))
        for name in ("grafana-dashboard.json", "rules.yml"):
            named = set(re.findall(r"\bhaproxy_\w+", (EXAMPLES / name).read_text()))
            named.discard("haproxy_")
            self.assertEqual(named - exported, set(), name)
            self.assertGreater(len(named), 8)

    def test_dashboard(self) -> None:
        """The dashboard is JSON, its panels have numbers of their own and do not overlap."""
        dashboard = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())
        numbers = [panel["id"] for panel in dashboard["panels"]]
        self.assertEqual(len(numbers), len(set(numbers)))
        places: set[tuple[int, int]] = set()
        for panel in dashboard["panels"]:
            at = panel["gridPos"]
            self.assertLessEqual(at["x"] + at["w"], 24)
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                     for y in range(at["y"], at["y"] + at["h"])}  # fmt: skip
            self.assertEqual(places & cells, set(), panel["title"])
            places |= cells
