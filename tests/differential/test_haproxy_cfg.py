"""One haproxy.cfg, two proxies: bytes, closes, retries and transitions.

What differs is what is better here on purpose: where that would show, the file has the line that
turns it off.
"""

from __future__ import annotations

import re
import socket
import tempfile

from tests.differential.cfg_case import (
    Door,
    Node,
    SameFile,
    closing,
    echo,
    fields,
    first_line,
    page,
    read_head,
    rest,
    web,
)

DEFAULTS = """\
defaults
    mode {mode}
    timeout connect 2s
    timeout client {client}
    timeout server {server}
    # vipproxy: initial-state = up
"""


def defaults(mode: str = "tcp", client: str = "60s", server: str = "60s") -> str:
    return DEFAULTS.format(mode=mode, client=client, server=server)


FRONT = "frontend f\n    bind {f}\n    default_backend b\n"
PASSING = re.compile(r"UP -\d+/3|DOWN [2-9]/2")
"""What HAProxy shows for an instant as a server goes up or down."""
GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
BYE = b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"


class Tcp(SameFile):
    def test_no_backend(self) -> None:
        """A frontend without a backend accepts, and ends."""
        text = defaults() + "frontend f\n    bind {f}\n"
        self.assertEqual(self.both(text, lambda door: door.talk()), (b"", "end"))

    def test_no_server(self) -> None:
        """No usable server: the end, no data; and so where there is none at all."""
        text = defaults() + FRONT + "backend b\n    server s 127.0.0.1:9 disabled\n"
        self.assertEqual(self.both(text, lambda door: door.talk()), (b"", "end"))
        text = defaults() + FRONT + "backend b\n"
        self.assertEqual(self.both(text, lambda door: door.talk()), (b"", "end"))

    def test_maxconn(self) -> None:
        """Above `maxconn` a client is connected, and hears nothing until another has left."""
        node = self.node(echo(b"n"))
        text = defaults() + "    maxconn 1\n" + FRONT + f"backend b\n    server n {node.address}\n"

        def script(door: Door) -> object:
            first, second = door.connect(), door.connect()
            heard = first_line(first)
            second.settimeout(0.5)
            waiting = rest(second)
            first.close()
            second.settimeout(30)
            return heard, waiting, first_line(second)

        self.assertEqual(self.both(text, script), (b"n\n", (b"", "open"), b"n\n"))

    def test_weights(self) -> None:
        """roundrobin by weights, one after the other."""
        nodes = [self.node(echo(name)) for name in (b"1", b"2", b"3")]
        servers = "".join(
            f"    server s{i} {node.address} weight {weight}\n"
            for i, (node, weight) in enumerate(zip(nodes, (3, 1, 2), strict=True))
        )
        text = defaults() + FRONT + "backend b\n    balance roundrobin\n" + servers
        self.both(text, lambda door: [door.line() for _ in range(12)])

    def test_timeout_server(self) -> None:
        """timeout server: the end for both."""
        node = self.node(echo(b"n"))
        text = defaults(server="300ms") + FRONT + f"backend b\n    server n {node.address}\n"
        self.assertEqual(self.both(text, lambda door: door.talk()), (b"n\n", "end"))

    def test_refused(self) -> None:
        """Without redispatch a server that refuses is tried again and again, and then the end."""
        refusing, other = self.node(echo(b"1")), self.node(echo(b"2"))
        refusing.close()
        servers = f"    server s1 {refusing.address}\n    server s2 {other.address}\n"
        text = defaults().replace("connect 2s", "connect 100ms") + FRONT + "backend b\n" + servers

        def script(door: Door) -> object:
            heard = door.talk()
            row = door.row("b/s1")
            return heard, row["wretr"], row["wredis"], door.row("b/s2")["stot"]

        self.assertEqual(self.both(text, script), ((b"", "end"), "3", "0", "0"))

    def test_redispatch(self) -> None:
        """With redispatch the next server has the client at once."""
        refusing, other = self.node(echo(b"1")), self.node(echo(b"2"))
        refusing.close()
        servers = f"    server s1 {refusing.address}\n    server s2 {other.address}\n"
        text = defaults() + "    option redispatch\n" + FRONT + "backend b\n" + servers
        self.assertEqual(self.both(text, lambda door: door.line()), b"2\n")

    def test_backup(self) -> None:
        """Backups serve where no other can: the first of them, or all with allbackups."""
        nodes = [self.node(echo(name)) for name in (b"1", b"2", b"3")]
        servers = (
            f"    server s1 {nodes[0].address} disabled\n"
            f"    server s2 {nodes[1].address} backup\n    server s3 {nodes[2].address} backup\n"
        )
        for option in ("", "    option allbackups\n"):
            text = defaults() + FRONT + "backend b\n" + option + servers
            self.both(text, lambda door: [door.line() for _ in range(4)])

    def test_acl(self) -> None:
        """Clients are routed and turned away by what they call."""
        nodes = [self.node(echo(name)) for name in (b"1", b"2")]
        text = (
            defaults()
            + "frontend f\n    bind {f}\n    bind {g}\n    acl one src 127.0.0.1\n"
            + "    tcp-request connection reject if { src 127.9.0.0/16 }\n"
            + "    use_backend c if one { dst_port GPORT }\n    default_backend b\n"
            + f"backend b\n    server s {nodes[0].address}\n"
            + f"backend c\n    server s {nodes[1].address}\n"
        )

        def through(name: str) -> object:
            def script(door: Door) -> object:
                return door.line("f"), door.line("g")

            return self.through(name, text.replace("GPORT", "1:65535"), script)

        self.assertEqual(through("vipproxy"), through("HAProxy"))


