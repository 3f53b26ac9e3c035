"""A Qdrant server, through qdrant-client."""

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import httpx
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from qdrant_edge import SparseVector

from app.config import Settings
from app.embeddings import EmbedderInfo
from app.errors import (
    ServiceError,
    VectorStoreRefused,
    VectorStoreTimeout,
    VectorStoreUnavailable,
)
from app.observability.trace import pass_on
from app.storage.payloads import Payload
from app.storage.vectors.base import (
    DATETIME_INDEXES,
    DENSE,
    KEYWORD_INDEXES,
    SPARSE,
    Nearest,
    NewPoint,
    NoCollection,
)
from app.storage.vectors.filters import Filter
from app.storage.vectors.paging import Cursor, Listed, following, listed
from app.storage.vectors.ranking import Record
from app.storage.vectors.store import VectorStore

log = logging.getLogger(__name__)

SIGNATURE = "embedder"  # the key of the collection's metadata that names who made the vectors
CORPUS_SINCE = (1, 19)  # the version from which words can be counted in a scope alone
CONFLICT, NOT_FOUND, TIMED_OUT, FORBIDDEN, FAILED = 409, 404, 408, (401, 403), 500
_OF_SHARDS = re.compile(r"\d+ out of \d+ shards")


def connect(settings: Settings) -> QdrantClient:
    """Asks the server nothing yet."""
    key = settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None
    # Said in full: with a host alone, or a port alone, the client would choose for itself.
    url = settings.qdrant_url or f"http://{settings.qdrant_host}:{settings.qdrant_port}"
    return QdrantClient(
        url=url,
        api_key=key,
        timeout=settings.qdrant_timeout,
        check_compatibility=False,
        event_hooks={"request": [pass_on]},
    )


