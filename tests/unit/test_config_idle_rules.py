"""Rules about idle connections, and about sessions that return to where they were."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.documents import DOCS, blocks
from tests.unit.config_fakes import MINIMAL, heads, report

EXAMPLES = Path(__file__).parents[2] / "examples"
AMQP = MINIMAL.replace("127.0.0.1:8000", "127.0.0.1:5672")
LONG = "[defaults]\ntimeout-client = 900m\ntimeout-server = 900m\n"


def in_frontend(text: str, *lines: str) -> str:
    """The text with more lines at the end of its frontend."""
    return text.replace("[backend b]\n", "".join(f"{each}\n" for each in lines) + "[backend b]\n")


class KeepaliveCanAct(SynchronousTestCase):
    def test_client_side(self) -> None:
        """Keepalive that begins only after timeout-client can never find anybody."""
        late = in_frontend(MINIMAL, "keepalive = idle=60s interval=10s count=6")
        expected = (
            "cluster.ini:5:13: warning: 'keepalive' of frontend 'f' begins after 'timeout-client'"
            " has ended the session\n"
            "    5 | keepalive = idle=60s interval=10s count=6\n"
            "      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"
            " idle=60s is not shorter than timeout-client = 30s"
        )
        self.assertEqual(report(late).rstrip("\n"), expected)

    def test_server_side(self) -> None:
        """The same towards the servers, with timeout-server."""
        expected = [
            "7:13: warning: 'keepalive' of backend 'b' begins after 'timeout-server' has ended the"
            " session"
        ]
        self.assertEqual(heads(MINIMAL + "keepalive = idle=30s\n"), expected)

    def test_inherited(self) -> None:
        """Values of [defaults] are judged where they meet, and shown where they stand."""
        expected = [
            f"2:13: warning: 'keepalive' of {whose} begins after '{key}' has ended the session"
            for whose, key in (
                ("frontend 'f'", "timeout-client"),
                ("backend 'b'", "timeout-server"),
            )
        ]
        self.assertEqual(heads("[defaults]\nkeepalive = idle=1h\n" + MINIMAL), expected)

    def test_good(self) -> None:
        """Keepalive that begins before is fine; without a number the kernel's own is not known."""
        for value in ("idle=29s", "on", "off", "user-timeout=20s"):
            self.assertEqual(heads(in_frontend(MINIMAL, f"keepalive = {value}")), [])


class AmqpHeartbeatsFit(SynchronousTestCase):
    def test_defaults(self) -> None:
        """The default timeouts cut idle AMQP connections: both sides are told, at their headers."""
        expected = [
            "1:1: warning: 'timeout-client' of frontend 'f' cuts AMQP connections that are merely"
            " idle",
            "5:1: warning: 'timeout-server' of backend 'b' cuts AMQP connections that are merely"
            " idle",
        ]
        self.assertEqual(heads(AMQP), expected)
        self.assertIn("^^^^^^^^^^^^ 30s does not outlast a heartbeat of 60s", report(AMQP))

    def test_position(self) -> None:
        """A timeout that is given is shown where it stands."""
        text = in_frontend(LONG + AMQP, "timeout-client = 60s")
        expected = [
            "8:18: warning: 'timeout-client' of frontend 'f' cuts AMQP connections that are merely"
            " idle"
        ]
        self.assertEqual(heads(text), expected)

    def test_tls_port(self) -> None:
        """5671 is AMQP too, also as one bind of several."""
        self.assertEqual(len(heads(AMQP.replace(":5672", ":1 127.0.0.1:5671"))), 2)

    def test_only_its_backend(self) -> None:
        """Backends of other frontends are not judged."""
        other = (
            "[frontend g]\nprotocol = tcp\nbind = 127.0.0.1:1\nbackend = c\n"
            "[backend c]\ntimeout-server = 1s\nserver n1 = 127.0.0.2:81\n"
        )
        self.assertEqual(heads(LONG + AMQP + other), [])

    def test_good(self) -> None:
        """Timeouts that outlast a heartbeat are fine, and so are short ones at other ports."""
        self.assertEqual(
            heads("[defaults]\ntimeout-client = 61s\ntimeout-server = 61s\n" + AMQP), []
        )
        self.assertEqual(heads(MINIMAL), [])


class Documented(SynchronousTestCase):
    def test_warnings(self) -> None:
        """docs/rabbitmq.md shows a configuration, and what `vipproxy check` says of it."""
        document = DOCS / "rabbitmq.md"
        (warned,) = blocks(document, "ini warned")
        self.assertEqual([report(warned) + "\n"], blocks(document, "text"))

    def test_example(self) -> None:
        """There is nothing to say about examples/rabbitmq.ini."""
        self.assertEqual(report((EXAMPLES / "rabbitmq.ini").read_text()), "")


class FailBack(SynchronousTestCase):
    pinned = MINIMAL + "check = tcp\nstick = dst\n"

    def test_needs_pin(self) -> None:
        """Without a pin for all clients there is nothing to fail back."""
        expected = ["7:13: error: 'fail-back' in backend 'b' without 'stick = dst'"]
        self.assertEqual(heads(MINIMAL + "fail-back = idle\n"), expected)
        shown = report(MINIMAL + "stick = src\nfail-back = never\n")
        self.assertIn("cluster.ini:8:13: error: 'fail-back' in backend 'b'", shown)
        self.assertIn("             ^^^^^ there is no pin that could return", shown)

    def test_after_needs_check(self) -> None:
        """after=... is decided at checks, and so needs one."""
        expected = ["8:13: error: 'fail-back = after=...' in backend 'b' without a check"]
        self.assertEqual(heads(MINIMAL + "stick = dst\nfail-back = after=10m\n"), expected)

    def test_good(self) -> None:
        """Each of its values in a pinned, checked backend; idle also without a check."""
        for value in ("never", "idle", "after=10m"):
            self.assertEqual(heads(f"{self.pinned}fail-back = {value}\n"), [])
        self.assertEqual(heads(MINIMAL + "stick = dst\nfail-back = idle\n"), [])


class MarkedUp(SynchronousTestCase):
    option = "on-marked-up = shutdown-backup-sessions\n"

    def test_needs_backup(self) -> None:
        """Without backup servers it has no effect."""
        shown = report(MINIMAL + self.option)
        self.assertIn("cluster.ini:7:16: warning: backend 'b' has no backup servers", shown)
        self.assertIn("^" * len("shutdown-backup-sessions") + " it has no effect", shown)

    def test_good(self) -> None:
        """With one it is fine; so is none, and a value from [defaults]."""
        backup = MINIMAL + "server n2 = 127.0.0.3:80 backup\n"
        self.assertEqual(heads(backup + self.option), [])
        self.assertEqual(heads(MINIMAL + "on-marked-up = none\n"), [])
        self.assertEqual(heads("[defaults]\n" + self.option + MINIMAL), [])
