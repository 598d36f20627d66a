"""Sockets made by hand, as the kernel sees them."""

from __future__ import annotations

import errno
import socket

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.harness import RESET
from vipproxy.config.options import KeepaliveOptions
from vipproxy.sockets import hang_up, listening_socket, local_of, peer_of, prepare
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
