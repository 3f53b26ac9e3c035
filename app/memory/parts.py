"""The parts that both the service and `python -m app.reembed` are made of."""

from dataclasses import dataclass

from app.config import Settings
from app.providers.registry import open_embedder
from app.providers.validation import CheckedEmbedder
from app.storage.backup.restoring import check_no_restore, end_restore
from app.storage.history.database import Database
from app.storage.journal.journal import Journal
from app.storage.opening import open_history
from app.storage.vectors import open_store
from app.storage.vectors.store import VectorStore


@dataclass(frozen=True)
class Parts:
    embedder: CheckedEmbedder
    store: VectorStore
    database: Database
    journal: Journal

    def close(self) -> None:
        self.journal.close()
        self.store.close()
        self.database.close()


def open_parts(settings: Settings) -> Parts:
    """Open the parts that the settings name. Raises StartupError for a mistake that an operator has
    to mend, and NotYet while a backup is being restored."""
    end_restore(settings)
    embedder = open_embedder(settings)
    store = open_store(settings)
    database, liveness = open_history(settings)
    journal = Journal(
        database,
        liveness,
        flushes=not settings.on_server,
        shared=settings.several_processes,
        catalogued=settings.database_url is not None,
    )
    check_no_restore(settings)
    return Parts(embedder, store, database, journal)
