"""Qdrant Edge: Qdrant's own engine inside this process, one directory, one process at a time."""

import json
import logging
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from qdrant_edge import (
    CountRequest,
    Direction,
    Distance,
    EdgeConfig,
    EdgeOptimizersConfig,
    EdgeShard,
    EdgeSparseVectorParams,
    EdgeVectorParams,
    FacetRequest,
    FieldCondition,
    HasIdCondition,
    IdfParams,
    IsEmptyCondition,
    IsNullCondition,
    MatchAny,
    MatchSubstring,
    MatchText,
    MatchValue,
    Modifier,
    OrderBy,
    PayloadSchemaType,
    Point,
    Query,
    QueryBatchRequest,
    QueryRequest,
    RangeDateTime,
    RangeFloat,
    ScrollRequest,
    SearchParams,
    UpdateOperation,
)
from qdrant_edge import Filter as EdgeFilter

from app.embeddings import EmbedderInfo
from app.errors import NotYet, StartupError, StorageFull, VectorStoreUnavailable
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
from app.storage.vectors.edge import holder
from app.storage.vectors.edge.slices import Slices, split
from app.storage.vectors.edge.words import Words, id_text, words_of
from app.storage.vectors.filters import Filter
from app.storage.vectors.paging import Cursor, Listed, following, listed
from app.storage.vectors.ranking import Record
from app.storage.vectors.store import VectorStore

log = logging.getLogger(__name__)

_CLAUSES = ("must", "should", "must_not")
NOTHING: Payload = {}  # of an `ids_only` record
COMPLETE = "complete"  # marks a rebuild target that has everything
HELD = "WouldBlock"  # how Edge says that another process has the directory
MAX_DELETED = 1 / 3  # of the stored points, at a start
MIN_TO_COMPACT = 100
NEVER = 10**9  # kB of vectors from which a graph is built: 21 s of standstill at 20,000 points
SEARCH_THREADS = 1  # a search is shorter than waking more of them
TAKEOVER_S = 10.0  # a killed server's worker lets go within a second


class _Held(Exception):
    """Another process has the directory open."""


