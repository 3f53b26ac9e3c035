"""The settings of a collection on a Qdrant server."""

from dataclasses import dataclass
from typing import Literal, Self

from app.config import Settings
from app.storage.vectors.server.address import GRPC_PORT, REST_PORT, Address


@dataclass(frozen=True)
class Options:
    grpc: Literal["auto", "on", "off"] = "off"
    """Whether points are called over gRPC; auto: where its port answers."""
    grpc_port: int = GRPC_PORT
    timeout_s: int = 5
    """The limit of one call over gRPC in seconds; REST's is set in the client."""
    search_everybody: bool = False
    """Whether to build a graph over all users' memories, for searches without a scope among
    millions."""
    metadata_indexes: tuple[str, ...] = ()
    """Keys of metadata to index, as `key` or `key:type`."""
    on_cluster: bool = False
    """Whether there is a cluster, which must then be of a version that is safe as one."""
    shards: int | None = None
    """The number of shards of a new collection; None: as many as the server has nodes."""
    replicas: int = 1
    """The number of replicas of each shard of a new collection."""
    shared: bool = False
    """Whether processes on other hosts write to it, too."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        grpc = settings.qdrant_grpc
        # Where REST has another port than 6333, port 6334 may be of another program.
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
