"""Qdrant Edge: Qdrant's own engine inside this process, one directory, one process at a time."""

from app.storage.vectors.edge.store import EdgeStore

__all__ = ["EdgeStore"]
