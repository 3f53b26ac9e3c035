"""What stands around the one mem0.Memory.

Reads from the top: service (the nine operations) -> engine (mem0's pipeline, search) ->
stores, history, providers -> filters, ranking, bm25, payloads.
"""

from app.config import Settings
from app.memory.engine import Memory
from app.memory.history import History
from app.memory.providers import open_embedder, open_llm
from app.memory.service import MemoryService
from app.memory.stores.edge import EdgeStore

__all__ = ["MemoryService", "open_memory"]


def open_memory(settings: Settings) -> MemoryService:
    """Build the parts that the settings name and join them.

    Raises StartupError, which says what to change, when one cannot be had.
    """
    embedder = open_embedder(settings)
    store = EdgeStore(settings.data_dir / "qdrant", embedder.dimensions)
    history = History(settings.data_dir / "history.db")
    memory = Memory(store, history, embedder, open_llm(settings))
    return MemoryService(memory, store, history)
