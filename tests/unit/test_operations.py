"""What an operator changes of a pool takes effect at once, and is told to the next run."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.pools import FAIL, PASS, VIP, Client, Diary, ask, judge, make_pool, servers
from vipproxy.backends.pool import Pool
from vipproxy.config.options import ServerConfig, ServerOptions
from vipproxy.errors import Refused, Unknown
from vipproxy.interfaces import Health
from vipproxy.values import Address, AdminState, Ending

CHECK = "check = tcp interval=1s"
NEW = ServerConfig("s9", ServerOptions(address=Address("127.0.0.9", 1000), check=False, weight=2))


def chosen(pool: Pool, times: int) -> list[str | None]:
    """Who serves so many clients in turn."""
    return [ask(pool).server for _ in range(times)]


class Weights(SynchronousTestCase):
    def setUp(self) -> None:
        self.pool = make_pool(servers("", ""))

    def test_balanced_at_once(self) -> None:
        """The next clients are spread by the new weights."""
        self.pool.operations.set_weight("s1", 3)
        chosen(self.pool, 8)  # the first round is not quite even
        names = chosen(self.pool, 40)
        self.assertIn(names.count("s1"), (29, 30, 31))

    def test_zero_drains(self) -> None:
        """With weight 0 nobody new is sent to a server; its status stays, as in HAProxy."""
        self.pool.operations.set_weight("s1", 0)
        self.assertEqual(set(chosen(self.pool, 4)), {"s2"})
        self.assertEqual(self.pool.servers[0].status, "no check")

    def test_waiting(self) -> None:
        """Who waits is served when the only server's room has become another server's weight."""
        pool = make_pool(servers("maxconn=1", "weight=0"))
        ask(pool)
        waiting = ask(pool)
        self.assertIsNone(waiting.server)
        pool.operations.set_weight("s2", 1)
        self.assertEqual(waiting.server, "s2")

    def test_unknown(self) -> None:
        """A server that is not there is Unknown, which is a LookupError."""
        with self.assertRaises(Unknown) as caught:
            self.pool.operations.set_weight("s3", 1)
        self.assertIsInstance(caught.exception, LookupError)
        self.assertEqual(str(caught.exception), "No such server.")


class Maxconn(SynchronousTestCase):
    def test_queue_is_served(self) -> None:
        """When maxconn grows, or its limit goes, as many of those who wait are served."""
        pool = make_pool(servers("maxconn=1"))
        others = [ask(pool) for _ in range(4)][1:]
        self.assertEqual([each.server for each in others], [None] * 3)
        pool.operations.set_maxconn("s1", 2)
        self.assertEqual([each.server for each in others], ["s1", None, None])
        pool.operations.set_maxconn("s1", 0)
        self.assertEqual([each.server for each in others], ["s1"] * 3)

    def test_shrinks(self) -> None:
        """When it shrinks sessions go on, and the next client waits."""
        pool = make_pool(servers("maxconn=2"))
        sessions = [ask(pool) for _ in range(2)]
        pool.operations.set_maxconn("s1", 1)
        self.assertEqual([each.ended for each in sessions], [[], []])
        self.assertIsNone(ask(pool).server)


class HealthBySay(SynchronousTestCase):
    def setUp(self) -> None:
        self.pool = make_pool(f"{CHECK}\non-marked-down = shutdown-sessions\n{servers('', '')}")
        judge(self.pool, PASS)

    def test_down(self) -> None:
        """A server that is said to be down loses its sessions, and comes back by its checks."""
        client = ask(self.pool)
        self.pool.operations.set_health("s1", Health.DOWN)
        self.assertEqual(client.ended, [Ending.MARKED_DOWN])
        self.assertEqual(set(chosen(self.pool, 3)), {"s2"})
        judge(self.pool, PASS, "s1")
        self.assertEqual(self.pool.servers[0].status, "DOWN 1/2")
        judge(self.pool, PASS, "s1")
        self.assertEqual(self.pool.servers[0].status, "UP")

    def test_up(self) -> None:
        """A server that is said to be up serves, until enough of its checks have failed."""
        for _ in range(3):
            judge(self.pool, FAIL, "s1")
        self.pool.operations.set_health("s1", Health.UP)
        self.assertEqual(self.pool.servers[0].status, "UP")
        self.assertIn("s1", chosen(self.pool, 2))
        judge(self.pool, FAIL, "s1")
        self.assertEqual(self.pool.servers[0].status, "UP 2/3")

    def test_stopping(self) -> None:
        """A stopping server gets nobody new until a check has passed."""
        self.pool.operations.set_health("s1", Health.STOPPING)
        self.assertEqual(self.pool.servers[0].status, "NOLB")
        self.assertEqual(set(chosen(self.pool, 3)), {"s2"})
        judge(self.pool, FAIL, "s1")
        self.assertEqual(self.pool.servers[0].status, "NOLB 2/3")
        judge(self.pool, PASS, "s1")
        self.assertEqual(self.pool.servers[0].status, "UP")

    def test_unchecked(self) -> None:
        """A server without checks stays what it was said to be."""
        pool = make_pool(servers(""))
        for health, status in (
            (Health.DOWN, "DOWN"),
            (Health.STOPPING, "NOLB"),
            (Health.UP, "no check"),
        ):
            pool.operations.set_health("s1", health)
            self.assertEqual(pool.servers[0].status, status)


class Checks(SynchronousTestCase):
    def test_paused(self) -> None:
        """A server whose checks are paused stays as it is; then they go on."""
        clock = Clock()
        pool = make_pool(f"check = tests.pools:PatientCheck interval=1s\n{servers('')}", clock)
        check: Any = pool.options.check
        check.plugin.probes.clear()
        pool.startService()
        clock.advance(0)
        check.plugin.probes[0][1].callback(PASS)
        pool.operations.set_checking("s1", False)
        clock.pump([1.0] * 5)
        self.assertEqual(len(check.plugin.probes), 1)
        self.assertEqual(pool.servers[0].status, "no check")
        pool.operations.set_checking("s1", True)
        clock.pump([1.0] * 2)
        self.assertEqual(len(check.plugin.probes), 2)
        pool.stopService()
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_none(self) -> None:
        """A server without checks cannot be given any; to pause them is no news."""
        pool = make_pool(servers(""))
        self.assertRaises(Refused, pool.operations.set_checking, "s1", True)
        pool.operations.set_checking("s1", False)


class Addresses(SynchronousTestCase):
    def test_moved(self) -> None:
        """A server that has moved is unknown: nobody goes there before a check has passed."""
        pool = make_pool(f"{CHECK}\n{servers('')}")
        judge(pool, PASS)
        pool.operations.set_address("s1", Address("127.0.0.5", 2000))
        waiting = ask(pool)
        self.assertIsNone(waiting.server)
        judge(pool, PASS)
        assert waiting.lease is not None
        self.assertEqual(waiting.lease.server.address, Address("127.0.0.5", 2000))

    def test_sessions_go_on(self) -> None:
        """Sessions with the old address go on, as in HAProxy."""
        pool = make_pool(f"{CHECK}\n{servers('')}")
        judge(pool, PASS)
        client = ask(pool)
        pool.operations.set_address("s1", Address("127.0.0.5", 2000))
        self.assertEqual(client.ended, [])

    def test_pinned_sessions_end(self) -> None:
        """Where all share a pin they end first: no two machines serve at once."""
        pool = make_pool(f"{CHECK}\nstick = dst\n{servers('', '')}")
        judge(pool, PASS)
        client = ask(pool)
        pool.operations.set_address("s1", Address("127.0.0.5", 2000))
        self.assertEqual(client.ended, [Ending.KILLED])

    def test_check_elsewhere(self) -> None:
        """The check goes where it was told to; port 0 is the server's own again."""
        pool = make_pool(f"{CHECK}\n{servers('check-port=9')}")
        (loop,) = pool.monitor._loops.values()
        pool.operations.set_check_address("s1", "127.0.0.7", 99)
        self.assertEqual(loop._target().address, Address("127.0.0.7", 99))
        pool.operations.set_check_address("s1", None, 0)
        self.assertEqual(loop._target().address, Address("127.0.0.7", 1000))


