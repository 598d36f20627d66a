"""Hostile and odd HTTP messages, each with its verdict.

Whoever reads one of them differently from the proxy in front of him, or behind him, can be made
to take a part of it for another message: that is request smuggling, or response splitting. So
each is either refused, or forwarded in a form that has one meaning. The tests send them whole,
byte by byte and split at random; other readers of HTTP are asked for their verdicts, too.
"""

from __future__ import annotations

from attrs import frozen

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
BOTH = POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"
HIDDEN = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"
"""What an attacker would like the server to see as a request of its own."""

WEBSOCKET = GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

HOSTILE_REQUESTS = {
    # line ends
    "bare LF": b"GET / HTTP/1.1\nHost: a\n\n",
    "one bare LF": GET[:-2] + b"\nX: b\r\n\r\n",
    "bare LF before the empty line": GET[:-2] + b"\n\r\n",
    "bare LF as the empty line": GET + b"\n",
    "bare LF before the request": b"\n" + GET + b"\r\n",
    "bare CR": GET[:-2] + b"\rX: b\r\n\r\n",
    "bare CR before the request": b"\r" + GET + b"\r\n",
    "CR twice": GET[:-2] + b"\r\r\n\r\n",
    "CR twice as the empty line": GET + b"\r\r\n" + HIDDEN,
    "hidden behind a bare LF": GET + b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "hidden behind a bare CR": GET + b"X: y\rContent-Length: 32\r\n\r\n" + HIDDEN,
    # names and values
    "NUL in a value": GET + b"X: \0\r\n\r\n",
    "NUL in a name": GET + b"X\0: y\r\n\r\n",
    "control character": GET + b"X: \x0b\r\n\r\n",
    "DEL in a value": GET + b"X: \x7f\r\n\r\n",
    "folded line": GET + b"X: a\r\n b\r\n\r\n",
    "folded by a tab": GET + b"X: a\r\n\tb\r\n\r\n",
    "folded first line": b"GET / HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n",
    "space before the colon": POST + b"Content-Length : 3\r\n\r\nabc",
    "tab before the colon": POST + b"Content-Length\t: 3\r\n\r\nabc",
    "space in a name": GET + b"X Y: z\r\n\r\n",
    "no colon": GET + b"Nonsense\r\n\r\n",
    "empty name": GET + b": b\r\n\r\n",
    "name beyond ASCII": GET + b"X\xe9: b\r\n\r\n",
    "name with parentheses": GET + b"X(): b\r\n\r\n",
    # several lengths, and odd ones
    "two Content-Lengths": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "Content-Length twice": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "list of Content-Lengths": POST + b"Content-Length: 3, 3\r\n\r\nabc",
    "list of two Content-Lengths": POST + b"Content-Length: 3, 4\r\n\r\nabc",
    "signed Content-Length": POST + b"Content-Length: +3\r\n\r\nabc",
    "negative Content-Length": POST + b"Content-Length: -3\r\n\r\nabc",
    "hexadecimal Content-Length": POST + b"Content-Length: 0x3\r\n\r\nabc",
    "octal Content-Length": POST + b"Content-Length: 010\r\n\r\nabcdefghij",
    "Content-Length with an underscore": POST + b"Content-Length: 1_0\r\n\r\nabcdefghij",
    "Content-Length with a point": POST + b"Content-Length: 3.0\r\n\r\nabc",
    "Content-Length of two words": POST + b"Content-Length: 3 3\r\n\r\nabc",
    "Content-Length in quotes": POST + b'Content-Length: "3"\r\n\r\nabc',
    "Content-Length beyond ASCII": POST + b"Content-Length: \xb3\r\n\r\nabc",
    "endless Content-Length": POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
    "Content-Length of 64 bits": POST + b"Content-Length: 18446744073709551619\r\n\r\nabc",
    "empty Content-Length": POST + b"Content-Length:\r\n\r\n",
    # transfer codings
    "TE identity": POST + b"Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc",
    "TE gzip, chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE chunked, identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "TE chunked, chunked": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "TE twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE chunked and another": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
    "TE another and chunked": POST
    + b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE with a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "TE with a no-break space": POST + b"Transfer-Encoding: \xa0chunked\r\n\r\n0\r\n\r\n",
    "TE with a NUL": POST + b"Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n",
    "TE with a comma": POST + b"Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
    "TE after a comma": POST + b"Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    "TE with a parameter": POST + b"Transfer-Encoding: chunked;x=y\r\n\r\n0\r\n\r\n",
    "TE quoted": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "TE almost chunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE empty": POST + b"Transfer-Encoding:\r\nContent-Length: 3\r\n\r\nabc",
    "TE folded": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "TE before a space and a colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "TE in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    # whose request it is
    "two Hosts": GET + b"Host: b\r\n\r\n",
    "Host twice": GET + b"host: a\r\n\r\n",
    "Host with a space": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "Host with a path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "Host with a user": b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "Host with a comma": b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "Host beyond ASCII": b"GET / HTTP/1.1\r\nHost: \xe9\r\n\r\n",
    "absolute form against Host": b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute form against Host's port": b"GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute form with a user": b"GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n",
    "absolute form with a query alone": b"GET http://a?x HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute form without a host": b"GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute form of another scheme": b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    # the request line
    "target without a slash": b"GET index HTTP/1.1\r\nHost: a\r\n\r\n",
    "target of an authority": b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "asterisk without OPTIONS": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "target with a fragment": b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n",
    "target beyond ASCII": b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "target with a space": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "target with a NUL": b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces after the method": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces before the version": b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
    "space after the version": b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
    "space before the method": b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "tab in the request line": b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "method with an at sign": b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT": b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "HTTP/1.10": b"GET / HTTP/1.10\r\nHost: a\r\n\r\n",
    "HTTP/01.1": b"GET / HTTP/01.1\r\nHost: a\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "lower-case version": b"GET / http/1.1\r\nHost: a\r\n\r\n",
    "TLS on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    # tunnels that might be none
    "WebSocket without a key": WEBSOCKET + b"\r\n",
    "WebSocket with a short key": WEBSOCKET + KEY.replace(b"dGhl", b"") + b"\r\n",
    "WebSocket with no base64 for a key": WEBSOCKET + KEY.replace(b"dGhl", b"????") + b"\r\n",
    "WebSocket with two keys": WEBSOCKET + KEY + KEY + b"\r\n",
    # sizes
    "header bomb": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 4000 + b"\r\n",
    "102 fields": GET + b"X: y\r\n" * 101 + b"\r\n",
    "head of almost 16 KiB": GET + b"X: " + b"a" * 16000 + b"\r\n\r\n",
    "head of 15300 bytes": GET + b"X: " + b"a" * 15300 + b"\r\n\r\n",
    "endless value": GET + b"X: " + b"a" * 17000,
    "endless name": GET + b"X" * 17000,
    "endless target": b"GET /" + b"a" * 17000,
    "endless method": b"G" * 17000,
    # chunks
    "chunk size 0x": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "chunk size empty": CHUNKED + b"\r\nabc\r\n0\r\n\r\n",
    "chunk size negative": CHUNKED + b"-1\r\nabc\r\n0\r\n\r\n",
    "chunk size signed": CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n",
    "chunk size overflow": CHUNKED + b"f" * 17 + b"\r\nabc\r\n0\r\n\r\n",
    "chunk size overflow to 3": CHUNKED + b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "chunk size after a space": CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n",
    "chunk size of two words": CHUNKED + b"3 3\r\nabc\r\n0\r\n\r\n",
    "chunk size with an underscore": CHUNKED + b"0_3\r\nabc\r\n0\r\n\r\n",
    "chunk size with LF": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "chunk size with CR twice": CHUNKED + b"3\r\r\nabc\r\n0\r\n\r\n",
    "chunk longer than its size": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "chunk ended by LF": CHUNKED + b"3\r\nabc\n0\r\n\r\n",
    "chunk ended by CR": CHUNKED + b"3\r\nabc\r0\r\n\r\n",
    "chunk without an end": CHUNKED + b"3\r\nabc0\r\n\r\n",
    "last chunk with LF": CHUNKED + b"0\n\r\n",
    "CR in a chunk extension": CHUNKED + b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "LF in a chunk extension": CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "NUL in a chunk extension": CHUNKED + b"3;\0\r\nabc\r\n0\r\n\r\n",
    "endless chunk extension": CHUNKED + b"3;" + b"a" * 2000,
    # trailers
    "malformed trailer": CHUNKED + b"0\r\nX : y\r\n\r\n",
    "folded trailer": CHUNKED + b"0\r\nX: a\r\n b\r\n\r\n",
    "NUL in a trailer": CHUNKED + b"0\r\nX: \0\r\n\r\n",
    "request in place of trailers": CHUNKED + b"0\r\n" + HIDDEN,
    "trailers with a Content-Length": CHUNKED + b"0\r\nContent-Length: x\r\n\r\n",
    "trailers with a Transfer-Encoding": CHUNKED + b"0\r\ntransfer-encoding: chunked\r\n\r\n",
    "trailers with LF": CHUNKED + b"0\r\nX: y\n\r\n\r\n",
    "endless trailers": CHUNKED + b"0\r\n" + b"X: y\r\n" * 2000,
    "101 trailers": CHUNKED + b"0\r\n" + b"X: y\r\n" * 101 + b"\r\n",
}
"""Each gets a 400, and the end of its connection; no server sees a whole request."""

