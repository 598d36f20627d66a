"""HAProxy's typed forms of its statistics: a line a value, or JSON (management guide, 9.3)."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache

from vipproxy.admin.columns import PROCESS, Row
from vipproxy.admin.fields import Datum, Field
from vipproxy.admin.stat_fields import BACKEND, COLUMNS, FRONTEND, LISTENER, SERVER, field_of

_LETTERS = {FRONTEND: "F", BACKEND: "B", SERVER: "S", LISTENER: "L"}
_OBJECTS = {FRONTEND: "Frontend", BACKEND: "Backend", SERVER: "Server", LISTENER: "Listener"}
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")


def data_of(row: Row, hidden: Collection[str] = ()) -> list[Datum]:
    """The filled cells of a row, without the hidden columns."""
    kind = int(row["type"])
    return [
        Datum(position, field_of(position, kind), row[name])
        for position, name in enumerate(COLUMNS)
        if name in row and name not in hidden
    ]


def stat_as_typed(rows: Iterable[Row], describe: bool) -> str:
    """``F.2.0.7.stot.1:MCP:u64:11``, a line a cell."""
    return "".join(
        _line(f"{_LETTERS[int(row['type'])]}.{row['iid']}.{row['sid']}.", each, describe)
        for row in rows
        for each in data_of(row)
    )


def info_as_typed(data: Iterable[Datum], describe: bool) -> str:
    """``0.Name.1:POS:str:HAProxy``, a line a fact."""
    return "".join(_line("", each, describe) for each in data)


def stat_as_json(rows: Iterable[Row], hidden: Collection[str] = ()) -> str:
    """A list of rows, each a list of cells, without the hidden columns."""
    return _list(_list(_cells(row, hidden)) for row in rows) + "\n"


def info_as_json(data: Iterable[Datum]) -> str:
    """A list of facts."""
    return _list(f"{{{_members(each)}}}" for each in data) + "\n"


def _cells(row: Row, hidden: Collection[str]) -> Iterator[str]:
    kind = _OBJECTS[int(row["type"])]
    place = f'"objType":"{kind}","proxyId":{row["iid"]},"id":{row["sid"]}'
    return (f"{{{place},{_members(each)}}}" for each in data_of(row, hidden))


def _members(datum: Datum) -> str:
    return f"{_constant(datum.position, datum.field, datum.kind)}{json.dumps(datum.value)}}}"


@lru_cache(maxsize=1024)
def _constant(position: int, field: Field, kind: str) -> str:
    """All that is the same in every row, up to the value itself: most of the text."""
    members = {
        "field": {"pos": position, "name": field.name},
        "processNum": PROCESS,
        "tags": field.tag_words,
    }
    return f'{json.dumps(members, separators=(",", ":"))[1:-1]},"value":{{"type":"{kind}","value":'


def _list(items: Iterable[str]) -> str:
    return f"[{','.join(items)}]"


def _line(place: str, datum: Datum, describe: bool) -> str:
    """What servers say about themselves can hold anything, but it stays in its line."""
    field = datum.field
    text = _CONTROLS.sub(" ", datum.text)
    words = f':"{field.text}"' if describe else ""
    start = f"{place}{datum.position}.{field.name}.{PROCESS}"
    return f"{start}:{field.tags}:{datum.kind}:{text}{words}\n"
