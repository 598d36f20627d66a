"""The ratios as an SVG picture: a bar from 1 to the median, a whisker over the spread."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log2
from xml.sax.saxutils import escape

from attrs import frozen

from bench.results import RATIO, Row, Spread, ratio
from bench.stage import HAPROXY, PORTFORWARD, VIPPROXY

WIDTH, LABELS, NUMBERS = 900, 330, 60
"""The whole, and what the titles and the numbers need at the left and at the right."""
LINE, HEAD, FOOT = 26, 64, 34

STYLE = """\
.page { fill: #ffffff }
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.heading { font-size: 16px; font-weight: 600 }
.quiet { fill: #59636e }
.grid { stroke: #d1d9e0 }
.one { stroke: #1f2328; stroke-width: 1.5 }
.ahead { fill: #1a7f37 }
.behind { fill: #bc4c00 }
.spread { stroke: #1f2328; stroke-width: 1.5 }
.target { stroke: #0969da; stroke-width: 2.5 }
.other { fill: none; stroke: #59636e; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117 }
  text { fill: #f0f6fc }
  .quiet { fill: #9198a1 }
  .grid { stroke: #3d444d }
  .one, .spread { stroke: #f0f6fc }
  .ahead { fill: #2ea043 }
  .behind { fill: #db6d28 }
  .target { stroke: #58a6ff }
  .other { stroke: #9198a1 }
}"""


@frozen
class Bar:
    title: str
    ratio: Spread
    target: float | None
    other: float | None
    """portforward's ratio."""


@frozen
class Scale:
    """Logarithmic, so that twice and half are equally far from 1."""

    least: int
    """Powers of two."""
    most: int

    def x(self, value: float) -> float:
        share = (log2(value) - self.least) / (self.most - self.least)
        return LABELS + (WIDTH - LABELS - NUMBERS) * min(max(share, 0.0), 1.0)


def bars(rows: Sequence[Row]) -> list[Bar]:
    """Of the rows that a ratio to HAProxy is known of, and is not nothing."""
    return [
        Bar(row.title, found, _target(row), _other(row))
        for row in rows
        if (found := ratio(row, VIPPROXY, HAPROXY)) is not None and found.least > 0
        if row.goal is None or row.goal.kind == RATIO
    ]


def chart(rows: Sequence[Row]) -> str:
    """An SVG document."""
    shown = bars(rows)
    scale = _scale(shown)
    height = HEAD + LINE * len(shown) + FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
        f' viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>vipproxy beside HAProxy</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>',
        _text(16, 26, "vipproxy / HAProxy, one thread: lower is better", "heading"),
        *_legend(),
        *_grid(scale, height),
    ]
    for number, bar in enumerate(shown):
        parts.extend(_bar(bar, scale, HEAD + LINE * number))
    return "\n".join([*parts, _line(scale.x(1), HEAD - 6, height - FOOT + 4, "one"), "</svg>", ""])


def _target(row: Row) -> float | None:
    return None if row.goal is None else row.goal.target


def _other(row: Row) -> float | None:
    found = ratio(row, PORTFORWARD, HAPROXY)
    return found.median if found is not None and found.median > 0 else None


def _scale(shown: Sequence[Bar]) -> Scale:
    values = [each.ratio.least for each in shown] + [each.ratio.most for each in shown]
    values += [each.other for each in shown if each.other is not None]
    return Scale(
        max(min(floor(log2(min(values, default=1))), -1), -4),
        min(max(ceil(log2(max(values, default=1))), 1), 5),
    )


def _legend() -> list[str]:
    x, y = LABELS, 46
    return [
        f'<rect class="ahead" x="{x}" y="{y - 9}" width="14" height="10" rx="2"/>',
        _text(x + 20, y, "ahead", "quiet"),
        f'<rect class="behind" x="{x + 70}" y="{y - 9}" width="14" height="10" rx="2"/>',
        _text(x + 90, y, "behind", "quiet"),
        _across(x + 146, x + 168, y - 4, "spread"),
        _text(x + 174, y, "spread", "quiet"),
        _line(x + 232, y - 11, y + 3, "target"),
        _text(x + 240, y, "target", "quiet"),
        f'<circle class="other" cx="{x + 300}" cy="{y - 4}" r="4"/>',
        _text(x + 310, y, "Twisted's portforward", "quiet"),
    ]


def _grid(scale: Scale, height: int) -> list[str]:
    parts = []
    for power in range(scale.least, scale.most + 1):
        x = scale.x(2.0**power)
        parts.append(_line(x, HEAD - 6, height - FOOT + 4, "grid"))
        parts.append(_text(x, height - FOOT + 22, f"{2.0**power:g}", "quiet", "middle"))
    return parts


def _bar(bar: Bar, scale: Scale, top: int) -> list[str]:
    middle = top + LINE / 2
    start, end = sorted((scale.x(1), scale.x(bar.ratio.median)))
    kind = "ahead" if bar.ratio.median <= 1 else "behind"
    parts = [
        _text(LABELS - 12, middle + 4, bar.title, anchor="end"),
        f'<rect class="{kind}" x="{start:.1f}" y="{top + 6}" width="{max(end - start, 1):.1f}"'
        f' height="{LINE - 12}" rx="2"/>',
        _across(scale.x(bar.ratio.least), scale.x(bar.ratio.most), middle, "spread"),
        _text(WIDTH - 14, middle + 4, f"{bar.ratio.median:.2f}", anchor="end"),
    ]
    if bar.target is not None:
        parts.append(_line(scale.x(bar.target), top + 3, top + LINE - 3, "target"))
    if bar.other is not None:
        parts.append(
            f'<circle class="other" cx="{scale.x(bar.other):.1f}" cy="{middle:.1f}" r="4"/>'
        )
    return parts


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(text)}</text>'


def _line(x: float, top: float, bottom: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'


def _across(left: float, right: float, y: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
