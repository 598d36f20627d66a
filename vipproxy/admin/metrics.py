"""The metrics of HAProxy 2.6's exporter, in its order, and the facts or columns that they show."""

from __future__ import annotations

from typing import Final

# fmt: off
PROCESS: Final = (
    ("nbthread", "Nbthread"), ("nbproc", "Nbproc"), ("relative_process_id", "Process_num"),
    ("uptime_seconds", "Uptime_sec"), ("pool_failures_total", "PoolFailed"),
    ("max_fds", "Ulimit-n"), ("max_sockets", "Maxsock"), ("max_connections", "Maxconn"),
    ("hard_max_connections", "Hard_maxconn"), ("current_connections", "CurrConns"),
    ("connections_total", "CumConns"), ("requests_total", "CumReq"),
    ("max_ssl_connections", "MaxSslConns"), ("current_ssl_connections", "CurrSslConns"),
    ("ssl_connections_total", "CumSslConns"), ("max_pipes", "Maxpipes"),
    ("pipes_used_total", "PipesUsed"), ("pipes_free_total", "PipesFree"),
    ("current_connection_rate", "ConnRate"), ("limit_connection_rate", "ConnRateLimit"),
    ("max_connection_rate", "MaxConnRate"), ("current_session_rate", "SessRate"),
    ("limit_session_rate", "SessRateLimit"), ("max_session_rate", "MaxSessRate"),
    ("current_ssl_rate", "SslRate"), ("limit_ssl_rate", "SslRateLimit"),
    ("max_ssl_rate", "MaxSslRate"), ("current_frontend_ssl_key_rate", "SslFrontendKeyRate"),
    ("max_frontend_ssl_key_rate", "SslFrontendMaxKeyRate"),
    ("frontend_ssl_reuse", "SslFrontendSessionReuse_pct"),
    ("current_backend_ssl_key_rate", "SslBackendKeyRate"),
    ("max_backend_ssl_key_rate", "SslBackendMaxKeyRate"),
    ("ssl_cache_lookups_total", "SslCacheLookups"), ("ssl_cache_misses_total", "SslCacheMisses"),
    ("http_comp_bytes_in_total", "CompressBpsIn"), ("http_comp_bytes_out_total", "CompressBpsOut"),
    ("limit_http_comp", "CompressBpsRateLim"), ("current_zlib_memory", "ZlibMemUsage"),
    ("max_zlib_memory", "MaxZlibMemUsage"), ("current_tasks", "Tasks"),
    ("current_run_queue", "Run_queue"), ("idle_time_percent", "Idle_pct"),
    ("stopping", "Stopping"), ("jobs", "Jobs"), ("unstoppable_jobs", "Unstoppable Jobs"),
    ("listeners", "Listeners"), ("active_peers", "ActivePeers"),
    ("connected_peers", "ConnectedPeers"), ("dropped_logs_total", "DroppedLogs"),
    ("busy_polling_enabled", "BusyPolling"), ("failed_resolutions", "FailedResolutions"),
    ("bytes_out_total", "TotalBytesOut"), ("spliced_bytes_out_total", "TotalSplicdedBytesOut"),
    ("bytes_out_rate", "BytesOutRate"), ("recv_logs_total", "CumRecvLogs"),
    ("build_info", "Build info"), ("max_memory_bytes", "Memmax_bytes"),
    ("pool_allocated_bytes", "PoolAlloc_bytes"), ("pool_used_bytes", "PoolUsed_bytes"),
    ("start_time_seconds", "Start_time_sec"),
)

FRONTEND: Final = (
    ("current_sessions", "scur"), ("max_sessions", "smax"), ("limit_sessions", "slim"),
    ("sessions_total", "stot"), ("bytes_in_total", "bin"), ("bytes_out_total", "bout"),
    ("requests_denied_total", "dreq"), ("responses_denied_total", "dresp"),
    ("request_errors_total", "ereq"), ("status", "status"), ("limit_session_rate", "rate_lim"),
    ("max_session_rate", "rate_max"), ("http_responses_total", "hrsp_1xx"),
    ("http_requests_rate_max", "req_rate_max"), ("http_requests_total", "req_tot"),
    ("http_comp_bytes_in_total", "comp_in"), ("http_comp_bytes_out_total", "comp_out"),
    ("http_comp_bytes_bypassed_total", "comp_byp"), ("http_comp_responses_total", "comp_rsp"),
    ("connections_rate_max", "conn_rate_max"), ("connections_total", "conn_tot"),
    ("intercepted_requests_total", "intercepted"), ("denied_connections_total", "dcon"),
    ("denied_sessions_total", "dses"), ("failed_header_rewriting_total", "wrew"),
    ("http_cache_lookups_total", "cache_lookups"), ("http_cache_hits_total", "cache_hits"),
    ("internal_errors_total", "eint"),
)

