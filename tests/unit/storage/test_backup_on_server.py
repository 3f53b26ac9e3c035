"""A copy of a collection on a Qdrant server beside a write that is under way."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from qdrant_client import QdrantClient

from app.embeddings import EmbedderInfo
from app.storage.backup.archive import id_of
from app.storage.backup.on_server import Spool, read_both
from app.storage.history.database import Database
from app.storage.history.intents import Intents
from app.storage.history.sqlite import SQLite
from app.storage.history.together import NewIntent
from app.storage.journal.journal import Journal
from app.storage.journal.liveness import FileLocks
from app.storage.journal.writes import Write
from app.storage.payloads import history_row, new_id, new_payload
from app.storage.vectors.points import Whole
from app.storage.vectors.server import Connection, Options, ServerStore
from tests.servers.qdrant import QdrantServer


class DeletedMeanwhile(ServerStore):
    """A store of which a point is deleted as soon as it was read."""

    def wholes(self) -> Iterator[Whole]:
        for one in super().wholes():
            yield one
            self.delete_many([one.record.id])


def test_what_a_deletion_under_way_took_is_not_in_the_copy(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with QdrantServer() as qdrant, closing(Database(SQLite(path))) as database:
        client = QdrantClient(url=qdrant.url, check_compatibility=False)
        store = DeletedMeanwhile(Connection.by(client), "memories", options=Options())
        with closing(store), closing(Spool(tmp_path / "spool")) as spool:
            store.prepare(EmbedderInfo("test/model", 4))
            id_, payload = new_id(), new_payload("tea", {"user_id": "a"}, {})
            journal = Journal(database, FileLocks(tmp_path / "processes"), flushes=False)
            added = history_row("ADD", id_, None, payload)
            journal.write(store, Write([added], {id_: ([1.0, 0.0, 0.0, 0.0], payload)}))
            gone = Write([history_row("DELETE", id_, payload, None)], deleted=[id_])
            new = NewIntent(gone.id, gone.VERSION, gone.to_json())
            Intents(database).begin(journal.process, new)
            assert read_both(store, path, tmp_path / "copy.db", spool)
            assert id_ not in {id_of(line) for line in spool.lines()}
            journal.close()
