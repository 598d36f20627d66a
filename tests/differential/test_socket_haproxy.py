"""The stats socket beside HAProxy's: one script of commands for both, and the answers compared."""

from __future__ import annotations

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

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.differential.socket_scripts import (
    ADDED,
    AS_OPERATOR,
    FRONTENDS,
    HAPROXY,
    OURS,
    SERVERS,
    TABLES,
    USERS,
)
from tests.functional.harness import Origin, Peer
from tests.ports import free_port
from tests.support import require
from vipproxy.testing import ProxyHarness


def ask(place: str, text: bytes) -> bytes:
    """What comes within a moment; the end of the connection is part of it."""
    with connect(place) as client:
        client.sendall(text)
        answer = b""
        client.settimeout(10)
        try:
            while received := client.recv(65536):
                answer += received
                if answer.endswith(b"> "):
                    client.settimeout(0.3)  # more may come, or not
        except TimeoutError:
            return answer + b"<OPEN>"
        return answer + b"<END>"


def connect(place: str) -> socket.socket:
    if place.startswith("/"):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(10)
        client.connect(place)
        return client
    return socket.create_connection(("127.0.0.1", int(place)), timeout=10)


class Beside(TestCase):
    """Both, before the same servers."""

    timeout = 120

    async def start(self) -> None:
        binary = require("haproxy")
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.origins = [Origin(greeting(name)) for name in ("s1", "s2", "s3")]
        for origin in self.origins:
            self.addCleanup(origin.kill)
        first, second, third = (origin.address.port for origin in self.origins)
        names = ("their_cli", "our_cli", "their_fe", "our_fe", "their_web", "their_spare")
        self.ports = {name: free_port() for name in names}
        self.places = {
            "directory": self.directory,
            "first": first,
            "second": second,
            "third": third,
            **self.ports,
        }
        config = self.directory / "haproxy.cfg"
        config.write_text(HAPROXY.format(**self.places))
        process = subprocess.Popen(
            [binary, "-db", "-f", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        self.theirs, self.ours = str(self.directory / "theirs"), str(self.directory / "ours")
        self.proxy = ProxyHarness(reactor, OURS.format(**self.places))
        self.addCleanup(self.proxy.stop)
        await self.proxy.start()
        await deferToThread(self._wait_for_them)

    def _wait_for_them(self) -> None:
        """HAProxy listens, and has found its checked server up."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if b" 6 3 4 6 0 " in ask(self.theirs, b"show servers state be\n"):
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise TimeoutError("haproxy did not start")

    async def both(self, text: str, level: str = "") -> tuple[str, str]:
        """HAProxy's answer, and ours."""
        command = text.format(**self.places).encode() + b"\n"
        theirs = await deferToThread(ask, self.theirs + level, command)
        ours = await deferToThread(ask, self.ours + level, command)
        return theirs.decode(), ours.decode()

    async def compare(self, script: str, level: str = "") -> None:
        """Give each line of a script to both."""
        await self.start()
        for line in script.strip().splitlines():
            theirs, ours = await self.both(line, level)
            if theirs.startswith(("Unknown command", "The following")):
                theirs, ours = theirs.splitlines()[0], ours.splitlines()[0]
            self.assertEqual(ours, theirs, line)

    async def until_equal(
        self, text: str, edit: Callable[[str], list[list[str]]]
    ) -> list[list[str]]:
        """Ask both until the edited answers are equal: checks take their time."""
        deadline = time.monotonic() + 20
        while True:
            theirs, ours = map(edit, await self.both(text))
            if theirs == ours:
                return ours
            if time.monotonic() > deadline:
                self.assertEqual(ours, theirs, text)


def greeting(name: str) -> Callable[[Peer], None]:
    def greet(peer: Peer) -> None:
        peer.on_data = lambda data: peer.send(name.encode() + b"\n")

    return greet


def statistics(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removesuffix("<END>").rstrip("\n"))))


def state_rows(text: str) -> list[list[str]]:
    """The lines of `show servers state` but for what moves (the time, checks under way), and for
    the health of servers that are not checked.
    """
    rows = [line.split() for line in text.splitlines() if " " in line]
    for row in rows[1:]:
        row[9] = "-"
        row[13] = str(int(row[13]) & ~1)
        if not int(row[13]) & 2:
            row[12] = "-"
    return rows


