"""The statistics as HAProxy's CSV: ``show stat`` and ``;csv`` (management guide, 9.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from vipproxy.admin.columns import Cell, Row
from vipproxy.admin.stat_fields import COLUMNS

HEADER = f"# {','.join(COLUMNS)},\n"
DETAILS = ("addr", "cookie", "algo")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")


def as_csv(rows: Iterable[Row], details: bool = True) -> str:
    """The header and one line a row, each with a trailing comma and a line feed.

    Without `details` the columns addr, cookie and algo are empty, as in HAProxy's answers over
    HTTP. The empty line that ends the answer on the stats socket is the caller's.
    """
    hidden = () if details else DETAILS
    lines = [
        "".join(f"{_quoted(row.get(name, '') if name not in hidden else '')}," for name in COLUMNS)
        for row in rows
    ]
    return HEADER + "".join(f"{line}\n" for line in lines)


def _quoted(cell: Cell) -> str:
    """A cell; what servers say about themselves can hold anything, but a row stays one line."""
    text = _CONTROLS.sub(" ", str(cell))
    if "," in text or '"' in text:
        return '"' + text.replace('"', '""') + '"'
    return text