ACCEPTED_REQUESTS = {
    # two framings: chunked counts, and what follows on the connection is not read
    "CL.TE": (BOTH + b"0\r\n\r\nG", CHUNKED + b"0\r\n\r\n"),
    "CL.TE with a hidden request": (BOTH + b"0\r\n\r\n" + HIDDEN, CHUNKED + b"0\r\n\r\n"),
    "TE.CL": (
        BOTH.replace(b"6", b"4") + b"20\r\n" + HIDDEN + b"\r\n0\r\n\r\n",
        CHUNKED + b"20\r\n" + HIDDEN + b"\r\n0\r\n\r\n",
    ),
    "TE before CL": (
        CHUNKED[:-2] + b"Content-Length: 6\r\n\r\n0\r\n\r\nG",
        CHUNKED + b"0\r\n\r\n",
    ),
    # spellings
    "TE in capitals": (
        CHUNKED.replace(b"chunked", b"CHUNKED") + b"0\r\n\r\n",
        CHUNKED + b"0\r\n\r\n",
    ),
    "TE among blanks": (
        CHUNKED.replace(b" chunked", b"\t  chunked \t") + b"0\r\n\r\n",
        CHUNKED + b"0\r\n\r\n",
    ),
    "Content-Length among blanks": (
        POST + b"Content-Length:\t3 \t\r\n\r\nabc",
        POST + b"Content-Length: 3\r\n\r\nabc",
    ),
    "Content-Length in capitals": (
        POST + b"CONTENT-LENGTH: 3\r\n\r\nabc",
        POST + b"CONTENT-LENGTH: 3\r\n\r\nabc",
    ),
    "Transfer_Encoding": (GET + b"Transfer_Encoding: chunked\r\n\r\n",) * 2,
    "TE in another field's value": (GET + b"X: Transfer-Encoding: chunked\r\n\r\n",) * 2,
    "value beyond ASCII": (GET + b"X: \xe9\xff\r\n\r\n",) * 2,
    "empty value": (GET + b"X:\r\n\r\n",) * 2,
    # bodies
    "request in a body": (POST + b"Content-Length: 32\r\n\r\n" + HIDDEN,) * 2,
    "request in a chunk": (CHUNKED + b"20\r\n" + HIDDEN + b"\r\n0\r\n\r\n",) * 2,
    "GET with a body": (GET + b"Content-Length: 32\r\n\r\n" + HIDDEN,) * 2,
    "HEAD with a body": ((GET + b"Content-Length: 3\r\n\r\nabc").replace(b"GET", b"HEAD"),) * 2,
    "two requests": (GET + b"\r\n" + HIDDEN,) * 2,
    "request after a body": (POST + b"Content-Length: 3\r\n\r\nabc" + HIDDEN,) * 2,
    "request after chunks": (CHUNKED + b"3\r\nabc\r\n0\r\n\r\n" + HIDDEN,) * 2,
    "request after close": (GET + b"Connection: close\r\n\r\n" + HIDDEN, GET + b"\r\n"),
    "empty lines first": (b"\r\n\r\n" + GET + b"\r\n", GET + b"\r\n"),
    "empty line after a body": (
        POST + b"Content-Length: 3\r\n\r\nabc\r\n" + HIDDEN,
        POST + b"Content-Length: 3\r\n\r\nabc" + HIDDEN,
    ),
    "HTTP/1.0 with a body": (
        b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc" + HIDDEN,
        b"POST / HTTP/1.0\r\nContent-Length: 3\r\nconnection: keep-alive\r\n\r\nabc",
    ),
    # chunks
    "chunk extensions": (
        CHUNKED + b'3;a=b;c="d"\r\nabc\r\n0;e\r\n\r\n',
        CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
    ),
    "chunk sizes with zeros": (
        CHUNKED + b"000003\r\nabc\r\n000\r\n\r\n",
        CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
    ),
    "chunk sizes in capitals": (
        CHUNKED + b"A\r\nabcdefghij\r\n0\r\n\r\n",
        CHUNKED + b"a\r\nabcdefghij\r\n0\r\n\r\n",
    ),
    "trailers": (CHUNKED + b"0\r\nX: y\r\n\r\n",) * 2,
    "trailers that pretend": (
        CHUNKED + b"0\r\nHost: b\r\nX: y\r\nCookie: c\r\n\r\n",
        CHUNKED + b"0\r\nX: y\r\n\r\n",
    ),
    # hop by hop
    "Connection names Content-Length": (
        POST + b"Connection: content-length\r\nContent-Length: 3\r\n\r\nabc",
        POST + b"Content-Length: 3\r\n\r\nabc",
    ),
    "Connection names Transfer-Encoding": (
        CHUNKED[:-2] + b"Connection: transfer-encoding\r\n\r\n0\r\n\r\n",
        CHUNKED + b"0\r\n\r\n",
    ),
    "Connection names Host": (GET + b"Connection: host\r\n\r\n", GET + b"\r\n"),
    "upgrade to HTTP/2": (
        GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
        GET + b"\r\n",
    ),
    "WebSocket": (
        WEBSOCKET + KEY + b"\r\n",
        GET
        + KEY
        + WEBSOCKET[len(GET) :]
        .replace(b"Connection", b"connection")
        .replace(b"Upgrade:", b"upgrade:")
        + b"\r\n",
    ),
    "upgrade with a body": (
        POST + b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc",
        POST + b"Content-Length: 3\r\n\r\nabc",
    ),
    # whose request it is
    "absolute form": (b"GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n",) * 2,
    "absolute form with the usual port": (b"GET http://a:80/x HTTP/1.1\r\nHost: A\r\n\r\n",) * 2,
    "no Host": (b"GET / HTTP/1.1\r\n\r\n",) * 2,
    "empty Host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", b"GET / HTTP/1.1\r\nHost: \r\n\r\n"),
    # sizes
    "100 fields": (GET + b"X: y\r\n" * 99 + b"\r\n",) * 2,
    "head of 15000 bytes": (GET + b"X: " + b"a" * 15000 + b"\r\n\r\n",) * 2,
    "100 trailers": (CHUNKED + b"0\r\n" + b"X: y\r\n" * 100 + b"\r\n",) * 2,
    "asterisk": (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",) * 2,
}
"""What a client sends, and all that reaches servers of it when it comes whole."""

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH_3 = OK + b"Content-Length: 3\r\n\r\nabc"
CHUNKS = OK + b"Transfer-Encoding: chunked\r\n\r\n"
SPLIT = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
"""What an attacker would like another client to get."""

