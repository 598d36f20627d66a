"""The process's log: headers, levels, batches, and what a frontend leaves out."""

from __future__ import annotations

import os
from typing import Any

from attrs import define, field
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vipproxy.config import loads
from vipproxy.config.log_options import HEADERS, LogOptions
from vipproxy.config.options import FrontendConfig
from vipproxy.counters import Counters
from vipproxy.limits import SessionLimit
from vipproxy.logs import outlet as outlets
from vipproxy.logs.outlet import BATCH, DELAY, LIMIT, Outlet
from vipproxy.logs.record import Record
from vipproxy.logs.syslog import header_of, level_of
from vipproxy.logs.targets import Target
from vipproxy.logs.traffic import TrafficLog, is_logged
from vipproxy.plugins import Catalog
from vipproxy.values import Address, Ending

AT = 1_700_000_000.25
CLIENT = Address("192.0.2.7", 40000)


@define
class Sink:
    """Keeps what it gets; takes no more than `room` lines at once."""

    lines: list[bytes] = field(factory=list)
    room: int = 1000
    sent: int = 0
    stopped: bool = False

    def send(self, lines: Any) -> int:
        self.sent += 1
        self.lines += lines[: self.room]
        return max(0, len(lines) - self.room)

    def lost(self) -> int:
        return 0

    def stop(self) -> None:
        self.stopped = True


class OutletCase(SynchronousTestCase):
    def outlet(self, *targets: str) -> Outlet:
        """One whose targets are sinks; `targets` are their words."""
        text = "[global]\n" + "".join(f"log = stdout {words}\n" for words in targets)
        self.options: tuple[LogOptions, ...] = loads(text, Catalog()).config.options.log
        self.clock = Clock()
        self.clock.advance(AT)
        self.sinks = [Sink() for _ in targets]
        made = iter(self.sinks)
        self.patch(outlets, "Target", lambda *given: _with_sink(Target(*given), next(made)))
        outlet = Outlet(self.options, "vipproxy", self.clock, "ctl1")
        outlet.start()
        return outlet


def _with_sink(target: Target, sink: Sink) -> Target:
    target._sink = sink
    return target


class HeaderTests(SynchronousTestCase):
    def header(self, format: str) -> str:
        return header_of(format, "local0", "vipproxy", "ctl1", 42)(level_of("info"), AT)

    def test_forms(self) -> None:
        """Each of HAProxy's formats has its header."""
        found = {format: self.header(format) for format in HEADERS}
        date = found["local"].removeprefix("<134>").removesuffix(" vipproxy[42]: ")
        self.assertRegex(date, r"^Nov 1[45] \d\d:\d\d:20$")
        iso = found["rfc5424"].split(" ")[1]
        self.assertRegex(iso, r"^2023-11-1[45]T\d\d:\d\d:20[+-]\d\d:\d\d$")
        exact = iso[:19] + ".250000" + iso[19:]
        self.assertEqual(
            found,
            {
                "local": f"<134>{date} vipproxy[42]: ",
                "rfc3164": f"<134>{date} ctl1 vipproxy[42]: ",
                "rfc5424": f"<134>1 {iso} ctl1 vipproxy 42 - - ",
                "priority": "<134>",
                "short": "<6>",
                "timed": f"<134>{exact} ",
                "iso": f"{exact} ",
                "raw": "",
                "traditional": f"{date} ctl1 vipproxy[42]: ",
            },
        )


