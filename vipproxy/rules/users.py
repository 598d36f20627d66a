"""`http_auth`: whether a request has the name and password of somebody in a userlist."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets

from vipproxy.config.passwords import encrypted
from vipproxy.config.userlists import UserlistOptions

_AUTHORIZATION = re.compile(rb"(?im)^authorization:[ \t]*basic[ \t]+([^ \t\r]+)[ \t]*\r\n")


class Userlist:
    """One ``[userlist]``. Encrypting takes milliseconds, so who was right is remembered, as a
    keyed digest that is worth nothing outside of this process."""

    def __init__(self, options: UserlistOptions) -> None:
        self._users = dict(options.user)
        self._groups = {name: sorted(options.groups_of(name)) for name in self._users}
        self._key = secrets.token_bytes(32)
        self._known: dict[str, bytes] = {}

    def user_of(self, lines: bytes) -> str | None:
        """The user whose name and password a request's lines have; None where they have none."""
        match = _AUTHORIZATION.search(lines)
        if match is None:
            return None
        try:
            text = base64.b64decode(match[1], validate=True)
        except binascii.Error:
            return None
        name, colon, password = text.partition(b":")
        user = name.decode("utf-8", "replace")
        return user if colon and self._is_right(user, password) else None

    def groups_of(self, lines: bytes) -> list[bytes]:
        """The groups of that user."""
        user = self.user_of(lines)
        return [] if user is None else [group.encode() for group in self._groups[user]]

    def _is_right(self, user: str, password: bytes) -> bool:
        options = self._users.get(user)
        if options is None:
            return False
        digest = self._digest(password)
        if options.insecure_password is not None:
            expected = self._digest(options.insecure_password.encode())
            return hmac.compare_digest(digest, expected)
        if hmac.compare_digest(digest, self._known.get(user, b"")):
            return True
        assert options.password is not None
        expected = options.password.encode()
        right = hmac.compare_digest(encrypted(password, expected) or b"", expected)
        if right:
            self._known[user] = digest
        return right

    def _digest(self, password: bytes) -> bytes:
        return hmac.new(self._key, password, hashlib.sha256).digest()
