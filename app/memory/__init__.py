"""What the service does, without HTTP: the operations, and how their parts are joined.

Reads from the top: service (the nine operations) -> reading, adding, changing -> search,
extraction (mem0's pipeline on a draft) -> app.storage (the writer, its journal, vectors and
history) and app.providers.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from app.config import Settings
from app.errors import ServiceError, VectorStoreTimeout, VectorStoreUnavailable
from app.memory import mem0_import  # noqa: F401  # the first of those that import mem0
from app.memory.answers import Found, Page
from app.memory.extraction.choice import choose_prompt
from app.memory.extraction.finder import FactFinder
from app.memory.jobs import JobLimits
from app.memory.parts import Parts, open_parts
from app.memory.service import MemoryService
from app.memory.totals import Totals, open_totals
from app.providers.base import Check
from app.providers.registry import (
    open_embedder_check,
    open_llm,
    open_llm_check,
    start_waits_for_embedder,
)
from app.storage.history.rows import History

__all__ = ["Found", "MemoryService", "Page", "open_memory"]

log = logging.getLogger(__name__)


def open_memory(settings: Settings) -> MemoryService:
    """Build the parts that the settings name and join them.

    What is down now is waited for by nobody: the service starts, says so at /ready, and works
    when it is there. Raises StartupError, which says what to change, for what will not mend
    itself.
    """
    parts = open_parts(settings)
    totals = open_totals(parts.store, parts.database, parts.journal)
    service: MemoryService

    def prepare() -> None:
        service.prepare()

    def check_store() -> str | None:
        note = parts.store.check()  # that of a server says itself what to do for its words
        return note if settings.on_server else service.words() or note

    check_embedder = _embedder_check(settings, parts, prepare)
    if not settings.on_server:
        _recover(parts)  # nothing to wait for, and nobody has seen it half yet
    service = MemoryService(
        parts.store,
        History(parts.database),
        parts.journal,
        parts.embedder,
        _finder(settings),
        instructions=settings.custom_instructions,
        checks=_checks(settings, parts, totals, check_store, check_embedder),
        flush_seconds=settings.flush_seconds,
        llm_concurrency=settings.llm_places,
        reembeds=settings.reembeds,
        job_limits=_job_limits(settings),
        totals=totals,
    )
    service.backups.look_after(settings.data_dir, door=not settings.on_server)
    service.leftovers.look_in(settings.data_dir, vectors_elsewhere=settings.on_server)
    if not settings.on_server:  # whose store tells it in the log when it is first asked
        service.make_words()
    # Where there is nothing to wait for what fails ends the start.
    in_thread = settings.on_server or not start_waits_for_embedder(settings)
    _look_once(check_embedder, in_thread=in_thread)
    return service


def _job_limits(settings: Settings) -> JobLimits:
    return JobLimits(
        waiting=settings.max_jobs,
        at_once=settings.jobs_at_once,
        kept_days=settings.jobs_kept_days,
        waiters=settings.threads // 8,
    )


def _checks(
    settings: Settings, parts: Parts, totals: Totals, store: Check, embedder: Check
) -> dict[str, Check]:
    """Of each dependency, by its name at /ready."""

    def check_history() -> str | None:
        parts.database.check()
        parts.journal.liveness.check()
        return totals.note()

    checks = {
        "vector_store": store,
        "history": check_history,
        "embedder": embedder,
    }
    if llm := open_llm_check(settings):
        checks["llm"] = llm
    return checks


def _finder(settings: Settings) -> FactFinder | None:
    """None where there is no LLM: texts are then stored as they are given."""
    model = open_llm(settings)
    if model is None:
        return None
    instructed = bool(settings.custom_instructions)
    return FactFinder(model, settings.llm_timeout, choose_prompt(settings), instructed=instructed)


def _embedder_check(settings: Settings, parts: Parts, prepare: Callable[[], None]) -> Check:
    check_model = open_embedder_check(settings, parts.embedder)

    def check() -> str | None:
        note = check_model()
        # Whether the store answers is the store's own check.
        with suppress(VectorStoreUnavailable, VectorStoreTimeout):
            prepare()
        return note

    return check


def _recover(parts: Parts) -> None:
    """What the process before left. Maintenance goes on with what cannot be recovered yet."""
    try:
        parts.journal.recover(parts.store)
    except ServiceError as error:  # such as a full disk
        log.warning("not settled yet: %s: %s", error.code, error.detail)
    except Exception as error:  # nothing of what was left may keep the service from starting
        log.critical("what was left cannot be settled: %s", type(error).__name__, exc_info=error)


def _look_once(check_embedder: Check, *, in_thread: bool) -> None:
    """Make the collection before the first request, and log what is wrong already."""

    def look() -> None:
        try:
            check_embedder()
        except ServiceError as error:
            log.warning("not ready yet: %s: %s", error.code, error.detail)

    if in_thread:
        threading.Thread(target=look, daemon=True).start()
    else:
        look()
