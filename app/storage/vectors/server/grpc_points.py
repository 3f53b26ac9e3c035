"""Points over gRPC, by qdrant-client's public stub, whose messages are read as they are.

A search's two lists of 80 cost 1.0 ms of CPU so, 5.5 by the client over REST (Qdrant 1.19).
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from ssl import DER_cert_to_PEM_cert
from typing import Any

import grpc
from qdrant_client import grpc as messages
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse

from app.config.outgoing import proxy_for, trusted
from app.errors import ServiceError, VectorStoreTimeout, VectorStoreUnavailable
from app.observability import trace
from app.storage.payloads import Payload
from app.storage.vectors.base import NoCollection
from app.storage.vectors.filters import Filter
from app.storage.vectors.paging import Cursor, Listed, following
from app.storage.vectors.points import Nearest, NewPoint
from app.storage.vectors.ranking import Record, Turn
from app.storage.vectors.server import conversion
from app.storage.vectors.server.errors import unreachable
from app.storage.vectors.server.grpc_filters import as_message, point_ids
from app.storage.vectors.server.nodes import Nodes
from app.storage.vectors.server.points import EXACT_COUNT, Points
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
"""As they would be over REST; every other code is 500."""

CHANNEL = {
    # Else gRPC would wait for up to two minutes before it looks again for a server that was away.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 200,
    # Else it would hold a connection whose other end is gone without a word for good.
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
"""What may be otherwise on another node; over REST it is no answer, or one of 500 and more."""

NOT_SENT = ("failed to connect", "DNS resolution failed")
"""How gRPC's core begins where no connection came about. UNAVAILABLE alone does not say that:
the connection may have broken off after a write was sent."""


def grpc_options(url: str) -> dict[str, Any]:
    """What a client for `url` is made with, so that gRPC goes the way that REST goes."""
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


class GrpcPoints(Points):
    transport = "gRPC"

    def __init__(
        self,
        nodes: Nodes,
        collection: str,
        *,
        grpc_port: int,
        timeout_s: float,
        replicated: bool = False,
    ) -> None:
        """`replicated`: see `refusals.error_of`."""
        self._nodes = nodes
        self._collection = collection
        self._address = nodes.address(grpc_port)
        self._timeout_s = timeout_s
        self._replicated = replicated

    def within(self, timeout_s: float) -> "GrpcPoints":
        """The same, with another time for each call."""
        other = copy(self)
        other._timeout_s = timeout_s
        return other

    def upsert(self, points: Sequence[NewPoint], *, with_words: bool) -> None:
        self._put([conversion.point(point, with_words=with_words) for point in points])

    def insert(self, points: Sequence[NewPoint], *, with_words: bool) -> None:
        made = [conversion.point(point, with_words=with_words) for point in points]
        self._put(made, update_mode=messages.UpdateMode.InsertOnly)

    def replace(self, point: NewPoint, guard: Filter, *, with_words: bool) -> None:
        self._put(
            [conversion.point(point, with_words=with_words)],
            update_mode=messages.UpdateMode.UpdateOnly,
            update_filter=as_message(guard),
        )

    def _put(self, points: list[Any], **how: Any) -> None:
        self._write("Upsert", messages.UpsertPoints(**self._named(wait=True, points=points, **how)))

    def overwrite_payload(self, point_id: str, payload: Payload) -> None:
        self._overwrite(conversion.selected([point_id]), payload)

    def overwrite_where(self, guard: Filter, payload: Payload) -> None:
        self._overwrite(messages.PointsSelector(filter=as_message(guard)), payload)

    def _overwrite(self, which: Any, payload: Payload) -> None:
        made = conversion.payload(payload)
        asked = self._named(wait=True, payload=made, points_selector=which)
        self._write("OverwritePayload", messages.SetPayloadPoints(**asked))

    def retrieve(self, ids: Sequence[str]) -> list[Record]:
        asked = self._named(ids=point_ids(ids), with_payload=conversion.WITH_PAYLOAD)
        found = self._call("Get", messages.GetPoints(**asked)).result
        return [conversion.record(point) for point in found]

    def query(self, requests: Sequence[Nearest], offset: int) -> list[list[Record]]:
        converted = conversion.Filters()
        asked = [
            messages.QueryPoints(
                **self._named(offset=offset, **conversion.query(request, converted))
            )
            for request in requests
        ]
        batch = messages.QueryBatchPoints(**self._named(query_points=asked))
        answers = self._call("QueryBatch", batch).result
        turns: dict[str, Turn] = {}
        return [
            conversion.hits(answer.result, request, turns)
            for request, answer in zip(requests, answers, strict=True)
        ]

    def newest(self, where: Filter, limit: int, after: Cursor | None) -> list[Listed]:
        asked = self._named(
            filter=as_message(following(where, after)),
            limit=limit,
            order_by=conversion.newest_first(after),
            with_payload=conversion.BARE,
        )
        found = self._call("Scroll", messages.ScrollPoints(**asked)).result
        return [Listed(conversion.id_of(point), point.order_value.int) for point in found]

    def delete(self, ids: Sequence[str]) -> None:
        self._delete(conversion.selected(ids))

    def delete_where(self, guard: Filter) -> None:
        self._delete(messages.PointsSelector(filter=as_message(guard)))

    def _delete(self, which: Any) -> None:
        self._write("Delete", messages.DeletePoints(**self._named(wait=True, points=which)))

    def count(self, where: Filter) -> int:
        asked = self._named(filter=as_message(where), exact=EXACT_COUNT)
        counted: int = self._call("Count", messages.CountPoints(**asked)).result.count
        return counted

    def facet(self, key: str, where: Filter, limit: int) -> list[tuple[str, int]]:
        asked = self._named(key=key, filter=as_message(where), limit=limit)
        hits = self._call("Facet", messages.FacetCounts(**asked)).hits
        return [(hit.value.string_value, hit.count) for hit in hits]

    # ---- calls

    def _named(self, **fields: Any) -> dict[str, Any]:
        return {"collection_name": self._collection, **fields}

    def _write(self, method: str, message: Any) -> None:
        if self._replicated:  # see RestPoints
            message.ordering.type = messages.WriteOrderingType.Medium
        if self._call(method, message).result.status != messages.UpdateStatus.Completed:
            raise VectorStoreTimeout("The Qdrant server did not carry the write out in time.")

    def _call(self, method: str, message: Any) -> Any:
        """What the first node gives that can be asked, within the time of one call; for which
        failures another is asked is as with `Failover`."""
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
            raise error_of(refusal, replicated=self._replicated) from error
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
        return error_of(Refusal(STATUSES.get(code, 500), said), replicated=self._replicated)


def _is_of_node(error: Any) -> bool:
    return error.code() in OF_NODE and OF_LEADER not in (error.details() or "")


def _is_unsent(error: Any) -> bool:
    is_away = error.code() == grpc.StatusCode.UNAVAILABLE
    return is_away and (error.details() or "").startswith(NOT_SENT)