HOSTILE_RESPONSES = {
    "garbage": b"garbage\r\n\r\n",
    "unfinished garbage": b"\x15\x03\x03\x00\x02",
    "another version": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "version 1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "lower-case version": b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no version": b"200 OK\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "status 000": b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
    "status in words": b"HTTP/1.1 two OK\r\nContent-Length: 0\r\n\r\n",
    "two spaces before the status": b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
    "NUL in the reason": b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n",
    "bare CR in the reason": b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "one bare LF": OK + b"X: a\nContent-Length: 0\r\n\r\n",
    "bare LF as the empty line": OK + b"Content-Length: 0\r\n\n",
    "bare CR": OK + b"X: a\rb\r\nContent-Length: 0\r\n\r\n",
    "NUL": OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "folded line": OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "space before the colon": OK + b"Content-Length : 0\r\n\r\n",
    "no colon": OK + b"Nonsense\r\nContent-Length: 0\r\n\r\n",
    "two Content-Lengths": OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "Content-Length twice": OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "list of Content-Lengths": OK + b"Content-Length: 3, 3\r\n\r\nabc",
    "signed Content-Length": OK + b"Content-Length: +3\r\n\r\nabc",
    "negative Content-Length": OK + b"Content-Length: -1\r\n\r\nabc",
    "hexadecimal Content-Length": OK + b"Content-Length: 0x3\r\n\r\nabc",
    "endless Content-Length": OK + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
    "TE gzip": OK + b"Transfer-Encoding: gzip\r\n\r\nabc",
    "TE gzip, chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE chunked, identity": OK + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "TE identity": OK + b"Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc",
    "TE twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE with a vertical tab": OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "TE in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "header bomb": OK + b"X: y\r\n" * 4000 + b"\r\n",
    "102 fields": OK + b"Content-Length: 0\r\n" + b"X: y\r\n" * 101 + b"\r\n",
    "head of almost 16 KiB": OK + b"Content-Length: 0\r\nX: " + b"a" * 16000 + b"\r\n\r\n",
    "endless reason": b"HTTP/1.1 200 " + b"a" * 17000,
    "empty line first": b"\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n",
    "101 unasked": b"HTTP/1.1 101 Ok\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
    "malformed after a 100": b"HTTP/1.1 100 Continue\r\n\r\nnonsense\r\n\r\n",
    "100 with a body": b"HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\nabc" + LENGTH_3,
}
"""Each becomes a 502, and the server's connection ends."""

