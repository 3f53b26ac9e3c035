"""The shard of Qdrant Edge in a folder: how it is made, opened and compacted."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qdrant_edge import (
    Distance,
    EdgeConfig,
    EdgeOptimizersConfig,
    EdgeShard,
    EdgeSparseVectorParams,
    EdgeVectorParams,
    Filter,
    Modifier,
    PayloadSchemaType,
    UpdateOperation,
)

from app.embeddings import EmbedderInfo
from app.errors import StartupError, VectorStoreUnavailable
from app.storage.vectors.base import DATETIME_INDEXES, DENSE, KEYWORD_INDEXES, SPARSE

MAX_DELETED = 1 / 3  # of the stored points, at a start
MIN_TO_COMPACT = 100
NEVER = 10**9  # kB of vectors from which a graph is built: 21 s of standstill at 20,000 points
SEARCH_THREADS = 1  # a search is shorter than waking more of them


def open_shard(folder: Path, dimensions: int | None = None) -> EdgeShard:
    """The shard in `folder`; with `dimensions`, a new one. For who has its Holder.

    Raises StartupError.
    """
    try:
        if dimensions is None:
            shard = EdgeShard.load(str(folder), _config(stored_dimensions(folder)))
        else:
            shard = EdgeShard.create(str(folder), _config(dimensions))
        return _indexed(shard)
    except Exception as error:  # Edge raises nothing more exact
        raise StartupError(f"Qdrant Edge cannot open {folder}: {error}") from error


def forget_vectors(shard: EdgeShard, old: EmbedderInfo | None, new: EmbedderInfo) -> None:
    """Take all dense vectors away, and make room for those of `new`: 0.06 s for 10,000 points."""
    if old and old.dimensions == new.dimensions:
        shard.update(UpdateOperation.delete_vectors_by_filter(Filter(), [DENSE]))
        return
    if old and old.dimensions:  # none where this was cut off here
        shard.update(UpdateOperation.delete_vector_name(DENSE))
    shard.update(UpdateOperation.create_dense_vector(DENSE, new.dimensions, Distance.Cosine))


def _config(dimensions: int) -> EdgeConfig:
    dense = EdgeVectorParams(size=dimensions, distance=Distance.Cosine)
    return EdgeConfig(
        vectors=dense if dimensions else {},
        sparse_vectors={SPARSE: EdgeSparseVectorParams(modifier=Modifier.Idf)},
        max_search_threads=SEARCH_THREADS,
        optimizers=EdgeOptimizersConfig(
            deleted_threshold=MAX_DELETED,
            vacuum_min_vector_number=MIN_TO_COMPACT,
            indexing_threshold=NEVER,
        ),
    )


def stored_dimensions(folder: Path) -> int:
    """0 where it has no dense vectors, see `forget_vectors`."""
    config = json.loads((folder / "edge_config.json").read_text())
    size: int = config["vectors"].get(DENSE, {}).get("size", 0)
    return size


def _indexed(shard: EdgeShard) -> EdgeShard:
    wanted = dict.fromkeys(KEYWORD_INDEXES, PayloadSchemaType.Keyword)
    wanted |= dict.fromkeys(DATETIME_INDEXES, PayloadSchemaType.Datetime)
    present = shard.info().payload_schema
    for field, kind in wanted.items():
        if field not in present:
            shard.update(UpdateOperation.create_field_index(field, kind))
    return shard


def compact(shard: EdgeShard, folder: Path) -> float | None:
    """Give the room of deleted points back where they are more than a third; how many seconds it
    took, None where nothing was to be done. Raises StartupError.

    It holds every thread: about 0.1 s for 10,000 points, since no HNSW graph is built.
    """
    started = time.perf_counter()
    try:
        compacted = shard.optimize()
    except Exception as error:  # Edge raises nothing more exact
        raise StartupError(f"Qdrant Edge cannot compact {folder}: {error}") from error
    return time.perf_counter() - started if compacted else None


@contextmanager
def translated() -> Iterator[None]:
    """Edge's own failures as VectorStoreUnavailable."""
    try:
        yield
    except BaseException as error:
        # Edge raises bare Exceptions, and a panic of its Rust code is not even one of those.
        if type(error) is Exception or type(error).__name__ == "PanicException":
            raise VectorStoreUnavailable("The embedded vector store failed.") from error
        raise
