"""What must hold between the options of a frontend with the statistics and the rest of the file."""

from __future__ import annotations

from collections.abc import Iterator

from vipproxy.config.drafts import ClusterDraft
from vipproxy.config.kinds import suggest
from vipproxy.config.problems import Problem


def _admin_needs_password(cluster: ClusterDraft) -> Iterator[Problem]:
    for frontend in cluster.frontends:
        options = frontend.config.protocol_options
        guarded = frontend.origins.keys() & {"stats-auth", "stats-auth-file"}
        if getattr(options, "stats_admin", False) and not guarded:
            message = f"anybody may change servers on the page of {frontend.section.label}"
            yield frontend.warning(message, "stats-admin", hint="add stats-auth = USER:PASSWORD")


def _scope_exists(cluster: ClusterDraft) -> Iterator[Problem]:
    known = [each.section.name for each in (*cluster.frontends, *cluster.backends)]
    for frontend in cluster.frontends:
        for name in getattr(frontend.config.protocol_options, "stats_scope", ()):
            if name not in known:
                message = f"unknown frontend or backend '{name}' in 'stats-scope'"
                hint = suggest(name, dict.fromkeys(known))
                yield frontend.error(message, "stats-scope", name, hint)


STATS_RULES = (_admin_needs_password, _scope_exists)
