"""Where a backup's points are put: a folder beside the old one, or a collection beside it."""

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

COLLECTION = "collection"  # a file with the name of the new one


def new_store(settings: Settings, part: Path) -> VectorStore:
    """An empty one, for a restore that is put together in `part`."""
    if not settings.on_server:
        return EdgeStore(part / VECTORS, settings.min_free_mb)
    from app.storage.vectors.server import open_server_store

    name = f"{settings.qdrant_collection}--{uuid.uuid4().hex[:12]}"
    (part / COLLECTION).write_text(name)
    return open_server_store(settings, name)


def check_fits(store: VectorStore, memories: Sequence[Whole]) -> None:
    """Raises StartupError for memories that this store could not make findable."""
    if isinstance(store, EdgeStore) or all(one.vector is not None for one in memories):
        return
    raise StartupError(
        "This backup was made while memories were embedded again, which a Qdrant server cannot "
        "go on with: restore it without QDRANT_URL, let the service finish, and make another."
    )


def take_place(settings: Settings, whole: Path) -> None:
    """Put the points of a restore that is whole in the place of the old ones."""
    if settings.on_server:
        _lead_there(settings, whole / COLLECTION)
    elif (whole / VECTORS).exists():
        here = settings.data_dir / VECTORS
        shutil.rmtree(here, ignore_errors=True)
        shutil.rmtree(here.with_name(f"{VECTORS}.next"), ignore_errors=True)
        (whole / VECTORS).rename(here)


def _lead_there(settings: Settings, named: Path) -> None:
    from app.storage.vectors.server import open_server_store

    if not named.exists():  # it is done already, but for removing the folder
        return
    old, new = open_server_store(settings), open_server_store(settings, named.read_text())
    if new.embedder() is None:  # of a backup of a service that had no memory yet
        old.clear()
        old.close()
    else:
        old.swap_in(new)
    new.close()


def drop_left(settings: Settings, part: Path) -> None:
    """Delete the collection of a restore that was cut off while it was put together."""
    named = part / COLLECTION
    if settings.on_server and named.exists():
        from app.storage.vectors.server import open_server_store

        left = open_server_store(settings, named.read_text())
        left.drop()
        left.close()
