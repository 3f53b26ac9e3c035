"""The clients of a Qdrant server, or of the nodes of a cluster."""

import secrets
from typing import Any, NamedTuple, Self

import httpx
from qdrant_client import QdrantClient

from app.config import Settings
from app.config.deadline import deadline_hooks
from app.config.outgoing import httpx_options
from app.errors import StartupError
from app.observability.trace import pass_on
from app.storage.vectors.server.address import GRPC_PORT, REST_PORT, Address
from app.storage.vectors.server.errors import refuse_pages_of_proxies
from app.storage.vectors.server.failover import Failover, is_ready
from app.storage.vectors.server.grpc_calls import grpc_options
from app.storage.vectors.server.nodes import Node, Nodes

POOL = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=3.0)
"""The connection pool of each node. Idle connections are kept for less than the 5 s after which the
server closes them: a write that meets a closed connection would have to be recovered."""


class Connection(NamedTuple):
    client: QdrantClient
    """The client for REST; it calls any node that works."""
    nodes: Nodes

    @classmethod
    def by(cls, client: QdrantClient, url: str = f"http://localhost:{REST_PORT}") -> Self:
        """A connection to a single address, the one of `client`."""
        return cls(client, Nodes([Node(Address(url), client)]))

    def close(self) -> None:
        self.client.close()
        self.nodes.close()


def connect(settings: Settings) -> Connection:
    """The connection that the settings name; makes no call yet. Raises StartupError for an address
    or a proxy that cannot be used."""
    addresses = [Address(url) for url in settings.qdrant_addresses]
    found = [Node(address, _client(settings, address)) for address in addresses]
    if len(found) == 1:
        return Connection(found[0].client, Nodes(found))
    transports = [
        httpx.HTTPTransport(limits=POOL, **httpx_options(address.url)) for address in addresses
    ]
    nodes = Nodes(
        found,
        is_ready=lambda number: is_ready(str(addresses[number]), transports[number]),
        first=secrets.randbelow(len(found)),  # so that the processes of a fleet use all nodes
    )
    return Connection(_client(settings, addresses[0], Failover(nodes, transports)), nodes)


def _client(
    settings: Settings, address: Address, transport: httpx.BaseTransport | None = None
) -> QdrantClient:
    key = settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None
    begin, end = deadline_hooks(httpx)
    way: dict[str, Any] = httpx_options(address.url)
    if transport:
        way = {"transport": transport, "trust_env": False}
    try:
        return QdrantClient(
            url=address.url,
            grpc_port=settings.qdrant_grpc_port or GRPC_PORT,
            grpc_options=grpc_options(address.url),
            api_key=key,
            timeout=settings.qdrant_timeout,
            check_compatibility=False,
            event_hooks={"request": [pass_on, begin], "response": [end, refuse_pages_of_proxies]},
            **way,
        )
    except ValueError as error:
        raise StartupError(f"QDRANT_URL is no address of a Qdrant server: {error}") from error
