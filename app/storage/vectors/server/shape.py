"""The configuration of a collection: reads one that exists, and makes that of a new one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from qdrant_client import models

from app.embeddings import EmbedderInfo
from app.errors import VectorStoreRefused
from app.storage.vectors.base import DATETIME_INDEXES, DENSE, KEYWORD_INDEXES, SPARSE
from app.storage.vectors.bm25 import OLDEST, VERSION
from app.storage.vectors.paging import ROWS
from app.storage.vectors.server.kinds import OPERATOR_S
from app.storage.vectors.server.metadata import SIGNATURE, WORDS
from app.storage.vectors.server.options import Options

PER_USER = 16
"""Links of each point in the graph of its user, and in that of everybody if there is one. It is
Qdrant's default."""
TENANT = "user_id"
UNLINKED = ("hash", *DATETIME_INDEXES)
"""Indexes without graphs of their own, because no search by vectors filters by them. Graphs would
cost 13 times the CPU (100,000 memories of 2,000 users on Qdrant 1.19: 622 s instead of 46 s, with
equal searches)."""


class ForeignCollection(VectorStoreRefused):
    retry_after = OPERATOR_S

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"The collection {name} was not made by this service or by mem0: {why}. Give "
            "QDRANT_COLLECTION a name of its own."
        )


@dataclass(frozen=True)
class Shape:
    name: str
    embedder: EmbedderInfo
    """Its name is empty where mem0 made the collection."""
    has_words: bool
    words: int | None
    """The version of the words, see `bm25.VERSION`; None where there are no words, or the server
    does not store the version."""
    indexed: frozenset[str]
    rows: int
    """How many points one request may ask for."""
    replicas: int
    agreeing: int
    """How many replicas must take a write."""
    longest: int | None
    """How many values a condition may have in strict mode; None for no limit."""

    @property
    def replicated(self) -> bool:
        return self.replicas > 1

    @property
    def risk(self) -> str | None:
        """What an operator should do so that writes are safe, or None."""
        if self.agreeing >= majority(self.replicas):
            return None
        return (
            f"of the {self.replicas} replicas of the collection {self.name} {self.agreeing} is "
            "enough for a write, so that a node that is cut off may take some that are lost: set "
            f"its write_consistency_factor to {majority(self.replicas)}"
        )

    @property
    def advice(self) -> str | None:
        """What an operator should do for searches by words, or None."""
        if not self.has_words:
            return (
                f"the collection {self.name} has no {SPARSE} vectors and is searched by meaning "
                "alone; 'python -m app.reembed' adds them"
            )
        if self.words not in (None, VERSION):
            return (
                f"the collection {self.name} has words of another version, by which some memories "
                "are not found; 'python -m app.reembed' makes them again and embeds nothing"
            )
        return None


def shape_of(name: str, info: models.CollectionInfo, *, keeps_metadata: bool = True) -> Shape:
    """The shape of an existing collection. Raises ForeignCollection."""
    params, strict = info.config.params, info.config.strict_mode_config
    limits = strict if strict and strict.enabled else models.StrictModeConfigOutput()
    metadata = info.config.metadata or {}
    has_words = SPARSE in (params.sparse_vectors or {})
    return Shape(
        name=name,
        embedder=EmbedderInfo(str(metadata.get(SIGNATURE, "")), _dense(name, params.vectors).size),
        has_words=has_words,
        words=(metadata.get(WORDS) or OLDEST) if has_words and keeps_metadata else None,
        indexed=frozenset(info.payload_schema),
        rows=min(ROWS, limits.max_query_limit or ROWS),
        replicas=params.replication_factor or 1,
        agreeing=params.write_consistency_factor or 1,
        longest=limits.condition_max_size,
    )


def _dense(name: str, vectors: Any) -> models.VectorParams:
    found = vectors.get(DENSE) if isinstance(vectors, dict) else vectors
    if found is None:
        named = ", ".join(vectors or ())
        why = f"its vectors are named ({named})" if named else "it has no vectors of meaning"
        raise ForeignCollection(name, why)
    if found.multivector_config is not None:
        raise ForeignCollection(name, "its points have several vectors each")
    if found.distance != models.Distance.COSINE:
        raise ForeignCollection(name, f"its distance is {found.distance.value}, not Cosine")
    if found.datatype == models.Datatype.UINT8:
        raise ForeignCollection(name, "its vectors are of whole numbers (uint8)")
    dense: models.VectorParams = found
    return dense


def is_memory(point: models.Record) -> bool:
    """Whether `point` can be a memory of this service or of mem0; it is read with its `data`."""
    return isinstance(point.id, str) and isinstance((point.payload or {}).get("data"), str)


def wanted_indexes(metadata: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """The fields to index, each with its kind of index; `metadata`: see Options."""
    for field in KEYWORD_INDEXES:
        yield (
            field,
            models.KeywordIndexParams(
                type=models.KeywordIndexType.KEYWORD,
                is_tenant=True if field == TENANT else None,
                enable_hnsw=False if field in UNLINKED else None,
            ),
        )
    for field in DATETIME_INDEXES:
        kind = models.DatetimeIndexType.DATETIME
        yield field, models.DatetimeIndexParams(type=kind, enable_hnsw=False)
    for named in metadata:
        key, _, type_ = named.partition(":")
        yield key, models.PayloadSchemaType(type_ or "keyword")


def graph(*, search_everybody: bool) -> models.HnswConfigDiff:
    """The graphs: one for each user, and with `search_everybody` another for all memories."""
    return models.HnswConfigDiff(m=PER_USER if search_everybody else 0, payload_m=PER_USER)


def made_for(embedder: EmbedderInfo, options: Options) -> dict[str, Any]:
    """The arguments of `create_collection` for a new collection."""
    made: dict[str, Any] = {
        "vectors_config": models.VectorParams(
            size=embedder.dimensions, distance=models.Distance.COSINE
        ),
        "sparse_vectors_config": {SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
        "hnsw_config": graph(search_everybody=options.search_everybody),
        "metadata": {SIGNATURE: embedder.name, WORDS: VERSION},
    }
    if options.on_cluster:
        made["shard_number"] = options.shards
        made["replication_factor"] = options.replicas
        made["write_consistency_factor"] = majority(options.replicas)
    return made


def majority(replicas: int) -> int:
    """How many of `replicas` are a majority. With fewer acknowledgements a node that is cut off
    from the others would accept writes, which would be lost later."""
    return replicas // 2 + 1
