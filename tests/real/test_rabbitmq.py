"""AMQP through the proxy, with real RabbitMQ nodes and a real client library."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from typing import Any

import pika  # type: ignore[import-untyped]
from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from tests.ports import free_ports
from tests.real.galera import LOOPBACK, wait_until
from tests.real.proxy import Proxy
from tests.real.rabbitmq import Node, connect, node_of, shared

QUEUE = "orders"
PERSISTENT = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
KEEPALIVE = "keepalive = idle=60s interval=10s count=6 user-timeout=120s"


@define
class Worker:
    """A client that connects again, through the same address, whenever its connection ends."""

    port: int
    stop: threading.Event = field(factory=threading.Event)
    nodes: list[str] = field(factory=list)
    """The nodes that it was connected to, in order."""
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        self.stop.set()
        assert self._thread is not None
        self._thread.join(30)
        assert not self._thread.is_alive(), "a client hangs"

    def _run(self) -> None:
        while not self.stop.is_set():
            try:
                self._session()
            except (pika.exceptions.AMQPError, OSError):
                self.stop.wait(0.02)

    def _session(self) -> None:
        connection = connect(self.port)
        try:
            channel = connection.channel()
            channel.queue_declare(QUEUE, durable=True)
            self.nodes.append(node_of(connection))
            self.work(channel)
        finally:
            if connection.is_open:
                connection.close()

    def work(self, channel: Any) -> None:
        raise NotImplementedError


@define
class Publisher(Worker):
    confirmed: list[tuple[str, str]] = field(factory=list)
    """Node and body of each message that was confirmed."""
    _number: int = 0

    def work(self, channel: Any) -> None:
        channel.confirm_delivery()
        while not self.stop.is_set():
            body = str(self._number)
            channel.basic_publish("", QUEUE, body.encode(), PERSISTENT, mandatory=True)
            self.confirmed.append((self.nodes[-1], body))
            self._number += 1
            self.stop.wait(0.002)

    def confirmed_on(self, node: str) -> set[str]:
        return {body for name, body in self.confirmed if name == node}


@define
class Consumer(Worker):
    consumed: list[tuple[str, str]] = field(factory=list)

    def work(self, channel: Any) -> None:
        for method, _, body in channel.consume(QUEUE, inactivity_timeout=0.1):
            if body is not None:
                self.consumed.append((self.nodes[-1], body.decode()))
                channel.basic_ack(method.delivery_tag)
            elif self.stop.is_set():
                return

    def consumed_on(self, node: str) -> set[str]:
        return {body for name, body in self.consumed if name == node}


class AmqpCase(SynchronousTestCase):
    """Two nodes that know nothing of each other; `first`, so that all clients use the same."""

    def setUp(self) -> None:
        shared().ensure()
        self.first, self.second = shared().nodes
        self.port = free_ports(1)

    def start_proxy(
        self, client: str, server: str, checks: str = "", first_options: str = ""
    ) -> Proxy:
        proxy = Proxy(
            f"[frontend amqp]\nprotocol = tcp\nbind = {LOOPBACK}:{self.port}\nbackend = rabbits\n"
            f"{client}\n[backend rabbits]\nbalance = first\n{server}\n"
            f"check = tcp interval=200ms {checks}\n"
            f"server r1 = {address(self.first)} {first_options}\n"
            f"server r2 = {address(self.second)}\n"
        )
        self.addCleanup(proxy.stop)
        proxy.wait_ready("rabbits/r1", "rabbits/r2")
        return proxy


def address(node: Node) -> str:
    return f"{LOOPBACK}:{node.port}"


class Confirms(AmqpCase):
    def test_node_killed(self) -> None:
        """A node is killed: clients go on at the other, and no confirmed message is lost."""
        reference = f"timeout-client = 900m\n{KEEPALIVE}"
        self.start_proxy(reference, reference.replace("client", "server"))
        publisher, consumer = Publisher(self.port), Consumer(self.port)
        for worker in (publisher, consumer):
            worker.start()
            self.addCleanup(worker.stop.set)
        self.wait(lambda: len(consumer.consumed_on("r1")) > 100)
        self.first.kill()
        self.wait(lambda: len(consumer.consumed_on("r2")) > 100)
        publisher.finish()
        consumer.finish()
        self.assertEqual((publisher.nodes, consumer.nodes), (["r1", "r2"], ["r1", "r2"]))
        self.assertEqual(consumer.consumed_on("r2"), publisher.confirmed_on("r2"))
        self.assertEqual(self.lost_on_first(publisher, consumer), set())

    def lost_on_first(self, publisher: Publisher, consumer: Consumer) -> set[str]:
        """What the killed node had confirmed, and neither delivered nor has when it is back."""
        shared().ensure()
        kept = Consumer(self.first.port)
        kept.start()
        self.wait(lambda: bool(kept.nodes))
        kept.finish()
        return publisher.confirmed_on("r1") - consumer.consumed_on("r1") - kept.consumed_on("r1")

    def wait(self, condition: Callable[[], bool]) -> None:
        wait_until(condition, 20.0, "messages")


class Heartbeats(AmqpCase):
    HEARTBEAT = 2
    """Seconds: the server sends one every half of it."""
    TIMEOUT = 3
    """Seconds, and so shorter than the time that the connection is idle below."""

    def test_idle_connection(self) -> None:
        """Heartbeats are traffic: they keep a connection whose timeouts are short; silence ends."""
        self.start_proxy(f"timeout-client = {self.TIMEOUT}s", f"timeout-server = {self.TIMEOUT}s")
        beating, silent = connect(self.port, self.HEARTBEAT), connect(self.port, heartbeat=0)
        channel = beating.channel()
        beating.process_data_events(time_limit=3 * self.TIMEOUT)
        channel.queue_declare("still-here", exclusive=True)
        self.assertTrue(beating.is_open)
        with self.assertRaises(pika.exceptions.AMQPConnectionError):
            silent.channel()
        beating.close()


class MarkedDown(AmqpCase):
    SESSIONS = 20

    def test_sessions_end(self) -> None:
        """At a mark-down every client sees the end; log, CSV and clients agree on their number."""
        checked = socket.create_server((LOOPBACK, 0))
        self.addCleanup(checked.close)
        proxy = self.start_proxy(
            "",
            "on-marked-down = shutdown-sessions",
            first_options=f"check-port={checked.getsockname()[1]}",
        )
        connections = [connect(self.port) for _ in range(self.SESSIONS)]
        self.assertEqual({node_of(each) for each in connections}, {"r1"})
        checked.close()
        proxy.wait_for("rabbits/r1", status="DOWN")
        self.assertEqual(sum(has_ended(each) for each in connections), self.SESSIONS)
        row = proxy.rows()["rabbits/r1"]
        self.assertEqual(row["scur"], "0")
        self.assertEqual(proxy.logged_shutdowns(), [self.SESSIONS])
        with self.assertRaises(pika.exceptions.AMQPConnectionError):
            connections[0].channel()
        again = connect(self.port)
        self.assertEqual(node_of(again), "r2")
        again.close()


def has_ended(connection: Any) -> bool:
    """Whether the end has arrived at the client's socket, which its library has not read yet."""
    sock: socket.socket = connection._impl._transport._sock
    readable, _, _ = select.select([sock], [], [], 0)
    return bool(readable) and sock.recv(1, socket.MSG_PEEK) == b""
