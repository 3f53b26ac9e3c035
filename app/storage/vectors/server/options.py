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

    @classmethod
    def of(cls, settings: Settings) -> Self:
        grpc = settings.qdrant_grpc
        # Behind another port there may be anybody's 6334, such as another Qdrant's.
        if grpc == "auto" and not settings.qdrant_grpc_port:
            grpc = "auto" if Address(settings.qdrant_address).port == REST_PORT else "off"
        return cls(
            grpc,
            settings.qdrant_grpc_port or GRPC_PORT,
            settings.qdrant_timeout,
            settings.qdrant_search_everybody,
            settings.metadata_indexes,
        )
