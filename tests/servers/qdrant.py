"""A stand-in for a Qdrant server, over the in-memory mode of qdrant-client.

It proves the wiring, the wire format, the errors and the recovery; nothing about the engine.
"""

import itertools
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from qdrant_client import QdrantClient, models

from tests.servers.base import Answer, Json, Request, StubServer, run
from tests.servers.qdrant_grpc import GrpcListener
from tests.servers.strict_mode import QdrantError, StrictMode, flat

OPEN_PATHS = ("/healthz", "/readyz", "/livez")
READS = re.compile(
    r"GET .*|POST /collections/[^/]+/(facet|points|points/(query.*|scroll|count|facet))"
)
UUID_FORM = re.compile(
    r"(?:urn:uuid:)?\{?[0-9a-f]{8}(-?)(?:[0-9a-f]{4}\1){3}[0-9a-f]{12}\}?", re.IGNORECASE
)
MISSING_VECTOR = re.compile(r"(?:\w+ vector|Multivector|Vector) (\S*) ?is not found in the coll")

INDEXING = "https://qdrant.tech/documentation/concepts/indexing/#payload-index"
RANGE_INDEXES = {"integer", "float", "datetime"}
MATCH_INDEXES = {"keyword", "integer", "bool", "uuid"}
NO_RANGE_INDEX = (
    "Wrong input: No range index for `order_by` key: `{}`. Please create one to use `order_by`."
    f" Check {INDEXING} to see which payload schemas support Range conditions"
)
NO_MATCH_INDEX = (
    "Wrong input: No appropriate index for faceting: `{}`. Please create one to facet on this"
    f" field. Check {INDEXING} to see which payload schemas support Match conditions"
)
NO_OFFSET = (
    "Wrong input: Cannot use an `offset` when using `order_by`. The alternative for paging is to"
    " use `order_by.start_from` and a filter to exclude the IDs that you've already seen for the"
    " `order_by.start_from` value"
)

NO_SUBSTRING = (
    "Format error in JSON body: data did not match any variant of untagged enum MatchInterface at"
    " line 1 column 85"
)
NO_IDF = (
    "Wrong input: Validation failed: search param `idf` requires a sparse vector with the `idf`"
    ' modifier, which vector "{}" is not'
)

DISK_FULL = (
    "Service internal error: No space left on device: WAL buffer size exceeds available disk space"
)
MAX_BODY = 32 * 1024 * 1024
CONDITIONS = {
    *("match", "range", "geo_bounding_box", "geo_radius", "geo_polygon", "values_count"),
    *("is_empty", "is_null"),
}
SUBSTRING_SINCE = (1, 20)
SPREAD = ("shard_number", "replication_factor", "write_consistency_factor")

UPSERT = TypeAdapter(models.PointInsertOperations)
SELECTOR = TypeAdapter(models.PointsSelector)
OPERATIONS = TypeAdapter(list[models.UpdateOperation])


@dataclass(frozen=True)
class Call:
    """A request, with the collection it is about: its own name, even if an alias was given."""

    request: Request
    name: str = ""
    last: str = ""

    @property
    def body(self) -> dict[str, Any]:
        if not isinstance(self.request.body, dict):
            reason = "EOF while parsing a value" if not self.request.body_bytes else "expected JSON"
            raise QdrantError(400, f"Format error in JSON body: {reason} at line 1 column 0")
        return self.request.body


@dataclass
class Store:
    """The data: it outlives stop() and start()."""

    client: QdrantClient = field(default_factory=lambda: QdrantClient(":memory:"))
    indexes: dict[str, dict[str, Json]] = field(default_factory=dict)
    file: Path | None = None
    strict: dict[str, StrictMode] = field(default_factory=dict)
    made: dict[str, dict[str, Json]] = field(default_factory=dict)
    """How each collection is spread over nodes."""

    @classmethod
    def within(cls, folder: Path) -> Self:
        """Data that outlives the process, in `folder`."""
        file = folder / "indexes.json"
        indexes = json.loads(file.read_text()) if file.exists() else {}
        return cls(QdrantClient(path=str(folder)), indexes, file)

    def save(self) -> None:
        if self.file:
            self.file.write_text(json.dumps(self.indexes))


