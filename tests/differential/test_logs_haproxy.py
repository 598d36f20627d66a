"""The lines of sessions beside HAProxy's: the same events, both logging to syslog over UDP."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from attrs import frozen
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.differential.log_events import (
    EVENTS,
    LIMIT,
    LINES,
    LOOPBACK,
    Server,
    Silent,
    Way,
    echo,
    get,
    read_all,
    serve_http,
)
from tests.documents import DOCS
from tests.ports import free_port
from tests.support import require
from vipproxy.testing import ProxyHarness

TIMES = "connect 500ms", "client 4s", "server 1s", "queue 400ms"
PATIENT_SERVER = "connect 500ms", "client 500ms", "server 20s", "queue 400ms"
PATIENT_CLIENT = "connect 500ms", "client 20s", "server 500ms", "queue 400ms"


@frozen
class Setting:
    """A frontend and a backend of the same name; `servers` are lines with {echo}, {http}..."""

    servers: tuple[str, ...]
    theirs: str = ""
    ours: str = ""
    their_frontend: str = ""
    our_frontend: str = ""
    times: tuple[str, ...] = TIMES


COOKIE = "cookie S insert indirect nocache"
CAPTURES = """capture request header Host len 20
capture request header User-Agent len 5
capture response header Server len 20
capture cookie session= len 12
timeout http-request 500ms"""
OUR_CAPTURES = """capture-request-header Host = 20
capture-request-header User-Agent = 5
capture-response-header Server = 20
capture-cookie = session= length=12
timeout-http-request = 500ms"""
SETTINGS = {
    "tcp": Setting(("{echo}",)),
    "tcp-patient-server": Setting(("{echo}",), times=PATIENT_SERVER),
    "tcp-patient-client": Setting(("{echo}",), times=PATIENT_CLIENT),
    "tcp-refused": Setting(("{closed}",)),
    "tcp-silent": Setting(("{silent}",)),
    "tcp-down": Setting(("{echo} disabled",)),
    "tcp-queue": Setting(("{echo} maxconn=1",)),
    "tcp-fragile": Setting(("{echo} on-marked-down",)),
    "http": Setting(("{http}",), their_frontend=CAPTURES, our_frontend=OUR_CAPTURES),
    "http-rules": Setting(
        ("{http}",),
        "http-request deny if { path /backend-denies }\nhttp-response deny if { status 500 }",
        "http-request = deny if { path /backend-denies }\nhttp-response = deny if { status 500 }",
        "http-request deny if { path /denied }\nhttp-request redirect location / if { path /go }\n"
        "monitor-uri /up",
        "http-request = deny if { path /denied }\n"
        "http-request = redirect location / if { path /go }\nmonitor-uri = /up",
    ),
    "tcp-rules": Setting(
        ("{echo}",),
        their_frontend="tcp-request content reject",
        our_frontend="tcp-request-content = reject",
    ),
    "http-refused": Setting(("{closed}",)),
    "http-silent": Setting(("{silent}",)),
    "http-down": Setting(("{http} disabled",)),
    "http-queue": Setting(("{http} maxconn=1",)),
    "http-fragile": Setting(("{http} on-marked-down",)),
    "http-cookie": Setting(("{http} cookie=one", "{http2} cookie=two disabled"), COOKIE, COOKIE),
    "http-rewrite": Setting(("{http} cookie=one",), "cookie S rewrite", "cookie S rewrite"),
    "http-prefix": Setting(("{http} cookie=one",), "cookie S prefix", "cookie S prefix"),
    "http-preserve": Setting(
        ("{http} cookie=one",), "cookie S insert preserve", "cookie S insert preserve"
    ),
    "http-maxidle": Setting(
        ("{http} cookie=one",), "cookie S insert maxidle 1h", "cookie S insert maxidle=1h"
    ),
    "http-redispatch": Setting(
        ("{closed} cookie=one", "{http} cookie=two"),
        f"{COOKIE}\noption redispatch 1",
        f"{COOKIE}\nredispatch = on",
    ),
}

FORMATS = {
    "names": "%ci %f %ft %b %s %si %fi %H 100%% %ts %tsc %ST",
    "request": "%HM %HP %HQ %HU %HV %r %{+Q}r %{+E}r %{+Q,+E}r",
    "numbers": "%ac %fc %bc %sc %rc %sq %bq %Th %Ti %TR %Tq %Tw %Tc %Tr %Td %Ta %Tt %U",
    "dates": "%t %T %Tl %tr %trg %trl %Ts %ms",
    "captures": "%hr|%hs|%hrl|%hsl|%CC|%CS",
    "quoted": "%{+Q}o %f %{-Q}b %s %hr %hrl %CC %CS %ST %ci",
    "hexadecimal": "%{+X}ci %{+X}fi %{+X}Ts %{+X}ST",
    "clf": "clf",
}
"""Custom formats: what HAProxy makes of them we make of them."""
FORMAT_FRONTENDS = {f"http-{name}-format": format for name, format in FORMATS.items()}
SETTINGS |= {
    name: Setting(
        ("{http}",),
        their_frontend=f"{CAPTURES}\n"
        + ("option httplog clf" if format == "clf" else f"log-format '{format}'"),
        our_frontend=f"{OUR_CAPTURES}\nlog-format = {format}",
    )
    for name, format in FORMAT_FRONTENDS.items()
}
SETTINGS |= {
    "http-asap": Setting(("{http}",), "", "", "option logasap", "logasap = on"),
    "tcp-asap": Setting(("{echo}",), "", "", "option logasap", "logasap = on"),
    "http-errors": Setting(
        ("{http}",),
        their_frontend="option dontlog-normal\noption log-separate-errors\noption dontlognull",
        our_frontend="dontlog-normal = on\nlog-separate-errors = on\ndontlognull = on",
    ),
}

FIELDS = re.compile(
    r"<(?P<priority>\d+)>(?P<date>\w{3} [ \d]\d \d\d:\d\d:\d\d) (?P<tag>\w+)\[\d+\]: "
    r"(?P<client>[\d.]+:\d+) \[(?P<at>\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d\.\d{3})\] (?P<frontend>\S+) "
    r"(?P<server>\S+) (?P<timers>[-\d/]+) (?:(?P<status>-?\d{1,3}) )?(?P<bytes>\d+) "
    r"(?:(?P<cookies>\S+ \S+) )?(?P<flags>[A-Za-z-]{2}(?:[A-Z-]{2})?) "
    r"\d+/\d+/\d+/\d+/(?P<retries>\+?\d+) (?P<queues>\d+/\d+)"
    r"(?P<headers>(?: \{[^}]*\})*)(?: (?P<request>\".*\"))?"
)


def shape(line: str) -> dict[str, str | None]:
    """What must be the same: all but dates, the client's port, bytes and how long things took."""
    match = FIELDS.fullmatch(line.rstrip("\n"))
    assert match is not None, line
    found = match.groupdict()
    for name in ("date", "client", "at", "bytes", "tag"):
        del found[name]
    timers = found["timers"] or ""
    found["timers"] = "/".join("-1" if each == "-1" else "n" for each in timers.split("/"))
    return found


