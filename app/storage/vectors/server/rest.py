"""Points over REST, by qdrant-client."""

from collections.abc import Callable, Sequence
from typing import Any

from qdrant_client import QdrantClient, models
from qdrant_edge import SparseVector

from app.storage.payloads import Payload
from app.storage.vectors.base import DENSE, SPARSE
from app.storage.vectors.filters import Filter
from app.storage.vectors.paging import Cursor, Listed, following, listed
from app.storage.vectors.points import Nearest, NewPoint
from app.storage.vectors.ranking import TURN_KEYS, Record, turn_of
from app.storage.vectors.server.errors import check_completed
from app.storage.vectors.server.points import EXACT_COUNT, Points


class RestPoints(Points):
    """Raises the client's own failures, so that callers must be within `errors.translated`."""

    transport = "REST"

    def __init__(self, client: QdrantClient, collection: str, *, replicated: bool = False) -> None:
        self._client = client
        self._collection = collection
        # With the default ordering, weak, two nodes may apply two writes of a point to the replicas
        # in different order, so that the replicas differ for good.
        self._ordering = models.WriteOrdering.MEDIUM if replicated else None

    def upsert(self, points: Sequence[NewPoint], *, with_words: bool) -> None:
        self._put([_point(point, with_words=with_words) for point in points])

    def insert(self, points: Sequence[NewPoint], *, with_words: bool) -> None:
        made = [_point(point, with_words=with_words) for point in points]
        self._put(made, update_mode=models.UpdateMode.INSERT_ONLY)

    def replace(self, point: NewPoint, guard: Filter, *, with_words: bool) -> None:
        self._put(
            [_point(point, with_words=with_words)],
            update_mode=models.UpdateMode.UPDATE_ONLY,
            update_filter=_filter(guard),
        )

    def _put(self, points: list[models.PointStruct], **how: Any) -> None:
        self._write(self._client.upsert, points, **how)

    def overwrite_payload(self, point_id: str, payload: Payload) -> None:
        self._overwrite(models.PointIdsList(points=[point_id]), payload)

    def overwrite_where(self, guard: Filter, payload: Payload) -> None:
        self._overwrite(models.FilterSelector(filter=_filter(guard)), payload)

    def _overwrite(self, which: models.PointsSelector, payload: Payload) -> None:
        self._write(self._client.overwrite_payload, payload, points=which)

    def retrieve(self, ids: Sequence[str]) -> list[Record]:
        return [_record(point) for point in self._client.retrieve(self._collection, list(ids))]

    def query(self, requests: Sequence[Nearest], offset: int) -> list[list[Record]]:
        asked = [_query_request(request, offset) for request in requests]
        answers = self._client.query_batch_points(self._collection, asked)
        return [
            [_hit(point, request) for point in answer.points]
            for request, answer in zip(requests, answers, strict=True)
        ]

    def newest(self, where: Filter, limit: int, after: Cursor | None) -> list[Listed]:
        order = models.OrderBy(
            key="created_at",
            direction=models.Direction.DESC,
            start_from=after.time if after else None,
        )
        points, _ = self._client.scroll(
            self._collection,
            scroll_filter=_filter(following(where, after)),
            limit=limit,
            order_by=order,
            with_payload=False,
        )
        return listed(points)

    def delete(self, ids: Sequence[str]) -> None:
        self._delete(models.PointIdsList(points=list(ids)))

    def delete_where(self, guard: Filter) -> None:
        self._delete(models.FilterSelector(filter=_filter(guard)))

    def _delete(self, which: models.PointsSelector) -> None:
        self._write(self._client.delete, which)

    def _write(self, call: Callable[..., models.UpdateResult], what: Any, **how: Any) -> None:
        done = call(self._collection, what, wait=True, ordering=self._ordering, **how)
        check_completed(done.status)

    def count(self, where: Filter) -> int:
        return self._client.count(self._collection, _filter(where), exact=EXACT_COUNT).count

    def facet(self, key: str, where: Filter, limit: int) -> list[tuple[str, int]]:
        found = self._client.facet(self._collection, key, _filter(where), limit)
        return [(str(hit.value), hit.count) for hit in found.hits]


def _point(point: NewPoint, *, with_words: bool) -> models.PointStruct:
    vectors: dict[str, Any] = {} if point.dense is None else {DENSE: point.dense}
    if with_words:
        vectors[SPARSE] = _sparse(point.sparse)
    return models.PointStruct(id=point.id, vector=vectors, payload=point.payload)


def _query_request(request: Nearest, offset: int) -> models.QueryRequest:
    vector: Any = request.vector
    params = None
    if request.corpus:
        corpus = models.IdfCorpusParams(corpus=_filter(request.corpus))
        params = models.SearchParams(idf=corpus)
    return models.QueryRequest(
        query=_sparse(vector) if request.by_words else vector,
        using=SPARSE if request.by_words else None,
        filter=_filter(request.where),
        params=params,
        limit=request.limit,
        offset=offset or None,
        with_payload=[*TURN_KEYS] if request.ids_only else True,
        with_vector=[SPARSE] if request.by_words else False,
    )


def _record(point: Any) -> Record:
    return Record(str(point.id), point.payload or {})


def _hit(point: Any, request: Nearest) -> Record:
    """The record of a hit in the list for `request`."""
    payload = point.payload or {}
    sparse = point.vector[SPARSE] if request.by_words else None
    return Record(
        id=str(point.id),
        payload={} if request.ids_only else payload,
        score=point.score,
        tokens=frozenset(sparse.indices if sparse else ()),
        turn=turn_of(payload),
    )


def _sparse(vector: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=vector.indices, values=vector.values)


def _filter(where: Filter) -> models.Filter:
    """`where` as the client's model; our filters are the server's own JSON."""
    return models.Filter.model_validate(where)