class Health(SameFile):
    def tcp_text(self, *nodes: Node, lines: str = "", words: str = "") -> str:
        servers = "".join(
            f"    server n{i} {node.address} check inter 200ms fastinter 200ms {words}\n"
            for i, node in enumerate(nodes, 1)
        )
        return defaults() + FRONT + f"backend b\n{lines}{servers}"

    def test_request(self) -> None:
        """The bytes of a check's request."""
        for lines in (
            "    option httpchk\n",
            "    option httpchk /x\n",
            "    option httpchk HEAD /y HTTP/1.0\n",
            "    option httpchk\n    http-check send meth GET uri /z hdr X-A b\n",
        ):
            node = self.node(closing(b"HTTP/1.0 200 OK\r\n\r\n"))
            text = self.tcp_text(node, lines=lines)

            def script(door: Door, node: Node = node) -> object:
                door.until("b/n1", status="UP", check_status="L7OK", check_code="200")
                return fields(node.heard[-1])

            self.both(text, script)

    def test_verdicts(self) -> None:
        """What an answer to a check comes to."""
        answers = (
            b"HTTP/1.0 200 OK\r\n\r\n",
            b"HTTP/1.0 301 Moved\r\n\r\n",
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.0 503 Down\r\n\r\n",
            b"garbage\r\n\r\n",
            b"",
        )
        for answer in answers:
            node = self.node(closing(answer))
            text = self.tcp_text(node, lines="    option httpchk\n", words="fall 1 rise 1")
            status = "UP" if answer[9:10] in b"23" and answer[:4] == b"HTTP" else "DOWN"

            def script(door: Door, status: str = status) -> object:
                door.until("b/n1", status=status)
                row = door.row("b/n1")
                return row["check_status"].removeprefix("* "), row["status"], row["check_desc"]

            self.both(text, script)

    def test_silence(self) -> None:
        """A server that accepts, and says nothing: down for its silence."""

        def behave(node: Node, sock: socket.socket) -> None:
            read_head(sock)
            rest(sock)

        text = self.tcp_text(self.node(behave), lines="    option httpchk\n", words="fall 1")

        def script(door: Door) -> object:
            door.until("b/n1", status="DOWN", check_status="L7TOUT")
            return door.row("b/n1")["check_desc"]

        self.assertEqual(self.both(text, script), "Layer7 timeout")

    def test_refused(self) -> None:
        """Nobody listens: down for its connection, and up again when somebody does."""
        node = self.node(echo(b"n"))
        text = self.tcp_text(node, words="fall 2 rise 2")

        def script(door: Door) -> object:
            door.until("b/n1", status="UP", check_status="L4OK")
            node.close()
            door.until("b/n1", status="DOWN", check_status="L4CON")
            down = door.row("b/n1")
            end = door.talk()
            node.open()
            door.until("b/n1", status="UP", check_status="L4OK")
            return down["check_desc"], down["chkdown"], end, door.line()

        expected = ("Layer4 connection problem", "1", (b"", "end"), b"n\n")
        self.assertEqual(self.both(text, script, node.open), expected)

    def test_transitions(self) -> None:
        """The states between up and down, one check after the other."""
        state = {"answer": b"HTTP/1.0 200 OK\r\n\r\n"}

        def behave(node: Node, sock: socket.socket) -> None:
            read_head(sock)
            sock.sendall(state["answer"])

        node = self.node(behave)
        text = self.tcp_text(node, lines="    option httpchk\n", words="fall 3 rise 2")

        def script(door: Door) -> object:
            door.until("b/n1", status="UP", check_status="L7OK")
            seen = []
            for answer, last in ((b"503 No", "DOWN"), (b"200 OK", "UP")):
                state["answer"] = b"HTTP/1.0 " + answer + b"\r\n\r\n"
                status = ""
                while status != last:
                    status = door.row("b/n1")["status"]
                    if status not in seen[-1:] and not PASSING.fullmatch(status):
                        seen.append(status)
            return seen

        def reset() -> None:
            state["answer"] = b"HTTP/1.0 200 OK\r\n\r\n"

        expected = ["UP", "UP 2/3", "UP 1/3", "DOWN", "DOWN 1/2", "UP"]
        self.assertEqual(self.both(text, script, reset), expected)

    def test_other_port(self) -> None:
        """`port`: the check goes elsewhere."""
        node, sidecar = self.node(echo(b"n")), self.node(closing(b"HTTP/1.0 503 No\r\n\r\n"))
        text = self.tcp_text(
            node, lines="    option httpchk\n", words=f"port {sidecar.port} fall 1"
        )

        def script(door: Door) -> object:
            door.until("b/n1", status="DOWN")
            return door.row("b/n1")["check_code"] or "503", door.talk()

        self.assertEqual(self.both(text, script), ("503", (b"", "end")))

    def test_shutdown_sessions(self) -> None:
        """on-marked-down: sessions end with their server; without it they go on."""
        for words in ("on-marked-down shutdown-sessions", ""):
            node, sidecar = self.node(echo(b"n")), self.node(closing(b"HTTP/1.0 200 OK\r\n\r\n"))
            text = self.tcp_text(
                node, lines="    option httpchk\n", words=f"port {sidecar.port} fall 1 {words}"
            )

            def script(
                door: Door, node: Node = node, sidecar: Node = sidecar, words: str = words
            ) -> object:
                door.until("b/n1", status="UP", check_status="L7OK")
                client = door.connect()
                greeting = first_line(client)
                sidecar.close()
                door.until("b/n1", status="DOWN")
                if words:
                    return greeting, rest(client)
                client.sendall(b"still\n")
                return greeting, first_line(client)

            self.both(text, script, sidecar.open)

    def test_pin(self) -> None:
        """stick on dst: all on one, then all on the next, and nobody goes back."""
        nodes = [self.node(echo(name)) for name in (b"1", b"2")]
        text = self.tcp_text(
            *nodes,
            lines="    stick-table type ip size 1k\n    stick on dst\n",
            words="fall 1 rise 1 on-marked-down shutdown-sessions",
        )

        def script(door: Door) -> object:
            door.until("b/n2", status="UP", check_status="L4OK")
            door.until("b/n1", status="UP", check_status="L4OK")
            before = [door.line() for _ in range(3)]
            nodes[0].close()
            door.until("b/n1", status="DOWN")
            between = [door.line() for _ in range(3)]
            nodes[0].open()
            door.until("b/n1", status="UP", check_status="L4OK")
            return before, between, [door.line() for _ in range(3)]

        one, two = [b"1\n"] * 3, [b"2\n"] * 3
        self.assertEqual(self.both(text, script), (one, two, two))

    def test_tcp_steps(self) -> None:
        """tcp-check: said and expected, step by step."""

        def behave(node: Node, sock: socket.socket) -> None:
            sock.sendall(b"+PONG\r\n" if first_line(sock) == b"PING\r\n" else b"-ERR\r\n")

        node = self.node(behave)
        for pattern, status in (("+PONG", "UP"), ("+PUNG", "DOWN")):
            lines = (
                "    option tcp-check\n    tcp-check connect\n    tcp-check send PING\\r\\n\n"
                f"    tcp-check expect string {pattern}\n"
            )
            text = self.tcp_text(node, lines=lines, words="fall 1")

            def script(door: Door, status: str = status) -> object:
                door.until(
                    "b/n1", status=status, check_status="L7OK" if status == "UP" else "L7RSP"
                )
                return door.row("b/n1")["check_desc"]

            self.both(text, script)

    def test_states(self) -> None:
        """What the status column says of servers that nobody checks, and of the two ends."""
        node = self.node(echo(b"n"))
        servers = (
            f"    server n1 {node.address}\n    server n2 127.0.0.1:9 disabled\n"
            "    server n3 127.0.0.1:10 weight 0\n"
        )
        text = defaults() + FRONT + "backend b\n" + servers

        def script(door: Door) -> object:
            before = self.states(door)
            door.ask("set server b/n1 state drain")
            door.ask("set server b/n2 state ready")
            return before, self.states(door)

        expected = (
            ["OPEN", "UP", "no check", "MAINT", "no check"],
            ["OPEN", "UP", "DRAIN", "no check", "no check"],
        )
        self.assertEqual(self.both(text, script), expected)

    def states(self, door: Door) -> list[str]:
        rows = door.rows()
        names = ("f/FRONTEND", "b/BACKEND", "b/n1", "b/n2", "b/n3")
        return [rows[each]["status"] for each in names]


