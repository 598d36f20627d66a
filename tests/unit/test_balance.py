"""The built-in balancers: order, shares, and what a server that leaves or returns changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from vipproxy.backends.balance import First, LeastConn, RandomDraws, RoundRobin
from vipproxy.backends.balance_hash import (
    HeaderBalancing,
    HeaderOptions,
    ParameterBalancing,
    ParameterOptions,
    SourceBalancing,
    UriBalancing,
    UriOptions,
)
from vipproxy.framing.http1 import parse_request
from vipproxy.interfaces import IBalancer, IRequestBalancerPlugin, IServer, LeaseRequest
from vipproxy.testing import FakeServerEntry
from vipproxy.values import Address

VIP = Address("192.0.2.220", 80)
REQUEST = LeaseRequest(client=Address("192.0.2.7", 40000), destination=VIP)


def make_servers(*weights: int) -> list[Any]:
    return [FakeServerEntry(str(i), weight=weight) for i, weight in enumerate(weights, 1)]


def picks(balancer: IBalancer, servers: Sequence[IServer], number: int) -> list[str]:
    return [balancer.pick(servers, REQUEST).name for _ in range(number)]


def requests(number: int) -> list[LeaseRequest]:
    """Requests of different clients."""
    hosts = [f"10.{i // 65536}.{i // 256 % 256}.{i % 256}" for i in range(number)]
    return [LeaseRequest(client=Address(host, 1), destination=VIP) for host in hosts]


class RoundRobinOrder(SynchronousTestCase):
    def test_smooth(self) -> None:
        """Weights 3:1:2 give 1 3 1 2 1 3, and so on."""
        found = picks(RoundRobin(), make_servers(3, 1, 2), 12)
        self.assertEqual(" ".join(found), "1 3 1 2 1 3 1 3 1 2 1 3")

    def test_equal_weights(self) -> None:
        """Equal servers take turns in the order of the configuration."""
        self.assertEqual("".join(picks(RoundRobin(), make_servers(1, 1, 1), 7)), "1231231")

    @settings(deadline=None)
    @given(st.lists(st.integers(min_value=1, max_value=256), min_size=1, max_size=8))
    def test_shares(self, weights: list[int]) -> None:
        """Over 600 picks every server gets its share, give or take three."""
        found = Counter(picks(RoundRobin(), make_servers(*weights), 600))
        for number, weight in enumerate(weights, 1):
            self.assertApproximates(found[str(number)], 600 * weight / sum(weights), 3)

    def test_leaves(self) -> None:
        """When a server leaves, the others share its part by their weights."""
        balancer, servers = RoundRobin(), make_servers(3, 1, 2)
        picks(balancer, servers, 7)
        found = Counter(picks(balancer, servers[1:], 600))
        self.assertApproximates(found["2"], 200, 2)
        self.assertApproximates(found["3"], 400, 2)

    def test_returns(self) -> None:
        """A server that was away does not make up for what it missed."""
        balancer, servers = RoundRobin(), make_servers(1, 1, 1)
        picks(balancer, servers, 3)
        picks(balancer, servers[1:], 100)
        found = Counter(picks(balancer, servers, 30))
        self.assertApproximates(found["1"], 10, 1)

    def test_full_for_a_while(self) -> None:
        """A server that was full at some picks still gets what is left, never two in a row."""
        balancer, servers = RoundRobin(), make_servers(1, 1)
        picks(balancer, servers[:1], 5)
        self.assertIn("".join(picks(balancer, servers, 4)), {"1212", "2121"})


class LeastConnOrder(SynchronousTestCase):
    def test_fewest_sessions(self) -> None:
        """The server with the fewest sessions is next."""
        servers = make_servers(1, 1, 1)
        for server, sessions in zip(servers, (2, 1, 3), strict=True):
            server.sessions = sessions
        self.assertEqual(picks(LeastConn(), servers, 1), ["2"])

    def test_by_weight(self) -> None:
        """Sessions count by weight: four on a server of weight 4 are less than two on one of 1."""
        servers = make_servers(4, 1)
        servers[0].sessions, servers[1].sessions = 4, 2
        self.assertEqual(picks(LeastConn(), servers, 1), ["1"])

    def test_ties(self) -> None:
        """Among equals the one that was chosen longest ago is next."""
        self.assertEqual("".join(picks(LeastConn(), make_servers(1, 1, 1), 6)), "123123")


class FirstOrder(SynchronousTestCase):
    def test_first(self) -> None:
        """Always the first of those that have room."""
        servers = make_servers(1, 5)
        self.assertEqual(picks(First(), servers, 3), ["1", "1", "1"])
        self.assertEqual(picks(First(), servers[1:], 1), ["2"])


class RandomOrder(SynchronousTestCase):
    def test_least_loaded_of_the_drawn(self) -> None:
        """Of the servers that were drawn, the one with the fewest sessions by weight wins."""
        drawn: list[tuple[list[int], int]] = []

        def draw(servers: list[Any], weights: list[int], k: int) -> list[Any]:
            drawn.append((weights, k))
            return [servers[0], servers[2]]

        servers = make_servers(1, 1, 2)
        servers[0].sessions, servers[2].sessions = 2, 3
        self.assertEqual(picks(RandomDraws(2, draw), servers, 1), ["3"])
        self.assertEqual(drawn, [([1, 1, 2], 2)])


def source() -> IBalancer:
    return SourceBalancing().balancer(None)


class SourceOrder(SynchronousTestCase):
    def test_stable(self) -> None:
        """A client's address decides, not its port, and any proxy computes the same."""
        servers = make_servers(1, 1, 1)
        for host in ("192.0.2.7", "2001:db8::7"):
            found = {
                source().pick(servers, LeaseRequest(Address(host, port), VIP)).name
                for port in range(1024, 1124)
            }
            self.assertEqual(len(found), 1)

    def test_spread(self) -> None:
        """Clients spread by weight."""
        servers, balancer = make_servers(3, 1), source()
        found = Counter(balancer.pick(servers, request).name for request in requests(2000))
        self.assertApproximates(found["1"] / 2000, 0.75, 0.05)