_TIMES: Final = (
    ("queue_time_average_seconds", "qtime"), ("connect_time_average_seconds", "ctime"),
    ("response_time_average_seconds", "rtime"), ("total_time_average_seconds", "ttime"),
)
_LONGEST: Final = (
    ("max_queue_time_seconds", "qtime_max"), ("max_connect_time_seconds", "ctime_max"),
    ("max_response_time_seconds", "rtime_max"), ("max_total_time_seconds", "ttime_max"),
)
_SESSIONS: Final = (
    ("current_queue", "qcur"), ("max_queue", "qmax"), ("current_sessions", "scur"),
    ("max_sessions", "smax"), ("limit_sessions", "slim"), ("sessions_total", "stot"),
    ("bytes_in_total", "bin"), ("bytes_out_total", "bout"),
)
_ERRORS: Final = (
    ("responses_denied_total", "dresp"), ("connection_errors_total", "econ"),
    ("response_errors_total", "eresp"), ("retry_warnings_total", "wretr"),
    ("redispatch_warnings_total", "wredis"), ("status", "status"), ("weight", "weight"),
)
_CONNECTS: Final = (
    ("failed_header_rewriting_total", "wrew"), ("connection_attempts_total", "connect"),
    ("connection_reuses_total", "reuse"),
)

BACKEND: Final = (
    *_SESSIONS,
    ("requests_denied_total", "dreq"),
    *_ERRORS,
    ("active_servers", "act"), ("backup_servers", "bck"), ("check_up_down_total", "chkdown"),
    ("check_last_change_seconds", "lastchg"), ("downtime_seconds_total", "downtime"),
    ("loadbalanced_total", "lbtot"), ("max_session_rate", "rate_max"),
    ("http_responses_total", "hrsp_1xx"), ("http_requests_total", "req_tot"),
    ("client_aborts_total", "cli_abrt"), ("server_aborts_total", "srv_abrt"),
    ("http_comp_bytes_in_total", "comp_in"), ("http_comp_bytes_out_total", "comp_out"),
    ("http_comp_bytes_bypassed_total", "comp_byp"), ("http_comp_responses_total", "comp_rsp"),
    ("last_session_seconds", "lastsess"),
    *_TIMES, *_CONNECTS,
    ("http_cache_lookups_total", "cache_lookups"), ("http_cache_hits_total", "cache_hits"),
    *_LONGEST,
    ("internal_errors_total", "eint"), ("uweight", "uweight"),
    ("agg_server_status", "agg_server_status"),
    ("agg_server_check_status", "agg_server_check_status"),
    ("agg_check_status", "agg_check_status"),
)

SERVER: Final = (
    *_SESSIONS, *_ERRORS,
    ("check_failures_total", "chkfail"), ("check_up_down_total", "chkdown"),
    ("check_last_change_seconds", "lastchg"), ("downtime_seconds_total", "downtime"),
    ("queue_limit", "qlimit"), ("current_throttle", "throttle"), ("loadbalanced_total", "lbtot"),
    ("max_session_rate", "rate_max"), ("check_status", "check_status"),
    ("check_code", "check_code"), ("check_duration_seconds", "check_duration"),
    ("http_responses_total", "hrsp_1xx"), ("client_aborts_total", "cli_abrt"),
    ("server_aborts_total", "srv_abrt"), ("last_session_seconds", "lastsess"),
    *_TIMES, *_CONNECTS,
    ("idle_connections_current", "srv_icur"), ("idle_connections_limit", "src_ilim"),
    *_LONGEST,
    ("internal_errors_total", "eint"), ("unsafe_idle_connections_current", "idle_conn_cur"),
    ("safe_idle_connections_current", "safe_conn_cur"),
    ("used_connections_current", "used_conn_cur"),
    ("need_connections_current", "need_conn_est"), ("uweight", "uweight"),
)

HTTP_ONLY: Final = frozenset({
    "hrsp_1xx", "req_tot", "req_rate_max", "comp_in", "comp_out", "comp_byp", "comp_rsp",
    "intercepted", "cache_lookups", "cache_hits",
})
"""Columns that HAProxy exports of HTTP proxies alone."""
MILLISECONDS: Final = frozenset({
    "check_duration", "qtime", "ctime", "rtime", "ttime", "qtime_max", "ctime_max", "rtime_max",
    "ttime_max",
})
"""Columns in milliseconds: metrics are in seconds."""
RESPONSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx", "other")
SERVER_STATES: Final = ("DOWN", "UP", "MAINT", "DRAIN", "NOLB")
CHECK_STATES: Final = (
    "HANA", "SOCKERR", "L4OK", "L4TOUT", "L4CON", "L6OK", "L6TOUT", "L6RSP", "L7TOUT", "L7RSP",
    "L7OK", "L7OKC", "L7STS", "PROCERR", "PROCTOUT", "PROCOK",
)
# fmt: on


def type_of(name: str) -> str:
    """Counters are named so, but for one."""
    counts = name.endswith("_total") or name == "failed_resolutions"
    return "counter" if counts else "gauge"