class Http(SameFile):
    def text(
        self, *nodes: Node, lines: str = "", front: str = "", words: str = "", **times: str
    ) -> str:
        servers = "".join(
            f"    server s{i} {node.address} {words.format(i=i)}\n"
            for i, node in enumerate(nodes, 1)
        )
        return defaults("http", **times) + FRONT + front + f"backend b\n{lines}{servers}"

    def test_monitor(self) -> None:
        """monitor-uri: the bytes of the answer, to the version of the client."""
        text = defaults("http") + "frontend f\n    bind {f}\n    monitor-uri /status\n"

        def script(door: Door) -> object:
            one = door.talk(b"GET /status HTTP/1.0\r\n\r\n")
            two = door.talk(b"GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            other = door.talk(b"GET /status?x=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return [(fields(data), end) for data, end in (one, two, other)]

        found = self.both(text, script)
        self.assertEqual(found[2][0][0], b"HTTP/1.1 503 Service Unavailable")

    def test_errors(self) -> None:
        """The proxy's own pages: no server, refused, nothing, garbage, too late."""

        def silent(node: Node, sock: socket.socket) -> None:
            read_head(sock)
            rest(sock)

        refusing = self.node(echo(b""))
        refusing.close()
        for node, status in (
            (None, b"503"),
            (refusing, b"503"),
            (self.node(closing(b"")), b"502"),
            (self.node(closing(b"garbage\r\n\r\n")), b"502"),
            (self.node(silent), b"504"),
        ):
            nodes = () if node is None else (node,)
            text = self.text(*nodes, server="500ms").replace("connect 2s", "connect 100ms")
            found = self.both(text, lambda door: (fields(door.talk(BYE)[0]), door.talk(BYE)[1]))
            self.assertEqual(found[0][0][9:12], status)

    def test_bad_requests(self) -> None:
        """What is no request, and what comes too late."""
        node = self.node(web(page(b"x")))
        text = self.text(node, client="500ms")

        def script(door: Door) -> object:
            sent = (
                b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
                b"nonsense\r\n\r\n",
                b"GET / HTT",
            )
            return [(fields(data), end) for data, end in map(door.talk, sent)]

        found = self.both(text, script)
        codes = [each[0][0][9:12] for each in found]
        self.assertEqual(codes, [b"400", b"400", b"400", b"408"])

    def test_cookie(self) -> None:
        """cookie insert indirect nocache: what servers get, and what clients get."""
        nodes = [
            self.node(web(page(b"1", b"ETag: x\r\n"))),
            self.node(web(page(b"2", b"ETag: x\r\n"))),
        ]
        text = self.text(
            *nodes,
            lines="    cookie SERVERID insert indirect nocache\n",
            words="cookie c{i}",
        )
        cookies = (
            b"",
            b"Cookie: a=1; SERVERID=c1; b=2\r\n",
            b"Cookie: SERVERID=c2\r\n",
            b"Cookie: x=y\r\nCookie: SERVERID=c2\r\n",
            b"Cookie: SERVERID=zzz\r\n",
            b"Cookie: SERVERID=c2; SERVERID=c1\r\n",
            b"Cookie: serverid=c2\r\n",
        )

        def script(door: Door) -> object:
            found = []
            for cookie in cookies:
                for node in nodes:
                    node.heard.clear()
                answer = door.talk(BYE.replace(b"Connection", cookie + b"Connection"))[0]
                status, kept, body = fields(answer)
                heard = [line for node in nodes for each in node.heard for line in fields(each)[1]]
                seen = [line for line in heard if line.startswith(b"cookie")]
                found.append(
                    (status, [each for each in kept if b"connection" not in each], body, seen)
                )
            return found

        self.both(text, script)

    def test_cookie_of_others(self) -> None:
        """The server's own cookie of that name does not pass; other cookies do. Servers that are
        gone lose their clients to others."""
        answer = page(b"1", b"Set-Cookie: SERVERID=mine\r\nSet-Cookie: other=1; Path=/\r\n")
        nodes = [self.node(web(answer)), self.node(web(page(b"2")))]
        text = self.text(
            *nodes, lines="    cookie SERVERID insert indirect nocache\n", words="cookie c{i}"
        )

        def script(door: Door) -> object:
            found = []
            for cookie in (b"", b"Cookie: SERVERID=c1\r\n"):
                sent = BYE.replace(b"Connection", cookie + b"Connection")
                found.append([line for line in fields(door.talk(sent)[0])[1] if b"cookie" in line])
            door.ask("set server b/s1 state maint")
            sent = BYE.replace(b"Connection", b"Cookie: SERVERID=c1\r\nConnection")
            status, kept, body = fields(door.talk(sent)[0])
            return found, status, body, [line for line in kept if b"cookie" in line]

        self.both(text, script)

    def test_forwarded(self) -> None:
        """forwardfor, and headers that are set, added and deleted."""
        node = self.node(web(page(b"x", b"Server: y\r\n")))
        text = self.text(
            node,
            front=(
                "    option forwardfor\n    http-request set-header X-Proto http if !{ ssl_fc }\n"
                "    http-request add-header X-A %[src]\n    http-request del-header X-Bad\n"
                "    http-response del-header Server\n"
            ),
        )
        request = BYE.replace(b"Host", b"X-Bad: 1\r\nX-A: 0\r\nHost")

        def script(door: Door) -> object:
            node.heard.clear()
            status, kept, body = fields(door.talk(request)[0])
            (head,) = node.heard
            line, heard, _ = fields(head)
            mine = [each for each in heard if each.startswith(b"x-")]
            return status, [each for each in kept if b"connection" not in each], body, line, mine

        self.both(text, script)

    def test_rules(self) -> None:
        """Denied, redirected, routed: by path, host and method."""
        one, two = self.node(web(page(b"1"))), self.node(web(page(b"2")))
        front = (
            "    acl api path_beg /api\n    http-request deny if { path /no }\n"
            "    redirect scheme https code 301 if { path /login }\n"
            "    redirect prefix /new if { path_beg /old }\n"
            "    use_backend c if api or { hdr(host) -i C.example }\n"
        )
        text = self.text(one, front=front) + f"backend c\n    server s {two.address}\n"

        def script(door: Door) -> object:
            found = []
            for path, host in (
                ("/", "a"),
                ("/api/x", "a"),
                ("/no", "a"),
                ("/login?x=1", "a"),
                ("/old/y", "a"),
                ("/", "c.EXAMPLE"),
            ):
                request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
                status, kept, body = fields(door.talk(request.encode())[0])
                found.append((status, [each for each in kept if b"connection" not in each], body))
            return found

        self.both(text, script)

    def test_keep_alive(self) -> None:
        """Requests of one client are balanced one by one; http-server-close closes the server's."""
        for option in ("", "    option http-server-close\n"):
            nodes = [self.node(web(page(name))) for name in (b"1", b"2")]
            text = self.text(*nodes, front=option)

            def script(door: Door) -> object:
                with door.connect() as client:
                    bodies = []
                    for _ in range(4):
                        client.sendall(GET)
                        data = b""
                        while not data.endswith((b"\r\n\r\n1", b"\r\n\r\n2")):
                            data += client.recv(65536)
                        bodies.append(data[-1:])
                    return bodies

            self.assertEqual(self.both(text, script), [b"1", b"2", b"1", b"2"])

    def test_errorfile(self) -> None:
        """errorfile: the page of the file."""
        with tempfile.NamedTemporaryFile(suffix=".http") as file:
            file.write(b"HTTP/1.0 503 Sorry\r\nContent-Type: text/plain\r\n\r\nsorry\n")
            file.flush()
            text = self.text(front=f"    errorfile 503 {file.name}\n")

            def script(door: Door) -> object:
                data, end = door.talk(BYE)
                return data.partition(b"\r\n\r\n")[2], data[9:18], end

            self.assertEqual(self.both(text, script)[0], b"sorry\n")

    def test_statistics(self) -> None:
        """The page beside a service: who may see it, and that all else is the service's."""
        node = self.node(web(page(b"served")))
        text = self.text(
            node,
            front="    stats enable\n    stats uri /st\n    stats realm x\n    stats auth a:b\n",
        )

        def script(door: Door) -> object:
            found = []
            for path, login in (
                ("/st", ""),
                ("/st;csv", "Authorization: Basic YTpi\r\n"),
                ("/s", ""),
            ):
                request = f"GET {path} HTTP/1.1\r\nHost: a\r\n{login}Connection: close\r\n\r\n"
                status, kept, body = fields(door.talk(request.encode())[0])
                asked = [each for each in kept if each.startswith((b"www-", b"content-type"))]
                found.append((status, asked, b"# pxname,svname" in body))
            return found

        expected = [
            b"HTTP/1.1 401 Unauthorized",
            b"HTTP/1.1 200 OK",
            b"HTTP/1.1 200 OK",
        ]
        self.assertEqual([each[0] for each in self.both(text, script)], expected)
