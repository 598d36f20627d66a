"""What rules do: the actions of HAProxy's ``http-request`` and its like, as frozen values."""

from __future__ import annotations

from attrs import frozen

from vipproxy.config.formats import Format


@frozen
class Allow:
    """``allow``, ``accept``: no more rules of this list."""


@frozen
class Reject:
    """``reject``: the connection ends, without a word."""


@frozen
class Deny:
    """``deny``: an error page; of a response, 502."""

    status: int = 403


@frozen
class Auth:
    """``auth``: ask for name and password."""

    realm: Format


@frozen
class Return:
    """``return``: an answer of our own. Without content type it has no body."""

    status: int = 200
    content_type: str | None = None
    body: Format | bytes = b""
    headers: tuple[tuple[str, Format], ...] = ()
    page: bool = False
    """The error page of the status, and nothing else."""


@frozen
class Redirect:
    """``redirect``: `kind` is location, prefix or scheme."""

    kind: str
    target: Format
    code: int = 302
    drop_query: bool = False
    append_slash: bool = False
    ignore_empty: bool = False
    set_cookie: str | None = None
    clear_cookie: str | None = None


@frozen
class UseService:
    """``use-service``: something of the proxy's own answers."""

    name: str


@frozen
class SetHeader:
    name: str
    value: Format


@frozen
class AddHeader:
    name: str
    value: Format


@frozen
class DelHeader:
    """`match` is how `name` is compared with names: str, beg, end, sub or reg."""

    name: str
    match: str = "str"


@frozen
class ReplaceHeader:
    """In every field of the name; with `each_value`, in every member of its lists."""

    name: str
    pattern: str
    replacement: Format
    each_value: bool = False


@frozen
class SetPart:
    """``set-method``, ``set-path``, ``set-query``, ``set-uri``."""

    part: str
    value: Format


@frozen
class ReplacePart:
    """``replace-path``, ``replace-uri``."""

    part: str
    pattern: str
    replacement: Format


@frozen
class SetStatus:
    status: int
    reason: str | None = None


Action = (
    Allow
    | Reject
    | Deny
    | Auth
    | Return
    | Redirect
    | UseService
    | SetHeader
    | AddHeader
    | DelHeader
    | ReplaceHeader
    | SetPart
    | ReplacePart
    | SetStatus
)
