"""What the HTTP clients send: heads as a control plane sees them, half of them with the cookie."""

from __future__ import annotations

from bench.setting import COOKIE

TOKEN = "gAAAAABl" + "Zk3xQ9vT" * 20

LUA = """\
local file = assert(io.open("{path}"))
local heads = {{}}
for head in file:read("*a"):gmatch("(.-\\r\\n\\r\\n)") do heads[#heads + 1] = head end
local at = 0
request = function()
  at = at % #heads + 1
  return heads[at]
end
done = function(summary, latency)
  local errors = summary.errors
  local form = '{{"operations": %d, "seconds": %f, "p50": %f, "p99": %f, "errors": %d}}\\n'
  io.write(form:format(
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""
"""wrk's script: the heads of the file `path` in turn, and the result as JSON."""


def heads(count: int = 64, *, close: bool = False) -> str:
    """Requests without bodies: different paths, every other one with a cookie of either server."""
    return "".join(_head(n, close) for n in range(count))


def _head(number: int, close: bool) -> str:
    lines = [
        f"GET /v2.1/servers/{number:08x}?limit=20 HTTP/1.1",
        "Host: controller.example:8774",
        "User-Agent: python-novaclient",
        "Accept: application/json",
        "Accept-Encoding: gzip, deflate",
        f"X-Auth-Token: {TOKEN}",
    ]
    if close:
        lines.append("Connection: close")
    if number % 2:
        lines.append(f"Cookie: theme=dark; {COOKIE}=s{number // 2 % 2 + 1}")
    return "\r\n".join([*lines, "", ""])
