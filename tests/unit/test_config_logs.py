"""What a configuration may say about logs."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from vipproxy.config import loads
from vipproxy.config.log_options import LogOptions
from vipproxy.errors import ConfigError
from vipproxy.plugins import Catalog
from vipproxy.values import Address

BACKEND = "[backend b]\nserver s = 127.0.0.1:2\n"


def frontend(options: str, protocol: str = "http", head: str = "[global]\nlog = stdout\n") -> str:
    name = f"protocol = {protocol}\nbind = 127.0.0.1:1\n"
    uses = "" if protocol == "stats" else "backend = b\n"
    return f"{head}[frontend f]\n{name}{uses}{options}\n" + (BACKEND if uses else "")


def heads(text: str) -> list[str]:
    """The first lines of all problems, without the file's name."""
    try:
        report = loads(text, Catalog(), "x.ini").problems.report()
    except ConfigError as error:
        report = error.report
    return [line[6:] for line in report.splitlines() if line.startswith("x.ini:")]


class TargetTests(SynchronousTestCase):
    def target(self, line: str) -> LogOptions:
        (log,) = loads(f"[global]\nlog = {line}\n", Catalog()).config.options.log
        return log

    def test_places(self) -> None:
        """UDP servers, sockets, files and streams."""
        found = {
            line: self.target(line).place
            for line in ("10.0.0.1:1514", "10.0.0.1", "[fd00::1]:99", "udp@10.0.0.1:5", "/dev/log",
                         "unix@/run/log", "stdout", "stderr")
        }  # fmt: skip
        self.assertEqual(
            found,
            {
                "10.0.0.1:1514": Address("10.0.0.1", 1514),
                "10.0.0.1": Address("10.0.0.1", 514),
                "[fd00::1]:99": Address("fd00::1", 99),
                "udp@10.0.0.1:5": Address("10.0.0.1", 5),
                "/dev/log": Path("/dev/log"),
                "unix@/run/log": Path("/run/log"),
                "stdout": "stdout",
                "stderr": "stderr",
            },
        )
        self.assertEqual(str(self.target("file@/var/log/x").place), "file@/var/log/x")

    def test_wrong_places(self) -> None:
        """What is none is said, with what there is."""
        for line, error in (
            ("file@log.txt", "7: error: the path 'log.txt' must be absolute in [global]"),
            ("ring@x", "7: error: unknown target 'ring@' in [global]"),
            ("nowhere", "7: error: expected ADDRESS:PORT, not 'nowhere' in [global]"),
            ("/dev/log facility=local9", "25: error: unknown value 'local9' in [global]"),
            ("/dev/log length=7", "23: error: 7 is not between 80 and 65535 in [global]"),
        ):
            self.assertEqual(
                heads(f"[global]\nlog = {line}\n" + frontend("", head="")), [f"2:{error}"]
            )

    def test_several(self) -> None:
        """There may be several, each with its words."""
        text = "[global]\nlog = stdout\nlog = /dev/log level=err\nlog = stderr\n"
        options = loads(text, Catalog()).config.options
        self.assertEqual([each.level for each in options.log], ["debug", "err", "debug"])

    def test_tag(self) -> None:
        """A program's name has neither blanks nor brackets."""
        problem = "2:11: error: 'my proxy' cannot be a program's name in a log in [global]"
        self.assertEqual(heads("[global]\nlog-tag = my proxy\n" + frontend("", head="")), [problem])


class RuleTests(SynchronousTestCase):
    def test_good(self) -> None:
        """Nothing is wrong with all of it, where it belongs."""
        options = (
            "log-format = %ci %r\ncapture-request-header Host = 9\ncapture-cookie = S\n"
            "dontlognull = on\nlogasap = on\ndontlog-normal = on\nlog-separate-errors = on\n"
            "capture-response-header Server = 9"
        )
        self.assertEqual(heads(frontend(options)), [])
        self.assertEqual(heads(frontend("log-format = json\nlogasap = on", "tcp")), [])

    def test_http_in_tcp(self) -> None:
        """A tcp frontend has no HTTP to log, nor to capture."""
        self.assertEqual(
            heads(frontend("log-format = httplog", "tcp")),
            ["7:14: error: the log format of frontend 'f' says what only HTTP has"],
        )
        self.assertEqual(
            heads(frontend("capture-request-header Host = 9", "mysql")),
            ["7:31: error: 'capture-request-header Host' has no effect in frontend 'f'"],
        )

    def test_stats(self) -> None:
        """Nothing is read and ignored: requests of a stats frontend are not logged."""
        self.assertEqual(
            heads(frontend("dontlognull = on", "stats")),
            ["6:15: error: requests of a stats frontend, as frontend 'f', are not logged"],
        )

    def test_no_log(self) -> None:
        """What is said about lines that go nowhere is a warning; in [defaults] it may stand."""
        self.assertEqual(
            heads(frontend("logasap = on", head="")),
            ["5:11: warning: 'logasap' has no effect in frontend 'f': there is no log"],
        )
        self.assertEqual(heads(frontend("", head="[defaults]\nlogasap = on\n")), [])

    def test_unsupported(self) -> None:
        """HAProxy's other options of logs are unknown, and errors."""
        for key in ("log-format-sd", "error-log-format", "unique-id-format"):
            found = heads(frontend(f"{key} = %ci"))
            self.assertEqual(found, [f"7:1: error: unknown key '{key}' in frontend 'f'"])
