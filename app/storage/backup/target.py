"""The store that a restore fills: a folder or a collection beside the current one."""

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

from app.config import Settings
from app.errors import StartupError
from app.storage.backup.taking import VECTORS
from app.storage.vectors.edge import EdgeStore
from app.storage.vectors.points import Whole
from app.storage.vectors.store import VectorStore

COLLECTION = "collection"  # a file with the name of the new collection


def new_store(settings: Settings, part: Path) -> VectorStore:
    """An empty store, for a restore that is built in `part`."""
    if not settings.on_server:
        return EdgeStore(part / VECTORS, settings.min_free_mb)
    from app.storage.vectors.server import open_server_store

    name = f"{settings.qdrant_collection}--{uuid.uuid4().hex[:12]}"
    (part / COLLECTION).write_text(name)
    return open_server_store(settings, name)


def check_fits(store: VectorStore, memories: Sequence[Whole]) -> None:
    """Raises StartupError for memories without vectors, which only the embedded store can embed."""
    if isinstance(store, EdgeStore) or all(one.vector is not None for one in memories):
        return
    raise StartupError(
        "This backup was made while memories were embedded again, which a Qdrant server cannot "
        "go on with: restore it without QDRANT_URL, let the service finish, and make another."
    )


def take_place(settings: Settings, whole: Path) -> None:
    """Replace the current points by those of a complete restore."""
    if settings.on_server:
        _lead_there(settings, whole / COLLECTION)
    elif (whole / VECTORS).exists():
        here = settings.data_dir / VECTORS
        shutil.rmtree(here, ignore_errors=True)
        shutil.rmtree(here.with_name(f"{VECTORS}.next"), ignore_errors=True)
        (whole / VECTORS).rename(here)


def _lead_there(settings: Settings, named: Path) -> None:
    from app.storage.vectors.server import open_server_store

    if not named.exists():  # it was replaced already
        return
    old, new = open_server_store(settings), open_server_store(settings, named.read_text())
    if new.embedder() is None:  # the service of the backup had no collection yet
        old.clear()
        old.close()
    else:
        old.swap_in(new)
    new.close()


def drop_left(settings: Settings, part: Path) -> None:
    """Delete the collection of a restore that was interrupted while it was built."""
    named = part / COLLECTION
    if settings.on_server and named.exists():
        from app.storage.vectors.server import open_server_store

        left = open_server_store(settings, named.read_text())
        left.drop()
        left.close()