Different = dict[str, tuple[str, str]]
"""Field -> what HAProxy says, and what we say."""

DIFFERENT: dict[str, tuple[Different, ...]] = {
    "tcp: the client leaves while connecting": ({"flags": ("CD", "sC"), "retries": ("0", "1")},),
    "tcp: the client leaves the queue": (
        {
            "server": ("tcp-queue/<NOSRV>", "tcp-queue/s1"),
            "timers": ("n/-1/n", "n/n/n"),
            "flags": ("CD", "--"),
            "queues": ("0/1", "0/0"),
        },
        {"flags": ("--", "CD"), "queues": ("0/0", "0/1")},
    ),
    "http: the client leaves before the answer": (
        {"status": ("504", "-1"), "flags": ("sH--", "CH--")},
    ),
    "http: the client leaves in the answer": ({"flags": ("sD--", "CD--")},),
    "http: marked down before the answer": ({"status": ("502", "-1")},),
}
"""Event -> a mapping for each line. All that is different; docs/logs.md says why."""


class Syslog:
    """A server on loopback."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self._socket.settimeout(LIMIT)
        self.port: int = self._socket.getsockname()[1]

    def lines(self, number: int) -> list[str]:
        """The next lines of sessions; what is told of servers is left out."""
        found: list[str] = []
        while len(found) < number:
            line = self._socket.recv(65536).decode()
            if not re.search(r"\]: (Server|backend|Health check) ", line):
                found.append(line)
        return found

    def close(self) -> None:
        self._socket.close()


def haproxy_text(ports: dict[str, int], places: dict[str, str], log: int, stats: str) -> str:
    lines = ["global", f"log {LOOPBACK}:{log} local0", f"stats socket {stats} level admin"]
    lines += ["defaults", "log global", "retries 1"]
    for name, setting in SETTINGS.items():
        mode = "http" if name.startswith("http") else "tcp"
        times = [f"timeout {each}" for each in setting.times]
        lines += [f"frontend {name}", f"mode {mode}", f"option {mode}log", times[1]]
        lines += [f"bind {LOOPBACK}:{ports[name]}", f"default_backend {name}"]
        lines += setting.their_frontend.splitlines()
        lines += [f"backend {name}", f"mode {mode}", *(t for t in times if "client" not in t)]
        lines += setting.theirs.splitlines()
        for number, server in enumerate(setting.servers, 1):
            words = server.format(**places).replace("=", " ")
            words = words.replace("on-marked-down", "on-marked-down shutdown-sessions")
            lines.append(f"server s{number} {words}")
    return "\n".join(lines) + "\n"


def our_text(places: dict[str, str], log: int, stats: str) -> str:
    lines = ["[global]", f"log = {LOOPBACK}:{log}", f"stats-socket = {stats} level=admin"]
    for name, setting in SETTINGS.items():
        protocol = "http" if name.startswith("http") else "tcp"
        times = ["timeout-" + each.replace(" ", " = ") for each in setting.times]
        lines += [f"[frontend {name}]", f"protocol = {protocol}", f"bind = {LOOPBACK}:0", times[1]]
        lines += [f"backend = {name}", *setting.our_frontend.splitlines()]
        lines += [f"[backend {name}]", "retries = 1", *(t for t in times if "client" not in t)]
        lines += ["redispatch = off"] * ("redispatch" not in setting.ours)
        lines += [each.replace("cookie S", "cookie = S") for each in setting.ours.splitlines()]
        fragile = any("on-marked-down" in each for each in setting.servers)
        lines += ["on-marked-down = shutdown-sessions"] * fragile
        for number, server in enumerate(setting.servers, 1):
            words = server.format(**places).replace(" on-marked-down", "")
            lines.append(f"server s{number} = {words}")
    return "\n".join(lines) + "\n"


class SameLines(TestCase):
    timeout = 300

    async def setUp(self) -> None:  # type: ignore[override]
        haproxy = require("haproxy")
        directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, directory)
        servers = {
            "echo": Server(echo), "http": Server(serve_http), "http2": Server(serve_http),
            "silent": Silent(),
        }  # fmt: skip
        logs = Syslog(), Syslog()
        for each in (*servers.values(), *logs):
            self.addCleanup(each.close)
        self.their_log, self.our_log = logs
        places = {name: f"{LOOPBACK}:{server.port}" for name, server in servers.items()}
        places["closed"] = f"{LOOPBACK}:{free_port()}"
        ports = {name: free_port() for name in SETTINGS}
        self.theirs = Way(ports, str(directory / "theirs"))
        text = haproxy_text(ports, places, logs[0].port, self.theirs.stats)
        await deferToThread(self.start_haproxy, haproxy, directory / "haproxy.cfg", text)
        ours = str(directory / "ours")
        self.proxy = ProxyHarness(reactor, our_text(places, logs[1].port, ours))
        self.addCleanup(self.proxy.stop)
        await self.proxy.start()
        self.ours = Way({name: self.proxy.port(name) for name in SETTINGS}, ours)

    def start_haproxy(self, program: str, path: Path, text: str) -> None:
        path.write_text(text)
        process = subprocess.Popen(
            [program, "-db", "-f", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        for _ in range(200):
            with contextlib.suppress(OSError):
                self.theirs.command("show info")
                return
            time.sleep(0.05)
        self.fail("haproxy does not run")

    async def lines_of(self, event: str) -> list[tuple[dict[str, str | None], ...]]:
        """What both log of an event: pairs of HAProxy's line and ours."""
        found = []
        for way, log in ((self.theirs, self.their_log), (self.ours, self.our_log)):
            await deferToThread(EVENTS[event], way)
            lines = await deferToThread(log.lines, LINES.get(event, 1))
            found.append([shape(line) for line in lines])
        return list(zip(*found, strict=True))

    async def test_events(self) -> None:
        """Every event has the same line, but for the differences that the documents list.

        Many are about who was first, which a busy machine may change: a surprise is asked again.
        """
        different: dict[str, tuple[object, ...]] = {}
        for event in EVENTS:
            found = await self.differences(event)
            for _ in range(2):
                if found != DIFFERENT.get(event, ()):
                    found = await self.differences(event)
            if found:
                different[event] = found
        self.maxDiff = None
        self.assertEqual(different, DIFFERENT)

    async def differences(self, event: str) -> tuple[object, ...]:
        """By line, the fields that differ; nothing where none does."""
        found = [
            {name: (theirs[name], ours[name]) for name in ours if theirs[name] != ours[name]}
            for theirs, ours in await self.lines_of(event)
        ]
        return tuple(found) if any(found) else ()

    async def both(self, action: Callable[[Way], None]) -> tuple[str, str]:
        """The next line of each, from its priority on, and without what is by chance."""
        found = []
        for way, log in ((self.theirs, self.their_log), (self.ours, self.our_log)):
            await deferToThread(action, way)
            (line,) = await deferToThread(log.lines, 1)
            found.append(plain(line))
        return found[0], found[1]

    async def test_formats(self) -> None:
        """Custom formats give the same text, but for dates, times and the client's port."""
        request = get('/a/b?c="d"', "x=1; session=1234567890")
        for name in FORMAT_FRONTENDS:
            theirs, ours = await self.both(lambda way, name=name: way.ask(name, request))
            self.assertEqual(ours, theirs, name)

    async def test_early(self) -> None:
        """logasap writes a line as early, with the same signs."""

        def talk(way: Way) -> None:
            with way.connect("tcp-asap") as sock:
                sock.sendall(b"bye")
                read_all(sock)

        for action in (talk, lambda way: way.ask("http-asap", get("/part"))):
            theirs, ours = await self.both(action)
            self.assertEqual(ours, theirs)

    async def test_counts(self) -> None:
        """Who is connected, and who waits, is counted as HAProxy counts.

        On a busy machine both clients may have gone before the first line is made: then again.
        """
        theirs, ours = await self._counts()
        for _ in range(2):
            if ours != theirs:
                theirs, ours = await self._counts()
        self.assertEqual(ours, theirs)

    async def _counts(self) -> list[list[list[str]]]:
        counts = []
        for way, log in ((self.theirs, self.their_log), (self.ours, self.our_log)):
            await deferToThread(EVENTS["tcp: queue timeout"], way)
            lines = await deferToThread(log.lines, 2)
            counts.append([re.findall(r" (\d+/\d+/\d+/\d+/\d+) ", line) for line in lines])
        return counts

    async def test_times(self) -> None:
        """The statistics' times are of the same sessions: of those that waited, and were
        answered, and of no others."""
        events = ("tcp: queued", "tcp: refused", "http: server timeout", "http: late")
        for way in (self.theirs, self.ours):
            for event in events:
                await deferToThread(EVENTS[event], way)
        theirs, ours = [await deferToThread(times_of, way) for way in (self.theirs, self.ours)]
        self.assertEqual(ours, theirs)
        self.assertEqual(ours["tcp-queue", "s1"][:2], [True, False])
        self.assertEqual(ours["http", "s1"], [False, False, True, True])

    async def test_errors(self) -> None:
        """dontlognull and dontlog-normal leave out what HAProxy leaves out; log-separate-errors
        gives the rest the same priority."""

        def script(way: Way) -> None:
            way.connect("http-errors").close()
            for path in ("/", "/error"):
                way.ask("http-errors", get(path))

        theirs, ours = await self.both(script)
        self.assertEqual(ours, theirs)
        self.assertIn("<131>", ours)


LONG = 90
"""Milliseconds: times of the events are longer, or next to nothing."""


def times_of(way: Way) -> dict[tuple[str, str], list[bool]]:
    """Which of qtime_max, ctime_max, rtime_max and ttime_max are long, by proxy and server."""
    _, *rows = csv.reader(io.StringIO(way.command("show stat")))
    wanted = ("tcp-queue", "tcp-refused", "http")
    return {
        (row[0], row[1]): [int(cell) >= LONG for cell in row[90:94]]
        for row in rows
        if len(row) > 93 and row[93] and row[0] in wanted
    }


def plain(line: str) -> str:
    """Without numbers that are by chance: all but the priority, versions and HTTP's statuses."""
    priority, _, text = line.rstrip("\n").partition(">")
    return priority + ">" + re.sub(r"-?\d+|\b[0-9A-F]{8}\b", "N", text.partition("]: ")[2])


class DocumentTests(SynchronousTestCase):
    def test_differences(self) -> None:
        """docs/logs.md lists each event whose line is different."""
        text = (DOCS / "logs.md").read_text()
        missing = [event for event in DIFFERENT if f"\n| {event} |" not in text]
        self.assertEqual(missing, [])