class ComingAndGoing(SynchronousTestCase):
    def setUp(self) -> None:
        self.pool = make_pool(servers("", ""))

    def test_added(self) -> None:
        """A new server is in maintenance; once it is ready, it gets its share."""
        server = self.pool.operations.add(NEW)
        self.assertEqual((server.number, server.status), (3, "MAINT"))
        self.assertNotIn("s9", chosen(self.pool, 4))
        self.pool.set_admin_state("s9", AdminState.READY)
        self.assertEqual(chosen(self.pool, 8).count("s9"), 4)

    def test_checked(self) -> None:
        """A new server that is checked gets nobody before its first passed check."""
        clock = Clock()
        text = f"check = tests.pools:PatientCheck interval=1s\n{servers('')}"
        pool = make_pool(text, clock)
        check: Any = pool.options.check
        check.plugin.probes.clear()
        pool.startService()
        clock.advance(0)
        check.plugin.probes[0][1].callback(PASS)
        pool.operations.add(ServerConfig("s9", ServerOptions(address=Address("127.0.0.9", 1))))
        pool.set_admin_state("s9", AdminState.READY)
        self.assertEqual(set(chosen(pool, 3)), {"s1"})
        clock.advance(1)
        probed = dict(check.plugin.probes[1:])
        probed["s9"].callback(PASS)
        self.assertIn("s9", chosen(pool, 3))
        pool.set_admin_state("s9", AdminState.MAINT)
        for client in list(pool.selection.named("s9").leases):  # type: ignore[union-attr]
            client.release(Ending.NORMAL)
        pool.operations.remove("s9")
        pool.stopService()
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_lowest_number(self) -> None:
        """A new server gets the lowest number that is free."""
        self.pool.set_admin_state("s1", AdminState.MAINT)
        self.pool.operations.remove("s1")
        self.assertEqual(self.pool.operations.add(NEW).number, 1)

    def test_same_name(self) -> None:
        """No two servers of one name."""
        self.pool.operations.add(NEW)
        error = self.assertRaises(Refused, self.pool.operations.add, NEW)
        self.assertEqual(str(error), "Already exists a server with the same name in backend.")

    def test_removed(self) -> None:
        """A server is removed from maintenance only, and without sessions only."""
        client = next(each for each in (ask(self.pool), ask(self.pool)) if each.server == "s1")
        error = self.assertRaises(Refused, self.pool.operations.remove, "s1")
        self.assertEqual(str(error), "Only servers in maintenance mode can be deleted.")
        self.pool.set_admin_state("s1", AdminState.MAINT)
        error = self.assertRaises(Refused, self.pool.operations.remove, "s1")
        self.assertIn("still has connections", str(error))
        assert client.lease is not None
        client.lease.release(Ending.NORMAL)
        self.pool.operations.remove("s1")
        self.assertEqual(set(chosen(self.pool, 3)), {"s2"})

    def test_last_one(self) -> None:
        """A pool without servers refuses its clients, and takes new ones."""
        pool = make_pool(f"stick = dst\n{servers('')}")
        ask(pool).lease.release(Ending.NORMAL)  # type: ignore[union-attr]
        pool.set_admin_state("s1", AdminState.MAINT)
        pool.operations.remove("s1")
        self.assertIsNotNone(ask(pool).error)
        pool.operations.add(NEW)
        pool.set_admin_state("s9", AdminState.READY)
        self.assertEqual(ask(pool).server, "s9")