def corpora(requests: Iterable[Request]) -> list[Any]:
    """Where each query by words wanted them to be counted; None: among all memories."""
    return [
        (query.get("params") or {}).get("idf")
        for request in requests
        if request.path.endswith("/query/batch") and isinstance(request.body, dict)
        for query in request.body["searches"]
        if query.get("using") == "bm25"
    ]


class QdrantServer(StubServer):
    """A Qdrant server. `client` is the data behind it (take `lock` if requests are running), and
    `wipe()` loses it all, as a restart without a volume does. While `full` is set no write finds
    room on the disk; while `late` is, writes are not done in time, but only at `catch_up()`. With
    `deletes_at_once` others read between so many deletions of one call, as with 512 in Qdrant."""

    def __init__(
        self,
        port: int = 0,
        *,
        version: str = "1.20.0",
        read_only_api_key: str | None = None,
        folder: Path | None = None,
        grpc: bool = False,
        **options: Any,
    ) -> None:
        """`grpc`: answer over gRPC too, at `grpc_port`."""
        super().__init__(port, **options)
        self.version = version
        self.read_only_api_key = read_only_api_key
        self.lock = threading.RLock()
        self._store = Store.within(folder) if folder else Store()
        self._operations = itertools.count()
        self._routes = self._table()
        self.full = self.late = False
        self.deletes_at_once: int | None = None
        self._held: list[tuple[Callable[[Call], Json], Call]] = []
        self.grpc_port = 0
        self._over_grpc = grpc
        self._grpc: GrpcListener | None = None
        self._writes = {
            *(self._upsert, self._delete, self._batch, self._set_payload, self._delete_payload),
            *(self._overwrite_payload, self._clear_payload, self._update_vectors),
            self._delete_vectors,
        }

    @property
    def client(self) -> QdrantClient:
        return self._store.client

    def start(self) -> Self:
        if self._over_grpc and self._grpc is None:
            self._grpc = GrpcListener(self, self.host, self.grpc_port)
            self.grpc_port = self._grpc.port
        return super().start()

    def stop(self) -> None:
        super().stop()  # which lets the calls go that a fault holds
        if self._grpc is not None:
            self._grpc.stop()
            self._grpc = None

    def wipe(self) -> None:
        with self.lock:
            self._store = Store()

    def catch_up(self) -> None:
        with self.lock:
            self.late = False
            held, self._held = self._held, []
            for handler, call in held:
                self._carry_out(handler, call)

    def _held_back(self, handler: Callable[[Call], Json], call: Call) -> Json:
        if not self.late or handler not in self._writes:
            return None
        self._held.append((handler, call))
        return {"operation_id": next(self._operations), "status": "wait_timeout"}

    # ------------------------------------------------------------------ answering

    def answer(self, request: Request) -> Answer:
        begin = time.monotonic()
        bare = self._bare(request)
        if bare is not None:
            return bare
        route = self._route(request)
        if route is None:
            return Answer(404)
        try:
            with self.lock:
                result = self._held_back(*route) or self._carry_out(*route)
        except QdrantError as error:
            answer = self.error(error.status, error.message)
            answer.headers |= error.headers or {}
            return answer
        spent = time.monotonic() - begin
        return Answer.of({"result": result, "status": "ok", "time": spent})

    def error(self, status: int, message: str | None = None) -> Answer:
        texts = {429: "Rate limiting exceeded: Write rate limit exceeded, retry later"}
        text = message or texts.get(status, "Service internal error: stand-in fault")
        return Answer.of({"status": {"error": text}, "time": 0.0}, status)

    def refusal(self, request: Request) -> Answer | None:
        if self.api_key is None or request.path in ("/", *OPEN_PATHS):
            return None
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        given = request.headers.get("api-key") or bearer
        if not given:
            return Answer.of("Must provide an API key or an Authorization bearer token", 401)
        if given == self.api_key:
            return None
        if given != self.read_only_api_key:
            return Answer.of("Invalid API key or JWT", 401)
        if READS.fullmatch(f"{request.method} {request.path}"):
            return None
        return self.error(403, "Forbidden: Global manage access is required")

    def _bare(self, request: Request) -> Answer | None:
        """The answers that have no envelope."""
        title = {"title": "qdrant - vector search engine", "version": self.version}
        bare: dict[str, Json] = {
            "/": title,
            "/healthz": "healthz check passed",
            "/livez": "healthz check passed",
            "/readyz": "all shards are ready",
        }
        if request.method != "GET" or request.path not in bare:
            return None
        return Answer.of(bare[request.path])

    def _table(self) -> list[tuple[str, re.Pattern[str], Callable[[Call], Json]]]:
        name = "/collections/{name}"
        table: dict[str, Callable[[Call], Json]] = {
            "GET /collections": self._collections,
            "POST /collections/aliases": self._change_aliases,
            "GET /aliases": self._aliases,
            f"PUT {name}": self._create,
            f"GET {name}": self._info,
            f"PATCH {name}": self._patch,
            f"DELETE {name}": self._drop,
            f"GET {name}/exists": self._exists,
            f"GET {name}/aliases": self._aliases,
            f"PUT {name}/index": self._create_index,
            f"DELETE {name}/index/{{last}}": self._drop_index,
            f"POST {name}/facet": self._facet,
            f"POST {name}/points/facet": self._facet,
            f"PUT {name}/points": self._upsert,
            f"POST {name}/points": self._retrieve,
            f"GET {name}/points/{{last}}": self._point,
            f"POST {name}/points/query": self._query,
            f"POST {name}/points/query/batch": self._query_batch,
            f"POST {name}/points/scroll": self._scroll,
            f"POST {name}/points/count": self._count,
            f"POST {name}/points/delete": self._delete,
            f"POST {name}/points/batch": self._batch,
            f"POST {name}/points/payload": self._set_payload,
            f"PUT {name}/points/payload": self._overwrite_payload,
            f"POST {name}/points/payload/delete": self._delete_payload,
            f"POST {name}/points/payload/clear": self._clear_payload,
            f"PUT {name}/points/vectors": self._update_vectors,
            f"POST {name}/points/vectors/delete": self._delete_vectors,
        }
        return [(*as_route(key), handler) for key, handler in table.items()]

    def _route(self, request: Request) -> tuple[Callable[[Call], Json], Call] | None:
        for method, pattern, handler in self._routes:
            found = pattern.fullmatch(request.path)
            if found and method == request.method:
                return handler, Call(request, **found.groupdict())
        return None

    def _carry_out(self, handler: Callable[[Call], Json], call: Call) -> Json:
        own = {self._create, self._drop, self._exists}
        if call.name and handler not in own:
            call = Call(call.request, self._resolved(call.name), call.last)
        if call.request.malformed:
            raise QdrantError(400, "Format error in JSON body: expected value at line 1 column 1")
        if len(call.request.body_bytes) > MAX_BODY:
            raise too_large(len(call.request.body_bytes))
        check_ids(call.request.body)
        self._check_filters(handler, call)
        if self.full and handler in self._writes:
            raise QdrantError(500, DISK_FULL)
        try:
            return handler(call)
        except ValidationError as error:
            raise QdrantError(400, f"Format error in JSON body: {in_short(error)}") from error
        except KeyError as error:  # what the local mode raises for a point that is not there
            message = f"Not found: No point with id {error.args[0]} found"
            raise QdrantError(404, message) from error
        except (ValueError, TypeError) as error:
            raise QdrantError(400, as_wrong_input(str(error))) from error

    def _check_filters(self, handler: Callable[[Call], Json], call: Call) -> None:
        body = call.request.body if isinstance(call.request.body, dict) else {}
        parts = [body, *as_list(body.get("searches"))]
        for condition in (one for part in parts for one in flat(part.get("filter"))):
            check_condition(condition, "count_request." if handler == self._count else "")
            match = condition.get("match") or {}
            if "substring" in match and self._number < SUBSTRING_SINCE:
                raise QdrantError(400, NO_SUBSTRING)

    @property
    def _number(self) -> tuple[int, int]:
        known = re.match(r"(\d+)\.(\d+)", self.version)
        return (int(known[1]), int(known[2])) if known else SUBSTRING_SINCE

    def _may_read(self, call: Call, *filters: Json) -> None:
        """Raises QdrantError for what strict mode forbids."""
        strict = self._strict(call.name)
        strict.spend("read", 1)
        for where in filters:
            strict.check_filter(where, self._store.indexes[call.name], update=False)

    def _may_write(self, call: Call, points: int, where: Json = None) -> None:
        strict = self._strict(call.name)
        strict.check_filter(where, self._store.indexes[call.name], update=True)
        strict.spend("write", points)

    def _strict(self, name: str) -> StrictMode:
        return self._store.strict.setdefault(name, StrictMode())

    def _resolved(self, name: str) -> str:
        if name in self._names():
            return name
        for alias in self.client.get_aliases().aliases:
            if alias.alias_name == name:
                return alias.collection_name
        raise not_found(name)

    def _names(self) -> list[str]:
        return [collection.name for collection in self.client.get_collections().collections]

    def _written(self, call: Call) -> Json:
        waited = call.request.query.get("wait") == "true"
        status = "completed" if waited else "acknowledged"
        return {"operation_id": next(self._operations), "status": status}

    # ------------------------------------------------------------------ collections

    def _collections(self, _call: Call) -> Json:
        return {"collections": [{"name": name} for name in self._names()]}

    def _exists(self, call: Call) -> Json:
        return {"exists": self.client.collection_exists(call.name)}

    def _create(self, call: Call) -> Json:
        wanted = models.CreateCollection.model_validate(call.body)
        if call.name in self._names():
            raise QdrantError(409, f"Wrong input: Collection `{call.name}` already exists!")
        if self.client.collection_exists(call.name):
            raise QdrantError(
                400,
                f"Wrong input: Can't create collection with name {call.name}. Alias with the same"
                " name already exists",
            )
        self.client.create_collection(
            call.name,
            vectors_config=wanted.vectors,
            sparse_vectors_config=wanted.sparse_vectors,
            metadata=wanted.metadata,
        )
        self._store.indexes[call.name] = {}
        self._store.made[call.name] = {
            name: call.body[name] for name in SPREAD if call.body.get(name) is not None
        }
        self._store.strict.pop(call.name, None)
        self._strict(call.name).change(call.body.get("strict_mode_config") or {})
        self._store.save()
        return True

    def _patch(self, call: Call) -> Json:
        wanted = models.UpdateCollection.model_validate(call.body)
        if wanted.metadata is not None:
            self.client.update_collection(call.name, metadata=wanted.metadata)
        self._store.made.setdefault(call.name, {}).update(call.body.get("params") or {})
        self._strict(call.name).change(call.body.get("strict_mode_config") or {})
        return True

    def _drop(self, call: Call) -> Json:
        if call.name not in self._names():
            return False  # an alias is no collection
        self._store.indexes.pop(call.name, None)
        return self.client.delete_collection(call.name)

    def _info(self, call: Call) -> Json:
        info = self.client.get_collection(call.name).model_dump(mode="json", exclude_none=True)
        schema = {
            key: self._index_info(call.name, key, given)
            for key, given in self._store.indexes[call.name].items()
        }
        info["config"]["params"] |= {"shard_number": 1, "replication_factor": 1}
        info["config"]["params"] |= self._store.made.get(call.name, {})
        if limits := self._strict(call.name).limits:
            info["config"]["strict_mode_config"] = limits
        return {**info, "payload_schema": schema}

    def _index_info(self, name: str, key: str, given: Json) -> Json:
        empty = models.IsEmptyCondition(is_empty=models.PayloadField(key=key))
        points = self.client.count(name, models.Filter(must_not=[empty])).count
        params = {"params": given} if isinstance(given, dict) else {}
        return {"data_type": index_type(given), **params, "points": points}

    def _create_index(self, call: Call) -> Json:
        wanted = models.CreateFieldIndex.model_validate(call.body)
        self._strict(call.name).check_indexes(len(self._store.indexes[call.name]))
        self._store.indexes[call.name][wanted.field_name] = call.body.get("field_schema", "keyword")
        self._store.save()
        return self._written(call)

    def _drop_index(self, call: Call) -> Json:
        self._store.indexes[call.name].pop(call.last, None)
        return self._written(call)

    def _need_index(self, name: str, key: str, types: set[str], message: str) -> None:
        if index_type(self._store.indexes[name].get(key, "")) not in types:
            raise QdrantError(400, message.format(key))

    # ------------------------------------------------------------------ aliases

    def _aliases(self, call: Call) -> Json:
        aliases = [alias.model_dump() for alias in self.client.get_aliases().aliases]
        return {"aliases": [a for a in aliases if call.name in ("", a["collection_name"])]}

    def _change_aliases(self, call: Call) -> Json:
        wanted = models.ChangeAliasesOperation.model_validate(call.body)
        for operation in wanted.actions:
            if isinstance(operation, models.CreateAliasOperation):
                self._check_new_alias(operation.create_alias)
            elif isinstance(operation, models.RenameAliasOperation):
                self._check_rename(operation.rename_alias)
        return self.client.update_collection_aliases(wanted.actions)

    def _check_new_alias(self, wanted: models.CreateAlias) -> None:
        if wanted.collection_name not in self._names():
            raise not_found(wanted.collection_name)
        if wanted.alias_name in self._names():
            message = f"Wrong input: Collection `{wanted.alias_name}` already exists!"
            raise QdrantError(409, message)

    def _check_rename(self, wanted: models.RenameAlias) -> None:
        aliases = {alias.alias_name for alias in self.client.get_aliases().aliases}
        if wanted.old_alias_name not in aliases:
            raise QdrantError(404, f"Not found: Alias {wanted.old_alias_name} does not exists!")

    # ------------------------------------------------------------------ writing points

    def _upsert(self, call: Call) -> Json:
        wanted = UPSERT.validate_python(call.body)
        points = wanted.points if isinstance(wanted, models.PointsList) else wanted.batch
        count = len(points if isinstance(points, list) else points.ids)
        if not count:
            raise QdrantError(400, "Bad request: Empty update request")
        check_sparse(call.body)
        strict = self._strict(call.name)
        strict.check_batch("upsert limit", count)
        strict.check_points(self.client.count(call.name).count)
        self._may_write(call, count)
        self.client.upsert(
            call.name,
            points,
            update_filter=wanted.update_filter,
            update_mode=wanted.update_mode,
        )
        return self._written(call)

    def _delete(self, call: Call) -> Json:
        wanted = SELECTOR.validate_python(call.body)
        self._may_write(call, len(call.body.get("points") or [0]), call.body.get("filter"))
        for portion in self._portions(wanted):
            self.client.delete(call.name, portion)
        return self._written(call)

    def _portions(self, wanted: models.PointsSelector) -> Iterator[models.PointsSelector]:
        """Between them others read."""
        at_once = self.deletes_at_once
        if at_once is None or not isinstance(wanted, models.PointIdsList):
            yield wanted
            return
        for start in range(0, len(wanted.points), at_once):
            yield models.PointIdsList(points=wanted.points[start : start + at_once])
            self.lock.release()
            time.sleep(0.005)
            self.lock.acquire()

    def _batch(self, call: Call) -> Json:
        operations = OPERATIONS.validate_python(call.body.get("operations"))
        for operation in operations:  # one after the other: those before a wrong one stay
            self.client.batch_update_points(call.name, [operation])
        return [self._written(call) for _ in operations]

    def _set_payload(self, call: Call) -> Json:
        wanted = models.SetPayload.model_validate(call.body)
        self.client.set_payload(call.name, wanted.payload, selected(wanted), key=wanted.key)
        return self._written(call)

    def _overwrite_payload(self, call: Call) -> Json:
        wanted = models.SetPayload.model_validate(call.body)
        self._may_write(call, len(wanted.points or [0]), call.body.get("filter"))
        self.client.overwrite_payload(call.name, wanted.payload, selected(wanted))
        return self._written(call)

    def _delete_payload(self, call: Call) -> Json:
        wanted = models.DeletePayload.model_validate(call.body)
        self.client.delete_payload(call.name, wanted.keys, selected(wanted))
        return self._written(call)

    def _clear_payload(self, call: Call) -> Json:
        self.client.clear_payload(call.name, SELECTOR.validate_python(call.body))
        return self._written(call)

    def _update_vectors(self, call: Call) -> Json:
        wanted = models.UpdateVectors.model_validate(call.body)
        self.client.update_vectors(call.name, wanted.points, update_filter=wanted.update_filter)
        return self._written(call)

    def _delete_vectors(self, call: Call) -> Json:
        wanted = models.DeleteVectors.model_validate(call.body)
        self.client.delete_vectors(call.name, wanted.vector, selected(wanted))
        return self._written(call)

    # ------------------------------------------------------------------ reading points

    def _retrieve(self, call: Call) -> Json:
        wanted = models.PointRequest.model_validate(call.body)
        self._may_read(call)
        records = self.client.retrieve(
            call.name,
            wanted.ids,
            with_payload=unless_none(wanted.with_payload, True),
            with_vectors=unless_none(wanted.with_vector, False),
        )
        return [dump(record) for record in records]

    def _point(self, call: Call) -> Json:
        point_id = int(call.last) if call.last.isdecimal() else call.last
        check_id(point_id)
        found = self.client.retrieve(call.name, [point_id], with_vectors=True)
        if not found:
            raise QdrantError(404, f"Not found: Point with id {point_id} does not exists!")
        return dump(found[0])

    def _query(self, call: Call) -> Json:
        self._may_read(call, call.body.get("filter"))
        self._strict(call.name).check_rows(call.body)
        return self._found(call.name, call.body)

    def _query_batch(self, call: Call) -> Json:
        searches = call.body.get("searches")
        if not isinstance(searches, list):
            raise QdrantError(400, "Format error in JSON body: missing field `searches`")
        self._may_read(call, *[search.get("filter") for search in searches])
        for search in searches:
            self._strict(call.name).check_rows(search)
        return [
            self._found(call.name, search, f"searches[{index}].internal.limit")
            for index, search in enumerate(searches)
        ]

    def _found(self, name: str, body: dict[str, Any], field: str = "internal.limit") -> Json:
        wanted = models.QueryRequest.model_validate(body)
        check_limit(body, field)
        self._check_query(name, wanted)
        points = self.client.query_points(
            name,
            query=wanted.query,
            using=wanted.using,
            prefetch=wanted.prefetch,
            query_filter=wanted.filter,
            search_params=wanted.params,
            limit=unless_none(wanted.limit, 10),
            offset=wanted.offset,
            with_payload=unless_none(wanted.with_payload, False),
            with_vectors=unless_none(wanted.with_vector, False),
            score_threshold=wanted.score_threshold,
            lookup_from=wanted.lookup_from,
        ).points
        return {"points": [dump(point) for point in points]}

    def _check_query(self, name: str, wanted: models.QueryRequest) -> None:
        """The refusals that the local mode words otherwise, or leaves to numpy."""
        if isinstance(wanted.query, models.OrderByQuery):
            self._check_order(name, wanted.query.order_by)
        params = self.client.get_collection(name).config.params
        for query, using in nearest_queries(wanted):
            vectors = params.vectors
            dense = vectors.get(using) if isinstance(vectors, dict) else using == "" and vectors
            if isinstance(query, models.SparseVector):
                known, size = using in (params.sparse_vectors or {}), None
            else:
                known, size = bool(dense), dense.size if dense else None
            if not known:
                raise QdrantError(400, f"Wrong input: Not existing vector name error: {using}")
            if size is not None and wanted.params and wanted.params.idf:
                raise QdrantError(400, NO_IDF.format(using))
            if size is not None and isinstance(query[0], float) and len(query) != size:
                raise QdrantError(
                    400,
                    f"Wrong input: Vector dimension error: expected dim: {size}, got {len(query)}",
                )

    def _check_order(self, name: str, order: models.OrderBy | str) -> None:
        key = order if isinstance(order, str) else order.key
        self._need_index(name, key, RANGE_INDEXES, NO_RANGE_INDEX)

    def _scroll(self, call: Call) -> Json:
        wanted = models.ScrollRequest.model_validate(known(call.body, models.ScrollRequest))
        check_limit(call.body, "limit")
        self._may_read(call, call.body.get("filter"))
        self._strict(call.name).check_rows(call.body)
        if wanted.order_by is not None:
            if wanted.offset is not None:
                raise QdrantError(400, NO_OFFSET)
            self._check_order(call.name, wanted.order_by)
        records, following = self.client.scroll(
            call.name,
            scroll_filter=wanted.filter,
            limit=unless_none(wanted.limit, 10),
            order_by=wanted.order_by,
            offset=wanted.offset,
            with_payload=unless_none(wanted.with_payload, True),
            with_vectors=unless_none(wanted.with_vector, False),
        )
        return {"points": [dump(record) for record in records], "next_page_offset": following}

    def _count(self, call: Call) -> Json:
        wanted = models.CountRequest.model_validate(call.body)
        self._may_read(call, call.body.get("filter"))
        self._strict(call.name).check_exact(unless_none(wanted.exact, True))
        return {"count": self.client.count(call.name, wanted.filter).count}

    def _facet(self, call: Call) -> Json:
        wanted = models.FacetRequest.model_validate(call.body)
        check_limit(call.body, "limit")
        self._may_read(call, call.body.get("filter"))
        self._strict(call.name).check_rows(call.body)
        self._need_index(call.name, wanted.key, MATCH_INDEXES, NO_MATCH_INDEX)
        limit = unless_none(wanted.limit, 10)
        found = self.client.facet(call.name, wanted.key, facet_filter=wanted.filter, limit=limit)
        return {"hits": [hit.model_dump(mode="json") for hit in found.hits]}


