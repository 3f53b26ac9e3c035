"""The vector store on Qdrant Edge."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Self

from qdrant_edge import (
    CountRequest,
    Direction,
    EdgeShard,
    FacetRequest,
    HasIdCondition,
    OrderBy,
    Point,
    QueryBatchRequest,
    ScrollRequest,
    SparseVector,
    UpdateOperation,
)
from qdrant_edge import Filter as EdgeFilter

from app.embeddings import EmbedderInfo
from app.storage.payloads import Payload
from app.storage.vectors.base import NoCollection
from app.storage.vectors.edge import vectors
from app.storage.vectors.edge.collection import EdgeCollection, beside
from app.storage.vectors.edge.details import Details, id_text
from app.storage.vectors.edge.holder import TAKEOVER_S
from app.storage.vectors.edge.shard import forget_vectors, translated
from app.storage.vectors.edge.slices import Slices, Trial, split
from app.storage.vectors.edge.translation import NOTHING, to_edge, to_query, to_record
from app.storage.vectors.edge.words import read_words, update_words
from app.storage.vectors.filters import Filter
from app.storage.vectors.paging import Cursor, Listed, following, listed
from app.storage.vectors.points import Nearest, NewPoint, Whole, Worded
from app.storage.vectors.ranking import Record
from app.storage.vectors.store import VectorStore


class EdgeStore(VectorStore, engine="edge"):
    """A store in a shard of Qdrant Edge. Calls hold the GIL, so that threads need no lock here."""

    read_at_once = 4  # a call costs only 10 us, and a memory may take 4 MB while it is read

    keeps_deleted = (
        "The files of DATA_DIR/qdrant may keep deleted texts until they are written over, or "
        "until a start gives their room back (where more than a third was deleted)."
    )

    def __init__(self, folder: Path, min_free_mb: int = 0, patience_s: float = TAKEOVER_S) -> None:
        """Open the shard in `folder`, if there is one. For the waits and errors see Holder.

        Raises StartupError where the shard is unreadable. With less than `min_free_mb` MB of free
        space it stays closed until it is needed and there is room: Edge writes through mmap, where
        a full disk ends the process (SIGBUS) instead of raising an error.
        """
        super().__init__()
        self._collection = EdgeCollection(folder, min_free_mb, patience_s)
        self._details = Details(self.read_at_once)
        self._slices = Slices(self._ordered, self._trial, self._estimate)

    @property
    def _live(self) -> EdgeShard:
        return self._collection.shard

    def check_disk_space(self) -> None:
        self._collection.check_disk_space()

    def embedder(self) -> EmbedderInfo | None:
        return self._collection.embedder()

    def _create(self, embedder: EmbedderInfo) -> None:
        self._collection.create(embedder)

    def _record_embedder(self, embedder: EmbedderInfo) -> None:
        self._collection.record_embedder(embedder)

    def _adopt(self, embedder: EmbedderInfo) -> None:
        self.check_disk_space()
        with self._collection.changing() as shard:
            forget_vectors(shard, self._collection.embedder(), embedder)
        self._collection.record_embedder(embedder)

    def unembedded(self, limit: int) -> list[str]:
        with suppress(NoCollection):
            return vectors.unembedded(self._live, limit)
        return []

    def count_unembedded(self) -> int:
        with suppress(NoCollection):
            return vectors.count_unembedded(self._live)
        return 0

    def _read_zero(self) -> float | None:
        return self._collection.zero()

    def _record_zero(self, zero: float) -> None:
        self._collection.record(zero=zero)

    def _read_words(self) -> int | None:
        return self._collection.words()

    def _record_words(self, version: int) -> None:
        self._collection.record(words=version)

    def _worded(self, after: Any, limit: int) -> tuple[list[Worded], Any]:
        return read_words(self._live, after, limit)

    def _update_words(self, words: Mapping[str, SparseVector]) -> None:
        self.check_disk_space()
        with self._collection.changing() as shard:
            update_words(shard, words)

    def rebuild_target(self, embedder: EmbedderInfo) -> Self | None:
        if self.embedder() in (None, embedder):
            return None
        folder = beside(self._collection.folder)
        target = type(self)(folder)
        if target.embedder() not in (None, embedder):  # from a run for another model
            target.close()
            shutil.rmtree(folder)
            target = type(self)(folder)
        target.prepare(embedder)
        return target

    def swap_in(self, target: Self) -> None:
        self._collection.swap_in(target._collection)

    def _upsert(self, points: Sequence[NewPoint]) -> None:
        self.check_disk_space()
        made = [Point(p.id, vectors.made(p), p.payload) for p in points]
        self._collection.update(UpdateOperation.upsert_points(made))

    def _overwrite_payload(self, point_id: str, payload: Payload) -> None:
        self.check_disk_space()
        self._collection.update(UpdateOperation.overwrite_payload([point_id], payload))

    def _retrieve(self, ids: Sequence[str]) -> list[Record]:
        with translated():
            found = self._live.retrieve(list(ids), True, False)
        if len(found) != len(ids):
            return [to_record(point) for point in found]
        # Edge returns them in the order of `ids`. Converting each id again would take 2 us.
        return [Record(id_, point.payload or {}) for id_, point in zip(ids, found, strict=True)]

    def _retrieve_whole(self, ids: Sequence[str]) -> list[Whole]:
        return vectors.read_whole(self._live, ids)

    def _scroll_whole(self, after: Any, limit: int) -> tuple[list[Whole], Any]:
        return vectors.scroll_whole(self._live, after, limit)

    def _query(self, requests: Sequence[Nearest]) -> list[list[Record]]:
        with translated():
            batch = QueryBatchRequest([to_query(request) for request in requests])
            answers = zip(requests, self._live.query_batch(batch), strict=True)
            return [
                self._ids_only(request, hits) if request.ids_only else [*map(to_record, hits)]
                for request, hits in answers
            ]

    def _narrowed(self, where: Filter) -> Filter:
        if not split(where)[1]:
            return where
        return {"must": [{"has_id": [one.id for one in self._newest(where, sys.maxsize)]}]}

    def _ids_only(self, request: Nearest, hits: Sequence[Any]) -> list[Record]:
        """Records with numbers as ids: converting 160 ids to text would cost half of the query."""
        by_id = {hit.id.int: hit for hit in hits}
        words = request.vector.indices if isinstance(request.vector, SparseVector) else ()
        details = self._details.of(by_id, frozenset(words), self._live)
        return [Record(id_, NOTHING, hit.score, *details[id_]) for id_, hit in by_id.items()]

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
        with translated():
            found, _ = self._live.scroll(asked)
        return listed(found)

    def _trial(self, conditions: Sequence[Filter]) -> Trial:
        all_of_them = to_edge({"must": [*conditions]})  # converted once for all slices

        def passing(ids: Sequence[str]) -> set[str]:
            where = EdgeFilter(must=[HasIdCondition({*ids}), all_of_them])
            asked = ScrollRequest(limit=len(ids), filter=where, with_payload=False)
            with translated():
                found, _ = self._live.scroll(asked)
            return {str(point.id) for point in found}

        return passing

    def _delete(self, ids: Sequence[str]) -> None:
        # The disk space is not checked here, because a deletion must not stop after its first
        # batch. It is checked before a deletion, and MIN_FREE_MB is far more than its log takes.
        self._collection.update(UpdateOperation.delete_points(list(ids)))
        self._details.forget(ids)

    def _count(self, where: Filter) -> int:
        plain, costly = split(where)
        if costly:
            return sum(1 for _ in self._slices.matching(plain, costly))
        with translated():
            return self._live.count(CountRequest(filter=to_edge(plain), exact=True))

    def _estimate(self, where: Filter) -> int:
        with translated():
            return self._live.count(CountRequest(filter=to_edge(where), exact=False))

    def _facet(self, key: str, where: Filter, limit: int) -> list[tuple[str, int]]:
        # Without `exact`, which counts each value by a query (2.4 s for 95,000 values, with all
        # threads stopped, against 35 ms). A single segment with a filter is counted exactly anyway.
        asked = FacetRequest(key, limit, exact=False, filter=to_edge(where))
        with translated():
            return [(str(hit.value), hit.count) for hit in self._live.facet(asked).hits]

    def _clear(self) -> None:
        self.check_disk_space()
        self._collection.update(UpdateOperation.delete_points_by_filter(EdgeFilter()))
        self._details.forget_all()

    def check(self) -> str | None:
        return self._collection.check()

    def still(self) -> AbstractContextManager[None]:
        return self._collection.still()

    def flush(self) -> None:
        self._collection.flush()

    def close(self) -> None:
        self._collection.close()