class ScriptTests(Beside):
    async def test_servers(self) -> None:
        """Everything that can be said of servers, right and wrong."""
        await self.compare(SERVERS)

    async def test_added(self) -> None:
        """Servers come and go."""
        await self.compare(ADDED)

    async def test_frontends(self) -> None:
        """Everything that can be said of frontends and of the process."""
        await self.compare(FRONTENDS)

    async def test_tables(self) -> None:
        """Everything that can be said of stick tables."""
        await self.compare(TABLES)

    async def test_users(self) -> None:
        """What is about the connection itself, sessions and counters."""
        await self.compare(USERS)

    async def test_operator(self) -> None:
        """An operator may do what HAProxy's may."""
        await self.compare(AS_OPERATOR, "-operator")

    async def test_user(self) -> None:
        """A user may do no more than HAProxy's, who may even clear tables."""
        script = AS_OPERATOR.replace("clear table be\n", "show table be\nshow sess\nshow errors\n")
        await self.compare(script, "-user")

    async def test_sockets(self) -> None:
        """All sockets are listed, and the TCP port answers."""
        await self.start()
        theirs, ours = await self.both("show cli sockets")
        same = theirs.replace("/theirs", "/ours").replace(
            str(self.ports["their_cli"]), str(self.ports["our_cli"])
        )
        self.assertEqual(ours, same)
        answer = await deferToThread(ask, str(self.ports["our_cli"]), b"show cli level\n")
        self.assertEqual(answer, b"operator\n\n<END>")

    async def test_help(self) -> None:
        """Each command that we have is told in HAProxy's words, and in HAProxy's order."""
        await self.start()
        their_help, our_help = await self.both("help")
        theirs, ours = their_help.splitlines(), our_help.splitlines()
        statistics = ("  show stat ", "  show info ")  # which formats they know is another matter
        listed = [line for line in ours if not line.startswith(statistics)]
        known = [line for line in theirs if line in listed]
        self.assertEqual(listed, known)

    async def test_matches(self) -> None:
        """Of the commands that match, those that both have are the same."""
        await self.start()
        for text in ("set server", "set maxconn", "show servers", "shutdown", "enable", "clear"):
            theirs, ours = (each.splitlines() for each in await self.both(f"help {text}"))
            self.assertEqual([each for each in theirs if each in ours], ours, text)


class StateTests(Beside):
    async def state(self) -> list[list[str]]:
        return await self.until_equal("show servers state be", state_rows)

    async def test_servers(self) -> None:
        """`show servers state` has the same lines, whatever was said of the servers."""
        await self.start()
        await self.state()
        for command in (
            "set server be/s1 state drain",
            "set server be/s1 state maint",
            "set server be/s1 state ready",
            "set server be/s1 weight 7",
            "set server be/s1 check-port {first}",
            "disable health be/s1",
            "enable health be/s1",
            "set server be/s2 state maint",
            "set server be/s2 state ready",
            "set server be/s1 health down",
            "set server be/s1 health stopping",
            "set server be/s2 addr 127.0.0.2 port {third}",
            "add server be/n1 127.0.0.1:{third} weight 3",
            "enable server be/n1",
            "set server be/n1 state maint",
            "del server be/n1",
            "del server be/s3",
        ):
            theirs, ours = await self.both(command)
            self.assertEqual(ours, theirs, command)
            await self.state()

    async def test_unchecked(self) -> None:
        """A server without checks is in the state that it is told to be in."""
        await self.start()
        for health, state in (("down", "0"), ("stopping", "3"), ("up", "2")):
            await self.both(f"set server be/s2 health {health}")
            theirs, ours = map(state_rows, await self.both("show servers state be"))
            self.assertEqual([rows[2][5] for rows in (theirs, ours)], [state, state])

    async def test_connections(self) -> None:
        """`show servers conn` has the same columns, and the same servers in them."""
        await self.start()
        theirs, ours = (each.splitlines() for each in await self.both("show servers conn"))
        self.assertEqual(ours[0], re.sub(r"\[\d+\]", "[1]", theirs[0]))
        self.assertEqual([r.split()[:5] for r in ours[1:]], [r.split()[:5] for r in theirs[1:]])


