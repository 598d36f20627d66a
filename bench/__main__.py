"""python -m bench: vipproxy beside HAProxy and Twisted's portforward, one table from one run.

Needs the Debian packages haproxy, nginx-light, wrk and a C compiler, and two cores that nobody
else uses. `--quick` is for trying it out; what is published is measured without it.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from bench import catalogue
from bench.machine import machine
from bench.processes import Failure, stop_all
from bench.report import DOCS, as_text, write_report
from bench.results import Results, Row, from_json, to_json
from bench.run import Progress, cost_of, run
from bench.stage import (
    HAPROXY,
    PORTFORWARD,
    VIPPROXY,
    Contender,
    Stage,
    available_cores,
    load_cores,
)
from bench.tools import find_tools, raise_descriptor_limit
from bench.workloads import Crew, Workload

ONE_THREAD = [Contender(HAPROXY), Contender(VIPPROXY), Contender(PORTFORWARD)]
GROWTH = [Contender(name, threads) for name in (HAPROXY, VIPPROXY) for threads in (1, 2)]


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--quick", action="store_true", help="short, with two rounds")
    top.add_argument("--only", nargs="+", metavar="NAME", help="these rows (keys of the JSON file)")
    top.add_argument("--alternations", type=int, metavar="N", help="rounds; 5 by default")
    top.add_argument("--cores", choices=("1", "2", "both"), default="both")
    top.add_argument("--json", type=Path, metavar="FILE", help="keep everything that was measured")
    top.add_argument("--from-json", type=Path, metavar="FILE", help="measure nothing: show these")
    top.add_argument("--report", type=Path, metavar="FOLDER", help="write page and chart there")
    top.add_argument("--write-docs", action="store_true", help="write docs/performance.md")
    return top


@frozen
class Plan:
    """Workloads for contenders with at most so many threads."""

    threads: int
    contenders: Sequence[Contender]
    workloads: Sequence[Workload]


def plans(options: argparse.Namespace, descriptors: int) -> list[Plan]:
    """What the options ask for; raises Failure where they name no workload."""
    one = catalogue.one_thread(descriptors, quick=options.quick)
    two = catalogue.growth(quick=options.quick)
    wanted = [
        Plan(threads, contenders, _chosen(workloads, options.only))
        for threads, contenders, workloads in ((1, ONE_THREAD, one), (2, GROWTH, two))
        if options.cores in (str(threads), "both")
    ]
    wanted = [each for each in wanted if each.workloads]
    if not wanted:
        keys = " ".join(row.key for each in one for row in each.rows)
        raise Failure(f"no workload is named so; known: {keys}")
    return wanted


def measure(options: argparse.Namespace, directory: Path) -> tuple[Results, list[str]]:
    """What was found, and what went wrong."""
    wanted = plans(options, raise_descriptor_limit())
    rounds = options.alternations or (2 if options.quick else 5)
    tools = find_tools(directory)
    progress = Progress(sum(cost_of(each.workloads, each.contenders, rounds) for each in wanted))
    found: dict[int, list[Row]] = {1: [], 2: []}
    failures: list[str] = []
    for plan in wanted:
        available = available_cores()
        stage = Stage(tools, directory, available, load_cores(plan.threads, available))
        crew = Crew(stage, plan.contenders)
        try:
            crew.start()
            found[plan.threads], failed = run(crew, plan.workloads, rounds, progress)
            failures.extend(failed)
        except Failure as failure:
            failures.append(str(failure))
        finally:
            crew.stop()
    return Results(machine(tools), rounds, options.quick, found[1], found[2]), failures


def _chosen(workloads: Sequence[Workload], only: Sequence[str] | None) -> list[Workload]:
    return [each for each in workloads if not only or {row.key for row in each.rows} & {*only}]


def results_of(options: argparse.Namespace) -> tuple[Results, list[str]]:
    """Measured, or read; no process is left behind."""
    if options.from_json:
        return from_json(json.loads(options.from_json.read_text())), []
    with tempfile.TemporaryDirectory(prefix="vipproxy-bench-") as directory:
        try:
            return measure(options, Path(directory))
        finally:
            stop_all()


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where everything was measured; whether a target is reached is for the reader."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        results, failures = results_of(options)
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    show(results, options)
    for each in failures:
        print(f"failed: {each}", file=sys.stderr)
    return 1 if failures else 0


def show(results: Results, options: argparse.Namespace) -> None:
    if options.json:
        options.json.write_text(json.dumps(to_json(results), indent=1) + "\n")
    print(as_text(results))
    if options.write_docs:
        write_report(results, DOCS)
    if options.report:
        options.report.mkdir(parents=True, exist_ok=True)
        write_report(results, options.report)


if __name__ == "__main__":
    sys.exit(main())
