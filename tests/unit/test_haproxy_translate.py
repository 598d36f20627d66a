"""What statements of a haproxy.cfg come to, as INI."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.haproxy_cfg import heads, load_cfg, said
from vipproxy.config.document import Setting

HEAD = "defaults\n timeout connect 5s\n timeout client 1m\n timeout server 1m\n"
FRONT = "frontend f\n bind :8080\n default_backend b\n"
SERVER = " server s1 127.0.0.1:81 check\n"


def settings(text: str, kind: str) -> list[Setting]:
    (section,) = (each for each in load_cfg(text).document.sections if each.kind == kind)
    return [each for each in section.settings if not each.implied]


def backend(*lines: str, servers: str = SERVER, mode: str = "tcp") -> dict[str, str]:
    """The settings of a backend with these lines."""
    body = "".join(f" {line}\n" for line in lines)
    head = HEAD + f" mode {mode}\n"
    found = settings(f"{head}{FRONT}backend b\n{body}{servers}", "backend")
    return {each.key: each.value for each in found}


def steps(*lines: str) -> list[str]:
    """The steps of the check of a backend with these lines."""
    body = "".join(f" {line}\n" for line in lines)
    found = settings(f"{HEAD}{FRONT}backend b\n{body}{SERVER}", "backend")
    return [each.value for each in found if each.key in ("tcp-check", "http-check")]


def servers(*lines: str, before: str = "") -> list[str]:
    """The values of the servers of these lines."""
    body = "".join(f" server {line}\n" for line in lines)
    found = settings(f"{HEAD}{FRONT}backend b\n{before}{body}", "backend")
    return [each.value for each in found if each.key.startswith("server ")]


def frontend(*lines: str, mode: str = "http", defaults: str = "") -> dict[str, str]:
    body = "".join(f" {line}\n" for line in lines)
    head = HEAD + f" mode {mode}\n" + defaults
    found = settings(f"{head}frontend f\n{body}backend b\n{SERVER}", "frontend")
    return {each.key: each.value for each in found}


class ServerTests(SynchronousTestCase):
    def test_words(self) -> None:
        """Each word of a server line has its own here."""
        self.assertEqual(
            servers("a 10.0.0.1:80 weight 3 maxconn 9 backup disabled", "b [::1]:80"),
            ["10.0.0.1:80 weight=3 maxconn=9 backup disabled", "[::1]:80"],
        )

    def test_checks(self) -> None:
        """What all servers say is the check's, what some say is theirs."""
        lines = (
            "a 10.0.0.1:80 check inter 1s port 9200 rise 3",
            "b 10.0.0.2:80 check inter 1s port 9200 rise 3",
            "c 10.0.0.3:80 check inter 5s port 9200 fall 4 addr 10.0.0.9",
            "d 10.0.0.4:80",
        )
        body = "".join(f" server {line}\n" for line in lines)
        found = backend(servers=body)
        self.assertEqual(found["check"], "tcp interval=1s port=9200 hold-down=0s")
        self.assertEqual(
            [found[f"server {name}"] for name in "abcd"],
            [
                "10.0.0.1:80 rise=3",
                "10.0.0.2:80 rise=3",
                "10.0.0.3:80 check-addr=10.0.0.9 interval=5s fall=4",
                "10.0.0.4:80 check=off",
            ],
        )

    def test_default_server(self) -> None:
        """default-server speaks for the servers after it, in defaults for all."""
        before = " default-server check inter 3s weight 2\n"
        lines = ("a 10.0.0.1:80", "b 10.0.0.2:80 weight 5 no-check")
        self.assertEqual(
            servers(*lines, before=before),
            ["10.0.0.1:80 weight=2", "10.0.0.2:80 weight=5 check=off"],
        )
        text = f"{HEAD} default-server inter 3s fall 9\n{FRONT}backend b\n{SERVER}"
        found = {each.key: each.value for each in settings(text, "backend")}
        self.assertEqual(found["check"], "tcp interval=3s fall=9 hold-down=0s")

    def test_proxy_headers(self) -> None:
        """send-proxy is the backend's where all say the same, else the server's."""
        both = " server a 10.0.0.1:80 send-proxy\n server b 10.0.0.2:80 send-proxy\n"
        self.assertEqual(backend(servers=both)["send-proxy"], "v1")
        found = servers("a 10.0.0.1:80 send-proxy-v2", "b 10.0.0.2:80")
        self.assertEqual(found, ["10.0.0.1:80 send-proxy=v2", "10.0.0.2:80"])

    def test_marks(self) -> None:
        """on-marked-down is the backend's where all say the same, else the server's."""
        mark = "on-marked-down shutdown-sessions"
        both = f" server a 10.0.0.1:80 check {mark}\n server b 10.0.0.2:80 check {mark}\n"
        self.assertEqual(backend(servers=both)["on-marked-down"], "shutdown-sessions")
        one = f" server a 10.0.0.1:80 check {mark}\n server b 10.0.0.2:80 check\n"
        found = backend(servers=one)
        self.assertNotIn("on-marked-down", found)
        self.assertEqual(found["server a"], "10.0.0.1:80 on-marked-down=shutdown-sessions")

    def test_port_of_client(self) -> None:
        """A server without a port has that of the only bind of its section."""
        text = f"{HEAD}listen l\n bind 127.0.0.1:8080\n server a 10.0.0.1\n"
        self.assertEqual(settings(text, "backend")[-1].value, "10.0.0.1:8080")
        text = f"{HEAD}{FRONT}backend b\n server a 10.0.0.1\n"
        self.assertEqual(settings(text, "backend")[-1].value, "10.0.0.1:8080")
        self.assertIn(
            "9:11: error: '10.0.0.1' has no port, and the client's is not known",
            said(text.replace("bind :8080", "bind :8080-8081")),
        )

    def test_names(self) -> None:
        """Names are looked up; unknown ones are errors, or with init-addr none in maintenance."""
        self.assertEqual(servers("a localhost:80"), ["127.0.0.1:80"])
        text = f"{HEAD}{FRONT}backend b\n server a no.such.invalid:80"
        self.assertIn("9:11: error: could not resolve 'no.such.invalid'", said(text))
        self.assertEqual(
            servers("a no.such.invalid:80 init-addr last,libc,none"), ["0.0.0.0:80 disabled"]
        )

    def test_problems(self) -> None:
        """What is wrong with a server line is told at its word."""
        head = f"{HEAD}{FRONT}backend b\n"
        for line, problem in (
            ("server a", "9:2: error: 'server' expects NAME and ADDRESS:PORT"),
            ("server a 10.0.0.1:80 chek", "9:23: error: unknown keyword 'chek' in 'server'"),
            ("server a 10.0.0.1:80 weight", "9:23: error: 'weight' expects a value in 'server'"),
            (
                "server a 10.0.0.1:x",
                "9:11: error: 'x' is not a port number (0 to 65535) in backend 'b'",
            ),
            (
                "server a 10.0.0.1:80 weight 999",
                "9:23: error: 999 is not between 0 and 256 in backend 'b'",
            ),
            (
                "server a 10.0.0.1:80 ssl",
                "9:23: error: 'ssl' in 'server' is not supported yet: servers have no TLS",
            ),
            (
                "server a 10.0.0.1:80\n server a 10.0.0.2:80",
                "10:9: error: a second server 'a' in backend 'b'",
            ),
        ):
            self.assertIn(problem, said(head + f" {line}\n"))