class EdgeStore(VectorStore, engine="edge"):
    """A shard in `folder`. Calls hold the GIL, so threads take turns and need no lock here."""

    read_at_once = 4  # another call costs 10 us, and a memory may take 4 MB while it is read

    keeps_deleted = (
        "The files of DATA_DIR/qdrant may keep deleted texts until they are written over, or "
        "until a start gives their room back (where more than a third was deleted)."
    )

    def __init__(self, folder: Path, min_free_mb: int = 0, patience_s: float = TAKEOVER_S) -> None:
        """Open the shard, if there is one. Waits up to 10 s for a dying process to let it go,
        and `patience_s` for the worker before this one, which still answers.

        Raises StartupError when it is held or unreadable. With less than `min_free_mb` of room
        it stays closed, and is opened when it is asked for and there is room: Edge writes
        through mmap, where a full disk ends the process (SIGBUS) instead of raising.
        """
        super().__init__()
        self._min_free = min_free_mb * 2**20
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _take_over(folder)
        except OSError as error:
            raise StartupError(f"Qdrant Edge cannot use {folder}: {error}") from error
        self._folder = folder
        self._creating = threading.Lock()
        self._signature = folder / "embedder.json"
        self._shard: EdgeShard | None = None
        self._words = Words()
        self._slices = Slices(self._ordered, self._passing, self._estimate)
        self._compaction: str | None = None
        if self._exists() and not self._is_full():
            self._load(_wait_for(folder, patience_s))

    def _load(self, shard: EdgeShard) -> EdgeShard:
        """Raises StartupError. Where more than a third of the points are deleted their room is
        given back, before anything is served: it holds every thread. About 0.1 s for 10,000
        points, since no HNSW graph is built."""
        started = time.perf_counter()
        try:
            compacted = shard.optimize()
        except Exception as error:  # Edge raises nothing more exact
            raise StartupError(f"Qdrant Edge cannot compact {self._folder}: {error}") from error
        if compacted:
            took = time.perf_counter() - started
            self._compaction = f"This start gave back the room of deleted memories in {took:.1f} s."
            log.info("%s", self._compaction)
        self._shard = shard
        return shard

    def _exists(self) -> bool:
        return (self._folder / "edge_config.json").exists()

    def _is_full(self) -> bool:
        return shutil.disk_usage(self._folder).free < self._min_free

    def check_disk_space(self) -> None:
        if self._is_full():
            raise StorageFull(
                f"Less than {self._min_free // 2**20} MB (MIN_FREE_MB) are free on the disk of "
                "DATA_DIR: make room."
            )

    def embedder(self) -> EmbedderInfo | None:
        if not self._exists():
            return None
        signed = json.loads(self._signature.read_text()) if self._signature.exists() else {}
        return EmbedderInfo(signed.get("name", ""), _stored_dimensions(self._folder))

    def _create(self, embedder: EmbedderInfo) -> None:
        self.check_disk_space()
        with self._creating:
            if self._shard is None:
                self._record_embedder(embedder)
                with _translated():
                    self._shard = _open(self._folder, embedder.dimensions)

    def _record_embedder(self, embedder: EmbedderInfo) -> None:
        unfinished = self._signature.with_suffix(".part")
        unfinished.write_text(json.dumps({"name": embedder.name}))
        unfinished.replace(self._signature)

    def rebuild_target(self, embedder: EmbedderInfo) -> Self | None:
        if self.embedder() in (None, embedder):
            return None
        beside = type(self)(_beside(self._folder))
        if beside.embedder() not in (None, embedder):  # of a model that was given up
            beside.close()
            shutil.rmtree(beside._folder)
            beside = type(self)(_beside(self._folder))
        beside.prepare(embedder)
        return beside

    def swap_in(self, target: Self) -> None:
        target.flush()
        target.close()
        self.close()
        self._shard = None
        (target._folder / COMPLETE).touch()
        _take_over(self._folder)

    def _upsert(self, points: Sequence[NewPoint]) -> None:
        self.check_disk_space()
        with _translated():
            self._live.update(
                UpdateOperation.upsert_points(
                    [Point(p.id, {DENSE: p.dense, SPARSE: p.sparse}, p.payload) for p in points]
                )
            )

    def _overwrite_payload(self, point_id: str, payload: Payload) -> None:
        self.check_disk_space()
        with _translated():
            self._live.update(UpdateOperation.overwrite_payload([point_id], payload))

    def _retrieve(self, ids: Sequence[str]) -> list[Record]:
        with _translated():
            found = self._live.retrieve(list(ids), True, False)
        if len(found) != len(ids):
            return [_record(point) for point in found]
        # In the order of `ids`: to make a UUID and a text of each once more takes 2 us.
        return [Record(id_, point.payload or {}) for id_, point in zip(ids, found, strict=True)]

    def _query(self, requests: Sequence[Nearest]) -> list[list[Record]]:
        with _translated():
            batch = QueryBatchRequest([_query_request(request) for request in requests])
            answers = zip(requests, self._live.query_batch(batch), strict=True)
            return [
                self._ids_only(request, hits) if request.ids_only else [*map(_record, hits)]
                for request, hits in answers
            ]

    def _narrowed(self, where: Filter) -> Filter:
        if not split(where)[1]:
            return where
        return {"must": [{"has_id": [one.id for one in self._newest(where, sys.maxsize)]}]}

    def _ids_only(self, request: Nearest, hits: Sequence[Any]) -> list[Record]:
        """Records by their numbers: to write 160 ids as text would cost half of the query."""
        ids = [hit.id.int for hit in hits]
        if not request.by_words:
            return [Record(id_, NOTHING, hit.score) for id_, hit in zip(ids, hits, strict=True)]
        asked = frozenset(request.vector.indices)  # type: ignore[union-attr]  # by words
        words = self._words.of(dict(zip(ids, hits, strict=True)), asked, self._live)
        return [
            Record(id_, NOTHING, hit.score, words[id_]) for id_, hit in zip(ids, hits, strict=True)
        ]

    def _public(self, engine_id: Any) -> str:
        return id_text(engine_id)

    def _newest(self, where: Filter, limit: int, after: Cursor | None = None) -> list[Listed]:
        plain, costly = split(where)
        if costly:
            return [*islice(self._slices.matching(plain, costly, after), limit)]
        return self._ordered(plain, limit, after)

    def _ordered(self, where: Filter, limit: int, after: Cursor | None) -> list[Listed]:
        start = after.time.isoformat() if after else None
        asked = ScrollRequest(
            limit=limit,
            filter=to_edge(following(where, after)),
            with_payload=False,
            order_by=OrderBy("created_at", Direction.Desc, start),
        )
        with _translated():
            found, _ = self._live.scroll(asked)
        return listed(found)

    def _passing(self, where: Filter, limit: int) -> set[str]:
        asked = ScrollRequest(limit=limit, filter=to_edge(where), with_payload=False)
        with _translated():
            found, _ = self._live.scroll(asked)
        return {str(point.id) for point in found}

    def _delete(self, ids: Sequence[str]) -> None:
        # No look at the room: the first batch of a deletion must not be its last. Whoever begins
        # one looks, and MIN_FREE_MB is far more than the log of it takes.
        with _translated():
            self._live.update(UpdateOperation.delete_points(list(ids)))
        self._words.forget(ids)

    def _count(self, where: Filter) -> int:
        plain, costly = split(where)
        if costly:
            return sum(1 for _ in self._slices.matching(plain, costly))
        with _translated():
            return self._live.count(CountRequest(filter=to_edge(plain), exact=True))

    def _estimate(self, where: Filter) -> int:
        with _translated():
            return self._live.count(CountRequest(filter=to_edge(where), exact=False))

    def _facet(self, key: str, where: Filter, limit: int) -> list[tuple[str, int]]:
        # Not `exact`: that counts each value by a query of its own (2.4 s, with the GIL held,
        # for 95,000 values, against 35 ms), and one segment with a filter is counted right anyway.
        asked = FacetRequest(key, limit, exact=False, filter=to_edge(where))
        with _translated():
            return [(str(hit.value), hit.count) for hit in self._live.facet(asked).hits]

    def _clear(self) -> None:
        self.check_disk_space()
        with _translated():
            self._live.update(UpdateOperation.delete_points_by_filter(EdgeFilter()))
        self._words.forget_all()

    def check(self) -> str | None:
        self.check_disk_space()
        if self._exists():
            with _translated():
                self._live.info()
        return self._compaction

    def flush(self) -> None:
        if self._shard:
            with _translated():
                self._shard.flush()

    def close(self) -> None:
        if self._shard:
            with _translated():
                self._shard.close()

    @property
    def _live(self) -> EdgeShard:
        if self._shard is None:
            if not self._exists():
                raise NoCollection
            self.check_disk_space()
            with self._creating, _translated():
                return self._shard or self._load(_open(self._folder))
        return self._shard


