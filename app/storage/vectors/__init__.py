"""The vector stores: what the service calls (store), on what an engine must do (base), and a
package for each engine."""

from app.config import Settings
from app.storage.vectors.store import VectorStore


def open_store(settings: Settings) -> VectorStore:
    """The store that the settings name. Each module imports its engine only when chosen."""
    if settings.on_server:
        from app.storage.vectors.server import open_server_store

        return open_server_store(settings)
    from app.storage.vectors.edge import EdgeStore

    # The worker before this one still answers; then its threads end.
    patience_s = settings.graceful_timeout + 15
    return EdgeStore(settings.data_dir / "qdrant", settings.min_free_mb, patience_s)
