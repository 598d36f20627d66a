"""`use-backend`: which backend serves, and whether a client is served at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vipproxy.config.rule_kinds import Rules, UseBackend
from vipproxy.interfaces import IBackend
from vipproxy.rules.answers import DROPPED
from vipproxy.rules.conditions import Predicate, Scope
from vipproxy.rules.formats import compile_raw
from vipproxy.rules.lists import compile_rules, run
from vipproxy.rules.subject import Subject

Choice = Callable[[Subject], IBackend | None]
"""The first backend whose rule fits; None where none does."""


def compile_choice(rules: Sequence[UseBackend], scope: Scope) -> Choice | None:
    """None where there are no rules."""
    if not rules:
        return None
    compiled = [(scope.predicate(rule.condition), _backend(rule, scope)) for rule in rules]

    def choose(subject: Subject) -> IBackend | None:
        for applies, find in compiled:
            if applies is None or applies(subject):
                backend = find(subject)
                if backend is not None:
                    return backend
        return None

    return choose


def _backend(rule: UseBackend, scope: Scope) -> Choice:
    """A name that a format makes may be nobody's: then the next rule is looked at."""
    backends = scope.frontend.backends
    if rule.backend.fixed is not None:
        backend = backends[rule.backend.fixed]
        return lambda subject: backend
    write = compile_raw(rule.backend, scope)
    return lambda subject: backends.get(write(subject).decode("latin-1"))


def compile_admission(rules: Rules, scope: Scope) -> Predicate | None:
    """Whether ``tcp-request-...`` rules let a client in; None where there are none."""
    if not rules:
        return None
    compiled = compile_rules(rules, scope)
    return lambda subject: run(compiled, subject) is not DROPPED
