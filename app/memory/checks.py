"""The checks of the service's dependencies, which /ready shows."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from app.config import Settings
from app.errors import ServiceError, VectorStoreTimeout, VectorStoreUnavailable
from app.memory.parts import Parts
from app.memory.totals import Totals
from app.memory.upkeep import Upkeep
from app.providers.base import Check
from app.providers.registry import open_embedder_check, open_llm_check

log = logging.getLogger(__name__)


def checks_of(
    settings: Settings, parts: Parts, totals: Totals, upkeep: Upkeep, embedder: Check
) -> dict[str, Check]:
    """The checks of the dependencies, by their names at /ready."""

    def check_store() -> str | None:
        note = parts.store.check()  # on a server its note says what to do about old words
        return note if settings.on_server else upkeep.words() or note

    def check_history() -> str | None:
        parts.database.check()
        return totals.note()

    checks = {"vector_store": check_store, "history": check_history, "embedder": embedder}
    if settings.database_url:
        checks["lease"] = parts.journal.liveness.check_renewal
    if llm := open_llm_check(settings):
        checks["llm"] = llm
    return checks


def embedder_check(settings: Settings, parts: Parts, prepare: Callable[[], None]) -> Check:
    """The check of the embedder, which also prepares the collection for it."""
    check_model = open_embedder_check(settings, parts.embedder)

    def check() -> str | None:
        note = check_model()
        # A store that does not answer is reported by its own check.
        with suppress(VectorStoreUnavailable, VectorStoreTimeout):
            prepare()
        return note

    return check


def check_once(check: Check, *, in_thread: bool) -> None:
    """Run `check`, of the embedder, before the first request, and log a failure. So the collection
    is made, and mistakes are logged at the start."""

    def look() -> None:
        try:
            check()
        except ServiceError as error:
            log.warning("not ready yet: %s: %s", error.code, error.detail)

    if in_thread:
        threading.Thread(target=look, daemon=True).start()
    else:
        look()
