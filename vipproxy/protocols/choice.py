"""Which backend serves a client of a protocol that is passed through: `use-backend` over TCP."""

from __future__ import annotations

from typing import Protocol

from vipproxy.config.rule_kinds import Rules, UseBackend
from vipproxy.interfaces import IBackend, IFrontend
from vipproxy.rules.choice import compile_admission, compile_choice
from vipproxy.rules.conditions import Scope
from vipproxy.rules.subject import Subject


class RuledOptions(Protocol):
    """Options of a protocol that knows these rules."""

    @property
    def use_backend(self) -> tuple[UseBackend, ...]: ...

    @property
    def tcp_request_content(self) -> Rules: ...


class BackendChooser:
    """One frontend's rules: asked of a client, it answers with a backend."""

    def __init__(self, frontend: IFrontend, options: RuledOptions) -> None:
        self._frontend = frontend
        scope = Scope(frontend, frontend.options.acl)
        self._admits = compile_admission(options.tcp_request_content, scope)
        self._choose = compile_choice(options.use_backend, scope)

    def __call__(self, subject: Subject) -> IBackend | None:
        """None for a client that gets none; those who are refused are counted.

        Raises Incomplete where that depends on what the client has not said yet. Once it is let
        in, a backend is chosen by what there is.
        """
        frontend = self._frontend
        if self._admits is not None and not self._admits(subject):
            frontend.counters.denied_requests += 1
            return None
        subject.final = True
        chosen = None if self._choose is None else self._choose(subject)
        return chosen or frontend.backend


def backend_chooser(frontend: IFrontend, options: RuledOptions) -> BackendChooser | None:
    """None where there is nothing to choose: no rules, and a backend."""
    if options.use_backend or options.tcp_request_content or frontend.backend is None:
        return BackendChooser(frontend, options)
    return None
