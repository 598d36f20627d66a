"""Tables as text and as Markdown: a line for each workload and proxy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.results import AT_MOST, DIFFERENCE, RATIO, Goal, Row, achieved, ratio, verdict
from bench.stage import HAPROXY, PORTFORWARD, VIPPROXY

Cells = Sequence[str]

COLUMNS = (
    "workload", "proxy", "measured", "ratio (spread)", "target", "aim", "reached",
    "per second", "core", "p50 µs", "p99 µs", "RSS MiB",
)  # fmt: skip
TARGET_COLUMNS = ("workload", "reached", "ratio (spread)", "target", "aim", "portforward")
GROWTH_COLUMNS = (
    "workload", "proxy", "per second", "growth (spread)", "measured", "ratio (spread)",
)  # fmt: skip
TWO = ", 2 threads"
LEFT = 2
"""So many columns are aligned to the left."""


def table(rows: Sequence[Row]) -> list[Cells]:
    """One thread each: what is measured, its ratio to HAProxy's, and what else is known."""
    return [
        _line(row, name, first=name == HAPROXY)
        for row in rows
        for name in (HAPROXY, VIPPROXY, PORTFORWARD)
        if name in row.samples
    ]


def target_table(rows: Sequence[Row]) -> list[Cells]:
    """A line for each workload that has a target: what vipproxy has reached."""
    return [
        (
            row.title,
            verdict(row, VIPPROXY, HAPROXY),
            _achieved(row),
            _goal(row.goal, row.goal.target),
            _goal(row.goal, row.goal.aim),
            _ratio(row, PORTFORWARD, HAPROXY),
        )
        for row in rows
        if row.goal is not None
    ]


def growth_table(rows: Sequence[Row]) -> list[Cells]:
    """One and two threads: throughput, how it grew, and the ratio at equal threads."""
    return [
        _growth_line(row, program, suffix)
        for row in rows
        for program in (HAPROXY, VIPPROXY)
        for suffix in ("", TWO)
    ]


def as_text(columns: Cells, lines: Sequence[Cells]) -> str:
    widths = [max(len(line[n]) for line in (columns, *lines)) for n in range(len(columns))]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([_aligned(columns, widths), rule, *(_aligned(line, widths) for line in lines)])


def as_markdown(columns: Cells, lines: Sequence[Cells]) -> str:
    rule = ["---" if n < LEFT else "---:" for n in range(len(columns))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (columns, rule, *lines))


def number(value: float | None) -> str:
    """Three digits that count, thousands apart; nothing for None."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _line(row: Row, name: str, *, first: bool) -> Cells:
    ours = name == VIPPROXY
    return (
        row.title if first else "",
        name,
        _measured(row, name),
        "" if name == HAPROXY else _ratio(row, name, HAPROXY),
        _goal(row.goal, row.goal.target) if ours and row.goal else "",
        _goal(row.goal, row.goal.aim) if ours and row.goal else "",
        verdict(row, name, HAPROXY) if ours else "",
        number(row.typical(name, "rate")),
        _share(row.typical(name, "busy")),
        *(number(row.typical(name, what)) for what in ("p50", "p99", "resident")),
    )


def _growth_line(row: Row, program: str, suffix: str) -> Cells:
    name = program + suffix
    return (
        row.title if name == HAPROXY else "",
        name,
        number(row.typical(name, "rate")),
        _growth(row, program) if suffix else "",
        _measured(row, name),
        _ratio(row, name, HAPROXY + suffix) if program == VIPPROXY else "",
    )


def _achieved(row: Row) -> str:
    """What the goal is compared with: a ratio, or with the unit what is none."""
    assert row.goal is not None
    if row.goal.kind == RATIO:
        return _ratio(row, VIPPROXY, HAPROXY)
    found = achieved(row, VIPPROXY, HAPROXY)
    return "" if found is None else f"{number(found)} {row.unit}"


def _measured(row: Row, name: str) -> str:
    value = row.typical(name)
    return "" if value is None else f"{number(value)} {row.unit}"


def _ratio(row: Row, name: str, other: str) -> str:
    found = ratio(row, name, other)
    return "" if found is None else f"{found.median:.2f} ({found.least:.2f}-{found.most:.2f})"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _growth(row: Row, program: str) -> str:
    """Of the operations a second, from one thread to two."""
    rates = Row(
        row.key,
        row.title,
        "",
        samples={
            name: [{"value": each["rate"]} for each in row.samples.get(name, ())]
            for name in (program, program + TWO)
        },
    )
    return _ratio(rates, program + TWO, program)


def _goal(goal: Goal, value: float | None) -> str:
    if value is None:
        return ""
    if goal.kind == AT_MOST:
        return f"{value:g} at most"
    return f"HAProxy + {value:g}" if goal.kind == DIFFERENCE else f"{value:.2f}"


def _aligned(line: Cells, widths: Iterable[int]) -> str:
    cells = (
        cell.ljust(width) if n < LEFT else cell.rjust(width)
        for n, (cell, width) in enumerate(zip(line, widths, strict=True))
    )
    return "  ".join(cells).rstrip()
