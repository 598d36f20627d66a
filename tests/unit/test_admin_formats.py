"""The typed forms of the statistics, their JSON, and what `show stat` selects."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.admin_fakes import backend, process, reference_cluster, server
from vipproxy.admin.columns import rows
from vipproxy.admin.fields import NATURES, ORIGINS, SCOPES
from vipproxy.admin.info_fields import FIELDS as INFO_FIELDS
from vipproxy.admin.schema import SCHEMA
from vipproxy.admin.show import show_info, show_stat
from vipproxy.admin.stat_fields import FIELDS as STAT_FIELDS
from vipproxy.admin.typed import stat_as_typed
from vipproxy.values import CheckResult, CheckStatus, ClusterSnapshot

STAT_LINE = re.compile(r"([FBS])\.(\d+)\.(\d+)\.(\d+)\.(\w+)\.1:(\w{3}):(str|[us]32|u64):(.*)")
INFO_LINE = re.compile(r"(\d+)\.([\w -]+)\.1:(\w{3}):(str|u32|u64|flt):(.*)")


def valid(schema: Any, value: Any, root: Any) -> bool:
    """Whether a value is as the schema says: as much of JSON Schema as ours uses."""
    if "$ref" in schema:
        return valid(root["definitions"][schema["$ref"].rpartition("/")[2]], value, root)
    if "oneOf" in schema:
        return sum(valid(each, value, root) for each in schema["oneOf"]) == 1
    if "enum" in schema:
        return value in schema["enum"]
    kinds = {"object": dict, "array": list, "integer": int, "number": (int, float), "string": str}
    if not isinstance(value, kinds[schema["type"]]):  # type: ignore[arg-type]
        return False
    if schema["type"] == "array":
        return all(valid(schema["items"], each, root) for each in value)
    if schema["type"] == "object":
        parts = schema["properties"]
        return set(schema["required"]) <= set(value) and all(
            valid(part, value[name], root) for name, part in parts.items() if name in value
        )
    low, high = schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))
    return isinstance(value, str) or low <= value <= high


class FieldTests(SynchronousTestCase):
    def test_tags(self) -> None:
        """Every field's tags are letters that HAProxy knows, and its kind is a type."""
        for field in (*STAT_FIELDS, *INFO_FIELDS):
            origin, nature, scope = field.tags
            self.assertIn(origin, ORIGINS, field)
            self.assertIn(nature, NATURES, field)
            self.assertIn(scope, SCOPES, field)
            self.assertIn(field.kind, ("str", "u32", "s32", "u64"))
            self.assertTrue(field.text)


class StatTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.snapshot = reference_cluster()

    def stat(self, text: str) -> str:
        return show_stat(self.snapshot, text.split())

    def names(self, text: str) -> list[tuple[str, str]]:
        """Proxy and server of each line of CSV."""
        lines = self.stat(text).splitlines()[1:]
        return [tuple(line.split(",")[:2]) for line in lines]  # type: ignore[misc]

    def test_typed(self) -> None:
        """Every line is a value, in its row's and its column's place."""
        lines = self.stat("typed").splitlines()
        places = []
        for line in lines:
            found = STAT_LINE.fullmatch(line)
            assert found is not None, line
            self.assertEqual(STAT_FIELDS[int(found[4])].name, found[5])
            places.append(found.group(1, 2, 3, 4))
        self.assertEqual(len(places), len(set(places)))
        self.assertIn("S.4.3.17.status.1:SGP:str:DOWN 1/2", lines)
        self.assertIn("B.4.0.19.act.1:MGP:u32:2", lines)
        self.assertIn("S.4.1.19.act.1:SGP:u32:1", lines)

    def test_described(self) -> None:
        """With `desc` every line of the typed form ends with what the column is."""
        for line in self.stat("typed desc").splitlines():
            self.assertTrue(re.search(r':"[^"]+"$', line), line)

    def test_json(self) -> None:
        """The JSON has the same values, and is as the schema says."""
        schema, value = json.loads(SCHEMA), json.loads(self.stat("json"))
        self.assertTrue(valid(schema, value, schema))
        typed = [STAT_LINE.fullmatch(line) for line in self.stat("typed").splitlines()]
        told = [(each[5], each[8]) for each in typed if each]
        cells = [cell for row in value for cell in row]
        found = [(cell["field"]["name"], str(cell["value"]["value"])) for cell in cells]
        self.assertEqual(found, told)

    def test_schema_refuses(self) -> None:
        """Another document is not as the schema says."""
        schema, value = json.loads(SCHEMA), json.loads(self.stat("json"))
        del value[0][0]["tags"]
        self.assertFalse(valid(schema, value, schema))

    def test_proxy(self) -> None:
        """A proxy is chosen by its number or by its name."""
        expected = [("db-vms-galera", f"rhos6-node{n}") for n in (1, 2, 3)]
        expected.append(("db-vms-galera", "BACKEND"))
        self.assertEqual(self.names("4 -1 -1"), expected)
        self.assertEqual(self.names("db-vms-galera -1 -1"), expected)
        self.assertEqual(self.names("-1 -1 -1"), self.names(""))

    def test_types(self) -> None:
        """Types are added: 1 frontends, 2 backends, 4 servers."""
        self.assertEqual({name for _, name in self.names("-1 1 -1")}, {"FRONTEND"})
        self.assertEqual({name for _, name in self.names("-1 3 -1")}, {"FRONTEND", "BACKEND"})
        self.assertEqual(len(self.names("4 4 -1")), 3)

    def test_server(self) -> None:
        """A server is chosen by its number, among all others; sums stay."""
        self.assertEqual(self.names("4 4 2"), [("db-vms-galera", "rhos6-node2")])
        self.assertEqual(len(self.names("4 7 2")), 2)
        self.assertEqual(self.names("4 4 99"), [])

    def test_unknown_proxy(self) -> None:
        """A name that no proxy has is an error, a number that none has an empty table."""
        self.assertEqual(self.stat("nope -1 -1"), "No such proxy.\n")
        self.assertEqual(self.stat("0 -1 -1"), "No such proxy.\n")
        self.assertEqual(self.names("99 -1 -1"), [])

    def test_up(self) -> None:
        """`up` leaves out what is down, but not what is on its way up; `no-maint` maintenance."""
        everything, up, kept = self.names(""), self.names("up"), self.names("no-maint")
        self.assertIn(("db-vms-galera", "rhos6-node3"), up)
        gone = set(everything) - set(up)
        self.assertEqual(
            gone,
            {
                ("nova-api-vms", "rhos6-node2"),
                ("swift-vms", "rhos6-node3"),
                *(("heat-cloudw-vms", f"rhos6-node{n}") for n in (1, 2, 3)),
            },
        )
        self.assertEqual(set(everything) - set(kept), {("swift-vms", "rhos6-node3")})

    def test_up_counts(self) -> None:
        """Where servers are left out, backends say how many are up."""
        self.assertIn(",UP (2/3),", self.stat("up"))
        self.assertIn(",DOWN (0/3),", self.stat("no-maint"))
        self.assertNotIn("/3),", self.stat(""))

    @given(st.text())
    def test_what_peers_say_stays_in_its_line(self, info: str) -> None:
        """Whatever a server says about itself, a value is one line."""
        check = CheckResult(CheckStatus.L7_STATUS, info, 500)
        pool = backend("a", 2, (server(1, 80, last_check=check),))
        found = list(rows(ClusterSnapshot(process(), (), (pool,))))
        cells = sum(len(row) for row in found)
        self.assertEqual(stat_as_typed(found, describe=True).count("\n"), cells)


class InfoTests(SynchronousTestCase):
    def info(self, text: str) -> str:
        return show_info(reference_cluster(), text.split())

    def test_typed(self) -> None:
        """Every line is a fact, with its number and its type."""
        for line in self.info("typed float").splitlines():
            found = INFO_LINE.fullmatch(line)
            assert found is not None, line
            self.assertEqual(INFO_FIELDS[int(found[1])].name, found[2])

    def test_json(self) -> None:
        """The JSON is as the schema says, also with floats."""
        schema = json.loads(SCHEMA)
        for words in ("json", "json float"):
            self.assertTrue(valid(schema, json.loads(self.info(words)), schema))

    def test_described(self) -> None:
        """`desc` says what each fact is."""
        for line in self.info("desc").splitlines():
            self.assertTrue(re.fullmatch(r'[\w -]+: .*:"[^"]+"', line), line)
