"""What is written down of HTTP exchanges: when they begin, how far they come, and once each."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.unit.http_fakes import Proxy
from vipproxy.errors import ConnectFailed, QueueTimeout
from vipproxy.interfaces import IBackend, ITrafficLog
from vipproxy.logs.record import Record
from vipproxy.values import Address, Ending

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
POST = b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"


@implementer(ITrafficLog)
@define
class Diary:
    """Keeps finished records."""

    clock: Clock
    early: bool = False
    records: list[Record] = field(factory=list)

    def begin(self, client: Address, destination: Address) -> Record:
        raise AssertionError("for TCP")

    def finish(self, record: Any, backend: IBackend | None, ending: Ending, phase: str) -> None:
        record.ending, record.phase, record.backend = ending, phase, backend
        record.ended_at = self.clock.seconds()
        self.records.append(record)

    @property
    def lines(self) -> list[tuple[str, str, int]]:
        """Path, termination state and status."""
        return [
            ((each.request.split() or [b"", b"-"])[1].decode(),
             each.ending.value + each.phase, each.status)
            for each in self.records
        ]  # fmt: skip


class LogCase(SynchronousTestCase):
    def proxy(self, early: bool = False, **given: Any) -> Proxy:
        proxy = Proxy(**given)
        self.diary = proxy.frontend.log = Diary(proxy.clock, early)
        proxy.client = proxy.connect()
        return proxy


class ExchangeTests(LogCase):
    def test_times(self) -> None:
        """A record knows when the client was ready, began, had asked, and was answered."""
        proxy = self.proxy()
        for number in range(2):
            start = proxy.clock.seconds()
            proxy.clock.advance(1)
            proxy.client.receive(GET[:10])
            proxy.clock.advance(2)
            proxy.client.receive(GET[10:])
            proxy.clock.advance(3)
            proxy.reply(OK)
            record = self.diary.records[number]
            times = record.accepted_at, record.began_at, record.requested_at, record.ended_at
            self.assertEqual([time - start for time in times if time is not None], [0, 1, 3, 6])
            self.assertEqual(record.lease and record.lease.answered_at, start + 6)
        self.assertEqual(self.diary.lines, [("/a", "--", 200)] * 2)

    def test_pipelined(self) -> None:
        """A request that was sent ahead begins when the one before it is answered."""
        proxy = self.proxy()
        proxy.client.receive(GET + GET)
        proxy.clock.advance(5)
        proxy.reply(OK)
        proxy.reply(OK)
        first, second = self.diary.records
        self.assertEqual((first.began_at, second.began_at, second.accepted_at), (0.0, 5.0, 5.0))

    def test_bytes(self) -> None:
        """Each exchange has its own bytes, as the client sees them."""
        proxy = self.proxy()
        for _ in range(2):
            proxy.ask()
            answered = proxy.reply(OK)
            self.assertEqual(self.diary.records[-1].bytes_out, len(answered))

    def test_errors(self) -> None:
        """An exchange without a server has its answer's status, and says where it was."""
        proxy = self.proxy()
        for error in ConnectFailed(), QueueTimeout():
            proxy.connector.error = error
            proxy.client.receive(GET)
        self.assertEqual(self.diary.lines, [("/a", "SC", 503), ("/a", "sQ", 503)])
        self.assertEqual(self.diary.records[0].bytes_out * 2, len(proxy.client.sent))

    def test_malformed(self) -> None:
        """What is no request is one line, without a backend."""
        proxy = self.proxy()
        proxy.client.receive(b"NONSENSE\r\n\r\n")
        proxy.client.reset()
        self.assertEqual(self.diary.lines, [("-", "PR", 400)])
        self.assertIsNone(self.diary.records[0].backend)

    def test_malformed_body(self) -> None:
        """A body that is malformed is refused, too, once it is known whose it is."""
        proxy = self.proxy()
        proxy.client.receive(POST.replace(b"Content-Length: 10", b"Transfer-Encoding: chunked"))
        proxy.client.receive(b"zz\r\n")
        self.assertEqual(self.diary.lines, [("/b", "PH", 400)])

    def test_request_timeout(self) -> None:
        """A request that does not come in time."""
        proxy = self.proxy(timeout_http_request=5.0)
        proxy.clock.advance(6)
        self.assertEqual(self.diary.lines, [("-", "cR", 408)])

    def test_idle_client(self) -> None:
        """A client that leaves between two requests, or is silent there, is none."""
        for leave in ("reset", "finish"):
            proxy = self.proxy(timeout_http_keep_alive=5.0)
            proxy.ask()
            proxy.reply(OK)
            getattr(proxy.client, leave)()
            self.assertEqual(len(self.diary.records), 1, leave)
        proxy = self.proxy(timeout_http_keep_alive=5.0)
        proxy.ask()
        proxy.reply(OK)
        proxy.clock.advance(6)
        self.assertEqual(len(self.diary.records), 1)

    def test_leaves(self) -> None:
        """A client that leaves: before it has asked, before its answer, in it, in its body."""
        proxy = self.proxy()
        proxy.client.reset()
        self.assertEqual(self.diary.lines, [("-", "CR", 400)])
        for parts, reply, line in (
            (GET, b"", ("/a", "CH", -1)),
            (GET, OK[:-1], ("/a", "CD", 200)),
            (POST + b"x", b"", ("/b", "CD", -1)),
        ):
            proxy = self.proxy()
            proxy.client.receive(parts)
            if reply:
                proxy.reply(reply)
            proxy.client.reset()
            self.assertEqual(self.diary.lines, [line])

    def test_waiting(self) -> None:
        """A client that leaves while it waits for a server was in the queue."""
        proxy = self.proxy()
        proxy.connector.waits = True
        proxy.client.receive(GET)
        proxy.client.reset()
        self.assertEqual(self.diary.lines, [("/a", "CQ", -1)])

    def test_revoked(self) -> None:
        """A mark-down ends an exchange, before or in its answer."""
        for reply, line in ((b"", ("/a", "DH", -1)), (OK[:-1], ("/a", "DD", 200))):
            proxy = self.proxy()
            proxy.ask(GET)
            if reply:
                proxy.reply(reply)
            proxy.lease.holder.revoked(Ending.MARKED_DOWN)
            self.assertEqual(self.diary.lines, [line])

    def test_monitor(self) -> None:
        """Requests for the monitor are not logged, and do not shift the next one's times."""
        proxy = self.proxy(monitor_uri="/up")
        proxy.client.receive(GET.replace(b"/a", b"/up"))
        self.assertEqual(self.diary.records, [])
        proxy.clock.advance(3)
        proxy.ask()
        proxy.reply(OK)
        self.assertEqual(self.diary.records[0].began_at, 3.0)

    def test_early(self) -> None:
        """With logasap the line comes with the response's head, and not again."""
        proxy = self.proxy(early=True)
        proxy.ask()
        proxy.reply(OK[:-1])
        self.assertEqual([record.early for record in self.diary.records], [True])
        proxy.reply(OK[-1:])
        self.assertEqual(len(self.diary.records), 1)

    def test_tunnel(self) -> None:
        """An upgraded connection is one exchange, which ends with the tunnel."""
        proxy = self.proxy()
        proxy.ask(UPGRADE)
        proxy.reply(SWITCHED)
        self.assertEqual(self.diary.records, [])
        proxy.lease.holder.relay_ended(Ending.CLIENT_ABORT)
        self.assertEqual(self.diary.lines, [("/ws", "CD", 101)])

    def test_repeated(self) -> None:
        """A request that goes to its server a second time is a retry."""
        proxy = self.proxy()
        proxy.ask()
        proxy.reply(OK)
        proxy.ask()
        proxy.server.finish()
        proxy.reply(OK)
        self.assertEqual([record.retries for record in self.diary.records], [0, 1])

    def test_lines_as_they_came(self) -> None:
        """What is captured later is what the peers sent, not what became of it."""
        proxy = self.proxy()
        request = GET.replace(b"\r\n\r\n", b"\r\nX-Old: 1\r\n\r\n")
        proxy.ask(request)
        proxy.reply(OK.replace(b"OK\r\n", b"OK\r\nServer: x\r\n"))
        record = self.diary.records[0]
        self.assertIn(b"X-Old: 1", record.request)
        self.assertIn(b"Server: x", record.response)


class OffTests(SynchronousTestCase):
    def test_nothing(self) -> None:
        """Without a log a client has none."""
        proxy = Proxy()
        proxy.ask()
        proxy.reply(OK)
        self.assertIsNone(proxy.client.protocol.log)