class CheckTests(SynchronousTestCase):
    def test_http(self) -> None:
        """httpchk with and without method and version."""
        self.assertEqual(backend("option httpchk")["check"], "http hold-down=0s")
        self.assertEqual(backend("option httpchk /x")["check"], "http path=/x hold-down=0s")
        found = backend("option httpchk GET /x HTTP/1.0", "timeout check 700")
        self.assertEqual(found["check"], "http method=GET path=/x timeout=700ms hold-down=0s")

    def test_request(self) -> None:
        """Fields, HTTP/1.1 and a body need a step, in either way to write them."""
        old = r"option httpchk GET /x HTTP/1.1\r\nHost:\ a.example"
        self.assertEqual(steps(old), ["send meth GET uri /x ver HTTP/1.1 hdr Host a.example"])
        new = "http-check send meth PUT uri /y hdr X-A 'b c' body z"
        self.assertEqual(
            steps("option httpchk", new), ['send meth PUT uri /y hdr X-A "b c" body z']
        )
        self.assertEqual(steps("option httpchk", "http-check send meth GET uri /z"), [])

    def test_expect(self) -> None:
        """What is expected is written as it is; comments are for people."""
        lines = (
            "option httpchk",
            r"http-check expect ! rstatus ^5",
            "http-check expect string a\\ b",
        )
        self.assertEqual(steps(*lines), ["expect ! rstatus ^5", 'expect string "a b"'])

    def test_tcp(self) -> None:
        """Steps count where tcp-check is the check."""
        talk = (
            "tcp-check connect port 99",
            r"tcp-check send PING\r\n",
            "tcp-check expect string +OK",
        )
        self.assertEqual(steps(*talk), [])
        found = steps("option tcp-check", *talk)
        self.assertEqual(found, ["connect port 99", r'send "PING\r\n"', "expect string +OK"])

    def test_protocols(self) -> None:
        """Checks that know a protocol."""
        for option, check in (
            ("redis-check", "redis"),
            ("smtpchk", "smtp"),
            ("smtpchk EHLO me.example", "smtp hello=EHLO domain=me.example"),
            ("pgsql-check user x", "pgsql user=x"),
            ("ldap-check", "ldap"),
            ("ssl-hello-chk", "ssl-hello"),
        ):
            self.assertEqual(backend(f"option {option}")["check"], f"{check} hold-down=0s")

    def test_mysql(self) -> None:
        """mysql-check with a user logs in."""
        found = backend("option mysql-check user haproxy post-41")
        self.assertEqual(found["check"], "mysql user=haproxy hold-down=0s")

    def test_last(self) -> None:
        """The last kind of check counts, and none where that is negated."""
        self.assertEqual(backend("option httpchk", "option tcp-check")["check"], "tcp hold-down=0s")
        self.assertEqual(
            backend("option httpchk", "no option httpchk")["check"], "tcp hold-down=0s"
        )

    def test_none(self) -> None:
        """Without `check` on a server nothing is checked."""
        self.assertNotIn("check", backend("option httpchk", servers=" server a 10.0.0.1:80\n"))


