"""The benchmark's tables, chart and page."""

from __future__ import annotations

from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from bench.chart import bars, chart
from bench.report import TEMPLATE, as_text, page
from bench.results import AT_MOST, Goal, Results, Row, Sample
from bench.stage import HAPROXY, PORTFORWARD, VIPPROXY
from bench.table import COLUMNS, TWO, as_markdown, growth_table, number, table, target_table

SVG = "{http://www.w3.org/2000/svg}"


def samples(*values: float) -> list[Sample]:
    return [{"value": each, "rate": 1000 / each, "p99": 12.0} for each in values]


REQUESTS = Row(
    "requests",
    "request & reply",
    "µs CPU",
    Goal(0.95, 0.85),
    {HAPROXY: samples(10, 10), VIPPROXY: samples(9, 9), PORTFORWARD: samples(30, 40)},
)
CHECKS = Row("checks", "checks", "%", Goal(10, None, AT_MOST), {VIPPROXY: samples(2)})
GROWTH = Row(
    "requests",
    "request & reply",
    "µs CPU",
    samples={
        HAPROXY: samples(10),
        HAPROXY + TWO: samples(5),
        VIPPROXY: samples(8),
        VIPPROXY + TWO: samples(4),
    },
)
RESULTS = Results({"cores": "2"}, 2, False, [REQUESTS, CHECKS], [GROWTH])


class TableTests(SynchronousTestCase):
    def test_ratio(self) -> None:
        """vipproxy's line has ratio, spread, target and what was reached."""
        line = dict(zip(COLUMNS, table([REQUESTS])[1], strict=True))
        self.assertEqual(line["ratio (spread)"], "0.90 (0.90-0.90)")
        self.assertEqual((line["target"], line["aim"]), ("0.95", "0.85"))
        self.assertEqual((line["reached"], line["p99 µs"]), ("target", "12.0"))

    def test_spread(self) -> None:
        """The spread is that of the rounds."""
        line = dict(zip(COLUMNS, table([REQUESTS])[2], strict=True))
        self.assertEqual(line["ratio (spread)"], "3.50 (3.00-4.00)")

    def test_targets(self) -> None:
        """An absolute target is compared with the value itself."""
        self.assertEqual(target_table([CHECKS])[0][1:4], ("target", "2.00 %", "10 at most"))

    def test_growth(self) -> None:
        """Growth is of operations a second; the ratio is to HAProxy with as many threads."""
        self.assertEqual(growth_table([GROWTH])[3][3], "2.00 (2.00-2.00)")
        self.assertEqual(growth_table([GROWTH])[3][5], "0.80 (0.80-0.80)")

    def test_number(self) -> None:
        """Three digits count."""
        found = [number(each) for each in (1234567, 123.4, 12.34, 1.234, None)]
        self.assertEqual(found, ["1,234,567", "123", "12.3", "1.23", ""])

    def test_markdown(self) -> None:
        """Every line of a Markdown table has as many cells."""
        lines = as_markdown(COLUMNS, table([REQUESTS])).splitlines()
        self.assertEqual({line.count("|") for line in lines}, {len(COLUMNS) + 1})

    def test_text(self) -> None:
        """The terminal shows all tables."""
        self.assertEqual(as_text(RESULTS).count("request & reply"), 2)


class ChartTests(SynchronousTestCase):
    def test_well_formed(self) -> None:
        """The chart is XML, with titles escaped and a bar for each ratio."""
        tree = ElementTree.fromstring(chart(RESULTS.rows))
        texts = [each.text for each in tree.iter(f"{SVG}text")]
        self.assertIn("request & reply", texts)
        self.assertIn("0.90", texts)

    def test_ratios_alone(self) -> None:
        """What is not a ratio has no bar."""
        self.assertEqual([each.title for each in bars(RESULTS.rows)], ["request & reply"])

    def test_empty(self) -> None:
        """Without rows there is still a picture."""
        ElementTree.fromstring(chart([]))


class PageTests(SynchronousTestCase):
    def test_filled(self) -> None:
        """The page has everything that its template asks for."""
        text = page(RESULTS, TEMPLATE.read_text())
        self.assertNotIn("$", text)
        for each in ("request & reply", "| cores | 2 |", "performance.svg", "2 rounds"):
            self.assertIn(each, text)

    def test_partial(self) -> None:
        """A set that was not measured is said to be missing."""
        text = page(Results({}, 1, True, [], []), "$warning$one_core$two_cores")
        self.assertEqual(text.count("Not measured"), 2)
        self.assertIn("quick run", text)
