"""Finds settings that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.config.endpoints import SIDES, missing_key

if TYPE_CHECKING:
    from app.config.settings import Settings


def contradictions(settings: Settings) -> Iterator[str]:
    """One line for each contradiction; it begins with the name of the setting to change."""
    for side in SIDES:
        if name := missing_key(settings, side):
            of = side.upper()
            yield f"{name}: is needed by {of}_PROVIDER=openai where {of}_BASE_URL names no other"
    if not settings.on_server:
        yield from _of_embedded(settings)
    elif settings.reembed == "auto":
        yield "REEMBED: auto is for the embedded engine; on a server run python -m app.reembed"
    if settings.llm_places >= settings.threads > 1:
        yield "LLM_CONCURRENCY: must leave some of THREADS to those who read"
    if settings.qdrant_url and settings.qdrant_host:
        yield "QDRANT_URL: give it or QDRANT_HOST, not both"
    if settings.admin_api_key and settings.auth_disabled:
        yield "AUTH_DISABLED: contradicts ADMIN_API_KEY; give one of them"


def _of_embedded(settings: Settings) -> Iterator[str]:
    if settings.web_concurrency > 1:
        yield (
            "WEB_CONCURRENCY: the embedded engine serves one process; several need a Qdrant "
            "server, see QDRANT_URL"
        )
    if settings.database_url:
        yield (
            "DATABASE_URL: is for a service on a Qdrant server, see QDRANT_URL; beside the "
            "embedded engine the history is in DATA_DIR"
        )
