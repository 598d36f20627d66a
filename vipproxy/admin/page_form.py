"""What an operator can do on the statistics page, without a script: HAProxy's form a backend.

The action bar of a table shows as soon as one of its servers is checked (in page.css).
"""

from __future__ import annotations

from typing import Any

from attrs import frozen

from vipproxy.admin.html import Html, tags
from vipproxy.values import BackendSnapshot

ACTIONS = (
    ("ready", "ready: take new sessions"),
    ("drain", "drain: no new sessions, those open go on"),
    ("maint", "maintenance: out of use, not checked"),
    ("dhlth", "health: disable checks"),
    ("ehlth", "health: enable checks"),
    ("hrunn", "health: force up"),
    ("hnolb", "health: force no load balancing"),
    ("hdown", "health: force down"),
    ("shutdown", "shut sessions down"),
)
"""Values of HAProxy's form, and what they are."""


@frozen
class Outcome:
    """What became of a form; `style` is a class of page.css."""

    text: str
    style: str


OUTCOMES = {
    "DONE": Outcome("Done.", "up"),
    "NONE": Outcome("Nothing has changed.", "failing"),
    "PART": Outcome("Done in part: some of the servers are unknown.", "failing"),
    "ERRP": Outcome("Not done: the action, the backend or the servers are unknown.", "down"),
    "EXCD": Outcome("Not done: too many servers at once.", "down"),
    "DENY": Outcome(
        "Denied: the form did not come from this page as it is now. Look again, and repeat it.",
        "down",
    ),
}
"""By HAProxy's words for them, in the URI after ``;st=``."""


def outcome(word: str, home: str) -> list[Html]:
    """The message about what was done, and a way to be rid of it."""
    told = OUTCOMES.get(word)
    if told is None:
        return []
    away = tags.a("\N{MULTIPLICATION SIGN}", href=home, title="remove this message", class_="away")
    return [tags.p(told.text, " ", away, class_=f"outcome {told.style}", role="status")]


def checkbox(pool: BackendSnapshot, server: str) -> Html:
    return tags.input(
        type="checkbox", name="s", value=server, form=_form(pool), **{"aria-label": server}
    )


def action_bar(pool: BackendSnapshot, url: str, token: str, note: Any = "") -> Html:
    """What to do with the checked servers."""
    chosen = [tags.option(text, value=value) for value, text in ACTIONS]
    return tags.form(
        tags.label(
            "With the checked servers: ",
            tags.select(
                tags.option("choose\N{HORIZONTAL ELLIPSIS}", value=""),
                chosen,
                name="action",
                required="required",
            ),
        ),
        " ",
        tags.input(type="hidden", name="b", value=f"#{pool.number}"),
        tags.input(type="hidden", name="token", value=token),
        tags.button("Apply", type="submit"),
        note,
        method="post",
        action=url,
        id=_form(pool),
        class_="actions",
    )


def _form(pool: BackendSnapshot) -> str:
    return f"act-{pool.number}"
