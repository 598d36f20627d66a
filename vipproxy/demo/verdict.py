"""What was measured, judged: every promise of the demo, and whether it held."""

from __future__ import annotations

from collections.abc import Iterator

from vipproxy.demo.scenario import PATIENCE, SLOW, Findings, Scenario
from vipproxy.demo.setting import Service

CALM = 0.5
"""Seconds at the end of the outage in which all clients must be well served."""


def verdicts(scenario: Scenario) -> Iterator[tuple[str, bool]]:
    """A sentence for each promise, and whether it held."""
    for service in scenario.services:
        yield from _of_service(service, scenario)
    yield "the pin moves once, and not back", len(scenario.pins) == 2
    yield "a cookie keeps its client on one node", len(set(scenario.cookie_nodes)) <= 1
    at_the_end = {node for each in scenario.findings.values() for node in each.after}
    yield "all nodes serve at the end", at_the_end == set(scenario.nodes)


def _of_service(service: Service, scenario: Scenario) -> Iterator[tuple[str, bool]]:
    findings, dead = scenario.findings[service.name], scenario.victim
    on_dead = len(findings.held_on(dead))
    shut, kept = (on_dead, 0) if service.shuts_down else (0, on_dead)
    pin = {scenario.pins[-1]}
    expected = pin if service.pinned else set(scenario.nodes)
    for text, holds in (
        ("answers every client, before and after", not findings.unanswered),
        (f"is whole again within {PATIENCE:.0f} s", is_whole(findings, dead)),
        ("has sessions with the node that loses its power", on_dead > 0),
        (f"has {shut} sessions shut down at mark-down", findings.shut_down == shut),
        (f"keeps {kept} sessions that are silent", findings.silent == kept),
        (f"is served by {', '.join(sorted(expected))} at the end", set(findings.after) == expected),
        (
            "has one node at any time",
            not service.pinned or {ask.node for ask in findings.asks if ask.node} == pin,
        ),
    ):
        yield f"{service.name} {text}", holds


def is_whole(findings: Findings, dead: str) -> bool:
    """The last clients of the outage were all answered, and by nodes that live."""
    end = max((ask.ended for ask in findings.asks), default=0.0)
    last = [ask for ask in findings.asks if ask.ended >= end - CALM]
    return bool(last) and all(ask.node and ask.node != dead for ask in last)


def disturbed_until(findings: Findings) -> float | None:
    """The end of the last client that was not answered, or late; None without any."""
    late = [ask.ended for ask in findings.asks if not ask.node or ask.ended - ask.began >= SLOW]
    return max(late, default=None)


def slowest_end(scenario: Scenario) -> float:
    """Seconds from a service's mark-down until the last of its sessions saw the end."""
    return max(
        (
            session.ended - findings.marked_down
            for service in scenario.services
            if service.shuts_down
            for findings in [scenario.findings[service.name]]
            for session in findings.held_on(scenario.victim)
            if session.ended is not None and findings.marked_down is not None
        ),
        default=0.0,
    )
