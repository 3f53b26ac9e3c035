"""Backup of a collection on a Qdrant server. It is read while writers go on. Memories that changed
meanwhile are read again, until so few are left that writers can wait for them."""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from app.config import Settings
from app.errors import ServiceBusy
from app.storage.backup.archive import id_of, line_of
from app.storage.backup.history import (
    Changes,
    Restarted,
    Snapshot,
    deleted_now,
    nothing_ends,
    written_now,
)
from app.storage.backup.taking import HISTORY_DB, Taken, Tell
from app.storage.payloads import now
from app.storage.vectors.paging import sliced
from app.storage.vectors.points import Whole
from app.storage.vectors.server import open_server_store
from app.storage.vectors.store import WHOLE_AT_ONCE, VectorStore

TRIES = 3
ROUNDS = 10
FEW = 200  # memories that writers may wait for: about 50 ms


class Spool:
    """The points that were read, in a file. Where a point was read again, the last line counts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self._number = 0
        self._there: set[str] = set()
        self._last: dict[str, int] = {}
        """For each point that was read again, the number of the line that counts."""

    def __len__(self) -> int:
        return len(self._there)

    def add(self, memory: Whole) -> None:
        self._file.write(line_of(memory))
        self._there.add(memory.record.id)
        self._number += 1

    def replace(self, id_: str, memory: Whole | None) -> None:
        """Replace a point by its current state; None where it was deleted."""
        self._there.discard(id_)
        self._last[id_] = self._number
        if memory:
            self.add(memory)

    def lines(self) -> Iterator[bytes]:
        self._file.flush()
        with self._path.open("rb") as file:
            for number, line in enumerate(file):
                if self._last.get(id_of(line), number) == number:
                    yield line

    def close(self) -> None:
        self._file.close()


@contextmanager
def taken(settings: Settings, work: Path, tell: Tell) -> Iterator[Taken]:
    """Read the collection and the history in DATA_DIR. The service may be stopped, or run with any
    number of processes on this DATA_DIR. Raises a ServiceError or StartupError."""
    with closing(open_server_store(settings)) as store:
        for _ in range(TRIES):
            with closing(Spool(work / "read.jsonl")) as spool:
                moment = read_both(store, settings.data_dir / HISTORY_DB, work / HISTORY_DB, spool)
                if moment:
                    found = store.embedder(), store.zero()
                    yield Taken(moment, "server", *found, spool.lines(), work / HISTORY_DB)
                    return
            tell("The collection was emptied, or changed past this service. Beginning again.")
        raise ServiceBusy(
            "The collection has other memories than the history says: another program changes it. "
            "Stop that one, and try again."
        )


def read_both(store: VectorStore, database: Path, copy: Path, spool: Spool) -> str | None:
    """Read both stores. Returns their moment; None where they do not fit together."""
    changes = Changes(database)
    for memory in store.wholes():
        spool.add(memory)
    try:
        for _ in range(ROUNDS):
            if _catch_up(store, changes.next(), spool) <= FEW:
                break
        with nothing_ends(database) as connection:
            moment, written = now(), written_now(connection)
            # Somebody may have been told already what a running write did to the collection.
            _catch_up(store, changes.next_in(connection) | written, spool)
            if abs(store.count({}) - len(spool)) > len(written) + deleted_now(connection):
                return None
            snapshot = Snapshot(database)
    except Restarted:
        return None
    with closing(snapshot):
        snapshot.save(copy)
    return moment


def _catch_up(store: VectorStore, ids: Iterable[str], spool: Spool) -> int:
    """Read the points `ids` again. Returns how many these were."""
    changed = [*ids]
    for part in sliced(changed, WHOLE_AT_ONCE):
        found = {memory.record.id: memory for memory in store.get_whole(part)}
        for id_ in part:
            spool.replace(id_, found.get(id_))
    return len(changed)
