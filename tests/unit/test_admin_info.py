"""`show info`, and the snapshot as JSON."""

from __future__ import annotations

import json
import re

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.admin_fakes import process, reference_cluster
from vipproxy.admin.info import as_info, info
from vipproxy.admin.info_fields import ABSENT, FIELDS
from vipproxy.admin.json import as_json
from vipproxy.admin.units import in_bytes, in_time
from vipproxy.counters import Meter

HATOP = (
    "Name", "Version", "Release_date", "Nbproc", "Process_num", "Pid", "Uptime", "Maxconn",
    "CurrConns", "Maxpipes", "PipesUsed", "Tasks", "Run_queue", "node",
)  # fmt: skip


class InfoTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.snapshot = reference_cluster()
        self.lines = as_info(info(self.snapshot)).splitlines()
        self.values = dict(line.split(": ", 1) for line in self.lines)

    def test_keys(self) -> None:
        """Every key has one line, in HAProxy's order."""
        absent = ABSENT | {"description"}
        keys = [each.name for each in FIELDS if each.name not in absent]
        self.assertEqual([line.split(": ")[0] for line in self.lines], keys)

    def test_description(self) -> None:
        """The operator's description is there where there is one, before `Stopping`."""
        told = evolve(self.snapshot, process=process(description="first of three"))
        self.assertIn("\ndescription: first of three\nStopping: ", as_info(info(told)))

    def test_identity(self) -> None:
        """Tools that accept nothing but HAProxy can be satisfied."""
        self.assertEqual(self.values["Name"], "vipproxy")
        disguised = evolve(self.snapshot, process=process(identity="HAProxy"))
        self.assertTrue(as_info(info(disguised)).startswith("Name: HAProxy\n"))

    def test_floats(self) -> None:
        """With floats, times have microseconds; else they are whole seconds."""
        early = evolve(self.snapshot, process=process(uptime=1.25))
        self.assertIn("\nUptime_sec: 1.25\n", as_info(info(early, floats=True)))
        self.assertIn("\nUptime_sec: 1\n", as_info(info(early)))

    def test_hatop(self) -> None:
        """The keys without which hatop gives up are there, and none is empty."""
        for key in HATOP:
            self.assertTrue(self.values[key], key)
        self.assertTrue(self.values["Nbproc"].isdigit())

    def test_uptime(self) -> None:
        """The time since the start is in HAProxy's form, and in seconds."""
        self.assertEqual(self.values["Uptime"], "3d 4h05m11s")
        self.assertEqual(self.values["Uptime_sec"], "273911")
        self.assertTrue(re.fullmatch(r"\d+", self.values["Start_time_sec"]))

    def test_sessions(self) -> None:
        """Sessions are those of all frontends."""
        total = sum(each.counters.sessions for each in self.snapshot.frontends)
        self.assertEqual(self.values["CurrConns"], str(total))
        self.assertEqual(self.values["Listeners"], "18")

    def test_stopping(self) -> None:
        """A proxy that stops says so."""
        stopping = evolve(self.snapshot, process=process(stopping=True))
        self.assertIn("Stopping: 1\n", as_info(info(stopping)))


class JsonTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.value = json.loads(as_json(reference_cluster()))

    def test_names(self) -> None:
        """The document has the snapshot's own names, and the number of its format."""
        self.assertEqual(set(self.value), {"format", "process", "frontends", "backends", "events"})
        self.assertEqual(self.value["format"], 1)

    def test_server(self) -> None:
        """Addresses, states and checks are words; counters are numbers."""
        down = self.value["backends"][0]["servers"][2]
        self.assertEqual(down["address"], "192.168.1.223:3306")
        self.assertEqual(down["admin"], "ready")
        self.assertEqual(down["last_check"]["status"], "L7STS")
        self.assertEqual(down["last_check"]["code"], 503)
        self.assertFalse(down["last_check"]["passed"])
        self.assertEqual(down["counters"]["shutdowns"], 397)

    def test_rates(self) -> None:
        """Rates are those of the snapshot's instant."""
        rate = self.value["frontends"][1]["counters"]["session_rate"]
        self.assertEqual(rate, {"now": 45, "highest": 138})

    def test_pins(self) -> None:
        """Pins are an object."""
        self.assertEqual(self.value["backends"][0]["pins"], {"192.168.1.220": "rhos6-node1"})


class UnitsTests(SynchronousTestCase):
    def test_bytes(self) -> None:
        """Bytes have three digits at most, and a binary unit."""
        told = [in_bytes(n) for n in (0, 999, 1000, 1536, 102400, 1 << 20, 1 << 40, 1 << 62)]
        self.assertEqual(
            told,
            ["0 B", "999 B", "1.0 KiB", "1.5 KiB", "100 KiB", "1.0 MiB", "1.0 TiB", "4096 PiB"],
        )

    def test_time(self) -> None:
        """Times are told in their two largest units."""
        told = [in_time(n) for n in (0, 0.9, 59, 60, 61, 3600, 90061)]
        self.assertEqual(told, ["0s", "0s", "59s", "1m", "1m 1s", "1h", "1d 1h"])


class MeterTests(SynchronousTestCase):
    def test_growth(self) -> None:
        """A meter tells the growth between looks that are a second apart; others change nothing."""
        meter = Meter(at=10.0, total=100.0)
        self.assertEqual(meter.read(10.5, 900.0), 0.0)
        self.assertEqual(meter.read(12.0, 300.0), 100.0)
        self.assertEqual(meter.read(12.9, 5000.0), 100.0)
        self.assertEqual(meter.read(14.0, 300.0), 0.0)
