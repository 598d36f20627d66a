"""Where results go: the terminal, or a page with a chart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template

from bench import table
from bench.chart import chart
from bench.results import Results

TEMPLATE = Path(__file__).with_name("performance_template.md")
DOCS = Path(__file__).parents[1] / "docs"
PAGE, CHART = "performance.md", "performance.svg"

NOT_MEASURED = "*Not measured in this run.*"


def as_text(results: Results) -> str:
    """All tables, for the terminal."""
    parts = []
    if results.rows:
        parts.append(table.as_text(table.COLUMNS, table.table(results.rows)))
    if results.growth:
        parts.append(table.as_text(table.GROWTH_COLUMNS, table.growth_table(results.growth)))
    return "\n\n".join(parts)


def page(results: Results, template: str) -> str:
    """The template with the results; raises KeyError where it asks for what there is not."""
    return Template(template).substitute(fields(results))


def fields(results: Results) -> Mapping[str, str]:
    """What a template may ask for."""
    rows, growth = table.table(results.rows), table.growth_table(results.growth)
    return {
        "machine": "\n".join(f"| {key} | {value} |" for key, value in results.machine.items()),
        "rounds": str(results.rounds),
        "warning": QUICK if results.quick else "",
        "targets": table.as_markdown(table.TARGET_COLUMNS, table.target_table(results.rows)),
        "one_core": table.as_markdown(table.COLUMNS, rows) if rows else NOT_MEASURED,
        "two_cores": table.as_markdown(table.GROWTH_COLUMNS, growth) if growth else NOT_MEASURED,
        "chart": CHART,
    }


QUICK = "**These are the numbers of a quick run: they show that it works, and little else.**\n\n"


def write_report(results: Results, folder: Path) -> None:
    """The page and its chart, into a folder that exists."""
    (folder / CHART).write_text(chart(results.rows))
    (folder / PAGE).write_text(page(results, TEMPLATE.read_text()))
