"""Three machines in one: network namespaces for a client, the proxy and a server."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import SkipTest

from tests.support import require

CLONE_NEWNET = 0x40000000
CLIENT, SERVER = "client", "server"
ADDRESSES = {CLIENT: "10.98.1.2", SERVER: "10.98.2.2"}
"""Each is joined to the proxy by a cable of its own."""
PROXY = {CLIENT: "10.98.1.1", SERVER: "10.98.2.1"}
"""The proxy's address as each of them sees it."""

_libc = ctypes.CDLL(None, use_errno=True)


class Network:
    """Made in `__init__`, undone by `close`. Skips the test where namespaces cannot be made."""

    def __init__(self) -> None:
        if os.getuid() != 0:
            raise SkipTest("network namespaces need root")
        self._ip_command = require("ip")
        self._prefix = f"vip{os.getpid()}"
        self._made: list[str] = []
        try:
            self._build()
        except subprocess.CalledProcessError as error:
            self.close()
            if os.environ.get("VIPPROXY_REQUIRE_REAL") == "1":
                raise
            raise SkipTest(f"network namespaces cannot be made here: {error.stderr}") from None

    def _build(self) -> None:
        for name in ("proxy", CLIENT, SERVER):
            self._ip("netns", "add", self._full(name))
            self._made.append(name)
            self._in("proxy" if name == "proxy" else name, "link", "set", "lo", "up")
        for name in (CLIENT, SERVER):
            self._in(
                "proxy", "link", "add", name, "type", "veth",
                "peer", "name", "proxy", "netns", self._full(name),
            )  # fmt: skip
            for place, link, address in (
                ("proxy", name, PROXY[name]),
                (name, "proxy", ADDRESSES[name]),
            ):
                self._in(place, "addr", "add", f"{address}/24", "dev", link)
                self._in(place, "link", "set", link, "up")

    def close(self) -> None:
        for name in self._made:
            self._ip("netns", "del", self._full(name))
        self._made.clear()

    @property
    def proxy_prefix(self) -> list[str]:
        """What runs a command where the proxy is."""
        return [self._ip_command, "netns", "exec", self._full("proxy")]

    def socket(self, name: str) -> socket.socket:
        """A TCP socket of that machine; it stays there, whoever uses it."""
        with self._inside(name):
            return socket.socket()

    def vanish(self, name: str) -> None:
        """Nothing that this machine says arrives any more: no FIN, no reset, no acknowledgement."""
        self._in(name, "route", "add", "blackhole", f"{PROXY[name]}/32")

    def come_back(self, name: str) -> None:
        """Undo `vanish`; harmless without it."""
        with suppress(subprocess.CalledProcessError):
            self._in(name, "route", "del", "blackhole", f"{PROXY[name]}/32")

    @contextmanager
    def _inside(self, name: str) -> Iterator[None]:
        """Let this thread make its sockets elsewhere (setns(2))."""
        with (
            Path("/proc/thread-self/ns/net").open() as home,
            Path(f"/run/netns/{self._full(name)}").open() as there,
        ):
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def _full(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def _in(self, name: str, *arguments: str) -> None:
        self._ip("-n", self._full(name), *arguments)

    def _ip(self, *arguments: str) -> None:
        command = [self._ip_command, *arguments]
        subprocess.run(command, check=True, capture_output=True, text=True)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
