"""A collection on a Qdrant server: it is made, inspected, and replaced by another."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

from qdrant_client.http.exceptions import UnexpectedResponse

from app.embeddings import EmbedderInfo
from app.errors import InvalidRequest, VectorStoreRefused, VectorStoreUnavailable
from app.observability.once import Once
from app.storage.vectors.base import NoCollection
from app.storage.vectors.filters import Filter
from app.storage.vectors.paging import ROWS
from app.storage.vectors.server.aliases import drop, lead_to, name_beside
from app.storage.vectors.server.connection import Connection
from app.storage.vectors.server.errors import GONE, translated
from app.storage.vectors.server.kinds import NotAllowed
from app.storage.vectors.server.metadata import SIGNATURE, WORDS, ZERO, Metadata
from app.storage.vectors.server.options import Options
from app.storage.vectors.server.points import NOBODY, Points
from app.storage.vectors.server.refusals import CONFLICT
from app.storage.vectors.server.shape import (
    ForeignCollection,
    Shape,
    is_memory,
    made_for,
    shape_of,
    wanted_indexes,
)
from app.storage.vectors.server.transport import opened
from app.storage.vectors.server.version import ServerVersion

log = logging.getLogger(__name__)

SAMPLE = 3  # points that are read of a collection without a recorded embedder


class ServerCollection:
    """The collection with a name, which may be an alias."""

    def __init__(self, connection: Connection, name: str, options: Options) -> None:
        self.connection = connection
        self.client = connection.client
        self.name = name
        self.options = options
        self._where = connection.nodes.address()
        self._version = ServerVersion(self.client)
        self._metadata = Metadata(self.client, name)
        self._shape: Shape | None = None
        self._points: Points | None = None
        self._wrote = False
        self._tell = Once(log)

    def beside(self, name: str) -> Self:
        """Another collection of the same server."""
        return type(self)(self.connection, name, self.options)

    # ---- properties

    @property
    def has_words(self) -> bool:
        return self._shape is not None and self._shape.has_words

    def words(self) -> int | None:
        with self.asking():
            return self._shape.words if self._shape else None

    @property
    def replicated(self) -> bool:
        try:
            with self.asking():
                return self._replicated
        except NoCollection:  # then a new one will be made by these options
            return self.options.replicas > 1

    @property
    def rows(self) -> int:
        """How many points one request may ask for."""
        return self._shape.rows if self._shape else ROWS

    @property
    def ids_at_once(self) -> int:
        """How many ids one condition may have."""
        longest = self._shape.longest if self._shape else None
        return min(longest or ROWS, ROWS)

    @property
    def counts_in_scope(self) -> bool:
        """Whether the server can count document frequencies within a scope; known after the first
        call."""
        return self._version.counts_in_scope

    def check_filter(self, where: Filter) -> None:
        """Raises InvalidRequest for a filter that this version of the server does not support."""
        self._version.check_filter(where)

    def embedder(self) -> EmbedderInfo | None:
        try:
            with self._translated():
                return self._look().embedder
        except NoCollection:
            return None

    def _look(self) -> Shape:
        """Inspect the collection, which may be of another program. Raises ForeignCollection."""
        self._version.ask()
        if self.options.on_cluster or self.options.shared:
            self._version.check_cluster()
        info = self.client.get_collection(self.name)
        shape = shape_of(self.name, info, keeps_metadata=self._version.keeps_metadata)
        if not shape.embedder.name:
            sample = min(SAMPLE, shape.rows)
            points, _ = self.client.scroll(self.name, limit=sample, with_payload=["data"])
            if points and not any(map(is_memory, points)):
                why = "its points have no text in `data`, or numbers in the place of UUIDs"
                raise ForeignCollection(self.name, why)
        return shape

    # ---- made and replaced

    def create(self, embedder: EmbedderInfo) -> None:
        with self._translated():
            try:
                self.client.create_collection(self.name, **made_for(embedder, self.options))
            except UnexpectedResponse as error:
                if error.status_code != CONFLICT:  # on a conflict another process has made it
                    raise
        self._points = None

    def zero(self) -> float | None:
        with self._translated():
            zero: float | None = self._metadata.read().get(ZERO)
        return zero

    def record_zero(self, zero: float) -> None:
        with suppress(NotAllowed), self._translated():
            self._metadata.add({ZERO: zero})

    def record_words(self, version: int) -> None:
        with self._translated():
            self._metadata.add({WORDS: version})
        self._points = None  # the next call looks again

    def record_embedder(self, embedder: EmbedderInfo) -> None:
        with suppress(NotAllowed), self._translated():  # then it stays unrecorded
            self._metadata.add({SIGNATURE: embedder.name, ZERO: None})

    def rebuild_target(self, embedder: EmbedderInfo) -> Self | None:
        """A collection for vectors of `embedder`, which may exist already; None where this one is
        complete."""
        stored = self.embedder()
        beside = self.beside(name_beside(self.name, str(embedder)))
        if stored is None:  # an earlier run was interrupted after it deleted this one
            return beside if beside.exists() else None
        with self.asking():
            return None if stored == embedder and self.has_words else beside

    def exists(self) -> bool:
        with self._translated():
            return self.client.collection_exists(self.name)

    def swap_in(self, target: Self) -> None:
        """Make the name an alias of `target`, and delete the collection that it named."""
        with self._translated():
            lead_to(self.client, self.name, target.name)

    def drop(self) -> None:
        """Delete the collection, unless it has an alias."""
        with self._translated():
            drop(self.client, self.name)

    # ---- its points

    @contextmanager
    def asking(self) -> Iterator[Points]:
        """Surrounds calls that read points. Raises NoCollection where there never was a
        collection, and what `translated` raises."""
        try:
            with self._using() as points:
                yield points
        except NoCollection:
            if self._shape:  # it existed before, so that it must not be read as empty
                raise VectorStoreUnavailable(GONE.format(self.name)) from None
            raise

    @contextmanager
    def _using(self) -> Iterator[Points]:
        try:
            with self._translated():
                yield self._points or self._inspect()
        except (NoCollection, VectorStoreRefused, InvalidRequest):
            self._points = None  # the collection may have changed: the next call inspects it again
            raise

    @contextmanager
    def writing(self) -> Iterator[Points]:
        """Surrounds calls that write. Raises NoCollection, even where there was one before."""
        try:
            with self._using() as points:
                yield points
        except NotAllowed:
            self._wrote = False
            raise
        self._wrote = True

    def check(self) -> str | None:
        """A note for operators, see `Shape.advice`. Raises where points cannot be read or written.
        It reads a point, because a server lists its collections even where no shard answers."""
        with suppress(NoCollection):
            with self.asking() as points:
                points.retrieve([NOBODY])
            if not self._wrote:
                with self.writing() as points:
                    points.delete([NOBODY])
        notes = [self._shape.advice] if self._shape else []
        return " ".join(filter(None, [*notes, self.connection.nodes.note()])) or None

    def _inspect(self) -> Points:
        """Inspect the collection, and make missing indexes."""
        # Without a lock, so that threads do not wait one after the other for a server that hangs.
        self._shape = shape = self._look()
        for told in filter(None, (shape.advice, shape.risk)):
            self._tell(told)
        for field, schema in wanted_indexes(self.options.metadata_indexes):
            if field not in shape.indexed:
                self._make_index(field, schema)
        points = opened(self.connection, self.name, self.options, replicated=shape.replicated)
        self._points = points
        self._tell(f"the collection {self.name} is asked over {points.transport}", logging.INFO)
        return points

    def _make_index(self, field: str, schema: Any) -> None:
        try:
            with self._translated():
                self.client.create_payload_index(self.name, field, schema)
        except NotAllowed as error:  # only requests that need the index will fail
            self._tell(f"no index on {field} was made: {error.detail}")

    @property
    def _replicated(self) -> bool:
        return self._shape is not None and self._shape.replicated

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with translated(self._where, replicated=self._replicated):
            yield
