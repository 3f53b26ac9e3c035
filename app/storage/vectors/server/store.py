"""The memories in a collection of a Qdrant server: written, read and searched."""

from collections.abc import Sequence
from typing import Any, Self

from qdrant_client import QdrantClient, models
from qdrant_edge import SparseVector

from app.config import Settings
from app.config.outgoing import httpx_options
from app.embeddings import EmbedderInfo
from app.observability.trace import pass_on
from app.storage.payloads import Payload
from app.storage.vectors.base import DENSE, SPARSE, Nearest, NewPoint
from app.storage.vectors.filters import Filter
from app.storage.vectors.paging import Cursor, Listed, following, listed
from app.storage.vectors.ranking import TURN_KEYS, Record, turn_of
from app.storage.vectors.server.collection import ServerCollection
from app.storage.vectors.server.errors import check_completed, refuse_pages_of_proxies
from app.storage.vectors.store import VectorStore

WITH_PAYLOADS = 80  # of so many hits they come at once: another call would cost more


def connect(settings: Settings) -> QdrantClient:
    """Asks the server nothing yet. Raises StartupError for a proxy that cannot be used."""
    key = settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None
    url = settings.qdrant_address
    return QdrantClient(
        url=url,
        api_key=key,
        timeout=settings.qdrant_timeout,
        check_compatibility=False,
        event_hooks={"request": [pass_on], "response": [refuse_pages_of_proxies]},
        **httpx_options(url),
    )


class ServerStore(VectorStore, engine="server"):
    """A collection of a server; several processes may share it."""

    keeps_deleted = (
        "The Qdrant server's log, segments and snapshots may keep deleted texts until it writes "
        "them over or rebuilds them."
    )

    def __init__(self, client: QdrantClient, collection: str) -> None:
        super().__init__()
        self._collection = ServerCollection(client, collection)

    def embedder(self) -> EmbedderInfo | None:
        return self._collection.embedder()

    def _create(self, embedder: EmbedderInfo) -> None:
        self._collection.create(embedder)

    def _record_embedder(self, embedder: EmbedderInfo) -> None:
        self._collection.record_embedder(embedder)

    def _read_zero(self) -> float | None:
        return self._collection.zero()

    def _record_zero(self, zero: float) -> None:
        self._collection.record_zero(zero)

    def rebuild_target(self, embedder: EmbedderInfo) -> Self | None:
        beside = self._collection.rebuild_target(embedder)
        if beside is None:
            return None
        target = type(self)(beside.client, beside.name)
        target.prepare(embedder)
        return target

    def swap_in(self, target: Self) -> None:
        self._collection.swap_in(target._collection)
        self.close()

    def _upsert(self, points: Sequence[NewPoint]) -> None:
        with self._collection.asking() as client:
            made = [self._point(point) for point in points]
            check_completed(client.upsert(self._collection.name, made, wait=True))

    def _point(self, point: NewPoint) -> models.PointStruct:
        vectors: dict[str, Any] = {DENSE: point.dense}
        if self._collection.has_words:
            vectors[SPARSE] = _sparse(point.sparse)
        return models.PointStruct(id=point.id, vector=vectors, payload=point.payload)

    def _overwrite_payload(self, point_id: str, payload: Payload) -> None:
        with self._collection.asking() as client:
            check_completed(
                client.overwrite_payload(
                    self._collection.name, payload, points=[point_id], wait=True
                )
            )

    def _retrieve(self, ids: Sequence[str]) -> list[Record]:
        with self._collection.asking() as client:
            return [_record(point) for point in client.retrieve(self._collection.name, list(ids))]

    def _query(self, requests: Sequence[Nearest]) -> list[list[Record]]:
        with self._collection.asking() as client:
            asked_for = [
                request
                for request in requests
                if self._collection.has_words or not request.by_words
            ]
            asked = [self._query_request(request) for request in asked_for]
            answers = client.query_batch_points(self._collection.name, asked) if asked else []
            found = [
                [_record(point, bare=_bare(request)) for point in answer.points]
                for request, answer in zip(asked_for, answers, strict=True)
            ]
        return found + [[] for _ in range(len(requests) - len(asked))]

    def _query_request(self, request: Nearest) -> models.QueryRequest:
        vector: Any = request.vector
        params = None
        if request.corpus and self._collection.counts_in_scope:
            corpus = models.IdfCorpusParams(corpus=_filter(request.corpus))
            params = models.SearchParams(idf=corpus)
        return models.QueryRequest(
            query=_sparse(vector) if request.by_words else vector,
            using=SPARSE if request.by_words else None,
            filter=_filter(request.where),
            params=params,
            limit=request.limit,
            with_payload=[*TURN_KEYS] if _bare(request) else True,
            with_vector=[SPARSE] if request.by_words else False,
        )

    def _newest(self, where: Filter, limit: int, after: Cursor | None = None) -> list[Listed]:
        order = models.OrderBy(
            key="created_at",
            direction=models.Direction.DESC,
            start_from=after.time if after else None,
        )
        with self._collection.asking() as client:
            points, _ = client.scroll(
                self._collection.name,
                scroll_filter=_filter(following(where, after)),
                limit=limit,
                order_by=order,
                with_payload=False,
            )
            return listed(points)

    def _delete(self, ids: Sequence[str]) -> None:
        with self._collection.asking() as client:
            these = models.PointIdsList(points=list(ids))
            check_completed(client.delete(self._collection.name, these, wait=True))

    def _count(self, where: Filter) -> int:
        with self._collection.asking() as client:
            return client.count(self._collection.name, _filter(where), exact=True).count

    def _facet(self, key: str, where: Filter, limit: int) -> list[tuple[str, int]]:
        # Not `exact`: that asks for each value by a query of its own.
        with self._collection.asking() as client:
            found = client.facet(self._collection.name, key, _filter(where), limit)
            return [(str(hit.value), hit.count) for hit in found.hits]

    def _clear(self) -> None:
        with self._collection.asking() as client:
            everything = models.FilterSelector(filter=models.Filter())
            check_completed(client.delete(self._collection.name, everything, wait=True))

    def check(self) -> None:
        self._collection.exists()

    def check_disk_space(self) -> None:
        """The server says so by itself."""

    def flush(self) -> None:
        """The server's own doing: it answers a write when its log has it."""

    def close(self) -> None:
        self._collection.client.close()


def _bare(request: Nearest) -> bool:
    """Whether the payloads are left out, but for what ranking needs of them."""
    return request.ids_only and request.limit > WITH_PAYLOADS


def _record(point: Any, *, bare: bool = False) -> Record:
    payload = point.payload or {}
    vectors = point.vector if isinstance(point.vector, dict) else {}
    sparse = vectors.get(SPARSE)
    return Record(
        id=str(point.id),
        payload={} if bare else payload,
        score=getattr(point, "score", 0.0),
        tokens=frozenset(sparse.indices if sparse else ()),
        turn=turn_of(payload),
    )


def _sparse(vector: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=vector.indices, values=vector.values)


def _filter(where: Filter) -> models.Filter:
    """Our filters are the server's own JSON."""
    return models.Filter.model_validate(where)
