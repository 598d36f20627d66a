"""The formats, filters, metrics and forms of the statistics beside those of the real haproxy."""

from __future__ import annotations

import http.client
import json
import re
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

from twisted.internet.threads import deferToThread

from tests.differential.test_stats_haproxy import NEVER_OURS, Beside, fetch, table
from vipproxy.admin.stat_fields import COLUMNS

TYPED = re.compile(r"(\w)\.(\d+)\.(\d+)\.(\d+)\.([\w-]+)\.1:(\w{3}):(\w+):.*")
FACT = re.compile(r"(\d+\.[\w -]+\.1:\w{3}:\w+):.*")
MOVING = {"check_status", "check_code", "last_chk"}
"""Columns that may be there or not while a check runs."""
CHANGES = {"haproxy_server_check_code", "haproxy_server_check_duration_seconds"}
"""Metrics of the last check that are there for a while only."""
MODULES = ("_h1_", "_h2_", "_ssl_", "_http_comp")
"""Parts of names of metrics that HAProxy's modules add, and vipproxy does not have."""
TOKEN = b"Basic " + b64encode(b"root:redhat")


def typed_of(text: str) -> dict[tuple[str, str, str, str], tuple[str, str]]:
    """Tags and type by row and column; the further columns of HAProxy's modules are left out."""
    found = {}
    for line in text.splitlines():
        match = TYPED.fullmatch(line)
        if match and int(match[4]) < len(COLUMNS) and match[5] not in MOVING:
            found[match[1], match[2], match[3], match[5]] = (match[6], match[7])
    return found


