"""The form of the statistics page: what it does, and who may send it."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from attrs import evolve

from tests.unit.admin_fakes import FakeControl
from tests.unit.test_stats_server import ROOT, StatsCase
from vipproxy.admin.page_form import ACTIONS as CHOICES
from vipproxy.errors import Refused
from vipproxy.interfaces import Health
from vipproxy.protocols.stats import StatsOptions
from vipproxy.protocols.stats_actions import ACTIONS
from vipproxy.protocols.stats_auth import Credentials
from vipproxy.protocols.stats_server import BODY_LIMIT
from vipproxy.values import AdminState

POOL, NODE = "db-vms-galera", "rhos6-node2"
FORM = {"s": NODE, "b": POOL, "action": "maint"}
BROWSER = b"User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
OURS = b"Origin: http://vip\r\nReferer: http://vip/admin\r\nSec-Fetch-Site: same-origin\r\n"


class FormCase(StatsCase):
    def setUp(self) -> None:
        super().setUp()
        self.control = FakeControl()
        self.frontend.control = self.control
        self.configure(stats_admin=True)

    def configure(self, **changes: object) -> None:
        self.options = StatsOptions(
            stats_uri="/admin",
            stats_auth=(Credentials("root", "redhat"),),
            **changes,  # type: ignore[arg-type]
        )

    def page_and_post(self, fields: bytes, form: dict[str, str], token: bool = True) -> str:
        """Look at the page, then send its form; the outcome."""
        transport = self.connect()
        transport.deliver(b"GET /admin HTTP/1.1\r\nHost: vip\r\n" + ROOT + b"\r\n")
        found = re.search(
            rb'name="token"[^>]*value="([^"]+)"|value="([^"]+)" name="token"', transport.value()
        )
        shown = (found[1] or found[2]).decode() if found else ""
        body = urlencode({**form, "token": shown} if token else form).encode()
        return self.outcome(transport, fields + ROOT, body)

    def post(self, form: dict[str, str] | bytes, fields: bytes = ROOT) -> str:
        body = form if isinstance(form, bytes) else urlencode(form).encode()
        return self.outcome(self.connect(), fields, body)

    def outcome(self, transport: object, fields: bytes, body: bytes) -> str:
        head = b"POST /admin HTTP/1.1\r\nHost: vip\r\n%bContent-Length: %d\r\n\r\n" % (
            fields,
            len(body),
        )
        before = len(transport.value())  # type: ignore[attr-defined]
        transport.deliver(head + body)  # type: ignore[attr-defined]
        answer = transport.value()[before:].decode()  # type: ignore[attr-defined]
        found = re.search(r"^location: /admin;st=(\w+)\r$", answer, re.MULTILINE)
        return found[1] if found else answer.partition("\r\n")[0]


class ToolTests(FormCase):
    def test_done(self) -> None:
        """A tool with the password sends HAProxy's form, and that is all."""
        self.assertEqual(self.post(FORM), "DONE")
        self.assertEqual(self.control.calls, [("set_admin_state", POOL, NODE, AdminState.MAINT)])

    def test_backend_by_number(self) -> None:
        """The backend may be its number."""
        self.assertEqual(self.post({**FORM, "b": "#4"}), "DONE")
        self.assertEqual(self.control.calls, [("set_admin_state", POOL, NODE, AdminState.MAINT)])

    def test_health_and_sessions(self) -> None:
        """Health, checks and sessions are the operator's, too."""
        for action, call in {
            "dhlth": ("set_checking", POOL, NODE, False),
            "ehlth": ("set_checking", POOL, NODE, True),
            "hrunn": ("set_health", POOL, NODE, Health.UP),
            "hnolb": ("set_health", POOL, NODE, Health.STOPPING),
            "hdown": ("set_health", POOL, NODE, Health.DOWN),
            "shutdown": ("shut_server_sessions", POOL, NODE),
        }.items():
            self.control.calls.clear()
            self.assertEqual(self.post({**FORM, "action": action}), "DONE")
            self.assertEqual(self.control.calls, [call])

    def test_refused(self) -> None:
        """What the proxy refuses, and agents, which it has not, is nothing done."""
        self.assertEqual(self.post({**FORM, "action": "dagent"}), "NONE")
        self.control.refusal = Refused("not now")
        self.assertEqual(self.post({**FORM, "action": "ehlth"}), "NONE")

    def test_every_choice(self) -> None:
        """The page offers what can be done, and nothing else."""
        self.assertEqual({value for value, _ in CHOICES} - ACTIONS.keys(), set())

    def test_old_names(self) -> None:
        """HAProxy's older actions do nothing to a server that is so already."""
        self.assertEqual(self.post({**FORM, "action": "enable"}), "NONE")
        self.assertEqual(self.post({**FORM, "action": "disable"}), "DONE")

    def test_password(self) -> None:
        """Without the password nothing is done."""
        self.assertEqual(self.post(FORM, b""), "HTTP/1.1 401 Unauthorized")
        self.assertEqual(self.control.calls, [])

    def test_not_allowed(self) -> None:
        """Without `stats-admin` everything is denied, and the page has no forms."""
        self.configure()
        self.assertEqual(self.post(FORM), "DENY")
        self.assertEqual(self.control.calls, [])
        self.assertNotIn(b'<form method="post"', self.get(b"/admin")[2])

    def test_scope(self) -> None:
        """What is not shown cannot be changed."""
        self.configure(stats_admin=True, stats_scope=("nova-api-vms",))
        self.assertEqual(self.post(FORM), "ERRP")
        self.assertEqual(self.post({**FORM, "b": "nova-api-vms"}), "DONE")
        self.assertNotIn(POOL.encode(), self.get(b"/admin;csv")[2])

    def test_odd_bodies(self) -> None:
        """A form that is none is an error, or nothing to do."""
        self.assertEqual(self.post(b"\xff\xfe=\x00"), "ERRP")
        self.assertEqual(self.post(b""), "NONE")
        self.assertEqual(self.post(b"&".join([b"s=x"] * 1001)), "ERRP")
        self.assertEqual(self.post(b"s=" + b"x" * BODY_LIMIT), "EXCD")
        self.assertEqual(self.control.calls, [])