class HashOrder(SynchronousTestCase):
    """Consistent hashing of a request's key."""

    def setUp(self) -> None:
        self.balancer = UriBalancing().balancer(UriOptions())

    def pick(self, servers: Sequence[IServer], key: bytes | None) -> str:
        return self.balancer.pick(servers, evolve(REQUEST, key=key)).name

    @settings(deadline=None)
    @given(
        st.lists(st.integers(min_value=1, max_value=256), min_size=2, max_size=12),
        st.lists(st.binary(max_size=20), min_size=1, max_size=40),
        st.data(),
    )
    def test_one_leaves(self, weights: list[int], keys: list[bytes], data: st.DataObject) -> None:
        """A server that leaves moves its own keys alone, and gets the same ones back."""
        servers = make_servers(*weights)
        gone = data.draw(st.sampled_from(servers))
        others = [server for server in servers if server is not gone]
        for key in keys:
            before = self.pick(servers, key)
            if before != gone.name:
                self.assertEqual(self.pick(others, key), before)
            self.assertEqual(self.pick(servers, key), before)

    @settings(deadline=None)
    @given(
        st.lists(st.integers(min_value=1, max_value=256), min_size=2, max_size=12),
        st.lists(st.binary(max_size=20), min_size=1, max_size=40),
        st.data(),
    )
    def test_weight(self, weights: list[int], keys: list[bytes], data: st.DataObject) -> None:
        """A server whose weight grows takes keys from others, and nobody else moves."""
        servers = make_servers(*weights)
        before = [self.pick(servers, key) for key in keys]
        heavier = data.draw(st.sampled_from(servers))
        heavier.weight *= 2
        for key, name in zip(keys, before, strict=True):
            self.assertIn(self.pick(servers, key), (name, heavier.name))

    @settings(deadline=None)
    @given(st.lists(st.binary(max_size=20), min_size=1), st.randoms())
    def test_order(self, keys: list[bytes], chance: Random) -> None:
        """The order of the servers does not matter, nor does what was asked before."""
        servers = make_servers(1, 2, 3, 1)
        shuffled = chance.sample(servers, len(servers))
        fresh = UriBalancing().balancer(UriOptions())
        for key in keys:
            again = fresh.pick(shuffled, evolve(REQUEST, key=key)).name
            self.assertEqual(self.pick(servers, key), again)

    def test_shares(self) -> None:
        """Keys spread by weight, also where they hardly differ."""
        servers = make_servers(3, 1, 2)
        found = Counter(self.pick(servers, b"/images/%d.png" % i) for i in range(6000))
        for name, share in ("1", 0.5), ("2", 1 / 6), ("3", 1 / 3):
            self.assertApproximates(found[name] / 6000, share, 0.03)

    def test_without_a_key(self) -> None:
        """Without a key servers take turns."""
        servers = make_servers(1, 1, 1)
        self.assertEqual("".join(self.pick(servers, None) for _ in range(6)), "123123")
        self.assertEqual({self.pick(servers, b"") for _ in range(6)}, {self.pick(servers, b"")})


