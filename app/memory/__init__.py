"""The operations of the service, without HTTP; and `open_memory`, which joins their parts.

Read it from the top: service (the nine operations) calls reading, adding and changing; these call
search and extraction (mem0's pipeline on a draft); and those call app.storage (the writer, its
journal, vectors and history) and app.providers.
"""

import logging

from app.config import Settings
from app.errors import ServiceError
from app.memory import mem0_import  # noqa: F401  # before the other modules import mem0
from app.memory.answers import Found, Page
from app.memory.checks import check_once, checks_of, embedder_check
from app.memory.extraction.choice import choose_prompt
from app.memory.extraction.finder import FactFinder
from app.memory.options import ServiceOptions
from app.memory.parts import Parts, open_parts
from app.memory.service import MemoryService
from app.memory.totals import open_totals
from app.providers.registry import open_llm, start_waits_for_embedder
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
    if not settings.on_server:
        _recover(parts)  # before the first request could see an unfinished write
    service = MemoryService(
        parts.store,
        History(parts.database),
        parts.journal,
        parts.embedder,
        _finder(settings),
        options=ServiceOptions.of(settings),
        totals=totals,
    )
    check_embedder = embedder_check(settings, parts, service.upkeep.prepare)
    service.watch(checks_of(settings, parts, totals, service.upkeep, check_embedder))
    service.backups.look_after(settings.data_dir, door=not settings.on_server)
    service.leftovers.look_in(settings.data_dir, vectors_elsewhere=settings.on_server)
    if not settings.on_server:  # there the log tells an operator to do it
        service.upkeep.make_words()
    # Where the start need not wait for anything, the first look is made now, and may end it.
    check_once(
        check_embedder, in_thread=settings.on_server or not start_waits_for_embedder(settings)
    )
    return service


def _finder(settings: Settings) -> FactFinder | None:
    """None where there is no LLM; then texts are stored as given."""
    model = open_llm(settings)
    if model is None:
        return None
    instructed = bool(settings.custom_instructions)
    return FactFinder(model, settings.llm_timeout, choose_prompt(settings), instructed=instructed)


def _recover(parts: Parts) -> None:
    """Recover the writes that an earlier process left unfinished. Maintenance tries again where it
    is not possible yet."""
    try:
        parts.journal.recover(parts.store)
    except ServiceError as error:  # such as a full disk
        log.warning("not settled yet: %s: %s", error.code, error.detail)
    except Exception as error:  # an unfinished write must not keep the service from starting
        log.critical("what was left cannot be settled: %s", type(error).__name__, exc_info=error)