class BatchTests(OutletCase):
    def test_together(self) -> None:
        """Lines wait a moment for others, and go out in order, at once."""
        outlet = self.outlet("format=raw")
        outlet.say(5, "one")
        outlet.say(5, "two")
        self.assertEqual(self.sinks[0].lines, [])
        self.clock.advance(DELAY)
        self.assertEqual((self.sinks[0].lines, self.sinks[0].sent), ([b"one", b"two"], 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bounded(self) -> None:
        """A batch that is full goes out in the next turn; what comes in one turn is bounded."""
        outlet = self.outlet("format=raw")
        self.sinks[0].room = LIMIT
        for _ in range(BATCH):
            outlet.say(5, "x")
        self.assertEqual(self.sinks[0].lines, [])
        self.clock.advance(0)
        self.assertEqual(len(self.sinks[0].lines), BATCH)
        for _ in range(LIMIT):
            outlet.say(5, "x")
        self.assertEqual(len(self.sinks[0].lines), BATCH + LIMIT)

    def test_levels(self) -> None:
        """A target gets what is important enough, and as no more than its minlevel."""
        outlet = self.outlet("level=notice format=short", "minlevel=notice format=short")
        for level in (level_of("alert"), level_of("info")):
            outlet.say(level, "x")
        self.clock.advance(DELAY)
        self.assertEqual([sink.lines for sink in self.sinks], [[b"<1>x"], [b"<5>x", b"<6>x"]])

    def test_length(self) -> None:
        """A long line is cut; a line break does not make two of it."""
        outlet = self.outlet("format=raw length=80")
        outlet.say(5, "a\nb" + "c" * 200)
        self.clock.advance(DELAY)
        self.assertEqual(self.sinks[0].lines, [b"a b" + b"c" * 77])

    def test_drops(self) -> None:
        """What a target does not take is counted, also when it is closed."""
        outlet = self.outlet("format=raw")
        self.sinks[0].room = 1
        for _ in range(3):
            outlet.say(5, "x")
        self.clock.advance(DELAY)
        self.assertEqual(outlet.dropped, 2)
        outlet.stop()
        self.assertEqual(outlet.dropped, 2)

    def test_stop(self) -> None:
        """At the end nothing waits any more."""
        outlet = self.outlet("format=raw")
        outlet.say(5, "last words")
        outlet.stop()
        self.assertEqual((self.sinks[0].lines, self.sinks[0].stopped), ([b"last words"], True))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_afterwards(self) -> None:
        """What is said while the proxy does not run is not kept, and leaves nothing behind."""
        outlet = self.outlet("format=raw")
        outlet.stop()
        outlet.say(5, "too late")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_line_that_raises(self) -> None:
        """A line that cannot be made costs that line alone."""
        outlet = self.outlet("format=raw")
        record = Record(CLIENT, CLIENT, AT, AT, AT)
        outlet.write(6, lambda record: 1 / 0, record)  # type: ignore[arg-type,return-value]
        outlet.write(6, lambda record: "good", record)
        self.clock.advance(DELAY)
        self.assertEqual((self.sinks[0].lines, outlet.dropped), ([b"good"], 1))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class TrafficTests(OutletCase):
    def config(self, options: str, protocol: str = "http") -> FrontendConfig:
        text = (
            "[global]\nlog = stdout\n[frontend f]\nbind = 127.0.0.1:1\nbackend = b\n"
            f"protocol = {protocol}\n{options}\n[backend b]\nserver s = 127.0.0.1:2\n"
        )
        return loads(text, Catalog()).config.frontends[0]

    def lines(self, options: str, *records: tuple[Ending, int, int]) -> list[bytes]:
        """What is written of records: their ending, bytes from the client, and status."""
        config = self.config(options)
        outlet = self.outlet("format=short")
        log = TrafficLog(config, outlet, self.clock, Counters(), SessionLimit())
        for ending, received, status in records:
            record = log.begin(CLIENT, CLIENT)
            record.bytes_in, record.status = received, status
            log.finish(record, None, ending, "-")
        outlet.stop()
        return self.sinks[0].lines

    def test_empty(self) -> None:
        """dontlognull leaves out clients that send nothing."""
        records = (Ending.NORMAL, 0, -1), (Ending.NORMAL, 1, 200)
        options = "log-format = %ST"
        self.assertEqual(self.lines(options, *records), [b"<6>-1", b"<6>200"])
        self.assertEqual(self.lines(options + "\ndontlognull = on", *records), [b"<6>200"])

    def test_normal(self) -> None:
        """dontlog-normal leaves errors, timeouts and answers of 5xx; log-separate-errors raises
        their level."""
        records = (
            (Ending.NORMAL, 1, 200), (Ending.SERVER_ABORT, 1, 502), (Ending.NORMAL, 1, 500),
            (Ending.CLIENT_TIMEOUT, 1, 408), (Ending.NORMAL, 1, 404),
        )  # fmt: skip
        options = "log-format = %ST\ndontlog-normal = on\nlog-separate-errors = on"
        self.assertEqual(self.lines(options, *records), [b"<3>502", b"<3>500", b"<3>408"])

    def test_numbers(self) -> None:
        """Lines are numbered."""
        self.assertEqual(self.lines("log-format = %lc", *[(Ending.NORMAL, 1, 200)] * 2)[1], b"<6>2")

    def test_default(self) -> None:
        """Without a format it is the one of the mode."""
        self.assertIn(b'"<BADREQ>"', self.lines("", (Ending.NORMAL, 1, 200))[0])

    def test_wanted(self) -> None:
        """No record is made where no target would get it, nor with `log-format = none`."""
        self.outlet("level=notice")
        self.assertFalse(is_logged(self.config(""), self.options))
        self.assertTrue(is_logged(self.config("log-separate-errors = on"), self.options))
        self.outlet("level=info")
        self.assertTrue(is_logged(self.config(""), self.options))
        self.assertFalse(is_logged(self.config("log-format = none"), self.options))

    def test_process(self) -> None:
        """%pid is the process's, also when it was forked after the log was made."""
        expected = f"<6>{os.getpid()}".encode()
        self.assertEqual(self.lines("log-format = %pid", (Ending.NORMAL, 1, 200)), [expected])
