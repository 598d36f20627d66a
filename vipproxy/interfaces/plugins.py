"""What plugins provide, and what they are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from twisted.internet.interfaces import IProtocolFactory
from zope.interface import Attribute, Interface

from vipproxy.values import Address

if TYPE_CHECKING:
    from vipproxy.interfaces.frontends import IFrontend
    from vipproxy.interfaces.pools import IBalancer


class IPlugin(Interface):
    """What the four kinds of plugins share."""

    options: type | None = Attribute(
        "An attrs class made with `vipproxy.config.option`, or None where there are no options."
    )


class IProtocolPlugin(IPlugin):
    """A frontend type (``protocol = NAME``). Its options are keys of the frontend's section."""

    mode: str = Attribute("'tcp' or 'http': the statistics' mode column; http may use cookies.")
    needs_backend: bool = Attribute("Whether a frontend of this type must name a backend.")

    def factory(frontend: IFrontend, options: Any) -> IProtocolFactory:
        """The factory of this frontend's connections.

        It may also provide `ISocketFactory`. `options` is an instance of the plugin's options
        class (None without one).
        """


class ICheckPlugin(IPlugin):
    """A health check (``check = NAME ...``). Its options follow the name on the line."""

    def probe(target: CheckTarget, options: Any) -> Any:
        """Probe one server once: a CheckResult, or a Deferred or coroutine of one.

        May raise `vipproxy.checks.CheckFailed`. The caller cancels it at the timeout, measures
        its duration, and takes any other exception for a failed check.
        """


class IBalancerPlugin(IPlugin):
    """A way to choose servers (``balance = NAME ...``)."""

    def balancer(options: Any) -> IBalancer:
        """A balancer for one backend."""


class IRequestBalancerPlugin(IBalancerPlugin):
    """A way to choose servers by what HTTP requests say; in front of it only http will do."""

    def key_reader(options: Any) -> Callable[[Any], bytes | None]:
        """What finds a request's key in its `vipproxy.framing.http1.RequestHead`, as the server
        will see it; None where there is none. The balancer gets it as `LeaseRequest.key`.
        """


class IStorePlugin(IPlugin):
    """A place where the state survives a restart (``[global] store = NAME ...``)."""

    def store(options: Any) -> IStore:
        """The store of this proxy."""


class IPluginCatalog(Interface):
    """Finds plugins by name or dotted path."""

    def find(kind: str, name: str) -> Any:
        """The plugin of a kind (protocol, check, balancer, store).

        Raises LookupError, whose text is a sentence, for an unknown name or a bad path.
        """

    def names(kind: str) -> list[str]:
        """The names that `find` knows, without dotted paths."""


@frozen
class CheckTarget:
    """What a probe is aimed at. `timeout` is in seconds, and enforced by the caller."""

    backend: str
    server: str
    address: Address
    timeout: float
    reactor: Any = field(repr=False)
    steps: tuple[Any, ...] = field(default=(), repr=False)
    """The backend's ``tcp-check`` or ``http-check`` lines (`vipproxy.config.check_steps`)."""


class IStore(Interface):
    """Keeps what must survive a restart: JSON-able mappings."""

    def load() -> Any:
        """The last saved state, a mapping; empty where there is none. May be asynchronous."""

    def save(state: Mapping[str, Any]) -> Any:
        """Keep it. May be asynchronous; errors are logged by the caller, and traffic goes on."""