class BackendTests(SynchronousTestCase):
    def test_balance(self) -> None:
        """Every algorithm of ours, in HAProxy's spelling."""
        for theirs, ours in (
            ("roundrobin", "roundrobin"),
            ("static-rr", "roundrobin"),
            ("leastconn", "leastconn"),
            ("first", "first"),
            ("source", "source"),
            ("random(3)", "random draws=3"),
        ):
            self.assertEqual(backend(f"balance {theirs}")["balance"], ours)
        for theirs, ours in (
            ("uri whole len 9 depth 2 path-only", "uri whole len=9 depth=2 path-only"),
            ("url_param user", "url_param(user)"),
            ("hdr(X-User)", "hdr(X-User)"),
        ):
            found = backend(f"balance {theirs}", "hash-type consistent", mode="http")
            self.assertEqual(found["balance"], ours)

    def test_times(self) -> None:
        """Times without a unit are milliseconds; none is for ever."""
        found = backend("timeout server 5000", "timeout connect 90", "timeout queue 0", "retries 7")
        self.assertEqual(found["timeout-server"], "5s")
        self.assertEqual(found["timeout-connect"], "90ms")
        self.assertEqual((found["timeout-queue"], found["retries"]), ("24d", "7"))
        found = backend("srvtimeout 5000", "contimeout 90")
        self.assertEqual((found["timeout-server"], found["timeout-connect"]), ("5s", "90ms"))

    def test_persistence(self) -> None:
        """Cookies in http mode, pins in both."""
        found = backend(
            "cookie SRV insert indirect nocache maxidle 30m maxlife 600 domain .a.org", mode="http"
        )
        self.assertEqual(
            found["cookie"], "SRV insert indirect nocache maxidle=30m maxlife=600s domain=.a.org"
        )
        found = backend("stick-table type ip size 200k expire 30m nopurge", "stick on src")
        self.assertEqual(found["stick"], "src size=204800 expire=30m")

    def test_switches(self) -> None:
        """Options that are flags here, on and off."""
        found = backend(
            "option redispatch", "option allbackups", "option srvtcpka", "srvtcpka-idle 60"
        )
        self.assertEqual((found["redispatch"], found["all-backups"]), ("on", "on"))
        self.assertEqual(found["keepalive"], "on idle=1m")
        self.assertEqual(backend("no option redispatch")["redispatch"], "off")

    def test_not_supported(self) -> None:
        """What the engine cannot do is an error at the keyword, never silence."""
        for line in (
            "stick match src\n stick store-request dst",
            "stick on src table other",
            "option independent-streams",
            "source 10.0.0.1",
            "compression algo gzip",
            "server-template a 5 x:80",
            "stick-table type string len 9 size 1k\n stick on src",
            "balance rdp-cookie",
            "retry-on all-retryable-errors",
        ):
            found = said(f"{HEAD}{FRONT}backend b\n {line}\n{SERVER}")
            self.assertTrue(any(": error: " in each for each in found), line)


