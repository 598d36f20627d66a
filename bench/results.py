"""What was found: samples of each proxy, ratios by round, and whether a target is reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import attrs
from attrs import define, field, frozen

Sample = Mapping[str, float]
"""One measurement of one proxy. `value` is what the row is about; beside it there may be `rate`
(operations a second), `p50` and `p99` (microseconds), `resident` (MiB), and `busy` (how many cores
it has filled)."""

RATIO, AT_MOST, DIFFERENCE = "ratio", "at most", "difference"


@frozen
class Goal:
    """What issue and reader expect of vipproxy: lower is better throughout."""

    target: float
    aim: float | None = None
    kind: str = RATIO
    """ratio: vipproxy / HAProxy; at most: vipproxy alone; difference: vipproxy - HAProxy."""


@frozen
class Spread:
    """Of the rounds."""

    median: float
    least: float
    most: float


@define
class Row:
    """One line of the table for each proxy."""

    key: str
    title: str
    unit: str
    goal: Goal | None = None
    samples: dict[str, list[Sample]] = field(factory=dict)
    """By the proxy's name, one of each round."""

    def add(self, name: str, sample: Sample) -> None:
        self.samples.setdefault(name, []).append(sample)

    def typical(self, name: str, what: str = "value") -> float | None:
        """The median of the rounds; None where it was not measured."""
        values = [each[what] for each in self.samples.get(name, ()) if what in each]
        return median(values) if values else None


@frozen
class Results:
    """Everything that a run has found; JSON keeps it."""

    machine: dict[str, str]
    rounds: int
    quick: bool
    rows: Sequence[Row]
    """With one thread, the load on other cores."""
    growth: Sequence[Row]
    """With one and with two threads, the load on all cores."""


def spread(values: Sequence[float]) -> Spread:
    return Spread(median(values), min(values), max(values))


def ratio(row: Row, name: str, other: str) -> Spread | None:
    """Of each round's values; None where either was not measured, or the other's are zero."""
    pairs = zip(row.samples.get(name, ()), row.samples.get(other, ()), strict=False)
    ratios = [mine["value"] / its["value"] for mine, its in pairs if its["value"] > 0]
    return spread(ratios) if ratios else None


def achieved(row: Row, name: str, other: str) -> float | None:
    """What the row's goal is compared with."""
    if row.goal is None:
        return None
    if row.goal.kind == RATIO:
        found = ratio(row, name, other)
        return None if found is None else found.median
    mine, its = row.typical(name), row.typical(other)
    if mine is None or row.goal.kind == AT_MOST:
        return mine
    return None if its is None else mine - its


def verdict(row: Row, name: str, other: str) -> str:
    """`aim`, `target` or `missed`; empty where there is no goal or no measurement."""
    found = achieved(row, name, other)
    if row.goal is None or found is None:
        return ""
    if row.goal.aim is not None and found <= row.goal.aim:
        return "aim"
    return "target" if found <= row.goal.target else "missed"


def to_json(results: Results) -> dict[str, Any]:
    return attrs.asdict(results)


def from_json(data: Mapping[str, Any]) -> Results:
    return Results(
        machine=dict(data["machine"]),
        rounds=data["rounds"],
        quick=data["quick"],
        rows=[_row(each) for each in data["rows"]],
        growth=[_row(each) for each in data["growth"]],
    )


def _row(data: Mapping[str, Any]) -> Row:
    goal = data["goal"]
    return Row(**{**data, "goal": None if goal is None else Goal(**goal)})
