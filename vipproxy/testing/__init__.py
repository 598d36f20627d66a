"""What trial tests of applications behind the proxy, and of plugins for it, are made of.

`FakeCluster` is a cluster of small servers on loopback that can be killed, hung and healed;
`ProxyHarness` a whole proxy in the test's own process. `memory` has fakes for unit tests of
protocol plugins, without sockets.
"""

from __future__ import annotations

from vipproxy.testing.harness import ProxyHarness
from vipproxy.testing.memory import (
    FakeBackend,
    FakeConnector,
    FakeServerEntry,
    MemoryTransport,
    memory_frontend,
)
from vipproxy.testing.nodes import FakeCluster, FakeNode, FakeServer

__all__ = [
    "FakeBackend",
    "FakeCluster",
    "FakeConnector",
    "FakeNode",
    "FakeServer",
    "FakeServerEntry",
    "MemoryTransport",
    "ProxyHarness",
    "memory_frontend",
]
