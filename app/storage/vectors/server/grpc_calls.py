"""Calls over gRPC by qdrant-client's public stub, with a deadline, failover and our own errors."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from ssl import DER_cert_to_PEM_cert
from typing import Any, Self

import grpc
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse

from app.config.outgoing import proxy_for, trusted
from app.errors import ServiceError, VectorStoreTimeout, VectorStoreUnavailable
from app.observability import trace
from app.storage.vectors.base import NoCollection
from app.storage.vectors.server.errors import unreachable
from app.storage.vectors.server.nodes import Nodes
from app.storage.vectors.server.refusals import LIMITED, OF_LEADER, Refusal, error_of

STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: LIMITED,
    grpc.StatusCode.UNAVAILABLE: 503,
}
"""The same statuses as over REST; every other code is 500."""

CHANNEL = {
    # By default gRPC waits for up to two minutes before it tries a server again that was down.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 200,
    # By default gRPC never notices that the other end of a connection has silently gone.
    "grpc.keepalive_time_ms": 20_000,
    "grpc.keepalive_timeout_ms": 5_000,
}

READS = frozenset({"Get", "QueryBatch", "Scroll", "Count", "Facet"})
OF_NODE = frozenset(
    {
        *(grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL),
        *(grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNKNOWN),
    }
)
"""Codes of failures that another node may not have. Over REST these are statuses from 500 on, and
missing answers."""

NOT_SENT = ("failed to connect", "DNS resolution failed")
"""Beginnings of gRPC's messages where no connection could be made. UNAVAILABLE alone does not mean
that: the connection may have broken off after a write was sent."""


def grpc_options(url: str) -> dict[str, Any]:
    """Options for the client of `url`, so that gRPC has the same proxy and certificates as REST."""
    options: dict[str, Any] = dict(CHANNEL)
    proxy = proxy_for(url)
    if proxy and proxy.url.startswith("http://"):
        options["grpc.http_proxy"] = proxy.url
    else:
        options["grpc.enable_http_proxy"] = 0
    if url.lower().startswith("https:"):
        known = trusted().get_ca_certs(binary_form=True)
        options["root_certificates"] = "".join(map(DER_cert_to_PEM_cert, known)).encode()
    return options


class GrpcCalls:
    """Makes calls to the nodes in turn, within the deadline of one call."""

    def __init__(
        self, nodes: Nodes, grpc_port: int, timeout_s: float, *, replicated: bool = False
    ) -> None:
        """`replicated`: see `refusals.error_of`."""
        self.replicated = replicated
        self._nodes = nodes
        self._address = nodes.address(grpc_port)
        self._timeout_s = timeout_s

    def within(self, timeout_s: float) -> Self:
        """The same calls with another time limit."""
        other = copy(self)
        other._timeout_s = timeout_s
        return other

    def __call__(self, method: str, message: Any) -> Any:
        """The answer of the first node that can be reached. Another node is tried after the same
        failures as in `Failover`."""
        until = time.monotonic() + self._timeout_s
        metadata = tuple(trace.headers().items())
        with self._translated():
            turn = self._nodes.in_turn()
            for number in turn:
                call = getattr(self._nodes[number].client.grpc_points, method)
                left = max(until - time.monotonic(), 0.001)
                try:
                    answer = call(message, timeout=left, metadata=metadata)
                except grpc.RpcError as error:
                    if not _is_of_node(error):
                        raise
                    self._nodes.failed(number)
                    again = method in READS or _is_unsent(error)
                    if not again or number == turn[-1] or time.monotonic() >= until:
                        raise
                else:
                    self._nodes.answered(number)
                    return answer

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ResourceExhaustedResponse as error:
            refusal = Refusal(LIMITED, error.message, int(error.retry_after_s))
            raise error_of(refusal, replicated=self.replicated) from error
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                raise NoCollection from error
            if _is_unsent(error):
                raise unreachable(self._address, said=error.details() or "") from error
            raise self._of_status(error.code(), error.details() or "") from error

    def _of_status(self, code: grpc.StatusCode, said: str) -> ServiceError:
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return VectorStoreTimeout("The Qdrant server did not answer in time.")
        if code == grpc.StatusCode.CANCELLED or (
            code == grpc.StatusCode.UNAVAILABLE and "Shard" not in said
        ):
            return VectorStoreUnavailable("The connection to the Qdrant server broke off.")
        return error_of(Refusal(STATUSES.get(code, 500), said), replicated=self.replicated)


def _is_of_node(error: Any) -> bool:
    return error.code() in OF_NODE and OF_LEADER not in (error.details() or "")


def _is_unsent(error: Any) -> bool:
    is_away = error.code() == grpc.StatusCode.UNAVAILABLE
    return is_away and (error.details() or "").startswith(NOT_SENT)