class FrontendTests(SynchronousTestCase):
    def test_binds(self) -> None:
        """Lists, ranges, wildcards and both families."""
        found = frontend("bind 10.0.0.1:80-82,10.0.0.2:80", "bind *:90", "bind :::91 v6only")
        self.assertEqual(
            found["bind"], "10.0.0.1:80 10.0.0.1:81 10.0.0.1:82 10.0.0.2:80 0.0.0.0:90 [::]:91"
        )
        self.assertEqual(frontend("bind :::91")["bind"], "[::]:91 0.0.0.0:91")

    def test_old_form(self) -> None:
        """An address on the section's line is a bind, with a note."""
        text = f"{HEAD}listen l 127.0.0.1:8080\n server a 10.0.0.1:80\n"
        self.assertEqual(settings(text, "frontend")[0].value, "127.0.0.1:8080")
        note = "5:10: note: an address on the line of 'listen' is the old form of 'bind'"
        self.assertIn(note, heads(text))

    def test_http(self) -> None:
        """Options of HTTP, of the frontend and of its backend."""
        found = frontend(
            "bind :80",
            "default_backend b",
            "option forwardfor except 127.0.0.0/8 header X-Client if-none",
            "timeout http-request 10s",
            "timeout http-keep-alive 3s",
            "monitor-uri /ok",
            "option http-server-close",
        )
        self.assertEqual(found["forwarded-for"], "on except=127.0.0.0/8 header=X-Client if-none")
        self.assertEqual(found["timeout-http-request"], "10s")
        self.assertEqual((found["monitor-uri"], found["http-reuse"]), ("/ok", "never"))

    def test_of_backend(self) -> None:
        """What HAProxy's backends may say of requests is our frontends'."""
        text = (
            f"{HEAD} mode http\n{FRONT}backend b\n option forwardfor\n http-reuse always\n{SERVER}"
        )
        found = {each.key: each.value for each in settings(text, "frontend")}
        self.assertEqual((found["forwarded-for"], found["http-reuse"]), ("on", "always"))

    def test_tcp_mode(self) -> None:
        """HTTP's own words have no effect in tcp mode; where the section itself says them, that is
        told."""
        found = frontend(
            "bind :80", "default_backend b", mode="tcp", defaults=" option forwardfor\n"
        )
        self.assertNotIn("forwarded-for", found)
        text = f"{HEAD}{FRONT} monitor-uri /x\nbackend b\n{SERVER}"
        self.assertIn(
            "8:2: warning: 'monitor-uri' is ignored: frontend 'f' is in tcp mode", said(text)
        )

    def test_named_defaults(self) -> None:
        """`from` chooses the defaults; without it the last ones hold."""
        text = (
            "defaults a\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n"
            "defaults b from a\n timeout client 2s\n"
            "listen x from a\n bind :81\n server s 10.0.0.1:80\n"
            "listen y\n bind :82\n server s 10.0.0.1:80\n"
        )
        clients = [each.options.timeout_client for each in load_cfg(text).config.frontends]
        self.assertEqual(clients, [1.0, 2.0])
        self.assertEqual(
            said(text.replace("from a\n bind", "from c\n bind"))[0][:30],
            "7:15: error: defaults section ",
        )

    def test_disabled(self) -> None:
        """A disabled section is left out."""
        listen = "listen l\n disabled\n bind :81\n server a 10.0.0.1:80\n"
        text = f"{HEAD}{FRONT}backend b\n{SERVER}{listen}"
        self.assertEqual([each.name for each in load_cfg(text).config.frontends], ["f"])


