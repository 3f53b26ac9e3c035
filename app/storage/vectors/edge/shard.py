"""Makes, opens and compacts a shard of Qdrant Edge."""

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

MAX_DELETED = 1 / 3  # share of deleted points from which a start compacts
MIN_TO_COMPACT = 100  # points
NEVER = 10**9  # kB of vectors before an HNSW graph is built: it takes 21 s for 20,000 points
SEARCH_THREADS = 1  # a search takes less time than waking more threads


def open_shard(folder: Path, dimensions: int | None = None) -> EdgeShard:
    """The shard in `folder`; with `dimensions` a new one. The caller must hold its Holder.

    Raises StartupError.
    """
    try:
        if dimensions is None:
            shard = EdgeShard.load(str(folder), _config(stored_dimensions(folder)))
        else:
            shard = EdgeShard.create(str(folder), _config(dimensions))
        return _indexed(shard)
    except Exception as error:  # Edge raises no more specific one
        raise StartupError(f"Qdrant Edge cannot open {folder}: {error}") from error


def forget_vectors(shard: EdgeShard, old: EmbedderInfo | None, new: EmbedderInfo) -> None:
    """Delete all dense vectors, and prepare for those of `new`. Takes 0.06 s for 10,000 points."""
    if old and old.dimensions == new.dimensions:
        shard.update(UpdateOperation.delete_vectors_by_filter(Filter(), [DENSE]))
        return
    if old and old.dimensions:  # 0 after an interruption between these two calls
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
    """The size of the dense vectors; 0 where there are none, see `forget_vectors`."""
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
    """Free the disk space of deleted points, where they are more than a third. Returns how many
    seconds it took, None where it was not needed. Raises StartupError.

    It stops all threads, about 0.1 s for 10,000 points, since no HNSW graph is built.
    """
    started = time.perf_counter()
    try:
        compacted = shard.optimize()
    except Exception as error:  # Edge raises no more specific one
        raise StartupError(f"Qdrant Edge cannot compact {folder}: {error}") from error
    return time.perf_counter() - started if compacted else None


@contextmanager
def translated() -> Iterator[None]:
    """Turns Edge's own failures into VectorStoreUnavailable."""
    try:
        yield
    except BaseException as error:
        # Edge raises plain Exceptions; a panic in its Rust code is no Exception at all.
        if type(error) is Exception or type(error).__name__ == "PanicException":
            raise VectorStoreUnavailable("The embedded vector store failed.") from error
        raise
