"""A balancer plugin from outside the package: servers nearby first, the others when they must.

    [backend web]
    balance = examples.near_first:NearFirst network=10.1.0.0/16

Among the near servers, and among the far ones, the one with the fewest sessions per weight is
chosen; among equals, the first in the configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from attrs import frozen
from zope.interface import implementer

from vipproxy.config import option
from vipproxy.interfaces import IBalancer, IBalancerPlugin, IServer, LeaseRequest

Network = IPv4Network | IPv6Network


@frozen
class NetworkKind:
    """A kind of values of one's own: a bad one is reported with its place in the file."""

    syntax: str = "NETWORK"

    def parse(self, text: str) -> Network:
        return ip_network(text)

    def format(self, value: Network) -> str:
        return str(value)


@frozen
class NearFirstOptions:
    network: Network = option(NetworkKind(), help="the servers in this network are near")


@implementer(IBalancer)
@frozen
class NearFirstBalancer:
    network: Network

    def pick(self, servers: Sequence[IServer], request: LeaseRequest) -> IServer:
        """`servers` are usable and have room: health and limits are the pool's business."""
        return min(servers, key=lambda each: (self.is_far(each), each.sessions / each.weight))

    def is_far(self, server: IServer) -> bool:
        return ip_address(server.address.host) not in self.network


@implementer(IBalancerPlugin)
class NearFirst:
    options = NearFirstOptions

    def balancer(self, options: Any) -> IBalancer:
        return NearFirstBalancer(options.network)
