"""What must hold between the options of logs."""

from __future__ import annotations

from collections.abc import Iterator

from vipproxy.config.declare import options_of
from vipproxy.config.drafts import ClusterDraft, FrontendDraft
from vipproxy.config.log_options import FrontendLogOptions
from vipproxy.config.problems import Problem

_CAPTURES = "capture-"


def _said(frontend: FrontendDraft) -> list[str]:
    """The keys of its log that a frontend itself has."""
    declared = {key.removesuffix(" NAME") for key in options_of(FrontendLogOptions)}
    return [key for key in frontend.origins if frontend.says(key) and key.split()[0] in declared]


def _format_suits_protocol(cluster: ClusterDraft) -> Iterator[Problem]:
    for frontend in cluster.frontends:
        protocol, format = frontend.config.options.protocol, frontend.config.options.log_format
        if protocol is None or protocol.plugin.mode == "http":
            continue
        if format is not None and format.needs_http:
            message = f"the log format of {frontend.section.label} says what only HTTP has"
            yield frontend.error(message, "log-format", hint="log-format = tcplog")
        for key in _said(frontend):
            if key.startswith(_CAPTURES):
                message = f"'{key}' has no effect in {frontend.section.label}"
                yield frontend.error(message, key, hint="captures need protocol = http")


def _stats_are_not_logged(cluster: ClusterDraft) -> Iterator[Problem]:
    for frontend in cluster.frontends:
        protocol, said = frontend.config.options.protocol, _said(frontend)
        if protocol is not None and protocol.name == "stats" and said:
            message = f"requests of a stats frontend, as {frontend.section.label}, are not logged"
            yield frontend.error(message, said[0])


def _log_has_a_target(cluster: ClusterDraft) -> Iterator[Problem]:
    if cluster.global_ is not None and cluster.global_.options is None:
        return  # it could not be read
    if cluster.global_ is not None and cluster.global_.options.log:
        return
    for frontend in cluster.frontends:
        for key in _said(frontend)[:1]:
            message = f"'{key}' has no effect in {frontend.section.label}: there is no log"
            yield frontend.warning(message, key, hint="[global] log = /dev/log")


LOG_RULES = (_format_suits_protocol, _stats_are_not_logged, _log_has_a_target)
