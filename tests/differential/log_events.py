"""What happens to sessions: one script for each event, run through HAProxy and through vipproxy.

Everything blocks, with timeouts; a script talks to the proxy, and the servers behave as asked.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable

from attrs import frozen

LOOPBACK = "127.0.0.1"
LIMIT = 20.0
"""Seconds that anything may take."""
HANG = 6.0
"""Seconds that a server is silent that hangs: longer than any timeout here."""
RESET = struct.pack("ii", 1, 0)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


class Server:
    """Each connection has a thread of its own."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listening = socket.create_server((LOOPBACK, 0), backlog=64)
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listening.accept()
                threading.Thread(target=self._one, args=(sock,), daemon=True).start()

    def _one(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sock.settimeout(LIMIT)
            self._serve(sock)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


class Silent:
    """Does not accept: its queue is full."""

    def __init__(self) -> None:
        self._listening = socket.socket()
        self._listening.bind((LOOPBACK, 0))
        self._listening.listen(0)
        self.port: int = self._listening.getsockname()[1]
        self._waiting = [self._connecting() for _ in range(4)]

    def _connecting(self) -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex((LOOPBACK, self.port))
        return sock

    def close(self) -> None:
        for sock in (*self._waiting, self._listening):
            sock.close()


def echo(sock: socket.socket) -> None:
    """A TCP server: says what it hears, and ends as it is told."""
    while data := sock.recv(65536):
        if data.startswith(b"bye"):
            sock.sendall(b"bye")
            break
        if data.startswith(b"reset"):
            reset(sock)
            return
        sock.sendall(data)
    sock.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: a{b|c}\r\n\r\nok"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
ANSWERS = {
    b"/garbage": b"this is not HTTP\r\n\r\n",
    b"/part": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
    b"/stall": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
    b"/set-cookie": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: S=theirs\r\n\r\nok",
    b"/error": b"HTTP/1.1 500 Sorry\r\nContent-Length: 2\r\n\r\nno",
}


def serve_http(sock: socket.socket) -> None:
    """An HTTP server, whose paths say what it does."""
    waiting = b""
    while True:
        while b"\r\n\r\n" not in waiting:
            data = sock.recv(65536)
            if not data:
                return
            waiting += data
        head, _, waiting = waiting.partition(b"\r\n\r\n")
        path = head.split(b" ")[1]
        if path == b"/hang":
            time.sleep(HANG)
            return
        if path == b"/reset":
            reset(sock)
            return
        if path == b"/late":
            time.sleep(0.2)
        if path == b"/upgrade":
            sock.sendall(SWITCHED)
            echo(sock)
            return
        if path != b"/close":
            sock.sendall(ANSWERS.get(path, OK))
        if path == b"/stall":
            time.sleep(HANG)
        if path in (b"/close", b"/garbage", b"/part", b"/stall"):
            sock.close()
            return


@frozen
class Way:
    """One of the two proxies: its ports by the names of frontends, and its stats socket."""

    ports: dict[str, int]
    stats: str

    def connect(self, frontend: str) -> socket.socket:
        sock = socket.create_connection((LOOPBACK, self.ports[frontend]), timeout=LIMIT)
        sock.settimeout(LIMIT)
        return sock

    def command(self, text: str) -> str:
        """The answer of the stats socket."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(LIMIT)
            sock.connect(self.stats)
            sock.sendall(text.encode() + b"\n")
            answer = b""
            while received := sock.recv(65536):
                answer += received
        return answer.decode()

    def ask(self, frontend: str, request: bytes) -> None:
        """Send, and read to the end."""
        with self.connect(frontend) as sock:
            sock.sendall(request)
            read_all(sock)


def read_all(sock: socket.socket) -> None:
    with contextlib.suppress(ConnectionError):
        while sock.recv(65536):
            pass


def echoed(sock: socket.socket, text: bytes = b"hello") -> None:
    sock.sendall(text)
    assert sock.recv(100) == text


def get(path: str, cookie: str = "", close: bool = True) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: example.org", "User-Agent: test{1|2}"]
    lines += [f"Cookie: {cookie}"] if cookie else []
    lines += ["Connection: close"] if close else []
    return "\r\n".join([*lines, "", ""]).encode()


POST = b"POST %s HTTP/1.1\r\nHost: example.org\r\nContent-Length: 10\r\n\r\n"

# -- the events -----------------------------------------------------------------------------


def client_ends(way: Way) -> None:
    with way.connect("tcp") as sock:
        echoed(sock)
        sock.shutdown(socket.SHUT_WR)
        read_all(sock)


def server_ends(way: Way) -> None:
    way.ask("tcp", b"bye")


def nothing_sent(way: Way) -> None:
    way.connect("tcp").close()


def client_resets(way: Way) -> None:
    sock = way.connect("tcp")
    echoed(sock)
    reset(sock)


def server_resets(way: Way) -> None:
    way.ask("tcp", b"reset")


def client_timeout(way: Way) -> None:
    with way.connect("tcp-patient-server") as sock:
        echoed(sock)
        read_all(sock)


def server_timeout(way: Way) -> None:
    with way.connect("tcp-patient-client") as sock:
        echoed(sock)
        read_all(sock)


def refused(way: Way) -> None:
    way.ask("tcp-refused", b"")


def connect_timeout(way: Way) -> None:
    way.ask("tcp-silent", b"")


def no_server(way: Way) -> None:
    way.ask("tcp-down", b"")


def leaves_while_connecting(way: Way) -> None:
    sock = way.connect("tcp-silent")
    time.sleep(0.1)
    reset(sock)


def queue_timeout(way: Way) -> None:
    with way.connect("tcp-queue") as first:
        echoed(first)
        with way.connect("tcp-queue") as second:
            read_all(second)


def queued(way: Way) -> None:
    with way.connect("tcp-queue") as first:
        echoed(first)
        with way.connect("tcp-queue") as second:
            time.sleep(0.1)
            first.close()
            echoed(second)
            second.shutdown(socket.SHUT_WR)
            read_all(second)


def leaves_the_queue(way: Way) -> None:
    with way.connect("tcp-queue") as first:
        echoed(first)
        second = way.connect("tcp-queue")
        time.sleep(0.1)
        reset(second)
        time.sleep(0.1)


def marked_down(way: Way) -> None:
    with way.connect("tcp-fragile") as sock:
        echoed(sock)
        way.command("set server tcp-fragile/s1 state maint")
        read_all(sock)
    way.command("set server tcp-fragile/s1 state ready")


def killed(frontend: str, request: bytes) -> Callable[[Way], None]:
    """By an operator, after the first bytes of an answer."""

    def event(way: Way) -> None:
        with way.connect(frontend) as sock:
            sock.sendall(request)
            assert sock.recv(10)
            way.command(f"shutdown sessions server {frontend}/s1")
            read_all(sock)

    return event


def http(path: str, frontend: str = "http") -> Callable[[Way], None]:
    return lambda way: way.ask(frontend, get(path))


def cookie(value: str, path: str = "/", frontend: str = "http-cookie") -> Callable[[Way], None]:
    return lambda way: way.ask(frontend, get(path, value))


def captured_cookie(way: Way) -> None:
    way.ask("http", get("/", "a=1; session=1234567890; b=2"))


def kept_alive(way: Way) -> None:
    with way.connect("http") as sock:
        for path in ("/1", "/2"):
            sock.sendall(get(path, close=False))
            assert sock.recv(4096)


def bad_request(way: Way) -> None:
    way.ask("http", b"NONSENSE\r\n\r\n")


def two_hosts(way: Way) -> None:
    way.ask("http", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")


def request_timeout(way: Way) -> None:
    way.ask("http", b"GET / HTTP/1.1\r\n")


def silent_client(way: Way) -> None:
    way.ask("http", b"")


def leaves_at_once(way: Way) -> None:
    way.connect("http").close()


def leaves_in_its_request(way: Way) -> None:
    with way.connect("http") as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n")
        time.sleep(0.1)


def leaves_before_the_answer(way: Way) -> None:
    sock = way.connect("http")
    sock.sendall(get("/hang"))
    time.sleep(0.2)
    reset(sock)


def leaves_in_the_answer(way: Way) -> None:
    sock = way.connect("http")
    sock.sendall(get("/stall"))
    assert sock.recv(10)
    reset(sock)


def leaves_in_its_body(way: Way) -> None:
    sock = way.connect("http")
    sock.sendall(POST % b"/hang" + b"ab")
    time.sleep(0.2)
    reset(sock)


def posted(way: Way) -> None:
    request = (POST % b"/p").replace(b"Host", b"Connection: close\r\nHost")
    way.ask("http", request + b"0123456789")


def bad_chunk(way: Way) -> None:
    head = (POST % b"/hang").replace(b"Content-Length: 10", b"Transfer-Encoding: chunked")
    way.ask("http", head + b"zz\r\n")


def upgraded(way: Way) -> None:
    with way.connect("http") as sock:
        sock.sendall(
            b"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
        )
        while b"\r\n\r\n" not in sock.recv(4096):
            pass
        echoed(sock)
        sock.shutdown(socket.SHUT_WR)
        read_all(sock)


def old_version(way: Way) -> None:
    way.ask("http", b"HEAD /old HTTP/1.0\r\n\r\n")


def http_marked_down(way: Way) -> None:
    with way.connect("http-fragile") as sock:
        sock.sendall(get("/stall"))
        assert sock.recv(10)
        way.command("set server http-fragile/s1 state maint")
        read_all(sock)
    way.command("set server http-fragile/s1 state ready")


def http_marked_down_early(way: Way) -> None:
    with way.connect("http-fragile") as sock:
        sock.sendall(get("/hang"))
        time.sleep(0.2)
        way.command("set server http-fragile/s1 state maint")
        read_all(sock)
    way.command("set server http-fragile/s1 state ready")


def rejected(way: Way) -> None:
    way.ask("tcp-rules", b"")


def monitored(way: Way) -> None:
    """And what comes after it is."""
    for path in ("/up", "/denied"):
        way.ask("http-rules", get(path))


def http_queue_timeout(way: Way) -> None:
    with way.connect("http-queue") as first:
        first.sendall(get("/stall"))
        assert first.recv(10)
        way.ask("http-queue", get("/queued"))
        read_all(first)


EVENTS: dict[str, Callable[[Way], None]] = {
    "tcp: the client ends": client_ends,
    "tcp: the server ends": server_ends,
    "tcp: nothing is sent": nothing_sent,
    "tcp: the client resets": client_resets,
    "tcp: the server resets": server_resets,
    "tcp: client timeout": client_timeout,
    "tcp: server timeout": server_timeout,
    "tcp: refused": refused,
    "tcp: connect timeout": connect_timeout,
    "tcp: no server": no_server,
    "tcp: the client leaves while connecting": leaves_while_connecting,
    "tcp: queue timeout": queue_timeout,
    "tcp: queued": queued,
    "tcp: the client leaves the queue": leaves_the_queue,
    "tcp: marked down": marked_down,
    "tcp: killed": killed("tcp", b"hello"),
    "http: killed": killed("http", get("/stall")),
    "http: answered": http('/a?b=c"d'),
    "http: captures": captured_cookie,
    "http: kept alive": kept_alive,
    "http: an error of the server's": http("/error"),
    "http: late": http("/late"),
    "http: server timeout": http("/hang"),
    "http: closed without an answer": http("/close"),
    "http: reset without an answer": http("/reset"),
    "http: not HTTP": http("/garbage"),
    "http: broken off": http("/part"),
    "http: server timeout in the answer": http("/stall"),
    "http: refused": http("/", "http-refused"),
    "http: connect timeout": http("/", "http-silent"),
    "http: no server": http("/", "http-down"),
    "http: queue timeout": http_queue_timeout,
    "http: bad request": bad_request,
    "http: two hosts": two_hosts,
    "http: request timeout": request_timeout,
    "http: a silent client": silent_client,
    "http: the client leaves at once": leaves_at_once,
    "http: the client leaves in its request": leaves_in_its_request,
    "http: the client leaves before the answer": leaves_before_the_answer,
    "http: the client leaves in the answer": leaves_in_the_answer,
    "http: the client leaves in its body": leaves_in_its_body,
    "http: posted": posted,
    "http: a malformed chunk": bad_chunk,
    "http: upgraded": upgraded,
    "http: version 1.0": old_version,
    "http: marked down before the answer": http_marked_down_early,
    "http: marked down in the answer": http_marked_down,
    "rules: denied": http("/denied", "http-rules"),
    "rules: redirected": http("/go", "http-rules"),
    "rules: denied by the backend": http("/backend-denies", "http-rules"),
    "rules: the response is denied": http("/error", "http-rules"),
    "rules: none applies": http("/", "http-rules"),
    "rules: a tcp client is rejected": rejected,
    "rules: the monitor is not logged": monitored,
    "cookie: none": cookie(""),
    "cookie: valid": cookie("S=one"),
    "cookie: unknown": cookie("S=zzz"),
    "cookie: of a server that is down": cookie("S=two"),
    "cookie: the server sets it": cookie("", "/set-cookie"),
    "cookie: the server sets it again": cookie("S=one", "/set-cookie"),
    "cookie: rewritten": cookie("", "/set-cookie", "http-rewrite"),
    "cookie: prefixed": cookie("", "/set-cookie", "http-prefix"),
    "cookie: preserved": cookie("", "/set-cookie", "http-preserve"),
    "cookie: too old": cookie("S=one|AAAAB", "/", "http-maxidle"),
    "cookie: without dates": cookie("S=one", "/", "http-maxidle"),
    "cookie: redispatch": cookie("S=one", "/", "http-redispatch"),
}
LINES = {"tcp: queue timeout": 2, "tcp: queued": 2, "tcp: the client leaves the queue": 2}
LINES |= {"http: kept alive": 2, "http: queue timeout": 2}
"""Of these events there is more than one line."""
