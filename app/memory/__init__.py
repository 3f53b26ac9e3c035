"""The operations of the service, without HTTP; and `open_memory`, which joins their parts.

Read it from the top: service (the nine operations) calls reading, adding and changing; these call
search and extraction (mem0's pipeline on a draft); and those call app.storage (the writer, its
journal, vectors and history) and app.providers.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from app.config import Settings
from app.errors import ServiceError, VectorStoreTimeout, VectorStoreUnavailable
from app.memory import mem0_import  # noqa: F401  # before the other modules import mem0
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
    """Build the parts that the settings name, and join them.

    The start does not wait for a dependency that is down: /ready reports it, and the service works
    as soon as it is up. Raises StartupError for a mistake that an operator has to mend; its text
    says how.
    """
    parts = open_parts(settings)
    totals = open_totals(parts.store, parts.database, parts.journal)
    service: MemoryService

    def prepare() -> None:
        service.prepare()

    def check_store() -> str | None:
        note = parts.store.check()  # on a server its note says what to do about old words
        return note if settings.on_server else service.words() or note

    check_embedder = _embedder_check(settings, parts, prepare)
    if not settings.on_server:
        _recover(parts)  # before the first request could see an unfinished write
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
    if not settings.on_server:  # there the log tells an operator to do it
        service.make_words()
    # Where the start need not wait for anything, the first look is made now, and may end it.
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
    """The checks of the dependencies, by their names at /ready."""

    def check_history() -> str | None:
        parts.database.check()
        return totals.note()

    checks = {
        "vector_store": store,
        "history": check_history,
        "embedder": embedder,
    }
    if settings.database_url:
        checks["lease"] = parts.journal.liveness.check_renewal
    if llm := open_llm_check(settings):
        checks["llm"] = llm
    return checks


def _finder(settings: Settings) -> FactFinder | None:
    """None where there is no LLM; then texts are stored as given."""
    model = open_llm(settings)
    if model is None:
        return None
    instructed = bool(settings.custom_instructions)
    return FactFinder(model, settings.llm_timeout, choose_prompt(settings), instructed=instructed)


def _embedder_check(settings: Settings, parts: Parts, prepare: Callable[[], None]) -> Check:
    check_model = open_embedder_check(settings, parts.embedder)

    def check() -> str | None:
        note = check_model()
        # A store that does not answer is reported by its own check.
        with suppress(VectorStoreUnavailable, VectorStoreTimeout):
            prepare()
        return note

    return check


def _recover(parts: Parts) -> None:
    """Recover the writes that an earlier process left unfinished. Maintenance tries again where it
    is not possible yet."""
    try:
        parts.journal.recover(parts.store)
    except ServiceError as error:  # such as a full disk
        log.warning("not settled yet: %s: %s", error.code, error.detail)
    except Exception as error:  # an unfinished write must not keep the service from starting
        log.critical("what was left cannot be settled: %s", type(error).__name__, exc_info=error)


def _look_once(check_embedder: Check, *, in_thread: bool) -> None:
    """Check the embedder, and so make the collection, before the first request; log a failure."""

    def look() -> None:
        try:
            check_embedder()
        except ServiceError as error:
            log.warning("not ready yet: %s: %s", error.code, error.detail)

    if in_thread:
        threading.Thread(target=look, daemon=True).start()
    else:
        look()