class ServerStore(VectorStore, engine="server"):
    """A collection of a server; several processes may share it."""

    keeps_deleted = (
        "The Qdrant server's log, segments and snapshots may keep deleted texts until it writes "
        "them over or rebuilds them."
    )

    def __init__(self, client: QdrantClient, collection: str) -> None:
        super().__init__()
        self._client = client
        self._collection = collection
        self._has_words = False
        self._version: tuple[int, int] | None = None
        self._inspected = False
        self._warned = False

    # ---- the collection

    def embedder(self) -> EmbedderInfo | None:
        with _translated():
            try:
                config = self._client.get_collection(self._collection).config
            except UnexpectedResponse as error:
                if error.status_code == NOT_FOUND:
                    return None
                raise
        vectors: Any = config.params.vectors
        dense = vectors[DENSE] if isinstance(vectors, dict) else vectors
        name = (config.metadata or {}).get(SIGNATURE, "")
        return EmbedderInfo(name, dense.size)

    def _create(self, embedder: EmbedderInfo) -> None:
        with _translated():
            try:
                self._client.create_collection(
                    self._collection,
                    vectors_config=models.VectorParams(
                        size=embedder.dimensions, distance=models.Distance.COSINE
                    ),
                    sparse_vectors_config={
                        SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)
                    },
                    metadata={SIGNATURE: embedder.name},
                )
            except UnexpectedResponse as error:
                if error.status_code != CONFLICT:  # another process was faster
                    raise
        self._inspected = False

    def _record_embedder(self, embedder: EmbedderInfo) -> None:
        with _translated():
            self._client.update_collection(self._collection, metadata={SIGNATURE: embedder.name})

    def rebuild_target(self, embedder: EmbedderInfo) -> Self | None:
        stored = self.embedder()
        name = self._rebuild_name(embedder)
        if stored is None:  # gone already: an earlier run was cut off while it gave way
            with _translated():
                if not self._client.collection_exists(name):
                    return None
        else:
            with self._asking():
                if stored == embedder and self._has_words:
                    return None
        beside = type(self)(self._client, name)
        beside.prepare(embedder)
        return beside

    def _rebuild_name(self, embedder: EmbedderInfo) -> str:
        """The same for the same embedder, so that a run can be resumed."""
        digest = hashlib.sha256(str(embedder).encode()).hexdigest()
        return f"{self._collection}--{digest[:12]}"

    def swap_in(self, target: Self) -> None:
        with _translated():
            here = {a.alias_name: a.collection_name for a in self._client.get_aliases().aliases}
            old = here.get(self._collection)
            changes: list[Any] = []
            if old:
                gone = models.DeleteAlias(alias_name=self._collection)
                changes.append(models.DeleteAliasOperation(delete_alias=gone))
            else:  # an alias cannot have the name of a collection
                self._client.delete_collection(self._collection)
            new = models.CreateAlias(
                collection_name=target._collection, alias_name=self._collection
            )
            changes.append(models.CreateAliasOperation(create_alias=new))
            self._client.update_collection_aliases(changes)
            if old:
                self._client.delete_collection(old)
        self.close()

    def _inspect_collection(self) -> None:
        """Look once at the collection, which mem0 may have made: its indexes, its slots."""
        if self._inspected:
            return
        # Several threads may look at the same moment. No lock: it would make them wait in turn
        # for a server that hangs.
        info = self._client.get_collection(self._collection)
        self._has_words = SPARSE in (info.config.params.sparse_vectors or {})
        if not self._has_words and not self._warned:
            self._warned = True
            log.warning(
                "the collection %s has no %s vectors and is searched by meaning alone; "
                "'python -m app.reembed' adds them",
                self._collection,
                SPARSE,
            )
        wanted = dict.fromkeys(KEYWORD_INDEXES, models.PayloadSchemaType.KEYWORD)
        wanted |= dict.fromkeys(DATETIME_INDEXES, models.PayloadSchemaType.DATETIME)
        for field, kind in wanted.items():
            if field not in info.payload_schema:
                self._client.create_payload_index(self._collection, field, kind)
        self._version = self._version or self._asked_version()
        self._inspected = True

    def _asked_version(self) -> tuple[int, int]:
        """Of the server; (0, 0) where it does not say."""
        try:
            said = self._client.info().version
        except UnexpectedResponse as error:
            if error.status_code is None or error.status_code >= FAILED:
                raise
            said = ""  # something before the server lets the collections through alone
        except ResponseHandlingException as error:
            if not isinstance(error.source, ValueError):
                raise
            said = ""  # or answers with a page of its own
        known = re.match(r"(\d+)\.(\d+)", said)
        version = (int(known[1]), int(known[2])) if known else (0, 0)
        if version < CORPUS_SINCE:
            log.warning(
                "the Qdrant server is of version %s: before 1.19 the scores of a search by words "
                "depend on the memories of all users, see SECURITY.md",
                said or "unknown",
            )
        return version

    # ---- its points

    def _upsert(self, points: Sequence[NewPoint]) -> None:
        with self._asking() as client:
            made = [self._point(point) for point in points]
            _completed(client.upsert(self._collection, made, wait=True))

    def _point(self, point: NewPoint) -> models.PointStruct:
        vectors: dict[str, Any] = {DENSE: point.dense}
        if self._has_words:
            vectors[SPARSE] = _sparse(point.sparse)
        return models.PointStruct(id=point.id, vector=vectors, payload=point.payload)

    def _overwrite_payload(self, point_id: str, payload: Payload) -> None:
        with self._asking() as client:
            _completed(
                client.overwrite_payload(self._collection, payload, points=[point_id], wait=True)
            )

    def _retrieve(self, ids: Sequence[str]) -> list[Record]:
        with self._asking() as client:
            return [_record(point) for point in client.retrieve(self._collection, list(ids))]

    def _query(self, requests: Sequence[Nearest]) -> list[list[Record]]:
        with self._asking() as client:
            asked = [
                self._query_request(request)
                for request in requests
                if self._has_words or not isinstance(request.vector, SparseVector)
            ]
            answers = client.query_batch_points(self._collection, asked) if asked else []
            found = [[_record(point) for point in answer.points] for answer in answers]
        return found + [[] for _ in range(len(requests) - len(asked))]

    def _query_request(self, request: Nearest) -> models.QueryRequest:
        vector: Any = request.vector
        params = None
        if request.corpus and self._version and self._version >= CORPUS_SINCE:
            corpus = models.IdfCorpusParams(corpus=_filter(request.corpus))
            params = models.SearchParams(idf=corpus)
        return models.QueryRequest(
            query=_sparse(vector) if request.by_words else vector,
            using=SPARSE if request.by_words else None,
            filter=_filter(request.where),
            params=params,
            limit=request.limit,
            with_payload=not request.ids_only,
            with_vector=[SPARSE] if request.by_words else False,
        )

    def _newest(self, where: Filter, limit: int, after: Cursor | None = None) -> list[Listed]:
        order = models.OrderBy(
            key="created_at",
            direction=models.Direction.DESC,
            start_from=after.time if after else None,
        )
        with self._asking() as client:
            points, _ = client.scroll(
                self._collection,
                scroll_filter=_filter(following(where, after)),
                limit=limit,
                order_by=order,
                with_payload=False,
            )
            return listed(points)

    def _delete(self, ids: Sequence[str]) -> None:
        with self._asking() as client:
            these = models.PointIdsList(points=list(ids))
            _completed(client.delete(self._collection, these, wait=True))

    def _count(self, where: Filter) -> int:
        with self._asking() as client:
            return client.count(self._collection, _filter(where), exact=True).count

    def _facet(self, key: str, where: Filter, limit: int) -> list[tuple[str, int]]:
        # Not `exact`: that asks for each value by a query of its own.
        with self._asking() as client:
            found = client.facet(self._collection, key, _filter(where), limit)
            return [(str(hit.value), hit.count) for hit in found.hits]

    def _clear(self) -> None:
        with self._asking() as client:
            everything = models.FilterSelector(filter=models.Filter())
            _completed(client.delete(self._collection, everything, wait=True))

    def check(self) -> None:
        with _translated():
            self._client.collection_exists(self._collection)

    def check_disk_space(self) -> None:
        """The server says so by itself."""

    def flush(self) -> None:
        """The server's own doing: it answers a write when its log has it."""

    def close(self) -> None:
        self._client.close()

    @contextmanager
    def _asking(self) -> Iterator[QdrantClient]:
        with _translated():
            try:
                self._inspect_collection()
                yield self._client
            except UnexpectedResponse as error:
                if error.status_code != NOT_FOUND:
                    raise
                self._inspected = False
                raise NoCollection from error


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ResponseHandlingException as error:
        raise _of_transport(error) from error
    except ResourceExhaustedResponse as error:
        raise VectorStoreRefused("The Qdrant server is at its limits.") from error
    except UnexpectedResponse as error:
        raise _of_status(error) from error