class StatsTests(SynchronousTestCase):
    def stats(self, *lines: str) -> dict[str, str]:
        body = "".join(f" {line}\n" for line in lines)
        found = settings(f"{HEAD} mode http\nlisten s\n bind :80\n{body}", "frontend")
        return {each.key: each.value for each in found}

    def test_page(self) -> None:
        """Each word of the page has its own here."""
        found = self.stats(
            "stats enable",
            "stats uri /x",
            "stats realm A\\ B",
            "stats auth a:b",
            "stats auth c:d",
            "stats refresh 5",
            "stats hide-version",
            "stats show-legends",
            "stats show-node n1",
            "stats show-desc two words",
            "stats scope .",
            "stats admin if TRUE",
        )
        self.assertEqual(
            found,
            {
                "protocol": "stats",
                "bind": "0.0.0.0:80",
                "stats-uri": "/x",
                "stats-realm": "A B",
                "stats-auth": "a:b c:d",
                "stats-refresh": "5s",
                "stats-hide-version": "on",
                "stats-show-legends": "on",
                "stats-show-node": "n1",
                "stats-show-desc": "two words",
                "stats-scope": "s",
                "stats-admin": "on",
            },
        )

    def test_defaults(self) -> None:
        """What HAProxy does not show by itself is not shown: the node, and metrics."""
        (section,) = (
            each
            for each in load_cfg(
                f"{HEAD} mode http\nlisten s\n bind :80\n stats enable\n"
            ).document.sections
            if each.kind == "frontend"
        )
        implied = {each.key: each.value for each in section.settings if each.implied}
        self.assertEqual(implied, {"stats-show-node": "off", "metrics-uri": "off"})

    def test_beside_a_service(self) -> None:
        """A section that serves may show them, too."""
        found = self.stats("stats enable", "stats auth a:b", "server s 127.0.0.1:80")
        self.assertEqual((found["protocol"], found["stats-auth"]), ("http", "a:b"))
        found = self.stats("stats uri /x", "server s 127.0.0.1:80")
        self.assertEqual(found["stats-uri"], "/x")

    def test_metrics(self) -> None:
        """The exporter is asked for by a rule, and asks nobody for a password."""
        found = self.stats("http-request use-service prometheus-exporter if { path /m }")
        self.assertEqual((found["metrics-uri"], found["metrics-auth"]), ("/m", "off"))

    def test_not_supported(self) -> None:
        """Conditions, other rules, and statistics in the midst of a service."""
        head = f"{HEAD} mode http\nlisten s\n bind :80\n stats enable\n"
        for line, problem in (
            (
                "stats admin if LOCALHOST",
                "9:2: error: 'stats admin' under another condition than TRUE is not supported yet",
            ),
            (
                "http-request deny",
                "9:2: error: 'http-request' where the statistics are is not supported yet",
            ),
            (
                "server a 127.0.0.1:80\n stats admin if TRUE",
                "10:2: error: 'stats admin' in listen 's', which also serves a backend, is not "
                "supported yet",
            ),
            (
                "\nbackend b\n stats enable",
                "11:2: error: statistics in a backend are not supported yet",
            ),
            ("stats foo", "9:8: error: unknown stats parameter 'foo' in listen 's'"),
            ("stats auth", "9:2: error: 'stats auth' expects USER:PASSWORD"),
        ):
            self.assertIn(problem, said(f"{head} {line}\n"))


