"""The folder of the embedded store: its embedder, its disk space, its open shard."""

import json
import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from qdrant_edge import EdgeShard, UpdateOperation

from app.embeddings import EmbedderInfo
from app.errors import StartupError, StorageFull, VectorStoreUnavailable
from app.storage.vectors.base import NoCollection
from app.storage.vectors.bm25 import OLDEST, VERSION
from app.storage.vectors.edge.holder import Holder
from app.storage.vectors.edge.shard import compact, open_shard, stored_dimensions, translated

log = logging.getLogger(__name__)

COMPLETE = "complete"  # marks a rebuild target that has everything


class EdgeCollection:
    """The collection in `folder`, made when it is first needed."""

    def __init__(self, folder: Path, min_free_mb: int, patience_s: float) -> None:
        """See EdgeStore. Raises StartupError."""
        self._min_free = min_free_mb * 2**20
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._holder = Holder(folder, patience_s)
        except OSError as error:
            raise StartupError(f"Qdrant Edge cannot use {folder}: {error}") from error
        self.folder = folder
        self._changing = threading.RLock()  # held while files change; `create` holds it twice
        self._creating = threading.Lock()
        self._signing = threading.Lock()
        self._signature = folder / "embedder.json"
        self._shard: EdgeShard | None = None
        self._compaction: str | None = None
        try:
            self._open()
        except BaseException:
            self._holder.close()
            raise

    def _open(self) -> None:
        """Open the shard if there is one, unless the disk is full."""
        try:
            take_over(self.folder)
        except OSError as error:
            raise StartupError(f"Qdrant Edge cannot use {self.folder}: {error}") from error
        if self._exists() and not self._is_full():
            self._load(open_shard(self.folder))

    def _load(self, shard: EdgeShard) -> EdgeShard:
        """Compact the shard and use it. To be called before anything is served, because `compact`
        stops all threads. Raises StartupError."""
        seconds = compact(shard, self.folder)
        if seconds is not None:
            self._compaction = (
                f"This start gave back the room of deleted memories in {seconds:.1f} s."
            )
            log.info("%s", self._compaction)
        self._shard = shard
        return shard

    def _exists(self) -> bool:
        return (self.folder / "edge_config.json").exists()

    def _is_full(self) -> bool:
        return shutil.disk_usage(self.folder).free < self._min_free

    def check_disk_space(self) -> None:
        if self._is_full():
            raise StorageFull(
                f"Less than {self._min_free // 2**20} MB (MIN_FREE_MB) are free on the disk of "
                "DATA_DIR: make room."
            )

    def embedder(self) -> EmbedderInfo | None:
        if not self._exists():
            return None
        return EmbedderInfo(self._signed().get("name", ""), stored_dimensions(self.folder))

    def zero(self) -> float | None:
        zero: float | None = self._signed().get("zero")
        return zero

    def create(self, embedder: EmbedderInfo) -> None:
        self.check_disk_space()
        with self._changing, self._creating:
            if self._shard is None:
                with self._signing:
                    self._sign({"name": embedder.name, "words": VERSION})
                with translated():
                    self._shard = open_shard(self.folder, embedder.dimensions)

    def record_embedder(self, embedder: EmbedderInfo) -> None:
        with self._signing:
            self._sign({"name": embedder.name, "words": self.words()})

    def words(self) -> int | None:
        if not self._exists():
            return None
        version: int = self._signed().get("words", OLDEST)
        return version

    def record(self, **known: float) -> None:
        """Store the `zero` or the version of the `words`. Raises VectorStoreUnavailable where the
        folder cannot be written."""
        try:
            with self._signing:
                self._sign(self._signed() | known)
        except OSError as error:
            raise VectorStoreUnavailable("DATA_DIR cannot be written.") from error

    def _signed(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self._signature.exists():
            found = json.loads(self._signature.read_text())
        return found

    def _sign(self, known: dict[str, Any]) -> None:
        unfinished = self._signature.with_suffix(".part")
        unfinished.write_text(json.dumps(known))
        unfinished.replace(self._signature)

    def swap_in(self, target: Self) -> None:
        """Replace this collection by `target`, which must be complete; closes both."""
        target.flush()
        target.close()
        self._close_shard()
        self._shard = None
        (target.folder / COMPLETE).touch()
        take_over(self.folder)
        self.close()

    def check(self) -> str | None:
        """A note about a compaction at the start, or None. Raises where the shard fails."""
        self.check_disk_space()
        if self._exists():
            with translated():
                self.shard.info()
        return self._compaction

    @contextmanager
    def changing(self) -> Iterator[EdgeShard]:
        """Gives the open shard to a writer. Raises what `shard` raises."""
        with self._changing, translated():
            yield self.shard

    def update(self, operation: UpdateOperation) -> None:
        with self.changing() as shard:
            shard.update(operation)

    @contextmanager
    def still(self) -> Iterator[None]:
        """Held while all files are flushed and no writer changes them. Readers go on."""
        with self._changing, self._creating, self._signing:
            if self._shard:
                with translated():
                    self._shard.flush()
            yield

    def flush(self) -> None:
        with self._changing:
            if self._shard:
                with translated():
                    self._shard.flush()

    def close(self) -> None:
        try:
            self._close_shard()
        finally:
            self._holder.close()

    def _close_shard(self) -> None:
        with self._changing:
            if self._shard:
                with translated():
                    self._shard.close()

    @property
    def shard(self) -> EdgeShard:
        """The open shard. Raises NoCollection, StorageFull, VectorStoreUnavailable."""
        if self._shard is None:
            if not self._exists():
                raise NoCollection
            self.check_disk_space()
            with self._creating, translated():
                return self._shard or self._load(open_shard(self.folder))
        return self._shard


def beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.next")


def take_over(folder: Path) -> None:
    """Replace `folder` by a complete rebuild target, if there is one. Also continues a replacement
    that was interrupted."""
    if (beside(folder) / COMPLETE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        beside(folder).rename(folder)
    (folder / COMPLETE).unlink(missing_ok=True)