class Sessions(SynchronousTestCase):
    def test_shut_down(self) -> None:
        """The sessions of one server end, and who waited for it is served."""
        pool = make_pool(servers("maxconn=1", "weight=0"))
        client, waiting = ask(pool), ask(pool)
        pool.operations.end_sessions("s1")
        self.assertEqual(client.ended, [Ending.KILLED])
        self.assertEqual(waiting.server, "s1")


class Pins(SynchronousTestCase):
    def setUp(self) -> None:
        self.diary = Diary()
        self.pool = make_pool(f"stick = dst\n{servers('', '')}", observer=self.diary)

    def test_set(self) -> None:
        """A pin that is set by hand leads its clients."""
        self.pool.operations.set_pin(VIP.host, 2)
        self.assertEqual(ask(self.pool).server, "s2")

    def test_moved_by_hand(self) -> None:
        """A pin in use moves when its sessions have ended, and not before."""
        client = ask(self.pool)
        self.assertEqual(client.server, "s1")
        self.pool.operations.set_pin(VIP.host, 2)
        self.assertEqual(client.ended, [Ending.KILLED])
        self.assertEqual(ask(self.pool).server, "s2")
        self.assertIn("Server b/s2 takes over from s1 (set table).", self.diary.texts[-1])

    def test_waiting_follows(self) -> None:
        """Who waits while a pin is moved by hand follows it."""
        pool = make_pool(f"stick = dst\n{servers('maxconn=1', '', '')}")
        ask(pool)
        waiting = ask(pool)
        pool.operations.set_pin(VIP.host, 3)
        self.assertEqual(waiting.server, "s3")

    def test_other_key(self) -> None:
        """A second key of a pin that all share moves all of them: no two servers serve at once."""
        client = ask(self.pool)
        self.pool.operations.set_pin("192.0.2.99", 2)
        self.assertEqual(client.ended, [Ending.KILLED])
        self.assertEqual(ask(self.pool).server, "s2")

    def test_dropped(self) -> None:
        """An entry is dropped unless a session uses it."""
        client = ask(self.pool)
        operations = self.pool.operations
        error = self.assertRaises(Refused, operations.drop_pins, [VIP.host])
        self.assertEqual(str(error), "Entry currently in use, cannot remove")
        assert client.lease is not None
        client.lease.release(Ending.NORMAL)
        operations.drop_pins([VIP.host, "unknown"])
        assert self.pool.pins is not None
        self.assertEqual(self.pool.pins.as_mapping(), {})

    def test_touched(self) -> None:
        """Without a server an entry is only marked as used, and none is made."""
        clock = Clock()
        pool = make_pool(f"stick = src expire=10s\n{servers('')}", clock)
        pool.operations.set_pin("192.0.2.1", 1)
        clock.advance(9)
        pool.operations.set_pin("192.0.2.1", None)
        pool.operations.set_pin("192.0.2.2", None)
        clock.advance(9)
        assert pool.pins is not None
        self.assertEqual(pool.pins.as_mapping(), {"192.0.2.1": "s1"})

    def test_wrong(self) -> None:
        """There is no such server, or no such table."""
        self.assertRaises(Unknown, self.pool.operations.set_pin, "x", 3)
        error = self.assertRaises(Unknown, make_pool(servers("")).operations.drop_pins, [])
        self.assertEqual(str(error), "No such table")