class GlobalTests(SynchronousTestCase):
    def globals(self, *lines: str) -> list[tuple[str, str]]:
        body = "".join(f" {line}\n" for line in lines)
        found = settings(f"global\n{body}{HEAD}{FRONT}backend b\n{SERVER}", "global")
        return [(each.key, each.value) for each in found]

    def test_sockets(self) -> None:
        """Each stats socket is one of ours, on a path or a port."""
        self.assertEqual(
            self.globals(
                "stats socket /run/a.sock mode 660 level admin expose-fd listeners",
                "stats socket ipv4@127.0.0.1:9999 level user",
                "stats socket unix@/run/b.sock user haproxy",
                "stats timeout 2m",
                "stats maxconn 5",
            ),
            [
                ("stats-socket", "/run/a.sock mode=660 level=admin"),
                ("stats-socket", "127.0.0.1:9999 level=user"),
                ("stats-socket", "/run/b.sock"),
                ("stats-timeout", "2m"),
                ("stats-maxconn", "5"),
            ],
        )

    def test_process(self) -> None:
        """What is said of the process."""
        self.assertEqual(
            self.globals(
                "maxconn 1000", "nbthread 2", "hard-stop-after 30s", "node n1", "description a b"
            ),
            [
                ("description", "a b"),
                ("maxconn", "1000"),
                ("relay-threads", "2"),
                ("grace", "30s"),
                ("node", "n1"),
            ],
        )
        text = f"global\n daemon\n pidfile /run/x.pid\n{HEAD}{FRONT}backend b\n{SERVER}"
        self.assertEqual(load_cfg(text).document.process, {"daemon": "", "pidfile": "/run/x.pid"})

    def test_environment(self) -> None:
        """setenv and its kin change what the lines after them mean."""
        text = (
            "global\n setenv PORT 8088\n presetenv PORT 1\n setenv NAME x\n unsetenv NAME\n"
            f'{HEAD}frontend f\n bind ":${{PORT}}"\n default_backend "b${{NAME-}}"\n'
            f"backend b\n{SERVER}"
        )
        (front,) = load_cfg(text).config.frontends
        self.assertEqual((front.options.bind[0].port, front.options.backend), (8088, "b"))

    def test_notes(self) -> None:
        """What has nothing to do here is noted once, with the reason."""
        text = f"global\n chroot /x\n user a\n tune.bufsize 1\n tune.maxrewrite 1\n{HEAD}"
        found = [each for each in heads(text) if "nothing to do" in each]
        self.assertEqual([each.split("'")[1] for each in found], ["chroot", "user", "tune.*"])


