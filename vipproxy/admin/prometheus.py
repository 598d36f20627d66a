"""The statistics in Prometheus' text format 0.0.4, with the names and labels of HAProxy's exporter.

A metric that does not mean anything for a row is NaN, as there; one that means something in HTTP
alone is left out for TCP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from attrs import frozen

from vipproxy.admin import metrics
from vipproxy.admin.columns import Row, backend_row, frontend_row, proxies, server_row
from vipproxy.admin.info import info
from vipproxy.admin.info_fields import FIELDS as INFO_FIELDS
from vipproxy.admin.stat_fields import FIELDS as STAT_FIELDS
from vipproxy.values import AdminState, BackendSnapshot, ClusterSnapshot, ServerSnapshot

CONTENT_TYPE = "text/plain; version=0.0.4"
SCOPES = ("global", "frontend", "backend", "server", "listener", "sticktable")

Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, Any]
_Entry = tuple[Labels, Row, Any]
"""The labels of a row, the row, and the snapshot that it was made of."""

_TEXTS = {each.name: each.text for each in (*INFO_FIELDS, *STAT_FIELDS)}
_NAN = "NaN"


@frozen
class Scrape:
    """What a scraper asks for: `scopes` are parts of `SCOPES`."""

    scopes: frozenset[str] = frozenset(SCOPES)
    no_maint: bool = False

    @classmethod
    def parse(cls, query: str) -> Scrape:
        """``scope=server&no-maint``; raises ValueError for an unknown scope.

        An empty scope takes nothing, ``*`` everything; later ones add to it.
        """
        words = parse_qsl(query, keep_blank_values=True)
        scopes: set[str] = set()
        for name in (value for key, value in words if key == "scope"):
            if name not in ("", "*", *SCOPES):
                raise ValueError(f"unknown scope '{name}'")
            scopes |= set(SCOPES) if name == "*" else {name} - {""}
        asked = any(key == "scope" for key, _ in words)
        no_maint = any(key == "no-maint" for key, _ in words)
        return cls(frozenset(scopes) if asked else frozenset(SCOPES), no_maint)


def as_metrics(snapshot: ClusterSnapshot, scrape: Scrape | None = None) -> str:
    """The exposition, metric by metric."""
    scrape = scrape or Scrape()
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "global": lambda: _process(snapshot),
        "frontend": lambda: _rows("frontend", metrics.FRONTEND, _frontends(snapshot)),
        "backend": lambda: _rows("backend", metrics.BACKEND, _backends(snapshot)),
        "server": lambda: _rows("server", metrics.SERVER, _servers(snapshot, scrape.no_maint)),
        "sticktable": lambda: _stick_tables(snapshot),
    }
    return "".join(line for name in parts if name in scrape.scopes for line in parts[name]())


def _process(snapshot: ClusterSnapshot) -> Iterator[str]:
    values = {each.field.name: each.value for each in info(snapshot)}
    for name, key in metrics.PROCESS:
        sample: Sample = ((), values.get(key, _NAN))
        if name == "build_info":
            sample = ((("version", str(values[key])),), 1)
        yield from _metric(f"haproxy_process_{name}", name, _TEXTS[key], [sample])


def _frontends(snapshot: ClusterSnapshot) -> list[_Entry]:
    return [
        ((("proxy", each.name),), frontend_row(each, snapshot.now), each)
        for each in proxies(snapshot)
        if not isinstance(each, BackendSnapshot)
    ]


def _pools(snapshot: ClusterSnapshot) -> list[BackendSnapshot]:
    return [each for each in proxies(snapshot) if isinstance(each, BackendSnapshot)]


def _backends(snapshot: ClusterSnapshot) -> list[_Entry]:
    return [
        ((("proxy", each.name),), backend_row(each, snapshot.now), each)
        for each in _pools(snapshot)
    ]


def _servers(snapshot: ClusterSnapshot, no_maint: bool) -> list[_Entry]:
    return [
        ((("proxy", pool.name), ("server", each.name)), server_row(pool, each, snapshot.now), each)
        for pool in _pools(snapshot)
        for each in pool.servers
        if not (no_maint and each.admin is AdminState.MAINT)
    ]


def _rows(kind: str, table: Sequence[tuple[str, str]], entries: Sequence[_Entry]) -> Iterator[str]:
    for name, column in table:
        samples_of = _SPECIAL.get((kind, column), _SPECIAL.get(("", column)))
        samples = (
            [sample for entry in entries for sample in samples_of(*entry)]
            if samples_of is not None
            else list(_plain(column, entries))
        )
        yield from _metric(f"haproxy_{kind}_{name}", name, _TEXTS[column], samples)


def _plain(column: str, entries: Sequence[_Entry]) -> Iterator[Sample]:
    for labels, row, _ in entries:
        if not (column in metrics.HTTP_ONLY and row["mode"] != "http"):
            yield labels, _scaled(column, row.get(column, _NAN))


def _scaled(column: str, value: Any) -> Any:
    return value / 1000 if column in metrics.MILLISECONDS and value != _NAN else value


# -- metrics with a label more ---------------------------------------------------------------------


def _up_or_down(labels: Labels, row: Row, made_of: Any) -> Iterator[Sample]:
    up = row["status"] in ("OPEN", "UP")
    yield from _states(labels, {"DOWN": not up, "UP": up})


def _responses(labels: Labels, row: Row, made_of: Any) -> Iterator[Sample]:
    if row["mode"] == "http":
        for code in metrics.RESPONSES:
            yield (*labels, ("code", code)), row[f"hrsp_{code}"]


def _server_status(labels: Labels, row: Row, server: ServerSnapshot) -> Iterator[Sample]:
    now = state_of(server)
    yield from _states(labels, {state: state == now for state in metrics.SERVER_STATES})


def _check_status(labels: Labels, row: Row, server: ServerSnapshot) -> Iterator[Sample]:
    """Servers that are not checked have none."""
    if server.checked and server.admin is not AdminState.MAINT:
        now = _last_status(server)
        yield from _states(labels, {state: state == now for state in metrics.CHECK_STATES})


def _last_check(column: str) -> Callable[[Labels, Row, ServerSnapshot], Iterator[Sample]]:
    """Left out for servers without a check that could tell."""

    def samples(labels: Labels, row: Row, server: ServerSnapshot) -> Iterator[Sample]:
        if column in row:
            yield labels, _scaled(column, row[column])

    return samples


def _servers_by_state(labels: Labels, row: Row, pool: BackendSnapshot) -> Iterator[Sample]:
    found = [state_of(each) for each in pool.servers]
    yield from _counts(labels, metrics.SERVER_STATES, found)


def _servers_by_check(labels: Labels, row: Row, pool: BackendSnapshot) -> Iterator[Sample]:
    found = [_last_status(each) for each in pool.servers if each.checked]
    yield from _counts(labels, metrics.CHECK_STATES, found)


_SPECIAL: Mapping[tuple[str, str], Callable[..., Iterator[Sample]]] = {
    ("frontend", "status"): _up_or_down,
    ("backend", "status"): _up_or_down,
    ("server", "status"): _server_status,
    ("server", "check_status"): _check_status,
    ("server", "check_code"): _last_check("check_code"),
    ("server", "check_duration"): _last_check("check_duration"),
    ("", "hrsp_1xx"): _responses,
    ("backend", "agg_server_status"): _servers_by_state,
    ("backend", "agg_server_check_status"): _servers_by_state,
    ("backend", "agg_check_status"): _servers_by_check,
}


def state_of(server: ServerSnapshot) -> str:
    """One of `metrics.SERVER_STATES`."""
    if server.admin is AdminState.MAINT:
        return "MAINT"
    if not server.up:
        return "DOWN"
    word = server.status.partition(" ")[0]
    return word if word in metrics.SERVER_STATES else "UP"


def _last_status(server: ServerSnapshot) -> str:
    return "" if server.last_check is None else server.last_check.status.value


def _states(labels: Labels, states: Mapping[str, bool]) -> Iterator[Sample]:
    for state, holds in states.items():
        yield (*labels, ("state", state)), int(holds)


def _counts(labels: Labels, states: Sequence[str], found: Sequence[str]) -> Iterator[Sample]:
    if found:
        for state in states:
            yield (*labels, ("state", state)), found.count(state)


def _stick_tables(snapshot: ClusterSnapshot) -> Iterator[str]:
    tables = [each for each in _pools(snapshot) if each.stick_size]
    labels: list[Labels] = [(("name", each.name), ("type", "ip")) for each in tables]
    sizes = zip(labels, (each.stick_size for each in tables), strict=True)
    used = zip(labels, (len(each.pins) for each in tables), strict=True)
    yield from _metric("haproxy_sticktable_size", "size", "entries that the table can hold", sizes)
    yield from _metric("haproxy_sticktable_used", "used", "entries in the table", used)


# -- the format ------------------------------------------------------------------------------------


def _metric(full_name: str, name: str, text: str, samples: Iterable[Sample]) -> Iterator[str]:
    samples = list(samples)
    if samples:
        yield f"# HELP {full_name} {text}\n# TYPE {full_name} {metrics.type_of(name)}\n"
    for labels, value in samples:
        yield f"{full_name}{_labels(labels)} {value}\n"


def _labels(labels: Labels) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