class CountersCleared(SynchronousTestCase):
    def setUp(self) -> None:
        self.pool = make_pool(servers(""))
        self.clients = [ask(self.pool) for _ in range(3)]
        self._move(self.clients[0], 100)
        self._end(self.clients[1])

    def _move(self, client: Client, count: int) -> None:
        assert client.lease is not None
        client.lease.traffic.bytes_in += count

    def _end(self, client: Client) -> None:
        assert client.lease is not None
        client.lease.release(Ending.NORMAL)

    def counters(self) -> Any:
        return self.pool.snapshot("tcp", 2, 0).servers[0].counters

    def test_highest(self) -> None:
        """The highest values are forgotten, the sums stay."""
        self.pool.operations.clear_counters(False)
        counters = self.counters()
        self.assertEqual((counters.sessions, counters.sessions_max), (2, 0))
        self.assertEqual((counters.sessions_total, counters.bytes_in), (3, 100))

    def test_all(self) -> None:
        """All sums begin at zero, those of open sessions too; how many are open stays."""
        self.pool.operations.clear_counters(True)
        self._move(self.clients[0], 7)
        self.assertEqual(self.counters().bytes_in, 7)
        self._end(self.clients[0])
        counters = self.counters()
        self.assertEqual((counters.sessions, counters.sessions_total), (1, 0))
        self.assertEqual(counters.bytes_in, 7)


