"""What an operator does on the statistics page: HAProxy's form, and who may send it.

The form is HAProxy's (`stats admin`): ``s`` are servers, ``b`` is their backend, by name or ``#``
and number, ``action`` is what to do. The answer leads back to the page with an outcome as ``st``.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from urllib.parse import parse_qs, urlsplit

from twisted.logger import Logger

from vipproxy.errors import Refused
from vipproxy.framing.http1 import RequestHead
from vipproxy.interfaces import Health, ICluster, IControl
from vipproxy.protocols.stats_server import BODY_LIMIT
from vipproxy.values import AdminState, BackendSnapshot, ServerSnapshot

log = Logger()

DONE, NONE, PART = "DONE", "NONE", "PART"
BAD, TOO_LONG, DENIED = "ERRP", "EXCD", "DENY"
"""HAProxy's outcomes: done, nothing to do, done in part; parameters, length, permission."""

TOKEN = "token"
"""The form's field that HAProxy's does not have."""

_FIELDS = 1000
"""Servers in one form at most."""
_LINE = re.compile(
    rb"(?im)^(origin|referer|host|sec-fetch-site|user-agent):[ \t]*([^\r]*?)[ \t]*\r\n"
)
_SAID_BY_BROWSERS = {"origin", "referer", "sec-fetch-site"}

Action = Callable[[IControl, str, ServerSnapshot], bool]
"""Carries it out on a server of a backend; False where there is nothing to do."""


def _state(state: AdminState) -> Action:
    def act(control: IControl, backend: str, server: ServerSnapshot) -> bool:
        control.set_admin_state(backend, server.name, state)
        return True

    return act


def _change(from_: Set[AdminState], to: AdminState) -> Action:
    """HAProxy's older names act on servers in certain states alone."""

    def act(control: IControl, backend: str, server: ServerSnapshot) -> bool:
        return server.admin in from_ and _state(to)(control, backend, server)

    return act


def _checking(on: bool) -> Action:
    """Servers without checks have none to disable, and refuse to have them enabled."""

    def act(control: IControl, backend: str, server: ServerSnapshot) -> bool:
        control.set_checking(backend, server.name, on)
        return on or server.checked

    return act


def _health(health: Health) -> Action:
    def act(control: IControl, backend: str, server: ServerSnapshot) -> bool:
        control.set_health(backend, server.name, health)
        return True

    return act


def _shut(control: IControl, backend: str, server: ServerSnapshot) -> bool:
    control.shut_server_sessions(backend, server.name)
    return True


def _agent(control: IControl, backend: str, server: ServerSnapshot) -> bool:
    """No server has an agent: there is nothing to do, as in HAProxy then."""
    return False


_READY, _DRAIN, _MAINT = AdminState.READY, AdminState.DRAIN, AdminState.MAINT
ACTIONS: Mapping[str, Action] = {
    "ready": _state(_READY),
    "drain": _state(_DRAIN),
    "maint": _state(_MAINT),
    "enable": _change({_MAINT}, _READY),
    "disable": _change({_READY, _DRAIN}, _MAINT),
    "start": _change({_DRAIN}, _READY),
    "stop": _change({_READY, _MAINT}, _DRAIN),
    "dhlth": _checking(False),
    "ehlth": _checking(True),
    "hrunn": _health(Health.UP),
    "hnolb": _health(Health.STOPPING),
    "hdown": _health(Health.DOWN),
    "shutdown": _shut,
    **dict.fromkeys(("dagent", "eagent", "arunn", "adown"), _agent),
}


class Actions:
    """Carries out forms.

    A browser sends along the password that it knows also for forms of other sites. So a form that
    comes from a browser, which says where it comes from, must come from this very page: same
    origin, and with the token that only the page tells. Tools that say nothing of an origin need
    the password alone, as with HAProxy.
    """

    def __init__(self, cluster: ICluster, control: IControl, names: Collection[str]) -> None:
        """`names` are the backends that it may touch; all of them where there are none."""
        self._cluster, self._control, self._names = cluster, control, names
        self.token = secrets.token_urlsafe(24)

    def perform(self, head: RequestHead, body: bytes) -> str:
        """The outcome of a request with a form."""
        if len(body) > BODY_LIMIT:
            return TOO_LONG
        try:
            fields = parse_qs(body.decode("ascii"), True, max_num_fields=_FIELDS)
        except ValueError:
            return BAD
        if not self._is_ours(head, fields.get(TOKEN, [""])[-1]):
            return DENIED
        return self._act(fields)

    def _is_ours(self, head: RequestHead, token: str) -> bool:
        said = _origins(head)
        if not said:
            return True
        knows = hmac.compare_digest(token.encode(), self.token.encode())
        return knows and is_same_origin(said)

    def _act(self, fields: Mapping[str, Sequence[str]]) -> str:
        if not all(fields.get(name) for name in ("s", "b", "action")):
            return NONE
        servers = fields["s"]
        backend = self._backend(fields["b"][-1])
        action = ACTIONS.get(fields["action"][-1])
        if backend is None or action is None:
            return BAD
        known = {each.name: each for each in backend.servers}
        chosen = [known[name] for name in servers if name in known]
        if not chosen:
            return BAD
        acted = [self._carry_out(action, backend.name, each) for each in chosen]
        if not any(acted):
            return NONE
        return DONE if len(chosen) == len(servers) else PART

    def _carry_out(self, action: Action, backend: str, server: ServerSnapshot) -> bool:
        try:
            return action(self._control, backend, server)
        except Refused as refusal:
            log.info("{backend}/{name}: {why}", backend=backend, name=server.name, why=refusal)
            return False

    def _backend(self, text: str) -> BackendSnapshot | None:
        """By its name, or by ``#`` and its number."""
        for each in self._cluster.snapshot().backends:
            if text in (each.name, f"#{each.number}"):
                return each if not self._names or each.name in self._names else None
        return None


def _origins(head: RequestHead) -> Mapping[str, str]:
    """What a browser says of a form's origin, and of itself; empty where no browser speaks."""
    found = {
        name.decode().lower(): value.decode("latin-1").lower()
        for name, value in _LINE.findall(head.fields)
    }
    if "mozilla/" not in found.pop("user-agent", "") and not found.keys() & _SAID_BY_BROWSERS:
        return {}
    return found


def is_same_origin(said: Mapping[str, str]) -> bool:
    """Whether all that a browser says names the host that it asked (Fetch standard)."""
    if said.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    host = said.get("host", "")
    places = [said[name] for name in ("origin", "referer") if name in said]
    return bool(host) and all(_host_of(each) == host for each in places)


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""