def as_route(template: str) -> tuple[str, re.Pattern[str]]:
    method, path = template.split(" ")
    return method, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))


def not_found(name: str) -> QdrantError:
    return QdrantError(404, f"Not found: Collection `{name}` doesn't exist!")


def unless_none(value: Any, default: Any) -> Any:
    return default if value is None else value


def index_type(schema: Json) -> str:
    return str(schema.get("type", "") if isinstance(schema, dict) else schema)


def selected(
    wanted: models.SetPayload | models.DeletePayload | models.DeleteVectors,
) -> models.PointIdsList | models.FilterSelector:
    if wanted.points is not None:
        return models.PointIdsList(points=wanted.points)
    if wanted.filter is not None:
        return models.FilterSelector(filter=wanted.filter)
    raise QdrantError(400, "Format error in JSON body: No filter or points provided")


def nearest_queries(wanted: models.QueryRequest) -> Iterator[tuple[Any, str]]:
    """The vectors a query looks for, with the name of the vector each is compared with."""
    pending: list[Any] = [wanted]
    while pending:
        part = pending.pop()
        query = part.query.nearest if isinstance(part.query, models.NearestQuery) else part.query
        if isinstance(query, models.SparseVector) or (isinstance(query, list) and query):
            yield query, part.using or ""
        inner = part.prefetch or []
        pending.extend(inner if isinstance(inner, list) else [inner])


