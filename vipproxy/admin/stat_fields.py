"""HAProxy's statistics columns, 0 to 102, in its order (management guide, 9.1)."""

from __future__ import annotations

from attrs import evolve

from vipproxy.admin.fields import Field

# fmt: off
FIELDS = (
    Field("pxname", "KNS", "str", "name of the proxy"),
    Field("svname", "KNS", "str", "FRONTEND, BACKEND or the name of the server"),
    Field("qcur", "MGP", "u32", "clients waiting for a server now"),
    Field("qmax", "MMP", "u32", "most clients that waited at once"),
    Field("scur", "MGP", "u32", "sessions open now"),
    Field("smax", "MMP", "u32", "most sessions open at once"),
    Field("slim", "CLP", "u32", "sessions allowed; a backend's fullconn"),
    Field("stot", "MCP", "u64", "sessions in all"),
    Field("bin", "MCP", "u64", "bytes from clients"),
    Field("bout", "MCP", "u64", "bytes to clients"),
    Field("dreq", "MCP", "u64", "requests denied by a rule"),
    Field("dresp", "MCP", "u64", "responses denied by a rule"),
    Field("ereq", "MCP", "u64", "requests that were malformed, broken off or too slow"),
    Field("econ", "MCP", "u64", "clients that got no server"),
    Field("eresp", "MCP", "u64", "responses that failed"),
    Field("wretr", "MCP", "u64", "repeated attempts to connect"),
    Field("wredis", "MCP", "u64", "clients sent to another server after a failed connect"),
    Field("status", "SGP", "str", "state: OPEN or STOP, UP or DOWN, or what the checks found"),
    Field("weight", "MaP", "u32", "weight in effect; a backend's is that of its usable servers"),
    Field("act", "MGP", "u32", "usable active servers"),
    Field("bck", "MGP", "u32", "usable backup servers"),
    Field("chkfail", "MCP", "u64", "failed checks"),
    Field("chkdown", "MCP", "u64", "times marked down"),
    Field("lastchg", "MAP", "u32", "seconds since the last change between up and down"),
    Field("downtime", "MCP", "u32", "seconds spent down"),
    Field("qlimit", "CGS", "u32", "clients that may wait for the server"),
    Field("pid", "KGP", "u32", "number of the process, always 1"),
    Field("iid", "KGS", "u32", "number of the proxy"),
    Field("sid", "KGS", "u32", "number of the server in its backend"),
    Field("throttle", "MaP", "u32", "percents of the weight that a slow start allows"),
    Field("lbtot", "MCP", "u64", "times the balancer chose it"),
    Field("tracked", "CNS", "str", "the server whose state it follows"),
    Field("type", "CGS", "u32", "0 frontend, 1 backend, 2 server, 3 listener"),
    Field("rate", "MRP", "u32", "sessions begun in the last second"),
    Field("rate_lim", "CLP", "u32", "sessions that may begin in a second"),
    Field("rate_max", "MMP", "u32", "most sessions begun in a second"),
    Field("check_status", "MOP", "str", "what the last check found, after a * while one runs"),
    Field("check_code", "MOP", "u32", "status code that the last check got"),
    Field("check_duration", "MDP", "u64", "milliseconds that the last check took"),
    Field("hrsp_1xx", "MCP", "u64", "responses 1xx"),
    Field("hrsp_2xx", "MCP", "u64", "responses 2xx"),
    Field("hrsp_3xx", "MCP", "u64", "responses 3xx"),
    Field("hrsp_4xx", "MCP", "u64", "responses 4xx"),
    Field("hrsp_5xx", "MCP", "u64", "responses 5xx"),
    Field("hrsp_other", "MCP", "u64", "other responses"),
    Field("hanafail", "MCP", "u64", "failed checks that watching the traffic caused"),
    Field("req_rate", "MRP", "u32", "requests in the last second"),
    Field("req_rate_max", "MMP", "u32", "most requests in a second"),
    Field("req_tot", "MCP", "u64", "requests in all"),
    Field("cli_abrt", "MCP", "u64", "transfers that the client broke off"),
    Field("srv_abrt", "MCP", "u64", "transfers that the server broke off"),
    Field("comp_in", "MCP", "u64", "bytes given to the compressor"),
    Field("comp_out", "MCP", "u64", "bytes that the compressor gave"),
    Field("comp_byp", "MCP", "u64", "bytes that were not compressed, to save resources"),
    Field("comp_rsp", "MCP", "u64", "responses compressed"),
    Field("lastsess", "MAP", "s32", "seconds since the last session, -1 if there was none"),
    Field("last_chk", "MOP", "str", "the last check's own words"),
    Field("last_agt", "MOP", "str", "the last agent check's own words"),
    Field("qtime", "MaP", "u32", "average milliseconds of waiting for a server"),
    Field("ctime", "MaP", "u32", "average milliseconds of connecting"),
    Field("rtime", "MaP", "u32", "average milliseconds until the response"),
    Field("ttime", "MaP", "u32", "average milliseconds of the whole"),
    Field("agent_status", "MOP", "str", "what the last agent check found"),
    Field("agent_code", "MOP", "u32", "code that the last agent check got"),
    Field("agent_duration", "MDP", "u64", "milliseconds that the last agent check took"),
    Field("check_desc", "MOP", "str", "check_status in words"),
    Field("agent_desc", "MOP", "str", "agent_status in words"),
    Field("check_rise", "CGS", "u32", "passed checks that bring the server up"),
    Field("check_fall", "CGS", "u32", "failed checks that take the server down"),
    Field("check_health", "CGS", "u32", "from 0 to rise + fall - 1; up from rise on"),
    Field("agent_rise", "CGS", "u32", "as check_rise, of agent checks"),
    Field("agent_fall", "CGS", "u32", "as check_fall, of agent checks"),
    Field("agent_health", "CGS", "u32", "as check_health, of agent checks"),
    Field("addr", "CGS", "str", "address and port"),
    Field("cookie", "CNS", "str", "name of the backend's cookie, or the server's value in it"),
    Field("mode", "CGS", "str", "tcp or http"),
    Field("algo", "CGS", "str", "how a server is chosen"),
    Field("conn_rate", "MRP", "u32", "connections in the last second"),
    Field("conn_rate_max", "MMP", "u32", "most connections in a second"),
    Field("conn_tot", "MCP", "u64", "connections in all"),
    Field("intercepted", "MCP", "u64", "requests that the proxy answered itself"),
    Field("dcon", "MCP", "u64", "connections denied by a rule"),
    Field("dses", "MCP", "u64", "sessions denied by a rule"),
    Field("wrew", "MCP", "u64", "header changes that failed"),
    Field("connect", "MCP", "u64", "connections to servers"),
    Field("reuse", "MCP", "u64", "sessions on connections that were there already"),
    Field("cache_lookups", "MCP", "u64", "requests looked up in the cache"),
    Field("cache_hits", "MCP", "u64", "requests answered from the cache"),
    Field("srv_icur", "MGP", "u32", "idle connections to the server"),
    Field("src_ilim", "CLP", "u32", "idle connections allowed"),
    Field("qtime_max", "MMP", "u32", "most milliseconds of waiting for a server"),
    Field("ctime_max", "MMP", "u32", "most milliseconds of connecting"),
    Field("rtime_max", "MMP", "u32", "most milliseconds until the response"),
    Field("ttime_max", "MMP", "u32", "most milliseconds of the whole"),
    Field("eint", "MCP", "u64", "sessions that failed for a fault of the proxy"),
    Field("idle_conn_cur", "MGP", "u32", "idle connections that are not safe to reuse"),
    Field("safe_conn_cur", "MGP", "u32", "idle connections that are safe to reuse"),
    Field("used_conn_cur", "MGP", "u32", "connections in use"),
    Field("need_conn_est", "MGP", "u32", "estimate of the connections needed"),
    Field("uweight", "MaP", "u32", "weight as the operator set it"),
    Field("agg_server_status", "MGP", "u32", "servers by state, in /metrics"),
    Field("agg_server_check_status", "MGP", "u32", "servers by state, in /metrics"),
    Field("agg_check_status", "MGP", "u32", "servers by their last check, in /metrics"),
)
# fmt: on

COLUMNS = tuple(each.name for each in FIELDS)
FRONTEND, BACKEND, SERVER, LISTENER = 0, 1, 2, 3
"""The values of the column `type`."""

_OTHERWISE = {
    ("act", SERVER): "SGP",
    ("bck", SERVER): "SGP",
    ("rate", BACKEND): "MGP",
    ("rate_max", BACKEND): "MGP",
}
"""HAProxy tags these differently in some rows."""


def field_of(position: int, row_type: int) -> Field:
    """The column with the tags that it has in rows of a type."""
    field = FIELDS[position]
    tags = _OTHERWISE.get((field.name, row_type))
    return field if tags is None else evolve(field, tags=tags)
