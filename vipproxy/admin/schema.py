"""``show schema json``: what the JSON of ``show info`` and ``show stat`` looks like."""

from __future__ import annotations

import json
from typing import Any

from vipproxy.admin.fields import NATURES, ORIGINS, SCOPES


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _definition(name: str) -> dict[str, str]:
    return {"$ref": f"#/definitions/{name}"}


def _value(kind: str, **limits: Any) -> dict[str, Any]:
    return _object(type={"type": "string", "enum": [kind]}, value=limits)


def _integer(kind: str, low: int, high: int) -> dict[str, Any]:
    return _value(kind, type="integer", minimum=low, maximum=high)


_COUNT = {"type": "integer", "minimum": 0}
_FACT = {name: _definition(name) for name in ("field", "processNum", "tags", "value")}
_CELL = {
    "objType": {"enum": ["Frontend", "Backend", "Listener", "Server"]},
    "proxyId": _COUNT,
    "id": _COUNT,
    **_FACT,
}
_LIST = {"type": "array"}
_SCHEMA = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "oneOf": [
        {"title": "Info", **_LIST, "items": {"title": "InfoItem", **_object(**_FACT)}},
        {
            "title": "Stat",
            **_LIST,
            "items": {**_LIST, "items": {"title": "StatItem", **_object(**_CELL)}},
        },
        {"title": "Error", **_object(errorStr={"type": "string"})},
    ],
    "definitions": {
        "field": _object(pos=_COUNT, name={"type": "string"}),
        "processNum": {"type": "integer", "minimum": 1},
        "tags": _object(
            origin={"type": "string", "enum": list(ORIGINS.values())},
            nature={"type": "string", "enum": list(NATURES.values())},
            scope={"type": "string", "enum": list(SCOPES.values())},
        ),
        "value": {
            "oneOf": [
                _integer("s32", -(2**31), 2**31 - 1),
                _integer("u32", 0, 2**32 - 1),
                _integer("u64", 0, 2**64 - 1),
                _value("flt", type="number"),
                _value("str", type="string"),
            ]
        },
    },
}
SCHEMA = json.dumps(_SCHEMA, separators=(",", ":")) + "\n"
