"""A frontend's format, made into a function from a record to its line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from attrs import evolve

from vipproxy.config.log_options import LogFormat
from vipproxy.logs import dates, fields
from vipproxy.logs.fields import Facts, Field
from vipproxy.logs.record import Record

Line = Callable[[Record], str]


def line_of(format: LogFormat, facts: Facts) -> Line:
    """What writes the lines of a frontend."""
    if format.text == "json":
        return _json_line(facts)
    line = _text_line(format, facts)
    if not (facts.request_headers or facts.response_headers):
        return line
    without_captures = _text_line(format, evolve(facts, request_headers=(), response_headers=()))
    return lambda record: line(record) if record.request else without_captures(record)


def _text_line(format: LogFormat, facts: Facts) -> Line:
    """Blanks are merged, as in HAProxy: a variable without anything to say leaves no gap.

    So it is with captures where there are none, or no request that anything was captured of.
    """
    template, found = "", list[Field]()
    for part in format.parts:
        if isinstance(part, str):
            template += part.replace("%", "%%")
        else:
            several = fields.fields_of(part, facts)
            template += " ".join("%s" for _ in several)
            found += several
    template = re.sub(" +", " ", template).strip()
    return lambda record: template % tuple([field(record) for field in found])


def _json_line(facts: Facts) -> Line:
    headers = {
        "captured_request_headers": _Headers(facts.request_headers),
        "captured_response_headers": _Headers(facts.response_headers),
    }
    request_cookie = fields.captured_cookie(facts.cookie, "cookie")
    response_cookie = fields.captured_cookie(facts.cookie, "set-cookie")

    def line(record: Record) -> str:
        values = _values(record, facts)
        if record.status != -1 or record.request:
            values |= _http_values(record)
        for (key, read), lines in zip(
            headers.items(), (record.request, record.response), strict=True
        ):
            if read.names:
                values[key] = read(lines)
        if facts.cookie is not None:
            values["captured_request_cookie"] = request_cookie(record.request)
            values["captured_response_cookie"] = response_cookie(record.response)
        return json.dumps(values, separators=(",", ":"))

    return line


class _Headers:
    """Captured headers by name."""

    def __init__(self, captures: fields.Captures) -> None:
        self.names = [name for name, _ in captures]
        self._read = fields.captured(captures)

    def __call__(self, lines: bytes) -> dict[str, str]:
        return dict(zip(self.names, self._read(lines), strict=True))


def _time(milliseconds: int) -> int | None:
    return None if milliseconds < 0 else milliseconds


def _values(record: Record, facts: Facts) -> dict[str, Any]:
    """What TCP has, too."""
    lease = record.lease
    return {
        "time": dates.exact_iso_date(record.began_at),
        "client_ip": record.client.host,
        "client_port": record.client.port,
        "frontend": facts.frontend,
        "backend": record.backend.name if record.backend else None,
        "server": lease.server.name if lease else None,
        "Tw": _time(fields.queue_time(record)),
        "Tc": _time(fields.connect_time(record)),
        "Tt": fields.total_time(record),
        "bytes_read": record.bytes_out,
        "bytes_uploaded": record.bytes_in,
        "termination_state": fields.termination(record),
        "actconn": record.process_sessions,
        "feconn": record.frontend_sessions,
        "beconn": record.backend_sessions,
        "srv_conn": record.server_sessions,
        "retries": record.retries,
        "redispatched": record.redispatched,
        "srv_queue": record.server_queue,
        "backend_queue": record.backend_queue,
        "final": not record.early,
    }


def _http_values(record: Record) -> dict[str, Any]:
    method, target, version = fields.request_parts(record)
    return {
        "Ti": fields.idle_time(record),
        "TR": _time(fields.request_time(record)),
        "Tr": _time(fields.response_time(record)),
        "Ta": fields.active_time(record),
        "status": _time(record.status),
        "method": method,
        "uri": target,
        "version": version,
        "termination_state": fields.termination_and_cookies(record),
    }
