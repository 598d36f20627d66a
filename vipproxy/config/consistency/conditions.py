"""What must hold of rules: acls that exist, tests that can be made there, known backends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import field, frozen

from vipproxy.config.build import key_declared
from vipproxy.config.conditions import PREDEFINED, Condition, Term, Test, parse_test
from vipproxy.config.declare import Option, options_of
from vipproxy.config.document import Setting
from vipproxy.config.drafts import BackendDraft, ClusterDraft, Draft
from vipproxy.config.kinds import BadValue, suggest
from vipproxy.config.options import BackendOptions, FrontendOptions
from vipproxy.config.problems import Problem, Severity
from vipproxy.config.rule_kinds import is_of_rules, samples_of
from vipproxy.config.samples import ANYWHERE, CONTENT, Sample

_THERE = {
    "connection": "when a client connects",
    "content": "before a server is chosen",
    "response": "in a response",
}


def conditions_hold(cluster: ClusterDraft) -> Iterator[Problem]:
    """Every rule's condition and samples make sense where the rule stands."""
    servers = {
        backend.section.name: {server.config.name for server in backend.servers}
        for backend in cluster.backends
    }
    userlists = {each.section.name for each in cluster.userlists}
    for frontend in cluster.frontends:
        protocol = frontend.config.options.protocol
        extra = protocol.plugin.options if protocol else None
        classes = [FrontendOptions, *([extra] if extra else [])]
        yield from _Section(frontend, classes, servers, userlists).problems()
    for backend in cluster.backends:
        yield from _Section(backend, [BackendOptions], servers, userlists).problems()


@frozen
class _Section:
    draft: Draft
    classes: list[type]
    servers: Mapping[str, set[str]]
    """The servers of every backend."""
    userlists: set[str]
    acls: dict[str, list[Test]] = field(factory=dict)

    def problems(self) -> Iterator[Problem]:
        options = {k: it for cls in self.classes for k, (_, it) in options_of(cls).items()}
        rules = []
        for key, origin in self.draft.origins.items():
            option = options.get(key_declared(key))
            if option is None or not is_of_rules(option.kind):
                continue
            for setting in origin.settings:
                value = _value(option, setting)
                if isinstance(value, Test):
                    self.acls.setdefault(key.partition(" ")[2], []).append(value)
                    yield from self._of_sample(value.sample, setting, 0, len(setting.value))
                elif value is not None:
                    rules.append((setting, self._where(option.kind.where), value))
        for setting, where, value in rules:
            yield from self._of_rule(setting, where, value)

    def _where(self, where: str) -> str:
        """What a client says is looked at only where it is waited for."""
        waits = "tcp-request-inspect-delay" in self.draft.origins
        return "connection" if where == CONTENT and not waits else where

    def _of_rule(self, setting: Setting, where: str, value: Any) -> Iterator[Problem]:
        length = len(setting.value)
        for sample in samples_of(value):
            yield from self._of_sample(sample, setting, 0, length)
            if sample.fetch.where not in (ANYWHERE, where):
                yield _problem(setting, f"{_absent(sample, where)}", 0, length)
        condition = value if isinstance(value, Condition) else value.condition
        for term in condition.terms if condition is not None else ():
            yield from self._of_term(term, setting, where)

    def _of_term(self, term: Term, setting: Setting, where: str) -> Iterator[Problem]:
        if term.test is not None:
            tests = [term.test]
            yield from self._of_sample(term.test.sample, setting, term.offset, term.length)
        elif term.name in self.acls:
            tests = self.acls[term.name]
        elif term.name in PREDEFINED:
            tests = [parse_test(PREDEFINED[term.name])]
        else:
            message = f"unknown acl '{term.name}' in {self.draft.section.label}"
            hint = suggest(term.name, self.acls) if self.acls else f"acl {term.name} = ..."
            yield _problem(setting, message, term.offset, term.length, hint)
            return
        for test in tests:
            if test.sample.fetch.where not in (ANYWHERE, where):
                message = _absent(test.sample, where, term.name)
                yield _problem(setting, message, term.offset, term.length)
                return

    def _of_sample(
        self, sample: Sample, setting: Setting, offset: int, length: int
    ) -> Iterator[Problem]:
        argument = sample.argument
        if sample.fetch.argument == "BACKEND":
            if not argument and not isinstance(self.draft, BackendDraft):
                hint = f"{sample.name}(BACKEND)"
                message = f"'{sample.name}' in a frontend needs a backend's name"
                yield _problem(setting, message, offset, length, hint)
            elif argument and argument not in self.servers:
                hint = suggest(argument, self.servers)
                yield _problem(setting, f"unknown backend '{argument}'", offset, length, hint)
        elif sample.fetch.argument == "USERLIST" and argument not in self.userlists:
            hint = suggest(argument, sorted(self.userlists))
            yield _problem(setting, f"unknown userlist '{argument}'", offset, length, hint)
        elif sample.fetch.argument == "SERVER":
            backend, _, server = argument.partition("/")
            if server not in self.servers.get(backend, ()):
                known = [f"{b}/{s}" for b, servers in self.servers.items() for s in servers]
                hint = suggest(argument, known)
                yield _problem(setting, f"unknown server '{argument}'", offset, length, hint)


def _value(option: Option, setting: Setting) -> Any:
    """What a setting says; None where it cannot be read."""
    try:
        return option.kind.parse(setting.value)
    except BadValue:
        return None  # told already


def _absent(sample: Sample, where: str, name: str = "") -> str:
    subject = f"'{name}' asks for '{sample.name}', which" if name else f"'{sample.name}'"
    if sample.fetch.where == CONTENT and where == "connection":
        return f"{subject} needs 'tcp-request-inspect-delay' in a tcp frontend"
    return f"{subject} cannot be known {_THERE.get(where, 'in a request')}"


def _problem(setting: Setting, message: str, offset: int, length: int, hint: str = "") -> Problem:
    return Problem(Severity.ERROR, message, *setting.place(offset, length), hint)