def _beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.next")


def _take_over(folder: Path) -> None:
    """Put a complete rebuild target in the place of `folder`; also where that was cut off."""
    if (_beside(folder) / COMPLETE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        _beside(folder).rename(folder)
    (folder / COMPLETE).unlink(missing_ok=True)


def _wait_for(folder: Path, patience_s: float) -> EdgeShard:
    """The shard in `folder`, when nobody else has it. Raises StartupError."""
    started = time.monotonic()
    is_said = False
    while True:
        try:
            return _open(folder)
        except _Held as error:
            waited = time.monotonic() - started
            if holder.is_predecessor(folder):
                if not is_said:
                    log.info("waiting for the worker before this one to let go of %s", folder)
                    is_said = True
                if waited > patience_s:
                    raise NotYet(f"The worker before this one still uses {folder}.") from error
            elif waited > TAKEOVER_S:
                raise StartupError(
                    f"Another process is using {folder}: run one service on one DATA_DIR."
                ) from error
            time.sleep(0.1)


def _open(folder: Path, dimensions: int | None = None) -> EdgeShard:
    """The shard in `folder`; with `dimensions`, a new one. Raises _Held, or StartupError."""
    try:
        if dimensions is None:
            shard = EdgeShard.load(str(folder), _config(_stored_dimensions(folder)))
        else:
            shard = EdgeShard.create(str(folder), _config(dimensions))
        holder.sign(folder)
        return _indexed(shard)
    except Exception as error:  # Edge raises nothing more exact
        if HELD in str(error):
            raise _Held from error
        raise StartupError(f"Qdrant Edge cannot open {folder}: {error}") from error


def _config(dimensions: int) -> EdgeConfig:
    return EdgeConfig(
        vectors=EdgeVectorParams(size=dimensions, distance=Distance.Cosine),
        sparse_vectors={SPARSE: EdgeSparseVectorParams(modifier=Modifier.Idf)},
        max_search_threads=SEARCH_THREADS,
        optimizers=EdgeOptimizersConfig(
            deleted_threshold=MAX_DELETED,
            vacuum_min_vector_number=MIN_TO_COMPACT,
            indexing_threshold=NEVER,
        ),
    )


def _stored_dimensions(folder: Path) -> int:
    config = json.loads((folder / "edge_config.json").read_text())
    size: int = config["vectors"][DENSE]["size"]
    return size


def _indexed(shard: EdgeShard) -> EdgeShard:
    wanted = dict.fromkeys(KEYWORD_INDEXES, PayloadSchemaType.Keyword)
    wanted |= dict.fromkeys(DATETIME_INDEXES, PayloadSchemaType.Datetime)
    present = shard.info().payload_schema
    for field, kind in wanted.items():
        if field not in present:
            shard.update(UpdateOperation.create_field_index(field, kind))
    return shard


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _Held as error:
        raise VectorStoreUnavailable("Another process has the embedded store open.") from error
    except BaseException as error:
        # Edge raises bare Exceptions, and a panic of its Rust code is not even one of those.
        if type(error) is Exception or type(error).__name__ == "PanicException":
            raise VectorStoreUnavailable("The embedded vector store failed.") from error
        raise


def _record(point: Any) -> Record:
    score = getattr(point, "score", 0.0)
    return Record(str(point.id), point.payload or {}, score, frozenset(words_of(point.vector)))


def _query_request(request: Nearest) -> QueryRequest:
    return QueryRequest(
        limit=request.limit,
        query=Query.Nearest(request.vector, using=SPARSE if request.by_words else None),
        filter=to_edge(request.where),
        params=SearchParams(idf=IdfParams(to_edge(request.corpus))) if request.corpus else None,
        with_payload=not request.ids_only,
        with_vector=[SPARSE] if request.by_words and not request.ids_only else False,
    )


def to_edge(where: Filter) -> EdgeFilter:
    """Qdrant's JSON filter as Edge's own objects."""
    clauses = {name: [_condition(part) for part in parts] for name, parts in where.items()}
    # Edge takes an empty list of `should` for one that nothing matches.
    must, should, must_not = (clauses.get(name) or None for name in _CLAUSES)
    return EdgeFilter(must=must, should=should, must_not=must_not)


def _condition(part: Filter) -> Any:
    match part:
        case {"has_id": ids}:
            return HasIdCondition(set(ids))
        case {"is_empty": {"key": key}}:
            return IsEmptyCondition(key)
        case {"is_null": {"key": key}}:
            return IsNullCondition(key)
        case {"key": key, "match": match_}:
            return FieldCondition(key, match=_match(match_))
        case {"key": key, "range": bounds}:
            of_times = any(isinstance(bound, str) for bound in bounds.values())
            return FieldCondition(
                key, range=RangeDateTime(**bounds) if of_times else RangeFloat(**bounds)
            )
    return to_edge(part)


def _match(match_: Mapping[str, Any]) -> MatchValue | MatchSubstring | MatchText | MatchAny:
    match match_:
        case {"substring": text}:
            return MatchSubstring(text)
        case {"text": text}:
            return MatchText(text)
        case {"any": texts}:
            return MatchAny(texts)
        case {"value": bool(value)}:
            # Edge takes Python's bool for an int; numpy's it knows.
            return MatchValue(np.bool_(value))  # type: ignore[arg-type]  # its stubs say bool
    return MatchValue(match_["value"])
