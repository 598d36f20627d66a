"""Lists of rules, in the order of the file: run until one of them ends the matter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vipproxy.config.actions import (
    AddHeader,
    Allow,
    Auth,
    DelHeader,
    Deny,
    Redirect,
    Reject,
    ReplaceHeader,
    ReplacePart,
    Return,
    SetHeader,
    SetPart,
    SetStatus,
    UseService,
)
from vipproxy.config.http_kinds import HeaderChanges
from vipproxy.config.rule_kinds import Rules
from vipproxy.framing.http_fields import FieldChanges
from vipproxy.rules import answers, edits
from vipproxy.rules.answers import ALLOWED, DROPPED, Step, Verdict
from vipproxy.rules.conditions import Predicate, Scope
from vipproxy.rules.edits import Edit
from vipproxy.rules.subject import Subject

RuleList = tuple[tuple[Predicate | None, Step], ...]


def run(rules: RuleList, subject: Subject) -> Verdict:
    """The verdict of the first rule that has one; None where none has."""
    for applies, step in rules:
        if applies is None or applies(subject):
            verdict = step(subject)
            if verdict is not None:
                return None if verdict is ALLOWED else verdict
    return None


def compile_rules(rules: Rules, scope: Scope, changes: HeaderChanges = ()) -> RuleList:
    """One section's list; its unconditional header changes come first."""
    first = [(None, _edit(_changes(changes)))] if changes else []
    return (*first, *((scope.predicate(r.condition), _step(r.action, scope)) for r in rules))


def _step(action: Any, scope: Scope) -> Step:
    if isinstance(action, Allow):
        return lambda subject: ALLOWED
    if isinstance(action, Reject):
        return lambda subject: DROPPED
    ends = _ENDS.get(type(action))
    if ends is not None:
        return ends(action, scope)
    return _edit(_EDITS[type(action)](action, scope))


def _edit(edit: Edit) -> Step:
    def step(subject: Subject) -> Verdict:
        edit(subject)
        return None

    return step


def _changes(changes: HeaderChanges) -> Edit:
    compiled = FieldChanges.of(changes)

    def edit(subject: Subject) -> None:
        head = edits.message(subject)
        head.lines = compiled.apply(head.lines)

    return edit


_ENDS: dict[type, Callable[[Any, Scope], Step]] = {
    Deny: answers.deny,
    Auth: answers.auth,
    Return: answers.return_,
    Redirect: answers.redirect,
    UseService: answers.use_service,
}
_EDITS: dict[type, Callable[[Any, Scope], Edit]] = {
    SetHeader: edits.set_header,
    AddHeader: edits.add_header,
    DelHeader: edits.del_header,
    ReplaceHeader: edits.replace_header,
    SetPart: edits.set_part,
    ReplacePart: edits.replace_part,
    SetStatus: edits.set_status,
}