def _of_transport(error: ResponseHandlingException) -> ServiceError:
    """Only where no connection came about is it certain that nothing was done."""
    if isinstance(error.source, httpx.ConnectError | httpx.ConnectTimeout):
        return VectorStoreRefused("The Qdrant server does not answer.")
    if isinstance(error.source, httpx.TimeoutException):
        return VectorStoreTimeout("The Qdrant server did not answer in time.")
    return VectorStoreUnavailable("The Qdrant server does not answer.")


def _of_status(error: UnexpectedResponse) -> ServiceError:
    status = error.status_code or 0
    said = (error.content or b"").decode(errors="replace")
    if status in FORBIDDEN:
        return VectorStoreRefused("The Qdrant server refuses the key: check QDRANT_API_KEY.")
    detail = f"The Qdrant server failed ({status})."
    # 408 is its own timeout; and what one shard refuses, another may have done.
    clean = 400 <= status < 500 and status != TIMED_OUT and not _OF_SHARDS.search(said)
    return VectorStoreRefused(detail) if clean else VectorStoreUnavailable(detail)


def _completed(result: models.UpdateResult) -> None:
    """Raises VectorStoreTimeout for a write that is in the server's log and not carried out yet:
    `wait_timeout` and `acknowledged` come with status 200."""
    if result.status != models.UpdateStatus.COMPLETED:
        raise VectorStoreTimeout("The Qdrant server did not carry the write out in time.")


def _record(point: Any) -> Record:
    vectors = point.vector if isinstance(point.vector, dict) else {}
    sparse = vectors.get(SPARSE)
    return Record(
        id=str(point.id),
        payload=point.payload or {},
        score=getattr(point, "score", 0.0),
        tokens=frozenset(sparse.indices if sparse else ()),
    )


def _sparse(vector: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=vector.indices, values=vector.values)


def _filter(where: Filter) -> models.Filter:
    """Our filters are the server's own JSON."""
    return models.Filter.model_validate(where)
