"""What a verdict means for everybody; each is carried out whole before anything else runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from vipproxy.backends import words
from vipproxy.backends.operations import fresh_ledger
from vipproxy.backends.server import Server
from vipproxy.interfaces import Health, IObserver
from vipproxy.values import Address, AdminState, CheckResult, Ending

if TYPE_CHECKING:
    from vipproxy.backends.pool import Pool

log = Logger()


class Verdicts:
    """Judges the servers of one pool by their checks and the operator's wishes."""

    def __init__(self, pool: Pool, clock: IReactorTime, observer: IObserver) -> None:
        self._pool, self._clock, self._observer = pool, clock, observer

    # -- of checks

    def observe(self, server: Server, result: CheckResult) -> None:
        """Write a check, or what counts as one, into the ledger."""
        ledger, before = server.ledger, server.last_check
        assert ledger is not None
        health = ledger.health
        server.last_check = result
        server.failed_checks += not result.passed
        if result.passed and server.stopping:
            server.stopping = False
            self._rose(server, f"is UP{words.reason(result)}", counted=True)
        passed = result.passed or (result.last_resort and self._alone(server))
        flipped = ledger.observe(passed, self._clock.seconds(), result.conclusive)
        news = before is None or before.status is not result.status or ledger.health != health
        why = self._tell_check(server, result, passed, news, flipped)
        if flipped and server.up:
            self._rose(server, f"is UP{why}", counted=True)
            self._relieve_backups(server)
        elif flipped:
            self._fell(server, f"is DOWN{why}")

    def _alone(self, server: Server) -> bool:
        """No other server can serve, or might after its first verdict."""
        others = (each for each in self._pool.servers if each is not server)
        return not any(each.usable or each.unjudged for each in others)

    def _tell_check(
        self, server: Server, result: CheckResult, passed: bool, news: bool, flipped: bool
    ) -> str:
        """Tell of a check what is to be told; the reason that is still to be given for a flip.

        A failed check is told even where it decides nothing: slow is not failed.
        """
        told = self._pool.options.log_health_checks
        line = words.check_line(self._pool.name, server, result, passed)
        if told and news:
            self._tell(server.name, line, "notice")
        elif not flipped and not passed and server.up:
            self._tell(server.name, line, "warning")
        return "" if told else words.reason(result)

    # -- of the operator

    def set_admin_state(self, server: Server, state: AdminState) -> None:
        """Carry out a wish that is news."""
        before, server.admin = server.admin, state
        if state is AdminState.MAINT:
            self._fell(server, "is going DOWN for maintenance")
        elif before is AdminState.MAINT:
            self._back_from_maintenance(server)
        elif state is AdminState.DRAIN:
            self._rose(server, "enters drain state", counted=True)
        else:
            self._rose(server, f"is {'UP' if server.up else 'DOWN'} (leaving forced drain)")

    def _back_from_maintenance(self, server: Server) -> None:
        """What was known of its health is stale: it waits for a verdict, as after a start."""
        server.ledger = fresh_ledger(self._pool, server)
        health = "UP" if server.up else "DOWN"
        self._rose(server, f"is {health}/READY (leaving forced maintenance)")
        self._pool.monitor.hurry(server)

    def set_health(self, server: Server, health: Health) -> None:
        """What the operator says of it holds until its next check."""
        was_up = server.up
        server.stopping = health is Health.STOPPING
        if server.ledger is None:
            server.said_down = health is Health.DOWN
        else:
            server.ledger.set(health is not Health.DOWN)
        if health is Health.STOPPING:
            self._rose(server, "is stopping")
        elif not server.up:
            self._fell(server, "is DOWN")
        elif not was_up:
            self._rose(server, "is UP")
        else:
            self._changed(server)

    def moved(self, server: Server, address: Address) -> None:
        """It is another machine: sessions of a pin that all share end before the next begins."""
        pool, before, server.address = self._pool, server.address, address
        if pool.pins is not None and pool.pins.exclusive:
            self._settle(server)
            self._end_sessions(server, Ending.KILLED)
        server.ledger = fresh_ledger(pool, server)
        self.refresh(server)
        for watcher in pool.watchers:
            watcher.server_fell(server)
        self._announce(server, f"changed its address from {before} to {address}", "notice")
        pool.serve_all()

    def shut_sessions(self, server: Server) -> None:
        self._settle(server)
        self._end_sessions(server, Ending.KILLED)
        self._pool.serve_all()

    # -- carried out

    def refresh(self, server: Server) -> None:
        """Find out again who is usable, after a server has changed."""
        pool, now = self._pool, self._clock.seconds()
        pool.selection.refresh()
        server.availability.update(server.up and server.admin is not AdminState.MAINT, now)
        pool.availability.update(bool(pool.selection.usable), now)

    def _fell(self, server: Server, text: str) -> None:
        """Shut its sessions down, then move its pins, then serve who waits."""
        had_usable = bool(self._pool.selection.usable)
        server.suspect = False
        self.refresh(server)
        self._settle(server)
        sessions, requeued = sum(each.established for each in server.leases), len(server.queue)
        if self._shuts_sessions_down(server):
            self._end_sessions(server, Ending.MARKED_DOWN)
        for watcher in self._pool.watchers:
            watcher.server_fell(server)
        self._let_go(server, self._pool.selection.successor())
        left = words.left(self._pool.servers, sessions, requeued)
        self._announce(server, text + left, "alert")
        self._tell_if_none(had_usable)
        self._pool.serve_all()

    def _changed(self, server: Server) -> None:
        self.refresh(server)
        self._pool.serve_all()

    def _shuts_sessions_down(self, server: Server) -> bool:
        own = server.config.options.on_marked_down
        if own is None:
            return self._pool.options.shuts_sessions_down
        return own == "shutdown-sessions"

    def _rose(self, server: Server, text: str, counted: bool = False) -> None:
        """More may be possible than before; or, as it is drained, nothing at all."""
        had_usable = bool(self._pool.selection.usable)
        self.refresh(server)
        if counted:
            queue = self._pool.selection.queue
            text += words.online(self._pool.servers, len(server.queue), len(queue))
        self._announce(server, text, "notice")
        self._tell_if_none(had_usable)
        self._pool.serve_all()

    def _settle(self, server: Server) -> None:
        """Whom it has accepted before we knew has a session; the others go elsewhere after all
        sessions have ended."""
        for lease in list(server.leases):
            lease.settle()

    def _end_sessions(self, server: Server, ending: Ending) -> int:
        """End its sessions, but not yet the attempts to connect, which begin anew elsewhere."""
        sessions = [lease for lease in server.leases if lease.established]
        for lease in sessions:
            lease.revoke(ending)
        return len(sessions)

    def _let_go(self, server: Server, heir: Server | None) -> None:
        """Its pins move to the heir; whoever is still connecting has sent nothing, and goes on."""
        pool = self._pool
        if pool.pins is not None and pool.pins.move(server.name, heir.name if heir else None):
            pool.state_changed()
        for lease in [lease for lease in server.leases if not lease.established]:
            lease.revoke(Ending.MARKED_DOWN)

    def _relieve_backups(self, server: Server) -> None:
        """An active server is back: its stand-ins' sessions end where that is configured."""
        if self._pool.options.on_marked_up == "shutdown-backup-sessions" and not server.backup:
            for backup in self._pool.servers:
                if backup.backup:
                    self._relieve(backup, server)
            self._pool.serve_all()

    def _relieve(self, backup: Server, server: Server) -> None:
        closed = self._end_sessions(backup, Ending.BACKUP_RELIEVED)
        if closed:
            text = f"is relieved by {server.name}. {closed} sessions shut down"
            self._announce(backup, text, "notice")

    def fail_back(self) -> None:
        """Where the operator wants it (`after=`), a better server gets an exclusive pin back."""
        pool, policy = self._pool, self._pool.options.fail_back
        if pool.pins is None or policy is None or policy.after is None:
            return
        best, holder = pool.selection.successor(), pool.pins.holder()
        if best is None or holder is None or best.name == holder:
            return
        if best.availability.changed_at + policy.after <= self._clock.seconds():
            self.hand_over(holder, best, "fail-back")

    def hand_over(self, holder: str, best: Server, why: str) -> None:
        """In the same order as at a mark-down: at no instant do two servers have sessions."""
        old, closed = self._pool.selection.named(holder), 0
        if old is not None:
            self._settle(old)
            closed = self._end_sessions(old, Ending.KILLED)
            self._let_go(old, best)
        text = f"takes over from {holder} ({why}). {closed} sessions shut down"
        self._announce(best, text, "notice")
        self._pool.serve_all()

    # -- told

    def _tell_if_none(self, had_usable: bool) -> None:
        if had_usable and not self._pool.selection.usable:
            self._tell("", f"backend {self._pool.name} has no server available!", "emerg")

    def _announce(self, server: Server, text: str, severity: str) -> None:
        subject = words.subject(self._pool.name, server)
        self._tell(server.name, f"{subject} {text}.", severity)

    def _tell(self, server: str, text: str, severity: str) -> None:
        levels = {"emerg": log.critical, "alert": log.error, "warning": log.warn}
        levels.get(severity, log.info)("{text}", text=text)
        self._observer.server_changed(self._pool.name, server, text, severity)
