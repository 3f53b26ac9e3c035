"""The engine Qdrant Edge: Qdrant's engine in this process. One process at a time can open its
folder."""

from app.storage.vectors.edge.store import EdgeStore

__all__ = ["EdgeStore"]
