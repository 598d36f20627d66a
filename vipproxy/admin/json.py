"""The snapshot as JSON, for ``;snapshot``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

import attrs

from vipproxy.counters import Rate
from vipproxy.values import Address, CheckResult, ClusterSnapshot

FORMAT = 1
"""Grows when a field is renamed or removed; new fields may appear at any time."""


def as_json(snapshot: ClusterSnapshot) -> str:
    """The fields of `vipproxy.values.ClusterSnapshot` by their names, after a ``format`` number.

    Addresses are ``"host:port"``, states their words (``"ready"``, ``"L7OK"``), rates
    ``{"now": n, "highest": n}`` in events a second, `responses` the answers 1xx to 5xx and all
    others. Times are seconds; `since_session` is null where there was never a session, and
    `last_check` where there was never a check.
    """
    fields = {name: _plain(value, snapshot.now) for name, value in _fields(snapshot).items()}
    return json.dumps({"format": FORMAT, **fields}) + "\n"


def _fields(value: Any) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in attrs.fields(type(value))}


def _plain(value: Any, now: float) -> Any:
    if isinstance(value, Address):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Rate):
        return {"now": value.per_second(now), "highest": value.highest}
    if isinstance(value, CheckResult):
        extra = {"description": value.status.description, "passed": value.passed}
        return {**extra, **{name: _plain(each, now) for name, each in _fields(value).items()}}
    if attrs.has(type(value)):
        return {name: _plain(each, now) for name, each in _fields(value).items()}
    if isinstance(value, Mapping):
        return {str(key): _plain(each, now) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each, now) for each in value]
    return value
