"""Twisted's own port forwarder: `python portforward.py LISTEN:SERVER...`, ports of 127.0.0.1."""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.protocols.portforward import ProxyFactory

LOOPBACK = "127.0.0.1"

for pair in sys.argv[1:]:
    port, server = map(int, pair.split(":"))
    factory = ProxyFactory(LOOPBACK, server)
    reactor.listenTCP(port, factory, backlog=4096, interface=LOOPBACK)  # type: ignore[arg-type]
reactor.run()
