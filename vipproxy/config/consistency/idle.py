"""Rules about idle connections: a timeout must leave room for what keeps them alive."""

from __future__ import annotations

from collections.abc import Iterator

from vipproxy.config.drafts import BackendDraft, ClusterDraft, Draft, FrontendDraft
from vipproxy.config.options import KeepaliveOptions
from vipproxy.config.problems import Problem

AMQP_PORTS = frozenset({5671, 5672})
AMQP_HEARTBEAT = 60.0
"""Seconds: what RabbitMQ proposes and oslo.messaging asks for."""


def keepalive_can_act(cluster: ClusterDraft) -> Iterator[Problem]:
    """Keepalive packets are no traffic: they cannot keep a session from timing out."""
    for frontend in cluster.frontends:
        options = frontend.config.options
        yield from _too_late(frontend, options.keepalive, "timeout-client", options.timeout_client)
    for backend in cluster.backends:
        settings = backend.config.options
        yield from _too_late(backend, settings.keepalive, "timeout-server", settings.timeout_server)


def _too_late(
    draft: Draft, keepalive: KeepaliveOptions | None, key: str, timeout: float
) -> Iterator[Problem]:
    if keepalive is None or not keepalive.enabled or keepalive.idle is None:
        return
    if keepalive.idle < timeout:
        return
    message = f"'keepalive' of {draft.section.label} begins after '{key}' has ended the session"
    hint = f"idle={keepalive.idle:g}s is not shorter than {key} = {timeout:g}s"
    yield draft.warning(message, "keepalive", hint=hint)


def amqp_heartbeats_fit(cluster: ClusterDraft) -> Iterator[Problem]:
    """An idle AMQP connection says something only every heartbeat."""
    for frontend in cluster.frontends:
        if any(bind.port in AMQP_PORTS for bind in frontend.config.options.bind or ()):
            yield from _too_short(frontend, "timeout-client")
            for backend in _backends_of(frontend, cluster):
                yield from _too_short(backend, "timeout-server")


def _backends_of(frontend: FrontendDraft, cluster: ClusterDraft) -> Iterator[BackendDraft]:
    used = frontend.config.backends
    return (backend for backend in cluster.backends if backend.section.name in used)


def _too_short(draft: FrontendDraft | BackendDraft, key: str) -> Iterator[Problem]:
    timeout = getattr(draft.config.options, key.replace("-", "_"))
    if timeout <= AMQP_HEARTBEAT:
        message = f"'{key}' of {draft.section.label} cuts AMQP connections that are merely idle"
        hint = f"{timeout:g}s does not outlast a heartbeat of {AMQP_HEARTBEAT:g}s"
        yield draft.warning(message, key, hint=hint)