def dump(point: models.Record | models.ScoredPoint) -> Json:
    """A point as the server writes it: what is absent is left out (None inside a payload stays)."""
    return point.model_dump(mode="json", exclude_none=True)


# ---------------------------------------------------------------------- refusals


def check_limit(body: dict[str, Any], field: str) -> None:
    if body.get("limit") == 0:
        message = f"Validation error in JSON body: [{field}: value 0 invalid, must be 1 or larger]"
        raise QdrantError(422, message)


def check_ids(body: Json) -> None:
    if not isinstance(body, dict):
        return
    for point in [*as_list(body.get("points")), *as_list(body.get("ids"))]:
        check_id(point.get("id") if isinstance(point, dict) else point)
    if body.get("offset") is not None:
        check_id(body["offset"])
    batch = body.get("batch")
    if isinstance(batch, dict):
        check_ids({"ids": batch.get("ids")})


def as_list(value: Json) -> list[Any]:
    return value if isinstance(value, list) else []


def check_id(point_id: Json) -> None:
    if isinstance(point_id, str) and UUID_FORM.fullmatch(point_id):
        UUID(point_id)
        return
    if isinstance(point_id, int) and not isinstance(point_id, bool) and 0 <= point_id < 2**64:
        return
    raise QdrantError(
        400,
        f"Format error in JSON body: value {point_id} is not a valid point ID, valid values are"
        " either an unsigned integer or a UUID",
    )