BROKEN_RESPONSES = {
    "chunk size 0x": CHUNKS + b"0x3\r\nabc\r\n0\r\n\r\n",
    "chunk size empty": CHUNKS + b"\r\nabc\r\n0\r\n\r\n",
    "chunk size overflow": CHUNKS + b"f" * 17 + b"\r\nabc\r\n0\r\n\r\n",
    "chunk size with LF": CHUNKS + b"3\nabc\r\n0\r\n\r\n",
    "chunk longer than its size": CHUNKS + b"3\r\nabcd\r\n0\r\n\r\n",
    "chunk ended by LF": CHUNKS + b"3\r\nabc\n0\r\n\r\n",
    "LF in a chunk extension": CHUNKS + b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "endless chunk extension": CHUNKS + b"3;" + b"a" * 2000,
    "folded trailer": CHUNKS + b"0\r\nX: a\r\n b\r\n\r\n",
    "trailers with a Content-Length": CHUNKS + b"0\r\nContent-Length: 3\r\n\r\n",
    "trailers with LF": CHUNKS + b"0\r\nX: y\n\r\n\r\n",
    "response in place of trailers": CHUNKS + b"0\r\n" + SPLIT,
    "endless trailers": CHUNKS + b"0\r\n" + b"X: y\r\n" * 2000,
    "101 trailers": CHUNKS + b"0\r\n" + b"X: y\r\n" * 101 + b"\r\n",
}
"""Where the head has gone to the client already, its connection ends without the last chunk."""


