"""A Qdrant server, through qdrant-client."""

from app.storage.vectors.server.store import ServerStore, connect

__all__ = ["ServerStore", "connect"]