def too_large(size: int) -> QdrantError:
    return QdrantError(
        400, f"JSON payload ({size} bytes) is larger than allowed (limit: {MAX_BODY} bytes)."
    )


def known(body: dict[str, Any], model: Any) -> dict[str, Any]:
    """`body` without the fields that the server does not know: it takes no notice of those."""
    names = {field.alias or name for name, field in model.model_fields.items()}
    return {name: value for name, value in body.items() if name in names}


def check_condition(condition: dict[str, Any], within: str) -> None:
    if "key" in condition and not CONDITIONS & condition.keys():
        raise QdrantError(
            422,
            f"Validation error in JSON body: [{within}filter.must[0].__all__: Validation error: At"
            " least one field condition must be specified [{}]]",
        )


def check_sparse(body: dict[str, Any]) -> None:
    for number, point in enumerate(as_list(body.get("points"))):
        vectors = point.get("vector")
        for vector in vectors.values() if isinstance(vectors, dict) else ():
            indices = vector.get("indices", []) if isinstance(vector, dict) else []
            if len({*indices}) != len(indices):
                place = f"points[{number}].vector.?.indices"
                text = f"[{place}: Validation error: must be unique [{{}}]]"
                raise QdrantError(422, f"Validation error in JSON body: {text}")


def in_short(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"missing field `{place}` at line 1 column 1"
    return f"{first['msg']} ({place}) at line 1 column 1"


def as_wrong_input(message: str) -> str:
    """What the local mode says, in the words of the server."""
    missing = MISSING_VECTOR.match(message)
    if missing:
        return f"Wrong input: Not existing vector name error: {missing[1]}"
    text = message
    return text if text.startswith("Wrong input: ") else f"Wrong input: {text}"


def as_program(port: int, **options: Any) -> QdrantServer:
    """A stand-in for Qdrant; gRPC at the next port, as Qdrant has it."""
    storage = os.environ.get("QDRANT_STORAGE")  # without it the data is in memory
    server = QdrantServer(port, folder=Path(storage) if storage else None, grpc=True, **options)
    server.grpc_port = port + 1
    return server


if __name__ == "__main__":
    run(as_program, 6333)