@frozen
class Accepted:
    """A response that is forwarded."""

    sent: bytes
    got: bytes
    """What the client gets of it."""
    method: bytes = b"GET"
    kept: bool = False
    """The server's connection may carry another request."""
    closes: bool = False
    """The server closes after it."""


CLOSED = b"connection: close\r\n\r\n"

ACCEPTED_RESPONSES = {
    "length": Accepted(LENGTH_3, LENGTH_3, kept=True),
    "chunks": Accepted(CHUNKS + b"3;x\r\nabc\r\n00\r\n\r\n", CHUNKS + b"3\r\nabc\r\n0\r\n\r\n",
                       kept=True),
    "trailers": Accepted(CHUNKS + b"0\r\nX: y\r\nSet-Cookie: a\r\n\r\n",
                         CHUNKS + b"0\r\nX: y\r\n\r\n", kept=True),
    "until the end": Accepted(OK + b"\r\nabc" + SPLIT, OK + CLOSED + b"abc" + SPLIT, closes=True),
    "CL and TE": Accepted(CHUNKS[:-2] + b"Content-Length: 3\r\n\r\n0\r\n\r\n" + SPLIT,
                          CHUNKS + b"0\r\n\r\n"),
    "TE in capitals": Accepted(CHUNKS.replace(b"chunked", b"CHUNKED") + b"0\r\n\r\n",
                               CHUNKS + b"0\r\n\r\n", kept=True),
    "response behind the length": Accepted(LENGTH_3 + SPLIT, LENGTH_3),
    "response behind the chunks": Accepted(CHUNKS + b"0\r\n\r\n" + SPLIT, CHUNKS + b"0\r\n\r\n"),
    "response behind a HEAD": Accepted(LENGTH_3[:-3] + SPLIT, LENGTH_3[:-3], b"HEAD"),
    "body of a HEAD": Accepted(LENGTH_3, LENGTH_3[:-3], b"HEAD"),
    "chunks of a HEAD": Accepted(CHUNKS + b"3\r\nabc\r\n0\r\n\r\n", CHUNKS, b"HEAD"),
    "HEAD": Accepted(LENGTH_3[:-3], LENGTH_3[:-3], b"HEAD", kept=True),
    "204 with a length": Accepted(b"HTTP/1.1 204 -\r\nContent-Length: 3\r\n\r\nabc",
                                  b"HTTP/1.1 204 -\r\n\r\n"),
    "204 with chunks": Accepted(
        b"HTTP/1.1 204 -\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 204 -\r\n\r\n",
    ),
    "304 with a length": Accepted(b"HTTP/1.1 304 -\r\nContent-Length: 3\r\n\r\n",
                                  b"HTTP/1.1 304 -\r\nContent-Length: 3\r\n\r\n", kept=True),
    "304 with a body": Accepted(b"HTTP/1.1 304 -\r\nContent-Length: 3\r\n\r\nabc",
                                b"HTTP/1.1 304 -\r\nContent-Length: 3\r\n\r\n"),
    "100 before": Accepted(b"HTTP/1.1 100 Continue\r\n\r\n" + LENGTH_3,
                           b"HTTP/1.1 100 Continue\r\n\r\n" + LENGTH_3, kept=True),
    "no reason": Accepted(LENGTH_3.replace(b" OK", b""), LENGTH_3.replace(b"OK", b""), kept=True),
    "hop by hop": Accepted(
        LENGTH_3.replace(b"\r\n\r\n", b"\r\nConnection: x, close\r\nX: y\r\nUpgrade: h2c\r\n\r\n"),
        LENGTH_3,
    ),
    "100 fields": Accepted(
        *[LENGTH_3.replace(b"\r\n\r\n", b"\r\n" + b"X: y\r\n" * 99 + b"\r\n")] * 2, kept=True
    ),
    "head of 15000 bytes": Accepted(
        *[LENGTH_3.replace(b"\r\n\r\n", b"\r\nX: " + b"a" * 15000 + b"\r\n\r\n")] * 2, kept=True
    ),
    "HTTP/1.0": Accepted(b"HTTP/1.0 200 OK\r\n\r\nabc", b"HTTP/1.0 200 OK\r\n\r\nabc",
                         closes=True),
}  # fmt: skip
"""What a server says, and what becomes of it when it comes whole."""
