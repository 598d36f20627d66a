"""Runs workloads in rounds: every round measures each proxy once, one after the other."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from attrs import define, field

from bench.processes import Failure
from bench.results import Row
from bench.stage import Contender
from bench.workloads import Crew, Workload


@define
class Progress:
    """Says on standard error what is being done, and how long the rest may take."""

    total: float
    """Of the costs of all that is planned."""
    _done: float = field(default=0.0, init=False)
    _start: float = field(factory=time.monotonic, init=False)

    def say(self, text: str) -> None:
        elapsed = time.monotonic() - self._start
        pace = elapsed / self._done if self._done else 1.2
        left = round(pace * (self.total - self._done))
        print(f"{text:<96}left: {left // 60}:{left % 60:02}", file=sys.stderr, flush=True)

    def add(self, cost: float) -> None:
        self._done += cost


def cost_of(workloads: Sequence[Workload], contenders: Sequence[Contender], rounds: int) -> float:
    return sum(_cost(each, contenders, rounds) for each in workloads)


def run(
    crew: Crew, workloads: Sequence[Workload], rounds: int, progress: Progress
) -> tuple[list[Row], list[str]]:
    """The rows of all workloads, and what went wrong; a workload that fails is left out."""
    rows: list[Row] = []
    failures: list[str] = []
    for number, workload in enumerate(workloads, 1):
        title = f"[{number:2}/{len(workloads)}] {workload.rows[0].title}"
        try:
            _rounds(crew, workload, rounds, progress, title)
        except (Failure, OSError) as failure:
            failures.append(f"{workload.rows[0].title}: {failure}")
            print(f"failed: {failures[-1]}", file=sys.stderr, flush=True)
        else:
            rows.extend(workload.rows)
    return rows, failures


def _rounds(crew: Crew, workload: Workload, rounds: int, progress: Progress, title: str) -> None:
    contenders = [each for each in crew.contenders if workload.plays(each)]
    try:
        progress.say(f"{title}: preparing")
        workload.prepare(crew)
        for number in range(1, rounds + 1):
            for contender in contenders:
                progress.say(f"{title}: round {number}/{rounds}, {contender.name}")
                found = workload.measure(crew, contender)
                for row in workload.rows:
                    row.add(contender.name, found[row.key])
                progress.add(workload.cost)
    finally:
        workload.clear()


def _cost(workload: Workload, contenders: Sequence[Contender], rounds: int) -> float:
    return workload.cost * rounds * sum(workload.plays(each) for each in contenders)
