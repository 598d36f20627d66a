"""Sockets made by hand, as the kernel sees them."""

from __future__ import annotations

import errno
import os
import resource
import socket

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.harness import RESET
from vipproxy import native
from vipproxy.config.options import KeepaliveOptions
from vipproxy.sockets import (
    TCP_USER_TIMEOUT,
    accept_batch,
    accepted_socket,
    hang_up,
    listening_socket,
    local_of,
    peer_of,
    prepare,
)
from vipproxy.values import Address

LOOPBACK = Address("127.0.0.1", 0)
VIP = Address("192.168.1.220", 0)


class Listening(SynchronousTestCase):
    def listen(self, address: Address) -> socket.socket:
        sock = listening_socket(address, 16)
        self.addCleanup(sock.close)
        return sock

    def test_freebind(self) -> None:
        """Promise 4: an address that no interface has can be bound, without any sysctl."""
        with socket.socket() as plain:
            self.assertRaises(OSError, plain.bind, (VIP.host, 0))
        self.assertEqual(local_of(self.listen(VIP)).host, VIP.host)

    def test_freebind_v6(self) -> None:
        """The same for IPv6."""
        if not socket.has_ipv6:
            self.skipTest("no IPv6 here")
        try:
            sock = self.listen(Address("2001:db8::220", 0))
        except OSError as error:
            if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                self.skipTest("no IPv6 here")
            raise
        self.assertEqual(local_of(sock).host, "2001:db8::220")

    def test_taken(self) -> None:
        """A port that is taken is an OSError, and nothing is left open."""
        taken = local_of(self.listen(LOOPBACK))
        error = self.assertRaises(OSError, listening_socket, taken, 16)
        self.assertEqual(error.errno, errno.EADDRINUSE)

    def test_non_blocking(self) -> None:
        """Accepting from an empty queue does not block."""
        self.assertRaises(BlockingIOError, self.listen(LOOPBACK).accept)


class Accepting(SynchronousTestCase):
    """Through the loop in Python."""

    in_c = False

    def setUp(self) -> None:
        self.patch(native, "available", self.in_c)
        self.listening = listening_socket(LOOPBACK, 16)
        self.addCleanup(self.listening.close)

    def clients(self, number: int) -> list[tuple[str, int]]:
        """So many clients wait; their addresses."""
        address = local_of(self.listening)
        made = [socket.create_connection((address.host, address.port)) for _ in range(number)]
        for client in made:
            self.addCleanup(client.close)
        return [client.getsockname() for client in made]

    def accept(self, limit: int = 16) -> tuple[list[socket.socket], list[tuple[str, int]]]:
        accepted = accept_batch(self.listening, limit)
        socks = [accepted_socket(fd, socket.AF_INET) for fd, _, _ in accepted]
        for sock in socks:
            self.addCleanup(sock.close)
        return socks, [(host, port) for _, host, port in accepted]

    def test_batches(self) -> None:
        """All who wait, in order and with their addresses, but no more than asked for."""
        waiting = self.clients(5)
        self.assertEqual(self.accept(3)[1], waiting[:3])
        self.assertEqual(self.accept(3)[1], waiting[3:])
        self.assertEqual(self.accept(3)[1], [])

    def test_non_blocking(self) -> None:
        """An accepted socket does not block, in the kernel's eyes and in Python's."""
        self.clients(1)
        (sock,), _ = self.accept()
        self.assertFalse(sock.getblocking())
        self.assertFalse(os.get_blocking(sock.fileno()))
        self.assertRaises(BlockingIOError, sock.recv, 1)

    def test_inherited(self) -> None:
        """What `prepare` sets on a listening socket, accepted sockets have from the start."""
        numbers = KeepaliveOptions(idle=61.0, interval=11.0, count=7, user_timeout=33.0)
        prepare(self.listening, numbers)
        self.clients(1)
        (sock,), _ = self.accept()
        self.assertTrue(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        options = (
            (socket.TCP_NODELAY, 1),
            (socket.TCP_KEEPIDLE, 61),
            (socket.TCP_KEEPINTVL, 11),
            (socket.TCP_KEEPCNT, 7),
            (TCP_USER_TIMEOUT, 33000),
        )
        for option, expected in options:
            self.assertEqual(sock.getsockopt(socket.IPPROTO_TCP, option), expected)

    def test_keeps_who_was_accepted(self) -> None:
        """Out of descriptors in the middle: those accepted before are kept, the rest wait."""
        waiting = self.clients(5)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        with socket.socket() as probe:
            free = probe.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 2, hard))
        first = self.accept()[1]
        self.assertEqual(first, waiting[: len(first)])
        self.assertTrue(0 < len(first) < 5)
        error = self.assertRaises(OSError, self.accept)
        self.assertEqual(error.errno, errno.EMFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertEqual(self.accept()[1], waiting[len(first) :])


class AcceptingNatively(Accepting):
    """Through the one in C, which stands in for it where it was built."""

    in_c = True
    skip = None if native.available else native.why_not


class Connected(SynchronousTestCase):
    def setUp(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.far = socket.create_connection(listening.getsockname())
            self.near, _ = listening.accept()
        self.addCleanup(self.far.close)
        self.addCleanup(self.near.close)

    def keepalive(self) -> int:
        return self.near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    def test_no_delay(self) -> None:
        """Every session's socket sends at once; keepalive is off where nobody asked for it."""
        prepare(self.near, None)
        self.assertTrue(self.near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        self.assertFalse(self.keepalive())

    def test_keepalive_without_numbers(self) -> None:
        """`keepalive = on` leaves the numbers to the kernel."""
        before = self.near.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        prepare(self.near, KeepaliveOptions())
        self.assertTrue(self.keepalive())
        after = self.near.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        self.assertEqual(after, before)

    def test_addresses(self) -> None:
        """Who is at either end."""
        self.assertEqual(local_of(self.near), peer_of(self.far))

    def test_hang_up(self) -> None:
        """hang_up is the end for the peer, in order: no reset even where it still sends."""
        hang_up(self.near)
        self.assertEqual(self.far.recv(1), b"")
        self.assertEqual(self.near.fileno(), -1)

    def test_hang_up_late(self) -> None:
        """Hanging up where the peer has reset is harmless."""
        self.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.far.close()
        hang_up(self.near)
        self.assertEqual(self.near.fileno(), -1)
