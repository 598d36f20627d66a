"""Every seam of the house. Implementations name the interface they provide; tests verify them.

Two conventions hold throughout. *Plugins* may answer with a value, a Deferred or a coroutine.
Inside the house, whoever waits is an object with one method for success and one for failure, so
that a session costs neither a Deferred nor a closure; the call may come before the request
returns.
"""

from __future__ import annotations

from vipproxy.interfaces.cluster import (
    ICluster,
    IObserver,
)
from vipproxy.interfaces.control import (
    CapturedMessage,
    Health,
    IControl,
    PinView,
    SessionView,
    TableView,
)
from vipproxy.interfaces.frontends import (
    IClosable,
    IFrontend,
    IInspectable,
    IListener,
    ISocketFactory,
)
from vipproxy.interfaces.logs import (
    ITrafficLog,
    ITrail,
)
from vipproxy.interfaces.plugins import (
    CheckTarget,
    IBalancerPlugin,
    ICheckPlugin,
    IPlugin,
    IPluginCatalog,
    IProtocolPlugin,
    IRequestBalancerPlugin,
    IStore,
    IStorePlugin,
)
from vipproxy.interfaces.pools import (
    IBackend,
    IBalancer,
    ILease,
    ILeaseTaker,
    IRevocable,
    IServer,
    IServerWatcher,
    LeaseRequest,
)
from vipproxy.interfaces.relays import (
    IAttempt,
    IConnector,
    IConnectTaker,
    ICopyingRelay,
    ICopyTaker,
    IDial,
    IDialler,
    IDiallingRelay,
    IDialTaker,
    ILendable,
    IRelay,
    IRelaySession,
    IRelayTaker,
    IReuser,
    ITransports,
    Side,
    WhenLost,
)

__all__ = [
    "CapturedMessage",
    "CheckTarget",
    "Health",
    "IAttempt",
    "IBackend",
    "IBalancer",
    "IBalancerPlugin",
    "ICheckPlugin",
    "IClosable",
    "ICluster",
    "IConnectTaker",
    "IConnector",
    "IControl",
    "ICopyTaker",
    "ICopyingRelay",
    "IDial",
    "IDialTaker",
    "IDialler",
    "IDiallingRelay",
    "IFrontend",
    "IInspectable",
    "ILease",
    "ILeaseTaker",
    "ILendable",
    "IListener",
    "IObserver",
    "IPlugin",
    "IPluginCatalog",
    "IProtocolPlugin",
    "IRelay",
    "IRelaySession",
    "IRelayTaker",
    "IRequestBalancerPlugin",
    "IReuser",
    "IRevocable",
    "IServer",
    "IServerWatcher",
    "ISocketFactory",
    "IStore",
    "IStorePlugin",
    "ITrafficLog",
    "ITrail",
    "ITransports",
    "LeaseRequest",
    "PinView",
    "SessionView",
    "Side",
    "TableView",
    "WhenLost",
]
