"""HAProxy's typed forms of its statistics: a line a value, or JSON (management guide, 9.3)."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from vipproxy.admin.columns import PROCESS, Row
from vipproxy.admin.fields import Datum
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
    return _json(
        [[{**_place(row), **_object(each)} for each in data_of(row, hidden)] for row in rows]
    )


def info_as_json(data: Iterable[Datum]) -> str:
    """A list of facts."""
    return _json([_object(each) for each in data])


def _line(place: str, datum: Datum, describe: bool) -> str:
    """What servers say about themselves can hold anything, but it stays in its line."""
    field = datum.field
    text = _CONTROLS.sub(" ", datum.text)
    words = f':"{field.text}"' if describe else ""
    start = f"{place}{datum.position}.{field.name}.{PROCESS}"
    return f"{start}:{field.tags}:{datum.kind}:{text}{words}\n"


def _place(row: Row) -> Mapping[str, Any]:
    return {"objType": _OBJECTS[int(row["type"])], "proxyId": row["iid"], "id": row["sid"]}


def _object(datum: Datum) -> Mapping[str, Any]:
    return {
        "field": {"pos": datum.position, "name": datum.field.name},
        "processNum": PROCESS,
        "tags": datum.field.tag_words,
        "value": {"type": datum.kind, "value": datum.value},
    }


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"
