"""HAProxy's CSV."""

from __future__ import annotations

import csv
import io

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.admin_fakes import backend, counters, frontend, process, reference_cluster, server
from vipproxy.admin.columns import rows
from vipproxy.admin.csv import HEADER
from vipproxy.admin.csv import as_csv as csv_of_rows
from vipproxy.admin.stat_fields import COLUMNS
from vipproxy.values import CheckResult, CheckStatus, ClusterSnapshot, ServerSnapshot


def as_csv(snapshot: ClusterSnapshot, details: bool = True) -> str:
    return csv_of_rows(rows(snapshot), details)


def parsed(text: str) -> list[dict[str, str]]:
    """The rows, by column."""
    names = [*COLUMNS, ""]
    return [dict(zip(names, row, strict=True)) for row in csv.reader(io.StringIO(text))][1:]


def row_of(one: ServerSnapshot) -> dict[str, str]:
    """The row of a server that is alone in its pool."""
    pool = backend("app", 3, (one,))
    return parsed(as_csv(ClusterSnapshot(process(), (), (pool,))))[0]


class FormatTests(SynchronousTestCase):
    def test_header(self) -> None:
        """The header has 103 columns, the first ones as tools know them, and a trailing comma."""
        self.assertTrue(HEADER.startswith("# pxname,svname,qcur,qmax,scur,smax,slim,stot,"))
        self.assertEqual(len(COLUMNS), 103)
        self.assertEqual(len(set(COLUMNS)), 103)
        self.assertTrue(HEADER.endswith(",agg_check_status,\n"))

    def test_every_row_has_as_many_cells_as_the_header(self) -> None:
        """Every row of the reference cluster is as long as the header."""
        lines = as_csv(reference_cluster()).splitlines()
        counts = {len(next(csv.reader([line]))) for line in lines}
        self.assertEqual(counts, {104})

    def test_cells_are_columns(self) -> None:
        """No row has a cell that is not a column."""
        for row in rows(reference_cluster()):
            self.assertEqual(set(row) - set(COLUMNS), set())

    def test_order(self) -> None:
        """Proxies come by their numbers; in a pool the servers, then BACKEND."""
        first = [(row["pxname"], row["svname"]) for row in rows(reference_cluster())][:6]
        self.assertEqual(
            first,
            [
                ("monitor", "FRONTEND"),
                ("vip-db", "FRONTEND"),
                ("db-vms-galera", "rhos6-node1"),
                ("db-vms-galera", "rhos6-node2"),
                ("db-vms-galera", "rhos6-node3"),
                ("db-vms-galera", "BACKEND"),
            ],
        )

    def test_quoting(self) -> None:
        """A text with a comma or a quote is quoted, its quotes doubled; a line feed is not kept."""
        odd = CheckResult(CheckStatus.L7_STATUS, 'say "no",\r\nnow', 500)
        text = as_csv(ClusterSnapshot(process(), (), (backend("a", 2, (server(1, 80),)),)))
        self.assertNotIn('"', text)
        self.assertEqual(row_of(server(1, 80, last_check=odd))["last_chk"], 'say "no", now')

    def test_details(self) -> None:
        """Without details the columns addr, cookie and algo are empty."""
        for row in parsed(as_csv(reference_cluster(), details=False)):
            self.assertEqual([row["addr"], row["cookie"], row["algo"]], ["", "", ""])

    @given(st.text(), st.text())
    def test_what_peers_say_stays_in_its_cell(self, name: str, info: str) -> None:
        """Whatever a server says about itself, a row is one line with as many cells."""
        check = CheckResult(CheckStatus.L7_STATUS, info, 500)
        one = server(1, 80, last_check=check, cookie=name)
        text = as_csv(ClusterSnapshot(process(), (), (backend("a", 2, (one,)),)))
        self.assertEqual(text.count("\n"), 3)
        self.assertEqual(len(parsed(text)), 2)


class ServerRowTests(SynchronousTestCase):
    def test_running_check(self) -> None:
        """While a check runs, the last status has an asterisk, and its code is 0."""
        passed = CheckResult(CheckStatus.L7_OK, "", 200, 0.0124)
        row = row_of(server(1, 80, last_check=passed, checking=True))
        self.assertEqual(
            (row["check_status"], row["check_code"], row["check_duration"]), ("* L7OK", "0", "12")
        )

    def test_failed_check(self) -> None:
        """A refused check gives HAProxy's words, and no code."""
        refused = CheckResult(CheckStatus.L4_CONNECTION, "Connection refused")
        row = row_of(server(1, 80, last_check=refused, status="DOWN", up=False, health=0))
        self.assertEqual(row["status"], "DOWN")
        self.assertEqual(row["check_status"], "L4CON")
        self.assertEqual(row["check_code"], "")
        self.assertEqual(row["last_chk"], "Connection refused")
        self.assertEqual(row["check_desc"], "Layer4 connection problem")

    def test_before_the_first_check(self) -> None:
        """A server without a first check is INI, without a duration."""
        row = row_of(server(1, 80, last_check=None))
        self.assertEqual((row["check_status"], row["check_duration"]), ("INI", ""))
        self.assertEqual(row["check_desc"], "Initializing")

    def test_unchecked(self) -> None:
        """A server without checks has no cells about them."""
        row = row_of(server(1, 80, checked=False, status="no check"))
        for name in ("chkfail", "downtime", "check_status", "check_health"):
            self.assertEqual(row[name], "", name)

    def test_limits(self) -> None:
        """No limit is an empty cell; a limit is its number."""
        self.assertEqual(row_of(server(1, 80))["slim"], "")
        self.assertEqual(row_of(server(1, 80, maxconn=7))["slim"], "7")

    def test_never_used(self) -> None:
        """A server that never had a session has -1 seconds since the last."""
        self.assertEqual(row_of(server(1, 80, since_session=None))["lastsess"], "-1")
        self.assertEqual(row_of(server(1, 80, since_session=3.9))["lastsess"], "3")

    def test_backup(self) -> None:
        """A server counts as active or as backup."""
        row = row_of(server(1, 80, backup=True))
        self.assertEqual((row["act"], row["bck"]), ("0", "1"))


class ProxyRowTests(SynchronousTestCase):
    def test_http_and_tcp(self) -> None:
        """Answers by class are counted in HTTP alone."""
        tcp = frontend("a", 2, 80)
        http = evolve(tcp, mode="http", counters=counters(0, responses=[0, 7, 0, 1, 0, 0]))
        first, second = rows(ClusterSnapshot(process(), (tcp, http), ()))
        self.assertNotIn("hrsp_2xx", first)
        self.assertEqual((second["hrsp_2xx"], second["hrsp_4xx"]), (7, 1))

    def test_backend_without_servers(self) -> None:
        """A pool without servers has no downtime."""
        (row,) = rows(ClusterSnapshot(process(), (), (backend("a", 2, ()),)))
        self.assertNotIn("downtime", row)
        self.assertEqual(row["status"], "DOWN")
