"""Every keyword of the section `global`, one a line."""

from __future__ import annotations

from vipproxy.config.haproxy.keywords import Direct, Kept, Keyword, Noted, Refused, index
from vipproxy.config.haproxy.units import number, text, time

IN = "G"
SYSTEM = "the service manager does it"
TLS = "TLS is not supported yet, so there is nothing to tune"
TUNING = "buffers and engines here are others"
THREADS = "there is one process; `nbthread` has the threads of the relay"
ENVIRONMENT = Kept("the variables of the lines that follow")

SECTION = (
    Keyword("daemon", Kept("`vipproxy haproxy` goes into the background, as `twistd` does"), IN),
    Keyword("stats socket", Kept("`stats-socket`"), IN),
    Keyword("stats timeout", Direct("stats-timeout", "", time, "a time"), IN),
    Keyword("stats maxconn", Direct("stats-maxconn", "", number, "a number"), IN),
    Keyword("stats bind-process", Noted(THREADS), IN),
    Keyword("maxconn", Direct("maxconn", "", number, "a number"), IN),
    Keyword("hard-stop-after", Direct("grace", "", time, "a time"), IN),
    Keyword("nbthread", Direct("relay-threads", "", number, "a number"), IN),
    Keyword("nbproc", Noted(THREADS), IN),
    Keyword("cpu-map", Noted(THREADS), IN),
    Keyword("thread-groups", Noted(THREADS), IN),
    Keyword("thread-group", Noted(THREADS), IN),
    Keyword("numa-cpu-mapping", Noted(THREADS), IN),
    Keyword("node", Direct("node", "", text), IN),
    Keyword("description", Kept("`description`"), IN),
    Keyword("log", Kept("`log`"), IN),
    Keyword("log-tag", Direct("log-tag", "", text, "a name"), IN),
    Keyword("log-send-hostname", Noted("`format rfc3164` of a log has the name"), IN),
    Keyword("user", Noted(SYSTEM), IN),
    Keyword("group", Noted(SYSTEM), IN),
    Keyword("uid", Noted(SYSTEM), IN),
    Keyword("gid", Noted(SYSTEM), IN),
    Keyword("chroot", Noted(SYSTEM), IN),
    Keyword("pidfile", Kept("the pid file of `vipproxy haproxy`"), IN),
    Keyword("ulimit-n", Noted("the limit is raised as far as that is possible"), IN),
    Keyword("unix-bind", Refused("each bind says it for itself"), IN),
    Keyword("set-dumpable", Noted(SYSTEM), IN),
    Keyword("strict-limits", Noted("who needs more descriptors than there are is warned"), IN),
    Keyword("master-worker", Noted("one process serves, and needs no master"), IN),
    Keyword("mworker-max-reloads", Noted("one process serves, and needs no master"), IN),
    Keyword("external-check", Noted("no check runs a program"), IN),
    Keyword("insecure-fork-wanted", Noted("no check runs a program"), IN),
    Keyword("insecure-setuid-wanted", Noted("no check runs a program"), IN),
    Keyword("h1-case-adjust", Noted("names of fields keep their spelling"), IN),
    Keyword("h1-case-adjust-file", Noted("names of fields keep their spelling"), IN),
    Keyword("localpeer", Noted("there are no peers"), IN),
    Keyword("spread-checks", Noted("checks are spread"), IN),
    Keyword("max-spread-checks", Noted("checks are spread"), IN),
    Keyword("maxconnrate", Refused(), IN),
    Keyword("maxsessrate", Refused(), IN),
    Keyword("maxcompcpuusage", Noted("nothing is compressed"), IN),
    Keyword("maxcomprate", Noted("nothing is compressed"), IN),
    Keyword("maxpipes", Noted(TUNING), IN),
    Keyword("maxsslconn", Noted(TLS), IN),
    Keyword("maxsslrate", Noted(TLS), IN),
    Keyword("maxzlibmem", Noted("nothing is compressed"), IN),
    Keyword("server-state-base", Noted("`# vipproxy: state-file` keeps states"), IN),
    Keyword("server-state-file", Noted("`# vipproxy: state-file` keeps states"), IN),
    Keyword("lua-load", Refused("plugins are written in Python"), IN),
    Keyword("lua-load-per-thread", Refused("plugins are written in Python"), IN),
    Keyword("lua-prepend-path", Refused("plugins are written in Python"), IN),
    Keyword("ca-base", Noted(TLS), IN),
    Keyword("crt-base", Noted(TLS), IN),
    Keyword("ssl-dh-param-file", Noted(TLS), IN),
    Keyword("ssl-engine", Noted(TLS), IN),
    Keyword("ssl-server-verify", Noted(TLS), IN),
    Keyword("ssl-skip-self-issued-ca", Noted(TLS), IN),
    Keyword("issuers-chain-path", Noted(TLS), IN),
    Keyword("setenv", ENVIRONMENT, IN),
    Keyword("presetenv", ENVIRONMENT, IN),
    Keyword("unsetenv", ENVIRONMENT, IN),
    Keyword("resetenv", ENVIRONMENT, IN),
    Keyword("busy-polling", Noted(TUNING), IN),
    Keyword("noepoll", Noted(TUNING), IN),
    Keyword("nopoll", Noted(TUNING), IN),
    Keyword("nosplice", Noted(TUNING), IN),
    Keyword("nogetaddrinfo", Noted(TUNING), IN),
    Keyword("noreuseport", Noted(TUNING), IN),
    Keyword("quiet", Noted("`vipproxy haproxy -q` is quiet"), IN),
    Keyword("debug", Noted("the log tells what happens"), IN),
    Keyword("zero-warning", Noted("`vipproxy haproxy -dW` does it"), IN),
    Keyword("expose-experimental-directives", Noted("there are none"), IN),
)

PREFIXES = {
    "tune.": Keyword("tune.*", Noted(TUNING), IN),
    "ssl-default-": Keyword("ssl-default-*", Noted(TLS), IN),
    "httpclient.": Keyword("httpclient.*", Noted("nothing here asks other servers by itself"), IN),
    "profiling.": Keyword("profiling.*", Noted(TUNING), IN),
}
"""Families of keywords, by what they begin with."""

GLOBAL = index(SECTION)
