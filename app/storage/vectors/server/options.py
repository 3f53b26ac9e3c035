"""What the settings say of a collection on a Qdrant server."""

from dataclasses import dataclass
from typing import Literal, Self

from app.config import Settings
from app.storage.vectors.server.address import GRPC_PORT, REST_PORT, Address


@dataclass(frozen=True)
class Options:
    grpc: Literal["auto", "on", "off"] = "off"
    """Whether points are asked for over gRPC; auto: where its port answers."""
    grpc_port: int = GRPC_PORT
    timeout_s: int = 5
    """Of one call over gRPC; that of REST is the client's own."""
    search_everybody: bool = False
    """Keep a graph over all users' memories, for searches without a scope among millions."""
    metadata_indexes: tuple[str, ...] = ()
    """Keys, or key:type, of metadata that is filtered by."""
    on_cluster: bool = False
    """Whether a cluster is asked for, and so a server that can be trusted as one."""
    shards: int | None = None
    """Of a collection that is made; None: as many as the server has nodes."""
    replicas: int = 1
    """Of each shard of a collection that is made."""
    shared: bool = False
    """Whether processes on other hosts write to it too."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        grpc = settings.qdrant_grpc
        # Behind another port there may be anybody's 6334, such as another Qdrant's.
        if grpc == "auto" and not settings.qdrant_grpc_port:
            known = all(Address(url).port == REST_PORT for url in settings.qdrant_addresses)
            grpc = "auto" if known else "off"
        return cls(
            grpc,
            settings.qdrant_grpc_port or GRPC_PORT,
            settings.qdrant_timeout,
            settings.qdrant_search_everybody,
            settings.metadata_indexes,
            on_cluster=settings.on_cluster,
            shards=settings.qdrant_shards,
            replicas=settings.qdrant_copies,
            shared=settings.database_url is not None,
        )