class BrowserTests(FormCase):
    def test_the_page_itself(self) -> None:
        """The page's own form is carried out."""
        self.assertEqual(self.page_and_post(BROWSER + OURS, FORM), "DONE")
        self.assertEqual(len(self.control.calls), 1)

    def test_another_site(self) -> None:
        """A form of another site is denied: it knows no token."""
        for fields in (
            b"Origin: http://evil.example\r\nSec-Fetch-Site: cross-site\r\n",
            b"Origin: null\r\n",
            b"Referer: http://evil.example/admin\r\n",
            b"Sec-Fetch-Site: cross-site\r\n",
            BROWSER,
            OURS,
        ):
            self.assertEqual(self.page_and_post(fields, FORM, token=False), "DENY", fields)
            self.assertEqual(self.post({**FORM, "token": "x"}, fields + ROOT), "DENY", fields)
        self.assertEqual(self.control.calls, [])

    def test_another_site_with_the_token(self) -> None:
        """The origin must be the same even where the token has leaked."""
        for fields in (
            b"Origin: http://evil.example\r\n",
            b"Origin: null\r\n",
            b"Origin: http://vip:81\r\n",
            b"Origin: http://[vip\r\n",
            b"Sec-Fetch-Site: same-site\r\n",
            b"Origin: http://vip\r\nReferer: http://evil.example/\r\n",
        ):
            self.assertEqual(self.page_and_post(fields, FORM), "DENY", fields)
        self.assertEqual(self.control.calls, [])

    def test_not_framed(self) -> None:
        """No other site can show the page in a frame, to have it clicked at."""
        _, fields, _ = self.get(b"/admin")
        self.assertIn(b"frame-ancestors 'none'", fields[b"content-security-policy"])
        self.assertEqual(fields[b"x-frame-options"], b"DENY")

    def test_message_goes(self) -> None:
        """A page that reloads is rid of the message then."""
        self.options = evolve(self.options, stats_refresh=5.0)
        self.assertEqual(self.get(b"/admin;st=DONE;up")[1][b"refresh"], b"5; url=/admin;up")

    def test_message(self) -> None:
        """The page tells what became of a form, and unknown words nothing."""
        self.assertIn(b"Nothing has changed.", self.get(b"/admin;st=NONE")[2])
        self.assertNotIn(b'role="status"', self.get(b"/admin;st=<b>")[2])
