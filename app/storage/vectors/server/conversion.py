"""Converts the service's records to gRPC messages, and back."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from qdrant_client import grpc as messages
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc
from qdrant_edge import SparseVector

from app.storage.payloads import ASKS, PLACE, Payload
from app.storage.vectors.base import DENSE, SPARSE
from app.storage.vectors.filters import Filter
from app.storage.vectors.paging import Cursor
from app.storage.vectors.points import Nearest, NewPoint
from app.storage.vectors.ranking import NO_TURN, TURN_KEYS, Record, Turn, turn_of
from app.storage.vectors.server.grpc_filters import as_message, point_ids

WITH_PAYLOAD = messages.WithPayloadSelector(enable=True)
BARE = messages.WithPayloadSelector(enable=False)
WITH_TURN = messages.WithPayloadSelector(include=messages.PayloadIncludeSelector(fields=TURN_KEYS))
TEXTS = tuple(key for key in TURN_KEYS if key not in (PLACE, ASKS))
WITH_WORDS = messages.WithVectorsSelector(include=messages.VectorsSelector(names=[SPARSE]))


class Filters:
    """Converts filters, each once: the lists of a search have the same filter."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[Filter, Any]] = {}

    def __call__(self, where: Filter) -> Any:
        if id(where) not in self._made:
            # The filter is kept, so that no other one can get its id.
            self._made[id(where)] = where, as_message(where)
        return self._made[id(where)][1]


def payload(given: Payload) -> dict[str, Any]:
    return RestToGrpc.convert_payload(given)


def selected(given: Sequence[str]) -> Any:
    return messages.PointsSelector(points=messages.PointsIdsList(ids=point_ids(given)))


def point(given: NewPoint, *, with_words: bool) -> Any:
    vectors = {}
    if given.dense is not None:
        vectors[DENSE] = messages.Vector(dense=messages.DenseVector(data=given.dense))
    if with_words:
        vectors[SPARSE] = messages.Vector(sparse=_sparse(given.sparse))
    return messages.PointStruct(
        id=messages.PointId(uuid=given.id),
        vectors=messages.Vectors(vectors=messages.NamedVectors(vectors=vectors)),
        payload=payload(given.payload),
    )


def query(request: Nearest, converted: Filters) -> dict[str, Any]:
    """The fields of a QueryPoints."""
    vector: Any = request.vector
    if request.by_words:
        near = messages.VectorInput(sparse=_sparse(vector))
        asked = {"using": SPARSE, "with_vectors": WITH_WORDS}
    else:
        near = messages.VectorInput(dense=messages.DenseVector(data=vector))
        asked = {}
    if request.corpus:
        idf = messages.IdfParams(corpus=converted(request.corpus))
        asked["params"] = messages.SearchParams(idf=idf)
    return {
        **asked,
        "query": messages.Query(nearest=near),
        "filter": converted(request.where),
        "limit": request.limit,
        "with_payload": WITH_TURN if request.ids_only else WITH_PAYLOAD,
    }


def newest_first(after: Cursor | None) -> Any:
    start = None
    if after:
        start = messages.StartFrom(datetime=after.time.isoformat())
    return messages.OrderBy(key="created_at", direction=messages.Direction.Desc, start_from=start)


def record(found: Any) -> Record:
    return Record(id_of(found), GrpcToRest.convert_payload(found.payload))


def hits(found: Iterable[Any], request: Nearest, turns: dict[str, Turn]) -> list[Record]:
    """The records of the list for `request`. `turns` caches turns by id, because the lists of a
    search have most memories in common."""
    read: Callable[[Any], Payload] = _nothing if request.ids_only else GrpcToRest.convert_payload
    words = _words if request.by_words else _none
    records = []
    for one in found:
        id_ = id_of(one)
        if (turn := turns.get(id_)) is None:
            turn = turns[id_] = _turn(one.payload)
        records.append(Record(id_, read(one.payload), one.score, words(one), turn))
    return records


def _nothing(_: Any) -> Payload:
    return {}


def _none(_: Any) -> frozenset[int]:
    return frozenset()


def _turn(payload: Any) -> Turn:
    """The turn in a payload. It is read by hand, because for the hundreds of hits of a search the
    client's conversion took most of the time."""
    if PLACE not in payload and ASKS not in payload:
        return NO_TURN
    found: Payload = {key: payload[key].string_value for key in TEXTS if key in payload}
    if PLACE in payload and payload[PLACE].HasField("integer_value"):
        found[PLACE] = payload[PLACE].integer_value
    if ASKS in payload:
        found[ASKS] = payload[ASKS].bool_value
    return turn_of(found)


def id_of(found: Any) -> str:
    return found.id.uuid or str(found.id.num)


def _words(found: Any) -> frozenset[int]:
    """The ids of the words; servers before 1.16 put them into `indices`."""
    vector = found.vectors.vectors.vectors[SPARSE]
    return frozenset(vector.sparse.indices or vector.indices.data)


def _sparse(given: SparseVector) -> Any:
    return messages.SparseVector(indices=given.indices, values=given.values)
