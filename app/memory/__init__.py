"""What stands around the one mem0.Memory.

Reads from the top: service (the nine operations) -> engine, draft (mem0's pipeline, search)
-> providers, stores, history -> filters, ranking, bm25, payloads.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from app.config import Settings
from app.errors import ServiceError, VectorStoreTimeout, VectorStoreUnavailable
from app.memory import lean  # noqa: F401  # the first of those that import mem0
from app.memory.database import Database
from app.memory.engine import Memory
from app.memory.history import History
from app.memory.journal import Journal
from app.memory.providers import open_providers
from app.memory.readiness import Readiness
from app.memory.service import MemoryService, Page
from app.memory.stores import open_store

__all__ = ["MemoryService", "Page", "open_memory"]

log = logging.getLogger(__name__)

LANGUAGE_RULE = (
    "Write each memory in the language of the message it comes from; do not translate. "
    "A memory from a Chinese message is in Chinese."
)


def open_memory(settings: Settings) -> MemoryService:
    """Build the parts that the settings name and join them.

    What is down now is waited for by nobody: the service starts, says so at /ready, and works
    when it is there. Raises StartupError, which says what to change, for what will not mend
    itself.
    """
    providers = open_providers(settings)
    store = open_store(settings)
    database = Database(settings.data_dir / "history.db")
    history = History(database)
    instructions = "\n".join(filter(None, [LANGUAGE_RULE, settings.custom_instructions]))
    memory = Memory(store, history, providers.embedder, providers.llm, instructions)

    def check_embedder() -> None:
        if providers.check:
            providers.check()
        if settings.embedder_provider != "ollama":  # there a first embedding loads the model
            providers.embedder.check()
        # Whether the store answers is the store's own check.
        with suppress(VectorStoreUnavailable, VectorStoreTimeout):
            store.prepare(providers.embedder.info)

    journal = Journal(database, settings.data_dir / "processes", flushes=not settings.on_server)
    if not settings.on_server:
        try:
            journal.settle(store)  # nothing to wait for, and nobody has seen it half yet
        except ServiceError as error:  # such as a full disk; maintenance goes on with it
            log.warning("not settled yet: %s: %s", error.code, error.detail)
        except Exception as error:  # nothing of what was left may keep the service from starting
            log.critical(
                "what was left cannot be settled: %s", type(error).__name__, exc_info=error
            )

    checks = {
        "vector_store": store.check,
        "history": database.check,
        "embedder": check_embedder,
        "maintenance": lambda: service.maintenance.check(),
    }
    service: MemoryService = MemoryService(
        memory,
        store,
        history,
        journal,
        Readiness(checks),
        settings.flush_seconds,
        settings.llm_places,
    )
    if settings.on_server or settings.embedder_provider != "local":
        threading.Thread(target=_look_once, args=[check_embedder], daemon=True).start()
    else:
        _look_once(check_embedder)  # nothing to wait for, and what fails here ends the start
    return service


def _look_once(check_embedder: Callable[[], None]) -> None:
    """Make the collection before the first request, and log what is wrong already."""
    try:
        check_embedder()
    except ServiceError as error:
        log.warning("not ready yet: %s: %s", error.code, error.detail)