class Keys(SynchronousTestCase):
    """What is hashed; HAProxy's own keys are in tests/differential."""

    def key(self, plugin: Any, options: Any, line: bytes = b"GET /a/b?c HTTP/1.1") -> bytes | None:
        head = parse_request(line + b"\r\nHost: a\r\nX-User: me, you\r\nx-user: he\r\n\r\n")
        found: bytes | None = plugin.key_reader(options)(head)
        return found

    def test_uri(self) -> None:
        """The URI up to the question mark, whole, or its beginning."""
        for words, key in (
            ({}, b"/a/b"), ({"whole": True}, b"/a/b?c"), ({"len": 2}, b"/a"), ({"depth": 1}, b"/a"),
            ({"whole": True, "depth": 2}, b"/a/b?c"), ({"depth": 9, "len": 3}, b"/a/"),
        ):  # fmt: skip
            self.assertEqual(self.key(UriBalancing(), UriOptions(**words)), key, words)

    def test_path(self) -> None:
        """With path-only an absolute URI has the key of its path."""
        line = b"GET http://a/a/b?c HTTP/1.1"
        self.assertEqual(self.key(UriBalancing(), UriOptions(path_only=True), line), b"/a/b")
        self.assertEqual(self.key(UriBalancing(), UriOptions(), line), b"http://a/a/b")

    def test_header(self) -> None:
        """The first value of a header, whatever its case; nothing where it is missing."""
        plugin = HeaderBalancing()
        self.assertEqual(self.key(plugin, HeaderOptions(name="X-USER")), b"me")
        self.assertIsNone(self.key(plugin, HeaderOptions(name="X-Use")))

    def test_parameter(self) -> None:
        """A parameter of the query; its name is taken literally."""
        line = b"GET /user=0?xuser=1&u.er=2&user=3&user=4 HTTP/1.1"
        for name, key in ("user", b"3"), ("u.er", b"2"), ("use", None), ("ser", None):
            found = self.key(ParameterBalancing(), ParameterOptions(name=name), line)
            self.assertEqual(found, key, name)


class Interfaces(SynchronousTestCase):
    def test_all(self) -> None:
        """Every balancer provides IBalancer."""
        for balancer in (RoundRobin(), LeastConn(), First(), RandomDraws(2), source()):
            verifyObject(IBalancer, balancer)

    def test_by_request(self) -> None:
        """Those that want something of the request say so."""
        for plugin in UriBalancing(), HeaderBalancing(), ParameterBalancing():
            verifyObject(IRequestBalancerPlugin, plugin)
