"""The counters beside those of the real haproxy: one script drives both, and the CSV is compared.

What is different on purpose is given with each scene, as HAProxy's value and ours;
docs/statistics.md explains it.
"""

from __future__ import annotations

import contextlib
import socket
import time

from tests.differential.counter_servers import reset
from tests.differential.counter_stage import CounterCase, Scene

GET = b"GET %b HTTP/1.1\r\nHost: vip\r\n\r\n"


def dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=15)


def to_the_end(sock: socket.socket) -> bytes:
    """All that comes until the other side ends."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while more := sock.recv(65536):
            data += more
    return data


def get(*paths: str, wait: float = 0.0):  # type: ignore[no-untyped-def]
    """Asks for each path on one connection, reads the answer, then closes after a while."""

    def act(port: int) -> None:
        with dial(port) as sock:
            for path in paths:
                sock.sendall(GET % path.encode())
                _read_answer(sock)
            time.sleep(wait)

    return act


def _read_answer(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [
        line.split(b":")[1]
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    ]
    while lengths and len(body) < int(lengths[0]):
        more = sock.recv(65536)
        if not more:
            break
        body += more
    return body


def say(data: bytes, aborts: bool = False, wait: float = 0.3):  # type: ignore[no-untyped-def]
    """Sends, waits, and closes, with a reset if it aborts."""

    def act(port: int) -> None:
        sock = dial(port)
        sock.sendall(data)
        time.sleep(wait)
        if aborts:
            reset(sock)
        else:
            sock.close()

    return act


def listen(data: bytes = b""):  # type: ignore[no-untyped-def]
    """Sends, and reads until the proxy ends the connection."""

    def act(port: int) -> None:
        with contextlib.suppress(ConnectionError), dial(port) as sock:
            sock.sendall(data)
            to_the_end(sock)

    return act


def one_holds_another_waits(hold: float, request: bytes = b"hi"):  # type: ignore[no-untyped-def]
    """The first client holds the only place for a while, the second comes meanwhile."""

    def act(port: int) -> None:
        with dial(port) as first:
            first.sendall(request)
            time.sleep(0.1)
            with dial(port) as second:
                second.sendall(b"hi" if request == b"hi" else GET % b"/ok")
                time.sleep(hold)
                first.close()
                second.settimeout(3)
                with contextlib.suppress(TimeoutError):
                    second.recv(65536)

    return act


class TcpTests(CounterCase):
    async def test_served(self) -> None:
        """A session that both sides end in order."""
        await self.compare(Scene(("echo",), mode="tcp"), say(b"hello"))

    async def test_server_ends(self) -> None:
        """A session that the server ends in order."""
        await self.compare(Scene(("greet-and-close",), mode="tcp"), listen())

    async def test_refused(self) -> None:
        """The only server refuses, and refuses again."""
        await self.compare(Scene(("refusing",), mode="tcp"), listen())

    async def test_refused_without_retries(self) -> None:
        """The only server refuses, and there are no retries."""
        await self.compare(Scene(("refusing",), mode="tcp", retries=0), listen())

    async def test_redispatched(self) -> None:
        """The first server refuses, the next one serves."""
        await self.compare(Scene(("refusing", "echo"), mode="tcp"), say(b"hello", wait=1.5))

    async def test_retried_and_lost(self) -> None:
        """Both servers refuse."""
        await self.compare(Scene(("refusing", "refusing"), mode="tcp", retries=2), listen())

    async def test_no_server(self) -> None:
        """All servers are in maintenance."""
        await self.compare(Scene(("echo",), mode="tcp", disabled=True), listen())

    async def test_aborted_by_client(self) -> None:
        """The client resets the connection amid the transfer."""
        await self.compare(Scene(("greet-and-wait",), mode="tcp"), say(b"hi", aborts=True))

    async def test_aborted_by_client_amid_much(self) -> None:
        """The client resets the connection while much is on its way to it."""
        scene = Scene(("pour",), mode="tcp", bytes_too=False)
        await self.compare(scene, say(b"hi", aborts=True))

    async def test_aborted_by_client_before_the_server(self) -> None:
        """The client leaves while the server has not accepted yet."""
        await self.compare(
            Scene(("full",), mode="tcp", retries=0, bytes_too=False),
            say(b"hi", aborts=True, wait=0.1),
            s1_econ="0 1", s1_cli_abrt="1 0", b_econ="0 1", b_cli_abrt="1 0",
        )  # fmt: skip

    async def test_aborted_by_server(self) -> None:
        """The server resets the connection amid the transfer."""
        await self.compare(Scene(("greet-and-reset",), mode="tcp"), listen(b"hi"))

    async def test_connect_times_out(self) -> None:
        """The server does not answer the attempt to connect."""
        await self.compare(Scene(("full",), mode="tcp", bytes_too=False), listen(b"hi"))

    async def test_queue_times_out(self) -> None:
        """The only place is not given free in time."""
        scene = Scene(("echo",), mode="tcp", maxconn=1, bytes_too=False)
        await self.compare(scene, one_holds_another_waits(1.0))

    async def test_queued(self) -> None:
        """The only place is given free in time."""
        await self.compare(Scene(("echo",), mode="tcp", maxconn=1), one_holds_another_waits(0.1))

    async def test_server_times_out(self) -> None:
        """The server says nothing for `timeout server`."""
        await self.compare(Scene(("silent",), mode="tcp", server="300ms"), listen(b"hi"))

    async def test_client_times_out(self) -> None:
        """The client says nothing for `timeout client`."""
        scene = Scene(("greet-and-wait",), mode="tcp", client="300ms", server="900ms")
        await self.compare(scene, listen())

    async def test_marked_down(self) -> None:
        """The server is put into maintenance, which shuts its sessions down."""
        scene = Scene(("greet-and-wait",), mode="tcp", shuts=True)
        await self.compare(scene, listen(b"hi"), meanwhile=b"set server b/s1 state maint\n")

    async def test_denied(self) -> None:
        """A rule refuses the connection."""
        scene = Scene(
            ("echo",),
            mode="tcp",
            lines=("tcp-request connection reject", "tcp-request-connection = reject"),
        )
        await self.compare(scene, listen(), f_smax="1 0")


class TwistedRelayTests(CounterCase):
    """Some of the same with the other relay."""

    async def test_aborted_by_client(self) -> None:
        """The client resets the connection amid the transfer."""
        scene = Scene(("greet-and-wait",), mode="tcp", relay="twisted")
        await self.compare(scene, say(b"hi", aborts=True))

    async def test_aborted_by_server(self) -> None:
        """The server resets the connection amid the transfer."""
        scene = Scene(("greet-and-reset",), mode="tcp", relay="twisted")
        await self.compare(scene, listen(b"hi"))

    async def test_server_times_out(self) -> None:
        """The server says nothing for `timeout server`."""
        scene = Scene(("silent",), mode="tcp", server="300ms", relay="twisted")
        await self.compare(scene, listen(b"hi"))


class HttpTests(CounterCase):
    async def test_served(self) -> None:
        """Three requests on one connection."""
        await self.compare(Scene(), get("/ok", "/ok", "/404"))

    async def test_classes(self) -> None:
        """Answers are counted by their class."""
        await self.compare(Scene(), get("/302", "/500", "/ok", "/404", "/404"))

    async def test_refused(self) -> None:
        """The only server refuses, and refuses again."""
        await self.compare(Scene(("refusing",)), get("/ok"))

    async def test_redispatched(self) -> None:
        """The first server refuses, the next one serves."""
        await self.compare(Scene(("refusing", "http")), get("/ok"))

    async def test_no_server(self) -> None:
        """All servers are in maintenance."""
        await self.compare(Scene(disabled=True), get("/ok"))

    async def test_connect_times_out(self) -> None:
        """The server does not answer the attempt to connect."""
        await self.compare(Scene(("full",)), get("/ok"))

    async def test_queue_times_out(self) -> None:
        """The only place is not given free in time."""
        await self.compare(Scene(maxconn=1), one_holds_another_waits(1.0, GET % b"/hang"))

    async def test_queued(self) -> None:
        """The only place is given free in time."""
        await self.compare(Scene(maxconn=1), one_holds_another_waits(0.5, GET % b"/slow"))

    async def test_aborted_by_client_in_the_queue(self) -> None:
        """The client leaves while it waits for the only place."""
        await self.compare(Scene(maxconn=1), one_holds_another_waits(0.1, GET % b"/slow"))

    async def test_aborted_by_client_before_the_server(self) -> None:
        """The client leaves while the server has not accepted yet."""
        await self.compare(
            Scene(("full",), retries=0),
            say(GET % b"/ok", aborts=True, wait=0.1),
            f_hrsp_5xx="1 0", b_hrsp_5xx="1 0", s1_econ="1 0", b_econ="1 0",
        )  # fmt: skip

    async def test_shared_connection(self) -> None:
        """Several clients, one after the other, share a connection to the server."""
        await self.compare(Scene(), get("/ok", "/ok"), get("/ok", "/ok"))

    async def test_server_times_out(self) -> None:
        """The server does not answer within `timeout server`."""
        await self.compare(Scene(server="300ms"), get("/hang"))

    async def test_server_times_out_amid_the_answer(self) -> None:
        """The server begins to answer, and does not go on."""
        await self.compare(Scene(server="300ms"), listen(GET % b"/half"))

    async def test_client_times_out_at_once(self) -> None:
        """The client sends nothing within `timeout http-request`."""
        await self.compare(Scene(request="300ms"), listen())

    async def test_client_times_out_amid_the_request(self) -> None:
        """The client begins a request, and does not go on."""
        await self.compare(Scene(request="300ms"), listen(b"GET /ok HTTP/1.1\r\nHos"))

    async def test_client_times_out_amid_the_body(self) -> None:
        """The client does not send the whole body."""
        head = b"POST /hang HTTP/1.1\r\nHost: vip\r\nContent-Length: 10\r\n\r\nhello"
        await self.compare(
            Scene(client="300ms"), listen(head),
            f_hrsp_4xx="0 1", b_hrsp_4xx="0 1", f_hrsp_5xx="1 0", b_hrsp_5xx="1 0",
            s1_eresp="1 0", b_eresp="1 0", s1_cli_abrt="0 1", b_cli_abrt="0 1",
        )  # fmt: skip

    async def test_malformed(self) -> None:
        """The client does not speak HTTP."""
        await self.compare(Scene(), listen(b"this is not HTTP\r\n\r\n"))

    async def test_nothing_said(self) -> None:
        """The client comes and goes."""
        await self.compare(Scene(), say(b"", wait=0.1))

    async def test_broken_off_request(self) -> None:
        """The client goes amid its request's head."""
        await self.compare(Scene(), say(b"GET /ok HTTP/1.1\r\nHos", wait=0.1))

    async def test_aborted_by_client_before_the_answer(self) -> None:
        """The client resets the connection while the server thinks."""
        await self.compare(
            Scene(), say(GET % b"/hang", aborts=True),
            f_hrsp_5xx="1 0", b_hrsp_5xx="1 0", s1_eresp="1 0", b_eresp="1 0",
        )  # fmt: skip

    async def test_aborted_by_client_amid_the_answer(self) -> None:
        """The client resets the connection amid a large answer."""
        await self.compare(Scene(), say(GET % b"/large", aborts=True))

    async def test_aborted_by_client_amid_the_body(self) -> None:
        """The client resets the connection amid its request's body."""
        head = b"POST /hang HTTP/1.1\r\nHost: vip\r\nContent-Length: 10\r\n\r\nhello"
        await self.compare(Scene(), say(head, aborts=True), f_hrsp_other="1 0", b_hrsp_other="1 0")

    async def test_no_answer(self) -> None:
        """The server closes the connection without an answer."""
        await self.compare(Scene(), get("/nothing"))

    async def test_no_answer_but_a_reset(self) -> None:
        """The server resets the connection without an answer."""
        await self.compare(Scene(), get("/reset"), s1_eresp="2 1", b_eresp="2 1")

    async def test_malformed_answer(self) -> None:
        """The server does not speak HTTP."""
        await self.compare(Scene(), get("/garbage"))

    async def test_aborted_by_server(self) -> None:
        """The server closes the connection amid its answer."""
        await self.compare(Scene(), listen(GET % b"/short"))

    async def test_marked_down(self) -> None:
        """The server is put into maintenance, which shuts its sessions down."""
        scene, command = Scene(shuts=True), b"set server b/s1 state maint\n"
        await self.compare(
            scene, listen(GET % b"/hang"), meanwhile=command, f_hrsp_5xx="1 0", b_hrsp_5xx="1 0"
        )

    async def test_marked_down_amid_the_answer(self) -> None:
        """The same amid an answer."""
        scene, command = Scene(shuts=True), b"set server b/s1 state maint\n"
        await self.compare(scene, listen(GET % b"/half"), meanwhile=command)

    async def test_denied_request(self) -> None:
        """A rule of the frontend denies a request, and lets another pass."""
        rule = "deny if { path /no }"
        scene = Scene(lines=(f"http-request {rule}", f"http-request = {rule}"))
        await self.compare(scene, get("/no", "/ok"))

    async def test_denied_response(self) -> None:
        """A rule denies a response."""
        rule = "deny if { status 404 }"
        scene = Scene(lines=(f"http-response {rule}", f"http-response = {rule}"))
        await self.compare(
            scene, get("/404", "/ok"),
            s1_connect="1 2", b_connect="1 2", s1_reuse="1 0", b_reuse="1 0",
            s1_idle_conn_cur="0 1", s1_safe_conn_cur="1 0",
        )  # fmt: skip

    async def test_redirected(self) -> None:
        """A rule of the frontend redirects a request."""
        rule = "location /ok if { path /old }"
        scene = Scene(lines=(f"redirect {rule}", f"redirect = {rule}"))
        await self.compare(scene, get("/old", "/ok"))

    async def test_intercepted(self) -> None:
        """The proxy answers the monitor's URI itself."""
        scene = Scene(lines=("monitor-uri /status", "monitor-uri = /status"))
        await self.compare(scene, get("/status", "/ok"))