class TrafficTests(Beside):
    async def opened(self, port: str) -> socket.socket:
        """A client that has had an answer."""
        return await deferToThread(self._open, self.ports[port])

    def _open(self, port: int) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.addCleanup(client.close)
        client.sendall(b"hello\n")
        assert client.recv(10)
        return client

    async def both_open(self) -> tuple[socket.socket, socket.socket]:
        return await self.opened("their_fe"), await self.opened("our_fe")

    async def test_table(self) -> None:
        """A client's entry looks the same, but for what it is called by, and its use."""
        await self.start()
        clients = await self.both_open()
        theirs, ours = await self.both("show table be")
        entry = re.compile(
            r"\n0x[0-9a-f]+: key=(\S+) use=\d+ exp=(\d+) server_id=(\d+) server_key="
        )
        self.assertEqual([m[:2] for m in entry.findall(theirs)], [("127.0.0.1", "0")])
        self.assertEqual([m[:2] for m in entry.findall(ours)], [("127.0.0.1", "0")])
        self.assertEqual(ours.splitlines()[0], theirs.splitlines()[0])
        for client in clients:
            client.close()

    async def test_set_table(self) -> None:
        """Clients go to the server that an entry was set to."""
        await self.start()
        for number, name in ((2, b"s2\n"), (1, b"s1\n")):
            command = f"set table be key 127.0.0.1 data.server_id {number}"
            await self.both("clear table be")  # HAProxy goes by the name it has seen before
            self.assertEqual(await self.both(command), ("\n<END>", "\n<END>"))
            for port in ("their_fe", "our_fe"):
                answer = await deferToThread(self._first_words, self.ports[port])
                self.assertEqual(answer, name, port)

    def _first_words(self, port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"hello\n")
            return client.recv(10)

    async def test_sessions(self) -> None:
        """Sessions are listed with the same facts, and end when they are shut down."""
        await self.start()
        clients = await self.both_open()
        answers = await self.both("show sess")
        pattern = re.compile(
            r"^(0x[0-9a-f]+): proto=tcpv4 src=(127.0.0.1:\d+) fe=fe be=be srv=\S+.* age=\d+s",
            re.MULTILINE,
        )
        for place, client, answer in zip((self.theirs, self.ours), clients, answers, strict=True):
            ((number, source),) = pattern.findall(answer)
            self.assertEqual(source, "{}:{}".format(*client.getsockname()))
            details = await deferToThread(ask, place, b"show sess %b\n" % number.encode())
            self.assertIn(f"source={source}\n", details.decode())
            self.assertIn("\n  frontend=fe (id=2 mode=tcp)", details.decode())
            self.assertIn("\n  backend=be (id=3 mode=tcp)", details.decode())
            ended = await deferToThread(ask, place, b"shutdown session %b\n" % number.encode())
            self.assertEqual(ended, b"\n<END>")
            self.assertEqual(await deferToThread(client.recv, 10), b"")

    async def test_server_sessions(self) -> None:
        """All sessions of a server end at once, with a FIN."""
        await self.start()
        await self.both("set table be key 127.0.0.1 data.server_id 2")
        clients = await self.both_open()
        await self.both("shutdown sessions server be/s2")
        for client in clients:
            self.assertEqual(await deferToThread(client.recv, 10), b"")

    async def test_disabled_frontend(self) -> None:
        """A disabled frontend refuses clients, and keeps those that it has."""
        await self.start()
        clients = await self.both_open()
        await self.both("disable frontend fe")
        for port in ("their_fe", "our_fe"):
            with self.assertRaises(ConnectionRefusedError):
                await self.opened(port)
        for client in clients:
            await deferToThread(client.sendall, b"still here?\n")
            self.assertTrue(await deferToThread(client.recv, 10))
        await self.both("enable frontend fe")
        await self.both_open()

    async def test_clear_counters(self) -> None:
        """`clear counters` forgets the same columns, with and without `all`."""
        await self.start()
        await self.both("set table be key 127.0.0.1 data.server_id 2")
        for _ in range(2):
            await self.both_open()
        rows = [("fe", "FRONTEND"), ("be", "s2"), ("be", "BACKEND")]
        columns = ("scur", "smax", "stot", "econ", "lbtot", "rate_max", "lastsess")

        def cells(text: str) -> list[list[str]]:
            table = {(row["# pxname"], row["svname"]): row for row in statistics(text)}
            return [[table[each][column] for column in columns] for each in rows]

        for command in ("show version", "clear counters", "clear counters all"):
            await self.both(command)
            ours = await self.until_equal("show stat", cells)
        self.assertEqual(ours[1], ["2", "0", "0", "0", "0", "0", "-1"])

    async def test_in_use(self) -> None:
        """A server with a session is not deleted, not even in maintenance."""
        await self.start()
        await self.both("set table be key 127.0.0.1 data.server_id 2")
        await self.both_open()
        await self.both("set server be/s2 state drain")
        theirs, ours = await self.both("del server be/s2")
        self.assertEqual(ours, theirs)

    async def test_errors(self) -> None:
        """Refused messages are shown byte for byte, with the place of the mistake."""
        await self.start()
        web = self.proxy.port("web")
        for request in (
            b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\nOther: \\ \t\x01\r\n\r\n",
            b"\x16\x03\x01\x00garbage\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: " + b"a" * 200 + b"\r\nb\xe9d: 1\r\n\r\n",
        ):
            for port in (self.ports["their_web"], web):
                await deferToThread(self._say, port, request)
            theirs, ours = await self.both("show errors web request")
            self.assertEqual(dump_of(ours), dump_of(theirs), request)

    async def test_bad_response(self) -> None:
        """What a server said wrongly is shown, too."""
        await self.start()
        for port in (self.ports["their_web"], self.proxy.port("web")):
            await deferToThread(self._say, port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        theirs, ours = await self.both("show errors webs response")
        self.assertEqual(dump_of(ours), dump_of(theirs))

    def _say(self, port: int, request: bytes) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(request)
            assert client.recv(100)


def dump_of(text: str) -> list[str]:
    """What both can know of a capture."""
    lines = re.sub(r"\d+/\w+/\d+:[\d:.]+|src 127.0.0.1:\d+|event #\d+", "", text).splitlines()
    head = [re.sub(r", \d+ free|wraps at \d+", "", line) for line in lines[1:5]]
    position = re.search(r"len \d+,.*position \d+", text)
    return [
        *head,
        position[0].replace("16336", "16384") if position else "",
        *lines[lines.index("  ") :],
    ]