def metrics_of(text: str) -> tuple[dict[str, str], set[str]]:
    """Types by name, and the names with their labels."""
    types = dict(line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE"))
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return types, {line.rpartition(" ")[0] for line in lines}


def post(port: int, path: str, form: Any, headers: Any = {}) -> tuple[int, str]:  # noqa: B006
    """Status and location of the answer to a form."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    own = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": TOKEN.decode()}
    connection.request("POST", path, urlencode(form), {**own, **headers})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, response.headers["location"]


class FormatTests(Beside):
    async def test_typed(self) -> None:
        """The same cells of the same rows are filled, with the same tags and types."""
        await self.start()
        await self.both_settled()
        theirs, ours = (typed_of(each) for each in await self.both_ask(b"show stat typed\n"))
        backend_of_listen = {key: each for key, each in theirs.items() if key[:2] == ("B", "2")}
        for key in theirs.keys() - ours.keys() - backend_of_listen.keys():
            self.fail(f"{key} is missing")
        for key, each in ours.items():
            self.assertEqual(each, theirs[key], key)

    async def test_json(self) -> None:
        """A cell of the JSON has the same keys, and the same values but for the numbers."""
        await self.start()
        await self.both_settled()
        theirs, ours = (json.loads(each) for each in await self.both_ask(b"show stat json\n"))
        first, second = theirs[0][0], ours[0][0]
        self.assertEqual(list(second), list(first))
        self.assertEqual(second, first)
        self.assertEqual(
            [list(each) for each in second.values() if isinstance(each, dict)],
            [list(each) for each in first.values() if isinstance(each, dict)],
        )

    async def test_json_over_http(self) -> None:
        """`;json` is the same there, without the columns that HAProxy hides, and has a schema."""
        await self.start()
        theirs, ours = await self.both_fetch("/admin;json")
        hidden = [
            {cell["field"]["name"] for row in json.loads(each.body) for cell in row}
            & {"addr", "cookie", "algo"}
            for each in (theirs, ours)
        ]
        self.assertEqual(hidden, [set(), set()])
        theirs, ours = await self.both_fetch("/admin;json-schema")
        self.assertEqual(ours.headers["content-type"], theirs.headers["content-type"])
        titles = [
            [one["title"] for one in json.loads(each.body)["oneOf"]] for each in (theirs, ours)
        ]
        self.assertEqual(titles[1], titles[0])

    async def test_filters(self) -> None:
        """The same words choose the same rows, and give the same errors."""
        await self.start()
        await self.both_settled()
        for words in (
            "4 -1 -1", "db -1 -1", "db 4 -1", "-1 1 -1", "-1 2 -1", "-1 4 2", "4 7 2", "4 4 0",
            "99 -1 -1", "0 -1 -1", "nope -1 -1", "up", "no-maint", "4 4 -1 up", "vip-web 1 0",
        ):  # fmt: skip
            text = f"show stat {words}\n".encode()
            theirs, ours = await self.both_ask(text)
            self.assertEqual(ours.startswith("#"), theirs.startswith("#"), words)
            if not ours.startswith("#"):
                self.assertEqual(ours, theirs, words)
                continue
            rows = [table(each)[1] for each in (theirs, ours)]
            self.assertEqual(list(rows[1]), [k for k in rows[0] if k not in NEVER_OURS], words)
            for key, row in rows[1].items():
                self.assertEqual(row["status"], rows[0][key]["status"], (words, key))

    async def test_info(self) -> None:
        """The facts have the same numbers, names, tags and types in all forms."""
        await self.start()
        for words in (b"typed", b"typed float"):
            theirs, ours = (
                [FACT.fullmatch(line)[1] for line in each.splitlines() if line]  # type: ignore[index]
                for each in await self.both_ask(b"show info %b\n" % words)
            )
            self.assertEqual(ours, theirs, words)
        theirs, ours = await self.both_ask(b"show info json\n")
        theirs, ours = json.loads(theirs), json.loads(ours)
        for first, second in zip(theirs, ours, strict=True):
            value = {**second["value"], "value": first["value"]["value"]}
            self.assertEqual({**second, "value": value}, {**first, "value": first["value"]})
        theirs, ours = await self.both_ask(b"show info desc\n")
        self.assertEqual(
            [line.partition(":")[0] for line in ours.splitlines()],
            [line.partition(":")[0] for line in theirs.splitlines()],
        )

    async def test_scope(self) -> None:
        """`?scope=` shows the proxies in whose names it is."""
        await self.start()
        for path in ("/admin;csv?scope=we", "/admin;csv;up?scope=db", "/admin;csv?scope=xyz"):
            theirs, ours = await self.both_fetch(path)
            rows = [list(table(each.body.decode())[1]) for each in (theirs, ours)]
            self.assertEqual(rows[1], rows[0], path)

    async def both_settled(self) -> None:
        """The refusing server is down on both sides, and all have been checked."""
        for _ in range(200):
            tables = [table(each)[1] for each in await self.both_ask(b"show stat\n")]
            down = [each["db", "refused"]["status"] == "DOWN" for each in tables]
            words = [row["check_status"] for each in tables for row in each.values()]
            if all(down) and not any(each.endswith("INI") for each in words):
                return
        self.fail("not all servers have been checked")


class MetricTests(Beside):
    async def test_names_and_labels(self) -> None:
        """Every metric of HAProxy's is there, with its type and for the same labels."""
        await self.start()
        theirs, ours = await self.both_fetch("/metrics")
        self.assertEqual(ours.headers["content-type"], theirs.headers["content-type"])
        their_types, their_names = metrics_of(theirs.body.decode())
        our_types, our_names = metrics_of(ours.body.decode())
        for name, kind in their_types.items():
            if not any(part in name for part in MODULES):
                self.assertEqual(our_types.get(name), kind, name)
        self.assertEqual(set(our_types) - set(their_types), set())
        for name in our_names | their_names:
            bare = name.partition("{")[0]
            if bare in CHANGES or bare not in our_types or 'version="' in name:
                continue
            backend_of_listen = 'proxy="monitor"' in name and "_backend_" in name
            if not backend_of_listen:
                self.assertEqual(name in our_names, name in their_names, name)

    async def test_order(self) -> None:
        """Metrics come in HAProxy's order, each once."""
        await self.start()
        theirs, ours = await self.both_fetch("/metrics")
        their_types, our_types = (list(metrics_of(x.body.decode())[0]) for x in (theirs, ours))
        self.assertEqual(our_types, [each for each in their_types if each in our_types])

    async def test_scopes(self) -> None:
        """`?scope=` and `?no-maint` choose as in HAProxy; an unknown scope is a 400."""
        await self.start()
        for query in ("scope=server", "scope=global&scope=backend", "scope=*", "scope=", "no-maint",
                      "scope=frontend&no-maint", "scope=nope", "x=y"):  # fmt: skip
            theirs, ours = await self.both_fetch(f"/metrics?{query}")
            self.assertEqual(ours.status, theirs.status, query)
            kinds = [
                {re.sub(r"haproxy_([a-z]+)_.*", r"\1", name) for name in metrics_of(text)[1]}
                for text in (theirs.body.decode(), ours.body.decode())
            ]
            self.assertEqual(kinds[1], kinds[0], query)
            out = [b'server="out"' in each.body for each in (theirs, ours)]
            self.assertEqual(out[1], out[0], query)


class FormTests(Beside):
    async def test_outcomes(self) -> None:
        """Forms have the same outcomes, lead back to the same place, and do the same."""
        await self.start()
        for path, form in (
            ("/admin", [("s", "limited"), ("action", "drain"), ("b", "#4")]),
            ("/admin", [("s", "limited"), ("action", "drain"), ("b", "db")]),
            ("/admin", [("s", "limited"), ("s", "nope"), ("action", "drain"), ("b", "#4")]),
            ("/admin", [("s", "nope"), ("action", "drain"), ("b", "#4")]),
            ("/admin", [("s", "limited"), ("action", "nope"), ("b", "#4")]),
            ("/admin", [("s", "limited"), ("action", ""), ("b", "#4")]),
            ("/admin", [("s", "limited"), ("action", "ready"), ("b", "#99")]),
            ("/admin", [("s", "limited"), ("action", "ready"), ("b", "nope")]),
            ("/admin", [("s", "limited"), ("action", "ready"), ("b", "#3")]),
            ("/admin", [("action", "ready"), ("b", "#4")]),
            ("/admin", [("s", "limited"), ("action", "ready")]),
            ("/admin", []),
            ("/admin", [("s", "limited"), ("action", "stop"), ("b", "db")]),
            ("/admin", [("s", "limited"), ("action", "start"), ("b", "db")]),
            ("/admin;norefresh;up", [("s", "limited"), ("action", "ready"), ("b", "db")]),
            ("/admin;up?scope=db", [("s", "limited"), ("action", "ready"), ("b", "db")]),
            ("/admin", [("s", "limited"), ("action", "dhlth"), ("b", "db")]),
            ("/admin", [("s", "unchecked"), ("action", "dhlth"), ("b", "db")]),
            ("/admin", [("s", "limited"), ("action", "hdown"), ("b", "db")]),
            ("/admin", [("s", "limited"), ("action", "hnolb"), ("b", "db")]),
            ("/admin", [("s", "limited"), ("action", "hrunn"), ("b", "db")]),
            ("/admin", [("s", "limited"), ("action", "shutdown"), ("b", "db")]),
            ("/admin", [("s", "limited"), ("action", "ehlth"), ("b", "db")]),
            ("/admin", [("s", "limited"), ("action", "dagent"), ("b", "db")]),
            ("/admin", [("s", "limited"), ("action", "adown"), ("b", "db")]),
            ("/admin", [("s", "limited"), ("action", "disable"), ("b", "db")]),
            ("/admin", [("s", "limited"), ("action", "enable"), ("b", "db")]),
            ("/admin", [("s", "limited"), ("s", "unchecked"), ("action", "maint"), ("b", "db")]),
            ("/admin", [("s", "limited"), ("s", "unchecked"), ("action", "ready"), ("b", "db")]),
        ):  # fmt: skip
            theirs = await deferToThread(post, self.their_port, path, form)
            ours = await deferToThread(post, self.our_port, path, form)
            self.assertEqual(ours, theirs, (path, form))
            told = [
                table(each)[1]["db", "limited"]["status"].partition(" ")[0]
                for each in await self.both_ask(b"show stat\n")
            ]
            # After maintenance vipproxy waits for a verdict, and HAProxy does not.
            meant = {"DRAIN", "MAINT", "NOLB"} | (
                {"DOWN"} if ("action", "hdown") in form else set()
            )
            states = [each if each in meant else "" for each in told]
            self.assertEqual(states[1], states[0], form)

    async def test_too_long(self) -> None:
        """A form of more than a buffer is not carried out."""
        await self.start()
        form = [("s", "limited")] * 2000
        theirs = await deferToThread(post, self.their_port, "/admin", form)
        ours = await deferToThread(post, self.our_port, "/admin", form)
        self.assertEqual(ours, theirs)

    async def test_messages(self) -> None:
        """Both pages tell the outcome."""
        await self.start()
        page = (await deferToThread(fetch, self.our_port, "/admin;st=DONE")).body
        self.assertIn(b"Done.", page)