class LogTests(SynchronousTestCase):
    TEXT = (
        "global\n log 127.0.0.1 local0\n log /dev/log local1 notice err\n"
        " log stdout format raw len 2000 daemon\n log-tag lb\n"
        "defaults\n mode http\n log global\n option httplog\n option dontlognull\n"
        " timeout connect 1s\n timeout client 1s\n timeout server 1s\n"
        "frontend f\n bind :1\n option logasap\n capture request header Host len 20\n"
        " capture response header Server len 9\n capture cookie JS len 10\n default_backend b\n"
        "frontend g\n mode tcp\n bind :2\n default_backend b\n"
        'frontend h\n bind :3\n log-format "%ci %ST"\n default_backend b\n'
        "frontend i\n bind :4\n no log\n default_backend b\n"
        "backend b\n option log-health-checks\n server s 127.0.0.1:9 check\n"
    )

    def test_targets(self) -> None:
        """Each `log` of `global` is one of ours."""
        found = [(each.key, each.value) for each in settings(self.TEXT, "global")]
        self.assertEqual(
            found,
            [
                ("log", "127.0.0.1:514 facility=local0"),
                ("log", "/dev/log facility=local1 level=notice minlevel=err"),
                ("log", "stdout format=raw length=2000 facility=daemon"),
                ("log-tag", "lb"),
            ],
        )
        self.assertEqual(said(self.TEXT), [])

    def test_frontends(self) -> None:
        """Formats and options are the frontend's; without `log` nothing is written of it."""
        found = {
            section.name: {
                each.key: each.value
                for each in section.settings
                if "log" in each.key or "capture" in each.key
            }
            for section in load_cfg(self.TEXT).document.sections
            if section.kind == "frontend"
        }
        self.assertEqual(
            found["f"],
            {
                "log-format": "httplog",
                "dontlognull": "on",
                "logasap": "on",
                "capture-request-header Host": "20",
                "capture-response-header Server": "9",
                "capture-cookie": "JS length=10",
            },
        )
        self.assertEqual(found["g"]["log-format"], "tcplog")
        self.assertEqual(found["h"]["log-format"], "%ci %ST")
        self.assertEqual(found["i"], {"log-format": "none"})

    def test_backends(self) -> None:
        """What checks find out is logged where that is said."""
        (section,) = (
            each for each in load_cfg(self.TEXT).document.sections if each.kind == "backend"
        )
        values = {each.key: each.value for each in section.settings}
        self.assertEqual(values["log-health-checks"], "on")

    def test_problems(self) -> None:
        """What a log line cannot say is told."""
        for line, problem in (
            ("log 127.0.0.1 local0 loud", "2:23: error: 'log' cannot handle 'loud'"),
            ("log ring@x local0", "2:6: error: a log to 'ring@x' is not supported yet"),
            ("log 127.0.0.1 nowhere", "2:16: error: unknown value 'nowhere' in [global]"),
        ):
            self.assertIn(problem, said(self.TEXT.replace("log 127.0.0.1 local0", line)))
        own = self.TEXT.replace("no log", "log 127.0.0.1 local0")
        self.assertIn("31:2: error: a log of a single section is not supported yet", said(own))


class OurLines(SynchronousTestCase):
    def test_everywhere(self) -> None:
        """A comment for vipproxy sets an option of ours, in any section."""
        text = (
            "global\n # vipproxy: grace = 9s\n"
            + HEAD
            + " # vipproxy: initial-state = up\n"
            + FRONT
            + " # vipproxy: freebind = off\nbackend b\n #vipproxy: on-marked-down = none\n"
            + SERVER
        )
        config = load_cfg(text).config
        (front,), (back,) = config.frontends, config.backends
        self.assertEqual(config.options.grace, 9.0)
        self.assertEqual((back.options.initial_state, back.options.on_marked_down), ("up", "none"))
        self.assertFalse(front.options.freebind)

    def test_wrong(self) -> None:
        """What is wrong with one is told where it stands."""
        text = HEAD + FRONT + " # vipproxy: freebnd = off\nbackend b\n" + SERVER
        self.assertIn("8:14: error: unknown key 'freebnd' in frontend 'f'", said(text))
