"""The vector stores: the interface that the service calls (store), the interface of an engine
(base), and a package for each engine."""

from app.config import Settings
from app.storage.vectors.store import VectorStore


def open_store(settings: Settings) -> VectorStore:
    """The store that the settings name. An engine's library is imported only where it is chosen."""
    if settings.on_server:
        from app.storage.vectors.server import open_server_store

        return open_server_store(settings)
    from app.storage.vectors.edge import EdgeStore

    # The worker that this one replaces may still answer requests for so long.
    patience_s = settings.graceful_timeout + 15
    return EdgeStore(settings.data_dir / "qdrant", settings.min_free_mb, patience_s)
