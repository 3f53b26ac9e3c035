"""A collection of a Qdrant server: made, looked at, and replaced by another."""

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from app.embeddings import EmbedderInfo
from app.storage.vectors.base import (
    DATETIME_INDEXES,
    DENSE,
    KEYWORD_INDEXES,
    SPARSE,
    NoCollection,
)
from app.storage.vectors.server.errors import CONFLICT, FAILED, NOT_FOUND, translated

log = logging.getLogger(__name__)

SIGNATURE = "embedder"  # the key of the collection's metadata that names who made the vectors
ZERO = "unrelated"  # and that which has the cosine of unrelated texts
CORPUS_SINCE = (1, 19)  # the version from which words can be counted in a scope alone


class ServerCollection:
    """The collection, or the alias, of a name."""

    def __init__(self, client: QdrantClient, name: str) -> None:
        self.client = client
        self.name = name
        self.has_words = False
        self._version: tuple[int, int] | None = None
        self._inspected = False
        self._warned = False

    @property
    def counts_in_scope(self) -> bool:
        """Whether the server can count words in a scope alone; known once it was asked."""
        return self._version is not None and self._version >= CORPUS_SINCE

    def embedder(self) -> EmbedderInfo | None:
        with translated():
            try:
                config = self.client.get_collection(self.name).config
            except UnexpectedResponse as error:
                if error.status_code == NOT_FOUND:
                    return None
                raise
        vectors: Any = config.params.vectors
        dense = vectors[DENSE] if isinstance(vectors, dict) else vectors
        name = (config.metadata or {}).get(SIGNATURE, "")
        return EmbedderInfo(name, dense.size)

    def create(self, embedder: EmbedderInfo) -> None:
        with translated():
            try:
                self.client.create_collection(
                    self.name,
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

    def zero(self) -> float | None:
        zero: float | None = self._metadata().get(ZERO)
        return zero

    def record_zero(self, zero: float) -> None:
        # With what is there: whether a server adds to it or writes over it is its version's.
        with translated():
            self.client.update_collection(self.name, metadata=self._metadata() | {ZERO: zero})

    def _metadata(self) -> dict[str, Any]:
        """Nothing where there is no collection."""
        with translated():
            if not self.client.collection_exists(self.name):
                return {}
            return dict(self.client.get_collection(self.name).config.metadata or {})

    def record_embedder(self, embedder: EmbedderInfo) -> None:
        with translated():
            known = {SIGNATURE: embedder.name, ZERO: None}
            self.client.update_collection(self.name, metadata=known)

    def rebuild_target(self, embedder: EmbedderInfo) -> Self | None:
        """Another for `embedder`, perhaps there already; None where this one lacks nothing."""
        stored = self.embedder()
        beside = type(self)(self.client, self._rebuild_name(embedder))
        if stored is None:  # gone already: an earlier run was cut off while it swapped
            return beside if beside.exists() else None
        with self.asking():
            return None if stored == embedder and self.has_words else beside

    def exists(self) -> bool:
        with translated():
            return self.client.collection_exists(self.name)

    def _rebuild_name(self, embedder: EmbedderInfo) -> str:
        """The same for the same embedder, so that a run can be resumed."""
        digest = hashlib.sha256(str(embedder).encode()).hexdigest()
        return f"{self.name}--{digest[:12]}"

    def swap_in(self, target: Self) -> None:
        """Let the name lead to `target`, and delete what it led to."""
        with translated():
            here = {a.alias_name: a.collection_name for a in self.client.get_aliases().aliases}
            old = here.get(self.name)
            changes: list[Any] = []
            if old:
                gone = models.DeleteAlias(alias_name=self.name)
                changes.append(models.DeleteAliasOperation(delete_alias=gone))
            else:  # an alias cannot have the name of a collection
                self.client.delete_collection(self.name)
            new = models.CreateAlias(collection_name=target.name, alias_name=self.name)
            changes.append(models.CreateAliasOperation(create_alias=new))
            self.client.update_collection_aliases(changes)
            if old:
                self.client.delete_collection(old)

    def _inspect_collection(self) -> None:
        """Look once at the collection, which mem0 may have made: its indexes, its slots."""
        if self._inspected:
            return
        # Several threads may look at the same moment. No lock: it would make them wait in turn
        # for a server that hangs.
        info = self.client.get_collection(self.name)
        self.has_words = SPARSE in (info.config.params.sparse_vectors or {})
        if not self.has_words and not self._warned:
            self._warned = True
            log.warning(
                "the collection %s has no %s vectors and is searched by meaning alone; "
                "'python -m app.reembed' adds them",
                self.name,
                SPARSE,
            )
        wanted = dict.fromkeys(KEYWORD_INDEXES, models.PayloadSchemaType.KEYWORD)
        wanted |= dict.fromkeys(DATETIME_INDEXES, models.PayloadSchemaType.DATETIME)
        for field, kind in wanted.items():
            if field not in info.payload_schema:
                self.client.create_payload_index(self.name, field, kind)
        self._version = self._version or self._asked_version()
        self._inspected = True

    def _asked_version(self) -> tuple[int, int]:
        """Of the server; (0, 0) where it does not say."""
        try:
            said = self.client.info().version
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

    @contextmanager
    def asking(self) -> Iterator[QdrantClient]:
        """The client, for calls about points. Raises NoCollection, and what `translated` raises."""
        with translated():
            try:
                self._inspect_collection()
                yield self.client
            except UnexpectedResponse as error:
                if error.status_code != NOT_FOUND:
                    raise
                self._inspected = False
                raise NoCollection from error