class Saved(SynchronousTestCase):
    TEXT = f"{CHECK}\nstick = src\n{servers('weight=2', '', 'disabled')}"

    def saved(self, pool: Pool) -> Any:
        """As a file would hold it."""
        return json.loads(json.dumps(pool.state()))

    def again(self, pool: Pool, text: str = "") -> Pool:
        """The next run."""
        other = make_pool(text or self.TEXT)
        other.restore(self.saved(pool))
        return other

    def test_nothing(self) -> None:
        """Of a pool as it was configured only its pins are kept."""
        self.assertEqual(self.saved(make_pool(self.TEXT)), {"pins": {}})

    def test_enabled(self) -> None:
        """A server that starts disabled, and was enabled, still is; the file may enable it, too."""
        pool = make_pool(self.TEXT)
        again = self.again(pool, self.TEXT.replace("disabled", ""))
        self.assertEqual(again.servers[2].admin, AdminState.READY)
        pool.set_admin_state("s3", AdminState.READY)
        self.assertEqual(self.again(pool).servers[2].admin, AdminState.READY)

    def test_changes(self) -> None:
        """State, weight, address and an added server are there again."""
        pool = make_pool(self.TEXT)
        pool.operations.set_weight("s1", 7)
        pool.operations.set_address("s2", Address("127.0.0.5", 2000))
        pool.set_admin_state("s2", AdminState.DRAIN)
        pool.operations.add(NEW)
        pool.set_admin_state("s9", AdminState.READY)
        again = self.again(pool)
        self.assertEqual([each.name for each in again.servers], ["s1", "s2", "s3", "s9"])
        self.assertEqual([each.weight for each in again.servers], [7, 1, 1, 2])
        self.assertEqual(again.servers[1].address, Address("127.0.0.5", 2000))
        admin = [each.admin.value for each in again.servers]
        self.assertEqual(admin, ["ready", "drain", "maint", "ready"])
        self.assertEqual(self.saved(self.again(again)), self.saved(again))

    def test_added_stays_out(self) -> None:
        """An added server that was in maintenance still is."""
        pool = make_pool(self.TEXT)
        pool.operations.add(NEW)
        self.assertEqual(self.again(pool).servers[3].admin, AdminState.MAINT)

    def test_configuration_changed(self) -> None:
        """What the file says anew wins over what was changed before."""
        pool = make_pool(self.TEXT)
        pool.operations.set_weight("s1", 7)
        pool.operations.set_address("s1", Address("127.0.0.5", 2000))
        text = self.TEXT.replace("weight=2", "weight=3").replace("127.0.0.1:1000", "127.0.0.1:1001")
        server = self.again(pool, text).servers[0]
        self.assertEqual((server.weight, server.address.port), (3, 1001))

    def test_in_the_file_now(self) -> None:
        """A server that was added, and is in the file by now, is as the file says."""
        pool = make_pool(self.TEXT)
        pool.operations.add(NEW)
        text = f"{self.TEXT}\nserver s9 = 127.0.0.9:1000 weight=5"
        (server,) = (each for each in self.again(pool, text).servers if each.name == "s9")
        self.assertEqual(server.weight, 5)
