"""The engine on a Qdrant server or cluster, by qdrant-client."""

from app.storage.vectors.server.address import Address
from app.storage.vectors.server.connection import Connection, connect
from app.storage.vectors.server.options import Options
from app.storage.vectors.server.store import ServerStore, open_server_store

__all__ = ["Address", "Connection", "Options", "ServerStore", "connect", "open_server_store"]
