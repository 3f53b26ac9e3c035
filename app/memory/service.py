"""The MemoryService: the nine operations, and the parts that jobs, batches and others are."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from app.errors import ServiceError
from app.memory.adding import Adding
from app.memory.answers import Added, Deleted, Entity, Found, Page
from app.memory.backups import Backups
from app.memory.batch import Batches
from app.memory.batch.together import StoringTogether
from app.memory.changing import Changing
from app.memory.choosing import Choosing
from app.memory.embedding import CollectionEmbedder
from app.memory.embedding_again import EmbeddingAgain
from app.memory.extraction import Extraction, FindsFacts
from app.memory.jobs import JobService
from app.memory.leftovers import Leftovers
from app.memory.options import DEFAULTS, ServiceOptions
from app.memory.places import Places
from app.memory.readiness import Check, Readiness
from app.memory.reading import Reading
from app.memory.requests import (
    AddRequest,
    DeleteAllRequest,
    DeleteRequest,
    GetAllRequest,
    GetRequest,
    HistoryRequest,
    SearchRequest,
    UpdateRequest,
)
from app.memory.search import Search
from app.memory.totals import OfStore, Totals
from app.memory.transfer.service import Transfer
from app.memory.upkeep import Upkeep
from app.memory.words_again import WordsAgain
from app.providers.base import Embedder
from app.security.principal import Principal
from app.storage.history.issued import IssuedKeys
from app.storage.history.messages import Messages
from app.storage.history.rows import History
from app.storage.journal.journal import Journal
from app.storage.journal.maintenance import Maintenance
from app.storage.journal.writer import Writer
from app.storage.vectors.store import VectorStore


class MemoryService:
    """What an assistant remembers about its users. Safe for many threads.

    Every operation takes the principal. A memory outside of the principal's scope is not found, as
    if it did not exist; what the principal may not do raises Forbidden. Besides the errors named
    below, every operation may raise VectorStoreUnavailable, HistoryUnavailable and ServiceBusy.
    """

    def __init__(
        self,
        store: VectorStore,
        history: History,
        journal: Journal,
        embedder: Embedder,
        finder: FindsFacts | None = None,
        *,
        options: ServiceOptions = DEFAULTS,
        totals: Totals | None = None,
    ) -> None:
        """`store` and `history` are closed with it. `finder` asks the LLM; without it texts are
        stored as given. `totals` counts memories, by default in the store."""
        self._store, self._history = store, history
        self._totals = totals or OfStore(store)
        self._writer = writer = Writer(store, Messages(history.database), journal)
        again = EmbeddingAgain(store, embedder, writer, auto=options.reembeds)
        embeds = CollectionEmbedder(store, embedder, again)
        choosing, places, search = Choosing(store, history), Places(), Search(store, embeds)
        self._reading = Reading(store, history, search, journal.listings, choosing, self._totals)
        extraction = self._extraction(embedder, finder, options.instructions)
        self._adding = Adding(writer, embeds, extraction, places, options.llm_concurrency)
        self._changing = Changing(writer, embeds, self._reading, choosing)
        self.issued_keys = IssuedKeys(history.database)
        self.transfer = Transfer(writer, history, embeds, self._adding)
        self.jobs = JobService(store, journal, self._adding, options.job_limits)
        together = StoringTogether(writer, embeds, places)
        self.batches = Batches(writer, self._adding, together, self.jobs, options.llm_concurrency)
        self.backups = Backups(writer)
        self.leftovers = Leftovers(store, history.database)
        self.upkeep = self._upkeep(again, journal, options)
        self.watch({})

    def _extraction(
        self, embedder: Embedder, finder: FindsFacts | None, instructions: str | None
    ) -> Extraction | None:
        if finder is None:
            return None
        messages = Messages(self._history.database)
        return Extraction(self._store, messages, embedder, finder, instructions)

    def _upkeep(self, again: EmbeddingAgain, journal: Journal, options: ServiceOptions) -> Upkeep:
        words = WordsAgain(self._store, self._writer, auto=options.reembeds)
        chores = [self.issued_keys.write_uses, self.jobs.tidy, self.backups.tidy]
        chores.append(self._totals.look_after)
        both, anew = (self._store, self._history), self._writer.begin_anew_if_lost
        maintenance = Maintenance(journal, *both, options.flush_seconds, chores, anew)
        return Upkeep(again, words, maintenance)

    def add(self, principal: Principal, asked: AddRequest, key: str | None = None) -> Added:
        """Store what is worth remembering in the messages, or with `infer=False` each message.

        `infer` is True by default where there is an LLM. A repeat with the same idempotency `key`
        gets the first answer. Raises LLMNotConfigured for `infer=True` without an LLM,
        TooManyRequests, and the failures of providers.
        """
        return self._adding.add(principal, asked, key)

    def get(self, principal: Principal, asked: GetRequest) -> dict[str, Any]:
        """Raises MemoryNotFound, also for an expired memory unless `show_expired`."""
        return self._reading.get(principal, asked)

    @property
    def extracts(self) -> bool:
        """Whether there is an LLM, which extracts facts from messages."""
        return self._adding.extracts

    def listing(
        self, principal: Principal, asked: GetAllRequest, skip_pages: int = 0
    ) -> Iterator[Page]:
        """The first `limit` memories (None: all), newest first. No scope means all users.

        `skip_pages` skips so many times `limit` memories; that takes time for each page, and goes
        without a cursor. There is at least one Page. The first is read now, each other one when it
        is taken. Raises FilterTooExpensive. Raises ServiceBusy, also between two pages, where a
        deletion by scope comes in between, so that no caller takes a part for the whole.
        """
        return self._reading.listing(principal, asked, skip_pages)

    def found(self, principal: Principal, asked: SearchRequest) -> Iterator[Found]:
        """The results of a search, best first, in one or more parts. No scope means all users.
        Where the query cannot be embedded, only words are searched. Raises what `listing`
        raises."""
        return self._reading.found(principal, asked)

    def scopes(self, principal: Principal) -> dict[str, list[dict[str, Any]]]:
        """The users, agents, apps and runs with memories: `{"users": [{"id", "memories"}], ...}`.

        Counts the memories that the principal may see and that have not expired. Sorted by their
        number, the most first, then by id; at most 1,000 of each kind.
        """
        return self._reading.scopes(principal)

    def entities(self, principal: Principal) -> list[Entity]:
        """Every id with memories that the principal may see, expired ones included. Sorted by kind,
        then by the number of memories, the most first."""
        return self._reading.entities(principal)

    def history(self, principal: Principal, asked: HistoryRequest) -> list[dict[str, Any]]:
        """The events of a memory, oldest first; also of a deleted one."""
        return self._reading.history(principal, asked)

    def update(self, principal: Principal, asked: UpdateRequest) -> dict[str, Any]:
        """Change a memory's text, metadata (merged by key) or expiration date (None removes it).

        Only a changed text is embedded again. Returns the memory as it now is.
        """
        return self._changing.update(principal, asked)

    def delete(self, principal: Principal, asked: DeleteRequest) -> None:
        self._changing.delete(principal, asked)

    def delete_all(self, principal: Principal, asked: DeleteAllRequest) -> Deleted:
        """Delete all memories and stored messages of a scope. With `written_by`, `since` or `until`
        delete only the memories that a listing with the same fields shows, and no messages.

        `purge` also erases their texts from the history, including those of memories that were
        deleted before.
        """
        return self._changing.delete_all(principal, asked)

    def reset(self, principal: Principal) -> int:
        """Delete everything, including the history. Returns how many memories there were."""
        return self._changing.reset(principal)

    def count(self) -> int:
        """How many memories are stored, of all users and including expired ones; for metrics."""
        return self._totals.total({}, show_expired=True)

    def watch(self, checks: Mapping[str, Callable[[], str | None]]) -> None:
        """Let `ready` run these checks, beside its own ones."""
        own = {"maintenance": self.upkeep.check, "jobs": self.jobs.check}
        self._readiness = Readiness({**checks, **own})

    def ready(self) -> dict[str, Check]:
        """The state of each dependency, by name; checked at most once a second."""
        return self._readiness()

    def close(self) -> None:
        """Finish the writes that have begun, and flush everything to the disk."""
        self.backups.close()
        self.jobs.close()
        self._totals.close()
        self.upkeep.close()
        with suppress(ServiceError):
            self.issued_keys.write_uses()
        self._writer.close()  # ends the lease of this process: nothing may be written after it
        self._store.close()
        self._history.close()
