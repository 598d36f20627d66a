"""What the demo prints: within 100 columns, with colour only on a terminal."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import TextIO

from vipproxy.config.options import ClusterConfig
from vipproxy.demo.scenario import SLOW, Findings, Scenario
from vipproxy.demo.setting import PortTaken, Service
from vipproxy.demo.verdict import disturbed_until, slowest_end, verdicts

_CODES = {"red": "31", "green": "32", "dim": "2", "bold": "1"}
_NODE = 6
"""Columns for a node."""


class Screen:
    """Where the demo writes to."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colour = stream.isatty() and "NO_COLOR" not in os.environ

    def say(self, text: str) -> None:
        """Print a line now, also into a pipe."""
        print(text, file=self._stream, flush=True)

    def introduce(
        self, config: ClusterConfig, services: list[Service], taken: list[PortTaken]
    ) -> None:
        """What is about to run, and on which ports."""
        hosts = ", ".join(each.options.address.host for each in config.backends[0].servers)
        title = f"{len(services)} services behind {services[0].address.host}, on {hosts}"
        self.say(self._paint("bold", title))
        for port in taken:
            self.say(f"Port {port.wanted}: {port.reason}; the demo takes {port.taken} instead.")
        self.say(f"Configuration: {config.path}\n{where_to_look(config)}\n")

    def conclude(self, scenario: Scenario) -> bool:
        """The table, what it means, and the verdict: true if everything held."""
        for line in (*self._table(scenario), *_notes(scenario)):
            self.say(line)
        broken = [text for text, holds in verdicts(scenario) if not holds]
        for text in broken:
            self.say(self._paint("red", f"Did not hold: {text}."))
        if not broken:
            self.say(self._paint("green", "Everything held."))
        return not broken

    def _table(self, scenario: Scenario) -> Iterator[str]:
        """One line a service."""
        names = self._cells(scenario, {node: node[-5:] for node in scenario.nodes})
        width = _NODE * len(scenario.nodes)
        yield ""
        groups = f"{'':26}{'before':^{width}}{'sessions':>18}{'whole':>9}{'longest':>9}  "
        yield self._paint("dim", f"{groups}{'after':^{width}}".rstrip())
        columns = f"{'at mark-down':>18}{'again':>9}{'wait':>9}  "
        yield f"{'service':21}{'port':>5}{names}{self._paint('dim', columns)}{names}"
        for service in scenario.services:
            findings = scenario.findings[service.name]
            yield (
                f"{service.name:21}{service.address.port:>5}"
                f"{self._counts(scenario, findings.before)}"
                f"{_sessions(service, findings):>18}{_whole_again(scenario, findings):>9}"
                f"{_longest(findings):>9}  {self._counts(scenario, findings.after)}"
            )
        yield ""

    def _counts(self, scenario: Scenario, counts: Counter[str]) -> str:
        return self._cells(scenario, {node: str(count) for node, count in counts.items()})

    def _cells(self, scenario: Scenario, texts: dict[str, str]) -> str:
        """A column for each node; the one that died is red."""
        cells = [(node, f"{texts.get(node, '-'):>{_NODE}}") for node in scenario.nodes]
        return "".join(
            self._paint("red", cell) if node == scenario.victim else cell for node, cell in cells
        )

    def _paint(self, colour: str, text: str) -> str:
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self._colour else text


def where_to_look(config: ClusterConfig) -> str:
    """The address of the statistics page."""
    for frontend in config.frontends:
        if frontend.options.protocol.name == "stats":
            page = f"http://{frontend.options.bind[0]}{frontend.protocol_options.stats_uri}"
            return f"Statistics: {page} (the password is in the file)"
    return ""


def _notes(scenario: Scenario) -> Iterator[str]:
    """What the columns mean, and what does not fit into a row."""
    dead, pins = scenario.victim, scenario.pins
    yield "before, after: which nodes answered the clients of a service."
    yield f"sessions: those open with {dead} when it was marked down: shut down, or kept, as"
    last = f"{slowest_end(scenario) * 1000:.1f} ms"
    yield f"  configured; the last one shut down saw its end {last} after the verdict."
    yield "whole again: from the power cut to the end of the last client that got no answer, or got"
    yield f"  it after more than {SLOW * 1000:.0f} ms; longest wait: of any client for its answer."
    yield ""
    yield f"Database pin: {' -> '.join(pins)}; {dead} is back, and the pin is on {pins[-1]}."
    nodes = " and ".join(sorted(set(scenario.cookie_nodes)))
    if nodes:
        yield f"Cookie: {len(scenario.cookie_nodes)} requests of one client went to {nodes}."
    asks = [ask for each in scenario.findings.values() for ask in each.asks]
    failed = sum(not ask.node for ask in asks)
    yield f"While the node was away {len(asks)} clients came; {failed} got no answer."


def _sessions(service: Service, findings: Findings) -> str:
    if service.shuts_down:
        return f"{findings.shut_down} shut down"
    return f"{findings.silent} kept"


def _whole_again(scenario: Scenario, findings: Findings) -> str:
    until = disturbed_until(findings)
    return "at once" if until is None else f"{until - scenario.power_cut:.2f} s"


def _longest(findings: Findings) -> str:
    longest = max((ask.ended - ask.began for ask in findings.asks), default=0.0)
    return f"{longest * 1000:.0f} ms"
