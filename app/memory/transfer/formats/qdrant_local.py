"""A collection of mem0 in a folder of qdrant-client's local mode. mem0 uses that mode with `path`,
and where no host is set.

The folder has `meta.json`, and for each collection `collection/NAME/storage.sqlite` with a table
`points`, whose `point` is a pickled PointStruct. Source: qdrant-client 1.20.0,
qdrant_client/local/persistence.py. qdrant-client itself is not used: it would run any code in a
pickle, change the files (it deletes duplicate rows), and refuse a folder that mem0 has open.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.memory.transfer.formats import inert_pickle, mem0_history
from app.memory.transfer.formats.mem0_payloads import HistoryOf, memory_in
from app.memory.transfer.formats.reading import each
from app.memory.transfer.formats.values import Unreadable
from app.memory.transfer.records import Item, NotThisFormat

STORAGE = "storage.sqlite"
NOT_MEMORIES = ("_entities", "mem0migrations")
"""The ends of the names of mem0's other collections, which have no memories."""


def is_folder_of_qdrant(folder: Path) -> bool:
    return (folder / "meta.json").is_file() and (folder / "collection").is_dir()


def read(
    folder: Path, collection: str | None = None, history: Path | None = None
) -> Iterator[Item]:
    """The memories in `collection`; without a name in the only collection with memories. `history`
    is mem0's SQLite file. Raises NotThisFormat."""
    storage = folder / "collection" / (collection or _only_one(folder)) / STORAGE
    if not storage.is_file():
        raise NotThisFormat("There is no such collection in the folder.")
    connection = mem0_history.read_only(storage)
    try:
        with mem0_history.opened(history) as history_of:
            yield from each(_rows(connection), _Points(history_of).read)
    finally:
        connection.close()


def _only_one(folder: Path) -> str:
    known = sorted(path.parent.name for path in (folder / "collection").glob(f"*/{STORAGE}"))
    names = [name for name in known if not name.endswith(NOT_MEMORIES)]
    if len(names) != 1:
        raise NotThisFormat(f"Name the collection, one of: {', '.join(known) or 'there is none'}.")
    return names[0]


def _rows(connection: sqlite3.Connection) -> Iterator[Any]:
    """The pickled points, the newest row first."""
    try:
        for (data,) in connection.execute("SELECT point FROM points ORDER BY rowid DESC"):
            yield data
    except sqlite3.Error:
        raise NotThisFormat("The storage of the collection is damaged.") from None


class _Points:
    """Reads rows. Older releases could store a point in several; the newest of them counts."""

    def __init__(self, history_of: HistoryOf) -> None:
        self._history_of = history_of
        self._seen: set[str] = set()

    def read(self, line: int, data: Any) -> Iterator[Item]:
        point_id, payload = _unpickled(data)
        memory = memory_in(line, point_id, payload, self._history_of)
        spelled_alike = str(memory.id).replace("-", "").lower()
        if spelled_alike not in self._seen:
            self._seen.add(spelled_alike)
            yield memory


def _unpickled(data: Any) -> tuple[Any, Any]:
    """The id and the payload of a point."""
    try:
        point = inert_pickle.loads(data) if isinstance(data, bytes) else None
        fields = point.fields() if isinstance(point, inert_pickle.Inert) else {}
        return inert_pickle.plain(fields.get("id")), inert_pickle.plain(fields.get("payload"))
    except (inert_pickle.Unsafe, RecursionError):
        raise Unreadable("the point is none that qdrant-client wrote with plain values") from None
