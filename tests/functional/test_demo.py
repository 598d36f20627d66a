"""The demo as a newcomer runs it."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from vipproxy.config import load
from vipproxy.config.options import ClusterConfig
from vipproxy.demo.report import Screen
from vipproxy.demo.setting import PortTaken, services_of, settle
from vipproxy.plugins import Catalog
from vipproxy.sockets import listening_socket
from vipproxy.values import Address

ROOT = Path(__file__).parents[2]
DEMO_INI = ROOT / "examples" / "demo.ini"
PROGRAM = "import sys; from vipproxy.demo import main; sys.exit(main(sys.argv[1:]))"
COMMAND = [sys.executable, "-c", PROGRAM]


def demo_config() -> ClusterConfig:
    return load(DEMO_INI, Catalog()).config


class DemoTests(SynchronousTestCase):
    def test_everything_holds(self) -> None:
        """The demo runs, fits 100 columns, prints no colour into a pipe, and everything holds."""
        done = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertIn("\nEverything held.\n", done.stdout)
        self.assertNotIn("\x1b", done.stdout)
        self.assertLessEqual(max(map(len, done.stdout.splitlines())), 100)
        rows = re.findall(r"(?m)^\S+ +\d+( +[\d-]+){3} +\d+ (?:shut down|kept)", done.stdout)
        self.assertEqual(len(rows), 17)
        self.assertRegex(done.stdout, r"Database pin: rhos6-node1 -> rhos6-node[23];")

    def test_interrupted(self) -> None:
        """Ctrl-C ends it at once, without a traceback, and not as a success."""
        with subprocess.Popen(
            COMMAND, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if "loses its power" in line:
                    break
            process.send_signal(2)
            output, errors = process.communicate(timeout=30)
        self.assertEqual((process.returncode, errors), (130, ""))
        self.assertTrue(output.endswith("Stopping.\n"), output)

    def test_no_configuration(self) -> None:
        """Without its configuration it says so, with status 2."""
        command = [*COMMAND, "--config", "missing.ini"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("missing.ini: error: cannot be read", done.stderr)


class SettingTests(SynchronousTestCase):
    def test_services(self) -> None:
        """The reference cluster has 17 services, one of each special kind."""
        services = services_of(demo_config())
        self.assertEqual(len(services), 17)
        self.assertEqual([each.name for each in services if each.kind == "mysql"], ["db"])
        self.assertEqual([each.name for each in services if each.pinned], ["db"])
        self.assertEqual([each.name for each in services if each.cookie], ["horizon"])
        self.assertEqual(sum(each.shuts_down for each in services), 4)

    def test_files(self) -> None:
        """The demo's socket and state file are in its own directory."""
        directory = tempfile.gettempdir()
        options = settle(demo_config(), directory)[0].options
        (stats_socket,) = options.stats_socket
        self.assertEqual(stats_socket.address, Path(directory, "stats"))
        self.assertEqual(options.state_file, Path(directory, "state.json"))

    def test_port_in_use(self) -> None:
        """A port that cannot be bound is replaced everywhere, and that is said."""
        config = demo_config()
        blocker = listening_socket(Address("127.168.1.222", 0), 1)
        self.addCleanup(blocker.close)
        port = blocker.getsockname()[1]
        backends = tuple(self._on_port(each, port) for each in config.backends)
        settled, taken = settle(evolve(config, backends=backends), tempfile.gettempdir())
        mine = [each for each in taken if each.wanted == port]
        self.assertEqual([each.reason for each in mine], ["address already in use"])
        used = {server.options.address.port for server in settled.backends[1].servers}
        self.assertEqual(used, {mine[0].taken})
        check = settled.backends[1].options.check
        assert check is not None
        self.assertEqual(check.common.port, mine[0].taken)

    def _on_port(self, backend, port):  # type: ignore[no-untyped-def]
        """The RabbitMQ backend, moved to a port, and checked there by name."""
        if backend.name != "rabbitmq-vms":
            return backend
        servers = tuple(
            evolve(
                each,
                options=evolve(each.options, address=evolve(each.options.address, port=port)),
            )
            for each in backend.servers
        )
        check = evolve(
            backend.options.check, common=evolve(backend.options.check.common, port=port)
        )
        return evolve(backend, servers=servers, options=evolve(backend.options, check=check))

    def test_says_which_port(self) -> None:
        """The port that was taken is named, with the reason."""
        stream = StringIO()
        config = demo_config()
        taken = [PortTaken(80, 10080, "needs root")]
        Screen(stream).introduce(config, services_of(config), taken)
        text = "Port 80: needs root; the demo takes 10080 instead.\n"
        self.assertIn(text, stream.getvalue())
