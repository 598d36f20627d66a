"""Conditions at work: each becomes one function of the `Subject`."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from vipproxy.config.conditions import PREDEFINED, Condition, Term, Test, parse_test
from vipproxy.config.rule_kinds import Acls
from vipproxy.interfaces import IBackend, IFrontend
from vipproxy.rules.matching import compile_match
from vipproxy.rules.samples import compile_fetch
from vipproxy.rules.subject import Subject

Predicate = Callable[[Subject], bool]


@frozen
class Scope:
    """One section: its acls, and the backend that it is, if it is one."""

    frontend: IFrontend
    acls: Acls
    backend: IBackend | None = None

    def predicate(self, condition: Condition | None) -> Predicate | None:
        """None where there is no condition: the rule always applies."""
        if condition is None:
            return None
        alternatives = [_all([self._term(t) for t in terms]) for terms in condition.alternatives]
        holds = _any(alternatives)
        return _not(holds) if condition.unless else holds

    def _term(self, term: Term) -> Predicate:
        if term.test is not None:
            holds = self._test(term.test)
        else:
            tests = [test for name, test in self.acls if name == term.name]
            tests = tests or [parse_test(PREDEFINED[term.name])]
            holds = _any([self._test(test) for test in tests])
        return _not(holds) if term.negated else holds

    def _test(self, test: Test) -> Predicate:
        fetch = compile_fetch(test.sample, self.frontend, self.backend)
        match = compile_match(test)
        return lambda subject: match(fetch(subject))


def _not(holds: Predicate) -> Predicate:
    return lambda subject: not holds(subject)


def _all(predicates: list[Predicate]) -> Predicate:
    if len(predicates) == 1:
        return predicates[0]
    return lambda subject: all(holds(subject) for holds in predicates)


def _any(predicates: list[Predicate]) -> Predicate:
    if len(predicates) == 1:
        return predicates[0]
    return lambda subject: any(holds(subject) for holds in predicates)
