"""The corpus read by HAProxy, h11 and httptools: docs/http.md lists every difference from us.

A difference from HAProxy is allowed only where vipproxy is stricter. The document and the truth
are compared both ways, so that neither can change alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase

from tests.differential.test_http_haproxy import EMPTY, LAST, Case
from tests.documents import DOCS
from tests.http_peers import talk
from tests.http_readers import (
    Message,
    Refused,
    h11_requests,
    h11_responses,
    httptools_requests,
    httptools_responses,
    with_host,
)
from tests.unit.http_corpus import (
    ACCEPTED_REQUESTS,
    ACCEPTED_RESPONSES,
    BROKEN_RESPONSES,
    GET,
    HOSTILE_REQUESTS,
    HOSTILE_RESPONSES,
)

REFUSED_RESPONSES = HOSTILE_RESPONSES | BROKEN_RESPONSES
PORT_REMOVED = {"absolute form with the usual port"}
"""HAProxy takes `:80` out of such a target; we forward it as it came."""


def table(heading: str) -> dict[str, tuple[str, ...]]:
    """The rows below a heading of docs/http.md: the first cell, and the others."""
    part = (DOCS / "http.md").read_text().partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    rows = [
        tuple(cell.strip() for cell in line.strip("|").split("|")) for line in part.splitlines()
        if line.startswith("|")
    ]  # fmt: skip
    return {row[0]: row[1:] for row in rows[2:]}


def listed(heading: str, column: int, word: str = "accepts") -> set[str]:
    """What a reader accepts, as the document says."""
    rows = table(heading)
    assert {cell for cells in rows.values() for cell in cells} <= {"accepts", "refuses", "either"}
    return {name for name, cells in rows.items() if cells[column] == word}


def accepted(entries: Mapping[str, bytes], read: Callable[[bytes], list[Message]]) -> set[str]:
    """What a reader does not refuse."""
    names = set()
    for name, data in entries.items():
        try:
            read(data)
        except Refused:
            continue
        names.add(name)
    return names


def h11_response(data: bytes) -> list[Message]:
    return h11_responses(data, ended=True)


class ReaderTests(SynchronousTestCase):
    """h11 and httptools, each entry in one piece."""

    def test_refused_requests(self) -> None:
        """Requests that we refuse, and they accept."""
        for column, read in (1, h11_requests), (2, httptools_requests):
            self.assertEqual(
                accepted(HOSTILE_REQUESTS, read), listed("Refused requests", column), read.__name__
            )

    def test_refused_responses(self) -> None:
        """Responses that we refuse, and they accept."""
        for column, read in (1, h11_response), (2, httptools_responses):
            self.assertEqual(
                accepted(REFUSED_RESPONSES, read),
                listed("Refused responses", column),
                read.__name__,
            )

    def test_accepted_requests(self) -> None:
        """Requests that we accept in HAProxy's way, and they refuse, as they come to us."""
        sent = {name: entry[0] for name, entry in ACCEPTED_REQUESTS.items()}
        for column, read in (0, h11_requests), (1, httptools_requests):
            differing = set(table("Accepted requests")) - listed("Accepted requests", column)
            self.assertEqual(set(sent) - accepted(sent, read), differing, read.__name__)

    def test_rows_differ(self) -> None:
        """No row of the tables is there without a difference."""
        for heading, word in (
            ("Refused requests", "accepts"),
            ("Refused responses", "accepts"),
            ("Accepted requests", "refuses"),
        ):
            for name, cells in table(heading).items():
                self.assertTrue({word, "either"} & set(cells), name)


class HaproxyTests(Case):
    """The real one, and vipproxy beside it."""

    async def says(self, port: int, request: bytes) -> bytes:
        """The first line of the answer; a reset is the end of a client that was refused."""
        try:
            answer: bytes = await deferToThread(talk, port, request)
        except TimeoutError:
            raise
        except OSError:
            return b"reset"
        return answer.partition(b"\r\n")[0]

    async def refused(
        self, port: int, requests: Iterable[tuple[str, bytes]], pattern: bytes
    ) -> set[str]:
        return {
            name for name, request in requests if re.match(pattern, await self.says(port, request))
        }

    async def test_refused_requests(self) -> None:
        """We refuse all of them, and HAProxy all but those that are listed."""
        self.origin.answer = EMPTY
        requests = HOSTILE_REQUESTS.items()
        pattern = rb"HTTP/1\.1 4(00|22) |reset"
        ours = await self.refused(self.proxy.port("hasty"), requests, pattern)
        self.assertEqual(ours, set(HOSTILE_REQUESTS))
        sessions = [each.counters.sessions_total for each in self.proxy.snapshot().backends]
        self.assertEqual(sum(sessions), 0)
        theirs = await self.refused(self.ports["hasty"], requests, pattern)
        accepts = set(HOSTILE_REQUESTS) - theirs - listed("Refused requests", 0, "either")
        self.assertEqual(accepts, listed("Refused requests", 0))

    async def test_refused_responses(self) -> None:
        """We make a 502 of all of them, and HAProxy of all but those that are listed."""
        accepts: dict[int, set[str]] = {}
        for port in self.ports["web"], self.proxy.port("web"):
            accepts[port] = set()
            for name, self.origin.answer in REFUSED_RESPONSES.items():
                answer = await self.says(port, LAST)
                if not answer.startswith((b"HTTP/1.1 502 ", b"HTTP/1.1 100 ")):
                    accepts[port].add(name)
        theirs, ours = accepts.values()
        self.assertEqual(ours, set())
        self.assertEqual(theirs, listed("Refused responses", 0))

    async def test_accepted_requests(self) -> None:
        """What we accept HAProxy accepts, too, and both forward the same requests."""
        self.origin.answer = EMPTY.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        differing = set()
        for name, (sent, forwarded) in ACCEPTED_REQUESTS.items():
            # HAProxy may forget further requests of a client that has ended its input
            single = len(h11_requests(with_host(forwarded))) == 1
            frontend = "web" if single else "hasty"
            (_, theirs), (_, ours) = await self.both(sent, end_input=single, frontend=frontend)
            read = [[h11_requests(with_host(each)) for each in seen] for seen in (theirs, ours)]
            self.assertTrue(all(read[1]), name)
            if read[0] != read[1]:
                differing.add(name)
        self.assertEqual(differing, PORT_REMOVED)

    async def test_accepted_responses(self) -> None:
        """What we make of a response that we accept HAProxy makes of it, too."""
        for name, case in ACCEPTED_RESPONSES.items():
            self.origin.answer = case.sent
            request = GET.replace(b"GET", case.method) + b"\r\n"
            (theirs, _), (ours, _) = await self.both(request, end_input=True)
            read = [h11_responses(got, case.method, ended=True) for got in (theirs, ours)]
            self.assertEqual(read[1], read[0], name)
