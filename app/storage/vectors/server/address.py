"""The address of a Qdrant server, as messages show it."""

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from app.config.fields import in_url
from app.config.outgoing import proxy_for

REST_PORT, GRPC_PORT = 6333, 6334
"""Qdrant's default ports. The client uses the first for an address without a port, even for
https."""


@dataclass(frozen=True)
class Address:
    """An address. Its text leaves out the user, the password and the query."""

    url: str
    grpc_port: int | None = None
    """The port for calls over gRPC; None for calls over REST."""

    @property
    def port(self) -> int:
        return self.grpc_port or self._parts.port or REST_PORT

    def __str__(self) -> str:
        parts = self._parts
        host = in_url(parts.hostname or "")
        return f"{parts.scheme}://{host}:{self.port}{parts.path.rstrip('/')}"

    def hint(self) -> str:
        """A hint what may be wrong with the address: a space and a sentence, or ""."""
        parts = self._parts
        if self.grpc_port:
            return " QDRANT_GRPC_PORT names its port for gRPC; with QDRANT_GRPC=off REST will do."
        if proxy := proxy_for(self.url):
            return f" It is called through the proxy of {proxy.name}; see NO_PROXY."
        if parts.port is None:
            usual = 443 if parts.scheme == "https" else 80
            return (
                f" QDRANT_URL names no port, so that {REST_PORT} is asked: behind a proxy say "
                f":{usual}."
            )
        return ""

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url)
